"""Picture of a mixture whose data were cut: what was seen, and what the fit says about the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr

from pyestim.plot._mixture import _MAX_NAMED, _full_covariances
from pyestim.plot._style import INK, axes_or_new, colours_of, require_fitted, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_MAX_BOUNDS = 64  # more different bounds of cells than this are put into equal bars
_GRID = 512


@dataclass
class TruncationDisplay:
    """The density of a mixture in one column, inside and outside of the set where rows are seen.

    Everything is a share of the whole population: the curve has area one, the bars have the area
    of the set's estimated probability. Inside the set curves are solid, outside, where nothing
    was seen, they are dashed on a shaded ground. Cells known by bounds are bars as wide as their
    interval, stacked on the exact ones; a half-line is drawn as reaching to the end of the axis.
    Missing cells are left out.

    Build it with `from_estimator`.

    Parameters
    ----------
    weights, means, sds : ndarray of shape (n_components,)
        The whole mixture: means and standard deviations in the unit of X.
    support : ndarray of shape (m, 2)
        Intervals where rows are seen, in order.
    span : tuple of two float
        Ends of the drawn part of the axis.
    name : str
        Label of the axis.
    edges : ndarray of shape (b + 1,), or None
        Edges of the bars.
    exact, bounded : ndarray of shape (b,), or None
        Heights that the exact and the censored cells give to each bar.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> from pyestim import TruncatedGaussianMixture
    >>> from pyestim.datasets import load_faithful
    >>> from pyestim.plot import TruncationDisplay
    >>> waits = load_faithful()[:, 1:]
    >>> seen = waits[(waits[:, 0] > 50) & (waits[:, 0] < 88)]
    >>> model = TruncatedGaussianMixture(2, lower=50, upper=88, random_state=0).fit(seen)
    >>> display = TruncationDisplay.from_estimator(model, seen)
    >>> print(round(display.missing_mass, 3))
    0.135
    """

    weights: Array
    means: Array
    sds: Array
    support: Array
    span: tuple[float, float]
    name: str
    edges: Array | None = None
    exact: Array | None = None
    bounded: Array | None = None
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        lower: ArrayLike | None = None,
        upper: ArrayLike | None = None,
        trunc_lower: float | None = None,
        trunc_upper: float | None = None,
        sample_weight: ArrayLike | None = None,
        bins: Any = "auto",
        name: str | None = None,
    ) -> TruncationDisplay:
        """Take what is drawn from a fitted mixture; nothing is drawn yet.

        Parameters
        ----------
        estimator : fitted TruncatedGaussianMixture or CensoredGaussianMixture
            Of one column.
        X : array-like of shape (n, 1) or scipy.stats.CensoredData, optional
            Rows to draw.
        lower, upper : array-like of shape (n,) or (n, 1), optional
            Bounds of the rows, as in the fit of a CensoredGaussianMixture.
        trunc_lower, trunc_upper : float, optional
            Ends of the interval where its rows are seen, the same for all.
        sample_weight : array-like of shape (n,), optional
        bins : int, str or sequence, default="auto"
            Bars of the exact cells, as `numpy.histogram_bin_edges` takes them. Ends of the set and
            of censored cells are edges besides.
        name : str, optional
            Label of the axis; default the name seen in fit, else "feature 0".

        Returns
        -------
        display : TruncationDisplay
        """
        require_fitted(estimator, "means_", cls.__name__)
        if np.shape(estimator.means_)[1] != 1:
            raise ValueError(
                f"{cls.__name__}: expected a mixture of one column, got "
                f"{np.shape(estimator.means_)[1]}; MixtureDisplay draws two."
            )
        cells = None
        if not (X is None and lower is None and upper is None):
            cells = _cells_of(cls.__name__, estimator, X, lower, upper, sample_weight)
        weights = np.asarray(estimator.weights_, dtype=np.float64)
        means = np.asarray(estimator.means_, dtype=np.float64)[:, 0]
        sds = np.sqrt(_full_covariances(estimator)[:, 0, 0])
        support = _support_of(cls.__name__, estimator, trunc_lower, trunc_upper)
        seen = getattr(estimator, "feature_names_in_", None)
        label = name or ("feature 0" if seen is None else str(seen[0]))
        span = _span(means, sds, support, cells)
        found = cls(weights, means, sds, support, span, label)
        if cells is not None:
            found._count(*_inside(cells, support), bins)
        return found

    @property
    def missing_mass(self) -> float:
        """Share of the whole that lies outside the set."""
        ends = (self.support[:, None, :] - self.means[:, None]) / self.sds[:, None]
        # Of two upper tails the difference is that of the lower ones of their negatives.
        flip = np.where(ends[..., :1] > 0, -1.0, 1.0)
        inside = np.abs(np.diff(ndtr(flip * ends), axis=-1))[..., 0]
        return max(0.0, 1.0 - float(np.sum(inside @ self.weights)))

    def _count(self, low: Array, high: Array, weight: Array, bins: Any) -> None:
        """Heights of the bars: exact cells by counting, the others spread over their interval."""
        exact = low == high
        low, high = np.maximum(low, self.span[0]), np.minimum(high, self.span[1])
        self.edges = _edges(low, high, exact, self.support, self.span, bins)
        area = (1.0 - self.missing_mass) / (np.diff(self.edges) * weight.sum())
        counts = np.histogram(low[exact], self.edges, weights=weight[exact])[0]
        self.exact = counts * area
        low, high, weight = low[~exact], high[~exact], weight[~exact]
        below = [weight @ np.clip((x - low) / (high - low), 0.0, 1.0) for x in self.edges]
        self.bounded = np.diff(below) * area

    def plot(self, ax: Axes | None = None) -> TruncationDisplay:
        """Draw on `ax`, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        display : TruncationDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, type(self).__name__)
        self._draw_bars(ax)
        inside = self._draw_curves(ax)
        self._shade(ax)
        # A component that left the set may tower over all that was seen.
        highest = max([inside, *(np.max(bars, initial=0.0) for bars in self._bars())])
        ax.set_ylim(0.0, min(ax.get_ylim()[1], 2.5 * highest))
        ax.set_xlim(*self.span)
        tidy(ax)
        ax.set_xlabel(self.name, color=INK)
        ax.set_ylabel("density", color=INK)
        if len(self.weights) <= _MAX_NAMED:
            ax.legend(frameon=False, labelcolor=INK, fontsize=9)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _bars(self) -> list[Array]:
        if self.exact is None or self.bounded is None:
            return []
        return [self.exact, self.exact + self.bounded]

    def _draw_bars(self, ax: Axes) -> None:
        if self.edges is None or self.exact is None or self.bounded is None:
            return
        place: dict[str, Any] = {
            "x": self.edges[:-1],
            "width": np.diff(self.edges),
            "align": "edge",
        }
        if self.exact.any():
            label = "exact" if self.bounded.any() else "data"
            ax.bar(height=self.exact, color="#d0d0d0", edgecolor="white", label=label, **place)
        if self.bounded.any():
            place |= {"bottom": self.exact, "color": "#ebebeb", "edgecolor": "#bdbdbd"}
            ax.bar(height=self.bounded, label="between bounds", **place)

    def _draw_curves(self, ax: Axes) -> float:
        """Components and their sum; returns the highest point inside the set."""
        x = self._points()
        scaled = (x - self.means[:, None]) / self.sds[:, None]
        parts = (self.weights / self.sds)[:, None] * np.exp(-0.5 * scaled**2) / np.sqrt(2 * np.pi)
        low, high = self.support.T
        # Ends of the set belong to both sides: solid and dashed lines meet there.
        within = ((x[:, None] >= low) & (x[:, None] <= high)).any(axis=1)
        outside = ~((x[:, None] > low) & (x[:, None] < high)).any(axis=1)
        for k, (part, colour) in enumerate(zip(parts, colours_of(len(parts)), strict=True)):
            label = f"component {k}, weight {self.weights[k]:.3f}"
            ax.fill_between(x, part, color=colour, alpha=0.12, linewidth=0)
            _line(ax, x, part, (within, outside), color=colour, lw=1.2, label=label)
        total = parts.sum(axis=0)
        _line(ax, x, total, (within, outside), color=INK, lw=1.8, label="density")
        return float(total[within].max(initial=0.0))

    def _points(self) -> Array:
        """Equally spaced points, the ends of the set, and a fine mesh around each mean."""
        near = self.means[:, None] + self.sds[:, None] * np.linspace(-4, 4, 161)
        x = np.concatenate([np.linspace(*self.span, _GRID), near.ravel(), self.support.ravel()])
        return np.unique(x[(x >= self.span[0]) & (x <= self.span[1])])

    def _shade(self, ax: Axes) -> None:
        """Grey ground where nothing is seen, named once."""
        ends = np.clip(np.concatenate([[-np.inf], self.support.ravel(), [np.inf]]), *self.span)
        label: str | None = f"never seen: {100 * self.missing_mass:.3g} %"
        for low, high in ends.reshape(-1, 2):
            if low < high:
                ax.axvspan(low, high, color=INK, alpha=0.07, linewidth=0, label=label)
                label = None


