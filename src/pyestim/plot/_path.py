"""Pictures of penalised paths: coefficients against the penalty, and the cross-validated curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.optimize import isotonic_regression

from pyestim.plot._style import INK, axes_or_new, colours_of, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MAX_LINES = 400  # the largest ones; more only thicken the line at zero
_LABEL_SPACE = 0.045  # least distance of two names, as a share of the height of the axes
_KINDS = ("coefficients", "cv")


@dataclass
class PathDisplay:
    """A path of penalised fits: large penalties at the left, small ones at the right.

    `kind="coefficients"`: one line for each coefficient that is ever different from zero; the
    largest ones carry their names. `kind="cv"`: the held-out deviance
    with bars of one standard error. Dashed and dotted lines mark the penalties of the rules "min"
    and "1se", the numbers at the upper edge count the coefficients that are not zero.

    Build it with `from_estimator`.

    Parameters
    ----------
    kind : {"coefficients", "cv"}
        What is drawn.
    alphas : ndarray of shape (n_alphas,)
        Penalties.
    curves : ndarray of shape (n_alphas, n_curves)
        Coefficients that are drawn, in the unit of y (or of the linear predictor) per unit of X;
        for "cv" the one curve of the mean held-out deviance.
    names : tuple of str
        One for each curve.
    df : ndarray of shape (n_alphas,)
        Number of coefficients that are not zero.
    errors : ndarray of shape (n_alphas,), or None
        Standard errors of the held-out deviance.
    marks : dict of str to float
        Penalties to mark and their names.
    n_labels : int
        Most names beside the lines.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import glm_path
    >>> from pyestim.plot import PathDisplay
    >>> X = np.random.RandomState(0).normal(size=(50, 4))
    >>> display = PathDisplay.from_estimator(glm_path(X, X[:, 0] - X[:, 2], n_alphas=20))
    >>> display.names
    ('x0', 'x2')
    """

    kind: str
    alphas: Array
    curves: Array
    names: tuple[str, ...]
    df: NDArray[np.int64]
    errors: Array | None = None
    marks: dict[str, float] = field(default_factory=dict)
    n_labels: int = 8
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        kind: str = "coefficients",
        names: Any = None,
        n_labels: int = 8,
    ) -> PathDisplay:
        """Take what is drawn from a path or a cross-validated fit; nothing is drawn yet.

        Parameters
        ----------
        estimator : GLMPath or fitted LassoGLMCV
        kind : {"coefficients", "cv"}, default="coefficients"
            "cv" needs the held-out deviance of a `LassoGLMCV`.
        names : sequence of str of length p, optional
            Names of the columns; default those seen in fit, else "x0", "x1".
        n_labels : int, default=8
            Most names beside the lines.

        Returns
        -------
        display : PathDisplay
        """
        if kind not in _KINDS:
            raise ValueError(f"{cls.__name__}: kind must be one of {_KINDS}, got {kind!r}.")
        path = getattr(estimator, "path_", estimator)
        if not hasattr(path, "sparse_coefs"):
            raise ValueError(
                f"{cls.__name__}: expected a GLMPath or a fitted LassoGLMCV, got "
                f"{type(estimator).__name__} without a path; call fit(X, y) first."
            )
        marks = {
            rule: getattr(estimator, attribute)
            for rule, attribute in (("min", "alpha_min_"), ("1se", "alpha_1se_"))
            if hasattr(estimator, attribute)
        }
        common: dict[str, Any] = {"alphas": np.asarray(path.alphas), "df": np.asarray(path.df)}
        common |= {"marks": marks, "n_labels": n_labels}
        if kind == "coefficients":
            if names is None:
                names = getattr(estimator, "feature_names_in_", None)
            curves, labels = cls._curves(path, names)
            return cls(kind, curves=curves, names=labels, **common)
        if not hasattr(estimator, "cv_deviance_mean_"):
            raise ValueError(
                f"{cls.__name__}: kind='cv' needs the held-out deviance of a fitted LassoGLMCV "
                f"with a rule of 'min' or '1se', got {type(estimator).__name__} without it."
            )
        mean = np.asarray(estimator.cv_deviance_mean_)[:, None]
        errors = np.asarray(estimator.cv_deviance_se_)
        return cls(kind, curves=mean, names=("held-out deviance",), errors=errors, **common)

    @classmethod
    def _curves(cls, path: Any, names: Any) -> tuple[Array, tuple[str, ...]]:
        """Coefficients that are ever different from zero, the largest first."""
        p, classes = path.n_features, path.classes
        names = [f"x{j}" for j in range(p)] if names is None else [str(name) for name in names]
        if len(names) != p:
            raise ValueError(
                f"{cls.__name__}: names must have one label for each of {p} columns, "
                f"got {len(names)}."
            )
        coefs = path.sparse_coefs.tocsr()  # (p or K p, n_alphas); the rows of one class in a block
        moving = np.flatnonzero(np.diff(coefs.indptr))
        curves: Array = coefs[moving].toarray().T
        order = np.argsort(-np.abs(curves).max(axis=0, initial=0), kind="stable")[:_MAX_LINES]
        labels = [
            names[row % p] if coefs.shape[0] == p else f"{names[row % p]}, {classes[row // p]}"
            for row in moving[order]
        ]
        return curves[:, order], tuple(labels)

    def plot(self, ax: Axes | None = None) -> PathDisplay:
        """Draw on `ax`, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        display : PathDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, type(self).__name__)
        positive = self.alphas > 0  # an unpenalised end has no place on a logarithmic axis
        alphas, curves = self.alphas[positive], self.curves[positive]
        tidy(ax)
        ax.set_xscale("log")
        if self.kind == "cv":
            self._draw_deviance(ax, alphas, curves[:, 0], positive)
        else:
            self._draw_coefficients(ax, alphas, curves)
        for (rule, alpha), style in zip(self.marks.items(), ("--", ":"), strict=False):
            ax.axvline(alpha, color="#777777", lw=1, ls=style, zorder=1, label=f"rule {rule}")
        if not ax.xaxis_inverted():
            ax.invert_xaxis()
        ax.set_xlabel("penalty alpha", color=INK)
        self._count_coefficients(ax, alphas, self.df[positive])
        if self.marks:
            ax.legend(frameon=False, labelcolor=INK, loc="best", fontsize=8)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self

    def _draw_coefficients(self, ax: Axes, alphas: Array, curves: Array) -> None:
        n = curves.shape[1]
        colours = colours_of(max(n, 1))
        ax.axhline(0, color="#999999", lw=0.8, zorder=1)
        for j in reversed(range(n)):  # the largest on top
            named = j < self.n_labels
            ax.plot(
                alphas,
                curves[:, j],
                color=colours[j] if named else "#b5b5b5",
                lw=1.5 if named else 0.8,
                zorder=3 if named else 2,
            )
        ax.margins(x=0)
        if n:
            self._label(ax, alphas, curves[:, : self.n_labels], colours)
        ax.set_ylabel("coefficient", color=INK)

    def _label(self, ax: Axes, alphas: Array, curves: Array, colours: Array) -> None:
        """Names beside the ends of the lines, pushed apart where they would overlap."""
        low, high = ax.get_ylim()
        order = np.argsort(curves[-1], kind="stable")
        least = _LABEL_SPACE * (high - low)
        # The nearest heights that are at least so far apart: isotonic once the distances are off.
        steps = least * np.arange(len(order))
        heights = isotonic_regression(curves[-1][order] - steps).x + steps
        for height, j in zip(heights, order, strict=True):
            ax.annotate(
                self.names[j],
                (alphas[-1], height),
                xytext=(4, 0),
                textcoords="offset points",
                color=colours[j],
                fontsize=8,
                va="center",
                annotation_clip=False,
            )

    def _draw_deviance(
        self, ax: Axes, alphas: Array, mean: Array, positive: NDArray[np.bool_]
    ) -> None:
        colour = colours_of(1)[0]
        if self.errors is not None:
            se = self.errors[positive]
            ax.fill_between(alphas, mean - se, mean + se, color=colour, alpha=0.18, lw=0)
        ax.plot(alphas, mean, color=colour, lw=1.5, marker="o", ms=2.5)
        ax.margins(x=0.01)
        ax.set_ylabel("held-out deviance per unit weight", color=INK)

    @staticmethod
    def _count_coefficients(ax: Axes, alphas: Array, df: NDArray[np.int64]) -> None:
        """Numbers of coefficients at the upper edge, about seven of them."""
        for i in np.unique(np.linspace(0, len(alphas) - 1, 7).astype(int)) if len(alphas) else ():
            ax.annotate(
                str(df[i]),
                (alphas[i], 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color="#777777",
            )
