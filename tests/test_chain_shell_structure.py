"""Structure of a chain in terms of its labels."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import MarkovChain

pytestmark = pytest.mark.once


@pytest.fixture
def gambler():
    """Two absorbing ends, and a walk between them."""
    chain = MarkovChain()
    chain.transition_matrix_ = np.array(
        [[1, 0, 0, 0], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0, 0, 0, 1]]
    )
    chain.states_ = np.array(["broke", "one", "two", "won"])
    return chain


def test_classes_have_labels(gambler):
    classes = gambler.communicating_classes_
    assert [c.tolist() for c in classes] == [["broke"], ["one", "two"], ["won"]]
    assert gambler.class_is_closed_.tolist() == [True, False, True]
    assert gambler.class_periods_.tolist() == [1, 2, 1]


def test_several_stationary_distributions(gambler):
    np.testing.assert_array_equal(gambler.stationary_distributions_, [[1, 0, 0, 0], [0, 0, 0, 1]])
    with pytest.raises(
        AttributeError, match=r"expects one closed .* got 2.*stationary_distributions_"
    ):
        _ = gambler.stationary_distribution_
    assert not hasattr(gambler, "stationary_distribution_")
    with pytest.raises(AttributeError, match="stationary_distributions_"):
        gambler.entropy_rate()


def test_targets_are_labels(gambler):
    np.testing.assert_allclose(gambler.hitting_probabilities("won"), [0, 1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(gambler.hitting_times(["broke", "won"]), [0, 2, 2, 0])
    assert gambler.hitting_times("won").tolist() == [np.inf, np.inf, np.inf, 0]
    for targets in ("lost", ["won", "lost"], None, [], [["won"], ["one"]]):
        with pytest.raises(ValueError, match="MarkovChain: targets must be one or more of"):
            gambler.hitting_times(targets)


def test_bad_arguments(gambler):
    with pytest.raises(ValueError, match="MarkovChain: n must be None or an integer of at least 1"):
        gambler.timescales(0)
    for lag in (0, -1.0, "day", np.inf):
        with pytest.raises(ValueError, match="MarkovChain: lag must be a number above 0"):
            gambler.timescales(lag=lag)
    assert gambler.timescales(2)[0] == np.inf


def test_higher_orders_have_no_square_matrix():
    chain = MarkovChain(order=2).fit([0, 1, 0, 0, 1])
    with pytest.raises(AttributeError, match="hitting_times expects order=1, got order=2"):
        chain.hitting_times(0)
    assert not hasattr(chain, "stationary_distribution_")


@pytest.mark.parametrize("smoothing", ["mle", 0.5])
def test_sparse_matrices_have_the_same_structure(smoothing):
    X = np.random.RandomState(0).randint(0, 6, 30)
    dense, sparse = (MarkovChain(smoothing=smoothing, sparse=s).fit(X) for s in (False, True))
    np.testing.assert_allclose(
        sparse.stationary_distribution_, dense.stationary_distribution_, rtol=1e-12
    )
    np.testing.assert_allclose(sparse.hitting_times([2]), dense.hitting_times([2]), rtol=1e-12)
    np.testing.assert_allclose(sparse.timescales(), dense.timescales(), rtol=1e-9)


def test_eigenvalues_lead_with_one_for_each_closed_class(gambler):
    # The walk between the ends has the eigenvalues of [[0, 1/2], [1/2, 0]].
    np.testing.assert_allclose(np.sort(gambler.eigenvalues().real), [-0.5, 0.5, 1, 1], atol=1e-15)
    assert gambler.eigenvalues(2).tolist() == [1, 1]
    with pytest.raises(ValueError, match="n must be None or an integer of at least 1, got 0"):
        gambler.eigenvalues(0)
