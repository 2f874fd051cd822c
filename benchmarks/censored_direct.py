"""Tobit regression maximised directly: L-BFGS-B, analytic gradient, plain numpy and scipy.special.

Coordinates: coefficients with their intercept, and the logarithm of the scale. With
e = (y - b'x) / s for exact rows and the hazard h = phi / Phi at c = (limit - b'x) / s for others:
    d/d b      = (sum_exact e x~ - sum_below h x~) / s
    d/d log s  = sum_exact (e^2 - 1) - sum_below h c
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import log_ndtr

from benchmarks.direct import Direct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class DirectTobit(Direct):
    """Maximise the mean log-likelihood of a linear model whose responses are cut from below.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    y : ndarray of shape (n,)
        Responses; those at the limit are known to lie below it.
    limit : float
    """

    def __init__(self, X: Array, y: Array, limit: float) -> None:
        super().__init__()
        design = np.column_stack([np.ones(len(X)), X])
        below = y <= limit
        self.exact, self.below = design[~below], design[below]
        self.y, self.limit, self.n = y[~below], limit, len(y)
        start = np.linalg.lstsq(design, y, rcond=None)[0]
        self.x0 = np.append(start, np.log(np.std(y - design @ start)))

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Minus the mean log-likelihood, and its gradient."""
        coef, scale = theta[:-1], np.exp(theta[-1])
        e = (self.y - self.exact @ coef) / scale
        c = (self.limit - self.below @ coef) / scale
        log_prob = log_ndtr(c)
        half = 0.5 * np.log(2 * np.pi)
        value = log_prob.sum() - 0.5 * (e @ e) - len(e) * (half + theta[-1])
        hazard = np.exp(-0.5 * c * c - half - log_prob)
        slope = (e @ self.exact - hazard @ self.below) / scale
        gradient = np.append(slope, e @ e - len(e) - hazard @ c)
        return -float(value) / self.n, -gradient / self.n
