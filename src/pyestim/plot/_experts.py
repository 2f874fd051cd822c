"""Picture of a mixture of experts: regressions over one predictor, or residuals by expert."""

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

KINDS = ("experts", "residuals")
_MAX_POINTS = 20_000
_MAX_NAMED = 8  # a longer legend hides the data
_GRID = 256
#: Share of the height that the gate's probabilities take.
_GATE = 0.12


@dataclass
class ExpertsDisplay:
    """The experts of a mixture, over the rows that they were fitted to.

    ``kind="experts"``: the mean of each expert over one predictor, with a band of two standard
    deviations (gaussian), the others at their means; below it the gate's probabilities, stacked;
    each row is a dot whose colour blends those of the experts by their responsibilities for it.
    ``kind="residuals"``: residuals of each row from its most responsible expert, in that expert's
    standard deviations (Pearson residuals for counts), against the expert's mean.

    Build it with `from_estimator`.

    Parameters
    ----------
    kind : {"experts", "residuals"}
    at : ndarray of shape (m,)
        Values of the drawn predictor.
    means : ndarray of shape (m, k)
        Means of the experts there.
    spread : ndarray of shape (m, k), or None
        Standard deviations of gaussian experts.
    gate : ndarray of shape (m, k), or None
        The gate's probabilities there; None where it reads columns of its own.
    points : ndarray of shape (n, 2)
        What is drawn for each row: predictor and response, or mean and residual.
    responsibilities : ndarray of shape (n, k)
    names : tuple of str
        Labels of the two axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> from pyestim import MixtureOfExpertsRegressor
    >>> from pyestim.datasets import load_tones
    >>> from pyestim.plot import ExpertsDisplay
    >>> trials = load_tones()
    >>> model = MixtureOfExpertsRegressor(2, random_state=0).fit(trials[:, :1], trials[:, 1])
    >>> display = ExpertsDisplay.from_estimator(model, trials[:, :1], trials[:, 1])
    >>> display.means.shape
    (256, 2)
    """

    kind: str
    at: Array
    means: Array
    spread: Array | None
    gate: Array | None
    points: Array
    responsibilities: Array
    names: tuple[str, str]
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: ArrayLike,
        y: ArrayLike,
        Z: ArrayLike | None = None,
        *,
        kind: str = "experts",
        feature: int = 0,
        names: tuple[str, str] | None = None,
    ) -> ExpertsDisplay:
        """Take what is drawn from a fitted regressor; nothing is drawn yet.

        Parameters
        ----------
        estimator : fitted MixtureOfExpertsRegressor
            Gaussian with one output, poisson, or binomial.
        X : array-like of shape (n, p)
            Rows to draw. Of more than 20 000 an equally spaced part is drawn.
        y : array-like of shape (n,)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it has its own.
        kind : {"experts", "residuals"}, default="experts"
        feature : int, default=0
            Column of X along the axis.
        names : tuple of two str, optional
            Labels of the axes; default the name seen in fit, else "feature 0", and "response".

        Returns
        -------
        display : ExpertsDisplay
        """
        require_fitted(estimator, "expert_coef_", cls.__name__)
        if kind not in KINDS:
            raise ValueError(f"{cls.__name__}: kind must be one of {KINDS}, got {kind!r}.")
        response = np.asarray(y, dtype=np.float64)
        n, p = np.shape(X)
        if not -p <= feature < p:
            raise ValueError(f"{cls.__name__}: feature must be a column of X, got {feature}.")
        if response.shape != (n,) or np.ndim(estimator.expert_intercept_) != 1:
            raise ValueError(
                f"{cls.__name__}: expected one response for each row, ({n},), got "
                f"{response.shape}; several outputs are drawn one by one."
            )
        some = slice(None, None, max(1, -(-n // _MAX_POINTS)))
        named, response = (X.iloc if hasattr(X, "iloc") else np.asarray(X))[some], response[some]
        own = None if Z is None else np.asarray(Z)[some]
        resp = estimator.responsibilities(named, response, own)
        rows = np.asarray(named)
        labels = names or (_name_of(estimator, feature), "response")
        at, means, spread, gate = _curves(estimator, rows, feature, own)
        points = np.column_stack([np.asarray(rows[:, feature], dtype=np.float64), response])
        if kind == "residuals":
            points = _residuals(estimator, response, estimator.predict_expert(named, own), resp)
            labels = names or ("mean of the expert", "residual, standard deviations")
        return cls(kind, at, means, spread, gate, points, resp, labels)

    def plot(self, ax: Axes | None = None) -> ExpertsDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        display : ExpertsDisplay
        """
        self.ax_ = axes_or_new(ax, type(self).__name__)
        figure = self.ax_.get_figure()
        assert figure is not None
        self.figure_ = figure
        colours = colours_of(self.responsibilities.shape[1])
        blended = np.clip(self.responsibilities @ colours, 0.0, 1.0)
        x, y = self.points.T
        self.ax_.scatter(x, y, s=14, c=blended, alpha=0.7, linewidths=0)
        if self.kind == "experts":
            self._draw_experts(colours)
        else:
            self._draw_levels(colours)
        self.ax_.set(xlabel=self.names[0], ylabel=self.names[1])
        if self.responsibilities.shape[1] <= _MAX_NAMED:
            self.ax_.legend(frameon=False, fontsize=9)
        tidy(self.ax_)
        return self

    def _draw_experts(self, colours: Array) -> None:
        for k, colour in enumerate(colours):
            mean = self.means[:, k]
            self.ax_.plot(self.at, mean, color=colour, linewidth=2, label=f"expert {k}")
            if self.spread is not None:
                width = 2.0 * self.spread[:, k]
                band = {"color": colour, "alpha": 0.12, "linewidth": 0}
                self.ax_.fill_between(self.at, mean - width, mean + width, **band)
        low, high = np.min(self.points[:, 1]), np.max(self.points[:, 1])
        height = (high - low) or 1.0
        self.ax_.set_ylim(low - (0.08 + 1.3 * _GATE * (self.gate is not None)) * height, None)
        if self.gate is not None:
            self._draw_gate(colours)

    def _draw_gate(self, colours: Array) -> None:
        """Probabilities of the gate, stacked in a strip along the bottom."""
        assert self.gate is not None
        edges = _GATE * np.cumsum(np.column_stack([np.zeros(len(self.at)), self.gate]), axis=1)
        strip = self.ax_.get_xaxis_transform()
        for k, colour in enumerate(colours):
            shade = {"color": colour, "alpha": 0.45, "linewidth": 0, "transform": strip}
            self.ax_.fill_between(self.at, edges[:, k], edges[:, k + 1], **shade)
        self.ax_.text(
            *(0.995, _GATE + 0.01, "gate"),
            transform=self.ax_.transAxes,
            ha="right",
            va="bottom",
            fontsize=8,
            color=INK,
        )

    def _draw_levels(self, colours: Array) -> None:
        self.ax_.axhline(0.0, color=INK, linewidth=0.8)
        for level in (-2.0, 2.0):
            self.ax_.axhline(level, color=INK, linewidth=0.8, linestyle=":")
        for k, colour in enumerate(colours):
            self.ax_.scatter([], [], s=14, color=colour, label=f"expert {k}")


def _name_of(estimator: Any, feature: int) -> str:
    names = getattr(estimator, "feature_names_in_", None)
    return f"feature {feature}" if names is None else str(names[feature])


def _curves(
    estimator: Any, rows: Array, feature: int, own: Array | None
) -> tuple[Array, Array, Array | None, Array | None]:
    """Means, standard deviations and gate along one predictor, the others at their means."""
    column = np.asarray(rows[:, feature], dtype=np.float64)
    at = np.linspace(column.min(), column.max(), _GRID)
    grid = np.repeat(np.asarray(rows, dtype=np.float64).mean(axis=0)[None], _GRID, axis=0)
    grid[:, feature] = at
    # Rows of our own making: they need not carry the names that a fit has seen.
    experts = estimator._published()
    gate = None if own is not None else experts.gate(grid, grid)
    means = experts.means(grid, grid if own is None else own[:1].repeat(_GRID, axis=0))[:, :, 0]
    spread = None
    if estimator.family == "gaussian":
        spread = np.broadcast_to(estimator.expert_scale_, means.shape)
    return at, means, spread, gate


def _residuals(estimator: Any, response: Array, means: Array, resp: Array) -> Array:
    """Mean of the most responsible expert and the residual in its standard deviations: (n, 2)."""
    chosen = np.argmax(resp, axis=1)
    mean = np.take_along_axis(means, chosen[:, None], axis=1)[:, 0]
    if estimator.family == "gaussian":
        sd = np.asarray(estimator.expert_scale_)[chosen]
    elif estimator.family == "poisson":
        sd = np.sqrt(mean)
    else:
        sd = np.sqrt(mean * (1.0 - mean))
    return np.column_stack([mean, (response - mean) / np.maximum(sd, np.finfo(float).tiny)])
