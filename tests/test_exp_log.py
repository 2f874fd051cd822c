"""The vectorised exp and log against mpmath, at every instruction level of this machine."""

from __future__ import annotations

from functools import cache

import mpmath
import numpy as np
import pytest

from pyestim import _native

#: The promise of csrc/math/exp_log.hpp; measured: 1.06 (exp) and 0.84 (log).
MAX_ULP = 2.0

LEVELS = _native.available_levels()
DTYPES = ("float64", "float32")


@pytest.fixture(scope="module", params=LEVELS)
def context(request):
    return _native.Context(request.param, 1)


def apply(context, name, x):
    function, variant = name.split("_")
    out = np.empty_like(x)
    getattr(_native, f"apply_{function}")(context, x, out, variant)
    return out


@cache
def reference(function, dtype, region):
    """Points, correctly rounded values, and what the rounding left in units of the last place."""
    x = REGIONS[function][region](np.random.default_rng(20), np.dtype(dtype)).astype(dtype)
    value = np.empty_like(x)
    ulp_left = np.empty(len(x))
    with mpmath.workprec(200):
        for i, entry in enumerate(x.tolist()):
            exact = getattr(mpmath, function)(mpmath.mpf(entry))
            value[i] = float(exact)
            ulp_left[i] = (exact - mpmath.mpf(float(value[i]))) / float(
                np.spacing(np.abs(value[i]))
            )
    return x, value, ulp_left


def ulp_error(got, value, ulp_left):
    assert np.isfinite(got).all()
    difference = got.astype(np.float64) - value.astype(np.float64)
    return np.abs(difference / np.spacing(np.abs(value)).astype(np.float64) - ulp_left)


def limits(dtype):
    """Largest argument of a finite exp, smallest of a normal one, smallest of a non-zero one."""
    return (
        (709.782712893384, -708.3964, -745.133)
        if dtype == np.float64
        else (88.72283, -87.3365, -103.97)
    )


def around(points, dtype):
    """The points and their nearest neighbours, 1 to 3 units of the last place away."""
    points = np.asarray(points, dtype=dtype)
    unit = np.spacing(np.abs(points))
    return np.concatenate([points + k * unit for k in range(-3, 4)])


def exp_breaks(rng, dtype):
    highest, _, lowest = limits(dtype)
    halves = np.arange(np.ceil(lowest / np.log(2) * 2), np.floor(highest / np.log(2) * 2)) / 2
    return around(halves * np.log(2), dtype)


def exp_tiny(rng, dtype):
    info = np.finfo(dtype)
    magnitude = 2.0 ** rng.uniform(np.log2(float(info.smallest_subnormal)), 0, 3000)
    return np.concatenate([magnitude, -magnitude, [0.0, -0.0]])


def log_whole(rng, dtype):
    info = np.finfo(dtype)
    return 2.0 ** rng.uniform(np.log2(float(info.smallest_normal)), np.log2(float(info.max)), 6000)


def log_subnormal(rng, dtype):
    info = np.finfo(dtype)
    random = 2.0 ** rng.uniform(
        np.log2(float(info.smallest_subnormal)), np.log2(float(info.smallest_normal)), 2000
    )
    return np.concatenate([random, float(info.smallest_subnormal) * np.arange(1, 20)])


def log_breaks(rng, dtype):
    info = np.finfo(dtype)
    power = 2.0 ** np.arange(info.minexp + 1, info.maxexp - 1)
    near = around(np.concatenate([power, power * np.sqrt(0.5)]), dtype)
    return np.concatenate([near, [info.max, np.nextafter(info.max, 0)]])


