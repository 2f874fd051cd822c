"""Laws of an error of unit scale, symmetric about zero, and what the kernels need of each.

The kernels know the density of a law and the ratio of the probability beyond a point to the density
there (Mills' ratio), which stays a number of ordinary size however far the tail is.  For Student's
law it is read from Chebyshev coefficients, made here once for each law: a Moebius map brings the
half-line onto an interval on which the ratio is analytic.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.polynomial import chebyshev
from scipy.fft import dct
from scipy.special import erfcx, expit, exprel, log_expit, logit, ndtr, ndtri, stdtr, stdtrit

from pyestim.engine.stats import Vector

LAWS = ("normal", "logistic", "t")
#: Nodes of the interpolation, and the size relative to the largest below which a coefficient is
#: rounding: so many of them in a row are the end.
N_NODES, NEGLIGIBLE, ENOUGH = 120, 3e-16, 3
#: Where the map sends one half, for large degrees of freedom: about there tails begin.
MIDDLE = 3.0
#: Half the steps of the quadrature of Student's law, and where it ends.
STEPS, LARGEST_NODE = 450, 6.5
#: Degrees of freedom up to which what lies beyond a point has no mean, or one that swamps the rest.
BARELY_A_MEAN = 1.01


def largest_curve(law: str, df: float) -> float:
    """Largest weight ``-d log f / dz / z`` of a law, reached at zero.

    All three laws are mixtures of normal ones with the same mean; given the variance, the weight is
    its reciprocal.
    """
    return {"normal": 1.0, "logistic": 0.5}.get(law, (df + 1.0) / df)


@lru_cache(maxsize=32)
def shape_of(law: str, df: float) -> Vector:
    """Return the numbers that the kernels take for a law: see component/error_laws.hpp."""
    if law != "t":
        return np.zeros(1)
    nodes = 0.5 + 0.5 * chebyshev.chebpts1(N_NODES)
    middle = min(1.0, MIDDLE / np.sqrt(df))
    r = middle * nodes / (1.0 + middle - nodes)
    head = [df, student_log_norm(df), middle]
    return np.append(head, _coefficients((r + middle) * _student_mills(r, df)))


def student_log_norm(df: float) -> float:
    """Logarithm of Student's density at zero."""
    return _log_gamma_step(0.5 * df) - 0.5 * float(np.log(df * np.pi))


def _log_gamma_step(a: float) -> float:
    """``log Gamma(a + 1/2) - log Gamma(a)``, whose difference would cost the digits of large a."""
    before = 0.0
    while a < 20.0:
        before += float(np.log1p(-0.5 / (a + 0.5)))
        a += 1.0
    part = 1.0 / (a * a)
    series = -1 / 8 + part * (1 / 192 + part * (-1 / 640 + part * (17 / 14336 - part * 31 / 18432)))
    return before + 0.5 * float(np.log(a)) + series / a


def _coefficients(values: Vector) -> Vector:
    """Chebyshev coefficients of a function from its values at the nodes, without the noise."""
    coef = dct(values[::-1]) / len(values)
    coef[0] *= 0.5
    small = np.abs(coef) <= NEGLIGIBLE * np.abs(coef).max()
    runs = np.flatnonzero(np.convolve(small, np.ones(ENOUGH), "valid") == ENOUGH)
    return np.asarray(coef[: max(int(runs[0]), 2)] if len(runs) else coef)


def _student_mills(r: Vector, df: float) -> Vector:
    """``P(Z > t) / (f(t) R)`` at ``r = t / R``, ``R = sqrt(v + t^2)``, by quadrature.

    It is the integral of ``(1 + u (2 r + u))^(-(v + 1) / 2)`` over u > 0: positive terms, no
    difference. The substitution makes both ends decay doubly exponentially, where the rule of equal
    steps is exact to rounding.
    """
    x = np.arange(-STEPS, STEPS + 1) * (LARGEST_NODE / STEPS)
    # Below u = 1e-40 nothing is left to add.
    x = x[x > -4.8]
    u = np.exp(0.5 * np.pi * np.sinh(x)) / np.sqrt(df + 1.0)
    weight = u * np.cosh(x) * (0.5 * np.pi * LARGEST_NODE / STEPS)
    with np.errstate(over="ignore"):
        grown = np.log1p(u * (2.0 * r[:, None] + u))
    return np.asarray(np.exp(-0.5 * (df + 1.0) * grown) @ weight)


