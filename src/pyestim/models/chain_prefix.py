"""What a chain expects after the past of every row, complete or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse

from pyestim.models.chain_tables import Floats, Integers, TransitionTable, find_contexts

#: Numbers in a block of rows that is worked on at a time.
BLOCK_CELLS = 2**20
#: Numbers that a forecast of a higher order may hold for all its possible pasts.
MOST_CELLS = 2**27


class TooManyPasts(ArithmeticError):
    """A forecast would have to hold the probabilities of too many pasts."""


@dataclass(frozen=True)
class Prefixes:
    """Distribution of the next state, given the rows of a sequence so far.

    Order 1 sums over a missing state: its distribution is that of the last known one (or of the
    start), carried on by the matrix.  A higher order takes the rows after the last missing one
    as the past.  A past of fewer states than the order pools the contexts that end with it, each
    weighted by how often it was seen.  A complete past without a row is followed by any state
    with probability 1/k, and so is a short one with which no context ends.

    Attributes
    ----------
    table : TransitionTable
    start : ndarray of shape (k,)
        Distribution of the first state.
    weight : ndarray of shape (R,)
        How often each row of the table was seen.
    """

    table: TransitionTable
    start: Floats
    weight: Floats

    def proba(self, codes: NDArray[Any], offsets: Integers, out: Floats) -> Floats:
        """Fill ``out`` (n, k) with the distribution of the state that follows each row."""
        if self.table.order > 1:
            for first, contexts in self._contexts(codes, offsets):
                out[first : first + len(contexts)] = self.after(contexts)
            return out
        for first in range(0, len(codes), self._block_rows):
            block = codes[first : first + self._block_rows]
            out[first : first + len(block)] = self.table.rows(block)
        for rows, current in self._gaps(codes, offsets):
            out[rows] = current
        return out

    def best(self, codes: NDArray[Any], offsets: Integers) -> Integers:
        """Most probable state after each row (n,), the first one of equals."""
        out = np.empty(len(codes), dtype=np.int64)
        if self.table.order > 1:
            for first, contexts in self._contexts(codes, offsets):
                out[first : first + len(contexts)] = self.after(contexts).argmax(axis=1)
            return out
        best = self._best_of_rows()
        for first in range(0, len(codes), BLOCK_CELLS):
            block = codes[first : first + BLOCK_CELLS]
            out[first : first + len(block)] = best[np.maximum(block, 0)]
        for rows, current in self._gaps(codes, offsets):
            out[rows] = current.argmax(axis=1)
        return out

    def log_proba(self, codes: NDArray[Any], offsets: Integers) -> Floats:
        """Log-probability of each row given its past (n,); zero where the past is incomplete."""
        out = np.zeros(len(codes))
        m = self.table.order
        known = _known_past(codes, offsets)
        for first in range(0, len(codes), BLOCK_CELLS):
            stop = min(first + BLOCK_CELLS, len(codes))
            scored = np.flatnonzero((known[first:stop] > m) & (codes[first:stop] >= 0)) + first
            past = np.stack([codes[scored - j] for j in range(m, 0, -1)], axis=1).astype(np.int64)
            cells = self.table.cells(self.table.find(past), codes[scored].astype(np.int64))
            with np.errstate(divide="ignore"):
                out[scored] = np.log(cells)
        return out

    def forecast(self, codes: NDArray[Any], offsets: Integers, steps: int) -> Floats:
        """Distributions of the states after each sequence: (n_sequences, steps, k)."""
        ends, bounds = _tails(codes, offsets, self.table.order)
        if self.table.order > 1:
            return self._forecast_contexts(ends, bounds, steps)
        found = np.empty((len(bounds) - 1, steps, self.table.n_states))
        following = np.empty((len(ends), self.table.n_states))
        current = self.proba(ends, bounds, following)[bounds[1:] - 1]
        current[np.diff(offsets) == 0] = self.start
        for step in range(steps):
            found[:, step] = current
            current = mixed(current, self.table)
        return found

    def after(self, contexts: Integers) -> Floats:
        """Distribution of the next state after contexts (n, m), whose unknown part is -1: (n, k).

        The unknown part is on the left: a context holds the latest states of the past.
        """
        m = self.table.order
        length = np.count_nonzero(contexts >= 0, axis=1)
        out = self.table.rows(self.table.find(contexts))
        for short in np.unique(length[length < m]):
            rows = np.flatnonzero(length == short)
            wanted, place = np.unique(contexts[rows, m - short :], axis=0, return_inverse=True)
            out[rows] = self._pooled(wanted)[place.reshape(-1)]
        return out

    def _pooled(self, suffixes: Integers) -> Floats:
        """Average rows of the contexts that end with each suffix (distinct, sorted): (U, k)."""
        n, short = suffixes.shape
        assert self.table.contexts is not None
        ends = self.table.contexts[:, self.table.order - short :]
        if short:
            group = find_contexts(suffixes, ends, n, self.table.n_states)
        else:
            group = np.zeros(len(ends), dtype=np.int64)
        row = np.flatnonzero(group >= 0)
        weight, group = self.weight[row], group[row]
        total = np.bincount(group, weights=weight, minlength=n)
        size = np.bincount(group, minlength=n)
        # Contexts that were given by hand, or seen with weight zero only, count alike.
        share = np.where(total[group] > 0.0, weight, 1.0)
        share /= np.where(total > 0.0, total, np.maximum(size, 1))[group]
        mix = csr_array((share, (group, row)), shape=(n, self.table.n_rows))
        pooled = mixed(mix, self.table)
        pooled[size == 0] = 1.0 / self.table.n_states
        return pooled

    # -- order 1 --------------------------------------------------------------------------------

    @property
    def _block_rows(self) -> int:
        return max(BLOCK_CELLS // self.table.n_states, 1)

    def _best_of_rows(self) -> Integers:
        """Most probable cell of each row of the table: (R,)."""
        n = self.table.n_rows
        best = np.empty(n, dtype=np.int64)
        for first in range(0, n, self._block_rows):
            rows = np.arange(first, min(first + self._block_rows, n))
            best[rows] = self.table.rows(rows).argmax(axis=1)
        return best

    def _gaps(self, codes: NDArray[Any], offsets: Integers) -> Iterator[tuple[Integers, Floats]]:
        """Blocks of missing rows and what follows them; those of a gap from its first one on."""
        gone = np.flatnonzero(codes < 0)
        if not len(gone):
            return
        begins = np.isin(gone, offsets) | (np.diff(gone, prepend=gone[0] - 2) > 1)
        first = gone[begins]
        length = np.diff(np.flatnonzero(np.append(begins, True)))
        order = np.argsort(-length, kind="stable")
        first, length = first[order], length[order]
        at_start = np.isin(first, offsets)
        step = mixer(self.table)
        for begin in range(0, len(first), self._block_rows):
            block = slice(begin, begin + self._block_rows)
            opening = at_start[block]
            current = self.table.rows(np.where(opening, 0, codes[first[block] - 1]))
            current[opening] = self.start
            for depth in range(length[begin]):
                n = int(np.searchsorted(-length[block], -depth, side="left"))
                current = step(current[:n])
                yield first[begin : begin + n] + depth, current

    # -- higher orders --------------------------------------------------------------------------

    def _contexts(self, codes: NDArray[Any], offsets: Integers) -> Iterator[tuple[int, Integers]]:
        """Blocks of rows: the first row, and the contexts (rows, m) that end with each row."""
        m = self.table.order
        known = _known_past(codes, offsets)
        for first in range(0, len(codes), self._block_rows):
            rows = np.arange(first, min(first + self._block_rows, len(codes)))
            contexts = np.full((len(rows), m), -1, dtype=np.int64)
            for back in range(m):
                inside = known[rows] > back
                contexts[inside, m - 1 - back] = codes[rows[inside] - back]
            yield first, contexts

    def _forecast_contexts(self, ends: NDArray[Any], bounds: Integers, steps: int) -> Floats:
        n, k = len(bounds) - 1, self.table.n_states
        found = np.zeros((n, steps, k))
        blocks = [contexts for _, contexts in self._contexts(ends, bounds)]
        contexts = np.concatenate(blocks)[bounds[1:] - 1]
        sequence: Integers = np.arange(n)
        weight: Floats = np.ones(n)
        for step in range(steps):
            if len(contexts) * k > MOST_CELLS:
                raise TooManyPasts(f"{len(contexts)} pasts of {self.table.order} states")
            joint = weight[:, None] * self.after(contexts)
            np.add.at(found[:, step], sequence, joint)
            row, state = np.nonzero(joint)
            longer = np.column_stack([sequence[row], contexts[row, 1:], state])
            distinct, place = np.unique(longer, axis=0, return_inverse=True)
            weight = np.bincount(place.reshape(-1), weights=joint[row, state]).astype(np.float64)
            sequence, contexts = distinct[:, 0], distinct[:, 1:]
        return found


def mixed(weights: Any, table: TransitionTable) -> Floats:
    """``weights @ table`` as a dense matrix: mixtures of the rows of the table.

    Parameters
    ----------
    weights : ndarray or csr_array of shape (U, R)
    table : TransitionTable
    """
    return mixer(table)(weights)


def mixer(table: TransitionTable) -> Callable[[Any], Floats]:
    """`mixed` for many weights and one table."""
    matrix, unseen = table.matrix, table.unseen
    if unseen is None:
        return lambda weights: np.asarray(weights @ matrix)
    data = matrix.data - np.repeat(unseen, np.diff(matrix.indptr))
    above = csr_array((data, matrix.indices, matrix.indptr), shape=matrix.shape)

    def mix(weights: Any) -> Floats:
        held = weights @ above
        dense = held.toarray() if issparse(held) else np.asarray(held)
        return np.asarray(dense + np.asarray(weights @ unseen)[:, None])

    return mix


def _known_past(codes: NDArray[Any], offsets: Integers) -> Integers:
    """Rows up to each row without a missing one and within its sequence: (n,)."""
    n = len(codes)
    begin = np.zeros(n, dtype=np.int64)
    starts = offsets[:-1][np.diff(offsets) > 0]
    begin[starts] = starts
    gone = np.flatnonzero(codes < 0)
    begin[gone] = gone + 1
    return np.arange(1, n + 1) - np.maximum.accumulate(begin)


def _tails(codes: NDArray[Any], offsets: Integers, m: int) -> tuple[NDArray[Any], Integers]:
    """The ends of the sequences that decide what follows: rows, and where each one begins.

    From m rows up to the last known one; the whole sequence where it is shorter.  A sequence
    without rows becomes one missing row.
    """
    row = np.where(codes < 0, -1, np.arange(len(codes)))
    np.maximum.accumulate(row, out=row)
    parts = []
    for begin, end in pairwise(offsets.tolist()):
        last = max(int(row[end - 1]) + 1, begin) if end > begin else begin
        part = codes[max(last - m, begin) : end]
        parts.append(part if len(part) else np.full(1, -1))
    bounds = np.concatenate(([0], np.cumsum([len(part) for part in parts], dtype=np.int64)))
    return np.concatenate(parts), bounds