def _line(ax: Axes, x: Array, y: Array, sides: tuple[Any, Any], **look: Any) -> None:
    within, outside = sides
    ax.plot(x, np.where(within, y, np.nan), **look)
    ax.plot(x, np.where(outside, y, np.nan), **{**look, "label": None, "linestyle": "--"})


def _support_of(asked_by: str, estimator: Any, low: Any, high: Any) -> Array:
    if hasattr(estimator, "support_"):
        if low is not None or high is not None:
            raise ValueError(
                f"{asked_by}: trunc_lower and trunc_upper are for a CensoredGaussianMixture; "
                f"{type(estimator).__name__} has a set of its own."
            )
        return np.asarray(estimator.support_, dtype=np.float64)
    ends = (-np.inf if low is None else low, np.inf if high is None else high)
    if any(np.ndim(end) for end in ends) or not ends[0] < ends[1]:
        raise ValueError(
            f"{asked_by}: trunc_lower and trunc_upper must be two increasing numbers that hold for "
            f"all rows, got {low!r} and {high!r}."
        )
    return np.array([ends], dtype=np.float64)


def _cells_of(
    asked_by: str, estimator: Any, X: Any, lower: Any, upper: Any, sample_weight: Any
) -> tuple[Array, Array, Array]:
    """Lower ends, upper ends and weights of the cells that are not missing."""
    if hasattr(estimator, "support_"):
        if lower is not None or upper is not None:
            raise ValueError(
                f"{asked_by}: lower and upper are bounds of a CensoredGaussianMixture's rows; give "
                f"{type(estimator).__name__} its rows as X."
            )
        low = high = np.asarray(X, dtype=np.float64).ravel()
    else:
        table = estimator._table(X, lower, upper)
        low, high = table.put_back(np.column_stack([table.lower, table.upper])).astype(float).T
    weight = estimator._weights(sample_weight, len(low))
    weight = np.ones(len(low)) if weight is None else weight
    kept = (np.isfinite(low) | np.isfinite(high)) & (weight > 0)
    if not kept.any():
        raise ValueError(f"{asked_by}: expected a row that is not missing, got none to draw.")
    return low[kept], high[kept], weight[kept]


