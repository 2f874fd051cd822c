"""What published experts say about single rows: densities, gates, responsibilities, quantiles."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, pdtr, softmax

from pyestim.data.experts import ExpertChunk, log_constants
from pyestim.engine.stats import Vector
from pyestim.models import kernels
from pyestim.models.expert_groups import joined

#: Halvings of an interval that holds a quantile: to the last digits of its width; counts: of the
#: quantile itself, which may be far below the largest mean.
MOST_HALVINGS, MOST_HALVINGS_OF_COUNTS = 80, 1100
#: Means of counts above which a normal distribution is as good as the integers of a double.
LARGE_MEAN = 1e18
#: Gaussian quantiles lie within so many standard deviations of the experts' means.
FAR = 40.0
#: Largest linear predictor of a logarithm whose exponential is a number.
LARGEST_LOG = 700.0


@dataclass(frozen=True)
class PublishedExperts:
    """Parameters of a mixture of experts in the coordinates of the data.

    Attributes
    ----------
    family : {"gaussian", "poisson", "binomial", "multinomial"}
    gate_intercept : ndarray of shape (K,)
        Minus infinity for an expert that was dropped.
    gate_coef : ndarray of shape (K, q)
        No columns for a constant gate.
    intercept : ndarray of shape (K, L)
    coef : ndarray of shape (K, L, p)
    covariance : ndarray of shape (K, L, L), optional
        Gaussian experts.
    """

    family: str
    gate_intercept: Vector
    gate_coef: Vector
    intercept: Vector
    coef: Vector
    covariance: Vector | None = None

    @property
    def n_experts(self) -> int:
        """Number of experts."""
        return len(self.gate_intercept)

    @property
    def gated(self) -> bool:
        """Whether the gate reads covariates."""
        return bool(self.gate_coef.shape[1] > 0)

    @cached_property
    def arrays(self) -> kernels.ExpertArrays:
        """What the kernels take."""
        gate = np.column_stack([self.gate_intercept, self.gate_coef])[None]
        coef = np.concatenate([self.intercept[..., None], self.coef], axis=2)[None]
        if self.covariance is None:
            return kernels.ExpertArrays(self.family, gate, np.ascontiguousarray(coef), None, None)
        m = self.covariance.shape[1]
        factor = np.linalg.inv(np.linalg.cholesky(self.covariance))
        size = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(axis=1) - 0.5 * m * log(2 * pi)
        factor = np.ascontiguousarray(np.tril(factor))[None]
        return kernels.ExpertArrays(
            self.family, gate, np.ascontiguousarray(coef), factor, size[None]
        )

    # -- rows with a response -----------------------------------------------------------------

    def log_density(self, X: Any, Z: Any, y: NDArray[Any]) -> Vector:
        """Log-density of every row under the mixture, constants included: (n,)."""
        out = np.empty(len(X))
        kernels.experts_rows(self._chunk(X, Z, y), self.arrays, log_prob=out)
        return out + log_constants(self.family, y)

    def responsibilities(self, X: Any, Z: Any, y: NDArray[Any]) -> Vector:
        """Posterior probability of every expert: (n, K)."""
        out = np.empty((len(X), self.n_experts))
        kernels.experts_rows(self._chunk(X, Z, y), self.arrays, resp=out)
        return out

    def of_groups(
        self, X: Any, Z: Any, y: NDArray[Any], groups: NDArray[Any]
    ) -> tuple[Vector, Vector, NDArray[np.intp]]:
        """Log-densities (G,) and responsibilities (G, K) of groups, and the group of each row."""
        each = np.empty((len(X), self.n_experts))
        gate = np.empty_like(each)
        kernels.experts_rows(self._chunk(X, Z, y), self.arrays, log_density=each, gate=gate)
        each += log_constants(self.family, y)[:, None]
        _, first, code = np.unique(groups, return_index=True, return_inverse=True)
        return *joined(each, gate[first], code), code

    # -- rows without a response --------------------------------------------------------------

    def gate(self, X: Any, Z: Any) -> Vector:
        """Probability of every expert before the response is seen: (n, K)."""
        out = np.empty((len(X), self.n_experts))
        kernels.experts_rows(self._chunk(X, Z), self.arrays, gate=out)
        return np.asarray(np.exp(out))

    def predictors(self, X: Any, Z: Any) -> Vector:
        """Linear predictors of every expert: (n, K, L)."""
        out = np.empty((len(X), self.n_experts, self.coef.shape[1]))
        kernels.experts_rows(self._chunk(X, Z), self.arrays, predictors=out)
        return out

    def means(self, X: Any, Z: Any) -> Vector:
        """Mean of the response under every expert: (n, K, L); of all C classes (multinomial)."""
        eta = self.predictors(X, Z)
        if self.family == "gaussian":
            return eta
        if self.family == "poisson":
            return np.asarray(np.exp(np.minimum(eta, LARGEST_LOG)))
        if self.family == "binomial":
            return np.asarray(expit(eta))
        return np.asarray(softmax(np.concatenate([eta, np.zeros((*eta.shape[:2], 1))], 2), axis=2))

    def quantile(self, X: Any, Z: Any, level: float) -> Vector:
        """Quantile of one gaussian output, or of a count: (n,).

        The distribution function is a mixture; between the least and the largest quantile of the
        experts it crosses the level once, and bisection finds where.
        """
        gate, mean = self.gate(X, Z), self.means(X, Z)[..., 0]
        low, high = self._bracket(mean)
        times = MOST_HALVINGS_OF_COUNTS if self.family == "poisson" else MOST_HALVINGS
        for _ in range(times):
            middle = 0.5 * (low + high)
            if self.family == "poisson":
                middle = np.floor(middle)
            above = np.sum(gate * self._below(middle[:, None], mean), axis=1) >= level
            settled = (middle == low) | (middle == high)
            high = np.where(above, middle, high)
            low = np.where(above, low, middle)
            if settled.all():
                break
        return high

    def _bracket(self, mean: Vector) -> tuple[Vector, Vector]:
        """A point that is below every quantile, and one that is not."""
        least, most = mean.min(axis=1), mean.max(axis=1)
        if self.family == "poisson":
            return np.full(len(mean), -1.0), np.ceil(most + FAR * np.sqrt(most + 1.0) + FAR**2)
        width = FAR * float(np.sqrt(self._variances.max()))
        return least - width, most + width

    def _below(self, y: Vector, mean: Vector) -> Vector:
        """Distribution function of every expert."""
        if self.family == "poisson":
            return np.where(y < 0.0, 0.0, pdtr(np.maximum(y, 0.0), mean))
        return np.asarray(ndtr((y - mean) / np.sqrt(self._variances)))

    @property
    def _variances(self) -> Vector:
        """Of the first output: (K,)."""
        assert self.covariance is not None
        return self.covariance[:, 0, 0]

    def draw(self, X: Any, Z: Any, rng: np.random.RandomState) -> tuple[Vector, NDArray[np.intp]]:
        """Draw a response and an expert for every row: (n,) or (n, L), and (n,)."""
        gate, mean = self.gate(X, Z), self.means(X, Z)
        chance = rng.uniform(size=len(mean))
        label = (np.cumsum(gate, axis=1) < chance[:, None] * gate.sum(1, keepdims=True)).sum(axis=1)
        own = np.take_along_axis(mean, label[:, None, None], axis=1)[:, 0]
        if self.family == "poisson":
            return _counts(own[:, 0], rng), label
        if self.family == "binomial":
            return (rng.uniform(size=len(own)) < own[:, 0]).astype(np.float64), label
        if self.family == "multinomial":
            reached = np.cumsum(own, axis=1) < rng.uniform(size=(len(own), 1))
            return reached[:, :-1].sum(axis=1).astype(np.float64), label
        assert self.covariance is not None
        root = np.linalg.cholesky(self.covariance)
        noise = rng.normal(size=own.shape)
        return own + np.einsum("nij,nj->ni", root[label], noise), label

    # -- rows for the kernels -----------------------------------------------------------------

    def _chunk(self, X: Any, Z: Any, y: NDArray[Any] | None = None) -> ExpertChunk:
        rows = kernels.plain_rows(X)
        gate = (rows if Z is X else kernels.plain_rows(Z)) if self.gated else None
        responses = None if y is None else kernels.plain_rows(y)
        return ExpertChunk(rows, gate, responses, 0, len(X), False)


def _counts(mean: Vector, rng: np.random.RandomState) -> Vector:
    drawn = rng.poisson(np.minimum(mean, LARGE_MEAN)).astype(np.float64)
    large = mean > LARGE_MEAN
    drawn[large] = mean[large] + np.sqrt(mean[large]) * rng.normal(size=np.count_nonzero(large))
    return drawn
