"""Risks of smoothing rules by simulation, against exact sums over all paths and against theory."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from chain_counts import count_slowly, random_chain

from pyestim.models.chain_risk import LOSSES, simulate_risk
from pyestim.models.chain_smoothing import smoothed
from pyestim.models.chain_structure import stationary
from pyestim.models.divergences import divergence

pytestmark = pytest.mark.once

RULES = ["laplace", 0.5, "minimax-l2", "minimax-kl", "adaptive"]


def exact_risk(rule, matrix, n, loss, start):
    """Sum over all paths."""
    k, total = len(matrix), 0.0
    for path in product(range(k), repeat=n):
        chance = start[path[0]] * math.prod(matrix[a, b] for a, b in pairwise(path))
        estimate = smoothed(count_slowly([path], k), rule).matrix
        if loss == "prediction-kl":
            total += chance * divergence("kl", matrix[path[-1]], estimate[path[-1]])
        else:
            total += chance * divergence(loss, matrix, estimate).max()
    return total


@pytest.mark.parametrize("loss", LOSSES)
def test_against_all_paths(loss):
    rng = np.random.default_rng(0)
    matrix = np.array([[0.9, 0.1], [0.3, 0.7]])
    found = simulate_risk(RULES, matrix, 8, loss=loss, n_repeats=4000, seed=3)
    for rule, risk in zip(RULES, found, strict=True):
        expected = exact_risk(rule, matrix, 8, loss, stationary(matrix)[0])
        assert abs(risk.risk - expected) < 4.5 * risk.standard_error, rule
        assert risk.standard_error < 0.05 * expected + 1e-3
    third = random_chain(rng, 3)
    one = simulate_risk("adaptive", third, 5, loss=loss, n_repeats=4000, start=2)
    assert (
        abs(one.risk - exact_risk("adaptive", third, 5, loss, [0, 0, 1])) < 4.5 * one.standard_error
    )


def test_rows_and_batches(monkeypatch):
    matrix = random_chain(np.random.default_rng(1), 4)
    whole = simulate_risk([1, "minimax-kl"], matrix, 50, loss="kl", n_repeats=30)
    monkeypatch.setattr("pyestim.models.chain_risk.BATCH_STATES", 350)
    parts = simulate_risk([1, "minimax-kl"], matrix, 50, loss="kl", n_repeats=30)
    for a, b in zip(whole, parts, strict=True):
        assert a.risk == pytest.approx(b.risk, rel=1e-13)
        np.testing.assert_allclose(a.row_risks, b.row_risks, rtol=1e-13)
        np.testing.assert_allclose(a.row_standard_errors, b.row_standard_errors, rtol=1e-8)
        assert a.risk >= a.row_risks.max() and a.row_risks.shape == (4,)
    prediction = simulate_risk(1, matrix, 50, n_repeats=30)
    assert prediction.row_risks is None and prediction.loss == "prediction-kl"
    assert "1: prediction-kl risk" in str(prediction)


def test_large_samples_reach_the_theory():
    """A row of N transitions has (k - 1) f''(1) / (2 N)."""
    matrix = np.full((3, 3), 1 / 3) + 0.1 * np.array([[1, -1, 0], [0, 1, -1], [-1, 0, 1]])
    n = 6000
    for loss, unit in (("kl", 1.0), ("chi-square", 2.0), ("hellinger", 0.5), ("alpha", 1.0)):
        risk = simulate_risk("laplace", matrix, n, loss=loss, n_repeats=1500)
        limit = unit * 2 / (2 * n * stationary(matrix)[0])
        # The next order is relative 1 / N, N = 2000.
        slack = 4.5 * risk.row_standard_errors + 3e-3 * limit
        assert (np.abs(risk.row_risks - limit) < slack).all()


def test_the_maximum_likelihood_estimate_has_infinite_kullback_leibler_risk():
    risk = simulate_risk("mle", np.array([[0.5, 0.5], [0.01, 0.99]]), 20, loss="kl", n_repeats=200)
    assert risk.risk == risk.standard_error == np.inf


def test_bad_input():
    matrix = np.full((2, 2), 0.5)
    with pytest.raises(ValueError, match="loss must be one of 'prediction-kl', 'kl'"):
        simulate_risk(1, matrix, 10, loss="tv")
    with pytest.raises(ValueError, match="smoothing must be one of"):
        simulate_risk([1, "none"], matrix, 10)
    for n, repeats in ((1, 10), (10, 1)):
        with pytest.raises(ValueError, match="at least 2"):
            simulate_risk(1, matrix, n, n_repeats=repeats)
    with pytest.raises(ValueError, match="2 closed classes"):
        simulate_risk(1, np.eye(2), 10)
    for start in ("uniform", 2, 0.5, np.ones(3) / 3):
        with pytest.raises(ValueError, match="start must be"):
            simulate_risk(1, matrix, 10, start=start)
    with pytest.raises(ValueError, match="row 0"):
        simulate_risk(1, np.ones((2, 2)), 10)
