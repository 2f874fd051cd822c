"""Counts whose states get other numbers: states that never occurred go, new ones come."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyestim.models.chain_tables import nonzero_cells
from pyestim.models.transition_counts import Sparse, TransitionCounts
from pyestim.models.transition_room import DENSE_CELLS, DENSE_STATES

__all__ = ["counted_states", "laid_out", "renumbered"]


def laid_out(
    counts: TransitionCounts, sparse: Sparse, *, n_states: int | None = None
) -> TransitionCounts:
    """Return the counts with a dense or a sparse table, as `count_transitions` chooses it.

    Parameters
    ----------
    counts : TransitionCounts
    sparse : "auto", True or False
    n_states : int, optional
        States that the table is about to have; those of the counts by default.
    """
    k = counts.n_states if n_states is None else n_states
    if sparse == "auto":
        large = counts.table.shape[0] * k > DENSE_CELLS
        sparse = k > DENSE_STATES if counts.order == 1 else large
    if sparse == counts.sparse:
        return counts
    table = csr_array(counts.table) if sparse else counts.table.toarray()
    return replace(counts, table=table)


def counted_states(counts: TransitionCounts) -> NDArray[np.bool_]:
    """Which states some transition or start has to do with: (k,)."""
    seen = np.asarray(counts.starts > 0) | (np.asarray(counts.table.sum(axis=0)).ravel() > 0)
    sums = counts.row_sums > 0
    if counts.contexts is None:
        return np.asarray(seen | sums)
    seen[counts.contexts[sums].reshape(-1)] = True
    return seen


def renumbered(
    counts: TransitionCounts, place: NDArray[np.int64], n_states: int
) -> TransitionCounts:
    """Return the counts with state i as state ``place[i]`` of ``n_states``.

    Parameters
    ----------
    counts : TransitionCounts
    place : ndarray of shape (counts.n_states,)
        Ascending, but for the -1 of states that are left out: those with which nothing counted
        has to do.
    n_states : int
    """
    kept = place >= 0
    starts = np.zeros(n_states, dtype=counts.starts.dtype)
    starts[place[kept]] = counts.starts[kept]
    contexts, row_place, n_rows = None, place, n_states
    if counts.contexts is not None:
        contexts = place[counts.contexts]
        inside = (contexts >= 0).all(axis=1)
        contexts, n_rows = contexts[inside], int(np.count_nonzero(inside))
        row_place = np.where(inside, np.cumsum(inside) - 1, -1)
    table: Any
    if counts.sparse:
        row, column, value = nonzero_cells(counts.table)
        where = row_place[row], place[column]
        table = csr_array((value, where), shape=(n_rows, n_states))
    else:
        table = np.zeros((n_rows, n_states), dtype=counts.table.dtype)
        rows = row_place >= 0
        table[np.ix_(row_place[rows], place[kept])] = counts.table[np.ix_(rows, kept)]
    return TransitionCounts(counts.order, n_states, contexts, table, starts)
