"""Column moments against numpy: every level, layout and dtype."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import LAYOUTS, rows_in

from pyestim import _native

EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module", params=_native.available_levels())
def level(request):
    return request.param


def moments(level, rows, n, d, *, start=0, n_threads=1):
    out = np.full(1 + 4 * d, np.nan)
    _native.column_moments(_native.Context(level, n_threads), rows, start, n, out)
    return out


def expected(z, weight):
    present = z[weight > 0]
    lowest, highest = present.min(axis=0), present.max(axis=0)
    return np.concatenate([[weight.sum()], weight @ z, weight @ z**2, lowest, highest])


def case(rng, n, d, dtype):
    x = (rng.normal(size=(n, d)) * 3 + 40).astype(dtype)
    # A centre that float32 does not hold, so that nothing can hide behind it.
    return x, np.full(d, 40.1), np.full(d, 0.25)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n", "d"), [(1, 1), (2, 3), (13, 5), (1000, 2), (4097, 9), (9001, 17)])
@pytest.mark.parametrize("weighted", [False, True])
def test_against_numpy(level, n, d, dtype, layout, weighted):
    rng = np.random.default_rng(n + d)
    x, centre, scale = case(rng, n, d, dtype)
    weight = rng.integers(0, 4, size=n).astype(float) if weighted else np.ones(n)
    weight[0] = 1
    rows = _native.Rows(rows_in(layout, x), weight if weighted else None, centre, scale)
    z = (x.astype(np.float64) - centre) * scale
    got, want = moments(level, rows, n, d), expected(z, weight)
    # Rounding of z, a difference of numbers near 40 / 4, and the random walk of n additions.
    atol = 20 * EPS * (10 + np.abs(want)) * np.sqrt(n)
    np.testing.assert_array_less(np.abs(got - want), atol)


def test_absent_rows_do_not_count(level):
    x = np.array([[1e30, -1e30], [1.0, 2.0], [3.0, -4.0]])
    rows = _native.Rows(x, np.array([0.0, 1.0, 2.0]), np.zeros(2), np.ones(2))
    want = [3, 7, -6, 19, 36, 1, -4, 3, 2]
    np.testing.assert_array_equal(moments(level, rows, 3, 2), want)


def test_bits_do_not_depend_on_threads(level):
    rng = np.random.default_rng(5)
    x, centre, scale = case(rng, 50_000, 3, "float64")
    rows = _native.Rows(x, rng.uniform(size=len(x)), centre, scale)
    alone = moments(level, rows, len(x), 3)
    for n_threads in (2, 3, 7):
        np.testing.assert_array_equal(moments(level, rows, len(x), 3, n_threads=n_threads), alone)


def test_range_of_rows(level):
    x = np.random.default_rng(6).normal(size=(300, 4))
    rows = _native.Rows(x, None, np.zeros(4), np.ones(4))
    want = expected(x[17:211], np.ones(194))
    got = moments(level, rows, 211, 4, start=17)
    np.testing.assert_allclose(got, want, rtol=0, atol=20 * EPS * 300)
