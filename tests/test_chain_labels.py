"""Labels of states that are easily confused: by hand, large, mixed with missing values, unseen."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import MarkovChain

pytestmark = pytest.mark.once

#: Row i goes to i + 1.
CYCLE = np.roll(np.eye(4), 1, axis=1)


def by_hand(states, matrix=CYCLE):
    chain = MarkovChain()
    chain.transition_matrix_, chain.states_ = matrix, np.array(states)
    return chain


@pytest.mark.parametrize(
    "states",
    [
        [0, 2, 1, 3],
        [5, 0, 9, 2],
        [3, 2, 1, 0],
        [0, 10**12, 5, 3],
        ["d", "a", "c", "b"],
        np.array(["2020-01-04", "2020-01-01", "2020-01-03", "2020-01-02"], dtype="M8[D]"),
        np.array(["d", "a", "c", "b"], dtype=object),
        [0.0, 2.0, 1.0, 3.0],
    ],
)
def test_states_set_by_hand_have_any_order(states):
    chain = by_hand(states)
    states = np.array(states)
    np.testing.assert_array_equal(chain.predict(states), np.roll(states, -1))
    np.testing.assert_array_equal(chain.predict_proba(states), CYCLE)
    assert chain.hitting_times(states[1]).tolist() == [1, 0, 3, 2]
    assert chain.sample(1, initial_state=states[2])[0] == states[2]
    with pytest.raises(ValueError, match="X must hold the states of the chain"):
        chain.predict([*states[:1].astype(object).repeat(2).tolist(), b"no"])


@pytest.mark.parametrize("states", [[0, 1, 1, 3], ["a", "b", "a", "c"], [7, 5, 7, 1]])
def test_states_set_by_hand_differ(states):
    for chain in (by_hand(states), by_hand(np.array(states, dtype=object))):
        with pytest.raises(ValueError, match=r"states_ must hold 4 different labels.*got"):
            chain.predict([states[0]])


def test_labels_in_another_order_are_merged():
    chain = MarkovChain().fit([0, 1, 2, 0])
    chain.states_ = np.array([2, 0, 1])
    chain.partial_fit([2, 5])
    assert chain.states_.tolist() == [0, 1, 2, 5]
    expected = np.zeros((4, 4), dtype=int)
    expected[2, 0] = expected[0, 1] = expected[1, 2] = expected[2, 3] = 1
    np.testing.assert_array_equal(chain.counts_, expected)


LARGE = 2**53


@pytest.mark.parametrize(
    "X",
    [
        [LARGE, LARGE + 1, None, LARGE],
        np.array([LARGE, LARGE + 1, np.nan, LARGE], dtype=object),
        np.ma.MaskedArray([LARGE, LARGE + 1, 0, LARGE], mask=[0, 0, 1, 0]),
    ],
)
def test_large_integers_beside_missing_ones(X):
    chain = MarkovChain().fit(X)
    assert chain.states_.tolist() == [LARGE, LARGE + 1]
    assert chain.n_transitions_ == 1


@pytest.mark.parametrize(
    "X",
    [
        [LARGE, LARGE + 1, np.nan],
        np.array([0, LARGE], dtype=np.longdouble),
        np.array([0.0, LARGE]),
    ],
)
def test_floats_that_skip_whole_numbers_are_refused(X):
    with pytest.raises(ValueError, match=r"below 2\*\*53 where it holds floats.*Pass integers"):
        MarkovChain().fit(X)


def test_fractions_among_objects():
    with pytest.raises(ValueError, match=r"got 0\.5 in row 2"):
        MarkovChain().fit([0, None, 0.5])
    with pytest.raises(ValueError, match="got inf in row 2"):
        MarkovChain().fit([0, None, np.inf])
    assert MarkovChain().fit([0, None, 1.0, np.float32(0)]).states_.tolist() == [0, 1]


@pytest.mark.parametrize("missing", [float("nan"), None, np.float64("nan")])
@pytest.mark.parametrize("column", [False, True])
def test_missing_among_strings_is_no_state(missing, column):
    X = ["a", "b", missing, "a"]
    chain = MarkovChain().fit([[x] for x in X] if column else X)
    assert chain.states_.tolist() == ["a", "b"]
    assert chain.counts_.tolist() == [[0, 1], [0, 0]]


@pytest.mark.parametrize("X", [[1, "a"], (1, "a"), [b"a", 1], [[1], ["a"]]])
def test_mixed_lists_are_refused_like_objects(X):
    with pytest.raises(TypeError, match="labels of one kind"):
        MarkovChain().fit(X)


def test_lists_of_strings_are_strings():
    assert MarkovChain().fit(["a", np.str_("b")]).states_.dtype.kind == "U"
    assert MarkovChain().fit([b"a", b"b"]).states_.dtype.kind == "S"


@pytest.mark.parametrize(
    "X",
    [
        [0, 1, 0, 1, 2, 2],
        np.array([0, 1, 0, 1, 2, 2], dtype=np.uint8),
        [3, 5, 3, 5, 9, 9],
        list("ababcc"),
        np.array(list("ababcc"), dtype=object),
    ],
)
def test_unknown_labels_of_weight_zero_are_missing(X):
    w = [1, 1, 1, 1, 0, 0]
    chain = MarkovChain().fit(X, sample_weight=w)
    assert len(chain.states_) == 2
    assert chain.log_likelihood(X, sample_weight=w) == 0.0
    asked = {"method": "bootstrap", "X": X, "sample_weight": w, "n_resamples": 5}
    assert chain.conf_int(**asked).lower.shape == (2, 2)
    with pytest.raises(ValueError, match="X must hold the states"):
        chain.log_likelihood(X, sample_weight=[1, 1, 1, 1, 0, 1])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("X", [["a", "b", "b", "a"], [3, 4, 4, 3]])
@pytest.mark.parametrize("batch", [[None, None], [np.nan], [-1, -1], [[None]]])
def test_partial_fit_of_missing_rows_counts_nothing(X, batch, order):
    if isinstance(X[0], str) and batch[0] == -1:
        batch = [None]
    chain = MarkovChain(order=order).fit(X)
    before = chain.counts_.copy(), chain.start_counts_.copy()
    chain.partial_fit(batch)
    assert chain.states_.tolist() == sorted(set(X))
    np.testing.assert_array_equal(chain.counts_, before[0])
    np.testing.assert_array_equal(chain.start_counts_, before[1])
    with pytest.raises(ValueError, match="at least one state"):
        MarkovChain().partial_fit(batch)


def test_contexts_set_by_hand_are_in_the_order_of_states():
    chain = MarkovChain(order=2).fit(list("aabbaababb"))
    chain.contexts_ = chain.contexts_[::-1]
    with pytest.raises(ValueError, match="contexts_ must hold different contexts in the order"):
        chain.predict(["a"])
    chain = MarkovChain(order=2).fit([0, 0, 1, 0])
    chain.states_ = np.array([1, 0])
    chain.contexts_ = 1 - chain.contexts_
    assert chain.predict([1, 1, 0]).tolist() == [0, 0, 1]
    with pytest.raises(ValueError, match="partial_fit of order 2 expects states_ in sorted order"):
        chain.partial_fit([0, 1, 1])
