"""Bad input of a chain: one sentence that says who, what was expected, what came, what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.sparse import csr_array

from pyestim import MarkovChain

pytestmark = pytest.mark.once

TOO_LARGE = np.array([0, 2**63], dtype=np.uint64)
RECORDS = np.zeros(2, dtype=[("a", int), ("b", int)])
MIXED = np.array(["a", 1, "b"], dtype=object)
LISTS = np.array([[1], [1, 2], None], dtype=object)

BAD_X = {
    "out of range": (
        {"n_states": 3},
        [0, 1, 3, 1],
        r"from 0 to 2, got 3 in row 2\. Raise n_states",
    ),
    "out of range, sparse": ({"n_states": 3, "sparse": True}, [0, 3], "got 3 in row 1"),
    "out of range, order 2": ({"n_states": 3, "order": 2}, [0, 1, 7], "got 7 in row 2"),
    "fraction": ({}, [0.0, 1.5], r"whole numbers.*got 1\.5 in row 1.*numpy\.digitize"),
    "infinity": ({}, [0.0, np.inf], "got inf in row 1"),
    "large float": ({}, [0.0, 1e300], r"got 1e\+300 in row 1"),
    "large integer": ({}, TOO_LARGE, r"below 2\*\*63, got 9223372036854775808 in row 1"),
    "labels with n_states": ({"n_states": 2}, ["a", "b"], "n_states=2 expects X to hold whole"),
    "complex": ({}, [1j, 0], "Complex data not supported"),
    "records": ({}, RECORDS, "labels that can be sorted"),
    "two columns": ({}, [[0, 1], [1, 0]], r"shape \(n,\) or \(n, 1\), got shape \(2, 2\)"),
    "a row": ({}, [[0, 1, 1]], r"got shape \(1, 3\)"),
    "ragged": ({}, [[0, 1], [1]], "Join the sequences to one array and pass their lengths"),
    "a number": ({}, 3, r"got shape \(\)"),
    "empty": ({}, [], "at least one row, got 0 sample"),
    "no column": ({}, np.empty((3, 0)), "0 feature"),
    "missing only": ({}, [-1, -1], "at least one state, got missing values only"),
    "None only": ({}, [None, None], "at least one state, got missing values only"),
}


@pytest.mark.parametrize("name", BAD_X)
def test_bad_rows(name):
    arguments, X, message = BAD_X[name]
    with pytest.raises(ValueError, match=f"MarkovChain: .*{message}"):
        MarkovChain(**arguments).fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (MIXED, "of one kind that can be hashed and sorted, got int, str"),
        (LISTS, "of one kind that can be hashed and sorted, got NoneType, list"),
        (csr_array(np.eye(3)), "dense column of states, got a sparse matrix"),
    ],
)
def test_bad_kinds_of_rows(X, message):
    with pytest.raises(TypeError, match=f"MarkovChain: .*{message}"):
        MarkovChain().fit(X)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        # Sums that wrap to the right one.
        (np.array([2**64 - 3, 8], dtype=np.uint64), "must sum to the 5 rows of X, got 18446744"),
        ([2**62] * 4 + [5], "must sum to the 5 rows of X, got 4611686"),
        ([2, 2], "sum to the 5 rows of X, got a sum of 4 over 2 sequences"),
        ([2, 4], "got a sum of 6 over 2 sequences"),
        ([], "integers of at least 0"),
        ([6, -1], "integers of at least 0"),
        ([2.5, 2.5], "integers of at least 0"),
        ([[2], [3]], "a vector of integers"),
        ("5", "integers of at least 0"),
    ],
)
def test_bad_lengths(lengths, message):
    with pytest.raises(ValueError, match=f"MarkovChain: lengths .*{message}"):
        MarkovChain().fit([0, 1, 0, 1, 1], lengths=lengths)
    with pytest.raises(ValueError, match=f"MarkovChain: lengths .*{message}"):
        MarkovChain().fit([0, 1]).predict([0, 1, 0, 1, 1], lengths=lengths)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 2], r"shape \(4,\)"),
        ([1, 1, -1, 1], "must not be negative, got -1 in row 2"),
        ([0, 0, 0, 0], "zero for every row"),
        ([1, np.nan, 1, 1], "contains NaN"),
        ([1, np.inf, 1, 1], "contains infinity"),
        (["a"] * 4, r"MarkovChain: sample_weight must hold numbers, got .*could not convert"),
        (["a"], r"MarkovChain: sample_weight must hold numbers, got \['a'\]"),
        ([1j] * 4, r"MarkovChain: sample_weight must hold numbers, got .*complex"),
    ],
)
def test_bad_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        MarkovChain().fit([0, 1, 1, 0], sample_weight=weight)


BAD_ARGUMENTS = [
    ("order", 0, "order must be an integer of at least 1 and at most 2\\^30, got 0"),
    ("order", 2**31, "order must be an integer of at least 1 and at most 2\\^30, got 2147483648"),
    ("order", 2**70, "order must be an integer of at least 1 and at most 2\\^30"),
    ("n_states", 2**31, "n_states must be None or an integer of at least 1 and at most 2\\^30"),
    ("n_states", 2**70, "n_states must be None or an integer of at least 1 and at most 2\\^30"),
    ("order", 1.0, "order must be an integer of at least 1"),
    ("smoothing", "best", "smoothing must be a number of at least 0 or one of 'mle', 'laplace'"),
    ("smoothing", -1, "smoothing must be a number"),
    ("smoothing", np.nan, "smoothing must be a number"),
    ("smoothing", None, "smoothing must be a number"),
    ("smoothing", True, "smoothing must be a number"),
    ("n_states", 0, "n_states must be None or an integer of at least 1"),
    ("n_states", 2.0, "n_states must be None or an integer"),
    ("reversible", "yes", "reversible must be"),
    ("stationary_distribution", [0.5, 0.5], "expects reversible=True"),
    ("sparse", "no", "sparse must be one of 'auto', True, False"),
]


@pytest.mark.parametrize(
    ("pi", "message"),
    [
        ([0.5, 0.25, 0.25], "one probability for each of the 2 states"),
        ([0.5, 0.6], "with the sum 1"),
        ([1.5, -0.5], "one probability for each"),
        ([np.nan, 1], "one probability for each"),
        ("abc", "hold numbers, got 'abc'"),
        ([1.0, 0.0], "positive for every state that occurs"),
    ],
)
def test_bad_stationary_distribution(pi, message):
    chain = MarkovChain(reversible=True, stationary_distribution=pi)
    with pytest.raises(ValueError, match=f"MarkovChain: stationary_distribution must .*{message}"):
        chain.fit([0, 1, 0, 0, 1])


@pytest.mark.parametrize("other", [{"order": 2}, {"smoothing": 1.0}])
def test_reversible_is_of_first_order_and_maximum_likelihood(other):
    with pytest.raises(ValueError, match=r"reversible=True .* expects order=1 and smoothing='mle'"):
        MarkovChain(reversible=True, **other).fit([0, 1, 0, 0, 1])


@pytest.mark.parametrize(("name", "value", "message"), BAD_ARGUMENTS)
def test_bad_arguments(name, value, message):
    chain = MarkovChain().set_params(**{name: value})
    for fit in (chain.fit, chain.partial_fit):
        with pytest.raises(ValueError, match=f"MarkovChain: .*{message}"):
            fit([0, 1, 0])


UNKNOWN = [
    ([0, 1, 2], 5, "0, 1, 2, got 5 in row 0"),
    ([2, 3, 4], 0, "2, 3, 4, got 0 in row 0"),
    ([2, 3, 4], 10**12, "got 1000000000000 in row 0"),
    ([2, 3, 10**9], 4, "2, 3, 1000000000, got 4 in row 0"),
    (np.array([7, 255], dtype=np.uint8), 256, "7, 255, got 256 in row 0"),
    (["a", "b"], "z", "a, b, got 'z' in row 0"),
    (["a", "b"], "", "a, b, got '' in row 0"),
    (["a", "b"], 1, "a, b, got 1 in row 0"),
    ([True, False], 2, "False, True, got 2 in row 0"),
    (list(range(20)), 20, r"0, 1, 2, 3, 4, 5, \.\.\. \(20 of them\), got 20"),
]


@pytest.mark.parametrize(("X", "label", "message"), UNKNOWN)
@pytest.mark.parametrize("ask", ["predict", "predict_proba", "score_samples", "score", "forecast"])
def test_labels_that_the_chain_does_not_know(X, label, message, ask):
    chain = MarkovChain().fit(X)
    with pytest.raises(ValueError, match=f"MarkovChain: X must hold the states .*{message}"):
        getattr(chain, ask)([label])


def test_no_transition_to_score():
    chain = MarkovChain(order=2).fit([0, 1, 0, 1])
    for ask in (chain.score, chain.bic):
        with pytest.raises(ValueError, match=r"at least one transition .* more than 2 known rows"):
            ask([0, 1])
    assert chain.log_likelihood([0, 1]) == 0.0


@pytest.mark.parametrize("steps", [0, -1, 1.5, "2", True])
def test_bad_steps(steps):
    with pytest.raises(ValueError, match="MarkovChain: steps must be an integer of at least 1"):
        MarkovChain().fit([0, 1]).forecast([0], steps)


def test_too_many_pasts(monkeypatch):
    from pyestim.models import chain_prefix

    monkeypatch.setattr(chain_prefix, "MOST_CELLS", 10)
    chain = MarkovChain(order=2, smoothing=1).fit([0, 1, 2, 0, 1, 1])
    with pytest.raises(ValueError, match=r"fewer possible pasts, got \d+ pasts of 2 states"):
        chain.forecast([0, 1], 5)


def test_a_table_too_large_to_be_dense():
    chain = MarkovChain(n_states=10**8, sparse=False)
    with pytest.raises(MemoryError, match=r"MarkovChain: sparse=False .* Set sparse=True"):
        chain.fit([0, 1])
    X = [0, 10**8 - 1, 5, 0]
    chain = MarkovChain(n_states=10**6, smoothing=1).fit(np.minimum(X, 10**6 - 1))
    assert chain.counts_.nnz == 3
    assert chain.score([0, 5]) == np.log(1 / (1 + 10**6))


def test_more_transitions_than_32_bits_hold():
    chain = MarkovChain().fit([0, 1, 0, 1, 1])
    chain.counts_ = chain.counts_ * 2**33
    chain.partial_fit([0, 1])
    np.testing.assert_array_equal(chain.counts_, [[0, 2**34 + 1], [2**33, 2**33]])
    assert chain.n_transitions_ == 2**35 + 1


def test_partial_fit_of_another_kind_of_chain():
    chain = MarkovChain().fit(["a", "b"])
    with pytest.raises(ValueError, match="transition_matrix_ of order 2 must have"):
        chain.set_params(order=2).partial_fit(["a", "b", "b"])
    for first, second in (
        (np.array(["a", "b"], dtype=object), [1, 2]),
        (["a", "b"], [1, 2]),
        ([0, 1], ["a", "b"]),
        ([0, 1], np.array(["2020-01-01", "2021-01-01"], dtype="M8[D]")),
    ):
        chain = MarkovChain().fit(first)
        with pytest.raises(TypeError, match="partial_fit expects labels that can be sorted"):
            chain.partial_fit(second)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ("x", "must hold numbers, got 'x'"),
        (0.5, r"must have rows and columns, got shape \(\)"),
        ([0.5, 0.5], r"must have rows and columns, got shape \(2,\)"),
        (np.empty((0, 0)), r"must have rows and columns, got shape \(0, 0\)"),
        ([[0.5, 0.5], [1]], "must hold numbers, got"),
        ([[1.5, -0.5], [0, 1]], r"none negative and each row with the sum 1, got -0\.5\."),
    ],
)
def test_bad_matrices_set_by_hand(matrix, message):
    chain = MarkovChain()
    chain.transition_matrix_ = matrix
    for ask in (chain.predict, chain.sample):
        with pytest.raises(ValueError, match=f"MarkovChain: transition_matrix_ .*{message}"):
            ask([0] if ask == chain.predict else 2)


def test_bad_probabilities_of_cells_that_are_not_stored():
    chain = MarkovChain(sparse=True).fit([0, 1, 0])
    for unseen in ("x", [0.0, 0.0, 0.0], -1e-3):
        chain.unseen_proba_ = unseen
        with pytest.raises(ValueError, match=r"MarkovChain: (unseen_proba_|.*none negative)"):
            chain.predict([0])


def test_targets_are_named_in_one_sentence():
    with pytest.raises(ValueError, match=r"states_, 0, 1, got \[\]\.$"):
        MarkovChain().fit([0, 1, 0]).hitting_times([])


def test_sentences_have_one_form():
    for arguments, X, _ in BAD_X.values():
        with pytest.raises(ValueError, match="MarkovChain: ") as caught:
            MarkovChain(**arguments).fit(X)
        assert re.search(r"[.)]$", str(caught.value))


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
def test_lengths_in_the_place_of_y_are_not_ignored(method):
    X = [0, 1, 0, 1, 1]
    chain = MarkovChain().fit(X, X)  # a y that has the rows of X is ignored, as everywhere
    with pytest.raises(ValueError, match=r"y is ignored .* Pass the lengths .* by name"):
        getattr(chain, method)(X, [2, 3])
    with pytest.raises(ValueError, match=r"X must be one column of states"):
        getattr(chain, method)(np.array(3), [2, 3])
