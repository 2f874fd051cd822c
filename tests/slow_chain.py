"""Chains in plain Python: what the fast ones must agree with."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np


def split(X, lengths=None):
    """Sequences as lists; None is a missing state."""
    ends = np.cumsum([len(X)] if lengths is None else lengths)
    return [
        list(X[end - n : end])
        for n, end in zip([len(X)] if lengths is None else lengths, ends, strict=True)
    ]


def counts(sequences, order=1, weights=None):
    """Weight of each (context, next state), as a Counter of tuples."""
    found = Counter()
    for s, sequence in enumerate(sequences):
        for t in range(order, len(sequence)):
            window = tuple(sequence[t - order : t + 1])
            if None not in window:
                found[window] += 1 if weights is None else weights[s][t]
    return found


def table(found, states, order=1):
    """Counts of all contexts that were seen, in lexicographic order: contexts, (R, k)."""
    place = {state: i for i, state in enumerate(states)}
    contexts = sorted({w[:-1] for w in found}, key=lambda c: [place[x] for x in c])
    if order == 1:
        contexts = [(state,) for state in states]
    out = np.zeros((len(contexts), len(states)))
    for window, value in found.items():
        out[contexts.index(window[:-1]), place[window[-1]]] += value
    return contexts, out


def forward_proba(sequence, start, P):
    """Distribution of the state after each row, None summed over: the forward algorithm."""
    ahead, out = np.asarray(start), []
    for state in sequence:
        now = ahead if state is None else np.eye(len(P))[state]
        ahead = now @ P
        out.append(ahead)
    return np.array(out)


def forecast_by_paths(context, P, contexts, k, steps):
    """Distribution of each of the next states: the sum over all paths."""
    m = len(context)
    rows = {tuple(c): P[i] for i, c in enumerate(contexts)}
    out = np.zeros((steps, k))
    for path in itertools.product(range(k), repeat=steps):
        past, weight = tuple(context), 1.0
        for state in path:
            weight *= rows.get(past, np.full(k, 1 / k))[state]
            past = (*past[1:], state) if m else ()
        for h, state in enumerate(path):
            out[h, state] += weight
    return out
