"""Probabilities of the next state, one row per context, dense or sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.special import xlogy

from pyestim import _core

if TYPE_CHECKING:
    from pyestim.models.transition_counts import TransitionCounts

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Rows that sum to one within this are probabilities.
ROW_TOLERANCE = 1e-8


def canonical(matrix: Any) -> csr_array:
    """A sparse matrix of float64 by rows, its columns in order and each there once.

    The given one stays as it is, and is not copied where it is like that.
    """
    matrix = csr_array(matrix, dtype=np.float64)
    if not matrix.has_canonical_format:
        matrix = matrix.copy()
        matrix.sum_duplicates()
    return matrix


def fault_of_rows(
    matrix: Any, unseen: Floats | None, tolerance: float = ROW_TOLERANCE
) -> str | None:
    """What is wrong with a matrix (R, k) whose rows are not probabilities, in words.

    Parameters
    ----------
    matrix : ndarray or canonical csr_array of shape (R, k)
    unseen : ndarray of shape (R,) or None
        Probability of each cell of the row that a sparse matrix does not hold.
    tolerance : float
        By how much the sum of a row may miss one.

    Returns
    -------
    str or None
        It follows the name of the matrix: "must ..., got ...". None where nothing is wrong.
    """
    expected = "must hold probabilities, none negative and each row with the sum 1"
    for values in (matrix.data if issparse(matrix) else matrix, unseen):
        if values is not None and values.min(initial=0.0) < 0.0:
            return f"{expected}, got {values.min():.9g}"
    sums = np.asarray(matrix.sum(axis=1)).reshape(-1)
    if unseen is not None:
        sums = sums + unseen * (matrix.shape[1] - np.diff(matrix.indptr))
    wrong = ~(np.abs(sums - 1.0) <= tolerance)  # also where the sum is NaN
    if not wrong.any():
        return None
    row = int(wrong.argmax())
    return f"{expected}, got the sum {sums[row]:.9g} in row {row}"


@dataclass(frozen=True)
class TransitionTable:
    """Rows of transition probabilities.

    Row r of order 1 is state r; of a higher order it is the context `contexts[r]`, and a context
    without a row is as likely to be followed by one state as by another.

    Attributes
    ----------
    matrix : ndarray of shape (R, k) or csr_array
        Probabilities; every row of a dense matrix sums to one. A sparse matrix holds some of the
        cells.
    unseen : ndarray of shape (R,), optional
        Probability of each cell of the row that a sparse matrix does not hold; None when dense.
    contexts : ndarray of shape (R, m), optional
        The last m states that lead to a row, in lexicographic order; None for order 1.
    """

    matrix: Any
    unseen: Floats | None = None
    contexts: Integers | None = None

    @property
    def n_rows(self) -> int:
        """Number of rows, R."""
        return int(self.matrix.shape[0])

    @property
    def n_states(self) -> int:
        """Number of states, k."""
        return int(self.matrix.shape[1])

    @property
    def order(self) -> int:
        """Number of states that a context holds."""
        return 1 if self.contexts is None else int(self.contexts.shape[1])

    @property
    def sparse(self) -> bool:
        """Whether only some cells are held."""
        return self.unseen is not None

    def find(self, contexts: Integers) -> Integers:
        """Row of each context, -1 where there is none.

        Parameters
        ----------
        contexts : ndarray of shape (n, m), or (n,) for order 1
        """
        return find_contexts(self.contexts, np.asarray(contexts), self.n_rows, self.n_states)

    def row(self, index: int) -> Floats:
        """Row as a dense vector (k,)."""
        found: Floats = self.rows(np.array([index]))[0]
        return found

    def rows(self, index: Any) -> Floats:
        """Rows as a dense matrix (len(index), k); the row of index -1 is uniform."""
        index = np.asarray(index, dtype=np.int64)
        known = index >= 0
        safe = np.where(known, index, 0)
        if self.n_rows == 0:
            return np.full((len(index), self.n_states), 1.0 / self.n_states)
        if self.unseen is None:
            found = np.array(self.matrix[safe], dtype=np.float64)
        else:
            # A stored zero is a cell like any other: the pattern decides, not the value.
            part = self.matrix[safe]
            found = np.repeat(self.unseen[safe][:, None], self.n_states, axis=1)
            found[np.repeat(np.arange(len(index)), np.diff(part.indptr)), part.indices] = part.data
        found[~known] = 1.0 / self.n_states
        return found

    def dense(self) -> Floats:
        """All rows, (R, k)."""
        return self.rows(np.arange(self.n_rows))

    def log_likelihood(self, counts: TransitionCounts) -> float:
        """Sum of counts times log-probabilities, in nats; -inf where the impossible was counted.

        Parameters
        ----------
        counts : TransitionCounts
            Of the same order and number of states; its contexts may be others.
        """
        if counts.order != self.order or counts.n_states != self.n_states:
            raise ValueError(
                f"counts must be of order {self.order} over {self.n_states} states, "
                f"got order {counts.order} over {counts.n_states}"
            )
        if counts.contexts is None and self.unseen is None and not issparse(counts.table):
            # A table of a million cells takes as long as millions of rows: in place, native.
            terms = np.where(counts.table > 0, self.matrix, 1.0).reshape(-1)
            _core.native.apply_log(_core.context(), terms, terms)
            terms *= counts.table.reshape(-1)
            return float(terms.sum())
        row, column, value = nonzero_cells(counts.table)
        if counts.contexts is not None:
            row = self.find(counts.contexts)[row]
        return float(xlogy(value, self.cells(row, column)).sum())

    def cells(self, row: Integers, column: Integers) -> Floats:
        """Probabilities of single cells; those of row -1 are 1/k."""
        known = row >= 0
        out = np.full(len(row), 1.0 / self.n_states)
        row, column = row[known], column[known]
        if self.unseen is None:
            out[known] = self.matrix[row, column]
            return out
        matrix = self.matrix if self.matrix.has_sorted_indices else self.matrix.sorted_indices()
        held_row = np.repeat(np.arange(self.n_rows), np.diff(matrix.indptr))
        held = held_row * self.n_states + matrix.indices
        wanted = row * self.n_states + column
        place = np.minimum(np.searchsorted(held, wanted), max(len(held) - 1, 0))
        found = held[place] == wanted if len(held) else np.zeros(len(wanted), dtype=bool)
        values = self.unseen[row]
        values[found] = matrix.data[place[found]]
        out[known] = values
        return out


def nonzero_cells(table: Any) -> tuple[Integers, Integers, Any]:
    """Row, column and value of what was counted."""
    if issparse(table):
        row = np.repeat(np.arange(table.shape[0]), np.diff(table.indptr))
        column, value = table.indices.astype(np.int64), table.data
        some = value != 0
        return row[some], column[some], value[some]
    row, column = np.nonzero(table)
    return row, column, table[row, column]


def find_contexts(known: Integers | None, wanted: Integers, n_rows: int, n_states: int) -> Integers:
    """Row of each wanted context among the known ones (lexicographic), -1 where it is not."""
    if known is None:
        code = wanted.reshape(len(wanted)).astype(np.int64)
        return np.where((code >= 0) & (code < n_rows), code, -1)
    if len(known) == 0:
        return np.full(len(wanted), -1)
    if n_states ** known.shape[1] < 2**63:
        weights = n_states ** np.arange(known.shape[1] - 1, -1, -1, dtype=np.int64)
        have, want = known @ weights, wanted.astype(np.int64) @ weights
        place = np.minimum(np.searchsorted(have, want), len(have) - 1)
        valid = ((wanted >= 0) & (wanted < n_states)).all(axis=1)
        return np.where(valid & (have[place] == want), place, -1)
    # The code of a context would not fit an integer: number the distinct ones instead.
    both = np.concatenate([known, wanted.astype(np.int64)])
    number = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1)
    row_of = np.full(number.max() + 1, -1)
    row_of[number[: len(known)]] = np.arange(len(known))
    found: Integers = row_of[number[len(known) :]]
    return found