# -- what predictions need ------------------------------------------------------------------------


def quantile(law: str, df: float, level: Vector) -> Vector:
    """Return the quantiles of the law."""
    if law == "normal":
        return np.asarray(ndtri(level))
    return np.asarray(logit(level) if law == "logistic" else stdtrit(df, level))


def mean_clipped(law: str, df: float, a: Vector, b: Vector) -> Vector:
    """Return ``E max(a, min(Z, b))``, a <= b, infinite limits allowed.

    In terms of the mean excess over a point, which keeps its digits in the tail. NaN where the law
    has no mean and the limits do not make one.
    """
    a, b = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(b, np.float64))
    with np.errstate(invalid="ignore", over="ignore"):
        # E min(Z, b) and E (a - Z)^+, which are min(b, 0) and max(a, 0) but for the excess.
        below = np.minimum(b, 0.0) - _excess(law, df, np.abs(b))
        above = np.maximum(a, 0.0) + _excess(law, df, np.abs(a))
    if law != "t" or df > BARELY_A_MEAN:
        return np.asarray(below + above)
    between = np.isfinite(a) & np.isfinite(b)
    ends = np.where(between, a, 0.0), np.where(between, b, 0.0)
    return np.where(between, _student_clipped(df, *ends), below + above)


def _student_clipped(df: float, a: Vector, b: Vector) -> Vector:
    """``E max(a, min(Z, b))`` between finite limits, whether Z has a mean or not."""

    def moment(t: Vector) -> Vector:
        # The integral of z f(z) from 0 to t, without a pole at one degree of freedom.
        size = np.log(np.hypot(1.0, t / np.sqrt(df)))
        return np.asarray(df * np.exp(student_log_norm(df)) * size * exprel((1.0 - df) * size))

    return np.asarray(a * stdtr(df, a) + b * stdtr(df, -b) + moment(b) - moment(a))


def _excess(law: str, df: float, size: Vector) -> Vector:
    if law == "t" and df <= 1.0:
        return np.full(size.shape, np.nan)
    return np.where(np.isinf(size), 0.0, _mean_excess(law, df, np.where(np.isinf(size), 0.0, size)))


def _mean_excess(law: str, df: float, t: Vector) -> Vector:
    """``E max(Z - t, 0)`` for t >= 0."""
    if law == "logistic":
        return np.asarray(-log_expit(t))
    if law == "normal":
        density = np.exp(-0.5 * t * t) / np.sqrt(2.0 * np.pi)
        return np.asarray(density * (1.0 - t * np.sqrt(np.pi / 2.0) * erfcx(t / np.sqrt(2.0))))
    log_f = student_log_norm(df) - 0.5 * (df + 1.0) * np.log1p(t * t / df)
    return np.asarray((df + t * t) / (df - 1.0) * np.exp(log_f) - t * stdtr(df, -t))


def draw(law: str, df: float, rng: np.random.RandomState, n: int) -> Vector:
    """Draw n errors."""
    if law == "normal":
        return np.asarray(rng.standard_normal(n))
    return np.asarray(rng.logistic(size=n) if law == "logistic" else rng.standard_t(df, n))


def log_density_at_zero(law: str, df: float) -> float:
    """Return the largest log-density."""
    if law == "normal":
        return -0.5 * float(np.log(2.0 * np.pi))
    return -2.0 * float(np.log(2.0)) if law == "logistic" else student_log_norm(df)


def below(law: str, df: float, z: Vector) -> Vector:
    """Return the distribution function."""
    if law == "normal":
        return np.asarray(ndtr(z))
    return np.asarray(expit(z) if law == "logistic" else stdtr(df, z))
