"""Picture of a fit's way to its optimum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.plot._style import INK, axes_or_new, require_fitted, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_MAX_TICKED_SWEEPS = 50  # a mark per sweep up to here; beyond it the marks hide the line


@dataclass
class ConvergenceDisplay:
    """How the objective approached its final value, sweep by sweep.

    The ordinate is what was still missing to the best value that the fit evaluated, in nats per
    row on a logarithmic scale: plain EM shows as a straight line, acceleration as a steeper one.

    Build it with `from_estimator`.

    Parameters
    ----------
    trace : ndarray of shape (n_sweeps,)
        Objective after each sweep, nats per row.
    outcome : str
        The sentence of the outcome; the title of the picture.
    label : str
        Name of the line.

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
    >>> from pyestim.plot import ConvergenceDisplay
    >>> model = GaussianMixture(2, random_state=0).fit(load_faithful())
    >>> display = ConvergenceDisplay.from_estimator(model)
    >>> bool(display.trace[-1] >= display.trace[0])
    True
    """

    trace: Array
    outcome: str = ""
    label: str = ""
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(cls, estimator: Any, *, label: str | None = None) -> ConvergenceDisplay:
        """Take the trace from a fitted estimator; nothing is drawn yet.

        Parameters
        ----------
        estimator : fitted estimator
            Anything with `lower_bounds_`, and `report_` for the outcome.
        label : str, optional
            Name of the line; default the name of the estimator's class.

        Returns
        -------
        display : ConvergenceDisplay
        """
        require_fitted(estimator, "lower_bounds_", cls.__name__)
        report = getattr(estimator, "report_", None)
        outcome = getattr(report, "outcome", "")
        return cls(
            trace=np.asarray(estimator.lower_bounds_, dtype=np.float64),
            outcome=str(getattr(outcome, "value", outcome)),
            label=type(estimator).__name__ if label is None else label,
        )

    def plot(self, ax: Axes | None = None) -> ConvergenceDisplay:
        """Draw on `ax`, or on a new figure; call it with the same axes to compare fits.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        display : ConvergenceDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, type(self).__name__)
        n_sweeps = len(self.trace)
        gap = self.trace.max(initial=-np.inf) - self.trace
        # The best sweep has no gap; a logarithmic axis shows the others.
        shown = gap > 0
        marker = "o" if n_sweeps <= _MAX_TICKED_SWEEPS else ""
        sweeps = np.arange(1, n_sweeps + 1)
        ax.plot(sweeps[shown], gap[shown], marker=marker, ms=3.5, lw=1.4, label=self.label)
        if shown.any():
            ax.set_yscale("log")
        tidy(ax)
        ax.set_xlabel("sweep over the data", color=INK)
        ax.set_ylabel("missing to the best value, nats per row", color=INK)
        if self.outcome:
            ax.set_title(self.outcome, fontsize=9, color=INK)
        if self.label:
            ax.legend(frameon=False, labelcolor=INK)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
