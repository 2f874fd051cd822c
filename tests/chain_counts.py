"""Counts of transitions for the tests of what is computed from them, and slow counting."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from pyestim.models.transition_counts import TransitionCounts

REFERENCE = Path(__file__).parent / "reference" / "markov"


def counts_of(table, *, contexts=None, starts=None, sparse=False):
    """A table (R, k) of counts as the value that counting returns."""
    table = np.asarray(table)
    k = table.shape[1]
    order = 1 if contexts is None else np.shape(contexts)[1]
    starts = np.zeros(k, dtype=np.int64) if starts is None else np.asarray(starts)
    held = csr_array(table) if sparse else table
    return TransitionCounts(
        order, k, None if contexts is None else np.asarray(contexts), held, starts
    )


def count_slowly(sequences, k, order=1):
    """Transitions of lists of codes, one by one."""
    cells, starts = defaultdict(int), np.zeros(k, dtype=np.int64)
    for codes in sequences:
        starts[codes[0]] += len(codes) > 0
        for t in range(order, len(codes)):
            cells[tuple(int(c) for c in codes[t - order : t]), int(codes[t])] += 1
    if order == 1:
        table = np.zeros((k, k), dtype=np.int64)
        for (context, state), number in cells.items():
            table[context[0], state] = number
        return TransitionCounts(1, k, None, table, starts)
    contexts = sorted({context for context, _ in cells})
    table = np.zeros((len(contexts), k), dtype=np.int64)
    for (context, state), number in cells.items():
        table[contexts.index(context), state] = number
    return TransitionCounts(order, k, np.array(contexts, dtype=np.int64), table, starts)


def random_chain(rng, k, concentration=1.0):
    return rng.dirichlet(np.full(k, concentration), size=k)


def walk(rng, matrix, n, start=0):
    """A path of n states, step by step."""
    cumulative = np.cumsum(matrix, axis=1)
    draws = rng.random(n)
    path = np.empty(n, dtype=np.int64)
    path[0] = start
    for t in range(1, n):
        path[t] = min(
            np.searchsorted(cumulative[path[t - 1]], draws[t], side="right"), len(matrix) - 1
        )
    return path


def reference_cases(name):
    """Cases of a reference file by their ids."""
    return {
        case["id"]: case for case in json.loads((REFERENCE / f"{name}.json").read_text())["cases"]
    }
