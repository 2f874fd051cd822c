"""Samples of a chain: labels, beginnings, seeds, frequencies."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import MarkovChain

pytestmark = pytest.mark.once


@pytest.fixture
def chain():
    X = np.random.RandomState(0).choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=300)
    return MarkovChain(random_state=5).fit(X)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("sparse", ["auto", True])
def test_a_sample_has_the_frequencies_of_the_chain(order, sparse):
    X = np.random.RandomState(0).choice(["a", "b", "c"], p=[0.5, 0.3, 0.2], size=300)
    chain = MarkovChain(order=order, sparse=sparse, smoothing=1).fit(X)
    n = 200_000
    sample = chain.sample(n, random_state=1)
    again = MarkovChain(order=order).fit(sample)
    P = chain.transition_matrix_
    if sparse is True:
        held = P.copy()
        held.data = np.ones_like(held.data)
        P = P.toarray() + (1 - held.toarray()) * chain.unseen_proba_[:, None]
    # Six standard errors of each frequency: 27 cells, one sample.
    error = 6 * np.sqrt(P * (1 - P) / again.counts_.sum(axis=1)[:, None])
    assert (np.abs(again.transition_matrix_ - P) <= error).all()


def test_shapes_and_seeds(chain):
    assert chain.sample().shape == (1,)
    sample = chain.sample(7, 3)
    assert sample.shape == (21,)
    assert sample.dtype == chain.states_.dtype
    np.testing.assert_array_equal(sample, chain.sample(7, 3))
    np.testing.assert_array_equal(sample, chain.sample(7, 3, random_state=5))
    assert (sample != chain.sample(7, 3, random_state=6)).any()
    np.testing.assert_array_equal(
        MarkovChain().fit(sample, lengths=[7] * 3).states_, ["a", "b", "c"]
    )


def test_beginnings(chain):
    firsts = chain.sample(4, 50).reshape(50, 4)[:, 0]
    assert set(firsts) == {chain.states_[chain.start_proba_.argmax()]}
    assert set(chain.sample(4, 50, initial_state="c").reshape(50, 4)[:, 0]) == {"c"}
    sample = chain.sample(4, 3, initial_state=["a", "c", "b"])
    assert sample.reshape(3, 4)[:, 0].tolist() == ["a", "c", "b"]


def test_beginnings_of_a_higher_order():
    chain = MarkovChain(order=2).fit(list("abab"), lengths=[4])
    assert "".join(chain.sample(6, random_state=0)) == "ababab"
    sample = chain.sample(4, 2, initial_state=[["b", "a"], ["a", "b"]], random_state=0)
    assert "".join(sample) == "babaabab"
    assert "".join(chain.sample(3, initial_state=["b", "a"], random_state=0)) == "bab"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer of at least 1, got 0"),
        ({"n_sequences": 1.5}, "n_sequences must be an integer of at least 1, got 1.5"),
        ({"initial_state": "z"}, "initial_state must be one or more of the states"),
        ({"initial_state": [None]}, r"initial_state .* a, b, c, got \[None\]"),
        ({"initial_state": ["a", "b"]}, r"of shape \(\) or \(1,\)"),
        ({"random_state": "x"}, "cannot be used to seed"),
    ],
)
def test_bad_arguments(chain, arguments, message):
    with pytest.raises(ValueError, match=message):
        chain.sample(**arguments)


def test_no_context_to_begin_with():
    with pytest.warns(UserWarning, match="no transition"):
        chain = MarkovChain(order=3).fit([0, 1])
    with pytest.raises(ValueError, match="sample expects a chain with at least one context"):
        chain.sample(3)
