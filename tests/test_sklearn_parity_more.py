"""Promises of `sklearn.mixture.GaussianMixture` that its own tests state, kept by ours: part two.

One function for each public-API test of scikit-learn, written anew; its name says which.
`docs/scikit-learn-parity.md` lists all of them, with every exception and its reason.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from blobs import ESTIMATED, TYPES, Truth
from sklearn.exceptions import NotFittedError

from pyestim import GaussianMixture

INITS = ("random", "random_from_data", "k-means++", "kmeans")
NOT_FITTED = "This GaussianMixture instance is not fitted yet"

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@quiet
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_warm_start(seed):
    X = np.random.RandomState(seed).uniform(size=(500, 2))
    arguments = {"reg_covar": 0, "random_state": seed}
    once = GaussianMixture(2, max_iter=2, **arguments).fit(X)
    twice = GaussianMixture(2, max_iter=1, warm_start=True, **arguments)
    first, second = twice.fit(X).score(X), twice.fit(X).score(X)
    for name in ESTIMATED:
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name), rtol=1e-9)
    assert second > first
    once = GaussianMixture(2, max_iter=5, tol=1e-6, **arguments).fit(X)
    assert not once.converged_
    slow = GaussianMixture(2, max_iter=5, warm_start=True, tol=1e-6, **arguments)
    assert any(slow.fit(X).converged_ for _ in range(1000))


@quiet
@pytest.mark.parametrize("max_iter", [1, 2, 50])
def test_convergence_detected_with_warm_start(max_iter):
    X = Truth().X["full"]
    mixture = GaussianMixture(2, warm_start=True, max_iter=max_iter, random_state=0)
    assert any(mixture.fit(X).converged_ for _ in range(100))
    assert mixture.n_iter_ <= max_iter


@quiet
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_score(dtype):
    X = Truth(scale=7.0).X["full"].astype(dtype)
    short = GaussianMixture(2, max_iter=1, reg_covar=0, random_state=0)
    with pytest.raises(NotFittedError, match=NOT_FITTED):
        short.score(X)
    short.fit(X)
    assert short.score(X) == pytest.approx(short.score_samples(X).mean(), rel=1e-12)
    long = GaussianMixture(2, reg_covar=0, tol=1e-10, max_iter=1000, random_state=0).fit(X)
    assert long.score(X) > short.score(X)


def test_score_samples():
    X = Truth(scale=7.0).X["full"]
    mixture = GaussianMixture(2, reg_covar=0, random_state=0)
    with pytest.raises(NotFittedError, match=NOT_FITTED):
        mixture.score_samples(X)
    assert mixture.fit(X).score_samples(X).shape == (len(X),)


@quiet
@pytest.mark.parametrize("covariance_type", TYPES)
def test_monotonic_likelihood(covariance_type):
    X = Truth(scale=7.0).X[covariance_type]
    mixture = GaussianMixture(
        2,
        covariance_type=covariance_type,
        reg_covar=0,
        warm_start=True,
        max_iter=1,
        random_state=0,
        tol=1e-7,
    )
    score = -np.inf
    for _ in range(600):
        before, score = score, mixture.fit(X).score(X)
        # The sum of n rounded terms moves by this much without any change.
        assert score >= before - 1e-14 * abs(before if np.isfinite(before) else 0.0)
        if mixture.converged_:
            break
    assert mixture.converged_


@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_regularisation(covariance_type, reg_covar):
    # Where scikit-learn raises for reg_covar=0, a floor of 1e-12 remains here.
    X = np.repeat([np.ones(5), np.zeros(5)], 5, axis=0)
    mixture = GaussianMixture(
        10, reg_covar=reg_covar, covariance_type=covariance_type, random_state=0
    ).fit(X)
    assert all(np.isfinite(getattr(mixture, name)).all() for name in ESTIMATED)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fitted_precision_covariance_consistency(covariance_type, dtype):
    X = Truth(scale=7.0).X[covariance_type].astype(dtype)
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0, n_init=5).fit(X)
    cov, prec, factor = mixture.covariances_, mixture.precisions_, mixture.precisions_cholesky_
    if covariance_type in ("full", "tied"):
        np.testing.assert_allclose(np.linalg.inv(prec), cov, rtol=1e-8)
        np.testing.assert_allclose(factor @ np.swapaxes(factor, -1, -2), prec, rtol=1e-12)
    else:
        np.testing.assert_allclose(1 / prec, cov, rtol=1e-12)
        np.testing.assert_allclose(factor**2, prec, rtol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_sample(covariance_type):
    truth = Truth(scale=7.0, k=3)
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    with pytest.raises(NotFittedError, match="This GaussianMixture instance is not fitted"):
        mixture.sample(0)
    mixture.fit(truth.X[covariance_type])
    with pytest.raises(ValueError, match="Invalid value for 'n_samples'"):
        mixture.sample(0)
    X, y = mixture.sample(20_000)
    assert X.shape == (20_000, 2)
    means = np.array([X[y == k].mean(axis=0) for k in range(3)])
    np.testing.assert_allclose(means, mixture.means_, atol=0.1)
    for size in range(1, 100):
        rows, labels = mixture.sample(size)
        assert rows.shape == (size, 2)
        assert labels.shape == (size,)


@quiet
@pytest.mark.parametrize("seed", range(15))
def test_init(seed):
    X = Truth(seed, n=50, scale=1.0).X["full"]
    one, ten = (
        GaussianMixture(2, n_init=n_init, max_iter=1, random_state=seed).fit(X).lower_bound_
        for n_init in (1, 10)
    )
    assert ten >= one


@quiet
def test_setting_best_params():
    # Very narrow components at single rows, beside wide ones.
    X = np.random.RandomState(0).uniform(size=(30, 3))
    mixture = GaussianMixture(
        6,
        covariance_type="spherical",
        reg_covar=0,
        weights_init=[1 / 30, 1 / 30, 2 / 30, 2 / 30, 0.7, 0.1],
        means_init=X[[3, 7, 11, 15, 19, 23]],
        precisions_init=[1e6, 1e6, 500.0, 200.0, 16.0, 85.0],
        max_iter=1,
    ).fit(X)
    assert not mixture.converged_
    for name in (*ESTIMATED, "n_iter_", "lower_bound_", "lower_bounds_"):
        assert np.isfinite(getattr(mixture, name)).all()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("init_params", INITS)
def test_init_means_not_duplicated(init_params, seed):
    X = Truth(seed, scale=5.0).X["full"]
    mixture = GaussianMixture(2, init_params=init_params, random_state=seed, max_iter=0).fit(X)
    for a, b in itertools.combinations(mixture.means_, 2):
        assert not np.allclose(a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("init_params", INITS)
def test_means_for_all_inits(init_params, seed, dtype):
    X = Truth(seed, scale=5.0).X["full"].astype(dtype)
    mixture = GaussianMixture(2, init_params=init_params, random_state=seed, max_iter=1000).fit(X)
    assert mixture.means_.shape == (2, 2)
    assert np.all(X.min(axis=0) <= mixture.means_)
    assert np.all(mixture.means_ <= X.max(axis=0))
    assert mixture.converged_


def test_max_iter_zero():
    means = [[20, 30], [30, 25]]
    mixture = GaussianMixture(2, means_init=means, tol=1e-6, max_iter=0, random_state=0)
    np.testing.assert_allclose(mixture.fit(Truth(scale=5.0).X["full"]).means_, means, rtol=1e-14)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_precisions_init_diag(dtype):
    rng = np.random.RandomState(0)
    stretched = rng.normal(size=(300, 2)) @ np.array([[0.0, -0.7], [3.5, 0.7]])
    X = np.concatenate([rng.normal(size=(300, 2)) + 20, stretched]).astype(dtype)
    arguments = {"covariance_type": "diag", "init_params": np.repeat([0, 1], 300)}
    start = GaussianMixture(2, max_iter=0, **arguments).fit(X).precisions_
    given = GaussianMixture(2, precisions_init=start, **arguments).fit(X)
    free = GaussianMixture(2, **arguments).fit(X)
    assert given.n_iter_ == free.n_iter_
    np.testing.assert_allclose(given.precisions_cholesky_, free.precisions_cholesky_, rtol=1e-7)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_precisions_init(covariance_type):
    truth = Truth(k=4, d=3)
    mixture = GaussianMixture(
        4,
        covariance_type=covariance_type,
        precisions_init=truth.precisions[covariance_type],
        max_iter=0,
        random_state=0,
    ).fit(np.random.RandomState(0).uniform(size=(100, 3)))
    np.testing.assert_allclose(mixture.precisions_, truth.precisions[covariance_type], rtol=1e-9)


def test_single_component_stable():
    X = np.random.RandomState(0).normal(size=(3, 2))
    assert np.isfinite(GaussianMixture(1).fit(X).sample()[0]).all()


@pytest.mark.parametrize("covariance_type", TYPES)
def test_all_init_does_not_estimate(covariance_type):
    truth = Truth()
    start = truth.start(covariance_type)
    mixture = GaussianMixture(2, covariance_type=covariance_type, max_iter=0, **start)
    mixture.fit(np.random.RandomState(0).normal(size=(50, 2)))
    np.testing.assert_allclose(mixture.weights_, truth.weights, rtol=1e-14)
    np.testing.assert_allclose(mixture.means_, truth.means, rtol=1e-12)
    np.testing.assert_allclose(
        mixture.covariances_, truth.covariances[covariance_type], rtol=1e-9, atol=1e-12
    )


@quiet
def test_n_iter():
    X = np.random.RandomState(0).uniform(size=(10, 5))
    assert GaussianMixture(max_iter=1).fit(X).n_iter_ == 1


def test_n_components_greater_than_n_samples_error():
    X = np.random.RandomState(0).uniform(size=(10, 5))
    with pytest.raises(ValueError, match="Expected n_samples >= n_components"):
        GaussianMixture(12).fit(X)
