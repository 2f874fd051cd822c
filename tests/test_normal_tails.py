"""Native normal tails and intervals against mpmath, at every instruction level of this machine."""

from __future__ import annotations

from functools import cache

import mpmath as mp
import numpy as np
import pytest
from reference import slow_normal

from pyestim import _native

#: One tail function is a polynomial (1.5 ulp), exp or log (1.1 ulp) and about three roundings, each
#: half a unit, of numbers a little larger than the result. Measured: 3.5.
TAIL_ULP = 6.0
#: In units of eps. Log-probability: log, a sum, the square. Mean: as a tail function, relative to
#: max(|m|, sd). Variance: that of one side or a difference of terms at most five times as large,
#: each with the errors of a tail function. Measured: 2.6, 2.5, 7.6.
INTERVAL_EPS = (6.0, 6.0, 16.0)
EPS = np.finfo(float).eps
INF = np.inf


@pytest.fixture(scope="module", params=_native.available_levels())
def context(request):
    return _native.Context(request.param, 1)


def tail_points(name, rng):
    x = np.concatenate(
        [rng.uniform(-40, 40, 60), 10 ** rng.uniform(-12, 150, 20), np.linspace(-38, 38, 20)]
    )
    x = np.concatenate([x, -x])
    # Beyond: exp(x^2) overflows; the tail is subnormal and has no digits to count.
    ranges = {"erfcx": (-26.6, INF), "log_ndtr": (-INF, 37.4), "inverse_mills": (-37.4, INF)}
    low, high = ranges[name]
    return x[(x > low) & (x < high)]


@cache
def tail_reference(name):
    x = tail_points(name, np.random.default_rng(3))
    with mp.workdps(slow_normal.DIGITS):
        exact = [getattr(slow_normal, name)(float(entry)) for entry in x]
        value = np.array([float(entry) for entry in exact])
        left = np.array(
            [float((e - mp.mpf(v)) / np.spacing(abs(v))) for e, v in zip(exact, value, strict=True)]
        )
    return x, value, left


@pytest.mark.parametrize("name", ["erfcx", "log_ndtr", "inverse_mills"])
def test_tail_functions(context, name):
    x, value, left = tail_reference(name)
    got = getattr(_native, f"{name}_apply")(context, x)
    assert (np.abs((got - value) / np.spacing(np.abs(value)) - left) <= TAIL_ULP).all()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("erfcx", [0.0, INF, np.nan, 1.0, INF]),
        ("log_ndtr", [0.0, -INF, np.nan, -0.6931471805599453, -INF]),
        ("inverse_mills", [INF, 0.0, np.nan, 0.7978845608028654, 0.0]),
    ],
)
def test_tail_functions_at_the_edges(context, name, expected):
    x = np.array([INF, -INF, np.nan, 0.0, -1e300])
    got = getattr(_native, f"{name}_apply")(context, x)
    np.testing.assert_allclose(got, expected, rtol=TAIL_ULP * EPS)


def intervals(kind):
    rng = np.random.default_rng(8)
    n = 40
    a = rng.uniform(-37, 37, n)
    b = rng.uniform(-37, 37, n)
    width = 10 ** rng.uniform(-12, 2, n)
    centre = rng.uniform(-4, 4, n)
    far = 10 ** rng.uniform(0, 150, n)[:12]
    # Where the formulas change: width 2, slope 2.5, the end at 0.
    edge = np.array([0.0, -1e-12, 1e-12, 1.5, -1.0, 0.5, 3.0])
    step = np.array([2.0, 2.0, 2.0, 2.0, 2.0, 1.999, 1.3])
    return {
        "right": (a, np.full(n, INF)),
        "left": (np.full(n, -INF), a),
        "pairs": (np.minimum(a, b), np.maximum(a, b)),
        "any width": (a, a + width),
        "about the middle": (centre, centre + 10 ** rng.uniform(-3, 1, n)),
        "changes of formula": (np.r_[edge, -edge - step], np.r_[edge + step, -edge]),
        "far": (far, far * (1 + 10 ** rng.uniform(-15, 0, 12))),
        "adjacent": (a, np.nextafter(a, INF)),
        "tiny": (np.zeros(n), 10 ** rng.uniform(-150, 0, n)),
    }[kind]


