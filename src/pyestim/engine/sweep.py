"""Sweeps: all rows meet the parameters of every candidate once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from pyestim.engine.model import Model
from pyestim.engine.stats import Stats, Vector, merge_tree

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)


class Source(Protocol):
    """Where rows are, as far as a sweep has to know."""

    @property
    def weight_sum(self) -> float:
        """Sum of the row weights."""
        ...

    @property
    def mean_eps(self) -> float:
        """Relative rounding error of a mean over the rows."""
        ...

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        ...

    def chunks(self) -> Iterator[Any]:
        """Yield the rows, in order, in pieces of equal size."""
        ...


class Sweep(Protocol[P_contra]):
    """``sweep([params, ...]) -> [Stats, ...]``; hides where the rows are."""

    count: int
    source: Any

    @property
    def weight_sum(self) -> float:
        """Sum of the row weights."""
        ...

    @property
    def eps(self) -> float:
        """Relative rounding error of the objective, a mean over the rows."""
        ...

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        ...

    def __call__(self, params: Sequence[P_contra]) -> list[Stats]:
        """Evaluate every candidate in one pass over the rows."""
        ...


class LocalSweep(Generic[P]):
    """Sweep over rows that this process can read, with the threads of the native core.

    Parameters
    ----------
    model : Model
    source : Source
        Yields the chunks; the statistics of chunks are merged in a fixed tree.

    Attributes
    ----------
    count : int
        Passes over the rows so far.
    weight_sum : float
        Sum of the row weights.
    eps : float
        Relative rounding error of the objective, a mean over the rows.
    """

    def __init__(self, model: Model[P], source: Source) -> None:
        self.model = model
        self.source = source
        self.count = 0
        self.weight_sum = source.weight_sum
        self.eps = source.mean_eps

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        return self.source.backend

    def __call__(self, params: Sequence[P]) -> list[Stats]:
        """Evaluate every candidate in one pass over the rows."""
        self.count += 1
        layout = self.model.layout
        shape = (len(params), layout.size)
        parts = (self._part(params, chunk, np.empty(shape)) for chunk in self.source.chunks())
        return [Stats(layout, vector) for vector in merge_tree(parts)]

    def _part(self, params: Sequence[P], chunk: Any, out: Vector) -> Vector:
        self.model.accumulate(params, chunk, out)
        return out
