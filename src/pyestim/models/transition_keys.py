"""Counting transitions where a dense table of all states is out of the question.

Rows are taken in chunks; each chunk gives the cells that occur in it. Memory: a chunk and the
result. Unweighted counts are made by the native core, as long as contexts and targets can be
numbered below 2^63. Else this file makes sparse tables over the contexts of each chunk, and adds
them in the tree over leaves that every statistic uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyestim import _core
from pyestim.data.source import LEAF_ROWS
from pyestim.models.transition_room import LARGEST_KEY

Codes: TypeAlias = NDArray[np.integer[Any]]
Ints: TypeAlias = NDArray[np.int64]

#: Rows of a chunk: a node of the tree over leaves.
CHUNK_ROWS = LEAF_ROWS << 8
#: Rows of a chunk of the native core.
NATIVE_ROWS = 1 << 24
#: Higher orders are counted in a dense table up to so many cells, if there are rows to fill them.
TABLE_CELLS = 1 << 22
#: Bits of the number of a row in its chunk.
ROW_BITS = CHUNK_ROWS.bit_length() - 1


#: Contexts (R, m) in lexicographic order, None where row i is state i; cells (R, n_states).
Table: TypeAlias = tuple[Ints | None, Any]


class CodesChanged(Exception):
    """The code of a row (the argument) is no state, though all had been looked at."""


def _n_cells(n_states: int, order: int) -> int:
    """Number of cells, or a number of at least LARGEST_KEY."""
    return int(n_states ** (min(order, 63) + 1))


def count(
    codes: Codes,
    n_states: int,
    order: int,
    offsets: Ints | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> Table:
    """Count the transitions into rows ``[start, stop)``, whose codes are states or missing.

    Raises
    ------
    CodesChanged
        A code is no state after all: others write to the codes.
    """
    n_cells = _n_cells(n_states, order)
    if weight is not None or n_cells >= LARGEST_KEY:
        return _count_in_chunks(codes, n_states, order, offsets, weight, start, stop)
    if n_cells <= min(TABLE_CELLS, stop - start):
        table = np.zeros((n_cells // n_states, n_states), dtype=np.int64)
        bad_row = _core.native.count_transitions(
            _core.context(), codes, start, stop, n_states, offsets, None, table, order
        )
        if bad_row >= 0:
            raise CodesChanged(bad_row)
        cell = np.flatnonzero(table)
        return _table(cell, table.ravel()[cell], n_states, order)
    return _table(*_cells(codes, n_states, order, offsets, start, stop), n_states, order)


def nothing(n_states: int, order: int, weighted: bool) -> Table:
    """Table without any transition."""
    value = np.zeros(0, np.float64 if weighted else np.int64)
    empty, n_rows = np.zeros(0, np.int64), n_states if order == 1 else 0
    contexts = None if order == 1 else np.zeros((0, order), np.int64)
    return contexts, _csr(np.zeros(n_rows + 1, np.int64), empty, value, n_states)


def _cells(
    codes: Codes, n_states: int, order: int, offsets: Ints | None, start: int, stop: int
) -> tuple[Ints, Ints]:
    """Cells that occur and their counts; lists of similar length are merged first."""
    stack: list[tuple[Ints, Ints]] = []
    for begin in range(start, stop, NATIVE_ROWS):
        end = min(stop, begin + NATIVE_ROWS)
        cell, value = np.empty(end - begin, np.int64), np.empty(end - begin, np.int64)
        found, bad_row = _core.native.transition_cells(
            _core.context(), codes, begin, end, n_states, offsets, cell, value, order
        )
        if bad_row >= 0:
            raise CodesChanged(bad_row)
        stack.append(_kept(cell, value, found))
        while len(stack) > 1 and 2 * len(stack[-1][0]) > len(stack[-2][0]):
            stack.append(_merged(stack.pop(), stack.pop()))
    while len(stack) > 1:
        stack.append(_merged(stack.pop(), stack.pop()))
    return stack[0] if stack else (np.zeros(0, np.int64), np.zeros(0, np.int64))


def _merged(a: tuple[Ints, Ints], b: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    length = len(a[0]) + len(b[0])
    cell, value = np.empty(length, np.int64), np.empty(length, np.int64)
    n = _core.native.merge_cells(_core.context(), *a, *b, cell, value)
    return _kept(cell, value, n)


def _kept(cell: Ints, value: Ints, n: int) -> tuple[Ints, Ints]:
    """Return the first n; a copy where a view would hold much more memory than it shows."""
    if 2 * n > len(cell):
        return cell[:n], value[:n]
    return cell[:n].copy(), value[:n].copy()


def _table(cell: Ints, value: NDArray[Any], n_states: int, order: int) -> Table:
    """Table of cells in ascending order."""
    if order == 1:
        start = np.searchsorted(cell, np.arange(n_states + 1) * n_states)
        return None, _csr(start, cell % n_states, value, n_states)
    source = cell // n_states
    first = np.flatnonzero(np.diff(source, prepend=-1))  # cells that begin a context
    contexts = _digits(source[first], n_states, order)
    return contexts, _csr(np.append(first, len(cell)), cell % n_states, value, n_states)


def _count_in_chunks(
    codes: Codes,
    n_states: int,
    order: int,
    offsets: Ints | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> Table:
    stack: list[tuple[int, int, Table]] = []
    for begin, end in _chunks(start, stop):
        table = _count_chunk(codes, n_states, order, offsets, weight, begin, end)
        level, index = 0, begin // CHUNK_ROWS
        while stack and stack[-1][:2] == (level, index ^ 1):
            table = added(*stack.pop()[2], *table)
            level, index = level + 1, index // 2
        if index % 2 == 1 and not stack:  # a right child whose sibling has no rows
            while index % 2 == 1:
                level, index = level + 1, index // 2
        stack.append((level, index, table))
    total = stack.pop()[2]
    while stack:
        total = added(*stack.pop()[2], *total)
    return total


def _chunks(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Cut at multiples of CHUNK_ROWS; one empty chunk where there are no rows."""
    if start == stop:
        yield start, stop
    while start < stop:
        end = min(stop, (start // CHUNK_ROWS + 1) * CHUNK_ROWS)
        yield start, end
        start = end


def _count_chunk(
    codes: Codes,
    n_states: int,
    order: int,
    offsets: Ints | None,
    weight: NDArray[np.float64] | None,
    begin: int,
    end: int,
) -> Table:
    rows = _usable_rows(codes, order, offsets, begin, end)
    if weight is not None:
        rows = rows[weight[rows] != 0]  # as if they were not there: no cells, no contexts
    if len(rows) == 0:
        return nothing(n_states, order, weight is not None)
    columns = [codes[rows - lag].astype(np.int64) for lag in range(order, -1, -1)]
    contexts = None
    if order > 1 and _n_cells(n_states, order) >= LARGEST_KEY:
        source, contexts = _ranks(columns[:-1], n_states)
    else:
        source = _mixed_radix(columns[:-1], n_states)
    key = source * n_states + columns[-1]
    if weight is None:
        cell, value = _unit_sums(key)
    else:
        cell, value = tree_sums(key, rows // LEAF_ROWS, weight[rows])
    if contexts is None:
        return _table(cell, value, n_states, order)
    start = np.searchsorted(cell, np.arange(len(contexts) + 1) * n_states)
    return contexts, _csr(start, cell % n_states, value, n_states)


def _usable_rows(codes: Codes, order: int, offsets: Ints | None, begin: int, end: int) -> Ints:
    """Rows of ``[begin, end)`` that end a window of order + 1 states in one sequence."""
    first = max(begin - order, 0)
    # The last row so far that has no state, or that is before the first of its sequence.
    rows = np.arange(first, end)
    broken = np.where(codes[first:end] < 0, rows, first - 1)
    if offsets is not None:
        low, high = np.searchsorted(offsets, [first, end])
        border = offsets[low:high]
        broken[border - first] = np.maximum(broken[border - first], border - 1)
    broken = np.maximum.accumulate(broken)
    usable: Ints = rows[rows - broken > order]
    return usable[np.searchsorted(usable, begin) :]


def _mixed_radix(columns: Sequence[Ints], radix: int) -> Ints:
    number = columns[0]
    for column in columns[1:]:
        number = number * radix + column
    return number


def _digits(numbers: Ints, radix: int, n_digits: int) -> Ints:
    digits = np.empty((len(numbers), n_digits), dtype=np.int64)
    for position in reversed(range(n_digits)):
        numbers, digits[:, position] = np.divmod(numbers, radix)
    return digits


def _ranks(columns: Sequence[Ints], radix: int) -> tuple[Ints, Ints]:
    """Number the different rows of `columns` in lexicographic order, whatever the radix."""
    rank = columns[0]
    for column in columns[1:]:
        rank = np.unique(rank * radix + column, return_inverse=True)[1]
    _, example, rank = np.unique(rank, return_index=True, return_inverse=True)
    return rank, np.stack([column[example] for column in columns], axis=1)


def _unit_sums(key: Ints) -> tuple[Ints, NDArray[Any]]:
    return np.unique(key, return_counts=True)


def _stable_order(key: Ints) -> Ints:
    """Order of the keys, equal ones by position; sorting numbers is quicker than sorting places."""
    if len(key) > 1 << ROW_BITS or int(key.max(initial=0)) >= LARGEST_KEY >> ROW_BITS:
        return np.argsort(key, kind="stable")
    both = key << ROW_BITS | np.arange(len(key))
    both.sort()
    return np.asarray(both & ((1 << ROW_BITS) - 1))


def tree_sums(key: Ints, leaf: Ints, weight: NDArray[np.float64]) -> tuple[Ints, NDArray[Any]]:
    """Sum the weights of each key: in the order of rows within a leaf, leaves in their tree."""
    by_key = _stable_order(key)
    key, node, weight = key[by_key], leaf[by_key], weight[by_key]
    while True:
        new = np.ones(len(key), dtype=bool)
        new[1:] = (key[1:] != key[:-1]) | (node[1:] != node[:-1])
        # bincount adds one by one, in order.
        weight = np.bincount(np.cumsum(new) - 1, weights=weight).astype(np.float64, copy=False)
        key, node = key[new], node[new]
        if len(key) < 2 or not (key[1:] == key[:-1]).any():
            return key, weight
        node = node >> 1


def _csr(start: Ints, target: Ints, value: NDArray[Any], n_states: int) -> Any:
    """Table of cells in ascending order, those of row i from start[i] to start[i + 1]."""
    index = np.int32 if max(n_states, len(target)) < 2**31 else np.int64
    return csr_array(
        (value, target.astype(index), start.astype(index)), shape=(len(start) - 1, n_states)
    )


def added(mine: Ints | None, table: Any, theirs: Ints | None, other: Any) -> Table:
    """Sum of two tables over the union of their contexts; dense if one of them is."""
    if mine is None or theirs is None:
        return None, table + other
    contexts, own_row, other_row = _united(mine, theirs)
    rows = len(contexts)
    return contexts, _moved(table, own_row, rows) + _moved(other, other_row, rows)


def _united(a: Ints, b: Ints) -> tuple[Ints, Ints, Ints]:
    """Union of two sets of contexts, and the places in it of the contexts of each."""
    if np.array_equal(a, b):
        same = np.arange(len(a))
        return a, same, same
    both = np.concatenate([a, b])
    radix = int(both.max(initial=0)) + 1
    place, contexts = _ranks(list(both.T), radix)
    return contexts, place[: len(a)], place[len(a) :]


def _moved(table: Any, place: Ints, n_rows: int) -> Any:
    """Table whose row i stands in row place[i] (ascending) of n_rows."""
    if len(place) == n_rows:
        return table
    if not isinstance(table, csr_array):
        out = np.zeros((n_rows, table.shape[1]), dtype=table.dtype)
        out[place] = table
        return out
    length = np.zeros(n_rows + 1, dtype=table.indptr.dtype)
    length[place + 1] = np.diff(table.indptr)
    return csr_array(
        (table.data, table.indices, np.cumsum(length, dtype=table.indptr.dtype)),
        shape=(n_rows, table.shape[1]),
    )
