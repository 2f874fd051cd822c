"""Divergences against fifty digits, at and near equality, and at zeros."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from pyestim.models.divergences import DIVERGENCES, divergence

pytestmark = pytest.mark.once

EPS = np.finfo(float).eps
ALPHAS = [-1.5, -1e-9, 0.0, 0.3, 0.5, 0.999999, 1.0, 1 + 1e-12, 2.0, 3.7, 9.0]


def exactly(name, p, q, alpha=0.5):
    """With f'(1) = 0, which distributions that sum to one exactly do not see."""
    with mpmath.workdps(60):
        total = mpmath.mpf(0)
        for a, b in zip(map(mpmath.mpf, p), map(mpmath.mpf, q), strict=True):
            t, c = a / b, mpmath.mpf(alpha)
            if name == "kl" or (name == "alpha" and c == 1):
                total += b * (t * mpmath.log(t) - t + 1)
            elif name == "alpha" and c == 0:
                total += b * (t - 1 - mpmath.log(t))
            elif name == "alpha":
                total += b * (t**c - c * t + c - 1) / (c * (c - 1))
            elif name == "chi-square":
                total += b * (t - 1) ** 2
            elif name == "hellinger":
                total += b * (mpmath.sqrt(t) - 1) ** 2
            else:
                total += (a - b) ** 2
        return float(total)


@pytest.mark.parametrize("distance", [1e-14, 1e-9, 1e-4, 0.03, 0.3, 3.0])
@pytest.mark.parametrize("name", DIVERGENCES)
def test_values(name, distance):
    rng = np.random.default_rng(7)
    q = rng.dirichlet(np.ones(6))
    p = q * np.exp(distance * rng.standard_normal(6))
    p /= p.sum()
    for alpha in ALPHAS if name == "alpha" else [0.5]:
        # At |p/q - 1| = 1/4 the closed form has lost a factor of about 2 / (1/4); powers magnify
        # by alpha.
        tolerance = 40 * EPS * max(1.0, abs(alpha)) ** 2
        expected = exactly(name, p, q, alpha)
        assert divergence(name, p, q, alpha=alpha) == pytest.approx(expected, rel=tolerance, abs=0)


def test_conventions_agree():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.25, 0.6, 0.15])
    values = {name: divergence(name, p, q) for name in DIVERGENCES}
    alpha = [divergence("alpha", p, q, alpha=a) for a in (1.0, 2.0, 0.5, 0.0)]
    expected = [
        values["kl"],
        values["chi-square"] / 2,
        2 * values["hellinger"],
        divergence("kl", q, p),
    ]
    np.testing.assert_allclose(alpha, expected, rtol=20 * EPS)


@pytest.mark.parametrize("name", [name for name in DIVERGENCES if name != "l2"])
def test_curvature(name):
    """D / (sum (p - q)^2 / q) tends to f''(1) / 2; the next term is relative e = 1e-7 of it."""
    q = np.array([0.2, 0.3, 0.5])
    p = q + 1e-8 * np.array([1.0, 1.0, -2.0])
    ratio = divergence(name, p, q) / ((p - q) ** 2 / q).sum()
    assert ratio == pytest.approx(DIVERGENCES[name].curvature / 2, rel=1e-6)


def test_zeros():
    with np.errstate(all="raise"):
        for name in DIVERGENCES:
            assert divergence(name, [0.5, 0.5, 0.0], [0.5, 0.5, 0.0]) == 0
        assert divergence("kl", [0.0, 1.0], [0.5, 0.5]) == pytest.approx(np.log(2), rel=4 * EPS)
        assert divergence("kl", [0.5, 0.5], [0.0, 1.0]) == np.inf
        assert divergence("chi-square", [0.5, 0.5], [0.0, 1.0]) == np.inf
        assert divergence("hellinger", [1.0, 0.0], [0.0, 1.0]) == 2.0
        assert divergence("l2", [1.0, 0.0], [0.0, 1.0]) == 2.0
        assert divergence("alpha", [1.0, 0.0], [0.0, 1.0], alpha=0.5) == pytest.approx(4.0)
        assert divergence("alpha", [1.0, 0.0], [0.5, 0.5], alpha=0.0) == np.inf
        assert divergence("alpha", [1.0, 0.0], [0.5, 0.5], alpha=-1.0) == np.inf
        assert divergence("alpha", [0.5, 0.5], [1.0, 0.0], alpha=1.5) == np.inf


def test_shapes():
    p = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 3))
    q = np.full(4, 0.25)
    got = divergence("kl", p, q)
    assert got.shape == (5, 3)
    assert got[2, 1] == divergence("kl", p[2, 1], q)
    assert isinstance(divergence("kl", p[0, 0], q), float)


def test_bad_input():
    with pytest.raises(ValueError, match="one of 'kl', 'chi-square'"):
        divergence("KL", [1.0], [1.0])
    for bad in ([-0.1, 1.1], [np.nan, 1.0]):
        with pytest.raises(ValueError, match="at least 0 and not NaN"):
            divergence("kl", bad, [0.5, 0.5])
