"""CensoredGaussianMixture: references, limits, what users may ask and get wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import CensoredData, multivariate_normal, norm
from sklearn.exceptions import ConvergenceWarning

import pyestim
from pyestim import CensoredGaussianMixture, GaussianMixture, TruncatedGaussianMixture
from pyestim.models.cut_normal import box_moments, interval_moments

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
        assert np.isclose(mixture.aic(X), plain.aic(X)) and np.isclose(mixture.bic(X), plain.bic(X))
        for criterion in ("entropy", "hard"):
            found = mixture.icl(X, criterion=criterion)
            assert np.isclose(found, plain.icl(X, criterion=criterion), rtol=1e-6)  # of float32
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
    edges = np.linspace(-3, 6, 10)
    counts = np.array([2, 8, 14, 6, 3, 7, 15, 9, 2])
    lower, upper = edges[:-1], edges[1:]
    weighted = CensoredGaussianMixture(2, random_state=0, tol=1e-6, max_iter=5000)
    weighted.fit(lower=lower, upper=upper, sample_weight=counts)
    repeated = CensoredGaussianMixture(2, random_state=0, tol=1e-6, max_iter=5000)
    repeated.fit(lower=np.repeat(lower, counts), upper=np.repeat(upper, counts))
    # Both may stop up to tol before the maximum.
    assert abs(weighted.lower_bound_ - repeated.lower_bound_) <= 2e-6


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
        ({"lower": blobs() + 1.0}, "X must lie within lower and upper"),
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


def test_one_box_for_all_rows_is_a_truncated_mixture():
    """Two ways to the maximum of one likelihood: EM on unseen rows, and Newton's method."""
    rng = np.random.default_rng(10)
    X = rng.multivariate_normal([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], 800)
    low, high = [-1.0, -0.5], [2.0, 1.5]
    X = X[((low < X) & (high > X)).all(axis=1)]
    boxed = {"trunc_lower": low, "trunc_upper": high}
    options = {"tol": 1e-12, "max_iter": 3000}
    mixture = CensoredGaussianMixture(**options).fit(X, **boxed)
    other = TruncatedGaussianMixture(lower=low, upper=high, **options).fit(X)
    assert abs(mixture.lower_bound_ - other.lower_bound_) <= 1e-10
    assert np.isclose(mixture.score(X, **boxed), other.lower_bound_, atol=1e-10)
    errors, others = mixture.standard_errors(X, **boxed), other.standard_errors(X)
    assert np.all(np.abs(mixture.means_ - other.means_) <= 1e-3 * others.means)
    assert np.allclose(errors.means, others.means, rtol=1e-3)
    assert np.allclose(errors.covariances, others.covariances, rtol=1e-3)


def test_hardly_anything_is_seen():
    """Boxes that hold next to nothing: numbers stay finite, and the report says so."""
    rng = np.random.default_rng(5)
    X = rng.exponential(0.2, (200, 1)) + 5.0  # the far tail of a normal law is exponential
    mixture = CensoredGaussianMixture(tol=1e-4, max_iter=400, means_init=[[1.0]])
    mixture.set_params(weights_init=[1.0], precisions_init=[[[1.0]]])
    with pytest.warns(ConvergenceWarning, match="do not determine"):
        mixture.fit(X, trunc_lower=5.0)
    assert np.isfinite(mixture.means_).all() and np.isfinite(mixture.covariances_).all()
    assert any("so little of the mixture" in line for line in mixture.report_.diagnosis)


def test_several_censored_cells_are_a_box():
    """Rows of one component with exact, censored and missing cells, by the moments of boxes."""
    rng = np.random.default_rng(6)
    root = rng.normal(size=(4, 4)) * 0.5 + np.eye(4)
    mixture = CensoredGaussianMixture.from_params([1.0], [[0.0, 1.0, 2.0, 3.0]], [root @ root.T])
    mean, cov = mixture.means_[0], mixture.covariances_[0]
    x, inf = rng.normal(size=4) + mean, np.inf
    lower, upper = x.copy(), x.copy()
    lower[[0, 2]], upper[[0, 2]] = [-inf, x[2] - 0.4], [x[0] + 0.3, inf]
    for missing in (False, True):
        o, u = ([1], [0, 2, 3]) if missing else ([1, 3], [0, 2])
        if missing:
            lower[3], upper[3] = -inf, inf
        slope = cov[np.ix_(u, o)] @ np.linalg.inv(cov[np.ix_(o, o)])
        centre = mean[u] + slope @ (x[o] - mean[o])
        rest = cov[np.ix_(u, u)] - slope @ cov[np.ix_(o, u)]
        inside = box_moments(centre, rest, lower[u], upper[u])
        filled = mixture.impute(lower=lower[None], upper=upper[None])[0]
        assert np.allclose(filled[u], inside.mean, rtol=1e-9)
        density = multivariate_normal(mean[o], cov[np.ix_(o, o)]).logpdf(x[o])
        found = mixture.score_samples(lower=lower[None], upper=upper[None])
        assert np.allclose(found, density + inside.log_probability, rtol=1e-9)


