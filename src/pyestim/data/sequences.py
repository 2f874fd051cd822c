"""Sequences of states in memory or in a mapped file, cut into chunks that know their past."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import DOUBLE_EPS, checked_weights
from pyestim.engine.stats import Vector


@dataclass(frozen=True, slots=True)
class SequenceChunk:
    """Consecutive rows of sequences; the rows before them are at hand as their context.

    Attributes
    ----------
    codes : ndarray of int of shape (n,)
        States 0 .. k - 1 of all rows; negative where none was seen.
    offsets : ndarray of int64 of shape (n_sequences + 1,)
        Rows where sequences begin, and n.
    weight : ndarray of shape (n,), optional
    start, stop : int
        The rows that belong to the chunk. Their numbers are absolute, since sums of weights are
        formed in a tree over row numbers.
    """

    codes: NDArray[Any]
    offsets: NDArray[np.int64]
    weight: Vector | None
    start: int
    stop: int


class SequenceSource:
    """States of one or many sequences, one after the other.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        States 0 .. k - 1; a negative number is a state that was not seen. Contiguous, of any
        width; never copied.
    offsets : ndarray of int64 of shape (n_sequences + 1,), optional
        Rows where the sequences begin, and n; one sequence by default.
    weight : ndarray of shape (n,), optional
        Weight of each row given its past.
    chunk_rows : int, optional
        Rows of one chunk; all rows by default.
    owner : str
        Who asks, for messages.
    """

    def __init__(
        self,
        codes: NDArray[Any],
        *,
        offsets: NDArray[np.int64] | None = None,
        weight: Vector | None = None,
        chunk_rows: int | None = None,
        owner: str = "SequenceSource",
    ) -> None:
        self.codes = codes
        self.n_rows = len(codes)
        self.offsets = np.array([0, self.n_rows], dtype=np.int64) if offsets is None else offsets
        self.weight = checked_weights(weight, self.n_rows, owner)
        self.chunk_rows = max(self.n_rows if chunk_rows is None else chunk_rows, 1)
        self.weight_sum = float(self.n_rows) if weight is None else float(np.sum(weight))
        # Each row adds the logarithm of one probability; sums are formed in double precision.
        self.eps = self.mean_eps = DOUBLE_EPS

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        return f"{_core.backend()}, {self.codes.dtype} states"

    @property
    def whole(self) -> SequenceChunk:
        """All rows as one chunk."""
        return self._piece(0, self.n_rows)

    def chunks(self) -> Iterator[SequenceChunk]:
        """Yield the rows, in order, in pieces of equal size."""
        for start in range(0, max(self.n_rows, 1), self.chunk_rows):
            yield self._piece(start, min(start + self.chunk_rows, self.n_rows))

    def _piece(self, start: int, stop: int) -> SequenceChunk:
        return SequenceChunk(self.codes, self.offsets, self.weight, start, stop)
