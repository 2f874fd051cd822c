"""`TruncatedGaussianMixture`: sets, limits, queries, hostile input."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.exceptions import ConvergenceWarning

import pyestim
from pyestim import GaussianMixture, TruncatedGaussianMixture
from pyestim.models.truncated_moments import gauss_quadrature

pytestmark = pytest.mark.once

LOWER, UPPER = -1.0, 2.5


@pytest.fixture(scope="module")
def X():
    """Two components, seen between `LOWER` and `UPPER`."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(-1, 0.7, 900), rng.normal(1.5, 0.6, 1100)])
    return rows[(rows >= LOWER) & (rows <= UPPER), None]


@pytest.fixture(scope="module")
def mixture(X):
    return TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, random_state=0).fit(X)


# -- sets ------------------------------------------------------------------------------------------


def test_union_of_intervals_is_put_in_order(X):
    inside = X[(X[:, 0] < 0.0) | (X[:, 0] > 0.5)]
    pieces = ((1.0, 2.5), (-1.0, -0.5), (0.5, 1.0), (-0.6, 0.0), (0.7, 0.9), (3.0, 3.0))
    cut = TruncatedGaussianMixture(2, support=pieces, random_state=0).fit(inside)
    np.testing.assert_array_equal(cut.support_, [[-1.0, 0.0], [0.5, 2.5]])
    same = TruncatedGaussianMixture(2, support=cut.support_, random_state=0).fit(inside)
    np.testing.assert_array_equal(same.means_, cut.means_)
    density = cut.density([[-2.0], [0.2], [0.7]])
    assert density[0] == density[1] == 0.0 < density[2]
    # The density given the set integrates to one over it.
    grid = np.concatenate([np.linspace(*piece, 4001) for piece in cut.support_])
    total = sum(np.trapezoid(cut.density(part[:, None]), part) for part in np.split(grid, 2))
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("shape", ["line", "plane"])
def test_no_limit_is_the_plain_mixture(X, shape):
    rows = X if shape == "line" else np.column_stack([X, X**2])
    options = {"tol": 1e-8, "max_iter": 200, "random_state": 0}
    plain = GaussianMixture(2, **options).fit(rows)
    for bounds in ({}, {"lower": -np.inf}, {"upper": np.full(rows.shape[1], np.inf)}):
        cut = TruncatedGaussianMixture(2, **bounds, **options).fit(rows)
        for name in ("weights_", "means_", "covariances_"):
            np.testing.assert_array_equal(getattr(cut, name), getattr(plain, name))
        assert cut.missing_mass_ == 0.0
        np.testing.assert_array_equal(cut.score_samples(rows), plain.score_samples(rows))


def test_limits_far_away_are_none(X):
    options = {"accelerate": None, "max_iter": 30, "tol": 0.0, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain = GaussianMixture(2, **options).fit(X)
        cut = TruncatedGaussianMixture(2, lower=-1e3, upper=1e3, **options).fit(X)
    np.testing.assert_allclose(cut.means_, plain.means_, rtol=1e-12)
    np.testing.assert_allclose(cut.covariances_, plain.covariances_, rtol=1e-12)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"lower": 2.0, "upper": -1.0}, "the set is empty"),
        ({"lower": 1.0, "upper": 1.0}, "measure zero"),
        ({"lower": np.inf}, "the set is empty"),
        ({"lower": np.nan}, "must not be NaN"),
        ({"lower": [0.0, 1.0]}, "one limit for each column"),
        ({"upper": "high"}, "a number or 1 numbers"),
        ({"support": ((0.0, 1.0),), "lower": 0.0}, "got both"),
        ({"support": ()}, "pairs of numbers"),
        ({"support": ((1.0, 0.0),)}, "is empty"),
        ({"support": ((1.0, 1.0),)}, "measure zero"),
        ({"support": ((0.0, np.nan),)}, "got NaN"),
        ({"support": ((0.0, 1.0, 2.0),)}, "pairs of numbers"),
        ({"support": "everywhere"}, "pairs of numbers"),
        ({"lower": 0.0}, "rows outside it, the first of them row"),
        ({"method": "magic"}, "method must be one of"),
        ({"known_sd": -1.0}, "known_sd must be"),
        ({"known_sd": 1.0}, "known_sd is held by method"),
        ({"covariance_type": "spherical"}, "covariance_type must be one of"),
    ],
)
def test_bad_arguments_are_explained(X, bounds, message):
    with pytest.raises(ValueError, match=f"TruncatedGaussianMixture: .*{message}"):
        TruncatedGaussianMixture(**bounds).fit(X)


def test_a_union_is_for_one_column(X):
    with pytest.raises(ValueError, match="expects one column, got 2"):
        TruncatedGaussianMixture(support=((-9, 9),)).fit(np.column_stack([X, X]))