def test_a_step_takes_the_moments_of_boxes():
    """One EM step of one component on rows with two censored cells, in plain numpy."""
    rng = np.random.default_rng(7)
    cov = np.array([[1.0, 0.5, 0.2], [0.5, 1.5, -0.3], [0.2, -0.3, 0.8]])
    x = rng.normal(size=(30, 3)) @ np.linalg.cholesky(cov).T
    lower, upper = x.copy(), x.copy()
    upper[:, :2] = np.inf
    upper[1::3, 0] = x[1::3, 0] + 0.7
    lower[::2, 1], upper[::2, 1] = -np.inf, x[::2, 1] + 0.2
    options = {"weights_init": [1.0], "means_init": np.zeros((1, 3)), "max_iter": 1}
    mixture = CensoredGaussianMixture(**options, precisions_init=[np.linalg.inv(cov)])
    with pytest.warns(ConvergenceWarning):
        mixture.fit(lower=lower, upper=upper, sample_weight=np.full(30, 2.0))
    first, second = np.zeros(3), np.zeros((3, 3))
    slope = cov[:2, 2:] / cov[2, 2]
    rest = cov[:2, :2] - slope @ cov[2:, :2]
    for i in range(30):
        inside = box_moments(slope[:, 0] * x[i, 2], rest, lower[i, :2], upper[i, :2])
        t = np.append(inside.mean, x[i, 2])
        first += t / 30
        second += np.outer(t, t) / 30
        second[:2, :2] += inside.covariance / 30
    assert np.allclose(mixture.means_[0], first, rtol=1e-9)
    assert np.allclose(mixture.covariances_[0], second - np.outer(first, first), rtol=1e-9)


@pytest.mark.parametrize("kind", ["diag", "full"])
def test_every_row_may_have_a_pattern_of_its_own(kind):
    rng = np.random.default_rng(8)
    X = blobs(400, 6)
    gone, right = rng.random((2, *X.shape)) < 0.2
    right &= rng.random(X.shape) < (1.0 if kind == "diag" else 0.2)
    lower, upper = np.where(gone, -np.inf, X), np.where(gone | right, np.inf, X)
    mixture = CensoredGaussianMixture(2, covariance_type=kind, random_state=0, accelerate=None)
    mixture.fit(lower=lower, upper=upper)
    assert np.all(np.diff(mixture.report_.trace) > -1e-9)
    order = rng.permutation(len(X))
    turned = mixture.score_samples(lower=lower[order], upper=upper[order])
    assert np.allclose(turned, mixture.score_samples(lower=lower, upper=upper)[order], rtol=1e-12)


def test_components_without_a_share_are_left_out():
    """Far components change nothing, though their cells are not integrated."""
    rng = np.random.default_rng(9)
    x = rng.normal(size=(100, 2))
    lower, upper = np.floor(x), np.floor(x) + 1.0
    weights, means, variances = [0.4, 0.3, 0.3], [[0, 0], [1, 0], [90, 90]], np.ones((3, 2))
    far = CensoredGaussianMixture.from_params(weights, means, variances, covariance_type="diag")
    each = np.array(
        [
            interval_moments(mean, 1.0, lower, upper).log_probability.sum(axis=1) + np.log(w)
            for w, mean in zip(weights, np.array(means, float), strict=True)
        ]
    )
    found = far.score_samples(lower=lower, upper=upper)
    assert np.allclose(found, np.logaddexp.reduce(each), rtol=1e-13)
    resp = far.predict_proba(lower=lower, upper=upper)
    assert np.allclose(resp, np.exp(each - found).T, atol=1e-13)


