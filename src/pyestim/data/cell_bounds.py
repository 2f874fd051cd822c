"""Bounds of cells that stand for none."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Vector

#: A finite bound so many times farther away than all cells are says what an infinite one says.
FAR = 1e3


def far_bounds(
    lower: Vector, upper: Vector, many: float = FAR
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Bounds of one column (n,) that are ``many`` times as far from its middle as all cells.

    The middle is the median of all bounds, which does not change where a bound that stands for
    none is infinite instead. A cell that holds it is at no distance.
    """
    n = len(lower)
    middle = np.partition(np.concatenate([lower, upper]), n)[n]
    if not np.isfinite(middle):
        return np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    with np.errstate(over="ignore"):
        below, above = np.abs(lower - middle), np.abs(upper - middle)
        gap = np.maximum(np.maximum(lower - middle, middle - upper), 0.0)
        reach = gap.max()
        if reach == 0.0:  # every cell holds the middle: the nearest other bound is the unit
            other = np.minimum(
                np.where(below > 0.0, below, np.inf), np.where(above > 0.0, above, np.inf)
            )
            reach = other.min()
        return below > many * reach, above > many * reach