def _inside(cells: tuple[Array, Array, Array], support: Array) -> tuple[Array, Array, Array]:
    """Cells that meet the set, cut to its ends."""
    low, high, weight = cells
    ends = support.ravel()
    exact = low == high
    meets = ((low[:, None] <= support[:, 1]) & (high[:, None] >= support[:, 0])).any(axis=1)
    low, high = (np.where(exact, side, np.clip(side, ends[0], ends[-1])) for side in (low, high))
    return low[meets], high[meets], weight[meets]


def _span(means: Array, sds: Array, support: Array, cells: Any) -> tuple[float, float]:
    """Part of the axis with four standard deviations of each component, but near the data."""
    reach = np.array([(means - 4 * sds).min(), (means + 4 * sds).max()])
    known = reach if cells is None else np.concatenate(cells[:2])
    known = np.concatenate([known, support.ravel()])
    known = known[np.isfinite(known)]
    low, high = float(known.min()), float(known.max())
    width = (high - low) or float(np.ptp(reach))
    # A component far outside the set would leave the data a corner; half-lines need some room.
    low = min(low - 0.1 * width, max(reach[0], low - width))
    return low, max(high + 0.1 * width, min(reach[1], high + width))


def _edges(
    low: Array, high: Array, exact: Any, support: Array, span: tuple[float, float], bins: Any
) -> Array:
    """Edges of the bars: those of exact cells give way where an end of a set or cell is near."""
    fixed = support[np.isfinite(support) & (support > span[0]) & (support < span[1])]
    bounds = np.unique(np.concatenate([low[~exact], high[~exact]]))
    few = len(bounds) <= _MAX_BOUNDS
    fixed = np.unique(np.concatenate([fixed, bounds if few else bounds[[0, -1]]]))
    free = np.empty(0)
    if exact.any():
        free = np.histogram_bin_edges(low[exact], bins)
    elif not few:
        free = np.linspace(bounds[0], bounds[-1], _MAX_BOUNDS + 1)
    if len(fixed) and len(free):
        away = np.abs(free[:, None] - fixed).min(axis=1)
        width = float(np.ptp(free)) / max(len(free) - 1, 1)
        kept = away > 0.5 * width
        kept[0] |= free[0] < fixed[0]  # the outermost rows need a bar
        kept[-1] |= free[-1] > fixed[-1]
        free = free[kept]
    return np.unique(np.concatenate([free, fixed]))
