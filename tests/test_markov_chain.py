"""`MarkovChain`: labels, sequences, weights, partial fits, against plain Python."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slow_chain as slow

import pyestim
from pyestim import MarkovChain

pytestmark = pytest.mark.once

FITTED = ("transition_matrix_", "counts_", "start_proba_", "start_counts_", "states_")


def dense(table):
    return table.toarray() if hasattr(table, "toarray") else table


def assert_same_fit(one, two):
    for name in (*FITTED, "unseen_proba_", "contexts_"):
        assert hasattr(one, name) == hasattr(two, name), name
        if hasattr(one, name):
            np.testing.assert_array_equal(dense(getattr(one, name)), dense(getattr(two, name)))


@pytest.fixture
def codes():
    return np.random.RandomState(3).randint(0, 4, 300)


WIDTHS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", "f2", "f4", "f8")
FORMS = {
    "list": list,
    "column": lambda x: x[:, None],
    "strided": lambda x: np.repeat(x, 2)[::2],
    "reversed memory": lambda x: x[::-1].copy()[::-1],
    "read-only": lambda x: np.broadcast_to(x, x.shape),
    "list of objects": lambda x: x.astype(object),
    "unaligned": lambda x: np.ndarray(x.shape, x.dtype, b"1" + x.tobytes(), offset=1),
}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("given", [None, 4, 6])
def test_integers_of_every_width(codes, width, given):
    chain = MarkovChain(n_states=given).fit(codes.astype(width))
    _, table = slow.table(slow.counts([codes.tolist()]), range(given or 4))
    np.testing.assert_array_equal(chain.counts_, table)
    assert chain.states_.tolist() == list(range(given or 4))
    assert chain.n_transitions_ == 299


@pytest.mark.parametrize("form", FORMS)
def test_forms(codes, form):
    assert_same_fit(MarkovChain().fit(FORMS[form](codes)), MarkovChain().fit(codes))


LABELS = {
    "from one": (np.arange(4) + 1, np.int64),
    "apart": (np.array([3, 7, 100, 101]), np.int64),
    "huge": (np.array([3, 7, 10**9, 2**62]), np.int64),
    "strings": (np.array(["a", "bb", "c", "d"]), np.str_),
    "bytes": (np.array([b"a", b"bb", b"c", b"d"]), np.bytes_),
    "objects": (np.array(["a", "bb", "c", "d"], dtype=object), object),
    "dates": (np.array(["2020-01-01", "2020-01-02", "2021-01-01", "2024-02-29"], "M8[D]"), None),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("order", [1, 2])
def test_labels(codes, kind, order):
    labels, dtype = LABELS[kind]
    X = labels[codes]
    chain = MarkovChain(order=order).fit(X)
    plain = MarkovChain(order=order).fit(codes)
    assert chain.states_.tolist() == labels.tolist()
    if dtype is not None:
        assert np.issubdtype(chain.states_.dtype, dtype)
    np.testing.assert_array_equal(chain.counts_, plain.counts_)
    np.testing.assert_array_equal(chain.predict(X), labels[plain.predict(codes)])
    np.testing.assert_array_equal(chain.predict_proba(X), plain.predict_proba(codes))
    np.testing.assert_array_equal(chain.score_samples(X), plain.score_samples(codes))
    assert chain.log_likelihood(X) == plain.log_likelihood(codes)
    if order > 1:
        np.testing.assert_array_equal(chain.contexts_, labels[plain.contexts_])


def test_labels_at_the_end_of_their_width():
    X = np.array([255, 0, 255, 7], dtype=np.uint8)
    chain = MarkovChain().fit(X)
    assert chain.states_.tolist() == [0, 7, 255]
    assert chain.predict(X).tolist() == [0, 255, 0, 0]


def test_booleans_and_tuples():
    chain = MarkovChain().fit([True, False, False, True])
    assert chain.states_.tolist() == [False, True]
    assert chain.predict([True]).tolist() == [False]
    pairs = np.empty(4, dtype=object)
    pairs[:] = [(1, 2), (0, 1), (0, 1), (1, 2)]
    chain = MarkovChain().fit(pairs)
    assert chain.states_.tolist() == [(0, 1), (1, 2)]
    np.testing.assert_array_equal(chain.counts_, [[1, 1], [1, 0]])


MISSING = {
    "integers": np.array([0, 1, -1, 1, 1, -7, -1, 0, 0]),
    "floats": np.array([0, 1, np.nan, 1, 1, -1.0, np.nan, 0, 0]),
    "objects of numbers": np.array([0, 1, None, 1, 1, np.nan, None, 0, 0], dtype=object),
    "masked": np.ma.array([0, 1, 0, 1, 1, 1, 1, 0, 0], mask=[0, 0, 1, 0, 0, 1, 1, 0, 0]),
}


@pytest.mark.parametrize("kind", MISSING)
def test_missing_states_break_a_sequence(kind):
    chain = MarkovChain().fit(MISSING[kind])
    np.testing.assert_array_equal(chain.counts_, [[1, 1], [0, 1]])
    np.testing.assert_array_equal(chain.start_counts_, [1, 0])


def test_missing_labels():
    strings = np.array(["a", "b", None, "b", "b", np.nan, None, "a", "a"], dtype=object)
    chain = MarkovChain().fit(strings)
    np.testing.assert_array_equal(chain.counts_, [[1, 1], [0, 1]])
    dates = np.array(["2020-01-01", "NaT", "2020-01-01", "2020-01-02"], dtype="M8[D]")
    np.testing.assert_array_equal(MarkovChain().fit(dates).counts_, [[0, 1], [0, 0]])


def test_data_frames():
    pandas = pytest.importorskip("pandas")
    labels = pandas.Series(["x", "y", None, "y", "y"])
    expected = [[0, 1], [0, 1]]
    for X in (labels, labels.astype("category"), labels.to_frame("state")):
        chain = MarkovChain().fit(X)
        np.testing.assert_array_equal(chain.counts_, expected)
        assert chain.states_.tolist() == ["x", "y"]
    assert chain.feature_names_in_.tolist() == ["state"]
    chain.predict(labels.to_frame("state"))
    with pytest.raises(ValueError, match="feature names"):
        chain.predict(labels.to_frame("other"))
    integers = pandas.Series([0, 1, None, 1, 1], dtype="Int64")
    np.testing.assert_array_equal(MarkovChain().fit(integers).counts_, expected)


def test_a_state_that_is_alone_is_a_state():
    chain = MarkovChain().fit([0, 1, -1, 2, -1, 1, 0])
    assert chain.states_.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(chain.counts_, [[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(chain.transition_matrix_[2], np.full(3, 1 / 3))
    assert "1 of 3 states were never seen" in str(chain.report_)
    assert MarkovChain(order=2).fit([5, 7, 9, 9, 9], lengths=[2, 3]).states_.tolist() == [5, 7, 9]


def test_states_that_come_late_are_found():
    X = np.zeros(70_000, dtype=np.int32)
    X[-3:] = [1, 9, 2]
    assert MarkovChain().fit(X).states_.tolist() == [0, 1, 2, 9]
    X[-1] = 40_000_000
    chain = MarkovChain().fit(X)
    assert chain.states_.tolist() == [0, 1, 9, 40_000_000]
    assert chain.n_transitions_ == 69_999


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sparse", ["auto", True])
@pytest.mark.parametrize("weighted", [False, True])
def test_sequences_and_weights(order, sparse, weighted):
    rng = np.random.RandomState(order)
    lengths = [0, 5, 1, 0, 40, 2, 3, 1, 60]
    codes = rng.randint(-1, 3, sum(lengths))
    weight = rng.uniform(0.5, 2, len(codes)) if weighted else None
    chain = MarkovChain(order=order, sparse=sparse, n_states=3)
    chain.fit(codes, lengths=lengths, sample_weight=weight)
    sequences = slow.split([None if c < 0 else c for c in codes.tolist()], lengths)
    weights = None if weight is None else slow.split(weight, lengths)
    contexts, table = slow.table(slow.counts(sequences, order, weights), range(3), order)
    # The order of addition differs: a few roundings of sums of at most 112 terms.
    np.testing.assert_allclose(dense(chain.counts_), table, rtol=1e-14)
    if order > 1:
        assert [tuple(context) for context in chain.contexts_.tolist()] == contexts
    firsts = [(s[0], weights[i][0] if weighted else 1) for i, s in enumerate(sequences) if s]
    expected = [sum(w for state, w in firsts if state == j) for j in range(3)]
    np.testing.assert_allclose(chain.start_counts_, expected, rtol=1e-14)


def test_weight_of_a_sequence_is_the_sequence_repeated(codes):
    lengths = [100, 50, 150]
    weighted = MarkovChain(order=2).fit(codes, lengths=lengths, sample_weight=[2, 0, 1])
    parts = slow.split(codes, lengths)
    repeated = MarkovChain(order=2).fit(
        np.concatenate([parts[0], parts[0], parts[2]]), lengths=[100, 100, 150]
    )
    seen = weighted.counts_.sum(axis=1) > 0
    np.testing.assert_array_equal(weighted.counts_[seen], repeated.counts_)
    np.testing.assert_array_equal(weighted.start_counts_, repeated.start_counts_)
    assert weighted.score(codes, lengths=lengths, sample_weight=[2, 0, 1]) == pytest.approx(
        repeated.lower_bound_, rel=1e-13
    )
    by_row = MarkovChain(order=2).fit(
        codes, lengths=lengths, sample_weight=np.repeat([2, 0, 1], lengths)
    )
    assert_same_fit(weighted, by_row)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sparse", ["auto", True])
@pytest.mark.parametrize("smoothing", ["mle", 0.5])
def test_partial_fits_are_one_fit(codes, order, sparse, smoothing):
    labels = np.array(["d", "c", "a", "b"])
    X, lengths = labels[codes], [3, 97, 200]
    X[:3] = "b"
    arguments = {"order": order, "sparse": sparse, "smoothing": smoothing}
    chain = MarkovChain(**arguments)
    for part in slow.split(X, lengths):
        chain.partial_fit(np.array(part))
    assert_same_fit(chain, MarkovChain(**arguments).fit(X, lengths=lengths))


def test_partial_fit_unites_labels_of_related_types():
    objects = np.array(["c", "a"], dtype=object)
    chain = MarkovChain().fit(["a", "b"]).partial_fit(objects)
    assert chain.states_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(chain.counts_, [[0, 1, 0], [0, 0, 0], [1, 0, 0]])
    chain = MarkovChain().fit([False, True]).partial_fit(np.array([2, 1], dtype=np.int8))
    assert chain.states_.tolist() == [0, 1, 2]


def test_partial_fit_goes_on_from_a_file(codes, tmp_path):
    chain = MarkovChain(order=2).fit(codes[:100])
    chain.save(tmp_path / "chain.npz")
    again = pyestim.load(tmp_path / "chain.npz").partial_fit(codes[100:])
    assert_same_fit(again, MarkovChain(order=2).fit(codes, lengths=[100, 200]))


def test_no_transition_is_told():
    for arguments in ({}, {"order": 2}, {"n_states": 3}, {"sparse": True}):
        with pytest.warns(UserWarning, match="X holds no transition"):
            chain = MarkovChain(**arguments).fit([0, 1, 0], lengths=[1, 1, 1])
        P = dense(chain.transition_matrix_)
        assert np.isfinite(P).all()
        assert "no transition" in str(chain.report_)
        k = len(chain.states_)
        np.testing.assert_allclose(chain.predict_proba([0]), np.full((1, k), 1 / k), rtol=1e-15)


def test_one_state():
    chain = MarkovChain().fit([4, 4, 4])
    np.testing.assert_array_equal(chain.transition_matrix_, [[1.0]])
    assert chain.predict([4]).tolist() == [4]
    assert chain.score([4, 4]) == 0.0
    assert chain.n_parameters_ == 0


def test_all_missing_with_given_states():
    with pytest.warns(UserWarning, match="no transition") as caught:
        chain = MarkovChain(n_states=2).fit([-1, -1])
    np.testing.assert_array_equal(chain.transition_matrix_, np.full((2, 2), 0.5))
    np.testing.assert_array_equal(chain.start_proba_, [0.5, 0.5])
    assert caught[0].filename == __file__


def test_attributes_and_report(codes):
    chain = MarkovChain().fit(codes)
    assert chain.converged_ is True
    assert chain.n_iter_ == 1
    assert str(chain.report_).startswith("Fit: OK\n  outcome    Closed form")
    assert chain.n_parameters_ == 12
    assert MarkovChain(order=3).fit(codes).n_parameters_ == 4**3 * 3


def test_integers_are_not_copied():
    import tracemalloc

    X = np.random.RandomState(0).randint(0, 5, 2_000_000).astype(np.int16)
    chain = MarkovChain().fit(X)
    tracemalloc.start()
    chain.fit(X)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 500_000


def test_partial_fits_grow_into_a_sparse_table():
    rng = np.random.RandomState(0)
    few, many = rng.randint(0, 5, 100), rng.randint(0, 4000, 300_000)
    chain = MarkovChain().partial_fit(few).partial_fit(many).partial_fit(few, sample_weight=few + 1)
    assert len(chain.states_) == 4000
    assert hasattr(chain.counts_, "toarray") and hasattr(chain, "unseen_proba_")
    assert chain.n_transitions_ == 99 + 299_999 + (few[1:] + 1).sum()
    again = MarkovChain().partial_fit(many).partial_fit(few)
    assert hasattr(again.counts_, "toarray")
    whole = MarkovChain().fit(np.concatenate([few, many]), lengths=[100, 300_000])
    assert (again.counts_ != whole.counts_).nnz == 0


@pytest.mark.parametrize("order", [1, 2])
def test_read_only_rows_and_weights(codes, order):
    weight = np.ones(300)
    for array in (codes, weight):
        array.setflags(write=False)
    chain = MarkovChain(order=order).fit(codes, sample_weight=weight)
    np.testing.assert_array_equal(chain.counts_, MarkovChain(order=order).fit(codes).counts_)


@pytest.mark.parametrize(
    ("arguments", "row", "sentence"),
    [
        ({}, [1 / 3, 1 / 3, 1 / 3], "their rows of the transition matrix are uniform."),
        ({"reversible": True}, [0, 1, 0], "returns from them by the flow .* uniform where none"),
        (
            {"reversible": True, "stationary_distribution": [0.25, 0.5, 0.25]},
            [0, 1, 0],
            "returns from them by the flow .* stays in them where none does",
        ),
    ],
)
def test_what_the_report_says_of_states_that_were_never_left(arguments, row, sentence):
    chain = MarkovChain(**arguments).fit([0, 1, 0, 1, 2])
    np.testing.assert_allclose(chain.transition_matrix_[2], row, atol=1e-8)
    (line,) = chain.report_.diagnosis
    assert re.match(f"1 of 3 states were never seen to be left: .*{sentence}", line)


def test_what_the_report_says_where_nothing_was_counted():
    given = {"reversible": True, "stationary_distribution": [0.5, 0.5]}
    for arguments, matrix, sentence in (
        ({}, np.full((2, 2), 0.5), "is uniform"),
        ({"reversible": True}, np.full((2, 2), 0.5), "is uniform"),
        (given, np.eye(2), "stays in every state"),
    ):
        with pytest.warns(UserWarning, match=sentence):
            chain = MarkovChain(n_states=2, **arguments).fit([0])
        np.testing.assert_array_equal(chain.transition_matrix_, matrix)
