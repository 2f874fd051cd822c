"""Counting transitions: every path, width of integer, level and number of threads."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pytest
from reference.slow_transitions import as_windows, slow_counts
from scipy.sparse import csr_array

from pyestim import _native, get_num_threads, set_num_threads
from pyestim.engine.stats import merge_tree
from pyestim.models import transition_keys
from pyestim.models.transition_counts import StateOutOfRange, count_transitions

LEVELS = _native.available_levels()
SIGNED = [np.int8, np.int16, np.int32, np.int64]
#: Tables of windows of 5, of 3, of pairs; k = 6 and 24 are the last of their kind.
STATES = [1, 2, 5, 6, 10, 24, 33, 100, 127, 180]


def chain(rng, k, n, stay=0.0):
    """States that stay with some probability and else are drawn anew."""
    drawn = rng.integers(0, k, size=n)
    moves = np.where(rng.random(n) < stay, 0, np.arange(n))
    return drawn[np.maximum.accumulate(moves)]


def borders(rng, n, count):
    """Offsets with empty sequences and sequences of one row among them."""
    inner = rng.integers(0, n + 1, size=count)
    return np.concatenate([[0], np.sort(np.concatenate([inner, inner[::3]])), [n]])


def cells(x, k, offsets):
    """Number of the cell of every transition, by numpy."""
    x = x.astype(np.int64)
    inside = (x[1:] >= 0) & (x[:-1] >= 0)
    inside[offsets[(offsets > 0) & (offsets < len(x))] - 1] = False
    return (x[:-1] * k + x[1:])[inside]


def pairs(x, k, offsets):
    """Counts of order 1."""
    return np.bincount(cells(x, k, offsets), minlength=k * k).reshape(k, k)


@pytest.fixture
def threads():
    before = get_num_threads()
    yield set_num_threads
    set_num_threads(before)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("k", STATES)
def test_dense_counts_are_exact_on_every_path(k, level):
    rng = np.random.default_rng(k)
    # Two stretches of 131072 rows, so that threads have something to share.
    n = 150_001
    for i, stay in enumerate((0.0, 0.6, 0.99)):
        x = chain(rng, k, n, stay)
        # None, a few (most blocks stay whole), many.
        x[rng.random(n) < (0, 1e-4, 0.05)[i]] = -1
        offsets = borders(rng, n, 60)
        want = pairs(x, k, offsets)
        for dtype in SIGNED[k > 127 :]:
            for n_threads in (1, 2, 7)[i : i + 1] if dtype != np.int32 else (1, 2, 7):
                # Counts are added, to what 31 or 32 bits do not hold.
                out = np.full((k, k), 2**33)
                context = _native.Context(level, n_threads)
                codes = x.astype(dtype)
                row = _native.count_transitions(context, codes, 0, n, k, offsets, None, out)
                assert row == -1
                np.testing.assert_array_equal(out - 2**33, want)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", SIGNED)
@pytest.mark.parametrize("k", [3, 20, 120])
def test_the_first_row_out_of_range_is_told_wherever_it_is(k, dtype, level):
    rng = np.random.default_rng(0)
    x = chain(rng, k, 150_001).astype(dtype)
    context = _native.Context(level, 2)
    for row in (0, 1, 777, 131_071, 131_072, 150_000):
        wrong = x.copy()
        wrong[row] = k if row % 2 else np.iinfo(dtype).max
        wrong[-1] = k
        out = np.zeros((k, k), np.int64)
        count = _native.count_transitions
        assert count(context, wrong, 0, len(x), k, None, None, out) == row
        # The row before the first one that is counted is read too.
        if row + 1 < len(x):
            assert count(context, wrong, row + 1, len(x), k, None, None, out) == row


@pytest.mark.once
def test_small_cases_equal_the_definition():
    rng = np.random.default_rng(1)
    for trial in range(250):
        n, k, order = (int(rng.integers(*limits)) for limits in ((0, 60), (1, 5), (1, 5)))
        x = rng.integers(-1 if trial % 2 else 0, k, size=n).astype(SIGNED[trial % 4])
        offsets = borders(rng, n, trial % 7)
        start, stop = (int(row) for row in np.sort(rng.integers(0, n + 1, size=2)))
        for weight in (None, rng.integers(1, 5, size=n).astype(float)):
            windows, starts = slow_counts(x, order, offsets, weight, start, stop)
            for sparse in (True, False, "auto"):
                counts = count_transitions(
                    x, k, order=order, offsets=offsets, weight=weight,
                    sparse=sparse, start=start, stop=stop,
                )  # fmt: skip
                assert as_windows(counts) == windows
                assert {s: w for s, w in enumerate(counts.starts) if w} == starts
                assert counts.total == sum(windows.values())
                assert counts.row_sums.shape == (counts.table.shape[0],)
                assert counts.table.dtype == (np.int64 if weight is None else np.float64)
                if sparse != "auto":
                    assert counts.sparse == sparse
                if order > 1:
                    assert np.array_equal(np.unique(counts.contexts, axis=0), counts.contexts)


@pytest.mark.once
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [3, 40, 3500, 3_000_000])
def test_higher_orders_and_many_states(k, order):
    # From a dense table over 32-bit and 64-bit numbers of cells to contexts that have no number.
    rng = np.random.default_rng(order)
    # Few different states, so that contexts come back, at both ends of the range.
    values = np.unique(np.concatenate([np.arange(min(k, 3)), np.arange(max(0, k - 3), k)]))
    x = values[chain(rng, len(values), 3000, 0.5)]
    x[rng.random(len(x)) < 0.01] = -1
    offsets = borders(rng, len(x), 20)
    windows, _ = slow_counts(x, order, offsets)
    for stay in (x, np.repeat(x, 2)[: len(x)]):
        windows, _ = slow_counts(stay, order, offsets)
        counts = count_transitions(stay, k, order=order, offsets=offsets, sparse=True)
        assert as_windows(counts) == windows
        assert counts.table.has_sorted_indices
        assert counts.total == sum(windows.values())


@pytest.mark.once
@pytest.mark.parametrize("dtype", SIGNED)
@pytest.mark.parametrize("spread", [1, 3, 9000])
def test_cells_that_occur_are_sorted_and_exact(dtype, spread, monkeypatch):
    monkeypatch.setattr(transition_keys, "NATIVE_ROWS", 4096)
    rng = np.random.default_rng(spread)
    k, n = (100 if dtype == np.int8 else 9000), 30_000
    x = np.cumsum(rng.integers(-spread, spread + 1, size=n)) % k
    x[rng.random(n) < 1e-3] = -1
    x, offsets = x.astype(dtype), borders(rng, n, 40)
    counts = count_transitions(x, k, offsets=offsets, sparse=True)
    cell, value = np.unique(cells(x, k, offsets), return_counts=True)
    source, target = counts.table.tocoo().coords
    np.testing.assert_array_equal(source * np.int64(k) + target, cell)
    np.testing.assert_array_equal(counts.table.data, value)
    assert count_transitions(x, k, offsets=offsets).sparse == (k > 3000)


@pytest.mark.once
@pytest.mark.parametrize(("k", "order", "sparse"), [(4, 1, False), (50, 1, True), (4, 3, "auto")])
def test_pieces_add_up_exactly(k, order, sparse):
    rng = np.random.default_rng(0)
    n = 20_000
    x, offsets = chain(rng, k, n, 0.5).astype(np.int16), borders(rng, n, 30)
    x[rng.random(n) < 0.01] = -1
    whole = count_transitions(x, k, order=order, offsets=offsets, sparse=sparse)
    cuts = [0, *np.sort(rng.integers(0, n + 1, size=9)).tolist(), n]
    total = None
    for start, stop in itertools.pairwise(cuts):
        piece = count_transitions(
            x, k, order=order, offsets=offsets, sparse=sparse, start=start, stop=stop
        )
        total = piece if total is None else total + piece
    assert as_windows(total) == as_windows(whole)
    np.testing.assert_array_equal(total.starts, whole.starts)
    assert total.sparse == whole.sparse
    dense = count_transitions(x, k, order=order, offsets=offsets, sparse=False)
    assert as_windows(total + dense) == {w: 2 * c for w, c in as_windows(whole).items()}


@pytest.mark.once
def test_only_counts_of_one_model_add():
    x = np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"expected order 1 and 2 states, got order 1 and 3"):
        count_transitions(x, 2) + count_transitions(x, 3)


@pytest.mark.once
def test_weighted_sums_have_the_same_bits_everywhere(threads):
    rng = np.random.default_rng(0)
    k, n = 7, 70_000
    x, weight = chain(rng, k, n, 0.5), rng.random(n)
    offsets = borders(rng, n, 30)
    tables = []
    for n_threads in (1, 2, 7):
        threads(n_threads)
        tables.append(count_transitions(x, k, offsets=offsets, weight=weight).table)
    sparse = count_transitions(x, k, offsets=offsets, weight=weight, sparse=True)
    # Chunks that are nodes of the tree over leaves.
    cuts = [*range(0, n, 4096 * 4), n]
    pieces = [
        count_transitions(x, k, offsets=offsets, weight=weight, start=a, stop=b).table.ravel()
        for a, b in itertools.pairwise(cuts)
    ]
    for other in (*tables[1:], sparse.table.toarray(), merge_tree(pieces).reshape(k, k)):
        np.testing.assert_array_equal(other, tables[0])
    # n additions round at most n times by half a unit of the last place of the sum.
    want = slow_counts(x, 1, offsets, weight)[0]
    got = as_windows(count_transitions(x, k, offsets=offsets, weight=weight))
    assert got == pytest.approx(want, rel=n * 2.0**-53)


@pytest.mark.once
@pytest.mark.parametrize("k", [100, 200, 255])
def test_unsigned_and_foreign_integers(k):
    rng = np.random.default_rng(0)
    x = rng.integers(0, k, size=500)
    want = pairs(x, k, np.array([0, 500]))
    for dtype in ("u1", "u2", "u4", "u8", ">i4", ">u2", "<i8"):
        codes = x.astype(dtype)
        np.testing.assert_array_equal(count_transitions(codes, k).table, want)
        strided = np.repeat(codes, 2)[::2]
        np.testing.assert_array_equal(count_transitions(strided, k).table, want)
    with pytest.raises(StateOutOfRange):
        count_transitions(np.array([0, 2**64 - 1], dtype=np.uint64), 2)
    with pytest.raises(StateOutOfRange):
        count_transitions(np.array([0, 255], dtype=np.uint8), 2)


@pytest.mark.once
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sparse", [True, False])
def test_a_state_out_of_range_is_told_with_its_row(order, sparse):
    x = np.array([0, 1, 2, 9, 0, 1, 12])
    for weight in (None, np.ones(7)):
        with pytest.raises(StateOutOfRange, match=r"row 3 holds state 9, .* 0 to 2") as caught:
            count_transitions(x, 3, order=order, sparse=sparse, weight=weight)
        assert (caught.value.row, caught.value.value) == (3, 9)
        again = pickle.loads(pickle.dumps(caught.value))
        assert str(again) == str(caught.value)


@pytest.mark.once
def test_a_dense_table_that_no_memory_holds_is_refused():
    with pytest.raises(MemoryError, match=r"dense table .* 10000000 states .* GB, .*sparse=True"):
        count_transitions(np.array([0, 1]), 10_000_000, sparse=False)
    counts = count_transitions(np.array([0, 1]), 10_000_000)
    assert isinstance(counts.table, csr_array) and counts.total == 1


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"codes": np.zeros(4, np.uint8)}, TypeError, "codes must have dtype int8, int16"),
        ({"codes": np.zeros((2, 2), np.int8)}, ValueError, "codes must have shape"),
        ({"stop": 5}, ValueError, r"start, stop must be a range within 0\.\.4"),
        ({"start": 3, "stop": 2}, ValueError, "start, stop must be a range"),
        ({"n_states": 0}, ValueError, "n_states must be between 1"),
        ({"offsets": np.array([0, 3])}, ValueError, "offsets must rise from 0"),
        ({"offsets": np.array([0, 3, 2, 4])}, ValueError, "offsets must rise from 0"),
        ({"weight": np.ones(3)}, ValueError, "weight must have shape"),
        ({"out": np.zeros((2, 2))}, TypeError, "out must have dtype int64"),
        ({"out": np.zeros((2, 3), np.int64)}, ValueError, "out must have shape"),
        ({"order": 0}, ValueError, "order must be at least 1"),
        ({"order": 70}, ValueError, "order must be at least 1 and leave fewer than 2\\^63"),
    ],
)
def test_the_binding_refuses_what_the_kernels_do_not_check(change, error, match):
    arguments = {
        "codes": np.zeros(4, np.int8), "start": 0, "stop": 4, "n_states": 2, "offsets": None,
        "weight": None, "out": np.zeros((2, 2), np.int64), "order": 1,
    } | change  # fmt: skip
    with pytest.raises(error, match=match):
        _native.count_transitions(_native.Context(None, 1), **arguments)
