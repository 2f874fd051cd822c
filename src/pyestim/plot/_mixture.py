"""Picture of a Gaussian mixture: regions in two features, densities in one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.plot._style import INK, axes_or_new, colours_of, require_fitted, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]

_MAX_POINTS = 20_000
_MAX_NAMED = 8  # a longer legend hides the data


def _full_covariances(estimator: Any) -> Array:
    """Covariances of any covariance type as (n_components, n_features, n_features)."""
    n_components, n_features = estimator.means_.shape
    raw = np.asarray(estimator.covariances_, dtype=np.float64)
    shape = (n_components, n_features, n_features)
    kind = estimator.covariance_type
    if kind == "tied":
        return np.broadcast_to(raw, shape).copy()
    if kind == "diag":
        return raw[:, :, None] * np.eye(n_features)
    if kind == "spherical":
        return raw[:, None, None] * np.eye(n_features)
    return raw.reshape(shape).copy()


@dataclass
class MixtureDisplay:
    """The components of a Gaussian mixture, over the data where they are given.

    Two features: each component's regions of 50 % and 95 % probability are ellipses, each row is
    a dot whose colour blends those of the components by their responsibilities for it. One
    feature: the density and its components as curves, the data as a histogram.

    Build it with `from_estimator`.

    Parameters
    ----------
    weights : ndarray of shape (n_components,)
        Weights of the components.
    means : ndarray of shape (n_components, n_drawn)
        Means in the drawn features (one or two), same unit as X.
    covariances : ndarray of shape (n_components, n_drawn, n_drawn)
        Covariances in the drawn features, squared unit of X.
    names : tuple of str
        Axis labels of the drawn features.
    points : ndarray of shape (n_points, n_drawn), or None
        Rows to draw.
    responsibilities : ndarray of shape (n_points, n_components), or None
        Responsibilities for `points`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> from pyestim import GaussianMixture
    >>> from pyestim.datasets import load_faithful
    >>> from pyestim.plot import MixtureDisplay
    >>> X = load_faithful()
    >>> model = GaussianMixture(2, random_state=0).fit(X)
    >>> display = MixtureDisplay.from_estimator(model, X)
    >>> display.means.shape
    (2, 2)
    """

    weights: Array
    means: Array
    covariances: Array
    names: tuple[str, ...]
    points: Array | None = None
    responsibilities: Array | None = None
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike | None = None,
        *,
        features: tuple[int, ...] | None = None,
        names: tuple[str, ...] | None = None,
    ) -> MixtureDisplay:
        """Take what is drawn from a fitted mixture; nothing is drawn yet.

        Parameters
        ----------
        estimator : fitted GaussianMixture
            Any object with scikit-learn's attributes of a Gaussian mixture.
        X : array-like of shape (n_samples, n_features), optional
            Rows to draw. Of more than 20 000 an equally spaced part is drawn.
        features : tuple of one or two int, optional
            Columns to draw; default the first two (or the only one).
        names : tuple of str, optional
            Axis labels; default the names seen in fit, else "feature 0", "feature 1".

        Returns
        -------
        display : MixtureDisplay
        """
        require_fitted(estimator, "means_", cls.__name__)
        n_features = estimator.means_.shape[1]
        columns = cls._checked_features(features, n_features)
        labels = cls._checked_names(names, columns, estimator)
        points = responsibilities = None
        if X is not None:
            rows = X.iloc if hasattr(X, "iloc") else np.asarray(X)
            n_rows = np.shape(X)[0]
            some = rows[:: max(1, -(-n_rows // _MAX_POINTS))]
            responsibilities = np.asarray(estimator.predict_proba(some), dtype=np.float64)
            points = np.asarray(some, dtype=np.float64)[:, columns]
        return cls(
            weights=np.asarray(estimator.weights_, dtype=np.float64),
            means=np.asarray(estimator.means_, dtype=np.float64)[:, columns],
            covariances=_full_covariances(estimator)[:, columns][:, :, columns],
            names=labels,
            points=points,
            responsibilities=responsibilities,
        )

    @classmethod
    def _checked_features(cls, features: tuple[int, ...] | None, n_features: int) -> list[int]:
        columns = list(range(min(2, n_features)) if features is None else features)
        valid = all(0 <= column < n_features for column in columns)
        if not valid or len(columns) not in (1, 2) or len(set(columns)) < len(columns):
            raise ValueError(
                f"{cls.__name__}: features must be one or two different columns out of "
                f"0..{n_features - 1}, got {features!r}."
            )
        return columns

    @classmethod
    def _checked_names(
        cls, names: tuple[str, ...] | None, columns: list[int], estimator: Any
    ) -> tuple[str, ...]:
        if names is None:
            seen = getattr(estimator, "feature_names_in_", None)
            return tuple(f"feature {j}" if seen is None else str(seen[j]) for j in columns)
        if len(names) != len(columns):
            raise ValueError(
                f"{cls.__name__}: names must have one label for each drawn feature "
                f"({len(columns)}), got {len(names)}."
            )
        return tuple(names)

    def plot(self, ax: Axes | None = None) -> MixtureDisplay:
        """Draw on `ax`, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        display : MixtureDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, type(self).__name__)
        if self.means.shape[1] == 1:
            self._draw_density(ax)
        else:
            self._draw_regions(ax)
        tidy(ax)
        ax.set_xlabel(self.names[0], color=INK)
        if len(self.weights) <= _MAX_NAMED:
            ax.legend(frameon=False, labelcolor=INK)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _draw_regions(self, ax: Axes) -> None:
        from matplotlib.patches import Ellipse

        colours = colours_of(len(self.weights))
        if self.points is not None and self.responsibilities is not None:
            blended = np.clip(self.responsibilities @ colours, 0, 1)
            size = float(np.clip(4000 / max(len(self.points), 1), 2, 18))
            x, y = self.points.T
            ax.scatter(x, y, s=size, c=blended, alpha=0.75, linewidths=0, zorder=2)
        for k, (mean, covariance) in enumerate(zip(self.means, self.covariances, strict=True)):
            variance, axes = np.linalg.eigh(covariance)
            angle = float(np.degrees(np.arctan2(axes[1, 1], axes[0, 1])))
            for probability, fill in ((0.95, 0.10), (0.50, 0.18)):
                # In two dimensions the squared radius of a normal is exponential with mean 2.
                radius = np.sqrt(-2 * np.log1p(-probability))
                width, height = 2 * radius * np.sqrt(np.maximum(variance[::-1], 0))
                shape = (float(width), float(height))
                place = (float(mean[0]), float(mean[1]))
                ax.add_patch(Ellipse(place, *shape, angle=angle, fc=(*colours[k], fill), ec="none"))
                ax.add_patch(
                    Ellipse(place, *shape, angle=angle, fill=False, ec=colours[k], lw=1.2, zorder=3)
                )
            ax.plot(
                *mean,
                marker="o",
                ms=7,
                mfc=colours[k],
                mec="white",
                mew=1.4,
                ls="none",
                zorder=4,
                label=f"component {k}, weight {self.weights[k]:.3f}",
            )
        ax.set_ylabel(self.names[1], color=INK)
        ax.autoscale_view()

    def _draw_density(self, ax: Axes) -> None:
        colours = colours_of(len(self.weights))
        mean, sd = self.means[:, 0], np.sqrt(self.covariances[:, 0, 0])
        low, high = (mean - 4 * sd).min(), (mean + 4 * sd).max()
        if self.points is not None:
            values = self.points[:, 0]
            low, high = min(low, values.min()), max(high, values.max())
            ax.hist(
                values, bins="auto", density=True, color="#d9d9d9", edgecolor="white", label="data"
            )
        # Equally spaced points, and a fine mesh around each mean so that no narrow peak is missed.
        near = mean[:, None] + sd[:, None] * np.linspace(-4, 4, 161)
        x = np.unique(np.concatenate([np.linspace(low, high, 512), near.ravel()]))
        scaled = (x - mean[:, None]) / sd[:, None]
        parts = (self.weights / sd)[:, None] * np.exp(-0.5 * scaled**2) / np.sqrt(2 * np.pi)
        for k, part in enumerate(parts):
            label = f"component {k}, weight {self.weights[k]:.3f}"
            ax.fill_between(x, part, color=colours[k], alpha=0.15, linewidth=0)
            ax.plot(x, part, color=colours[k], lw=1.2, label=label)
        ax.plot(x, parts.sum(axis=0), color=INK, lw=1.6, label="density")
        ax.set_ylabel("density", color=INK)