KINDS = (
    "right",
    "left",
    "pairs",
    "any width",
    "about the middle",
    "changes of formula",
    "far",
    "adjacent",
    "tiny",
)


@cache
def interval_reference(kind):
    ends = intervals(kind)
    rows = [slow_normal.interval(*map(float, pair)) for pair in zip(*ends, strict=True)]
    return *ends, rows


@pytest.mark.parametrize("kind", KINDS)
def test_intervals(context, kind):
    a, b, exact = interval_reference(kind)
    got = _native.interval_apply(context, a, b)
    for i, (log_prob, mean, variance) in enumerate(exact):
        scales = (abs(log_prob), max(abs(mean), mp.sqrt(variance)), variance)
        for j, (value, scale) in enumerate(zip((log_prob, mean, variance), scales, strict=True)):
            error = abs(mp.mpf(float(got[j][i])) - value)
            assert error <= INTERVAL_EPS[j] * EPS * scale, (kind, j, a[i], b[i])
    assert (a <= got[1]).all()
    assert (got[1] <= b).all()
    assert (got[2] > 0).all()


def test_intervals_without_limits_or_width(context):
    a = np.array([-INF, -INF, 0.0, -1e-300, 1e150, -1.0, np.nan, 2.0])
    b = np.array([INF, 0.0, INF, 1e-300, INF, 1.0, 1.0, 1.0])
    log_prob, mean, variance = _native.interval_apply(context, a, b)
    assert (log_prob[0], mean[0], variance[0]) == (0.0, 0.0, 1.0)
    assert not np.signbit(log_prob[0])
    assert np.isfinite(log_prob[1:6]).all()
    assert (variance[:6] > 0).all()
    assert mean[4] == 1e150
    # Reflection changes no bit; what is no interval has no probability.
    assert log_prob[1] == log_prob[2]
    assert mean[1] == -mean[2]
    assert mean[5] == 0
    assert np.isnan(log_prob[6:]).all()


def test_the_width_before_rounding_counts(context):
    # Both ends round to 1000; the interval is 1e-16 wide.
    log_prob, mean, variance = _native.interval_apply(
        context, np.array([1000.0]), np.array([1000.0]), np.array([1e-16])
    )
    expected = -5e5 - np.log(2 * np.pi) / 2 + np.log(1e-16)
    np.testing.assert_allclose(log_prob, expected, rtol=4 * EPS)
    np.testing.assert_allclose(variance, 1e-32 / 12, rtol=1e-12)  # slope 1e-13 moves it by 1e-26
    assert mean == 1000.0


def test_every_length_gives_the_same_bits(context):
    rng = np.random.default_rng(4)
    a = rng.uniform(-5, 5, 2100)
    b = a + 10 ** rng.uniform(-3, 1, 2100)
    whole = _native.interval_apply(context, a, b)
    for length in (0, 1, 2, 3, 5, 8, 9, 1023, 1024, 1025, 2099):
        for part, all_of_it in zip(
            _native.interval_apply(context, a[:length], b[:length]), whole, strict=True
        ):
            np.testing.assert_array_equal(part, all_of_it[:length])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (([1.0], np.zeros(1)), TypeError, "a must be a numpy array"),
        ((np.zeros(2), np.zeros(3)), ValueError, r"b must have shape \(2,\), got \(3,\)"),
        ((np.zeros((2, 2)), np.zeros(3)), ValueError, "interval_apply: a must"),
        ((np.zeros(2, np.float32), np.zeros(2)), TypeError, "float64"),
    ],
)
def test_bad_arrays_are_told(arguments, error, sentence):
    context = _native.Context(None, 1)
    with pytest.raises(error, match=sentence):
        _native.interval_apply(context, *arguments)
