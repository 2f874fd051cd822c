"""Poisson, binomial and multinomial experts: canonical generalised linear models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Stats, Vector
from pyestim.models.expert_penalty import Penalty, newton_step, unpenalised
from pyestim.models.monotone import box, largest_change, largest_difference
from pyestim.models.packing import n_packed

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class LinearParams:
    """Coefficients of the linear predictors: (K, L, 1 + p), intercept first."""

    coef: Vector


class LinearExperts:
    """Experts whose canonical parameter is linear in the predictors.

    The update of each expert is one Newton step whose length generalised self-concordance bounds
    (`monotone`): it never lowers the expected log-likelihood, and needs no line search.

    Parameters
    ----------
    family : {"poisson", "binomial", "multinomial"}
        Log link; logit link; softmax with the last class as reference.
    n_experts : int
    low, high : ndarray of shape (p,)
        Box that holds the predictors, in working coordinates.
    n_classes : int
        Multinomial: number of classes.
    penalty : Penalty, optional
        Of one linear predictor's coefficients.
    """

    def __init__(
        self,
        family: str,
        n_experts: int,
        low: Vector,
        high: Vector,
        *,
        n_classes: int = 2,
        penalty: Penalty | None = None,
    ) -> None:
        self.family, self.n_experts, self.n_predictors = family, n_experts, len(low)
        self.n_linear = n_classes - 1 if family == "multinomial" else 1
        self._box = box(low, high)
        self._penalty = penalty or unpenalised(len(low))
        self._flat_penalty = self._penalty.repeated(self.n_linear)
        self._shape = (n_experts, self.n_linear, 1 + len(low))

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics that are the experts' own."""
        size = self.n_linear * (1 + self.n_predictors)
        return {"expert_score": self._shape, "expert_gram": (self.n_experts, n_packed(size))}

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return int(np.prod(self._shape))

    @property
    def n_packed(self) -> int:
        """Length of the packed vector."""
        return self.n_parameters

    def arrays(self, params: LinearParams) -> tuple[Vector, None, None]:
        """Coefficients, as the kernels take them."""
        return params.coef, None, None

    def covariances(self, params: LinearParams) -> None:
        """No expert has a scale of its own."""

    def params(self, coef: Vector, covariances: Vector | None = None) -> LinearParams:
        """Return parameters with these coefficients."""
        return LinearParams(np.ascontiguousarray(coef, dtype=np.float64))

    @property
    def penalised(self) -> bool:
        """Whether a penalty settles what the rows leave open."""
        return not self._penalty.absent

    def penalty(self, params: LinearParams) -> float:
        """Penalty per unit weight."""
        return self._penalty.value(params.coef)

    def ridge(self, params: LinearParams) -> Vector:
        """Curvature of the ridge per unit weight: (K, L, 1 + p)."""
        return np.broadcast_to(self._penalty.l2, self._shape)

    def update(self, params: LinearParams, stats: Stats) -> LinearParams:
        """One monotone step of every expert."""
        weight = stats.number("weight_sum")
        coef = np.empty(self._shape)
        for k, old in enumerate(params.coef):
            new, _ = newton_step(
                old.ravel(),
                stats["expert_score"][k].ravel(),
                stats["expert_gram"][k],
                self._flat_penalty,
                weight,
                self._reach,
            )
            coef[k] = new.reshape(old.shape)
        return LinearParams(coef)

    def _reach(self, direction: Vector) -> float:
        if self.family == "multinomial":
            classes = direction.reshape(self.n_linear, -1)
            return largest_difference(classes, *self._box)
        return largest_change(direction, *self._box)

    def pack(self, params: LinearParams) -> Vector:
        """Coefficients."""
        return params.coef.ravel()

    def unpack(self, vector: Vector) -> LinearParams:
        """Inverse of `pack`."""
        if not np.isfinite(vector).all():
            raise Infeasible("coefficients are not finite")
        return LinearParams(vector.reshape(self._shape).copy())

    @property
    def kinks(self) -> NDArray[np.bool_]:
        """Coordinates whose penalty has a kink at zero."""
        return np.tile(self._flat_penalty.l1 > 0.0, self.n_experts)

    def permuted(self, params: LinearParams, order: Indices) -> LinearParams:
        """Return the experts in another order."""
        return LinearParams(params.coef[order])

    def on_floor(self, params: LinearParams) -> NDArray[np.bool_]:
        """No expert has a scale."""
        return np.zeros(self.n_experts, dtype=bool)
