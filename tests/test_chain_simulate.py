"""Simulated chains: the same symbols as a slow specification, whatever threads and splits do."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import chi2

import pyestim
from pyestim.models.chain_simulate import ChainSampler, simulate

MASK = 2**32 - 1


# -- a slow specification: Philox4x32-10, and alias tables as they are read ------------------------


def philox(counter, key):
    x, key = list(counter), list(key)
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [b >> 32 ^ x[1] ^ key[0], b & MASK, a >> 32 ^ x[3] ^ key[1], a & MASK]
        key = [(key[0] + 0x9E3779B9) & MASK, (key[1] + 0xBB67AE85) & MASK]
    return x


def bits(seed, sequence, step, stream=0):
    block = step // 2
    counter = (block & MASK, block >> 32, sequence & MASK, sequence >> 32 | stream << 31)
    words = philox(counter, (seed & MASK, seed >> 32))
    return words[2 * (step % 2)] | words[2 * (step % 2) + 1] << 32


def alias_row(p):
    """(share, alias) of every place, by the sweep of Huebschle-Schneider and Sanders."""
    n, share = len(p), np.asarray(p) * (len(p) / float(sum(p)))
    givers = [i for i in range(n) if share[i] >= 1 or i == int(np.argmax(share))]
    places, g, left = [None] * n, 0, share[givers[0]]
    for i in range(n):
        if i in givers:
            continue
        places[i] = (share[i], givers[g])
        left -= 1 - share[i]
        while left < 1 and g + 1 < len(givers):
            places[givers[g]] = (left, givers[g + 1])
            left = share[givers[g + 1]] - (1 - left)
            g += 1
    for giver in givers[g:]:
        places[giver] = (1.0, giver)
    return places


def place_of(random, places):
    n = len(places)
    place, fraction = random * n >> 64, random * n % 2**64
    share, alias = places[place]
    return place if share >= 1 or fraction < int(share * 2.0**64) else alias


def slow_simulate(rows, unseen, stored, start, lengths, seed, contexts):
    """`rows[r]`: probabilities of `stored[r]`; every other symbol has unseen[r] (None: dense)."""
    k, out = len(rows[0]) if unseen is None else stored[-1], []
    order = len(contexts[0])
    for sequence, n in enumerate(lengths):
        cumulated = np.cumsum(start)
        uniform = ((bits(seed, sequence, 0) >> 12) + 0.5) * 2.0**-52
        first = int(np.searchsorted(cumulated, uniform * cumulated[-1], side="right"))
        symbols = list(contexts[first])[:n]
        for step in range(order, n):
            random, context = bits(seed, sequence, step), tuple(symbols[-order:])
            if context not in contexts:
                symbols.append(random * k >> 64)
                continue
            r = contexts.index(context)
            if unseen is None:
                symbols.append(place_of(random, alias_row(rows[r])))
                continue
            others = [j for j in range(k) if j not in stored[r]]
            place = place_of(random, alias_row([*rows[r], unseen[r] * len(others)]))
            if place < len(stored[r]):
                symbols.append(stored[r][place])
            else:
                symbols.append(others[bits(seed, sequence, step, 1) * len(others) >> 64])
        out += symbols
    return np.array(out)


LENGTHS = [40, 0, 1, 2, 3, 17, 60]


def random_chain(k, seed=0):
    return np.random.default_rng(seed).dirichlet(np.ones(k), size=k)


def test_dense_chain_agrees_with_the_slow_specification():
    P, start = random_chain(5), np.array([0.1, 0.0, 0.4, 0.3, 0.2])
    got = simulate(P, start, LENGTHS, 2**63 + 11)
    contexts = [(i,) for i in range(5)]
    assert got.dtype == np.int32
    assert np.array_equal(got, slow_simulate(P, None, None, start, LENGTHS, 2**63 + 11, contexts))


def sparse_table(k=7):
    """Rows with few stored cells, one without any, one with all of them."""
    stored = [[1], [0, 3, 6], [], list(range(k)), [2, 4], [5], [0, 1, 2]]
    rng = np.random.default_rng(1)
    unseen = np.array([0.1, 0.05, 1 / k, 0.0, 0.02, 0.0, 0.1])
    rows = []
    for r, cells in enumerate(stored):
        mass = 1 - unseen[r] * (k - len(cells))
        rows.append(list(mass * rng.dirichlet(np.ones(len(cells)))) if cells else [])
    indptr = np.cumsum([0, *map(len, stored)])
    matrix = csr_array((np.concatenate(rows), np.concatenate(stored).astype(int), indptr), (k, k))
    return SimpleNamespace(matrix=matrix, unseen=unseen), rows, stored


def test_sparse_table_agrees_with_the_slow_specification():
    table, rows, stored = sparse_table()
    start = np.full(7, 1 / 7)
    contexts = [(i,) for i in range(7)]
    got = simulate(table, start, LENGTHS, 5)
    expected = slow_simulate(rows, table.unseen, [*stored, 7], start, LENGTHS, 5, contexts)
    assert np.array_equal(got, expected)


@pytest.mark.parametrize("order", [2, 3])
def test_higher_order_agrees_with_the_slow_specification(order):
    rng = np.random.default_rng(order)
    every = list(np.ndindex(*(3,) * order))
    kept = sorted(rng.choice(len(every), size=2 * len(every) // 3, replace=False))
    contexts = [every[i] for i in kept]
    P = rng.dirichlet(np.ones(3), size=len(contexts))
    start = rng.dirichlet(np.ones(len(contexts)))
    got = simulate(P, start, LENGTHS, 9, contexts=np.array(contexts))
    assert np.array_equal(got, slow_simulate(P, None, None, start, LENGTHS, 9, contexts))


# -- laws ------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    before = pyestim.get_num_threads()
    yield pyestim.set_num_threads
    pyestim.set_num_threads(before)


def chains():
    table, *_ = sparse_table()
    contexts = np.array(list(np.ndindex(3, 3)))[1:]
    return [
        (ChainSampler(random_chain(6)), 6),
        (ChainSampler(table), 7),
        (ChainSampler(np.random.default_rng(0).dirichlet(np.ones(3), 8), contexts), 8),
    ]


@pytest.mark.parametrize("chain", range(3))
def test_same_symbols_for_any_threads_and_any_split(threads, chain):
    sampler, rows = chains()[chain]
    lengths = np.random.default_rng(3).integers(0, 900, size=400)
    start = np.full(rows, 1 / rows)
    got = []
    for n in (1, 2, 7):
        threads(n)
        got.append(sampler.simulate(start, lengths, 4))
    parts = [
        sampler.simulate(start, lengths[a:b], 4, first_sequence=a)
        for a, b in [(0, 1), (1, 100), (100, 400)]
    ]
    assert np.array_equal(got[0], got[1])
    assert np.array_equal(got[0], got[2])
    assert np.array_equal(got[0], np.concatenate(parts))


def test_a_longer_sequence_continues_a_shorter_one():
    P = random_chain(4)
    long = simulate(P, np.full(4, 0.25), 1001, 8)
    for n in (1, 2, 3, 500, 1000):
        assert np.array_equal(simulate(P, np.full(4, 0.25), n, 8), long[:n])


def test_sparse_and_dense_draw_from_the_same_law():
    """Chi-square of the transitions of each row. The seed is fixed; the bound is that of 1e-6."""
    table, rows, stored = sparse_table()
    dense = np.repeat(table.unseen[:, None], 7, axis=1)
    for r, cells in enumerate(stored):
        dense[r, cells] = rows[r]
    for transition in (table, dense, csr_array(dense)):
        x = simulate(transition, np.full(7, 1 / 7), 400_000, 1)
        counts = np.zeros((7, 7))
        np.add.at(counts, (x[:-1], x[1:]), 1)
        expected = counts.sum(axis=1, keepdims=True) * dense
        assert not counts[dense == 0].any()
        seen = expected > 0
        statistic = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
        assert statistic < chi2.isf(1e-6, seen.sum() - 7)


def test_a_large_table_keeps_its_law():
    """k = 300: chi-square with 300 * 299 degrees of freedom, so its standard deviation is 424."""
    P = random_chain(300) * 0.5 + 0.5 / 300
    x = simulate(P, np.full(300, 1 / 300), 3_000_000, 2)
    counts = np.bincount(x[:-1] * 300 + x[1:], minlength=90_000).reshape(300, 300)
    expected = counts.sum(axis=1, keepdims=True) * P
    assert abs(((counts - expected) ** 2 / expected).sum() - 300 * 299) < 5 * np.sqrt(2 * 300 * 299)


def test_start_follows_its_probabilities():
    start = np.array([0.0, 0.3, 0.0, 0.7, 0.0])
    x = simulate(np.eye(5), start, np.ones(20_000, dtype=int), 3)
    assert set(np.unique(x)) == {1, 3}
    # Five standard deviations of a binomial frequency.
    assert abs((x == 1).mean() - 0.3) < 5 * np.sqrt(0.21 / 20_000)


def test_a_cell_of_probability_zero_is_never_drawn():
    k = 50
    P = np.zeros((k, k))
    P[np.arange(k), (np.arange(k) + 1) % k] = 1 / 3
    P[np.arange(k), (np.arange(k) + 7) % k] = 2 / 3
    for transition in (P, csr_array(P)):
        x = simulate(transition, np.full(k, 1 / k), 100_000, 0)
        assert set(np.unique((x[1:] - x[:-1]) % k)) == {1, 7}


def test_tiny_probabilities_are_kept():
    """A cell of 1e-5 in a row of 1000, where 16 bits of its threshold are zero."""
    P = np.full((1, 1000), (1 - 1e-5) / 999).repeat(1000, axis=0)
    P[:, 17] = 1e-5
    x = simulate(P, np.full(1000, 1e-3), 4_000_000, 6)
    assert abs((x == 17).sum() - 40) < 5 * np.sqrt(40)


def test_initial_states_begin_the_sequences():
    P = random_chain(4)
    x = simulate(P, None, [5, 5, 0], 1, initial_states=[3, 1, 2])
    assert (x[0], x[5]) == (3, 1)
    contexts = np.array([[0, 0], [1, 1]])
    y = simulate(
        np.eye(2), None, [3, 4, 1], 1, contexts=contexts, initial_states=[[1, 1], [0, 1], [0, 1]]
    )
    assert list(y[:3]) == [1, 1, 1]
    assert list(y[3:5]) == [0, 1]
    assert y[7] == 0


def test_a_table_brings_its_contexts():
    contexts = np.array([[0, 0], [0, 1], [1, 0]])
    P = np.random.default_rng(0).dirichlet(np.ones(2), size=3)
    table = SimpleNamespace(matrix=P, unseen=None, contexts=contexts)
    got = simulate(table, np.full(3, 1 / 3), 50, 0)
    assert np.array_equal(got, simulate(P, np.full(3, 1 / 3), 50, 0, contexts=contexts))


def test_contexts_that_were_never_seen_draw_evenly():
    """Order 2 with the one context (0, 0), which leads to 1: any other context is new."""
    x = simulate([[0.0, 1.0, 0.0]], [1.0], 30_000, 2, contexts=[[0, 0]])
    previous = x[:-2] * 3 + x[1:-1]
    assert (x[2:][previous == 0] == 1).all()
    free = x[2:][previous != 0]
    frequency = np.bincount(free, minlength=3) / len(free)
    assert abs(frequency - 1 / 3).max() < 5 * np.sqrt(2 / 9 / len(free))


def test_one_state():
    assert simulate([[1.0]], [1.0], 4, 0).tolist() == [0, 0, 0, 0]
    assert simulate(csr_array([[1.0]]), [1.0], [2, 1], 0).tolist() == [0, 0, 0]


def test_more_states_than_a_dense_table_holds():
    k = 70_000
    x = simulate(np.full((1, k), 1 / k), [1.0], 50, 0, contexts=[[0]])
    assert x.max() > 2**16 / 2
    assert len(np.unique(x)) > 40


def test_nothing_to_simulate():
    for lengths in ([], [0, 0], 0):
        got = simulate([[1.0]], [1.0], lengths, 0)
        assert (got.dtype, got.shape) == (np.int32, (0,))


# -- hostile input ---------------------------------------------------------------------------------


EYE = np.eye(2)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"transition": [[0.5, 0.4], [0, 1]]}, r"got the sum 0\.9 in row 0"),
        ({"transition": [[1.5, -0.5], [0, 1]]}, r"none negative .* got -0\.5"),
        (
            {"transition": [[np.nan, 1], [0, 1]]},
            "transition must hold probabilities, .* the sum nan in row 0",
        ),
        ({"transition": [[0, 1], [np.inf, 1]]}, "got the sum inf in row 1"),
        ({"transition": [[np.inf, -np.inf], [0, 1]]}, "none negative .* got -inf"),
        ({"transition": csr_array([[0.0, 0.0], [0.0, 1.0]])}, "got the sum 0 in row 0"),
        ({"transition": [1.0, 0.0]}, "two axes"),
        ({"transition": np.empty((0, 0))}, "rows and columns"),
        ({"transition": np.full((1, 2), 0.5)}, "square"),
        ({"start_proba": [1.0]}, r"start_proba must have shape \(2,\)"),
        ({"start_proba": None}, "start_proba must be given"),
        ({"start_proba": [0.5, 0.4]}, "start_proba must sum to one"),
        ({"start_proba": [np.nan, 1]}, "start_proba must not be negative or NaN"),
        ({"lengths": [3, -1]}, "lengths must not be negative"),
        ({"lengths": [3.0]}, "lengths must be integers"),
        ({"lengths": [[3]]}, "lengths must have one axis"),
        ({"seed": -1}, "seed must be from 0"),
        ({"seed": 2**64}, "seed must be from 0"),
        ({"first_sequence": -1}, "first_sequence must be from 0"),
        ({"initial_states": [2]}, "initial_states must be from 0 to 1"),
        ({"initial_states": [-1]}, "initial_states must be from 0 to 1"),
        ({"initial_states": [0, 1]}, "initial_states must have shape"),
        ({"initial_states": [0.0]}, "initial_states must be integers"),
        ({"contexts": [[0, 1], [0, 0]]}, "lexicographic"),
        ({"contexts": [[0, 1], [0, 1]]}, "differ"),
        ({"contexts": [[0, 2], [1, 1]]}, "contexts must be from 0 to 1"),
        ({"contexts": [[0], [1], [1]]}, "contexts must have shape"),
        ({"contexts": [[0.0], [1.0]]}, "contexts must be integers"),
    ],
)
def test_wrong_input_is_named(change, match):
    arguments = {"transition": EYE, "start_proba": [0.5, 0.5], "lengths": [3], "seed": 0, **change}
    with pytest.raises(ValueError, match=match):
        simulate(**arguments)


def test_seed_must_be_an_integer():
    with pytest.raises(TypeError, match="seed must be an integer"):
        simulate(EYE, [1, 0], 3, 0.5)


@pytest.mark.parametrize(
    "lengths",
    [[2**62 + 1] * 4, [2**61 + 10] * 8, [2**62] * 4, [2**62], np.full(2, 2**63, dtype=np.uint64)],
)
def test_lengths_beyond_any_array(lengths):
    with pytest.raises(ValueError, match="lengths must sum to less than 2\\^62, got"):
        simulate(EYE, [1, 0], lengths, 0)


@pytest.mark.parametrize("length", [2**61 + 5, 2**50])
def test_lengths_beyond_memory(length):
    with pytest.raises(MemoryError, match=f"simulate: {length} symbols take .* GB"):
        simulate(EYE, [1, 0], [length], 0)


@pytest.mark.parametrize(
    ("offsets", "match"),
    [
        ([0, 3, 2, 4], "offsets must rise from 0"),
        ([1, 2, 3, 4], "offsets must rise from 0"),
        ([0, -(2**63), 2, 4], "offsets must rise from 0"),
        ([0, 2, 3, 5], "out must"),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_the_core_checks_where_sequences_go(form, offsets, match):
    out = np.zeros(4, dtype=np.int32)
    rest = (1, None, None, np.array([1.0, 1.0]), None, np.array(offsets), 0, 0, out)
    with pytest.raises(ValueError, match=match):
        ChainSampler(form(EYE))._tables.walk(*rest)
