"""Reversible transition matrices of maximum likelihood.

Maximise ``sum_ij C_ij log P_ij`` where ``pi_i P_ij = pi_j P_ji`` for a stationary distribution pi
that is unknown, or given.

**Unknown pi.** The flows ``x_ij = pi_i P_ij`` of the maximum solve ``x_ij = (C_ij + C_ji) / (q_i +
q_j)`` with ``q_i = C_i / x_i`` (C_i the row sums), and in q alone the likelihood is that of paired
comparisons, ``sum_ij C_ij log(q_i / (q_i + q_j))``, in which state i "beats" j C_ij times (Bradley
and Terry). That is concave in ``u = log q``, with a graph Laplacian as second derivative: Newton's
method from u = 0, which is nearly right for the counts of a trajectory. The step is shortened until
no two neighbours move apart by more than 2; together with the test of the slope at its end this
implies that the likelihood rises, because the second derivative along a step changes by no more
than ``exp(|d_i - d_j|)`` (derived in `_ascend`).

**Given pi.** ``x_ij = (C_ij + C_ji) / (l_i + l_j)`` with Lagrange multipliers l of ``sum_j x_ij =
pi_i``, which minimise ``sum_i pi_i l_i - sum_ij C_ij log(l_i + l_j)``: convex. A state that was
never seen to stay (C_ii = 0) may still have to: then l_i = 0, and P_ii takes what is left.

Where the maximum does not exist (counts that are not strongly connected), the limit of reversible
matrices whose likelihood tends to the supremum is returned; `reversible_mle` says what it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, diags_array, issparse
from scipy.sparse.csgraph import connected_components

from pyestim import _core
from pyestim.models.chain_fixed import fixed_flows
from pyestim.models.chain_flows import Pairs, System

__all__ = ["ReversibleFit", "reversible_mle"]

Float = NDArray[np.float64]
#: A Newton step that moves log q by less counts as converged. A small gradient alone does not: it
#: hardly sees the exchange between metastable sets. Where rounding leaves larger steps, they end
#: when they no longer shrink.
ACCURACY = 1e-10
#: No slope at the end of a shorter step is below -m / 2, but for rounding.
SHORT_STEP = 0.5
#: Up to here q and its ratios are far from overflow.
LARGEST_LOG = 300


@dataclass(frozen=True)
class ReversibleFit:
    """Reversible transition matrix and its stationary distribution.

    Attributes
    ----------
    transition : ndarray or csr_array of shape (k, k)
    stationary : ndarray of shape (k,)
    n_iter : int
        Newton steps.
    converged : bool
    residual : float
        Largest violation of the equations of the maximum, relative to the transitions out of a
        state (unknown distribution) or to its probability (given).
    """

    transition: Any
    stationary: Float
    n_iter: int
    converged: bool
    residual: float


def reversible_mle(
    counts: Any,
    stationary_distribution: ArrayLike | None = None,
    *,
    tol: float = 1e-12,
    max_iter: int = 200,
) -> ReversibleFit:
    """Reversible transition matrix of maximum likelihood.

    Parameters
    ----------
    counts : array-like or sparse array of shape (k, k)
        Transitions, weighted or not, or any non-negative numbers. Sparse in, sparse out.
    stationary_distribution : array-like of shape (k,) or None, default None
        Given stationary distribution; None: estimated. It must be positive where there are counts.
    tol : float, default 1e-12
        Largest `residual` that counts as converged.
    max_iter : int, default 200

    Returns
    -------
    ReversibleFit

    Notes
    -----
    With unknown stationary distribution:

    - Detailed balance and row sums hold to rounding, even where ``max_iter`` ends the search.
    - States that are left but never returned to have probability zero in the limit; their rows are
      the limits of conditional probabilities, and P never leads back to them. Each set of states
      that lead to one another is estimated by itself; several sets that are never left each have a
      share of the stationary distribution in proportion to the transitions into and out of their
      states.
    - A state without transitions out of it says nothing about its row. It returns by the flow by
      which it is reached, and never stays; a state that is not reached from states of positive
      probability either has the uniform row, and probability zero.

    With given stationary distribution a state without any counts stays where it is (row of the
    identity), because a uniform row would not be reversible.
    """
    table = _checked(counts)
    # Products of a matrix and a vector lose far more by BLAS's threads than they gain.
    with _core.single_threaded_blas():
        if stationary_distribution is None:
            return _unknown(table, tol, max_iter)
        pi = _checked_distribution(stationary_distribution, table)
        flows = fixed_flows(table, pi, tol, max_iter)
    return ReversibleFit(flows.transition, pi, flows.n_iter, flows.converged, flows.residual)


def _checked(counts: Any) -> Any:
    table = counts if issparse(counts) else np.asarray(counts)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or not table.shape[0]:
        raise ValueError(
            f"reversible_mle: counts must be square with at least one row, got shape {table.shape}."
        )
    if issparse(table):
        table = csr_array(table, dtype=np.float64, copy=True)
        table.sum_duplicates()
        table.eliminate_zeros()
        values = table.data
    else:
        table = values = np.ascontiguousarray(table, dtype=np.float64)
    if not (values.min(initial=0.0) >= 0 and np.isfinite(values.sum())):
        raise ValueError("reversible_mle: counts must not be negative, NaN or infinite.")
    return table


def _checked_distribution(given: ArrayLike, table: Any) -> Float:
    pi = np.asarray(given, dtype=np.float64)
    if pi.shape != (table.shape[0],):
        raise ValueError(
            f"reversible_mle: stationary_distribution must have shape ({table.shape[0]},), "
            f"got {pi.shape}."
        )
    if not (pi.min() >= 0 and abs(pi.sum() - 1) <= 1e-6):
        raise ValueError(
            "reversible_mle: stationary_distribution must be non-negative and sum to one, "
            f"got values from {pi.min():g} with sum {pi.sum():.9g}."
        )
    seen = np.asarray(table.sum(axis=0)).ravel() + np.asarray(table.sum(axis=1)).ravel() > 0
    wrong = np.flatnonzero(seen & (pi <= 0))
    if len(wrong):
        raise ValueError(
            f"reversible_mle: state {wrong[0]} has counts but the given stationary probability "
            "zero; no reversible chain could have produced them."
        )
    scaled: Float = pi / pi.sum()
    return scaled


# -- unknown stationary distribution ---------------------------------------------------------------


@dataclass(frozen=True)
class _Structure:
    """Classes of the states that were left at least once, and what goes between classes."""

    label: NDArray[np.integer[Any]]  # (k,) a state that was never left is a class of its own
    left: NDArray[np.bool_]
    within: Any  # counts inside the classes
    between: Any  # the others, or None


def _structure(table: Any) -> _Structure:
    left = np.asarray(table.sum(axis=1)).ravel() > 0
    if left.all() and _is_strongly_connected(table):
        return _Structure(np.zeros(table.shape[0], dtype=np.int64), left, table, None)
    graph = csr_array(table)
    _, label = connected_components(graph, directed=True, connection="strong")
    rows = np.repeat(np.arange(len(label)), np.diff(graph.indptr))
    same = label[rows] == label[graph.indices]
    within, between = graph.copy(), graph.copy()
    within.data = np.where(same, graph.data, 0.0)
    between.data = np.where(same, 0.0, graph.data)
    within.eliminate_zeros()
    between.eliminate_zeros()
    if not issparse(table):
        within, between = within.toarray(), between.toarray()
    return _Structure(label, left, within, between)


def _is_strongly_connected(table: Any) -> bool:
    """Whether a dense table is, by a search along its rows and one along its columns."""
    if issparse(table):
        return False
    return all(_reaches_all(direction) for direction in (table, table.T))


def _reaches_all(table: Float) -> bool:
    reached = np.zeros(len(table), dtype=bool)
    reached[0] = True
    new = np.array([0])
    while len(new) and not reached.all():
        found = (table[new] > 0).any(axis=0) & ~reached
        reached |= found
        new = np.flatnonzero(found)
    return bool(reached.all())


class _Comparisons:
    """Likelihood of paired comparisons: gradient and Newton steps in u = log q."""

    def __init__(self, counts: Any, label: NDArray[np.integer[Any]]) -> None:
        self.pairs = Pairs(counts)
        self.system = System(self.pairs, -1, label)
        self._out = np.asarray(counts.sum(axis=1)).ravel()

    def gradient(self, u: Float) -> Float:
        """Derivative of the likelihood; leaves the weights of the Laplacian in the pairs."""
        if np.abs(u).max() < LARGEST_LOG:
            return self.pairs.sums("compare", np.exp(u))
        return self.pairs.sums("compare_logs", u)

    def residual(self, gradient: Float) -> float:
        """Largest violation of flow balance, relative to the transitions out of a state."""
        out = self._out
        ratio = np.divide(np.abs(gradient), out, out=np.zeros_like(out), where=out > 0)
        return float(ratio.max())

    def flows(self, u: Float) -> Any:
        """Counts out of every state as the estimate has them."""
        if np.abs(u).max() < LARGEST_LOG:
            self.pairs.sums("share", np.exp(u))
        else:
            self.pairs.sums("share_logs", u)
        return self.pairs.cells()


@dataclass(frozen=True)
class _Ascent:
    u: Float
    n_iter: int
    converged: bool
    residual: float


def _ascend(problem: _Comparisons, tol: float, max_iter: int) -> _Ascent:
    """Newton's method from u = 0.

    Let phi be the likelihood along a step, m = phi'(0) > 0, and phi'(1) >= -m / 2 at its end. With
    |d_i - d_j| <= c for neighbours the logarithm of -phi'' has slopes within [-c, c], so phi(1) -
    phi(0) >= m - 1.5 m (1 / (1 - exp(-c)) - 1 / c) > 0 for c = 2.
    """
    u = np.zeros(problem.pairs.k)
    g = problem.gradient(u)
    problem.system.probe()
    probed, last = u, np.inf
    for n_iter in range(max_iter + 1):
        residual = problem.residual(g)
        if np.ptp(u - probed) > 1:  # the weights have changed since
            problem.system.probe()
            probed = u
        step = problem.system.solve(g, min(1e-3, max(residual, 1e-5)))
        size = float(np.ptp(step))
        done = residual <= tol and (size <= ACCURACY or size > last / 2)
        if done or n_iter == max_iter:
            break
        last = size
        u, g = _along(problem, u, g, step)
    return _Ascent(u, n_iter, done, residual)


def _along(problem: _Comparisons, u: Float, g: Float, step: Float) -> tuple[Float, Float]:
    """The end of a step that is short enough, and the gradient there."""
    if np.ptp(step) <= SHORT_STEP:
        return u + step, problem.gradient(u + step)
    length = 1.0
    if np.ptp(step) > 2:
        length = min(1.0, 2 / problem.pairs.largest_difference(step))
    slope = float(g @ step)
    while True:
        end = u + length * step
        gradient = problem.gradient(end)
        slope_there = float(gradient @ step)
        if slope_there >= -slope / 2 or length < 1e-9:
            return end, gradient
        length *= slope / (slope - slope_there)  # where the slope would vanish if it were linear


def _unknown(table: Any, tol: float, max_iter: int) -> ReversibleFit:
    structure = _structure(table)
    problem = _Comparisons(structure.within, structure.label)
    ascent = _ascend(problem, tol, max_iter)
    flows = problem.flows(ascent.u)
    if structure.between is not None:
        flows = flows + structure.between
    sums = np.asarray(flows.sum(axis=1)).ravel()
    scale = np.divide(1.0, sums, out=np.zeros_like(sums), where=structure.left)
    transition = diags_array(scale) @ flows if issparse(flows) else flows * scale[:, None]
    pi = _stationary(structure, table, sums, -ascent.u)
    if not structure.left.all():
        transition, pi = _return(transition, pi, structure.left)
    if issparse(transition):
        transition = csr_array(transition)
    return ReversibleFit(transition, pi, ascent.n_iter, ascent.converged, ascent.residual)


def _stationary(structure: _Structure, table: Any, sums: Float, weight: Float) -> Float:
    """Stationary distribution of the states that were left at least once."""
    label, left = structure.label, structure.left
    n = int(label.max()) + 1
    closed = np.bincount(label, left, minlength=n) > 0
    if structure.between is not None:
        onward = structure.between[:, left] if not issparse(table) else structure.between * left
        leaving = np.asarray(onward.sum(axis=1)).ravel() > 0
        closed &= np.bincount(label, leaving, minlength=n) == 0
    both = np.asarray(table.sum(axis=0)).ravel() + np.asarray(table.sum(axis=1)).ravel()
    share = np.where(closed, np.bincount(label, both, minlength=n), 0.0)
    inside = left & closed[label]
    highest = np.full(n, -np.inf)
    np.maximum.at(highest, label[inside], weight[inside])
    pi = np.zeros(len(label))
    pi[inside] = sums[inside] * np.exp(weight[inside] - highest[label[inside]])
    mass = np.bincount(label, pi, minlength=n)
    pi[inside] *= (share / np.where(mass > 0, mass, 1.0))[label[inside]]
    total = pi.sum()
    return pi / total if total > 0 else pi


def _return(transition: Any, pi: Float, left: NDArray[np.bool_]) -> tuple[Any, Float]:
    """Rows of the states that were never left: back by the flow by which they are reached."""
    k = len(pi)
    never = np.flatnonzero(~left)
    columns = transition[:, never]
    back = (diags_array(pi) @ columns if issparse(columns) else pi[:, None] * columns).T
    reached = np.asarray(back.sum(axis=1)).ravel()
    pi = pi.copy()
    pi[never] = reached
    total = pi.sum()
    uniform = never[reached == 0]
    scale = np.divide(1.0, reached, out=np.zeros_like(reached), where=reached > 0)
    if not issparse(transition):
        transition[never] = back * scale[:, None]
        transition[uniform] = 1 / k
    else:
        place = csr_array((np.ones(len(never)), (never, np.arange(len(never)))), (k, len(never)))
        transition = transition + place @ (diags_array(scale) @ csr_array(back))
        if len(uniform):
            rows = np.repeat(uniform, k)
            cells = (np.full(len(rows), 1 / k), (rows, np.tile(np.arange(k), len(uniform))))
            transition = transition + csr_array(cells, (k, k))
    return transition, (pi / total if total > 0 else np.full(k, 1 / k))
