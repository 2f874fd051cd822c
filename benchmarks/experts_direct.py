"""Softmax-gated Gaussian experts maximised directly: L-BFGS-B, analytic gradient, plain numpy.

Coordinates: gates (the last one zero), coefficients of the experts with their intercepts, and
logarithms of the standard deviations. With responsibilities r, gate probabilities g and
standardised residuals e = (y - b'x) / s the gradient is
    d/d gate_k  = sum_i (r_ik - g_ik) (1, z_i)
    d/d b_k     = sum_i r_ik e_ik (1, x_i) / s_k
    d/d log s_k = sum_i r_ik (e_ik^2 - 1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import logsumexp

from benchmarks.direct import Direct

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


class DirectExperts(Direct):
    """Maximise the mean log-likelihood of experts whose gate sees the same columns.

    Parameters
    ----------
    X : ndarray of shape (n, p)
    y : ndarray of shape (n,)
    gate : ndarray of shape (K, 1 + p)
        Start, intercept first; the last row is zero.
    coef : ndarray of shape (K, 1 + p)
    scale : ndarray of shape (K,)
    """

    def __init__(self, X: Array, y: Array, gate: Array, coef: Array, scale: Array) -> None:
        super().__init__()
        self.design = np.column_stack([np.ones(len(X)), X])
        self.y = y
        self.k = len(coef)
        self.x0 = np.concatenate([gate[:-1].ravel(), coef.ravel(), np.log(scale)])

    def unpack(self, theta: Array) -> tuple[Array, Array, Array]:
        """Gates (K, 1 + p), coefficients (K, 1 + p), standard deviations (K,)."""
        k, d = self.k, self.design.shape[1]
        gate = np.zeros((k, d))
        gate[:-1] = theta[: (k - 1) * d].reshape(k - 1, d)
        coef = theta[(k - 1) * d : (2 * k - 1) * d].reshape(k, d)
        return gate, coef, np.exp(theta[(2 * k - 1) * d :])

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Minus the mean log-likelihood, and its gradient."""
        gate, coef, scale = self.unpack(theta)
        logit = gate @ self.design.T
        log_gate = logit - logsumexp(logit, axis=0)
        residual = (self.y - coef @ self.design.T) / scale[:, None]
        joint = log_gate - 0.5 * residual**2
        joint -= (np.log(scale) + 0.5 * np.log(2 * np.pi))[:, None]
        norm = logsumexp(joint, axis=0)
        resp = np.exp(joint - norm)
        pulled = resp * residual
        gradient = np.concatenate(
            [
                ((resp - np.exp(log_gate))[:-1] @ self.design).ravel(),
                (pulled @ self.design / scale[:, None]).ravel(),
                np.einsum("ki,ki->k", pulled, residual) - resp.sum(axis=1),
            ]
        )
        return -float(norm.mean()), -gradient / len(self.y)
