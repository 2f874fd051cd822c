"""Counting at its limits: memory, orders, states, codes that change, rows of weight zero."""

from __future__ import annotations

import numpy as np
import pytest
from reference.slow_transitions import as_windows, slow_counts

from pyestim import MarkovChain
from pyestim.models import transition_counts, transition_keys, transition_room
from pyestim.models.transition_counts import StateOutOfRange, count_transitions
from pyestim.models.transition_room import check_room, memory_bytes

pytestmark = pytest.mark.once

# -- memory ----------------------------------------------------------------------------------------


def hierarchy(tmp_path, process, limits):
    """Directories that look like /proc and /sys/fs/cgroup."""
    proc, groups = tmp_path / "proc", tmp_path / "cgroup"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "cgroup").write_text(process)
    groups.mkdir()
    for path, text in limits.items():
        (groups / path).parent.mkdir(parents=True, exist_ok=True)
        (groups / path).write_text(text)
    return proc, groups


@pytest.mark.parametrize(
    ("process", "limits", "want"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "5000\n"}, 5000),
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "6000\n"}, 6000),
        ("0::/a/b\n", {"a/b/memory.max": "7000\n", "a/memory.max": "6000\n"}, 6000),
        # In a container: the path is that of the host, the root is the group.
        ("0::/host/path\n", {"memory.max": "4000\n"}, 4000),
        (
            "5:cpu:/x\n4:memory:/x\n0::/\n",
            {"memory/x/memory.limit_in_bytes": "3000", "memory.max": "max"},
            3000,
        ),
        ("4:memory:/x\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),
        ("0::/a\n", {"a/memory.max": "what\n"}, None),
        ("nonsense", {}, None),
    ],
)
def test_memory_is_that_of_the_control_group(tmp_path, process, limits, want):
    nowhere = tmp_path / "none", tmp_path / "none"
    proc, groups = hierarchy(tmp_path, process, limits)
    assert memory_bytes(proc, groups) == (want or memory_bytes(*nowhere))


def test_several_dense_tables_must_fit(monkeypatch):
    monkeypatch.setattr(transition_room, "memory_bytes", lambda: 10**9)
    check_room(6000, 6000, 1, dense=True)
    # One table of 0.39 GB would fit, three do not.
    with pytest.raises(MemoryError, match=r"0\.392 GB, and 3 of them .* 1\.18 GB .* the 1 GB"):
        count_transitions(np.array([0, 1]), 7000, sparse=False)
    with pytest.raises(MemoryError, match=r"MarkovChain: sparse=False .*more than the 1 GB"):
        MarkovChain(sparse=False, n_states=7000).fit([0, 1])
    with pytest.raises(MemoryError, match=r"1073741824 states .* 34\.4 GB"):
        MarkovChain(n_states=2**30).fit([0, 1])


# -- orders and states -----------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [None, np.ones(12)])
def test_orders_of_the_longest_sequence_and_more_have_no_transition(weight, monkeypatch):
    x, offsets = np.arange(12) % 3, np.array([0, 5, 12])
    assert count_transitions(x, 3, order=6, offsets=offsets, weight=weight).total == 1
    # Neither is there a look at the windows.
    monkeypatch.setattr(transition_keys, "count", None)
    for order in (7, 10**6, 2**30):
        counts = count_transitions(x, 3, order=order, offsets=offsets, weight=weight)
        assert counts.total == 0 and counts.contexts.shape == (0, order)
        assert counts.table.shape == (0, 3)
        assert counts.table.dtype == (np.int64 if weight is None else np.float64)
        assert counts.starts.tolist() == [1, 0, 1]


@pytest.mark.parametrize("name", ["n_states", "order"])
@pytest.mark.parametrize("value", [0, 2**30 + 1, 2**31, 2**70])
def test_limits_are_told_in_words(name, value):
    match = rf"{name} must be an integer from 1 to 2\^30, got {value}"
    with pytest.raises(ValueError, match=match):
        count_transitions(np.array([0, 1]), **{"n_states": 2} | {name: value})


# -- codes that others write -----------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 3000])
def test_a_state_that_is_none_any_more_is_told(k, monkeypatch):
    # As if the row had been fine when all rows were looked at.
    monkeypatch.setattr(transition_counts, "_check_states", lambda *_: None)
    x = np.tile(np.arange(3), 100)
    x[100] = k
    with pytest.raises(StateOutOfRange, match=f"row 100 holds state {k}"):
        count_transitions(x, k, order=2, sparse=True)


# -- weights ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("k", [3, 5_000_000])
def test_rows_of_weight_zero_leave_nothing(k, order):
    rng = np.random.default_rng(order)
    x = rng.integers(0, 3, size=600) + (k - 3)
    offsets, weight = np.array([0, 100, 350, 600]), np.repeat([1.0, 0.0, 2.0], [100, 250, 250])
    x[100:350:7] = 0
    counts = count_transitions(x, k, order=order, offsets=offsets, weight=weight, sparse=True)
    kept, few = np.r_[:100, 350:600], np.array([0, 100, 350])
    want = count_transitions(x[kept], k, order=order, offsets=few, weight=weight[kept], sparse=True)
    assert (counts.table.data > 0).all()
    assert (counts.table != want.table).nnz == 0
    np.testing.assert_array_equal(counts.table.indptr, want.table.indptr)
    if order > 1:
        np.testing.assert_array_equal(counts.contexts, want.contexts)


def test_contexts_of_weight_zero_are_not_published():
    X = [0, 1, 0, 1, 1, 1]
    chain = MarkovChain(order=2).fit(X, lengths=[3, 3], sample_weight=[1, 0])
    assert chain.contexts_.tolist() == [[0, 1]]
    assert chain.states_.tolist() == [0, 1]


@pytest.mark.parametrize("k", [40, 500])
def test_large_dense_tables_of_weights_have_the_bits_of_leaves(k, monkeypatch):
    rng = np.random.default_rng(0)
    n = 70_000
    x, weight = rng.integers(0, k, size=n), rng.random(n)
    x[rng.random(n) < 0.01] = -1
    offsets = np.array([0, 1, 4096, 5000, n])
    tables = []
    for cells in (0, k * k):
        monkeypatch.setattr(transition_counts, "LEAF_CELLS", cells)
        counts = count_transitions(x, k, offsets=offsets, weight=weight, sparse=False)
        assert not counts.sparse
        tables.append(counts.table)
    np.testing.assert_array_equal(*tables)


@pytest.mark.parametrize("largest", [5, 2**62])
def test_equal_keys_are_added_in_the_order_of_rows(largest):
    rng = np.random.default_rng(0)
    key = rng.integers(0, largest, size=5000) // (largest // 5) * (largest // 5)
    order = transition_keys._stable_order(key)
    np.testing.assert_array_equal(order, np.argsort(key, kind="stable"))


def test_windows_of_a_long_past_cross_no_border():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2, size=400)
    x[rng.integers(0, 400, size=4)] = -1
    offsets = np.array([0, 0, 130, 131, 260, 400])
    for order in (40, 70):
        for start, stop in ((0, 400), (150, 300), (10, 45)):
            counts = count_transitions(
                x, 2, order=order, offsets=offsets, start=start, stop=stop, sparse=True
            )
            assert as_windows(counts) == slow_counts(x, order, offsets, None, start, stop)[0]
