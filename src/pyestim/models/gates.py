"""Gates: the probability of a component before its observation is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyestim.engine.stats import Shape, Stats, Vector

#: Logits below this are a weight of zero.
LOWEST_LOGIT = -700.0


@dataclass(frozen=True, slots=True)
class ConstantGateParams:
    """Weights of the components.

    Attributes
    ----------
    weights : ndarray of shape (K,)
        They sum to one; zero is a component that was dropped.
    log_weights : ndarray of shape (K,)
    """

    weights: Vector
    log_weights: Vector


class ConstantGate:
    """The same weights for every row.

    Parameters
    ----------
    n_components : int
    """

    def __init__(self, n_components: int) -> None:
        self.n_components = n_components

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics."""
        return {"resp_sum": (self.n_components,)}

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.n_components - 1

    def params(self, weights: Vector) -> ConstantGateParams:
        """Return parameters with these weights, which need not sum to one."""
        weights = weights / np.add.reduce(weights)
        if np.count_nonzero(weights) == len(weights):
            return ConstantGateParams(weights, np.log(weights))
        with np.errstate(divide="ignore"):
            return ConstantGateParams(weights, np.log(weights))

    def update(self, params: ConstantGateParams, stats: Stats) -> ConstantGateParams:
        """Weights in proportion to the responsibilities: the exact maximum."""
        return self.params(stats["resp_sum"])

    def pack(self, params: ConstantGateParams) -> Vector:
        """Logits relative to the last living component: (K,)."""
        logits = np.maximum(params.log_weights, LOWEST_LOGIT)
        return np.asarray(logits - logits.mean())

    def unpack(self, vector: Vector) -> ConstantGateParams:
        """Inverse of `pack`."""
        logits = vector - vector.max()
        weights = np.where(logits > LOWEST_LOGIT / 2, np.exp(logits), 0.0)
        return self.params(weights)
