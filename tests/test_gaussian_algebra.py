"""A mixture as arrays: shapes, parameters set by hand, marginals, conditionals, samples."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import TYPES, assert_same_fit, blobs
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as ScikitLearnMixture

from pyestim import GaussianMixture


def shapes(k, d):
    return {"full": (k, d, d), "tied": (d, d), "diag": (k, d), "spherical": (k,)}


@pytest.fixture
def known():
    """Fixture of two components in two dimensions with known densities."""
    return GaussianMixture.from_params(
        [0.3, 0.7], [[0, 0], [1, 2]], [[[1, 0.5], [0.5, 2]], np.eye(2)], random_state=0
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_shapes_and_consistency(covariance_type):
    mixture = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(blobs())
    shape = shapes(2, 3)[covariance_type]
    for name in ("covariances_", "precisions_", "precisions_cholesky_"):
        assert getattr(mixture, name).shape == shape
    if covariance_type in ("full", "tied"):
        np.testing.assert_allclose(
            mixture.precisions_, np.linalg.inv(mixture.covariances_), rtol=1e-9
        )
        upper = mixture.precisions_cholesky_
        np.testing.assert_array_equal(upper, np.triu(upper))
    else:
        np.testing.assert_allclose(mixture.precisions_, 1 / mixture.covariances_, rtol=1e-12)
        np.testing.assert_allclose(
            mixture.precisions_cholesky_, mixture.covariances_**-0.5, rtol=1e-12
        )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_from_params_and_to_sklearn(covariance_type):
    X = blobs()
    fitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    copy = GaussianMixture.from_params(
        fitted.weights_, fitted.means_, fitted.covariances_, covariance_type=covariance_type
    )
    assert_same_fit(copy, fitted, 1e-9)
    theirs = fitted.to_sklearn()
    assert isinstance(theirs, ScikitLearnMixture)
    np.testing.assert_allclose(theirs.score_samples(X), fitted.score_samples(X), rtol=1e-9)
    np.testing.assert_allclose(theirs.predict_proba(X), fitted.predict_proba(X), atol=1e-9)
    assert theirs.bic(X) == pytest.approx(fitted.bic(X), rel=1e-12)
    assert copy.to_sklearn().sample(3)[0].shape == (3, 3)


BAD_PARAMS = [
    (([0.5, 0.4], [[0.0], [1.0]], [1.0, 1.0], "spherical"), "normalized"),
    (([0.5, 0.5], [0.0, 1.0], [1.0, 1.0], "spherical"), "Expected 2D array"),
    (([0.5, 0.5], [[0.0], [1.0]], [1.0], "spherical"), "'spherical covariance' should have"),
    (([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0], "spherical"), "Covariance 1 is not positive"),
    (([1.0], [[0.0, 0.0]], [[1.0, 2.0], [2.0, 1.0]], "tied"), "shared covariance is not positive"),
    (([1.0], [[0.0, 0.0]], [[1.0, 0.2], [0.0, 1.0]], "tied"), "differs from its transpose"),
    (([1.0], [[0.0, 0.0]], [[1.0, 0.2], [0.2, 1.0]], "round"), "covariance_type must be one of"),
]


@pytest.mark.parametrize(("params", "message"), BAD_PARAMS)
def test_from_params_refuses(params, message):
    *arrays, covariance_type = params
    with pytest.raises(ValueError, match=message):
        GaussianMixture.from_params(*arrays, covariance_type=covariance_type)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_attributes_may_be_set_by_hand(covariance_type):
    X = blobs()
    fitted = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    by_hand = GaussianMixture(3, covariance_type=covariance_type)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        by_hand.predict(X)
    by_hand.weights_ = fitted.weights_
    by_hand.means_ = fitted.means_
    by_hand.precisions_cholesky_ = fitted.precisions_cholesky_
    np.testing.assert_allclose(by_hand.score_samples(X), fitted.score_samples(X), rtol=1e-12)
    by_hand.means_ = fitted.means_ + 1.0
    np.testing.assert_allclose(by_hand.score_samples(X + 1), fitted.score_samples(X), rtol=1e-9)
    with pytest.raises(AttributeError, match="covariances_, which was not set"):
        by_hand.sample()
    by_hand.covariances_ = fitted.covariances_
    assert by_hand.sample(5)[0].shape == (5, 3)
    by_hand.weights_ = np.ones(2) / 2
    with pytest.raises(ValueError, match="must fit together"):
        by_hand.predict(X)


def test_any_factor_of_the_precision_will_do():
    X = blobs()
    mixture = GaussianMixture(3, random_state=0).fit(X)
    expected = mixture.score_samples(X)
    mixture.precisions_cholesky_ = np.linalg.cholesky(mixture.precisions_)
    np.testing.assert_allclose(mixture.score_samples(X), expected, rtol=1e-9)


def test_condition_and_marginal(known):
    given = known.condition([0], [2.0])
    np.testing.assert_allclose(given.weights_, [0.087280792672, 0.912719207328], atol=1e-12)
    np.testing.assert_allclose(given.means_.ravel(), [1, 2], atol=1e-12)
    np.testing.assert_allclose(given.covariances_.ravel(), [1.75, 1], atol=1e-12)
    mean = given.weights_ @ given.means_[:, 0]
    variance = given.weights_ @ (given.covariances_[:, 0, 0] + given.means_[:, 0] ** 2) - mean**2
    assert mean == pytest.approx(1.912719207328, abs=1e-12)
    assert variance == pytest.approx(1.145123450407, abs=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_joint_is_marginal_times_conditional(covariance_type):
    X = blobs()
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    row = X[17]
    joint = mixture.score_samples(row[None])[0]
    marginal = mixture.marginal([2, 0]).score_samples(row[[2, 0]][None])[0]
    conditional = mixture.condition([2, 0], row[[2, 0]])
    assert conditional.covariance_type == covariance_type
    assert joint == pytest.approx(marginal + conditional.score_samples([[row[1]]])[0], abs=1e-10)


@pytest.mark.parametrize(
    "features", [[], [0, 0], [3], [-4], [0.5], ["length"], [True, False], [[0]]]
)
def test_columns_that_do_not_exist(features):
    mixture = GaussianMixture(2, random_state=0).fit(blobs())
    with pytest.raises(ValueError, match="features must be distinct"):
        mixture.marginal(features)


def test_condition_refuses(known):
    with pytest.raises(ValueError, match="at least one of the 2 columns"):
        known.condition([0, 1], [1.0, 2.0])
    with pytest.raises(ValueError, match=r"values must have the shape \(1,\)"):
        known.condition([0], [1.0, 2.0])
    with pytest.raises(ValueError, match="NaN"):
        known.condition([0], [np.nan])


def test_far_conditions_have_weights(known):
    for far in (1e5, 1e160, -1e300):
        given = known.condition([0], [far])
        assert np.isfinite(given.weights_).all()
        np.testing.assert_allclose(given.weights_.sum(), 1)


def test_mixtures_do_not_share_arrays():
    parts = np.array([0.5, 0.5]), np.array([[0.0], [3.0]]), np.array([1.0, 2.0])
    mixture = GaussianMixture.from_params(*parts, covariance_type="spherical")
    for part in parts:
        part[...] = 9.0
    other = mixture.marginal([0])
    for part in (other.weights_, other.means_, other.covariances_):
        part[...] = 7.0
    assert mixture.weights_.tolist() == [0.5, 0.5]
    assert mixture.means_.ravel().tolist() == [0.0, 3.0]
    assert mixture.covariances_.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_samples_follow_the_mixture(covariance_type):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(blobs())
    X, y = mixture.sample(50_000)
    share = np.bincount(y, minlength=3) / len(y)
    # Five standard errors of each estimate.
    assert np.all(np.abs(share - mixture.weights_) < 5 * np.sqrt(mixture.weights_ / len(y)))
    for k in range(3):
        rows = X[y == k]
        cov = {
            "full": lambda k=k: mixture.covariances_[k],
            "tied": lambda: mixture.covariances_,
            "diag": lambda k=k: np.diag(mixture.covariances_[k]),
            "spherical": lambda k=k: mixture.covariances_[k] * np.eye(3),
        }[covariance_type]()
        sd = np.sqrt(np.diag(cov))
        assert np.all(np.abs(rows.mean(axis=0) - mixture.means_[k]) < 5 * sd / np.sqrt(len(rows)))
        error = 5 * np.outer(sd, sd) * np.sqrt(2 / len(rows))
        assert np.all(np.abs(np.cov(rows.T) - cov) < error)
    np.testing.assert_array_equal(mixture.sample(10)[0], mixture.sample(10)[0])


def test_a_singular_covariance_can_be_sampled(known):
    known.covariances_ = np.array([[[1.0, 1.0], [1.0, 1.0]], np.zeros((2, 2))])
    X, y = known.sample(100)
    np.testing.assert_allclose(np.ptp(X[y == 0], axis=1), 0, atol=1e-7)
    np.testing.assert_array_equal(X[y == 1], [[1.0, 2.0]] * np.sum(y == 1))
