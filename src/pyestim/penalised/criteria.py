"""Likelihoods and information criteria of penalised fits, from mean losses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammaln, polygamma

Array = NDArray[np.float64]
Count = NDArray[np.int64]

#: Families whose dispersion is estimated along with the mean.
WITH_DISPERSION = ("gaussian", "gamma")
#: A perfect fit has no dispersion; this share of the saturated scale keeps logarithms finite.
LEAST_EXCESS = 1e-30


def dispersion(family: str, excess: Array) -> Array:
    """Maximum-likelihood dispersion of fits whose mean loss exceeds the saturated one.

    Gaussian: the residual variance, ``2 excess``. Gamma: ``1 / nu`` with
    ``log nu - digamma(nu) = excess``. One for the families that have none.
    """
    excess = np.maximum(np.asarray(excess, dtype=np.float64), LEAST_EXCESS)
    if family == "gaussian":
        return 2.0 * excess
    if family != "gamma":
        return np.ones_like(excess)
    # log nu - digamma(nu) lies between 1/(2 nu) and 1/nu and is convex in log nu: Newton steps
    # from the left end never overshoot.
    log_nu = -np.log(2.0 * excess)
    for _ in range(60):
        # For nu > 1e6 the difference of the logarithms is rounding, and 1/(2 nu) exact to 1e-7.
        nu = np.exp(np.minimum(log_nu, np.log(1e6)))
        step = (np.log(nu) - digamma(nu) - excess) / (1.0 - nu * polygamma(1, nu))
        log_nu = log_nu - np.where(log_nu < np.log(1e6), step, 0.0)
    return np.asarray(np.exp(-log_nu))


def log_likelihood(
    family: str, loss: Array, saturated: float, weight_sum: float, constant: float, phi: Array
) -> Array:
    """Log-likelihood (nats, a sum over rows) of fits with mean loss ``loss``.

    Parameters
    ----------
    family : str
    loss : ndarray
        Mean negative log-likelihood at unit dispersion, without terms of y alone.
    saturated : float
        Its lower bound.
    weight_sum : float
        Number of rows, repetitions counted.
    constant : float
        What y alone adds to the sum.
    phi : ndarray
        Dispersions.
    """
    if family == "gaussian":
        return np.asarray(-weight_sum * (0.5 * np.log(2 * np.pi * phi) + loss / phi))
    if family == "gamma":
        nu = 1.0 / phi
        log_y = saturated - 1.0  # the saturated loss of a row is 1 + log y
        shape = nu * np.log(nu) - gammaln(nu) + (nu - 1.0) * log_y
        return np.asarray(weight_sum * (shape - nu * loss))
    return np.asarray(-weight_sum * loss + constant)


def constant_of(family: str, y: Array, weight: Array | None) -> float:
    """Terms of the log-likelihood in y alone: ``-sum w log y!`` of counts."""
    if family != "poisson":
        return 0.0
    terms = gammaln(y + 1.0)
    return -float(terms.sum() if weight is None else weight @ terms)


def criterion(
    name: str, log_lik: Array, n_parameters: Count, n: float, chosen: Count, p: int, gamma: float
) -> Array:
    """Information criteria, smaller is better.

    ``aic = -2 l + 2 k``, ``bic = -2 l + k log n``, and ``ebic = bic + 2 gamma log binomial(p, s)``
    for s chosen columns out of p.

    References
    ----------
    Chen & Chen (2008), Extended Bayesian information criteria for model selection with large
    model spaces. doi:10.1093/biomet/asn034
    """
    k, s = np.asarray(n_parameters, dtype=np.float64), np.asarray(chosen, dtype=np.float64)
    if name == "aic":
        return np.asarray(-2.0 * log_lik + 2.0 * k)
    bic = -2.0 * log_lik + k * np.log(n)
    if name == "bic":
        return np.asarray(bic)
    return np.asarray(bic + 2.0 * gamma * (gammaln(p + 1) - gammaln(s + 1) - gammaln(p - s + 1)))