def test_rows_outside_are_counted(X):
    rows = np.concatenate([X, [[-3.0], [7.0]]])
    with pytest.raises(ValueError, match=rf"got 2 of {len(rows)} rows outside it, .* row {len(X)}"):
        TruncatedGaussianMixture(lower=LOWER, upper=UPPER).fit(rows)
    weight = np.append(np.ones(len(X)), [0.0, 0.0])
    cut = TruncatedGaussianMixture(lower=LOWER, upper=UPPER).fit(rows, sample_weight=weight)
    plain = TruncatedGaussianMixture(lower=LOWER, upper=UPPER).fit(X)
    np.testing.assert_allclose(cut.means_, plain.means_, rtol=1e-6)
    assert cut.score(rows, sample_weight=weight) == pytest.approx(plain.score(X), rel=1e-9)
    assert plain.score(rows) == -np.inf
    np.testing.assert_array_equal(plain.score_samples(rows)[-2:], [-np.inf, -np.inf])


def test_single_precision_reads_the_limits_in_its_own_precision():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(2000, 1)).astype(np.float32)
    rows = rows[rows[:, 0] <= np.float32(0.7)]
    rows[0] = 0.7  # above 0.7 in double precision
    single = TruncatedGaussianMixture(upper=0.7).fit(rows)
    double = TruncatedGaussianMixture(upper=0.7001).fit(rows.astype(float))
    np.testing.assert_allclose(single.means_, double.means_, atol=5e-3)


# -- what a fit cannot know ------------------------------------------------------------------------


def test_a_component_that_leaves_the_set_is_held():
    """The likelihood of rows that rise towards the edge has no maximum."""
    rng = np.random.default_rng(2)
    rows = 1.0 - rng.exponential(0.2, (3000, 1)) ** 1.3
    rows = rows[rows[:, 0] > 0.0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cut = TruncatedGaussianMixture(lower=0.0, upper=1.0).fit(rows)
    assert np.isfinite(cut.means_).all() and np.isfinite(cut.covariances_).all()
    assert 1e-4 < cut.inside_mass_[0] < 1e-3
    assert "component 0 has left the set" in str(cut.report_)


def test_a_set_too_small_is_told():
    """Any wide component looks flat through a slit."""
    rng = np.random.default_rng(0)
    rows = rng.normal(0.3, 1.0, 8000)
    rows = rows[(rows > 0.0) & (rows < 0.5), None][:1000]
    with pytest.warns(ConvergenceWarning, match="do not determine the parameters") as caught:
        cut = TruncatedGaussianMixture(2, lower=0.0, upper=0.5, random_state=0).fit(rows)
    assert cut.information_condition_ < 1e6  # so that it is no evidence
    assert "a mean has a standard error of" in str(caught[0].message)
    assert "condition" not in str(caught[0].message)
    assert np.isfinite(cut.means_).all() and np.isfinite(cut.covariances_).all()
    assert "the rows do not determine the parameters" in str(cut.report_)


@pytest.mark.parametrize("method", ["em", "moments"])
def test_constant_columns_and_two_rows(method):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for rows in (np.full((20, 1), 3.0), np.array([[2.5], [3.5]]), np.full((9, 1), 4.0)):
            cut = TruncatedGaussianMixture(1, lower=0.0, upper=4.0, method=method).fit(rows)
            for name in ("weights_", "means_", "covariances_"):
                assert np.isfinite(getattr(cut, name)).all()
    with pytest.raises(ValueError, match="minimum of 2"):
        TruncatedGaussianMixture(lower=0.0, method=method).fit([[1.0]])


@pytest.mark.parametrize("unit", [1e-120, 1e120])
def test_extreme_units(X, unit):
    options = {"tol": 1e-12, "random_state": 0}
    cut = TruncatedGaussianMixture(2, lower=LOWER * unit, upper=UPPER * unit, **options)
    plain = TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, **options).fit(X)
    np.testing.assert_allclose(cut.fit(X * unit).means_ / unit, plain.means_, rtol=1e-5)


# -- queries ---------------------------------------------------------------------------------------


def test_density_inside_and_everywhere(mixture):
    w, m, v = mixture.weights_, mixture.means_.ravel(), mixture.covariances_.ravel()
    x = np.array([-2.0, 0.0, 2.0, 3.0])
    whole = (w * stats.norm.pdf(x[:, None], m, np.sqrt(v))).sum(axis=1)
    np.testing.assert_allclose(mixture.density(x[:, None], conditional=False), whole, rtol=1e-12)
    edges = stats.norm.cdf(np.array([[UPPER], [LOWER]]), m, np.sqrt(v))
    alpha = w @ (edges[0] - edges[1])
    seen = np.where((x >= LOWER) & (x <= UPPER), whole / alpha, 0.0)
    np.testing.assert_allclose(mixture.density(x[:, None]), seen, rtol=1e-12)
    assert mixture.missing_mass_ == pytest.approx(1.0 - alpha, rel=1e-12)
    np.testing.assert_allclose(mixture.inside_mass_, edges[0] - edges[1], rtol=1e-12)
    assert mixture.inside_error_ == 0.0


