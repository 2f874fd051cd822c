"""Statistics: one flat vector with named windows, and a vector space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property, lru_cache
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]


class Layout:
    """Names and shapes of the statistics of a model, in the order of the flat vector.

    Parameters
    ----------
    windows : mapping of str to tuple of int
        Shape of every statistic; the empty tuple is a single number.
    """

    def __init__(self, windows: Mapping[str, Shape]) -> None:
        self.windows: dict[str, Shape] = dict(windows)

    @cached_property
    def bounds(self) -> dict[str, tuple[int, int, Shape]]:
        """Start, stop and shape of every window."""
        return _bounds(tuple(self.windows.items()))

    @cached_property
    def size(self) -> int:
        """Length of the flat vector."""
        return max((stop for _, stop, _ in self.bounds.values()), default=0)

    def zeros(self) -> Stats:
        """Return the statistics of no rows."""
        return Stats(self, np.zeros(self.size))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and list(self.windows.items()) == list(
            other.windows.items()
        )

    def __hash__(self) -> int:
        return hash(tuple(self.windows.items()))

    def __repr__(self) -> str:
        return f"Layout({self.windows})"


@lru_cache(maxsize=64)
def _bounds(windows: tuple[tuple[str, Shape], ...]) -> dict[str, tuple[int, int, Shape]]:
    """Made once for each layout, because a small fit takes hardly longer."""
    found = {}
    start = 0
    for name, shape in windows:
        stop = start + prod(shape)
        found[name] = (start, stop, shape)
        start = stop
    return found


class Stats:
    """The trace that rows leave: ``+`` merges, ``-`` takes rows away, ``*`` scales.

    Statistics are sums over rows that are centred at the parameters which produced them, so
    merging is plain addition as long as all parts were made with the same parameters.

    Parameters
    ----------
    layout : Layout
    vector : ndarray of shape (layout.size,)
    """

    __slots__ = ("layout", "vector")

    def __init__(self, layout: Layout, vector: Vector) -> None:
        self.layout = layout
        self.vector = vector

    def __getitem__(self, name: str) -> Vector:
        start, stop, shape = self.layout.bounds[name]
        return self.vector[start:stop].reshape(shape)

    def number(self, name: str) -> float:
        """Return a statistic of shape () as a plain float."""
        return float(self.vector[self.layout.bounds[name][0]])

    def items(self) -> Iterator[tuple[str, Vector]]:
        """Iterate over the names and the windows."""
        return ((name, self[name]) for name in self.layout.windows)

    def __add__(self, other: Stats) -> Stats:
        return Stats(self.layout, self.vector + self._same(other).vector)

    def __sub__(self, other: Stats) -> Stats:
        return Stats(self.layout, self.vector - self._same(other).vector)

    def __mul__(self, factor: float) -> Stats:
        return Stats(self.layout, self.vector * factor)

    __rmul__ = __mul__

    def _same(self, other: Stats) -> Stats:
        if self.layout is not other.layout and self.layout != other.layout:
            raise ValueError(
                f"Stats: expected statistics of the layout {self.layout}, got {other.layout}; "
                "only statistics of one model can be merged."
            )
        return other

    def __repr__(self) -> str:
        return f"Stats({', '.join(self.layout.windows)})"


def merge_tree(parts: Iterable[Vector]) -> Vector:
    """Add equally long vectors in a fixed binary tree over their order.

    The tree depends on the number of parts alone: a power of two of consecutive parts is one
    node, and the incomplete right edge is folded from the right.  A part may itself be such a
    node, so that the bits do not depend on how the parts were grouped.
    """
    stack: list[tuple[int, Vector]] = []
    for vector in parts:
        level = 0
        node = vector
        while stack and stack[-1][0] == level:
            node = stack.pop()[1] + node
            level += 1
        stack.append((level, node))
    if not stack:
        raise ValueError("merge_tree: expected at least one part, got none.")
    total = stack.pop()[1]
    while stack:
        total = stack.pop()[1] + total
    return total
