"""Picture of a search over models: the criterion against one argument, a line for each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.plot._style import INK, axes_or_new, colours_of, require_fitted, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass
class SelectionDisplay:
    """Information criterion against one argument; the other arguments have a line each.

    The ring marks the least criterion. Build it with `from_estimator`.

    Parameters
    ----------
    x : ndarray of shape (n_candidates,)
        Values of the argument.
    criterion : ndarray of shape (n_candidates,)
        Smaller is better.
    lines : ndarray of shape (n_candidates,)
        The line that each candidate belongs to.
    names : tuple of str
        What the lines are called.
    x_name, criterion_name : str
        Words at the axes.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> from pyestim import CriterionSearch, GaussianMixture
    >>> from pyestim.datasets import load_faithful
    >>> from pyestim.plot import SelectionDisplay
    >>> search = CriterionSearch(GaussianMixture(random_state=0), {"n_components": [1, 2]})
    >>> display = SelectionDisplay.from_estimator(search.fit(load_faithful()))
    >>> display.x_name
    'n_components'
    """

    x: Array
    criterion: Array
    lines: NDArray[np.int64]
    names: tuple[str, ...]
    x_name: str
    criterion_name: str
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(cls, estimator: Any, *, x: str | None = None) -> SelectionDisplay:
        """Take what is drawn from a fitted search; nothing is drawn yet.

        Parameters
        ----------
        estimator : fitted CriterionSearch
        x : str, optional
            Argument at the horizontal axis, a number for every candidate; by default the one of
            most values.

        Returns
        -------
        display : SelectionDisplay
        """
        require_fitted(estimator, "results_", cls.__name__)
        grid = estimator.results_["params"]
        numeric = [
            name
            for name in grid[0]
            if all(isinstance(each.get(name), (int, float, np.number)) for each in grid)
        ]
        if x is None and numeric:
            x = max(numeric, key=lambda name: len({each[name] for each in grid}))
        if x is None or x not in numeric:
            raise ValueError(
                f"{cls.__name__}: x must be an argument that is a number for every candidate, "
                f"one of {numeric}, got {x!r}."
            )
        others = [
            ", ".join(f"{name}={value}" for name, value in each.items() if name != x)
            for each in grid
        ]
        names = tuple(dict.fromkeys(others))
        criterion = estimator.criterion
        return cls(
            np.array([float(each[x]) for each in grid]),
            np.asarray(estimator.results_["criterion"], dtype=np.float64),
            np.array([names.index(each) for each in others]),
            names,
            x,
            criterion.upper() if isinstance(criterion, str) else "criterion",
        )

    def plot(self, ax: Axes | None = None) -> SelectionDisplay:
        """Draw on `ax`, or on a new figure.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        display : SelectionDisplay
            Itself, with `ax_` and `figure_` set.
        """
        ax = axes_or_new(ax, type(self).__name__)
        from matplotlib.ticker import MaxNLocator

        tidy(ax)
        for line, colour in enumerate(colours_of(len(self.names))):
            mine = np.flatnonzero(self.lines == line)
            mine = mine[np.argsort(self.x[mine], kind="stable")]
            ax.plot(
                *(self.x[mine], self.criterion[mine]),
                color=colour,
                marker="o",
                ms=4,
                lw=1.5,
                label=self.names[line],
            )
        best = int(np.nanargmin(self.criterion))
        ax.plot(self.x[best], self.criterion[best], "o", ms=11, mfc="none", mec=INK, mew=1.2)
        if np.all(self.x == np.round(self.x)):
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel(self.x_name, color=INK)
        ax.set_ylabel(f"{self.criterion_name}, smaller is better", color=INK)
        if len(self.names) > 1:
            ax.legend(frameon=False, labelcolor=INK, fontsize=8)
        self.ax_ = ax
        self.figure_ = ax.figure
        return self
