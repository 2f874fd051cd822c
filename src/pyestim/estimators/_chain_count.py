"""From the rows of a fit to counted transitions over the states that occur in it."""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy as np

from pyestim.data.sequences import SequenceSource
from pyestim.engine.sweep import LocalSweep
from pyestim.estimators._base import shown
from pyestim.estimators._chain_base import ChainBase, Read
from pyestim.estimators._labels import (
    GUESSED_STATES,
    Coded,
    Labels,
    coded,
    recoded,
    seen_states,
    union_of,
)
from pyestim.models.chain import ChainModel
from pyestim.models.transition_counts import (
    StateOutOfRange,
    TransitionCounts,
    count_transitions,
)
from pyestim.models.transition_room import DENSE_STATES
from pyestim.models.transition_states import counted_states, laid_out, renumbered


class NoState(ValueError):
    """All rows are missing."""


class ChainCounting(ChainBase):
    """Counts transitions; the states are found on the way where they are not given."""

    def _count(
        self, X: Any, lengths: Any, sample_weight: Any
    ) -> tuple[TransitionCounts, Labels, str]:
        """Counts, the labels of the states, and where the counting was done."""
        rows = coded(self._column(X, reset=True), self.n_states, self._name)
        read = self._read(rows.codes, lengths, sample_weight)
        if rows.n_states == 0:
            self._refuse_no_state()
        try:
            counts, backend = self._counted(read, rows.n_states)
        except StateOutOfRange as error:
            if self.n_states is not None:
                raise self._out_of_range(error) from error
            rows = _again(rows)
            read = Read(rows.codes, read.offsets, read.weight)
            counts, backend = self._counted(read, rows.n_states)
        if self.n_states is not None:
            return counts, np.arange(self.n_states), backend
        return *self._compressed(counts, rows, read), backend

    def _counted(self, read: Read, k: int) -> tuple[TransitionCounts, str]:
        """Counts of the rows over ``k`` states, in one sweep."""
        source = SequenceSource(
            read.codes, offsets=read.offsets, weight=read.weight, owner=self._name
        )
        dense = k <= DENSE_STATES if self.sparse == "auto" else not self.sparse
        try:
            if self.order == 1 and dense:
                return self._swept(source, k), source.backend
            return self._added(source, k), source.backend
        except MemoryError as error:
            raise MemoryError(
                f"{self._name}: sparse={self.sparse!r} expects tables that fit in memory, got "
                f"{k} states and order {self.order} ({error}). Set sparse=True, or merge states."
            ) from error

    def _swept(self, source: SequenceSource, k: int) -> TransitionCounts:
        """A dense table of the first order: the statistics of the model."""
        sweep: LocalSweep[Any] = LocalSweep(ChainModel(k), source)
        (stats,) = sweep([None])  # what is counted does not depend on parameters
        kind = np.int64 if source.weight is None else np.float64
        table, starts = stats["counts"].astype(kind), stats["starts"].astype(kind)
        return TransitionCounts(1, k, None, table, starts)

    def _added(self, source: SequenceSource, k: int) -> TransitionCounts:
        """Sparse tables and higher orders: the sum over the chunks."""
        parts = (
            count_transitions(
                chunk.codes,
                k,
                order=self.order,
                offsets=chunk.offsets,
                weight=chunk.weight,
                sparse=self.sparse,
                start=chunk.start,
                stop=chunk.stop,
            )
            for chunk in source.chunks()
        )
        return reduce(operator.add, parts)

    def _compressed(
        self, counts: TransitionCounts, rows: Coded, read: Read
    ) -> tuple[TransitionCounts, Labels]:
        """Counts without the states that never occur, and the labels of those that do."""
        k = rows.n_states
        seen = counted_states(counts)
        # Every row that is known and not alone was counted once, as a start or as a target.
        counted = counts.total + counts.starts.sum()
        if not seen.all() and (read.weight is not None or counted < len(read.codes)):
            seen |= seen_states(read.codes, k, read.weight)
        labels = np.arange(k) if rows.labels is None else rows.labels
        if seen.all():
            return counts, labels
        if not seen.any():
            self._refuse_no_state()
        n_seen = int(np.count_nonzero(seen))
        place = np.where(seen, np.cumsum(seen) - 1, -1)
        return laid_out(renumbered(counts, place, n_seen), self.sparse), labels[seen]

    def _merged(
        self, counts: TransitionCounts, states: Labels, old: TransitionCounts, old_states: Labels
    ) -> tuple[TransitionCounts, Labels]:
        """Sum of two counts over the union of their states."""
        if len(states) == len(old_states) and bool(np.all(states == old_states)):
            return laid_out(old + counts, self.sparse), old_states
        try:
            union = union_of(old_states, states)
        except TypeError as error:
            raise TypeError(
                f"{self._name}: partial_fit expects labels that can be sorted together with those "
                f"seen before, of type {old_states.dtype}, got {states.dtype} ({error}). Use "
                "labels of one kind."
            ) from error
        k = len(union)
        there = [np.searchsorted(union, labels) for labels in (old_states, states)]
        if self.order > 1 and (np.diff(there[0]) < 0).any():
            raise ValueError(
                f"{self._name}: partial_fit of order {self.order} expects states_ in sorted order, "
                f"got {shown(old_states.tolist())}. Fit anew, or sort them."
            )
        parts = (laid_out(part, self.sparse, n_states=k) for part in (old, counts))
        first, second = (
            renumbered(part, place, k) for part, place in zip(parts, there, strict=True)
        )
        return laid_out(first + second, self.sparse), union

    def _refuse_no_state(self) -> None:
        raise NoState(
            f"{self._name}: X must hold at least one state, got missing values only. Pass "
            "n_states to have a chain without any observation."
        )

    def _out_of_range(self, error: StateOutOfRange) -> ValueError:
        return ValueError(
            f"{self._name}: n_states={self.n_states} expects X to hold whole numbers from 0 to "
            f"{error.n_states - 1}, got {error.value} in row {error.row}. Raise n_states, or leave "
            "it out to have the states found."
        )


def _again(rows: Coded) -> Coded:
    """Codes after a look at all rows, where the first ones promised too few states."""
    k = int(rows.codes.max()) + 1
    return Coded(rows.codes, k, None) if k <= GUESSED_STATES else recoded(rows.codes)
