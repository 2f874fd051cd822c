"""Bad input that cannot be fitted: one clear sentence.  What can be: test_unusual_input.py."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from pyestim import GaussianMixture


@pytest.fixture
def X():
    rng = np.random.RandomState(0)
    return np.concatenate([rng.normal(0, 1, (60, 2)), rng.normal(5, 1, (60, 2))])


def fit(X, k=2, *, sample_weight=None, **arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(k, random_state=0, **arguments).fit(X, sample_weight=sample_weight)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(X, value):
    X[7, 1] = value
    with pytest.raises(ValueError, match=r"NaN|infinity"):
        fit(X)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.empty((0, 2)), "0 sample"),
        (np.empty((5, 0)), "0 feature"),
        (np.ones((1, 2)), "1 sample"),
        (np.ones(5), "Expected 2D array"),
        (np.ones((2, 2, 2)), "dim 3"),
        (np.ones((5, 2)) * 1j, "Complex data not supported"),
        (np.array([["a", "b"], ["c", "d"]]), "could not convert"),
        (np.array([[1, "b"], [2, None]], dtype=object), "could not convert|not 'NoneType'"),
    ],
)
def test_not_a_sample_matrix(X, message):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(X, 1)


def test_sparse_matrix(X):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        fit(sparse.csr_matrix(X))


def test_fewer_rows_than_components(X):
    with pytest.raises(ValueError, match=r"n_samples >= n_components.*n_components = 4.*3"):
        fit(X[:3], 4)


def test_fewer_rows_of_positive_weight_than_components(X):
    weight = np.zeros(len(X))
    weight[:3] = 2.0
    with pytest.raises(ValueError, match=r"positive weight.*n_components = 4.*n_samples = 3"):
        fit(X, 4, sample_weight=weight)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(120), "zero for every row"),
        (np.where(np.arange(120) == 5, -0.5, 1.0), "negative, got -0.5 in row 5"),
        (np.ones(119), r"shape \(120,\)"),
        (np.ones((120, 1)), r"shape \(120,\)|1D"),
        (np.where(np.arange(120) == 5, np.nan, 1.0), "sample_weight contains NaN"),
        (np.where(np.arange(120) == 5, np.inf, 1.0), "sample_weight contains infinity"),
        (np.full(120, "heavy"), "could not convert"),
        (np.full(120, 1e-250), "must have a sum between"),
        (np.full(120, 1e307), "must have a sum between .* got inf"),
    ],
)
def test_bad_weights(X, weight, message):
    with pytest.raises(ValueError, match=message):
        fit(X, sample_weight=weight)


def test_spans_whose_squares_overflow(X):
    with pytest.raises(ValueError, match=r"column 1 spans .*Rescale"):
        fit(X * [1.0, 1e300])


def test_spans_whose_squares_underflow(X):
    with pytest.raises(ValueError, match=r"column 0 spans .*Rescale"):
        fit(X * [1e-300, 1.0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", 0),
        ("n_components", 2.0),
        ("n_components", True),
        ("covariance_type", "round"),
        ("covariance_type", "VVE"),
        ("covariance_type", None),
        ("tol", -1e-3),
        ("tol", np.nan),
        ("tol", "small"),
        ("reg_covar", -1.0),
        ("reg_covar", np.inf),
        ("max_iter", -1),
        ("max_iter", 10.5),
        ("n_init", 0),
        ("init_params", "best"),
        ("init_params", 3),
        ("random_state", "seed"),
        ("warm_start", "yes"),
        ("verbose", -1),
        ("verbose_interval", 0),
        ("accelerate", "fast"),
        ("accelerate", True),
        ("missing", "ignore"),
        ("on_degenerate", "ignore"),
        ("noise", True),
        ("prior", "conjugate"),
        ("fixed", ("weights",)),
        ("device", "cuda"),
    ],
)
def test_bad_arguments(X, name, value):
    with pytest.raises(ValueError, match=f"GaussianMixture: {name} must be|cannot be used to seed"):
        GaussianMixture(2).set_params(**{name: value}).fit(X)


BAD_STARTS = [
    ("weights_init", [0.5, 0.25, 0.25], "'weights' should have the shape of"),
    ("weights_init", [[0.5], [0.5]], "'weights' should have the shape of"),
    ("weights_init", [0.4, 0.4], r"normalized, but got sum\(weights\) = 0.80000"),
    ("weights_init", [1.5, -0.5], "max value 1.50000, min value -0.50000"),
    ("weights_init", [np.nan, 1.0], "weights contains NaN"),
    ("means_init", np.zeros((3, 2)), "'means' should have the shape of"),
    ("means_init", np.zeros((2, 3)), "'means' should have the shape of"),
    ("means_init", np.zeros(2), "'means' should have the shape of"),
    ("means_init", [[0.0, np.inf], [1.0, 1.0]], "means contains infinity"),
    ("means_init", [[0.0, 1e300], [1.0, 1.0]], "means_init must be at most .* for component 0"),
    ("init_params", np.zeros(119, dtype=int), "'init_params' should have the shape of"),
    ("init_params", np.arange(120), "integers from 0 to n_components - 1 = 1"),
    ("init_params", np.arange(120) % 2 - 1, "integers from 0 to n_components - 1 = 1"),
    ("init_params", np.arange(120) % 2 * 1.0, "integers from 0 to n_components - 1 = 1"),
    ("init_params", np.zeros(120, dtype=int), "none for component 1"),
    ("init_params", np.full((120, 3), 1 / 3), "'init_params' should have the shape of"),
    ("init_params", np.ones((120, 2)), "sum to one"),
    ("init_params", np.tile([1.5, -0.5], (120, 1)), "must not be negative"),
    ("init_params", np.tile([1.0, 0.0], (120, 1)), "none for component 1"),
    ("init_params", np.full((120, 2), np.nan), "init_params contains NaN"),
]


@pytest.mark.parametrize(("name", "value", "message"), BAD_STARTS)
def test_bad_starts(X, name, value, message):
    with pytest.raises(ValueError, match=message):
        fit(X, **{name: value})


INDEFINITE = np.array([[1.0, 2.0], [2.0, 1.0]])
BAD_PRECISIONS = [
    ("full", np.ones((3, 2, 2)), "'full precision' should have the shape of"),
    ("full", np.ones((2, 2)), "'full precision' should have the shape of"),
    ("full", np.stack([np.eye(2), INDEFINITE]), "positive-definite; that of component 1 is not"),
    ("full", np.stack([np.eye(2), np.zeros((2, 2))]), "positive-definite; that of component 1"),
    ("full", np.stack([np.eye(2), [[1.0, 0.5], [0.0, 1.0]]]), "symmetric"),
    ("tied", np.ones((3, 3)), "'tied precision' should have the shape of"),
    ("tied", INDEFINITE, "symmetric, positive-definite"),
    ("diag", np.ones((2, 3)), "'diag precision' should have the shape of"),
    ("diag", [[1.0, 1.0], [1.0, -1.0]], "should be positive; that of component 1 is not"),
    ("spherical", np.ones((2, 1)), "'spherical precision' should have the shape of"),
    ("spherical", [0.0, 1.0], "should be positive; that of component 0 is not"),
    ("spherical", [np.nan, 1.0], "precision contains NaN"),
    ("full", np.stack([np.eye(2), 1e-320 * np.eye(2)]), "inverses of at most 1e\\+140"),
    ("diag", [[1.0, 1.0], [1.0, 1e-320]], "inverses of at most 1e\\+140"),
]


@pytest.mark.parametrize(("covariance_type", "value", "message"), BAD_PRECISIONS)
def test_bad_precisions(X, covariance_type, value, message):
    with pytest.raises(ValueError, match=message):
        fit(X, covariance_type=covariance_type, precisions_init=value)


def test_arrays_that_do_not_fit_the_columns_of_the_fit(X):
    mixture = fit(X)
    with pytest.raises(ValueError, match="expecting 2 features"):
        mixture.predict(np.ones((3, 3)))
    with pytest.raises(ValueError, match="NaN"):
        mixture.score_samples([[np.nan, 1.0]])


@pytest.mark.parametrize(
    "out",
    [
        np.empty((119, 2)),
        np.empty((120, 2), dtype=np.float32),
        np.empty((120, 2), order="F"),
        np.broadcast_to(0.0, (120, 2)),
        [[0.0, 0.0]] * 120,
    ],
)
def test_bad_out(X, out):
    with pytest.raises(ValueError, match=r"out must be a writable .* shape \(120, 2\)"):
        fit(X).predict_proba(X, out=out)
