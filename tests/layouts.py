"""The same rows in every layout that an array may have."""

from __future__ import annotations

import numpy as np


def rows_in(layout, x):
    """Return an array equal to ``x`` with other strides."""
    n, d = x.shape
    if layout == "F":
        return np.asfortranarray(x)
    if layout == "padded":
        wide = np.full((n, d + 3), np.nan, dtype=x.dtype)
        wide[:, :d] = x
        return wide[:, :d]
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    if layout == "every second":
        wide = np.full((2 * n, 3 * d), np.nan, dtype=x.dtype)
        wide[::2, ::3] = x
        return wide[::2, ::3]
    frozen = np.ascontiguousarray(x)
    frozen.flags.writeable = False
    return frozen


LAYOUTS = ("C", "F", "padded", "reversed", "every second")
