"""CensoredGaussianMixture: references, limits, what users may ask and get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import CensoredData, norm

import pyestim
from pyestim import CensoredGaussianMixture, GaussianMixture

pytestmark = pytest.mark.once

HERE = Path(__file__).parent / "reference"
#: The start that finds the recorded maximum, where clusters do not.
STARTS = {"mix_acidity_binned": "random_from_data"}


def cases():
    for path in sorted((HERE / "censored").glob("*.json")):
        file = json.loads(path.read_text())
        for case in file["cases"]:
            if case["spec"].get("kind") in ("censored", "binned"):
                yield pytest.param(file, case, id=case["id"])


def cells(file, spec):
    """Bounds and weights of a recorded case."""
    y = np.genfromtxt(HERE / file["data"]["csv"], delimiter=",", skip_header=1)
    y = y.reshape(len(y), -1)
    if spec["kind"] == "binned":
        edges = np.array([-np.inf, *spec["edges"], np.inf])
        return y, {"lower": edges[:-1], "upper": edges[1:], "sample_weight": spec["counts"]}
    a, b = (np.atleast_1d(np.array(spec[name], dtype=float)) for name in ("lower", "upper"))
    lower = np.where(y <= a, -np.inf, np.where(y >= b, b, y))
    upper = np.where(y <= a, a, np.where(y >= b, np.inf, y))
    return y, {"lower": lower, "upper": upper}


@pytest.mark.parametrize(("file", "case"), cases())
def test_fit_reaches_the_recorded_maximum(file, case):
    spec, expected = case["spec"], case["expected"]
    y, data = cells(file, spec)
    kind = "tied" if spec.get("shared_sd") else "full"
    k = spec.get("n_components", 1)
    init = STARTS.get(case["id"], "kmeans")
    mixture = CensoredGaussianMixture(
        k,
        covariance_type=kind,
        tol=1e-13,
        max_iter=5000,
        n_init=5,
        random_state=1,
        init_params=init,
    ).fit(**data)
    found = mixture.log_likelihood(**data)
    assert found >= expected["loglik"] - 1e-8 * abs(expected["loglik"])
    assert abs(found - expected["loglik"]) <= 1e-6 + 1e-5 * (y.shape[1] > 1)
    order = np.argsort(mixture.means_[:, 0])
    means = np.reshape(expected.get("means", expected.get("mean")), (k, -1))
    # The likelihood is flat at its maximum: its error of 1e-9 is one of its root in a mean.
    allowed = (1e-4 if y.shape[1] > 1 else 2e-5) * y.std(axis=0)
    assert np.all(np.abs(mixture.means_[order] - means) <= allowed)
    if "std_errors_(mean,log_sd)" in expected:
        errors = mixture.standard_errors(**data)
        got = errors.means[0, 0], errors.covariances[0, 0, 0] / mixture.covariances_[0, 0, 0] / 2
        assert np.allclose(got, expected["std_errors_(mean,log_sd)"], rtol=1e-4)
    for entry in expected.get("posterior_of_censored_value", ()):
        resp = mixture.predict_proba(lower=[float(entry["lower"])], upper=[float(entry["upper"])])
        assert np.allclose(resp[0, order], entry["posterior"], atol=1e-6)


def blobs(n=300, d=2, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return rng.normal(size=(n, d)) + 3.0 * labels[:, None]


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_rows_give_the_uncensored_mixture(kind, dtype):
    X = blobs().astype(dtype)
    options = {"covariance_type": kind, "random_state": 0, "tol": 1e-6}
    plain = GaussianMixture(2, **options).fit(X)
    same = CensoredGaussianMixture(2, **options).fit(X)
    bounded = CensoredGaussianMixture(2, **options).fit(lower=X, upper=X)
    for mixture in (same, bounded):
        for name in ("weights_", "means_", "covariances_", "lower_bounds_"):
            assert np.array_equal(getattr(mixture, name), getattr(plain, name))
        assert np.array_equal(mixture.score_samples(X), plain.score_samples(X))
        assert np.array_equal(mixture.predict_proba(X), plain.predict_proba(X))
    # Boxes that hold everything change nothing either; they are integrated in double precision.
    far = {"trunc_lower": -1e6, "trunc_upper": 1e6}
    boxed = CensoredGaussianMixture(2, **options).fit(X, **far)
    plain = GaussianMixture(2, **options).fit(X.astype(np.float64))
    assert np.allclose(boxed.means_, plain.means_, rtol=1e-9)


def test_censored_data_of_scipy():
    rng = np.random.default_rng(1)
    x = rng.normal(2.0, 1.5, 300)
    sample = CensoredData(uncensored=x[:200], right=x[200:250] - 0.5, left=[1.0, 2.0])
    mixture = CensoredGaussianMixture(tol=1e-12).fit(sample)
    loc, scale = norm.fit(sample)  # a search to a rounded maximum
    assert np.allclose(mixture.means_.ravel(), loc, atol=1e-3)
    assert np.allclose(np.sqrt(mixture.covariances_.ravel()), scale, atol=1e-3)


def test_missing_cells_are_integrated_out():
    X = blobs(d=3)
    gone = np.random.default_rng(2).random(X.shape) < 0.3
    gone[gone.all(axis=1)] = False
    mixture = CensoredGaussianMixture(2, random_state=0).fit(X)
    lower, upper = np.where(gone, -np.inf, X), np.where(gone, np.inf, X)
    found = mixture.score_samples(lower=lower, upper=upper)
    known = ~gone
    for i in range(0, len(X), 17):
        part = mixture.marginal(known[i]).score_samples(X[i : i + 1, known[i]])
        assert np.allclose(found[i], part)
    filled = mixture.impute(lower=lower, upper=upper)
    assert np.array_equal(filled[known], X[known])
    row = int(np.flatnonzero(gone.sum(axis=1) == 1)[0])
    given = mixture.condition(np.flatnonzero(known[row]), X[row, known[row]])
    assert np.allclose(filled[row, gone[row]], given.weights_ @ given.means_)


def test_one_number_of_rows_is_a_weight():
    rng = np.random.default_rng(3)
    edges = np.linspace(-3, 6, 10)
    counts = rng.integers(1, 20, 9)
    lower, upper = edges[:-1], edges[1:]
    weighted = CensoredGaussianMixture(2, random_state=0, tol=1e-8, max_iter=5000)
    weighted.fit(lower=lower, upper=upper, sample_weight=counts)
    repeated = CensoredGaussianMixture(2, random_state=0, tol=1e-8, max_iter=5000)
    repeated.fit(lower=np.repeat(lower, counts), upper=np.repeat(upper, counts))
    assert np.allclose(weighted.lower_bound_, repeated.lower_bound_, rtol=1e-7)


def test_narrow_cells_are_exact_cells():
    """An interval of width h is a density times h."""
    X = blobs(200, 1)
    mixture = CensoredGaussianMixture(2, random_state=0).fit(X)
    width = 1e-9
    found = mixture.score_samples(lower=X - width / 2, upper=X + width / 2)
    exact = mixture.score_samples(X)
    real = (X + width / 2) - (X - width / 2)
    assert np.allclose(found - np.log(real.ravel()), exact, atol=1e-7)


def test_save_and_load(tmp_path):
    X = blobs()
    mixture = CensoredGaussianMixture(2, random_state=0).fit(X, upper=np.where(X > 3, np.inf, X))
    mixture.save(tmp_path / "mixture.npz")
    same = pyestim.load(tmp_path / "mixture.npz")
    assert type(same) is CensoredGaussianMixture
    assert np.array_equal(same.score_samples(X), mixture.score_samples(X))
    assert "Censored Gaussian mixture" in str(same.summary())


def with_nan(X):
    X = X.copy()
    X[3, 1] = np.nan
    return X


RIGHT = {"upper": np.full((300, 2), np.inf)}


@pytest.mark.parametrize(
    ("bounds", "words"),
    [
        ({"lower": with_nan(blobs())}, "lower must not be NaN, got NaN in row 3, column 1"),
        ({"upper": with_nan(blobs())}, "upper must not be NaN"),
        ({"lower": blobs() + 1.0}, "X must lie within lower and upper|at most upper"),
        ({"upper": blobs()[:, :1]}, "features"),
        ({"upper": blobs(200)}, "same shape"),
        (RIGHT, "no maximum, because no cell of column 0 is bounded above"),
        ({"lower": np.full((300, 2), -np.inf)}, "bounded below: all are left-censored"),
        ({"trunc_lower": np.nan}, "trunc_lower must not be NaN"),
        ({"trunc_lower": 0.0}, "would not have been seen otherwise"),
        ({"trunc_lower": 1.0, "trunc_upper": -1.0}, "trunc_lower must be at most trunc_upper"),
        ({"trunc_lower": np.zeros(3)}, r"one per column \(2,\)"),
    ],
)
def test_bad_bounds_are_told(bounds, words):
    with pytest.raises(ValueError, match=words):
        CensoredGaussianMixture().fit(blobs(), **bounds)


def test_bad_rows_are_told():
    with pytest.raises(ValueError, match="expected X, or both lower and upper, got no X and no up"):
        CensoredGaussianMixture().fit(lower=blobs())
    X = blobs()
    gone = np.array([0.0, np.inf])
    with pytest.raises(ValueError, match="every cell of column 1 is missing"):
        CensoredGaussianMixture().fit(X, lower=X - gone, upper=X + gone)
    with pytest.raises(ValueError, match="not the same infinity"):
        CensoredGaussianMixture().fit(lower=X + gone, upper=X + gone)
    with pytest.raises(TypeError, match="got 'lowest'"):
        CensoredGaussianMixture().fit(X).log_likelihood(X, lowest=X)


def test_hardly_anything_is_seen():
    """Boxes that hold next to nothing: numbers stay finite, and the report says so."""
    rng = np.random.default_rng(5)
    X = rng.exponential(0.2, (200, 1)) + 5.0  # the far tail of a normal law is exponential
    mixture = CensoredGaussianMixture(tol=1e-4, max_iter=400, means_init=[[1.0]])
    mixture.set_params(weights_init=[1.0], precisions_init=[[[1.0]]])
    mixture.fit(X, trunc_lower=5.0)
    assert np.isfinite(mixture.means_).all() and np.isfinite(mixture.covariances_).all()
    assert any("so little of the mixture" in line for line in mixture.report_.diagnosis)
