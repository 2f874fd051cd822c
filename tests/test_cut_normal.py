"""Normal laws inside intervals, unions and boxes: laws, quadrature and what is known."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from reference import slow_normal
from scipy.stats import multivariate_normal

from pyestim._core import context, native
from pyestim.models.cut_normal import CutMoments, box_moments, interval_moments, union_moments

INF = np.inf
EPS = np.finfo(float).eps


def assert_same(one, other, tolerance):
    """Moments in units of the inside standard deviations."""
    sd = np.sqrt(np.diagonal(other.covariance, axis1=-2, axis2=-1))
    tolerance = np.asarray(tolerance)
    near = np.abs(one.log_probability - other.log_probability)
    assert (near <= tolerance).all()
    moved = np.abs(one.mean - other.mean) / sd
    assert (moved <= tolerance[..., None] + 4 * EPS * np.abs(other.mean) / sd).all()
    bent = np.abs(one.covariance - other.covariance) / (sd[..., :, None] * sd[..., None, :])
    assert (bent <= tolerance[..., None, None]).all()


def correlation(rho):
    return np.array([[1.0, rho], [rho, 1.0]])


# -- intervals -------------------------------------------------------------------------------------

#: method notes of the truncated normal, to the digits given there
KNOWN = [
    (-INF, -5, -15.064998394, -5.18650396713, 0.0326964346171),
    (40, INF, -804.608442014, 40.0249688472, 0.000622668378591),
    (5, 6, -15.0684460965, 5.18314709048, 0.0294524307685),
    (8, 8.001, -39.8306913119, 8.00049933329, 8.33330638562e-8),
    (-1, 1, -0.381715146302, 0, 0.291125094773),
    (30, 30.5, -454.321244222, 30.0332595348, 0.00110370527995),
    (100, 100.1, -5005.52425382, 100.009993488, 9.9488824559e-5),
]


@pytest.mark.once
@pytest.mark.parametrize(("a", "b", "log_prob", "mean", "variance"), KNOWN)
def test_known_intervals_moved_and_scaled(a, b, log_prob, mean, variance):
    got = interval_moments(3.0, 2.0, 3 + 2 * a, 3 + 2 * b)
    # Given are 11 digits of the first, 12 of the others: half a unit of the last, of a leading 1.
    np.testing.assert_allclose(got.log_probability, log_prob, rtol=5e-11)
    np.testing.assert_allclose(got.mean, 3 + 2 * mean, rtol=5e-12)
    np.testing.assert_allclose(got.covariance, 4 * variance, rtol=5e-12)


@pytest.mark.once
def test_no_limits_change_no_bit():
    rng = np.random.default_rng(0)
    mean, sd = rng.normal(size=20) * 1e3, 10 ** rng.uniform(-3, 3, 20)
    for got in (interval_moments(mean, sd, -INF, INF), union_moments(mean, sd, [[-INF, INF]])):
        np.testing.assert_array_equal(got.log_probability, 0.0)
        np.testing.assert_array_equal(got.mean, mean)
        np.testing.assert_array_equal(got.covariance, sd * sd)
    factor = rng.normal(size=(20, 4, 4))
    means, covs = rng.normal(size=(20, 4)), factor @ factor.swapaxes(1, 2) + 0.1 * np.eye(4)
    box = box_moments(means, covs, np.full(4, -INF), np.full(4, INF))
    np.testing.assert_array_equal(box.log_probability, 0.0)
    np.testing.assert_array_equal(box.mean, means)
    np.testing.assert_array_equal(box.covariance, covs)
    np.testing.assert_array_equal(box.error, 0.0)


@pytest.mark.once
def test_a_union_is_its_parts():
    mean, sd = np.array([0.0, 1.0, -3.0]), np.array([1.0, 0.5, 2.0])
    cuts = np.array([-5.0, -1.0, 0.2, 0.7, 4.0])
    whole = interval_moments(mean, sd, -5.0, 4.0)
    parts = union_moments(mean, sd, np.column_stack([cuts[:-1], cuts[1:]])[[2, 0, 3, 1]])
    # Sums of four positive terms of rounding EPS each, and their moments about the common mean.
    np.testing.assert_allclose(parts.log_probability, whole.log_probability, atol=20 * EPS)
    np.testing.assert_allclose(parts.mean, whole.mean, rtol=20 * EPS, atol=20 * EPS)
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=50 * EPS)


@pytest.mark.once
def test_a_union_of_two_tails():
    got = union_moments(0.0, 1.0, [[-INF, -30.0], [30.0, INF]])
    log_prob, mean, variance = (float(x) for x in slow_normal.interval(30, INF))
    np.testing.assert_allclose(got.log_probability, log_prob + np.log(2), rtol=4 * EPS)
    assert got.mean == 0
    np.testing.assert_allclose(got.covariance, variance + mean**2, rtol=8 * EPS)


# -- boxes -----------------------------------------------------------------------------------------


@pytest.mark.once
def test_known_box():
    got = box_moments([0.0, 0.0], correlation(0.5), [-1.0, 0.0], [1.0, 2.0])
    np.testing.assert_allclose(np.exp(got.log_probability), 0.332007690897, rtol=2e-12)
    np.testing.assert_allclose(got.mean, [0.122816947121, 0.679215442594], rtol=5e-12)
    expected = [[0.274201625295, 0.040727316072], [0.040727316072, 0.231326569444]]
    np.testing.assert_allclose(got.covariance, expected, rtol=1e-11)


def quadrature(rho, lower, upper):
    """Log-probability and moments: the inner interval moments of mpmath integrated over x."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    s = mp.sqrt(1 - mp.mpf(rho) ** 2)
    with mp.workdps(30):
        half, middle = (mp.mpf(upper[0]) - lower[0]) / 2, (mp.mpf(upper[0]) + lower[0]) / 2
        total = mp.matrix([0] * 6)
        for node, weight in zip(nodes.tolist(), weights.tolist(), strict=True):
            x = middle + half * node
            log_prob, m, v = slow_normal.interval(
                (lower[1] - rho * x) / s, (upper[1] - rho * x) / s
            )
            y = rho * x + s * m
            row = mp.matrix([1, x, y, x * x, x * y, y * y + s * s * v])
            total += weight * half * mp.exp(log_prob) * slow_normal.density(x) * row
        p, x, y, xx, xy, yy = total
        xy = xy / p - x * y / p**2
        cov = [[xx / p - (x / p) ** 2, xy], [xy, yy / p - (y / p) ** 2]]
        mean = [x / p, y / p]
    return CutMoments(
        np.array(float(mp.log(p))),
        np.array([float(entry) for entry in mean]),
        np.array([[float(entry) for entry in row] for row in cov]),
        np.array(0.0),
    )


