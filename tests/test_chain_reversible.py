"""Reversible chains: certificates that do not share code with the fit, exact cases, and limits."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from reversible_checks import check_chain, dense, log_likelihood, random_counts, stationarity
from scipy.sparse import csr_array, issparse

from pyestim.models.chain_reversible import reversible_mle

pytestmark = pytest.mark.once

REFERENCE = Path(__file__).parent / "reference" / "markov"


def reference_cases():
    for file in sorted(REFERENCE.glob("markov_*.json")):
        cases = json.loads(file.read_text())["cases"]
        counts = next(np.array(c["expected"]["counts"]) for c in cases if "counts" in c["expected"])
        for case in cases:
            if case["spec"].get("reversible"):
                yield pytest.param(counts, case, id=case["id"])


# -- references and exact cases --------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize(("counts", "case"), reference_cases())
def test_reference(counts, case, form):
    fit = reversible_mle(form(counts), case["spec"].get("fixed_stationary_distribution"))
    assert fit.converged
    assert issparse(fit.transition) == (form is csr_array)
    expected = case["expected"]
    assert np.abs(dense(fit) - expected["transition_matrix"]).max() < 1e-12
    if "stationary_distribution" in expected:
        assert np.abs(fit.stationary - expected["stationary_distribution"]).max() < 1e-12
    likelihood = log_likelihood(counts, dense(fit))
    assert likelihood == pytest.approx(expected["loglik_conditional_on_first"], rel=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 10, 60, 200])
def test_certificate(k):
    counts = random_counts(k, k, low=k < 3)
    fit = reversible_mle(counts)
    assert fit.converged
    check_chain(fit, k)
    # A residual of 1e-12 per state; P and pi are each rounded.
    assert stationarity(counts, fit.transition, fit.stationary) < 1e-11


def test_agrees_with_the_self_consistent_iteration():
    counts = random_counts(6, 3)
    S, C = counts + counts.T, counts.sum(axis=1)
    x = S.copy()
    for _ in range(2000):
        rate = C / x.sum(axis=1)
        x = S / (rate[:, None] + rate)
    fit = reversible_mle(counts)
    assert np.abs(fit.transition - x / x.sum(axis=1, keepdims=True)).max() < 1e-13


def test_symmetric_counts_need_no_iteration():
    counts = random_counts(7, 0) + 1
    counts += counts.T
    fit = reversible_mle(counts)
    assert (fit.n_iter, fit.residual) == (0, 0.0)
    assert np.allclose(fit.transition, counts / counts.sum(axis=1, keepdims=True), rtol=1e-15)
    assert np.allclose(fit.stationary, counts.sum(axis=1) / counts.sum(), rtol=1e-15)


def line(k, up, down, stay=5.0):
    counts = np.diag(np.full(k, stay))
    counts[np.arange(k - 1), np.arange(1, k)] = up
    counts[np.arange(1, k), np.arange(k - 1)] = down
    return counts


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize(
    ("k", "up", "down"), [(40, 3, 4), (40, 1e6, 1), (300, 2, 1), (300, 1e-3, 1), (300, 1e3, 1)]
)
def test_on_a_tree_every_chain_is_reversible(form, k, up, down):
    """So the estimate is the unrestricted one, however far apart the probabilities are."""
    counts = line(k, up, down)
    fit = reversible_mle(form(counts))
    assert fit.converged
    P = counts / counts.sum(axis=1, keepdims=True)
    assert np.abs(dense(fit) / np.where(P > 0, P, 1) - (P > 0)).max() < 1e-9
    log_pi = np.log(up / down) * np.arange(k) + np.log(counts.sum(axis=1))
    pi = np.exp(log_pi - log_pi.max())
    assert np.allclose(fit.stationary, pi / pi.sum(), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_metastable_sets_exchange_as_counted(form):
    """Two sets of 100 states, 1e9 times as often inside as across.

    Inside the counts are symmetric, so by the conditions of the pair that links the sets (i, j):
    P_ij = C_ij / C_i and P_ji = C_ji / C_j, and the sets have masses in the ratio of the flows.
    """
    rng = np.random.default_rng(5)
    block = rng.integers(1, 10**9, size=(100, 100))
    counts = np.zeros((200, 200))
    counts[:100, :100] = block + block.T
    counts[100:, 100:] = block + block.T
    counts[3, 103], counts[103, 3] = 1, 4
    fit = reversible_mle(form(counts))
    assert fit.converged
    # sum_j C_ij = 2e11 here, and its rounding against one transition bounds what is possible.
    assert fit.stationary[100:].sum() == pytest.approx(0.2, rel=1e-4)
    assert fit.stationary[:100].sum() == pytest.approx(0.8, rel=1e-4)
    P = dense(fit)
    assert P[3, 103] == pytest.approx(1 / counts[3].sum(), rel=1e-4)


# -- laws ------------------------------------------------------------------------------------------


def test_weights_scale_and_order_of_states_change_nothing():
    counts = random_counts(9, 1)
    fit = reversible_mle(counts)
    order = np.random.default_rng(0).permutation(9)
    for other, expected in [
        (reversible_mle(counts * 1e-7), fit.transition),
        (reversible_mle(counts * 1e12), fit.transition),
        (reversible_mle(counts.astype(np.int32)), fit.transition),
        (reversible_mle(counts[np.ix_(order, order)]), fit.transition[np.ix_(order, order)]),
        (reversible_mle(csr_array(counts)), fit.transition),
    ]:
        assert np.abs(dense(other) - expected).max() < 1e-13


@pytest.mark.parametrize("k", [5, 200])
@pytest.mark.parametrize("given", [False, True])
def test_likelihood_rises(k, given):
    counts = random_counts(k, 2) * np.random.default_rng(7).exponential(size=(k, k)) ** 4
    pi = np.random.default_rng(1).dirichlet(np.ones(k)) if given else None
    final = reversible_mle(counts, pi)
    best = log_likelihood(counts, dense(final))
    assert final.converged
    before = -np.inf
    for n in range(final.n_iter + 1):
        fit = reversible_mle(counts, pi, max_iter=n)
        assert fit.converged == (n == final.n_iter)
        if given:
            continue  # unfinished rows still violate the given distribution
        check_chain(fit, k)
        now = log_likelihood(counts, dense(fit))
        assert before - 1e-12 * abs(now) <= now <= best + 1e-12 * abs(best)
        before = now


def test_not_worse_than_any_reversible_chain_nearby():
    counts = random_counts(8, 4)
    fit = reversible_mle(counts)
    best = log_likelihood(counts, fit.transition)
    x = fit.stationary[:, None] * fit.transition
    rng = np.random.default_rng(0)
    for size in (1e-1, 1e-2, 1e-3):
        for _ in range(20):
            change = rng.standard_normal(x.shape)
            other = x * np.exp(size * (change + change.T))
            other /= other.sum(axis=1, keepdims=True)
            assert log_likelihood(counts, other) < best


# -- limits ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_a_state_that_is_left_for_good_has_probability_zero(form):
    """State 0 is the first of the trajectory: its row is as counted, and nothing leads back."""
    counts = np.zeros((4, 4))
    counts[1:, 1:] = random_counts(3, 0) + 1
    counts[0, :3] = 2, 3, 5
    fit = reversible_mle(form(counts))
    assert fit.converged
    check_chain(fit, 4)
    assert fit.stationary[0] == 0
    assert np.allclose(dense(fit)[0], [0.2, 0.3, 0.5, 0], atol=1e-15)
    inner = reversible_mle(counts[1:, 1:])
    assert np.abs(dense(fit)[1:, 1:] - inner.transition).max() < 1e-14
    assert np.abs(fit.stationary[1:] - inner.stationary).max() < 1e-14


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_the_last_state_of_a_trajectory_returns_by_the_flow_that_reaches_it(form):
    counts = np.zeros((4, 4))
    counts[:3, :3] = random_counts(3, 1) + 1
    counts[0, 3], counts[2, 3] = 1, 2
    fit = reversible_mle(form(counts))
    assert fit.converged
    check_chain(fit, 4)
    assert (fit.stationary > 0).all()
    assert dense(fit)[3, 3] == 0
    assert dense(fit)[3, 1] == 0
    # The supremum: the same as with a little of a return to it counted.
    nearly = counts.copy()
    nearly[3, 0] = 1e-9
    other = log_likelihood(counts, reversible_mle(nearly).transition)
    assert log_likelihood(counts, dense(fit)) >= other - 1e-6


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_states_that_were_never_seen(form):
    counts = np.zeros((5, 5))
    counts[np.ix_([0, 3], [0, 3])] = [[3, 1], [1, 5]]
    fit = reversible_mle(form(counts))
    check_chain(fit, 5)
    assert np.allclose(fit.stationary, [0.4, 0, 0, 0.6, 0])
    assert np.allclose(dense(fit)[[1, 2, 4]], 0.2)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_sets_that_are_never_left_share_by_their_counts(form):
    """{0, 1} and {3, 4} are closed, 2 leads to both, 5 ends a visit from {3, 4}."""
    counts = np.zeros((6, 6))
    counts[np.ix_([0, 1], [0, 1])] = [[2, 4], [3, 1]]
    counts[np.ix_([3, 4], [3, 4])] = [[1, 4], [5, 9]]
    counts[2, [0, 3]] = 1, 1
    counts[4, 5] = 1
    fit = reversible_mle(form(counts))
    assert fit.converged
    check_chain(fit, 6)
    assert fit.stationary[2] == 0
    assert (fit.stationary[[0, 1, 3, 4, 5]] > 0).all()
    assert fit.stationary[:2].sum() / fit.stationary[3:5].sum() == pytest.approx(21 / 40)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_nothing_counted(form):
    fit = reversible_mle(form(np.zeros((3, 3))))
    check_chain(fit, 3)
    assert np.allclose(dense(fit), 1 / 3)
    assert np.allclose(fit.stationary, 1 / 3)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize("seed", range(30))
def test_any_small_counts_give_a_reversible_chain(form, seed):
    """Mostly zeros: every kind of class structure."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(2, 9))
    counts = rng.integers(0, 4, size=(k, k)) * (rng.random((k, k)) < 0.3)
    fit = reversible_mle(form(counts))
    assert fit.converged
    check_chain(fit, k)
    assert np.isfinite(log_likelihood(counts, dense(fit)))
    # Not below a reversible chain that is nearly the unrestricted estimate of tiny prior counts.
    prior = reversible_mle(counts + 1e-6)
    assert prior.converged
    assert log_likelihood(counts, dense(fit)) >= log_likelihood(counts, dense(prior)) - 1e-7


# -- hostile input ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "pi", "match"),
    [
        ([[1.0, 2.0]], None, "counts must be square"),
        (np.zeros((0, 0)), None, "counts must be square"),
        ([[1.0, -1.0], [0, 1]], None, "not be negative, NaN or infinite"),
        ([[1.0, np.nan], [0, 1]], None, "not be negative, NaN or infinite"),
        (csr_array([[1.0, np.inf], [0, 1]]), None, "not be negative, NaN or infinite"),
        (np.ones((2, 2)), [1.0], r"must have shape \(2,\)"),
        (np.ones((2, 2)), [0.7, 0.7], "sum to one"),
        (np.ones((2, 2)), [1.5, -0.5], "non-negative"),
        (np.ones((2, 2)), [np.nan, 1.0], "non-negative"),
        (np.ones((2, 2)), [1.0, 0.0], "state 1 has counts but the given stationary"),
    ],
)
def test_wrong_input_is_named(counts, pi, match):
    with pytest.raises(ValueError, match=match):
        reversible_mle(counts, pi)


def test_unfinished_fits_say_so():
    fit = reversible_mle(random_counts(5, 0), max_iter=0)
    assert not fit.converged
    assert fit.residual > 1e-6
    check_chain(fit, 5)
