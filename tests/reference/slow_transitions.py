"""Transitions counted one by one, in plain Python: the definition."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np


def slow_counts(codes, order=1, offsets=None, weight=None, start=0, stop=None):
    """Weight of every window of order + 1 states into rows ``[start, stop)``, and of every start.

    Returns two dictionaries: by the tuple of the states of a window, and by the first state.
    """
    n = len(codes)
    offsets = [0, n] if offsets is None else offsets
    weight = [1] * n if weight is None else weight
    windows, starts = defaultdict(int), defaultdict(int)
    for first, behind in itertools.pairwise(offsets):
        for row in range(max(first, start), min(behind, n if stop is None else stop)):
            if row == first and codes[row] >= 0:
                starts[int(codes[row])] += weight[row]
            window = tuple(int(state) for state in codes[max(row - order, first) : row + 1])
            if len(window) == order + 1 and min(window) >= 0:
                windows[window] += weight[row]
    return dict(windows), dict(starts)


def as_windows(counts):
    """Turn a TransitionCounts into the first dictionary of `slow_counts`."""
    table = counts.table.tocoo() if counts.sparse else counts.table
    source, target = table.coords if counts.sparse else np.nonzero(table)
    value = table.data if counts.sparse else table[source, target]
    contexts = source[:, None] if counts.contexts is None else counts.contexts[source]
    return {
        (*(int(s) for s in context), int(t)): v
        for context, t, v in zip(contexts, target, value, strict=True)
        if v != 0
    }