@pytest.mark.parametrize("far", [1e3, 1e150, 1e300])
def test_bounds_far_away_stay_finite(far):
    X = blobs(50)
    X[0] = far
    mixture = CensoredGaussianMixture(2, random_state=0).fit(X[1:])
    for bounds in ({"lower": X}, {"upper": -X}):
        side = np.full_like(X, np.inf)
        full = {"lower": -side, "upper": side, **bounds}
        assert np.isfinite(mixture.score_samples(**full)).all()
        assert np.isfinite(mixture.predict_proba(**full)).all()
        assert not np.isnan(mixture.impute(**full)).any()


def test_boxes_of_many_shapes_keep_their_rows():
    """Boxes are sorted by which of their sides are finite, and every row finds its own again."""
    rng = np.random.default_rng(12)
    X = rng.normal(size=(40, 2))
    low, high = X - rng.exponential(2.0, X.shape), X + rng.exponential(2.0, X.shape)
    low[rng.random(X.shape) < 0.5] = -np.inf
    high[rng.random(X.shape) < 0.5] = np.inf
    low[:5], high[:5] = -np.inf, np.inf
    mixture = CensoredGaussianMixture(covariance_type="diag").fit(X)
    found = mixture.score_samples(X, trunc_lower=low, trunc_upper=high)
    mean, sd = mixture.means_[0], np.sqrt(mixture.covariances_[0])
    inside = (norm.cdf(high, mean, sd) - norm.cdf(low, mean, sd)).prod(axis=1)
    density = norm.logpdf(X, mean, sd).sum(axis=1)
    assert np.allclose(found, density - np.log(inside), rtol=0.0, atol=1e-12)


def test_the_widest_intervals_are_missing_cells():
    """Widths whose squares or themselves no double holds, without a warning."""
    X = np.random.default_rng(13).normal(size=(60, 2))
    known = X > 0.0
    fits = [
        CensoredGaussianMixture(covariance_type="diag", tol=1e-12, max_iter=500).fit(
            lower=np.where(known, X, -far), upper=np.where(known, X, far)
        )
        for far in (1e300, 1.7e308, np.inf)
    ]
    for fit in fits[:2]:
        assert np.allclose(fit.means_, fits[2].means_, rtol=1e-5)
    x = X[:, :1]  # a small unit, in which the bounds are larger than all doubles
    low, high = np.r_[x * 1e-9, [[-1.7e308]]], np.r_[x * 1e-9, [[1.7e308]]]
    fit = CensoredGaussianMixture(tol=1e-12).fit(lower=low, upper=high)
    # What the row that says nothing adds to the mean is what a step leaves: nothing.
    assert np.allclose(fit.means_, x.mean() * 1e-9, rtol=1e-5)


@pytest.mark.parametrize("covariance_type", ["full", "tied"])
def test_several_narrow_cells_of_a_row(covariance_type):
    """Intervals down to neighbouring doubles are exact cells whose densities count by width."""
    rng = np.random.default_rng(14)
    X = 100.0 + rng.normal(size=(60, 3)) @ rng.normal(size=(3, 3))
    mixture = CensoredGaussianMixture(covariance_type=covariance_type, tol=1e-10).fit(X)
    wide = np.array([0.0, 0.0, 0.7])
    for low, high in ((X, np.nextafter(X, np.inf)), (X - 1e-9, X + 1e-9), (X - 1e-5, X + 1e-5)):
        # The density bends by (width / sd)^2 / 24 over an interval: 1e-7 for the widest here.
        width = high - low
        found = mixture.score_samples(lower=low, upper=high) - np.log(width).sum(axis=1)
        assert np.allclose(found, mixture.score_samples(X), rtol=0.0, atol=1e-7)
        other = mixture.score_samples(lower=low - wide, upper=high + wide)
        known = mixture.score_samples(lower=X - wide, upper=X + wide)
        found = other - np.log(width[:, :2]).sum(axis=1)
        assert np.allclose(found, known, rtol=0.0, atol=1e-4)
        inside = mixture.impute(lower=low - wide, upper=high + wide)
        assert np.allclose(inside, mixture.impute(lower=X - wide, upper=X + wide), atol=1e-4)
        fit = CensoredGaussianMixture(covariance_type=covariance_type, tol=1e-10)
        fit.fit(lower=low, upper=high)
        assert np.allclose(fit.covariances_, mixture.covariances_, rtol=1e-7)
