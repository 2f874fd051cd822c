"""The objective that judges every library: the mean log-likelihood, in plain numpy and scipy.

No library's own number is trusted; the fitted parameters are evaluated here, in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular
from scipy.special import logsumexp

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROWS = 8192  # rows at a time, so that the evaluation does not need an (n, k) array


def full_covariances(covariances: Array, covariance_type: str, n_components: int) -> Array:
    """Covariances of any type as (n_components, n_features, n_features)."""
    if covariance_type == "full":
        return covariances
    if covariance_type == "tied":
        return np.broadcast_to(covariances, (n_components, *covariances.shape))
    raise ValueError(f"full_covariances: expected 'full' or 'tied', got {covariance_type!r}.")


def mean_log_likelihood(
    X: Array, weights: Array, means: Array, covariances: Array, covariance_type: str
) -> float:
    """Mean log density of the rows of X, nats per row.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features)
    weights, means, covariances : ndarray
        In scikit-learn's shapes for `covariance_type`.
    covariance_type : "full", "tied", "diag" or "spherical"
    """
    k, d = means.shape
    if covariance_type in ("diag", "spherical"):
        variances = covariances if covariance_type == "diag" else covariances[:, None]
        factors = np.broadcast_to(np.sqrt(variances), (k, d))
        log_det = np.log(factors).sum(axis=1)
    else:
        factors = np.linalg.cholesky(full_covariances(covariances, covariance_type, k))
        log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    offsets = np.log(weights) - log_det - 0.5 * d * np.log(2 * np.pi)
    total = 0.0
    for begin in range(0, len(X), _ROWS):
        block = X[begin : begin + _ROWS]
        log_prob = np.empty((len(block), k))
        for component in range(k):
            centred = block - means[component]
            scaled = (
                centred / factors[component]
                if factors.ndim == 2
                else solve_triangular(factors[component], centred.T, lower=True).T
            )
            log_prob[:, component] = offsets[component] - 0.5 * np.sum(scaled**2, axis=1)
        total += float(np.sum(logsumexp(log_prob, axis=1)))
    return total / len(X)
