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
    """Consecutive rows with the rows before them that they depend on.

    Attributes
    ----------
    codes : ndarray of int of shape (m,)
        States 0 .. k - 1; negative where none was seen. Rows before ``start`` are context only.
    offsets : ndarray of int64
        Row numbers of ``codes`` where sequences begin, and ``m``; the first one is 0, which may
        lie within a sequence when ``start`` is positive.
    weight : ndarray of shape (m,), optional
    start, stop : int
        The rows that belong to the chunk.
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
    halo : int
        Rows of context that a chunk gets from its predecessor.
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
        halo: int = 1,
        chunk_rows: int | None = None,
        owner: str = "SequenceSource",
    ) -> None:
        self.codes = codes
        self.n_rows = len(codes)
        self.offsets = np.array([0, self.n_rows], dtype=np.int64) if offsets is None else offsets
        self.weight = checked_weights(weight, self.n_rows, owner)
        self.halo = halo
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
        return SequenceChunk(self.codes, self.offsets, self.weight, 0, self.n_rows)

    def chunks(self) -> Iterator[SequenceChunk]:
        """Yield the rows, in order, in pieces of equal size, each with its halo."""
        for start in range(0, max(self.n_rows, 1), self.chunk_rows):
            yield self._piece(start, min(start + self.chunk_rows, self.n_rows))

    def _piece(self, start: int, stop: int) -> SequenceChunk:
        first = max(start - self.halo, 0)
        inside = slice(*np.searchsorted(self.offsets, [first + 1, stop]))
        offsets = np.concatenate(([0], self.offsets[inside] - first, [stop - first]))
        weight = None if self.weight is None else self.weight[first:stop]
        codes = self.codes[first:stop]
        return SequenceChunk(codes, offsets, weight, start - first, stop - first)
