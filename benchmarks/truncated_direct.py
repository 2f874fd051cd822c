"""Truncated normal mixture maximised directly: L-BFGS-B, analytic gradient, plain numpy and scipy.

Coordinates: log of the weights over the last one, means, and logarithms of the standard deviations,
in standardised units. With responsibilities r of the whole mixture, z = (x - m) / s, limits a and
b in the same unit, P = Phi(b) - Phi(a) and A = sum_k w_k P_k:
    d/d logit_k = mean(r_k) - w_k P_k / A
    d/d m_k     = (mean(r_k z_k) - w_k (phi(a_k) - phi(b_k)) / A) / s_k
    d/d log s_k = mean(r_k (z_k^2 - 1)) - w_k (a_k phi(a_k) - b_k phi(b_k)) / A
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from benchmarks.direct import Direct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_ROOT = float(np.sqrt(2 * np.pi))


class DirectTruncated(Direct):
    """Maximise the mean log-likelihood of rows that are seen between two finite limits.

    Parameters
    ----------
    x : ndarray of shape (n,)
    limits : tuple of two float
    weights, means, sds : ndarray of shape (k,)
        The start, of the whole mixture.
    """

    def __init__(
        self, x: Array, limits: tuple[float, float], weights: Array, means: Array, sds: Array
    ) -> None:
        super().__init__()
        self.centre, self.unit = float(x.mean()), float(x.std())
        self.x = (x - self.centre) / self.unit
        self.limits = (np.array(limits) - self.centre) / self.unit
        self.k = len(weights)
        logit = np.log(weights[:-1] / weights[-1])
        mean = (means - self.centre) / self.unit
        self.x0 = np.concatenate([logit, mean, np.log(sds / self.unit)])

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Minus the mean log-likelihood, in the unit of x, and its gradient."""
        k = self.k
        logit = np.append(theta[: k - 1], 0.0)
        weights = np.exp(logit - logit.max())
        weights /= weights.sum()
        means, sds = theta[k - 1 : 2 * k - 1], np.exp(theta[2 * k - 1 :])
        z = (self.x - means[:, None]) / sds[:, None]
        square = z * z
        # Rows lie within a few standard deviations of some component here: no row underflows.
        resp = np.exp(-0.5 * square)
        resp *= (weights / (sds * _ROOT))[:, None]
        density = resp.sum(axis=0)
        resp /= density
        ends = (self.limits - means[:, None]) / sds[:, None]
        inside = ndtr(ends[:, 1]) - ndtr(ends[:, 0])
        phi = np.exp(-0.5 * ends**2) / _ROOT
        mass = float(weights @ inside)
        share, n = weights / mass, len(self.x)
        value = np.log(density).mean() - np.log(mass) - np.log(self.unit)
        total = resp.mean(axis=1)
        first = np.einsum("ki,ki->k", resp, z) / n
        second = np.einsum("ki,ki->k", resp, square) / n
        edge = ends * phi
        gradient = [
            (total - share * inside)[:-1],
            (first - share * (phi[:, 0] - phi[:, 1])) / sds,
            second - total - share * (edge[:, 0] - edge[:, 1]),
        ]
        return -float(value), -np.concatenate(gradient)
