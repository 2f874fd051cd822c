"""Hitting times and probabilities, and passage times, of transition matrices."""

from __future__ import annotations

import numpy as np
import pytest
from chain_counts import random_chain
from scipy.sparse import csr_array

from pyestim.models.chain_passage import (
    hitting_probabilities,
    hitting_times,
    mean_first_passage_times,
)

pytestmark = pytest.mark.once


def ruin(p, k):
    """Walk on 0 ... k - 1 with absorbing ends, up with probability p."""
    matrix = np.diag(np.full(k - 1, p), 1) + np.diag(np.full(k - 1, 1 - p), -1)
    matrix[0], matrix[-1] = 0.0, 0.0
    matrix[0, 0] = matrix[-1, -1] = 1.0
    return matrix


@pytest.mark.parametrize("p", [0.5, 0.3, 0.7])
def test_gamblers_ruin(p):
    k = 12
    matrix, i, r = ruin(p, k), np.arange(k), (1 - p) / p
    top = i / (k - 1) if p == 0.5 else (1 - r**i) / (1 - r ** (k - 1))
    expected = i * (k - 1 - i) if p == 0.5 else (i - (k - 1) * top) / (1 - 2 * p)
    for form in (matrix, csr_array(matrix)):
        # The closed forms lose some digits themselves.
        np.testing.assert_allclose(hitting_probabilities(form, k - 1), top, rtol=1e-12)
        np.testing.assert_allclose(hitting_times(form, [0, k - 1]), expected, rtol=1e-12)
        times = hitting_times(form, k - 1)
        assert times[-1] == 0 and np.isinf(times[:-1]).all()
        assert (hitting_probabilities(form, [0, k - 1]) == 1).all()


def test_times_and_probabilities_by_simulation_free_recursion():
    """Sums over time of the law of a chain that stops at the target."""
    rng = np.random.default_rng(8)
    matrix = random_chain(rng, 6)
    matrix[5] = [0, 0, 0, 0, 0, 1.0]
    stopped = matrix.copy()
    stopped[2] = np.eye(6)[2]
    power = np.linalg.matrix_power(stopped, 2**12)
    np.testing.assert_allclose(hitting_probabilities(matrix, 2), power[:, 2], rtol=1e-12)
    assert hitting_times(matrix, 2).tolist() == [np.inf, np.inf, 0.0, np.inf, np.inf, np.inf]


def test_infinite_only_where_the_target_can_be_missed():
    matrix = np.array(
        [
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.0, 0.0, 1.0, 0.0, 0.0],  # to the target, surely
            [0.0, 0.0, 0.5, 0.0, 0.5],  # the target; may leave for ever
            [0.2, 0.0, 0.0, 0.4, 0.4],  # may miss it
            [0.0, 0.0, 0.0, 0.0, 1.0],
        ]
    )
    for form in (matrix, csr_array(matrix)):
        np.testing.assert_allclose(hitting_times(form, 2), [3.0, 1.0, 0.0, np.inf, np.inf])
        np.testing.assert_allclose(hitting_probabilities(form, 2), [1, 1, 1, 1 / 3, 0])
        passage = mean_first_passage_times(form)
        for j in range(5):
            np.testing.assert_allclose(passage[:, j], hitting_times(form, j), rtol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_passage_times_agree_with_hitting_times(seed):
    rng = np.random.default_rng(seed)
    matrix = np.zeros((10, 10))
    matrix[:4, :4] = random_chain(rng, 4)
    matrix[4:7, 4:7] = random_chain(rng, 3)
    matrix[7:] = rng.dirichlet(np.ones(10), size=3)
    matrix[9, 4:] = 0.0
    matrix[9] /= matrix[9].sum()  # only to the first class
    passage = mean_first_passage_times(matrix)
    for j in range(10):
        np.testing.assert_allclose(passage[:, j], hitting_times(matrix, j), rtol=1e-12)
    assert np.isfinite(passage[9, :4]).all() and np.isinf(passage[8, :7]).all()


@pytest.mark.parametrize("bad", [3, -1, [], [0, 9], 0.5, [[0]], "a", [True, False, True]])
def test_bad_targets(bad):
    matrix = np.full((3, 3), 1 / 3)
    for function in (hitting_times, hitting_probabilities):
        with pytest.raises(ValueError, match="targets must be states"):
            function(matrix, bad)
