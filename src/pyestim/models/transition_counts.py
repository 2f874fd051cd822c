"""How often a sequence of states went from where to where: the value, and counting it.

A transition belongs to the row that it leads to: for order m from the m rows before it. It counts
if all these rows lie in one sequence and none of their states is missing (negative). Rows
``[start, stop)`` are counted together with the m rows before ``start``, so that the counts of
consecutive pieces add up to the counts of the whole.

Without weights counts are integers, and exact for any pieces and any number of threads. Weighted
counts are sums of float64 in the tree over leaves of 4096 rows that every statistic uses: the same
bits for any number of threads, and for pieces that are whole nodes of that tree (4096 2^j rows from
a multiple of their length on) added in the order of the tree; other pieces differ by rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyestim import _core
from pyestim.data.source import LEAF_ROWS
from pyestim.models import transition_keys as keys
from pyestim.models.transition_room import (
    DENSE_CELLS,
    DENSE_STATES,
    check_limits,
    check_room,
)

__all__ = ["StateOutOfRange", "TransitionCounts", "count_transitions"]

Sparse = Literal["auto", True, False]
#: Weights of order 1 are summed over the cells that occur, where a leaf would fill few of a table
#: of more cells than this: a table for each leaf costs more than sorting its rows.
LEAF_CELLS = 200 * LEAF_ROWS


class StateOutOfRange(ValueError):
    """A code is not below the number of states.

    Parameters
    ----------
    row : int
    value : int
    n_states : int
    """

    def __init__(self, row: int, value: int, n_states: int) -> None:
        super().__init__(
            f"row {row} holds state {value}, but states are 0 to {n_states - 1}; "
            "give a larger n_states or correct the row (negative means missing)."
        )
        self.row, self.value, self.n_states = row, value, n_states

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.row, self.value, self.n_states)


@dataclass(frozen=True)
class TransitionCounts:
    """Transitions by source and target.

    Parameters
    ----------
    order : int
        Rows of the past that a source consists of.
    n_states : int
    contexts : ndarray of shape (R, order), int64, or None
        The sources that were seen, in lexicographic order. None for order 1: row i of the table is
        state i.
    table : ndarray or csr_array of shape (R, n_states)
        int64, or float64 where rows had weights.
    starts : ndarray of shape (n_states,)
        Weight of the sequences that begin in each state.
    """

    order: int
    n_states: int
    contexts: NDArray[np.int64] | None
    table: Any
    starts: NDArray[Any]

    @property
    def sparse(self) -> bool:
        """Whether the table is sparse."""
        return isinstance(self.table, csr_array)

    @property
    def total(self) -> Any:
        """Sum of the table."""
        return self.table.sum()

    @property
    def row_sums(self) -> NDArray[Any]:
        """Transitions out of each source."""
        return np.asarray(self.table.sum(axis=1)).ravel()

    def __add__(self, other: TransitionCounts) -> TransitionCounts:
        if (self.order, self.n_states) != (other.order, other.n_states):
            raise ValueError(
                f"TransitionCounts: expected order {self.order} and {self.n_states} states, "
                f"got order {other.order} and {other.n_states}; only counts of one model add."
            )
        contexts, table = keys.added(self.contexts, self.table, other.contexts, other.table)
        return TransitionCounts(
            self.order, self.n_states, contexts, table, self.starts + other.starts
        )


def count_transitions(
    codes: NDArray[np.integer[Any]],
    n_states: int,
    *,
    order: int = 1,
    offsets: NDArray[np.int64] | None = None,
    weight: NDArray[np.float64] | None = None,
    sparse: Sparse = "auto",
    start: int = 0,
    stop: int | None = None,
) -> TransitionCounts:
    """Count the transitions into rows ``[start, stop)``.

    Parameters
    ----------
    codes : ndarray of shape (n,), any integers
        States 0 to n_states - 1; negative: missing. Read as they are, without a copy.
    n_states : int
    order : int
        Rows of the past that a source consists of.
    offsets : ndarray of shape (n_sequences + 1,), int64, optional
        Rows where sequences begin, and n. Without: one sequence.
    weight : ndarray of shape (n,), optional
        Weight of the transition into each row, and of the start at the first row of a sequence.
    sparse : "auto", True or False
        Whether the table is a ``csr_array``. "auto": above 3000 states, or for higher orders above
        1e7 cells.
    start, stop : int
        Rows to count into.

    Returns
    -------
    TransitionCounts

    Raises
    ------
    StateOutOfRange
        For a code that is n_states or more.
    MemoryError
        If a dense table was asked for that this process has no room for.
    """
    check_limits(n_states, order)
    codes = _signed(codes, n_states)
    stop = len(codes) if stop is None else stop
    if weight is not None:
        weight = np.ascontiguousarray(weight, dtype=np.float64)
    contexts = None
    if order == 1 and (n_states <= DENSE_STATES if sparse == "auto" else not sparse):
        check_room(n_states, n_states, order, dense=True)
        if weight is None or n_states * n_states <= LEAF_CELLS:
            table = _dense(codes, n_states, offsets, weight, start, stop)
        else:
            table = _sparse(codes, n_states, order, offsets, weight, start, stop)[1].toarray()
    else:
        contexts, table = _sparse(codes, n_states, order, offsets, weight, start, stop)
        small = order > 1 and table.shape[0] * n_states <= DENSE_CELLS
        if small if sparse == "auto" else not sparse:
            check_room(table.shape[0], n_states, order, dense=True)
            table = table.toarray()
    starts = _starts(codes, n_states, offsets, weight, start, stop)
    return TransitionCounts(order, n_states, contexts, table, starts)


def _signed(codes: NDArray[np.integer[Any]], n_states: int) -> NDArray[np.integer[Any]]:
    """Return the codes as integers whose negative values mean missing: a view where possible."""
    if codes.dtype.kind == "i" and codes.dtype.isnative:
        return np.ascontiguousarray(codes)
    width = codes.dtype.itemsize
    if len(codes) == 0 or int(codes.max()) < 2 ** (8 * width - 1):
        native = codes.astype(codes.dtype.newbyteorder("="), copy=False)
        return np.ascontiguousarray(native).view(f"i{width}")
    if width < 8:
        return codes.astype(f"i{2 * width}")
    row = int(np.argmax(codes >= n_states))
    raise StateOutOfRange(row, int(codes[row]), n_states)


def _dense(
    codes: NDArray[np.integer[Any]],
    n_states: int,
    offsets: NDArray[np.int64] | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> Any:
    dtype = np.int64 if weight is None else np.float64
    out: NDArray[Any] = np.zeros((n_states, n_states), dtype=dtype)
    bad_row = _core.native.count_transitions(
        _core.context(), codes, start, stop, n_states, offsets, weight, out
    )
    if bad_row >= 0:
        raise StateOutOfRange(bad_row, int(codes[bad_row]), n_states)
    return out


def _sparse(
    codes: NDArray[np.integer[Any]],
    n_states: int,
    order: int,
    offsets: NDArray[np.int64] | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> keys.Table:
    check_room(0, n_states, order, dense=False)
    _check_states(codes, n_states, max(start - order, 0), stop)
    longest = stop if offsets is None else int(np.diff(offsets).max(initial=0))
    if order >= longest:  # no window fits into a sequence
        return keys.nothing(n_states, order, weight is not None)
    try:
        return keys.count(codes, n_states, order, offsets, weight, start, stop)
    except keys.CodesChanged as error:
        (row,) = error.args
        raise StateOutOfRange(row, int(codes[row]), n_states) from error


def _check_states(codes: NDArray[np.integer[Any]], n_states: int, start: int, stop: int) -> None:
    if start < stop and int(codes[start:stop].max()) >= n_states:
        row = start + int(np.argmax(codes[start:stop] >= n_states))
        raise StateOutOfRange(row, int(codes[row]), n_states)


def _starts(
    codes: NDArray[np.integer[Any]],
    n_states: int,
    offsets: NDArray[np.int64] | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> NDArray[Any]:
    """Weight of the sequences whose first row is in ``[start, stop)``, by its state."""
    if offsets is None:
        row = np.arange(min(1, stop)) if start == 0 else np.arange(0)
    else:
        low, high = np.searchsorted(offsets, [start, stop])
        row = offsets[low:high]
        row = row[np.diff(row, prepend=-1) > 0]  # empty sequences begin nowhere
    row = row[codes[row] >= 0]
    state = codes[row].astype(np.int64)
    if weight is None:
        unweighted: NDArray[Any] = np.bincount(state, minlength=n_states)
        return unweighted
    out = np.zeros(n_states)
    key, total = keys.tree_sums(state, row // LEAF_ROWS, weight[row])
    out[key] = total
    return out
