"""Pictures of transition matrices: a heat map, and a graph of the states."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array, issparse

from pyestim.models.chain_tables import TransitionTable
from pyestim.plot._style import INK, axes_or_new, require_fitted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

KINDS = ("heatmap", "graph")
#: Rows or columns up to which every cell gets its number, and every line its label.
MOST_NUMBERS, MOST_LABELS = 12, 40
#: States that still make a legible graph; cells that still make a picture.
MOST_NODES, MOST_ROWS = 30, 4000
#: Radius of the circle of states, and of the largest one of eight or more states.
CIRCLE, NODE = 1.0, 0.13
#: How far arrows bend, as a share of their length; states up to which they get their numbers.
BEND, MOST_WEIGHED = 0.18, 5
#: Width in points of the arrow of probability one.
WIDEST_ARROW = 6.0


@dataclass
class TransitionDisplay:
    """Transition probabilities as a heat map or as a graph.

    In the heat map, row i is the distribution of the state that follows i. In the graph, the
    width of an arrow is proportional to its probability, and the area of a state to its share in
    the stationary distribution.

    Build it with `from_estimator`.

    Parameters
    ----------
    transition : ndarray of shape (R, k)
        Probabilities; R = k for a chain of the first order.
    states : ndarray of shape (k,)
        Labels of the states.
    contexts : ndarray of shape (R,)
        Labels of the rows: the states, or what came before for higher orders.
    stationary : ndarray of shape (k,), optional
        Share of each state in the long run; states have equal sizes without it.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it was drawn; set by `plot`.
    figure_ : matplotlib Figure
        The figure of `ax_`; set by `plot`.

    Examples
    --------
    >>> from pyestim import MarkovChain
    >>> from pyestim.plot import TransitionDisplay
    >>> chain = MarkovChain().fit(list("aabbabbbaabab"))
    >>> display = TransitionDisplay.from_estimator(chain)
    >>> display.transition.shape
    (2, 2)
    """

    transition: Array
    states: NDArray[Any]
    contexts: NDArray[Any]
    stationary: Array | None = None
    ax_: Axes = field(init=False, repr=False)
    figure_: Figure | SubFigure = field(init=False, repr=False)

    @classmethod
    def from_estimator(cls, estimator: Any) -> TransitionDisplay:
        """Take the probabilities of a fitted chain; nothing is drawn yet.

        Parameters
        ----------
        estimator : MarkovChain
            Fitted, with at most 4000 rows in its transition matrix.

        Returns
        -------
        display : TransitionDisplay

        Raises
        ------
        ValueError
            Not fitted, or too many rows to be seen.
        """
        require_fitted(estimator, "transition_matrix_", cls.__name__)
        matrix = estimator.transition_matrix_
        sparse = issparse(matrix)
        matrix = matrix if sparse else np.asarray(matrix, dtype=np.float64)
        # What is set by hand may lack the names of the states.
        states = np.asarray(getattr(estimator, "states_", np.arange(matrix.shape[-1])))
        if max(matrix.shape) > MOST_ROWS:
            raise ValueError(
                f"{cls.__name__}: expected at most {MOST_ROWS} rows and states, which a picture "
                f"can show, got a matrix of shape {matrix.shape}; merge states, or draw a part."
            )
        if sparse:
            unseen = getattr(estimator, "unseen_proba_", np.zeros(matrix.shape[0]))
            matrix = TransitionTable(csr_array(matrix), unseen).dense()
        contexts = states
        if estimator.order > 1:
            contexts = np.array([", ".join(map(str, row)) for row in estimator.contexts_])
        stationary = None
        if estimator.order == 1:
            # With several closed classes there is no single one: states are drawn alike then.
            stationary = getattr(estimator, "stationary_distribution_", None)
        return cls(matrix, states, contexts, stationary)

    def plot(
        self, ax: Axes | None = None, *, kind: str = "heatmap", min_proba: float = 0.01
    ) -> TransitionDisplay:
        """Draw the picture.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; a new figure by default.
        kind : {"heatmap", "graph"}, default="heatmap"
            The graph is for chains of the first order with at most 30 states.
        min_proba : float, default=0.01
            Arrows of smaller probability are left out of the graph.

        Returns
        -------
        display : TransitionDisplay
            This object, with ``ax_`` and ``figure_``.

        Raises
        ------
        ValueError
            An unknown kind, or a chain that the graph cannot show.
        ImportError
            matplotlib is missing.
        """
        if kind not in KINDS:
            raise ValueError(f"TransitionDisplay: kind must be one of {KINDS}, got {kind!r}.")
        if kind == "graph":
            self._check_graph()
        self.ax_ = axes_or_new(ax, type(self).__name__)
        self.figure_ = self.ax_.figure
        if kind == "graph":
            self._draw_graph(self.ax_, min_proba)
        else:
            self._draw_heatmap(self.ax_)
        return self

    # -- heat map -------------------------------------------------------------------------------

    def _draw_heatmap(self, ax: Axes) -> None:
        image = ax.imshow(self.transition, cmap="viridis", vmin=0.0, vmax=1.0, aspect="auto")
        ax.figure.colorbar(image, ax=ax, label="transition probability")
        ax.set_xlabel("next state", color=INK)
        ax.set_ylabel("state" if len(self.contexts) == len(self.states) else "past", color=INK)
        n_rows, n_columns = self.transition.shape
        if n_columns <= MOST_LABELS:
            ax.set_xticks(range(n_columns), [_plain(label) for label in self.states])
        if n_rows <= MOST_LABELS:
            ax.set_yticks(range(n_rows), [_plain(label) for label in self.contexts])
        if max(n_rows, n_columns) <= MOST_NUMBERS:
            for (i, j), value in np.ndenumerate(self.transition):
                ink = "white" if value < 0.6 else "black"  # legible on both ends of the map
                ax.text(j, i, f"{value:.2f}", ha="center", va="center", color=ink)

    # -- graph ----------------------------------------------------------------------------------

    def _check_graph(self) -> None:
        if len(self.contexts) != len(self.states) or len(self.states) > MOST_NODES:
            raise ValueError(
                f"TransitionDisplay: kind='graph' shows chains of the first order with at most "
                f"{MOST_NODES} states, got a matrix of shape {self.transition.shape}; "
                "use kind='heatmap'."
            )

    def _draw_graph(self, ax: Axes, min_proba: float) -> None:
        k = len(self.states)
        angle = np.pi / 2 - 2 * np.pi * np.arange(k) / k  # clockwise from the top
        places = CIRCLE * np.column_stack([np.cos(angle), np.sin(angle)])
        share = np.full(k, 1.0) if self.stationary is None else np.asarray(self.stationary)
        crowd = min(1.7, 9.0 / k)
        radii = NODE * crowd * np.sqrt(0.15 + 0.85 * share / share.max())
        for i, j in np.argwhere(self.transition >= max(min_proba, 1e-300)):
            width = WIDEST_ARROW * self.transition[i, j]
            if i == j:
                _loop(ax, places[i], radii[i], width)
            else:
                _arrow(ax, places[i], places[j], radii[i], radii[j], width)
            if k <= MOST_WEIGHED:
                at = _beside(places[i], places[j], radii[i])
                _note(ax, at, f"{self.transition[i, j]:.2f}")
        for place, radius, label in zip(places, radii, self.states, strict=True):
            _node(ax, place, radius, _plain(label))
        reach = CIRCLE + 3.2 * NODE * crowd
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        ax.set_axis_off()
        what = "" if self.stationary is None else "; area of a state: its long-run share"
        ax.set_title(f"width of an arrow: probability{what}", color=INK, fontsize="medium")


def _plain(label: Any) -> str:
    """A label as text that matplotlib does not read as a formula."""
    return str(label).replace("$", r"\$")


def _beside(start: Array, end: Array, radius: float) -> Array:
    """Where the number of an arrow goes: the middle of its arc, or the outer end of the loop."""
    if np.array_equal(start, end):
        return start * (1 + 2.25 * radius / float(np.linalg.norm(start)))
    dx, dy = end - start
    return (start + end) / 2 + BEND / 2 * np.array([dy, -dx])


def _note(ax: Axes, at: Array, text: str) -> None:
    box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
    ax.text(
        at[0],
        at[1],
        text,
        ha="center",
        va="center",
        fontsize="small",
        color=INK,
        bbox=box,
        zorder=5,
    )


def _node(ax: Axes, place: Array, radius: float, label: str) -> None:
    from matplotlib.patches import Circle

    ax.add_patch(Circle(tuple(place), radius, facecolor="#cfe3f2", edgecolor="#0072B2", zorder=3))
    ax.text(place[0], place[1], label, ha="center", va="center", color=INK, zorder=4)


def _arrow(ax: Axes, start: Array, end: Array, leave: float, arrive: float, width: float) -> None:
    """Bend to the left, so that both directions between two states are seen."""
    from matplotlib.patches import FancyArrowPatch

    way = (end - start) / np.linalg.norm(end - start)
    arrow = FancyArrowPatch(
        tuple(start + leave * way),
        tuple(end - arrive * way),
        connectionstyle=f"arc3,rad={BEND}",
        arrowstyle="-|>",
        mutation_scale=8 + width,
        linewidth=width,
        color="#5a5a5a",
        alpha=0.75,
        shrinkA=0,
        shrinkB=1,
        zorder=2,
    )
    ax.add_patch(arrow)


def _loop(ax: Axes, place: Array, radius: float, width: float) -> None:
    """A ring on the outer side of the state."""
    from matplotlib.patches import Circle

    outward = place / np.linalg.norm(place)
    centre = place + outward * 1.25 * radius
    ring = Circle(
        tuple(centre), radius, fill=False, linewidth=width, edgecolor="#5a5a5a", alpha=0.75
    )
    ax.add_patch(ring)
