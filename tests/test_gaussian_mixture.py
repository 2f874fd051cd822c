"""`GaussianMixture`: densities, criteria, and the laws that a whole fit obeys."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from blobs import ESTIMATED, TYPES, assert_same_fit, blobs
from scipy import stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as ScikitLearnMixture

import pyestim
from pyestim import GaussianMixture


@pytest.fixture
def known():
    """Fixture of two components in two dimensions with known densities."""
    return GaussianMixture.from_params(
        [0.3, 0.7], [[0, 0], [1, 2]], [[[1, 0.5], [0.5, 2]], np.eye(2)], random_state=0
    )


# -- densities and criteria --------------------------------------------------------------------


def test_known_densities(known):
    X = np.array([[0, 0], [1, 1], [-3, 4], [60, -60]])
    expected = [-3.095819786739, -2.430930084627, -12.180666559053, -3664.694552010348]
    np.testing.assert_allclose(known.score_samples(X), expected, rtol=0, atol=1e-11)
    resp = known.predict_proba(X)
    np.testing.assert_allclose(resp[:2, 0], [0.797847360048, 0.231736054407], atol=1e-11)
    assert known.predict(X).tolist() == resp.argmax(axis=1).tolist() == [0, 1, 1, 1]
    assert known.log_likelihood(X) == pytest.approx(sum(expected), abs=1e-10)
    assert known.score(X, sample_weight=[1, 0, 3, 0]) == pytest.approx(
        (expected[0] + 3 * expected[2]) / 4, abs=1e-11
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_densities_equal_scipys(covariance_type):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(blobs())
    X = blobs(seed=1)[::7]
    form = {
        "full": lambda k: mixture.covariances_[k],
        "tied": lambda k: mixture.covariances_,
        "diag": lambda k: np.diag(mixture.covariances_[k]),
        "spherical": lambda k: mixture.covariances_[k] * np.eye(3),
    }[covariance_type]
    density = sum(
        w * stats.multivariate_normal(m, form(k)).pdf(X)
        for k, (w, m) in enumerate(zip(mixture.weights_, mixture.means_, strict=True))
    )
    np.testing.assert_allclose(mixture.score_samples(X), np.log(density), rtol=1e-10)


def test_criteria_on_known_quantiles():
    grid = (np.arange(40) + 0.5) / 40, (np.arange(60) + 0.5) / 60
    X = np.concatenate([stats.norm.ppf(grid[0]), 3 + 0.7 * stats.norm.ppf(grid[1])])[:, None]
    mixture = GaussianMixture(2, tol=1e-14, max_iter=10_000, random_state=0).fit(X)
    order = np.argsort(mixture.means_[:, 0])
    estimated = [
        mixture.weights_[order[0]],
        *mixture.means_[order, 0],
        *mixture.covariances_[order, 0, 0],
    ]
    expected = [0.3983485497, -0.0029477838, 2.9937171174, 0.9765235769, 0.4888812578]
    np.testing.assert_allclose(estimated, expected, atol=5e-8)
    assert mixture.log_likelihood(X) == pytest.approx(-177.6622895609, abs=1e-9)
    assert mixture.bic(X) == pytest.approx(378.35043005, abs=1e-7)
    assert mixture.aic(X) == pytest.approx(365.32457912, abs=1e-7)
    assert mixture.icl(X) == pytest.approx(397.27817845, abs=1e-5)
    assert mixture.icl(X, criterion="hard") == pytest.approx(386.43145713, abs=1e-5)
    with pytest.raises(ValueError, match="criterion must be one of"):
        mixture.icl(X, criterion="soft")


@pytest.mark.parametrize(
    ("covariance_type", "expected"), [("spherical", 14), ("diag", 20), ("tied", 17), ("full", 29)]
)
def test_number_of_parameters(covariance_type, expected):
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    assert not hasattr(mixture, "n_parameters_")
    assert mixture.fit(blobs()).n_parameters_ == expected


def test_predict_proba_fills_what_it_is_given(known):
    X = blobs(100, 2)
    out = np.empty((100, 2))
    assert known.predict_proba(X, out=out) is out
    np.testing.assert_array_equal(out, known.predict_proba(X))


# -- laws --------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "labels", "responsibilities"])
def test_a_weight_is_a_repeated_row(covariance_type, init_params):
    X = blobs(150)
    rng = np.random.RandomState(3)
    weight = rng.randint(0, 4, len(X))
    repeated = np.repeat(np.arange(len(X)), weight)
    init = {
        "labels": np.arange(len(X)) % 3,
        "responsibilities": rng.dirichlet(np.ones(3), len(X)),
    }.get(init_params, init_params)
    arguments = {"covariance_type": covariance_type, "random_state": 0, "max_iter": 500}
    if isinstance(init, str):
        # The draws differ between the two data sets: the start is compared by what it leads to.
        arguments |= {"n_init": 5, "tol": 1e-10}
        inits = init, init
    else:
        inits = init, init[repeated]
    weighted = GaussianMixture(3, init_params=inits[0], **arguments).fit(X, sample_weight=weight)
    repeat = GaussianMixture(3, init_params=inits[1], **arguments).fit(X[repeated])
    a, b = (np.argsort(m.means_[:, 0]) for m in (weighted, repeat))
    rtol = 1e-4 if isinstance(init, str) else 1e-8
    np.testing.assert_allclose(weighted.means_[a], repeat.means_[b], rtol=rtol)
    np.testing.assert_allclose(weighted.weights_[a], repeat.weights_[b], rtol=rtol)
    np.testing.assert_allclose(
        weighted.bic(X, sample_weight=weight), repeat.bic(X[repeated]), rtol=1e-8
    )


@pytest.mark.parametrize("covariance_type", TYPES)
def test_rows_of_weight_zero_are_absent(covariance_type):
    X = blobs(200)
    spoiled = np.concatenate([X, np.full((20, 3), 1e6)])
    weight = np.concatenate([np.ones(200), np.zeros(20)])
    arguments = {"covariance_type": covariance_type, "means_init": X[[0, 100, 199]]}
    clean = GaussianMixture(3, **arguments).fit(X, sample_weight=weight[:200])
    mixture = GaussianMixture(3, **arguments).fit(spoiled, sample_weight=weight)
    assert_same_fit(mixture, clean, 1e-8)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_result_does_not_move_with_the_data(covariance_type):
    # Multiples of 2^-20 stay exact at 1e8, so that only the arithmetic could move the result.
    X = np.round(blobs() * 2**20) / 2**20
    arguments = {"covariance_type": covariance_type, "random_state": 0}
    near = GaussianMixture(3, **arguments).fit(X)
    far = GaussianMixture(3, **arguments).fit(X + 1e8)
    # A mean near 1e8 is known to 1.5e-8, the spacing of numbers there.
    np.testing.assert_allclose(far.means_ - 1e8, near.means_, atol=3e-8)
    np.testing.assert_allclose(far.covariances_, near.covariances_, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(far.weights_, near.weights_, rtol=1e-9)
    assert far.lower_bound_ == pytest.approx(near.lower_bound_, abs=1e-10)
    # Reading the rows back uses the published means, with their spacing.
    np.testing.assert_allclose(far.score_samples(X + 1e8), near.score_samples(X), atol=1e-6)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_units_do_not_matter(covariance_type):
    X = blobs()
    arguments = {"covariance_type": covariance_type, "random_state": 0}
    plain = GaussianMixture(3, **arguments).fit(X)
    scaled = GaussianMixture(3, **arguments).fit(X * 2.0**40)
    np.testing.assert_array_equal(scaled.means_, plain.means_ * 2.0**40)
    np.testing.assert_array_equal(scaled.covariances_, plain.covariances_ * 2.0**80)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_bits_do_not_depend_on_threads(covariance_type):
    X = blobs(30_000, 4)
    before = pyestim.get_num_threads()
    fits = []
    try:
        for n_threads in (1, 2, 3, 7):
            pyestim.set_num_threads(n_threads)
            mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0, n_init=2)
            fits.append((mixture.fit(X), mixture.predict_proba(X), mixture.score(X)))
    finally:
        pyestim.set_num_threads(before)
    first, *others = fits
    for mixture, resp, score in others:
        for name in (*ESTIMATED, "lower_bounds_"):
            np.testing.assert_array_equal(getattr(mixture, name), getattr(first[0], name))
        np.testing.assert_array_equal(resp, first[1])
        assert score == first[2]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_single_precision_rows(covariance_type):
    X = np.float32(blobs(2000) + 1000.0)
    arguments = {"covariance_type": covariance_type, "means_init": X[[0, 1000, 1999]]}
    single = GaussianMixture(3, **arguments).fit(X)
    double = GaussianMixture(3, **arguments).fit(X.astype(float))
    for name in ESTIMATED:
        assert getattr(single, name).dtype == np.float64
    scale = np.abs(double.covariances_).max()
    np.testing.assert_allclose(single.covariances_, double.covariances_, atol=1e-4 * scale)
    np.testing.assert_allclose(single.means_, double.means_, rtol=1e-6)
    np.testing.assert_allclose(single.weights_, double.weights_, rtol=1e-4)
    np.testing.assert_allclose(single.predict_proba(X), double.predict_proba(X), atol=2e-3)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_one_component_is_the_closed_form(covariance_type):
    X = blobs()
    mixture = GaussianMixture(1, covariance_type=covariance_type).fit(X)
    cov = np.cov(X.T, bias=True)
    expected = {
        "full": cov[None],
        "tied": cov,
        "diag": np.diag(cov)[None],
        "spherical": [np.trace(cov) / 3],
    }[covariance_type]
    np.testing.assert_allclose(mixture.means_[0], X.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(mixture.covariances_, expected, rtol=1e-10)
    assert mixture.converged_


@pytest.mark.parametrize("covariance_type", TYPES)
def test_steps_are_scikit_learns_steps(covariance_type):
    X = blobs(spread=1.0)
    k, d = 3, 3
    start = {
        "weights_init": np.full(k, 1 / k),
        "means_init": X[[5, 250, 500]],
        "precisions_init": {
            "full": np.tile(np.eye(d), (k, 1, 1)),
            "tied": np.eye(d),
            "diag": np.ones((k, d)),
            "spherical": np.ones(k),
        }[covariance_type],
    }
    arguments = {"covariance_type": covariance_type, "max_iter": 12, "tol": 0.0, **start}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = GaussianMixture(k, accelerate=None, **arguments).fit(X)
        theirs = ScikitLearnMixture(k, reg_covar=0.0, **arguments).fit(X)
    assert ours.n_iter_ == theirs.n_iter_ == 12
    assert_same_fit(ours, theirs, 1e-9)
    # scikit-learn states the bound before its last step.
    assert ours.report_.trace[11] == pytest.approx(theirs.lower_bound_, rel=1e-12)
