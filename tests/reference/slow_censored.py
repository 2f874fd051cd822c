"""Linear models of censored responses, row by row with scipy and mpmath, and by its optimiser."""

from __future__ import annotations

import mpmath
import numpy as np
from scipy import optimize, stats


def law_of(law, df=4.0):
    return {"normal": stats.norm(), "logistic": stats.logistic(), "t": stats.t(df)}[law]


def row_log_likelihood(law, df, lower, upper, location, scale):
    """Log-density of exact rows, log-probability of the others: (n,)."""
    e = law_of(law, df)
    a, b = (lower - location) / scale, (upper - location) / scale
    exact = lower == upper
    inner = np.where(exact, 0.0, a), np.where(exact, 1.0, b)
    turned = inner[0] + inner[1] > 0  # the tail that is not cut off is the lower one
    low = np.where(turned, -inner[1], inner[0])
    high = np.where(turned, -inner[0], inner[1])
    with np.errstate(divide="ignore"):
        ratio = np.exp(e.logcdf(low) - e.logcdf(high))
        probability = e.logcdf(high) + np.log1p(-np.minimum(ratio, 1.0))
    density = e.logpdf(np.where(exact, a, 0.0)) - np.log(scale)
    return np.where(exact, density, probability)


def design(X, intercept=True):
    return np.column_stack([np.ones(len(X)), X]) if intercept else X


def maximise(law, df, X, lower, upper, weight=None, offset=None, scale=None):
    """Intercept and slopes, scale, log-likelihood, by BFGS from least squares."""
    x1 = design(X)
    weight = np.ones(len(x1)) if weight is None else weight
    offset = np.zeros(len(x1)) if offset is None else offset
    height = np.where(np.isinf(lower), upper, np.where(np.isinf(upper), lower, (lower + upper) / 2))
    start = np.linalg.lstsq(x1, height - offset, rcond=None)[0]
    start = np.append(start, np.log(np.std(height - offset - x1 @ start)))
    if scale is not None:
        start = start[:-1]

    def loss(theta):
        s = np.exp(theta[-1]) if scale is None else scale
        b = theta[: x1.shape[1]]
        return -weight @ row_log_likelihood(law, df, lower, upper, offset + x1 @ b, s)

    found = optimize.minimize(loss, start, method="BFGS", options={"gtol": 1e-7})
    s = np.exp(found.x[-1]) if scale is None else scale
    return found.x[: x1.shape[1]], s, -found.fun


def exact_log_probability(law, df, a, b):
    """Log-probability of (a, b) under the law of unit scale with sixty digits."""
    with mpmath.workdps(60):
        a, b = mpmath.mpf(a), mpmath.mpf(b)
        if a + b > 0:
            a, b = -b, -a
        return float(mpmath.log(_cdf(law, df, b) - _cdf(law, df, a)))


def _cdf(law, df, z):
    if z == -mpmath.inf:
        return mpmath.mpf(0)
    if law == "normal":
        return mpmath.erfc(-z / mpmath.sqrt(2)) / 2
    if law == "logistic":
        return 1 / (1 + mpmath.exp(-z))
    q = df / (df + z * z)
    tail = mpmath.betainc(mpmath.mpf(df) / 2, mpmath.mpf(1) / 2, 0, q, regularized=True) / 2
    return mpmath.re(tail if z <= 0 else 1 - tail)
