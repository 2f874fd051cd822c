"""Direct maximisation with scipy: L-BFGS-B on unconstrained coordinates, analytic gradient.

Coordinates: logits of the weights (last one zero), means, and the lower Cholesky factor F of
each precision (precision = F' F, y = F (x - mean)) with the logarithm of its diagonal.
The gradient follows from Fisher's identity with the responsibilities r:
    d/d mean_k  = F_k' sum_i r_ik y_ik
    d/d F_k     = N_k diag(1 / F_jj) - sum_i r_ik y_ik (x_i - mean_k)'   (lower triangle)
    d/d logit_k = N_k - n w_k
"""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from benchmarks.cases import Start

    Array = NDArray[np.float64]


class _OutOfTimeError(Exception):
    """Ends scipy's loop from inside the objective."""


class Direct(ABC):
    """A mean log-likelihood to be maximised from `x0` on; keeps a trace."""

    x0: Array

    def __init__(self) -> None:
        self.values: list[float] = []
        self.seconds: list[float] = []

    @abstractmethod
    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Minus the mean log-likelihood, and its gradient."""

    def run(self, max_seconds: float, clock: Callable[[], float] = time.perf_counter) -> None:
        """Maximise until the gradient vanishes or the time is up; fills `values`, `seconds`."""
        begin = clock()

        def traced(theta: Array) -> tuple[float, Array]:
            value, gradient = self.evaluate(theta)
            self.values.append(-value)
            self.seconds.append(clock() - begin)
            if self.seconds[-1] > max_seconds:
                raise _OutOfTimeError
            return value, gradient

        limit = 1_000_000  # evaluations: the time is what ends it
        options = {"maxfun": limit, "maxiter": limit, "ftol": 0.0, "gtol": 1e-9, "maxcor": 20}
        with contextlib.suppress(_OutOfTimeError):
            minimize(traced, self.x0, jac=True, method="L-BFGS-B", options=options)


class DirectFit(Direct):
    """Maximise the mean log-likelihood of a full-covariance mixture."""

    def __init__(self, X: Array, start: Start) -> None:
        super().__init__()
        self.X = X
        self.k, self.d = start.means.shape
        self.lower = np.tril_indices(self.d)
        self.diagonal = np.flatnonzero(self.lower[0] == self.lower[1])
        self.x0 = self._pack(start)

    def _pack(self, start: Start) -> Array:
        log_weights = np.log(start.weights)
        # The inverse of the covariance's Cholesky factor: lower, and F' F is the precision.
        factors = [np.linalg.inv(np.linalg.cholesky(C)) for C in np.linalg.inv(start.precisions)]
        packed = np.array([factor[self.lower] for factor in factors])
        packed[:, self.diagonal] = np.log(packed[:, self.diagonal])
        logits = (log_weights - log_weights[-1])[:-1]
        return np.concatenate([logits, start.means.ravel(), packed.ravel()])

    def unpack(self, theta: Array) -> tuple[Array, Array, Array]:
        """Weights (k,), means (k, d), lower factors of the precisions (k, d, d)."""
        k, d = self.k, self.d
        weights = softmax(np.append(theta[: k - 1], 0.0))
        means = theta[k - 1 : k - 1 + k * d].reshape(k, d)
        packed = theta[k - 1 + k * d :].reshape(k, -1).copy()
        packed[:, self.diagonal] = np.exp(packed[:, self.diagonal])
        factors = np.zeros((k, d, d))
        factors[:, self.lower[0], self.lower[1]] = packed
        return weights, means, factors

    def evaluate(self, theta: Array) -> tuple[float, Array]:
        """Minus the mean log-likelihood, and its gradient."""
        n, k, d = len(self.X), self.k, self.d
        weights, means, factors = self.unpack(theta)
        diagonals = np.diagonal(factors, axis1=1, axis2=2)
        offsets = np.log(weights) + np.log(diagonals).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
        log_prob = np.empty((k, n))
        scaled = np.empty((k, n, d))
        for component in range(k):
            np.matmul(self.X - means[component], factors[component].T, out=scaled[component])
            squares = np.einsum("ij,ij->i", scaled[component], scaled[component])
            log_prob[component] = offsets[component] - 0.5 * squares
        norm = logsumexp(log_prob, axis=0)
        resp = np.exp(log_prob - norm)
        counts = resp.sum(axis=1)
        grad_means = np.empty((k, d))
        grad_factors = np.empty((k, len(self.lower[0])))
        for component in range(k):
            weighted = scaled[component] * resp[component][:, None]
            grad_means[component] = weighted.sum(axis=0) @ factors[component]
            inner = -(weighted.T @ (self.X - means[component]))
            inner[np.diag_indices(d)] += counts[component] / diagonals[component]
            grad_factors[component] = inner[self.lower]
        grad_factors[:, self.diagonal] *= diagonals  # the diagonal's coordinate is its logarithm
        gradient = np.concatenate(
            [(counts - n * weights)[:-1], grad_means.ravel(), grad_factors.ravel()]
        )
        return -float(norm.mean()), -gradient / n
