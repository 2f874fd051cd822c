"""Packed lower triangles of symmetric matrices, as the kernels write them."""

from __future__ import annotations

from functools import lru_cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Vector


def n_packed(order: int) -> int:
    """Entries of the lower triangle of a matrix of this order."""
    return order * (order + 1) // 2


def unpacked(packed: Vector) -> Vector:
    """Return symmetric matrices (..., B, B) from lower triangles (..., B (B + 1) / 2)."""
    order = (isqrt(8 * packed.shape[-1] + 1) - 1) // 2
    return packed.take(_places(order), axis=-1)


def packed(matrix: Vector) -> Vector:
    """Inverse of `unpacked`, of one matrix."""
    return matrix[_triangle(len(matrix))]


@lru_cache(maxsize=16)
def _triangle(order: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    return np.tril_indices(order)


@lru_cache(maxsize=16)
def _places(order: int) -> NDArray[np.intp]:
    i, j = np.indices((order, order))
    low, high = np.minimum(i, j), np.maximum(i, j)
    return np.asarray(high * (high + 1) // 2 + low)
