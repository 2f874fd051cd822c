"""Expected hitting times, hitting probabilities and mean first passage times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import inv
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import breadth_first_order

from pyestim.models.chain_elimination import eliminate
from pyestim.models.chain_matrix import ChainMatrix, Matrix, chain_matrix
from pyestim.models.chain_sparse import solver
from pyestim.models.chain_structure import DENSE_STATES, communicating_classes, stationary
from pyestim.models.chain_tables import Floats, Integers

Mask = NDArray[np.bool_]


def hitting_times(matrix: Matrix, targets: Any) -> Floats:
    """Expected number of steps until the chain is in one of the targets.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable
    targets : int or sequence of int
        At least one state.

    Returns
    -------
    ndarray of shape (k,)
        From each state; 0 from the targets, infinite where they are not reached with probability
        one.

    Notes
    -----
    Dense matrices, and sparse ones of up to 2000 states, are solved by elimination without
    subtraction: every entry has a small relative error. Larger ones by a sparse LU factorisation.
    """
    chain = chain_matrix(matrix)
    target = _mask(targets, chain.n_states)
    surely = _surely(chain, target)
    times = np.where(surely, 0.0, np.inf)
    inner = np.flatnonzero(surely & ~target)
    if len(inner):
        times[inner] = _visited_cost(chain, inner, target, np.ones(len(inner)))
    return times


def hitting_probabilities(matrix: Matrix, targets: Any) -> Floats:
    """Probability that the chain is ever in one of the targets.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable
    targets : int or sequence of int
        At least one state.

    Returns
    -------
    ndarray of shape (k,)
        From each state; exactly 1 and 0 where it is certain. Computed as `hitting_times` are.
    """
    chain = chain_matrix(matrix)
    target = _mask(targets, chain.n_states)
    surely, possibly = _surely(chain, target), _reach(chain, target)
    probability = surely.astype(np.float64)
    inner = np.flatnonzero(possibly & ~surely)
    if len(inner):
        into = _into(chain, inner, surely)
        outside = np.ones(chain.n_states, dtype=bool)
        outside[inner] = False
        probability[inner] = np.minimum(_visited_cost(chain, inner, outside, into), 1.0)
    return probability


def mean_first_passage_times(matrix: Matrix) -> Floats:
    """Expected number of steps from each state to each.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable

    Returns
    -------
    ndarray of shape (k, k)
        Entry (i, j): from i to j; 0 on the diagonal, infinite where j is not reached with
        probability one.

    Notes
    -----
    States of closed classes through the fundamental matrix Z = (I - P + 1 pi')^-1 of the
    states that end in the class, as (Z_jj - Z_ij) / pi_j: one inversion, k^3 operations, with
    relative errors of about 1e-16 times the largest passage time; `hitting_times` is more accurate
    for slow chains. Transient targets are solved one by one.
    """
    chain = chain_matrix(matrix)
    classes = communicating_classes(matrix)
    dense, k = chain.dense(), chain.n_states
    times = np.full((k, k), np.inf)
    laws = stationary(matrix, classes)
    for label, law in zip(np.flatnonzero(classes.closed), laws, strict=True):
        members = classes.members(int(label))
        inside = np.zeros(k, dtype=bool)
        inside[members] = True
        basin = np.flatnonzero(_surely(chain, inside))
        part = np.eye(len(basin)) - dense[np.ix_(basin, basin)] + law[basin]
        fundamental = inv(part)[:, np.searchsorted(basin, members)]
        diagonal = fundamental[np.searchsorted(basin, members), np.arange(len(members))]
        passage = (diagonal - fundamental) / law[members]
        times[np.ix_(basin, members)] = np.maximum(passage, 1.0)
    for state in np.flatnonzero(~classes.recurrent):
        times[:, state] = hitting_times(matrix, state)
    np.fill_diagonal(times, 0.0)
    return times


def _mask(targets: Any, k: int) -> Mask:
    """Targets as a mask over the states."""
    states = np.atleast_1d(np.asarray(targets))
    if states.ndim != 1 or len(states) == 0 or states.dtype.kind not in "iu":
        raise ValueError(f"targets must be states, integers from 0 to {k - 1}, got {targets!r}")
    if states.min() < 0 or states.max() >= k:
        raise ValueError(f"targets must be states from 0 to {k - 1}, got {targets!r}")
    mask = np.zeros(k, dtype=bool)
    mask[states] = True
    return mask


def _reach(chain: ChainMatrix, goal: Mask, through: Mask | None = None) -> Mask:
    """States from which the goal can be reached, by steps out of the states `through` only."""
    k = chain.n_states
    graph, full = chain.graph(), chain.full_rows()
    row = np.repeat(np.arange(k), np.diff(graph.indptr))
    allowed = np.ones(k, dtype=bool) if through is None else through
    # Backwards from a node beyond the goal; a full row steps to every goal.
    direct = np.flatnonzero(goal | (allowed & full)) if goal.any() else np.arange(0)
    kept = allowed[row]
    source = np.concatenate([graph.indices[kept], np.full(len(direct), k)])
    target = np.concatenate([row[kept], direct])
    backwards = csr_array((np.ones(len(source)), (source, target)), shape=(k + 1, k + 1))
    found = np.zeros(k + 1, dtype=bool)
    found[breadth_first_order(backwards, k, return_predecessors=False)] = True
    return found[:k]


def _surely(chain: ChainMatrix, target: Mask) -> Mask:
    """States from which the target is reached with probability one.

    Those that cannot, without passing the target, come to a state from which it is out of reach.
    """
    lost = ~_reach(chain, target)
    return target | ~_reach(chain, lost, through=~target)


def _into(chain: ChainMatrix, rows: Integers, states: Mask) -> Floats:
    """Probability of stepping from each row into a set of states."""
    if not issparse(chain.held):
        return np.asarray(chain.held[np.ix_(rows, np.flatnonzero(states))].sum(axis=1))
    step: Floats = chain.excess()[rows] @ states.astype(np.float64)
    return step if chain.rest is None else step + chain.rest[rows] * states.sum()


def _visited_cost(chain: ChainMatrix, inner: Integers, outside: Mask, cost: Floats) -> Floats:
    """Expected sum of costs from each inner state until the chain is in a state outside."""
    if issparse(chain.held) and len(inner) > DENSE_STATES:
        part = chain.excess()[inner][:, inner]
        solve = solver(part, None if chain.rest is None else chain.rest[inner])
        return solve(cost, "N")
    m = len(inner)
    reduced = np.zeros((m + 1, m + 1))
    reduced[1:, 0] = _into(chain, inner, outside)
    if issparse(chain.held):
        reduced[1:, 1:] = chain.dense()[np.ix_(inner, inner)]
    else:
        reduced[1:, 1:] = chain.held[np.ix_(inner, inner)]
    padded = np.concatenate([[0.0], cost])[:, None]
    return eliminate(reduced).until_zero(padded)[1:, 0]