@pytest.mark.once
@pytest.mark.parametrize(
    ("rho", "lower", "upper"),
    [
        (0.5, (-1.0, 0.0), (1.0, 2.0)),
        (-0.9, (5.0, -6.0), (6.5, -4.0)),
        (0.3, (20.0, 20.0), (20.5, 20.001)),
        (0.99, (1.0, 0.5), (1.5, 0.5001)),
        (-0.6, (-3.0, 2.0), (0.0, INF)),
        (0.8, (1.0, 1.0), (1.001, 1.0001)),
    ],
)
def test_two_coordinates_by_quadrature(rho, lower, upper):
    got = box_moments([0.0, 0.0], correlation(rho), lower, upper)
    # What the weights of double precision and logarithms up to 400 leave, over ranges of some sd.
    assert_same(got, quadrature(rho, lower, upper), 1e-11)


def boxes(d, n, seed):
    """Means, correlations and boxes: near, far, narrow, half-open."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(n, d, d + 1))
    cov = factor @ factor.swapaxes(1, 2)
    sd = np.sqrt(np.diagonal(cov, axis1=1, axis2=2))
    cov /= sd[:, :, None] * sd[:, None, :]
    lower = rng.uniform(-3, 3, (n, d))
    lower[::3] *= 8
    upper = lower + 10 ** rng.uniform(-1, 1, (n, d))
    upper[1::4] = lower[1::4] + 10 ** rng.uniform(-6, -2, (n, d))[1::4]
    upper[2::5, 0] = INF
    lower[3::5, -1] = -INF
    return np.zeros((n, d)), cov, lower, upper


def rounding(moments, cov, lower):
    """Both sides round the integrand's logarithm L to EPS |L|, and the conditional limits to

    EPS |limit| / s, s^2 the smallest eigenvalue, which moves L by its slope, limit / s: EPS
    (|L| + limit^2 / s^2), times 10 for moments over a range of 10 sd, twice for the two sides.
    """
    smallest = np.linalg.eigvalsh(cov)[:, 0]
    size = np.where(np.isinf(lower), 0, lower)
    limits = (size**2).sum(axis=1) + 100
    return 20 * EPS * (np.abs(moments.log_probability) + limits / smallest)


@pytest.mark.parametrize(("d", "n"), [(2, 300), (3, 40)])
def test_the_order_of_the_coordinates_is_free(d, n):
    # A different coordinate is integrated by nodes: an independent computation.
    mean, cov, lower, upper = boxes(d, n, 5)
    turn = np.roll(np.arange(d), 1)
    back = np.argsort(turn)
    one = box_moments(mean, cov, lower, upper)
    other = box_moments(mean, cov[:, turn][:, :, turn], lower[:, turn], upper[:, turn])
    other = CutMoments(
        other.log_probability,
        other.mean[:, back],
        other.covariance[:, back][:, :, back],
        other.error,
    )
    assert_same(one, other, rounding(one, cov, lower))
    assert (one.error == 0).all()
    assert ((lower <= one.mean) & (one.mean <= upper)).all()
    assert (np.linalg.eigvalsh(one.covariance)[:, 0] > 0).all()


def test_scales_and_origins_are_free():
    mean, cov, lower, upper = boxes(3, 6, 6)
    scale = np.array([4.0, 0.5, 1024.0])
    one = box_moments(mean, cov, lower, upper)
    other = box_moments(mean, cov * np.outer(scale, scale), lower * scale, upper * scale)
    np.testing.assert_array_equal(other.log_probability, one.log_probability)
    np.testing.assert_array_equal(other.mean, one.mean * scale)
    np.testing.assert_array_equal(other.covariance, one.covariance * np.outer(scale, scale))


def test_uncorrelated_coordinates_are_intervals():
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(size=5), rng.uniform(0.5, 2, 5)
    lower, upper = mean + rng.uniform(-3, 2, 5), mean + rng.uniform(2, 4, 5)
    lower[3], upper[3] = -INF, INF
    box = box_moments(mean, np.diag(sd**2), lower, upper)
    parts = interval_moments(mean, sd, lower, upper)
    # sd is a root of its square again: one rounding of the limits, at most 4 sd from the mean.
    np.testing.assert_allclose(box.log_probability, parts.log_probability.sum(), rtol=40 * EPS)
    np.testing.assert_allclose(box.mean, parts.mean, rtol=40 * EPS)
    np.testing.assert_allclose(box.covariance, np.diag(parts.covariance), rtol=100 * EPS)
    assert (box.mean[3], box.covariance[3, 3]) == (mean[3], sd[3] ** 2)


def test_coordinates_without_limits_follow_by_regression():
    rng = np.random.default_rng(2)
    factor = rng.normal(size=(4, 5))
    cov, mean = factor @ factor.T, rng.normal(size=4)
    lower, upper = np.full(4, -INF), np.full(4, INF)
    lower[[1, 3]], upper[1] = mean[[1, 3]] - 0.3, mean[1] + 1
    box = box_moments(mean, cov, lower, upper)
    kept, rest = [1, 3], [0, 2]
    part = box_moments(mean[kept], cov[np.ix_(kept, kept)], lower[kept], upper[kept])
    slope = cov[np.ix_(rest, kept)] @ np.linalg.inv(cov[np.ix_(kept, kept)])
    lost = cov[np.ix_(kept, kept)] - part.covariance
    # Rounding of the inverse: the condition of this covariance is below 100.
    close = {"rtol": 1e3 * EPS, "atol": 1e3 * EPS}
    np.testing.assert_allclose(box.log_probability, part.log_probability, **close)
    np.testing.assert_allclose(box.mean[kept], part.mean, **close)
    np.testing.assert_allclose(
        box.mean[rest], mean[rest] + slope @ (part.mean - mean[kept]), **close
    )
    np.testing.assert_allclose(
        box.covariance[np.ix_(rest, rest)],
        cov[np.ix_(rest, rest)] - slope @ lost @ slope.T,
        **close,
    )
    np.testing.assert_allclose(box.covariance[np.ix_(rest, kept)], slope @ part.covariance, **close)


def test_the_lattice_knows_its_error():
    # Two independent pairs, hidden from the shortcuts by a correlation of 1e-13.
    mean, cov, lower, upper = boxes(2, 12, 9)
    half = box_moments(mean, cov, lower, upper)
    whole = np.full((6, 4, 4), 1e-13)
    whole[:, :2, :2], whole[:, 2:, 2:] = cov[:6], cov[6:]
    got = box_moments(
        np.zeros((6, 4)),
        whole,
        np.hstack([lower[:6], lower[6:]]),
        np.hstack([upper[:6], upper[6:]]),
    )
    miss = got.log_probability - half.log_probability[:6] - half.log_probability[6:]
    # Eight shifts: 6 estimated errors are beyond the 0.9995 quantile of Student's t with 7 degrees.
    assert (np.abs(miss) <= 6 * got.error + 1e-9).all()
    assert (got.error < 5e-3).all()
    again = box_moments(np.zeros(4), whole[0], np.r_[lower[0], lower[6]], np.r_[upper[0], upper[6]])
    assert again.log_probability == got.log_probability[0]


@pytest.mark.once
def test_six_coordinates_beside_scipy():
    d = 6
    cov = 0.4 * np.eye(d) + 0.6
    lower, upper = np.linspace(-2, 0.5, d), np.full(d, 2.5)
    got = box_moments(np.zeros(d), cov, lower, upper)
    law = multivariate_normal(np.zeros(d), cov, abseps=1e-6, releps=1e-6, maxpts=10**6, seed=1)
    log_prob = np.log(law.cdf(upper, lower_limit=lower))
    assert abs(got.log_probability - log_prob) <= 6 * got.error + 1e-4
    rows = np.random.default_rng(0).multivariate_normal(np.zeros(d), cov, 200_000)
    inside = rows[((rows > lower) & (rows < upper)).all(axis=1)]
    # Five standard errors of a sample of this size.
    sd = inside.std(axis=0)
    assert (np.abs(got.mean - inside.mean(axis=0)) <= 5 * sd / np.sqrt(len(inside))).all()
    spread = 5 * np.sqrt(2 / len(inside)) * np.outer(sd, sd)
    assert (np.abs(got.covariance - np.cov(inside.T)) <= spread).all()


# -- what is wrong is told -------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize(
    ("function", "arguments", "sentence"),
    [
        (interval_moments, (0.0, 1.0, 1.0, 1.0), "lower must be below upper, got 1.0 and 1.0"),
        (interval_moments, (0.0, 1.0, np.nan, 1.0), "lower must be below upper, got nan"),
        (interval_moments, (0.0, 1.0, INF, INF), "lower must be below upper"),
        (interval_moments, ([0.0, np.nan], 1.0, 0, 1), r"mean must be finite, .* position \(1,\)"),
        (interval_moments, (0.0, 0.0, 0, 1), "sd must be positive"),
        (interval_moments, (np.zeros(2), np.ones(3), 0, 1), "must broadcast"),
        (union_moments, (0.0, 1.0, [0.0, 1.0]), r"shape \(M, 2\)"),
        (union_moments, (0.0, 1.0, [[0, 2], [1, 3]]), "not overlap"),
        (union_moments, (0.0, -1.0, [[0, 2]]), "sd must be positive"),
        (box_moments, ([0, 0], [[1, 2], [2, 1]], 0, 1), "covariance must be positive definite"),
        (box_moments, ([0, 0], [[1, np.nan], [np.nan, 1]], 0, 1), "positive definite"),
        (box_moments, ([0, 0], [[INF, 0], [0, 1]], 0, 1), "positive definite"),
        (box_moments, ([0, np.nan], np.eye(2), 0, 1), "mean must be finite"),
        (box_moments, ([0, INF], np.eye(2), -INF, INF), "mean must be finite"),
        (box_moments, ([0, 0], np.eye(2), [0, 1], [1, 1]), "lower must be below upper"),
        (box_moments, ([0, 0], correlation(0.5), [1e200, 1e200], INF), "must be within some 1e100"),
        (box_moments, ([0, 0], np.eye(2), [0, np.nan], [1, 1]), "lower must be below upper"),
        (box_moments, ([0, 0, 0], np.eye(2), 0, 1), "covariance must have shape"),
    ],
)
def test_wrong_arguments_are_told(function, arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        function(*arguments)


@pytest.mark.once
@pytest.mark.parametrize(
    ("shapes", "sentence"),
    [
        (((2, 3), (2, 3, 2), (2, 3), (2, 3)), r"covariances must have shape \(2, 3, 3\)"),
        (((2, 3), (2, 3, 3), (3,), (2, 3)), r"lower must have shape \(2, 3\)"),
        (((3,), (3, 3), (3,), (3,)), "box_moments: means must"),
        (((1, 1001), (1, 1, 1), (1, 1001), (1, 1001)), "at most 1000 columns, got 1001"),
    ],
)
def test_wrong_shapes_of_native_boxes_are_told(shapes, sentence):
    with pytest.raises(ValueError, match=sentence):
        native.box_moments(context(), *map(np.ones, shapes))


@pytest.mark.once
def test_nothing_gives_nothing():
    assert interval_moments([], 1.0, 0.0, 1.0).mean.shape == (0,)
    assert union_moments([], 1.0, [[0.0, 1.0]]).mean.shape == (0,)
    box = box_moments(np.zeros((0, 2)), np.eye(2), 0.0, 1.0)
    assert box.covariance.shape == (0, 2, 2)
    assert box.log_probability.shape == (0,)


def test_moments_of_four_columns_are_as_good_as_their_probability():
    """Beside a tensor rule; a lattice whose draws jump where an interval is reflected has 1e-2."""
    rng = np.random.default_rng(9)
    root = np.eye(4) + np.tril(rng.uniform(-0.5, 0.5, (4, 4)), -1)
    covariance, mean = root @ root.T, np.array([0.1, 0.0, -0.1, 0.05])
    node, weight = np.polynomial.legendre.leggauss(20)
    grid = 1.5 * np.stack(np.meshgrid(node, node, node, node), axis=-1).reshape(-1, 4)
    gap = grid - mean
    mass = np.einsum("i,j,k,l->jikl", weight, weight, weight, weight).ravel()
    mass *= np.exp(-0.5 * (gap @ np.linalg.inv(covariance) * gap).sum(axis=1))
    mass /= mass.sum()
    centre = mass @ grid
    spread = ((grid - centre).T * mass) @ (grid - centre)
    got = box_moments(mean, covariance, np.full(4, -1.5), np.full(4, 1.5))
    np.testing.assert_allclose(got.mean, centre, atol=1e-4)
    np.testing.assert_allclose(got.covariance, spread, atol=5e-4)