def test_samples_have_the_right_law(mixture):
    rows, labels = mixture.sample(4000)
    assert rows.min() >= LOWER and rows.max() <= UPPER
    share = mixture.weights_ * mixture.inside_mass_ / (1.0 - mixture.missing_mass_)
    grid = np.linspace(LOWER, UPPER, 2001)
    cdf = np.append(
        0.0, np.cumsum(np.diff(grid) * mixture.density(0.5 * (grid[1:] + grid[:-1])[:, None]))
    )
    assert stats.kstest(rows[:, 0], lambda x: np.interp(x, grid, cdf)).pvalue > 1e-4
    spread = np.sqrt(share * (1 - share) / len(rows))
    assert (np.abs(np.bincount(labels) / len(rows) - share) < 4.5 * spread).all()
    whole = mixture.sample(4000, uncut=True)[0]
    outside = ((whole < LOWER) | (whole > UPPER)).mean()
    assert outside == pytest.approx(mixture.missing_mass_, abs=4.5 * 0.5 / np.sqrt(4000))


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag"])
def test_boxes_of_three_columns(covariance_type):
    """Where one column has no limit and another depends on it."""
    rng = np.random.default_rng(5)
    root = np.array([[1.0, 0.0, 0.0], [0.5, 0.8, 0.0], [0.2, -0.3, 0.9]])
    whole = rng.normal(size=(6000, 3)) @ (root.T if covariance_type != "diag" else np.eye(3))
    lower, upper = [-0.5, -np.inf, -1.0], [2.0, np.inf, np.inf]
    rows = whole[(whole > lower).all(axis=1) & (whole < upper).all(axis=1)]
    cut = TruncatedGaussianMixture(1, lower=lower, upper=upper, covariance_type=covariance_type)
    cut.fit(rows)
    errors = cut.standard_errors(rows)
    assert (np.abs(cut.means_) < 4.5 * errors.means).all()
    assert abs(1.0 - cut.missing_mass_ - len(rows) / len(whole)) < 4.5 * errors.missing_mass
    drawn, _ = cut.sample(500)
    assert (drawn >= lower).all() and (drawn <= upper).all()
    np.testing.assert_array_equal(cut.support_, np.column_stack([lower, upper]))


def test_weights_repeat_rows(X):
    weight = np.arange(len(X)) % 3.0
    cut = TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, tol=1e-10, random_state=0)
    counted = cut.fit(X, sample_weight=weight).means_
    repeated = cut.fit(np.repeat(X, weight.astype(int), axis=0)).means_
    np.testing.assert_allclose(counted, repeated, rtol=1e-6)


def test_standard_errors_of_one_component():
    """Fisher's information of a truncated normal law is the covariance of (x, x^2) inside."""
    rng = np.random.default_rng(6)
    rows = rng.normal(1.0, 2.0, 40_000)
    rows = rows[rows > 0.0]
    cut = TruncatedGaussianMixture(lower=0.0).fit(rows[:, None])
    errors = cut.standard_errors(rows[:, None])
    m, v = cut.means_[0, 0], cut.covariances_[0, 0, 0]
    inside = stats.truncnorm((0.0 - m) / np.sqrt(v), np.inf, m, np.sqrt(v)).rvs(
        400_000, random_state=0
    )
    score = np.column_stack([(inside - m) / v, ((inside - m) ** 2 / v - 1.0) / (2.0 * v)])
    expected = np.sqrt(np.diag(np.linalg.inv(np.cov(score.T) * len(rows))))
    got = [errors.means[0, 0], errors.covariances[0, 0, 0]]
    np.testing.assert_allclose(got, expected, rtol=0.02)
    assert "never seen" in str(cut.summary())


def test_save_and_load(mixture, X, tmp_path):
    mixture.save(tmp_path / "cut.npz")
    again = pyestim.load(tmp_path / "cut.npz")
    np.testing.assert_array_equal(again.score_samples(X), mixture.score_samples(X))
    np.testing.assert_array_equal(again.support_, mixture.support_)
    assert again.report_ == mixture.report_
    again.support_ = np.array([[3.0, 1.0]])
    with pytest.raises(ValueError, match="lower ends below upper ones"):
        again.score_samples(X)


