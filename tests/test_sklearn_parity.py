"""Promises of `sklearn.mixture.GaussianMixture` that its own tests state, kept by ours: part one.

One function for each public-API test of scikit-learn, written anew; its name says which.
`docs/scikit-learn-parity.md` lists all of them, with every exception and its reason.
"""

from __future__ import annotations

import copy
import re
import warnings

import numpy as np
import pytest
from blobs import TYPES, Truth
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

from pyestim import GaussianMixture

NOT_FITTED = "This GaussianMixture instance is not fitted yet"

quiet = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def matched(truth, mixture):
    """Order of the fitted components that matches the true ones."""
    gap = np.abs(truth.means[:, None] - mixture.means_).sum(axis=2)
    return linear_sum_assignment(gap)[1]


def test_attributes():
    arguments = {
        "n_components": 2,
        "tol": 1e-4,
        "n_init": 3,
        "max_iter": 300,
        "reg_covar": 1e-1,
        "covariance_type": "full",
        "init_params": "random",
    }
    mixture = GaussianMixture(**arguments).fit(np.random.RandomState(0).uniform(size=(10, 2)))
    assert {name: getattr(mixture, name) for name in arguments} == arguments


def test_check_weights():
    truth = Truth()
    X = truth.X["full"]
    mixture = GaussianMixture(2)
    bad = np.array([1.25, 1.5])
    for value, message in (
        (np.ones((2, 1)), "The parameter 'weights' should have the shape of (2,), but got (2, 1)"),
        (
            bad,
            "The parameter 'weights' should be in the range [0, 1], but got max value 1.50000, "
            "min value 1.25000",
        ),
        (
            np.array([0.25, 0.5]),
            "The parameter 'weights' should be normalized, but got sum(weights) = 0.75000",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            mixture.set_params(weights_init=value).fit(X)
    mixture.set_params(weights_init=truth.weights).fit(X)
    np.testing.assert_array_equal(mixture.weights_init, truth.weights)


def test_check_means():
    truth = Truth()
    mixture = GaussianMixture(2, means_init=np.zeros((3, 2)))
    with pytest.raises(ValueError, match="The parameter 'means' should have the shape of "):
        mixture.fit(truth.X["full"])
    mixture.set_params(means_init=truth.means).fit(truth.X["full"])
    np.testing.assert_array_equal(mixture.means_init, truth.means)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_check_precisions(covariance_type):
    truth = Truth()
    X = truth.X[covariance_type]
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0)
    larger = {"full": (3, 2, 2), "tied": (3, 3), "diag": (3, 2), "spherical": (3,)}
    with pytest.raises(
        ValueError, match=f"The parameter '{covariance_type} precision' should have the shape of"
    ):
        mixture.set_params(precisions_init=np.ones(larger[covariance_type])).fit(X)
    kind = "symmetric, positive-definite" if covariance_type in ("full", "tied") else "positive"
    with pytest.raises(ValueError, match=f"'{covariance_type} precision' should be {kind}"):
        mixture.set_params(precisions_init=-truth.precisions[covariance_type]).fit(X)
    mixture.set_params(precisions_init=truth.precisions[covariance_type]).fit(X)
    np.testing.assert_array_equal(mixture.precisions_init, truth.precisions[covariance_type])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_estimate_log_prob_resp(covariance_type):
    truth = Truth(scale=5.0)
    X = np.random.RandomState(0).uniform(size=(200, 2))
    start = truth.start(covariance_type)
    kept = copy.deepcopy(start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(2, covariance_type=covariance_type, **start).fit(X)
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1.0, rtol=1e-12)
    for name, value in kept.items():
        np.testing.assert_array_equal(getattr(mixture, name), value)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_predict_predict_proba(covariance_type):
    truth = Truth()
    X = truth.X[covariance_type]
    mixture = GaussianMixture(2, covariance_type=covariance_type, **truth.start(covariance_type))
    with pytest.raises(NotFittedError, match=NOT_FITTED):
        mixture.predict(X)
    labels = mixture.fit(X).predict(X)
    np.testing.assert_array_equal(labels, mixture.predict_proba(X).argmax(axis=1))
    assert adjusted_rand_score(truth.y, labels) > 0.95


@quiet
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("max_iter", "tol"), [(2, 1e-7), (2, 1e-1), (300, 1e-7), (300, 1e-1)])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit_predict(covariance_type, max_iter, tol, dtype):
    truth = Truth(seed=1)
    X = truth.X[covariance_type].astype(dtype)
    mixture = GaussianMixture(
        2,
        covariance_type=covariance_type,
        max_iter=max_iter,
        tol=tol,
        **truth.start(covariance_type),
    )
    apart = copy.deepcopy(mixture).fit(X).predict(X)
    labels = mixture.fit_predict(X)
    np.testing.assert_array_equal(labels, apart)
    assert adjusted_rand_score(truth.y, labels) > 0.95


