"""Reversible chains whose stationary distribution is given."""

from __future__ import annotations

import numpy as np
import pytest
from reversible_checks import check_chain, dense, random_counts
from scipy.optimize import minimize
from scipy.sparse import csc_array, csr_array

from pyestim.models.chain_flows import _positive_solve, _sparse_positive_solve
from pyestim.models.chain_reversible import reversible_mle

pytestmark = pytest.mark.once


def check_given(fit, counts, pi):
    """Conditions of the maximum: x_ij (l_i + l_j) = S_ij with l >= 0, and l_i x_ii = C_ii."""
    k = len(pi)
    check_chain(fit, k)
    assert np.array_equal(fit.stationary, pi / pi.sum())
    x, S = pi[:, None] * dense(fit), counts + counts.T
    at = np.argwhere(S > 0)
    rows = np.zeros((len(at), k))
    np.add.at(rows, (np.arange(len(at)), at[:, 0]), x[tuple(at.T)])
    np.add.at(rows, (np.arange(len(at)), at[:, 1]), x[tuple(at.T)])
    multipliers, *_ = np.linalg.lstsq(rows, S[S > 0], rcond=None)
    assert np.abs(rows @ multipliers - S[S > 0]).max() < 1e-8 * S.max()
    assert (x[S == 0][~np.eye(k, dtype=bool)[S == 0]] == 0).all()


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize("k", [2, 5, 40, 200])
def test_given_distribution_certificate(form, k):
    rng = np.random.default_rng(k)
    counts = random_counts(k, k) + np.diag(np.ones(k))
    pi = rng.dirichlet(np.ones(k))
    fit = reversible_mle(form(counts), pi)
    assert fit.converged
    if k < 100:
        check_given(fit, counts, pi)
    check_chain(fit, k)


def test_the_estimated_distribution_given_is_the_same_fit():
    counts = random_counts(12, 5)
    free = reversible_mle(counts)
    fixed = reversible_mle(counts, free.stationary)
    assert np.abs(fixed.transition - free.transition).max() < 1e-11


@pytest.mark.parametrize("seed", range(6))
def test_states_never_seen_to_stay_against_a_general_optimiser(seed):
    """No C_ii: some states must stay all the same, others need not."""
    rng = np.random.default_rng(seed)
    k = 4
    counts = random_counts(k, seed) * ~np.eye(k, dtype=bool)
    pi = rng.dirichlet(np.ones(k))
    fit = reversible_mle(counts, pi)
    assert fit.converged
    check_chain(fit, k, rows=1e-12)
    upper = np.triu_indices(k, 1)
    S = (counts + counts.T)[upper]

    def loss(log_x):
        return -(S * log_x).sum()

    def slack(log_x):
        x = np.zeros((k, k))
        x[upper] = np.exp(log_x)
        return pi - (x + x.T).sum(axis=1)

    start = np.log(np.full(len(S), pi.min() / k))
    found = minimize(
        loss, start, constraints={"type": "ineq", "fun": slack}, options={"maxiter": 500}
    )
    ours = np.log((pi[:, None] * fit.transition)[upper])
    # SLSQP stops at 1e-6 of its loss.
    assert loss(ours) <= found.fun + 1e-5 * abs(found.fun)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_given_distribution_with_states_never_seen(form):
    counts = np.zeros((4, 4))
    counts[:2, :2] = [[1, 3], [2, 1]]
    fit = reversible_mle(form(counts), [0.3, 0.4, 0.2, 0.1])
    assert fit.converged
    check_chain(fit, 4)
    assert np.array_equal(dense(fit)[2:], np.eye(4)[2:])
    nothing = reversible_mle(form(np.zeros((2, 2))), [0.5, 0.5])
    assert np.array_equal(dense(nothing), np.eye(2))
    assert nothing.converged


@pytest.mark.parametrize("seed", range(20))
def test_counts_of_any_size_converge(seed):
    """Twelve orders of magnitude in the counts, given distributions down to 1e-12."""
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 12))
    counts = rng.integers(0, 10, size=(k, k)) * (rng.random((k, k)) < rng.random())
    counts = counts * 10.0 ** rng.uniform(-6, 6, size=(k, k))
    pi = rng.dirichlet(np.full(k, 0.3)) + 1e-12
    for fit in (reversible_mle(counts), reversible_mle(counts, pi / pi.sum())):
        assert fit.converged
        check_chain(fit, k, rows=1e-12, flows=200)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize("k", [2, 3, 6, 10, 200])
def test_walks_that_never_stay_with_a_given_distribution(form, k):
    """Bipartite counts: the equations for the multipliers are singular."""
    for seed in range(30 if k < 200 else 3):
        rng = np.random.default_rng(seed)
        counts = np.zeros((k, k))
        i = np.arange(k - 1)
        counts[i, i + 1], counts[i + 1, i] = rng.integers(1, 9, size=(2, k - 1))
        pi = rng.dirichlet(np.ones(k))
        fit = reversible_mle(form(counts), pi)
        best = reversible_mle(counts, pi)
        assert fit.converged
        check_chain(fit, k, rows=1e-11)
        np.testing.assert_allclose(fit.stationary, pi, rtol=1e-12)
        np.testing.assert_allclose(dense(fit), best.transition, atol=1e-6)


@pytest.mark.parametrize("weights", [np.ones(160), np.random.default_rng(1).random(160)])
def test_singular_systems_are_lifted(weights):
    """D + W of a bipartite graph: any right-hand side in its range has a solution."""
    W = np.diag(weights, 1) + np.diag(weights, -1)
    matrix = W + np.diag(W.sum(axis=1))
    b = matrix @ np.random.default_rng(0).random(161)
    for x in (_positive_solve(matrix, b), _sparse_positive_solve(csc_array(matrix), b)):
        # What a lift of at most 1e-6 leaves of b, and x is no larger than a solution.
        assert np.abs(matrix @ x - b).max() < 1e-6 * matrix.diagonal().max() * np.abs(x).max()
        assert np.abs(x).max() < 2


def test_given_distribution_far_from_the_counts():
    counts = random_counts(30, 3) + 1
    pi = np.exp(-np.arange(30.0))
    pi /= pi.sum()
    fit = reversible_mle(counts, pi)
    assert fit.converged
    check_chain(fit, 30)
