"""A transition matrix in any of its forms, checked: an array, sparse, or a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from pyestim.models.chain_tables import Floats, TransitionTable, canonical, fault_of_rows

Matrix = Any  # ndarray, csr_array or TransitionTable


@dataclass(frozen=True)
class ChainMatrix:
    """Transition matrix: the cells of `held`, and `rest` for every cell that it lacks.

    In formulas P = excess + rest 1'.
    """

    held: Any
    rest: Floats | None

    @property
    def n_states(self) -> int:
        """Number of states, k."""
        return int(self.held.shape[0])

    def dense(self) -> Floats:
        """(k, k), a new array."""
        if not issparse(self.held):
            return np.array(self.held, dtype=np.float64)
        return TransitionTable(self.held, self._rest()).dense()

    def _rest(self) -> Floats:
        return np.zeros(self.n_states) if self.rest is None else self.rest

    def excess(self) -> csr_array:
        """The held cells less `rest`."""
        if self.rest is None:
            return self.held
        row = np.repeat(self.rest, np.diff(self.held.indptr))
        return csr_array(
            (self.held.data - row, self.held.indices, self.held.indptr), shape=self.held.shape
        )

    def full_rows(self) -> NDArray[np.bool_]:
        """Rows without a zero, as far as `rest` tells."""
        return self._rest() > 0

    def graph(self) -> csr_array:
        """Steps that are possible, without those of the full rows."""
        held = csr_array(self.held, copy=True)
        held.eliminate_zeros()
        return held


def chain_matrix(matrix: Matrix) -> ChainMatrix:
    """Check a transition matrix.

    Raises
    ------
    ValueError
        If it is not square, or has rows that are not probabilities, or is a table of a higher
        order.
    """
    rest = None
    if isinstance(matrix, TransitionTable):
        if matrix.order != 1:
            raise ValueError(f"a chain of order 1 is needed, got a table of order {matrix.order}")
        matrix, rest = matrix.matrix, matrix.unseen
        rest = None if rest is None or not rest.any() else rest
    held: Any = canonical(matrix) if issparse(matrix) else np.asarray(matrix, dtype=np.float64)
    if held.ndim != 2 or held.shape[0] != held.shape[1] or held.shape[0] == 0:
        raise ValueError(f"a transition matrix must be square, got shape {held.shape}")
    fault = fault_of_rows(held, rest)
    if fault:
        raise ValueError(f"a transition matrix {fault}")
    return ChainMatrix(held, rest)