def test_warm_start_and_plain_steps(X, mixture):
    plain = TruncatedGaussianMixture(
        2, lower=LOWER, upper=UPPER, accelerate=None, tol=1e-10, max_iter=5000, random_state=0
    ).fit(X)
    assert plain.lower_bound_ == pytest.approx(mixture.lower_bound_, abs=1e-6)
    again = TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, warm_start=True).fit(X)
    first = again.n_iter_
    assert again.fit(X).n_iter_ < first
    given = TruncatedGaussianMixture(
        2, lower=LOWER, upper=UPPER, means_init=[[-1.0], [1.5]], weights_init=[0.5, 0.5]
    ).fit(X)
    assert given.lower_bound_ == pytest.approx(mixture.lower_bound_, abs=1e-6)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, max_iter=2).fit(X)


def test_many_rows_begin_with_a_sample():
    rng = np.random.default_rng(7)
    rows = np.concatenate([rng.normal(-1, 1, 40_000), rng.normal(2, 1, 60_000)])
    rows = rows[(rows > -1.5) & (rows < 3.0), None]
    options = {"lower": -1.5, "upper": 3.0, "random_state": 0, "tol": 1e-10}
    fast = TruncatedGaussianMixture(2, **options).fit(rows)
    slow = TruncatedGaussianMixture(2, accelerate="squarem", max_iter=5000, **options).fit(rows)
    assert fast.lower_bound_ >= slow.lower_bound_ - 1e-9
    assert fast.report_.sweeps < 30
    np.testing.assert_allclose(fast.means_, slow.means_, atol=1e-3)


# -- moments ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("known_sd", [0.5, None])
def test_moments_of_distant_components(known_sd):
    rng = np.random.default_rng(8)
    rows = np.concatenate([rng.normal(-2, 0.5, 20_000), rng.normal(2, 0.5, 30_000)])
    rows = rows[(rows > -2.3) & (rows < 2.5), None]
    options = {"lower": -2.3, "upper": 2.5, "method": "moments", "known_sd": known_sd}
    cut = TruncatedGaussianMixture(2, **options).fit(rows)
    order = np.argsort(cut.means_[:, 0])
    np.testing.assert_allclose(cut.means_[order, 0], [-2.0, 2.0], atol=0.15)
    np.testing.assert_allclose(cut.weights_[order], [0.4, 0.6], atol=0.05)
    assert cut.converged_ and cut.report_.accelerator == "moments"
    if known_sd:
        np.testing.assert_allclose(cut.covariances_.ravel(), 0.25, rtol=1e-12)
    with pytest.raises(ValueError, match="expects one column, got 2"):
        TruncatedGaussianMixture(2, method="moments").fit(np.column_stack([rows, rows]))
    with pytest.raises(ValueError, match="at most 6"):
        TruncatedGaussianMixture(7, method="moments").fit(rows)


def test_moments_of_more_rows_are_nearer_where_the_set_has_a_hole():
    """The range of the rows grows with their number: so few polynomials that they miss it err."""
    rng = np.random.default_rng(3)
    centre = np.where(rng.random(300_000) < 0.4, -1.5, 1.5)
    rows = centre + rng.normal(size=len(centre))
    rows = rows[(rows < -1.0) | (rows > 0.0), None]
    sides = ((-np.inf, -1.0), (0.0, np.inf))
    cut = TruncatedGaussianMixture(2, support=sides, method="moments", known_sd=1.0).fit(rows)
    np.testing.assert_allclose(np.sort(cut.means_[:, 0]), [-1.5, 1.5], atol=0.2)


def test_gauss_quadrature_finds_the_atoms():
    atoms, weights = np.array([-0.8, 0.1, 0.9]), np.array([0.2, 0.5, 0.3])
    moments = (atoms ** np.arange(6)[:, None]) @ weights
    got = gauss_quadrature(moments, 3)
    np.testing.assert_allclose(got[0], atoms, atol=1e-12)
    np.testing.assert_allclose(got[1], weights, atol=1e-12)
    nodes, share = gauss_quadrature(np.power(0.5, np.arange(6)), 3)  # a single atom
    np.testing.assert_allclose(share, [1.0, 0.0, 0.0])
    assert nodes[0] == pytest.approx(0.5)


def test_boxes_that_bound_four_columns_say_their_error():
    """Quasi-Monte-Carlo with fixed points: the same fit twice, near the truth."""
    rng = np.random.default_rng(9)
    root = np.eye(4) + np.tril(rng.uniform(-0.5, 0.5, (4, 4)), -1)
    whole = rng.normal(size=(3000, 4)) @ root.T
    rows = whole[(np.abs(whole) < 1.5).all(axis=1)]
    options = {"lower": -1.5, "upper": 1.5, "random_state": 0}
    cut, again = (TruncatedGaussianMixture(**options).fit(rows) for _ in range(2))
    np.testing.assert_array_equal(cut.covariances_, again.covariances_)
    assert 0.0 < cut.inside_error_ < 1e-2
    assert 1.0 - cut.missing_mass_ == pytest.approx(len(rows) / len(whole), abs=0.1)
