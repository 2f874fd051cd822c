"""Counting transitions where a dense table of all states is out of the question.

Rows are taken in chunks; each chunk gives a sparse table over the contexts seen in it, and the
tables are added in the tree over leaves that every statistic uses. Memory: a chunk and the result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

Codes: TypeAlias = NDArray[np.integer[Any]]
Ints: TypeAlias = NDArray[np.int64]

LEAF_ROWS = 4096
#: Rows of a chunk: a node of the tree over leaves.
CHUNK_ROWS = LEAF_ROWS << 8
#: Keys of a context and a target are below this, or contexts are renumbered.
LARGEST_KEY = 2**63


#: Contexts (R, m) in lexicographic order, None where row i is state i; cells (R, n_states).
Table: TypeAlias = tuple[Ints | None, Any]


def count(
    codes: Codes,
    n_states: int,
    order: int,
    offsets: Ints | None,
    weight: NDArray[np.float64] | None,
    start: int,
    stop: int,
) -> Table:
    """Count the transitions into rows ``[start, stop)``."""
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
    rows = usable_rows(codes, order, offsets, begin, end)
    columns = [codes[rows - lag].astype(np.int64) for lag in range(order, -1, -1)]
    contexts = None
    if n_states ** (order + 1) >= LARGEST_KEY:
        source, contexts = _ranks(columns[:-1], n_states)
    else:
        source = _mixed_radix(columns[:-1], n_states)
    key = source * n_states + columns[-1]
    if weight is None:
        cell, value = _unit_sums(key)
    else:
        cell, value = tree_sums(key, rows // LEAF_ROWS, weight[rows])
    source, target = np.divmod(cell, n_states)
    if order == 1:
        return None, _csr(source, target, value, n_states, n_states)
    if contexts is None:
        seen, source = _compressed(source)
        contexts = _digits(seen, n_states, order)
    return contexts, _csr(source, target, value, len(contexts), n_states)


def usable_rows(codes: Codes, order: int, offsets: Ints | None, begin: int, end: int) -> Ints:
    """Rows of ``[begin, end)`` that end a window of order + 1 states in one sequence."""
    first = max(begin - order, 0)
    present = codes[first:end] >= 0
    usable = present[begin - first :].copy()
    for lag in range(1, order + 1):
        shorter = max(0, first + lag - begin)  # rows that have no row so far back
        usable[:shorter] = False
        usable[shorter:] &= present[begin + shorter - lag - first : end - lag - first]
    if offsets is not None:
        low, high = np.searchsorted(offsets, [first, end])
        for lag in range(order):
            row = offsets[low:high] + lag
            usable[row[(row >= begin) & (row < end)] - begin] = False
    return np.flatnonzero(usable) + begin


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


def _compressed(numbers: Ints) -> tuple[Ints, Ints]:
    """Different values of sorted numbers, and the position of each number among them."""
    new = np.ones(len(numbers), dtype=bool)
    new[1:] = numbers[1:] != numbers[:-1]
    return numbers[new], np.cumsum(new) - 1


def _unit_sums(key: Ints) -> tuple[Ints, NDArray[Any]]:
    return np.unique(key, return_counts=True)


def tree_sums(key: Ints, leaf: Ints, weight: NDArray[np.float64]) -> tuple[Ints, NDArray[Any]]:
    """Sum the weights of each key: in the order of rows within a leaf, leaves in their tree."""
    by_key = np.argsort(key, kind="stable")
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


def _csr(source: Ints, target: Ints, value: NDArray[Any], n_rows: int, n_states: int) -> Any:
    """Table of cells that are sorted."""
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=n_rows))])
    return csr_array((value, target, start), shape=(n_rows, n_states))


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
