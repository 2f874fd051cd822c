"""Unusual input that can be fitted: finite parameters, and the right ones where they are known."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pyestim import GaussianMixture

TYPES = ("full", "tied", "diag", "spherical")
ESTIMATED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture
def X():
    rng = np.random.RandomState(0)
    return np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(5, 1, (60, 2))])


def fit(X, k=2, *, sample_weight=None, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, random_state=0, **arguments).fit(X, sample_weight=sample_weight)


def assert_sound(mixture, X):
    """Finite parameters that make a density, and finite answers about the rows of the fit."""
    for name in ESTIMATED:
        assert np.isfinite(getattr(mixture, name)).all(), name
    np.testing.assert_allclose(mixture.weights_.sum(), 1.0, rtol=1e-12)
    assert (mixture.weights_ >= 0).all()
    cov = mixture.covariances_
    if mixture.covariance_type in ("full", "tied"):
        sd = np.sqrt(np.diagonal(cov, axis1=-2, axis2=-1))
        correlation = cov / sd[..., :, None] / sd[..., None, :]
        # An exact correlation of 1 - 1e-30 is 1 in double precision.
        assert (np.linalg.eigvalsh(correlation) > -1e-15).all()
    else:
        assert (cov > 0).all()
    assert np.isfinite(mixture.score_samples(X)).all()
    np.testing.assert_allclose(mixture.predict_proba(X).sum(axis=1), 1.0, rtol=1e-9)
    assert np.isfinite(mixture.lower_bound_)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("k", [1, 2])
class TestUnusualRows:
    def check(self, X, k, covariance_type, **more):
        mixture = fit(X, k, covariance_type=covariance_type, **more)
        assert_sound(mixture, X)
        return mixture

    def test_fewer_rows_than_columns(self, k, covariance_type):
        X = np.random.RandomState(0).normal(size=(5, 12))
        self.check(X, k, covariance_type)

    def test_two_rows(self, k, covariance_type):
        self.check(np.array([[0.0, 1.0], [2.0, 5.0]]), k, covariance_type)

    def test_constant_column(self, X, k, covariance_type):
        X[:, 1] = 3.0
        mixture = self.check(X, k, covariance_type)
        np.testing.assert_allclose(mixture.means_[:, 1], 3.0, rtol=1e-12)

    def test_all_rows_equal(self, k, covariance_type):
        mixture = self.check(np.full((20, 3), 2.5), k, covariance_type)
        np.testing.assert_allclose(mixture.means_, 2.5, rtol=1e-12)

    def test_duplicated_rows(self, k, covariance_type):
        X = np.repeat([[0.0, 1.0], [3.0, 3.0], [4.0, 0.0]], 10, axis=0)
        self.check(X, k, covariance_type)

    def test_two_distinct_rows(self, k, covariance_type):
        self.check(np.repeat([[0.0, 1.0], [3.0, 3.0]], 10, axis=0), k, covariance_type)

    def test_columns_in_exact_proportion(self, X, k, covariance_type):
        X[:, 1] = 2.0 * X[:, 0]
        self.check(X, k, covariance_type)

    @pytest.mark.parametrize("far", [1e3, 1e8, 1e15])
    def test_single_far_outlier(self, X, k, covariance_type, far):
        X[11] = far
        self.check(X, k, covariance_type)

    @pytest.mark.parametrize("scale", [1e-100, 1e-20, 1e20, 1e100])
    def test_extreme_units(self, X, k, covariance_type, scale):
        mixture = self.check(X * scale, k, covariance_type)
        plain = fit(X, k, covariance_type=covariance_type)
        np.testing.assert_allclose(mixture.means_, plain.means_ * scale, rtol=1e-6)
        np.testing.assert_allclose(mixture.weights_, plain.weights_, rtol=1e-6)

    @pytest.mark.parametrize("value", [1e-300, 1e300])
    def test_extreme_constants(self, k, covariance_type, value):
        mixture = self.check(np.full((10, 2), value), k, covariance_type)
        np.testing.assert_allclose(mixture.means_, value, rtol=1e-12)

    def test_columns_of_very_different_units(self, X, k, covariance_type):
        self.check(X * [1e-30, 1e30], k, covariance_type)

    def test_large_offset(self, X, k, covariance_type):
        # Steps of 2^-20 are exact at either place, so that nothing explains a difference.
        X = np.round(X * 2**20) / 2**20
        plain = fit(X, k, covariance_type=covariance_type)
        mixture = self.check(X + 1e8, k, covariance_type)
        np.testing.assert_allclose(mixture.means_ - 1e8, plain.means_, atol=1e-7)
        np.testing.assert_allclose(mixture.covariances_, plain.covariances_, rtol=1e-9, atol=1e-12)

    def test_tiny_and_huge_weights(self, X, k, covariance_type):
        plain = fit(X, k, covariance_type=covariance_type, sample_weight=np.ones(len(X)))
        for scale in (1e-150, 1e150):
            mixture = fit(
                X, k, covariance_type=covariance_type, sample_weight=np.full(len(X), scale)
            )
            assert_sound(mixture, X)
            np.testing.assert_allclose(mixture.means_, plain.means_, rtol=1e-6)

    def test_no_floor(self, k, covariance_type):
        X = np.repeat([[0.0, 1.0], [3.0, 3.0]], 10, axis=0)
        self.check(X, k, covariance_type, reg_covar=0.0)

    def test_single_precision(self, X, k, covariance_type):
        X[11] = 1e6
        self.check(X.astype(np.float32), k, covariance_type)


@pytest.mark.parametrize("policy", ["regularize", "drop", "reseed"])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_more_components_than_distinct_rows(policy, covariance_type):
    X = np.repeat([[0.0, 1.0], [3.0, 3.0], [9.0, 0.0]], 4, axis=0)
    assert_sound(fit(X, 6, covariance_type=covariance_type, on_degenerate=policy), X)


@pytest.mark.parametrize("policy", ["regularize", "drop", "reseed"])
@pytest.mark.parametrize("far", [1e8, 1e12, 1e20, 1e100])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_covariances_without_digits_for_their_small_directions(covariance_type, k, far, policy):
    for seed in range(3):
        rng = np.random.RandomState(seed)
        X = rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
        X[:3] = rng.normal(size=(3, 4)) * far
        assert_sound(fit(X, k, covariance_type=covariance_type, on_degenerate=policy), X)


@pytest.mark.parametrize("policy", ["regularize", "drop", "reseed"])
def test_start_far_from_all_rows(X, policy):
    means = [[0.0, 0.0], [1e6, 1e6]]
    mixture = fit(
        X,
        means_init=means,
        weights_init=[0.5, 0.5],
        precisions_init=[np.eye(2)] * 2,
        on_degenerate=policy,
    )
    assert_sound(mixture, X)


def test_degenerate_component_is_named(X):
    X[:5] = 40.0
    means = [[2.5, 2.5], [40.0, 40.0]]
    mixture = fit(X, means_init=means)
    assert any("component 1" in line for line in mixture.report_.diagnosis)
    with pytest.raises(ValueError, match="component 1"):
        fit(X, means_init=means, on_degenerate="raise")


def test_rows_far_outside_have_answers(X):
    mixture = fit(X)
    far = np.array([[1e30, 0.0], [-1e160, 1e160], [1e300, 1e300]])
    resp = mixture.predict_proba(far)
    np.testing.assert_allclose(resp.sum(axis=1), 1.0)
    assert np.isfinite(resp).all()
    assert np.isfinite(mixture.score_samples(far)).all()
    assert set(mixture.predict(far)) <= {0, 1}


# -- arrays of every kind ----------------------------------------------------------------------


def strided(X):
    wide = np.full((2 * len(X), 3 * X.shape[1]), np.nan)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def unaligned(X):
    raw = np.zeros(X.nbytes + 1, dtype=np.uint8)[1:]
    copy = raw.view(np.float64).reshape(X.shape)
    copy[:] = X
    assert not copy.flags.aligned
    return copy


def field(X):
    records = np.zeros(len(X), dtype=[("flag", "u1"), ("x", "f8", (X.shape[1],))])
    records["x"] = X
    return records["x"]


KINDS = {
    "unaligned": unaligned,
    "field of records": field,
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed twice": lambda X: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": read_only,
    "list": lambda X: X.tolist(),
    "object": lambda X: X.astype(object),
    "big-endian": lambda X: X.astype(">f8"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_of_arrays(X, kind):
    before = X.copy()
    array = KINDS[kind](X)
    mixture, plain = fit(array), fit(X)
    np.testing.assert_array_equal(mixture.means_, plain.means_)
    np.testing.assert_array_equal(mixture.predict_proba(array), plain.predict_proba(X))
    np.testing.assert_array_equal(np.asarray(array, dtype=float), before)


def test_broadcast_rows():
    X = np.broadcast_to(np.array([1.0, 2.0]), (30, 2))
    assert_sound(fit(X), X)


def test_integers():
    X = np.random.RandomState(0).poisson(5, (100, 2))
    np.testing.assert_array_equal(fit(X).means_, fit(X.astype(float)).means_)


def test_memory_mapped_rows(X, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    mixture = fit(rows)
    np.testing.assert_array_equal(mixture.means_, fit(X).means_)
    out = np.lib.format.open_memmap(tmp_path / "resp.npy", "w+", np.float64, (len(X), 2))
    assert mixture.predict_proba(rows, out=out) is out
    np.testing.assert_array_equal(out, mixture.predict_proba(X))


def test_unaligned_weights_and_responsibilities(X):
    weight = np.arange(len(X)) % 3.0
    resp = np.random.RandomState(0).dirichlet([1.0, 1.0], len(X))
    plain = fit(X, init_params=resp, sample_weight=weight)
    odd = fit(X, init_params=unaligned(resp), sample_weight=unaligned(weight[:, None])[:, 0])
    np.testing.assert_array_equal(odd.means_, plain.means_)
    with pytest.raises(ValueError, match="out must be a writable"):
        plain.predict_proba(X, out=unaligned(resp))