REGIONS = {
    "exp": {
        "whole": lambda rng, dtype: rng.uniform(limits(dtype)[1], limits(dtype)[0], 6000),
        "subnormal result": lambda rng, dtype: rng.uniform(
            limits(dtype)[2], limits(dtype)[1], 3000
        ),
        "near zero": lambda rng, dtype: rng.uniform(-1, 1, 6000),
        "breaks of the reduction": exp_breaks,
        "tiny": exp_tiny,
        "edges": lambda rng, dtype: np.array(limits(dtype)),
    },
    "log": {
        "whole": log_whole,
        "subnormal": log_subnormal,
        "near one": lambda rng, dtype: 1 + rng.uniform(-0.3, 0.5, 6000),
        "beside one": lambda rng, dtype: 1 + np.arange(-500, 500) * np.finfo(dtype).eps / 2,
        "breaks of the reduction": log_breaks,
    },
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "region"), [(f, r) for f in REGIONS for r in REGIONS[f]])
def test_whole_range(context, function, region, dtype):
    x, value, ulp_left = reference(function, dtype, region)
    assert ulp_error(apply(context, f"{function}_full", x), value, ulp_left).max() <= MAX_ULP


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("region", REGIONS["exp"])
def test_exp_neg(context, region, dtype):
    x, value, ulp_left = reference("exp", dtype, region)
    inside = (x <= 0) & (x >= (-708 if dtype == "float64" else -87))
    got = apply(context, "exp_neg", x)
    assert ulp_error(got[inside], value[inside], ulp_left[inside]).max(initial=0) <= MAX_ULP
    below = x < limits(x.dtype)[1]
    assert (got[below] == 0).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("region", REGIONS["log"])
def test_log_pos(context, region, dtype):
    x, value, ulp_left = reference("log", dtype, region)
    normal = x >= np.finfo(dtype).smallest_normal
    got = apply(context, "log_pos", x)
    assert ulp_error(got[normal], value[normal], ulp_left[normal]).max(initial=0) <= MAX_ULP


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "x", "expected"),
    [
        ("exp_full", np.inf, np.inf),
        ("exp_full", -np.inf, 0.0),
        ("exp_full", 1e30, np.inf),
        ("exp_full", -1e30, 0.0),
        ("exp_full", 709.7827128933841, np.inf),
        ("exp_full", -745.14, 0.0),
        ("exp_full", 0.0, 1.0),
        ("exp_full", -0.0, 1.0),
        ("exp_neg", -np.inf, 0.0),
        ("exp_neg", -1e30, 0.0),
        ("exp_neg", -3e38, 0.0),
        ("exp_neg", 0.0, 1.0),
        ("exp_neg", -0.0, 1.0),
        ("log_full", 0.0, -np.inf),
        ("log_full", -0.0, -np.inf),
        ("log_full", -1.0, np.nan),
        ("log_full", -1e-40, np.nan),
        ("log_full", -np.inf, np.nan),
        ("log_full", np.inf, np.inf),
        ("log_full", 1.0, 0.0),
        ("log_pos", 1.0, 0.0),
    ],
)
def test_special_values(context, name, x, expected, dtype):
    got = apply(context, name, np.full(3, x, dtype=dtype))
    np.testing.assert_array_equal(got, np.full(3, expected, dtype=dtype))
    # A zero has the sign that the C library gives it.
    assert not np.signbit(got[got == 0]).any()


@pytest.mark.parametrize("name", ["exp_full", "exp_neg", "log_full"])
def test_nan_stays_whatever_its_payload(context, name):
    # R marks a missing value by the payload 1954 of a NaN.
    bits = np.array([0x7FF80000000007A2, 0x7FF0000000000001, 0xFFF8000000000FFF], dtype=np.uint64)
    assert np.isnan(apply(context, name, bits.view(np.float64))).all()
    narrow = np.array([0x7FC00001, 0x7F8001FF, 0xFFFFFFFF], dtype=np.uint32)
    assert np.isnan(apply(context, name, narrow.view(np.float32))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp_full", "exp_neg", "log_full", "log_pos"])
def test_every_length_gives_the_same_bits(context, name, dtype):
    x = np.random.default_rng(3).uniform(0.1, 3, 150).astype(dtype)
    x = -x if name == "exp_neg" else x
    whole = apply(context, name, x)
    for length in (0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 63, 64, 65, 100, 149):
        np.testing.assert_array_equal(apply(context, name, x[:length]), whole[:length])


def test_exp_is_monotone_across_the_breaks(context):
    # Neighbouring arguments may give equal values, but no step back beyond the error bound.
    x = np.sort(reference("exp", "float64", "breaks of the reduction")[0])
    value = apply(context, "exp_full", x)
    assert (np.diff(value) >= -MAX_ULP * np.spacing(value[1:])).all()