def test_fit_predict_n_init():
    X = np.random.RandomState(0).normal(size=(1000, 5))
    mixture = GaussianMixture(5, n_init=5, random_state=0, max_iter=1000)
    np.testing.assert_array_equal(mixture.fit_predict(X), mixture.predict(X))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit(covariance_type, dtype):
    truth = Truth(n=1000)
    mixture = GaussianMixture(
        2, n_init=20, reg_covar=0, random_state=0, covariance_type=covariance_type
    ).fit(truth.X[covariance_type].astype(dtype))
    order = matched(truth, mixture)
    np.testing.assert_allclose(mixture.weights_[order], truth.weights, atol=0.02)
    np.testing.assert_allclose(mixture.means_[order], truth.means, atol=0.2)
    estimated, true = mixture.covariances_, truth.covariances[covariance_type]
    if covariance_type != "tied":
        estimated = estimated[order]
    np.testing.assert_allclose(estimated, true, rtol=0.3, atol=0.15)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit_best_params(covariance_type):
    truth = Truth()
    X = truth.X[covariance_type]
    arguments = {
        "covariance_type": covariance_type,
        "reg_covar": 0,
        "random_state": np.random.RandomState(0),
    }
    single = [GaussianMixture(2, **arguments).fit(X).score(X) for _ in range(10)]
    best = GaussianMixture(2, n_init=10, **arguments).fit(X).score(X)
    assert best == pytest.approx(max(single), abs=1e-7)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit_convergence_warning(covariance_type):
    truth = Truth(scale=1.0)
    mixture = GaussianMixture(
        2, max_iter=1, reg_covar=0, random_state=0, covariance_type=covariance_type
    )
    message = (
        "Best performing initialization did not converge. Try different init parameters, or "
        "increase max_iter, tol, or check for degenerate data."
    )
    with pytest.warns(ConvergenceWarning, match=f"^{re.escape(message)}"):
        mixture.fit(truth.X[covariance_type])


@pytest.mark.parametrize("covariance_type", TYPES)
def test_multiple_init(covariance_type):
    X = np.random.RandomState(0).normal(size=(50, 5))
    arguments = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 1000}
    one = GaussianMixture(2, **arguments).fit(X).score(X)
    five = GaussianMixture(2, n_init=5, **arguments).fit(X).score(X)
    assert five >= one


@pytest.mark.parametrize(
    ("covariance_type", "expected"), [("spherical", 13), ("diag", 21), ("tied", 26), ("full", 41)]
)
def test_n_parameters(covariance_type, expected):
    X = np.random.RandomState(0).normal(size=(50, 5))
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0, max_iter=1000)
    assert mixture.fit(X).n_parameters_ == expected


def test_bic_1d_1component():
    X = np.random.RandomState(0).normal(size=(100, 1))
    full, *others = (GaussianMixture(1, covariance_type=name).fit(X).bic(X) for name in TYPES)
    np.testing.assert_allclose(others, full, rtol=1e-10)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_aic_bic(covariance_type):
    n, d = 50, 3
    X = np.random.RandomState(0).normal(size=(n, d))
    entropy = 0.5 * (np.linalg.slogdet(np.cov(X.T, bias=True))[1] + d * (1 + np.log(2 * np.pi)))
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0, max_iter=1000)
    mixture.fit(X)
    p = mixture.n_parameters_
    assert (mixture.aic(X) - (2 * n * entropy + 2 * p)) / n < d / np.sqrt(n)
    assert (mixture.bic(X) - (2 * n * entropy + np.log(n) * p)) / n < d / np.sqrt(n)
    assert mixture.aic(X) == pytest.approx(2 * p - 2 * n * mixture.score(X))
    assert mixture.bic(X) == pytest.approx(np.log(n) * p - 2 * n * mixture.score(X))


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_verbose(covariance_type, verbose, capsys):
    X = Truth().X[covariance_type]
    GaussianMixture(
        2, random_state=0, covariance_type=covariance_type, verbose=verbose, verbose_interval=1
    ).fit(X)
    assert bool(capsys.readouterr().out) == bool(verbose)
