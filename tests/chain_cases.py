"""The Markov chain's rows of the law suite: sequences, and formulas that share no code with it."""

from __future__ import annotations

import numpy as np

from pyestim.data.sequences import SequenceSource
from pyestim.models.chain import ChainModel, ChainParams
from pyestim.testing import Case, EqualSequences

LENGTH, N_SEQUENCES, N_STATES = 20, 40, 4
TRUTH = {
    "start": np.array([0.4, 0.3, 0.2, 0.1]),
    "transition": np.array(
        [[0.5, 0.2, 0.2, 0.1], [0.1, 0.6, 0.1, 0.2], [0.3, 0.3, 0.2, 0.2], [0.25, 0.05, 0.3, 0.4]]
    ),
}


def simulate(rng, n):
    """States (n, 1) of sequences of equal length, one after the other."""
    uniform = rng.random(n).reshape(-1, LENGTH)
    states = np.empty(uniform.shape, dtype=np.int64)
    rows = np.broadcast_to(TRUTH["start"], (len(uniform), N_STATES))
    for t in range(LENGTH):
        states[:, t] = (uniform[:, t, None] > np.cumsum(rows, axis=1)[:, :-1]).sum(axis=1)
        rows = TRUTH["transition"][states[:, t]]
    return states.reshape(-1, 1)


def build(X, sample_weight, *, chunk_rows=None):
    n = len(X)
    offsets = np.append(np.arange(0, n, LENGTH), n)
    codes = np.ascontiguousarray(X[:, 0])
    source = SequenceSource(codes, offsets=offsets, weight=sample_weight, chunk_rows=chunk_rows)
    return ChainModel(N_STATES), source


def place(model, source, published):
    return ChainParams(published["start"], published["transition"])


def publish(model, source, params):
    return {"start": params.start, "transition": params.transition}


def with_past(source, X):
    """Each state beside the one before it, -1 at the beginning of a sequence: (n, 2)."""
    past = np.where(np.arange(len(X)) % LENGTH == 0, -1, np.roll(X[:, 0], 1))
    return np.column_stack([past, X[:, 0]])


def log_density(model, params, z):
    past, state = z.T
    return np.log(np.where(past < 0, params.start[state], params.transition[past, state]))


def expected(model, params, stats, new):
    starts = sum(w * np.log(p) for w, p in zip(stats["starts"], new.start, strict=True))
    return float(starts + np.sum(stats["counts"] * np.log(new.transition)))


def permute(published, order):
    """State ``order[i]`` is called i."""
    return {
        "start": published["start"][order],
        "transition": published["transition"][np.ix_(order, order)],
    }


def relabel(X, order):
    return np.argsort(order)[X]


def limit(X, sample_weight):
    """Relative frequencies, counted one by one."""
    model, source = build(X, sample_weight)
    out = np.empty((1, model.layout.size))
    model.accumulate([None], source.whole, out)
    stats = model.layout.zeros()
    stats.vector[:] = out[0]
    found = model.update(None, stats)
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    table = np.zeros((N_STATES + 1, N_STATES))
    for (past, state), w in zip(with_past(source, X), weight, strict=True):
        table[past, state] += w  # row -1 is the last one: first states
    table /= table.sum(axis=1, keepdims=True)
    return [(found.start, table[-1]), (found.transition, table[:-1])]


def chain_case(weighted):
    rng = np.random.default_rng(30)
    X = simulate(rng, LENGTH * N_SEQUENCES)
    uniform = {
        "start": np.full(N_STATES, 1 / N_STATES),
        "transition": (TRUTH["transition"] + 1 / N_STATES) / 2,
    }
    return Case(
        name=f"chain-{'weights' if weighted else 'plain'}",
        X=X,
        start=uniform,
        truth=TRUTH,
        build=build,
        place=place,
        publish=publish,
        log_density=log_density,
        expected=expected,
        permute=permute,
        moved=lambda published, order, shift, scale: published,  # states have neither
        limit=limit,
        simulate=simulate,
        n_components=N_STATES,
        sample_weight=rng.uniform(0.2, 2.0, len(X)) if weighted else None,
        rows=EqualSequences(LENGTH),
        working=with_past,
        relabel=relabel,
    )


CASES = [chain_case(weighted) for weighted in (False, True)]
