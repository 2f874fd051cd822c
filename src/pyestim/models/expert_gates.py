"""Gates of experts: softmax of linear functions of covariates, or constant weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Stats, Vector
from pyestim.models.expert_penalty import Penalty, newton_step, unpenalised
from pyestim.models.gates import ConstantGate
from pyestim.models.monotone import box, largest_difference, solve_normal
from pyestim.models.packing import n_packed, packed

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Newton steps that are shorter than this are compared with a step of fixed curvature.
SHORT_STEP = 0.5


@dataclass(frozen=True, slots=True)
class GateParams:
    """Coefficients of the gate.

    Attributes
    ----------
    coef : ndarray of shape (K, 1 + q)
        Intercept first; zeros for the last expert, the reference.  Of a constant gate (q = 0) the
        logarithms of the weights.
    """

    coef: Vector


class WeightsGate:
    """The same weights for every row: a mixture of regressions.

    Parameters
    ----------
    n_experts : int
    grouped : bool
        Groups are counted instead of rows.
    """

    gated = False
    sparse = False
    n_covariates = 0
    second: Vector | None = None

    def __init__(self, n_experts: int, *, grouped: bool = False) -> None:
        self.n_experts = n_experts
        self._constant = ConstantGate(n_experts)
        self._counted = "group_sum" if grouped else "resp_sum"

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics that are the gate's own."""
        return {}

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.n_experts - 1

    def penalty(self, params: GateParams) -> float:
        """Nothing is penalised."""
        return 0.0

    def start(self, weights: Vector) -> GateParams:
        """Return a gate with these weights, which need not sum to one."""
        return GateParams(self._constant.params(weights).log_weights[:, None])

    def update(self, params: GateParams, stats: Stats) -> GateParams:
        """Weights in proportion to the responsibilities: the exact maximum."""
        return self.start(stats[self._counted])

    def pack(self, params: GateParams) -> Vector:
        """Logits, centred."""
        return self._constant.pack(self._constant.params(np.exp(params.coef[:, 0])))

    def unpack(self, vector: Vector) -> GateParams:
        """Inverse of `pack`."""
        if not np.isfinite(vector).all():
            raise Infeasible("logits are not finite")
        return GateParams(self._constant.unpack(vector).log_weights[:, None])

    @property
    def n_packed(self) -> int:
        """Length of the packed vector."""
        return self.n_experts

    @property
    def kinks(self) -> Mask:
        """No coordinate has a penalty."""
        return np.zeros(self.n_packed, dtype=bool)

    def permuted(self, params: GateParams, order: Indices) -> GateParams:
        """Return the gate of experts in another order."""
        return GateParams(params.coef[order])


class SoftmaxGate:
    """``pi_k(z) = exp(g_k0 + g_k' z) / sum_l exp(g_l0 + g_l' z)``, zero for the last expert.

    The update is one step that never lowers the expected log-likelihood: a Newton step whose length
    generalised self-concordance bounds (`monotone`), or a step with Boehning's bound on the
    curvature, ``(I - 11'/K) / 2 (x) sum w z z'``, whichever guarantees more.

    Parameters
    ----------
    n_experts : int
    low, high : ndarray of shape (q,)
        Box that holds the covariates, in working coordinates.
    penalty : Penalty, optional
        Of one expert's coefficients.
    second : ndarray of shape (1 + q, 1 + q), optional
        ``sum w z z'`` of the rows with a one in front, for Boehning's bound.

    References
    ----------
    Boehning, D. (1992). Multinomial logistic regression algorithm. Annals of the Institute of
    Statistical Mathematics 44. doi:10.1007/BF00048682
    """

    gated = True

    def __init__(
        self,
        n_experts: int,
        low: Vector,
        high: Vector,
        *,
        penalty: Penalty | None = None,
        second: Vector | None = None,
    ) -> None:
        self.n_experts, self.n_covariates = n_experts, len(low)
        self.second = second
        self._penalty = penalty or unpenalised(len(low))
        self._flat_penalty = self._penalty.repeated(n_experts - 1)
        self._n_columns = 1 + len(low)
        self._box = box(low, high)

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics that are the gate's own."""
        free = self.n_experts - 1
        size = n_packed(free * self._n_columns)
        return {"gate_score": (free, self._n_columns), "gate_curvature": (size,)}

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return (self.n_experts - 1) * self._n_columns

    def penalty(self, params: GateParams) -> float:
        """Penalty per unit weight."""
        return self._penalty.value(params.coef[:-1])

    @property
    def sparse(self) -> bool:
        """Whether a Lasso penalty tells one reference from another."""
        return self._penalty.sparse

    @property
    def ridge(self) -> Vector:
        """Curvature of the penalty per unit weight, of one expert's coefficients: (1 + q,)."""
        return self._penalty.l2

    def start(self, weights: Vector) -> GateParams:
        """Return a gate with these weights everywhere."""
        log_weights = np.log(np.maximum(weights, 1e-300))
        coef = np.zeros((self.n_experts, self._n_columns))
        coef[:, 0] = log_weights - log_weights[-1]
        return GateParams(coef)

    def update(self, params: GateParams, stats: Stats) -> GateParams:
        """One monotone step."""
        if self.n_experts == 1:
            return params
        weight = stats.number("weight_sum")
        flat, score = params.coef[:-1].ravel(), stats["gate_score"].ravel()
        step = newton_step(
            flat, score, stats["gate_curvature"], self._flat_penalty, weight, self._reach
        )
        newton, least = step
        if self.second is None or self._reach(newton - flat) < SHORT_STEP:
            return self._params(newton)
        fixed, gain = self._fixed(flat, score, self.second, weight)
        return self._params(fixed if gain > least else newton)

    def _params(self, flat: Vector) -> GateParams:
        coef = np.zeros((self.n_experts, self._n_columns))
        coef[:-1] = flat.reshape(self.n_experts - 1, self._n_columns)
        return GateParams(coef)

    def _reach(self, direction: Vector) -> float:
        free = direction.reshape(self.n_experts - 1, self._n_columns)
        return largest_difference(free, *self._box)

    def _fixed(
        self, flat: Vector, score: Vector, second: Vector, weight: float
    ) -> tuple[Vector, float]:
        """Step that maximises a quadratic below the objective everywhere, and its gain there."""
        penalty = self._flat_penalty
        if penalty.absent:
            # ((I - 11'/K) / 2)^-1 = 2 (I + 11') on all experts but the last.
            slopes = score.reshape(self.n_experts - 1, -1)
            direction = 2.0 * solve_normal(second, (slopes + slopes.sum(axis=0)).T).T.ravel()
            return flat + direction, 0.5 * float(score @ direction)
        return newton_step(flat, score, self._bound, penalty, weight, lambda direction: 0.0)

    @cached_property
    def _bound(self) -> Vector:
        """Bound on the curvature, packed."""
        assert self.second is not None
        shape = 0.5 * (np.eye(self.n_experts - 1) - 1.0 / self.n_experts)
        return packed(np.kron(shape, self.second).astype(np.float64))

    def pack(self, params: GateParams) -> Vector:
        """Coefficients of all experts but the last."""
        return params.coef[:-1].ravel()

    def unpack(self, vector: Vector) -> GateParams:
        """Inverse of `pack`."""
        if not np.isfinite(vector).all():
            raise Infeasible("coefficients of the gate are not finite")
        return self._params(vector)

    @property
    def n_packed(self) -> int:
        """Length of the packed vector."""
        return self.n_parameters

    @property
    def kinks(self) -> Mask:
        """Coordinates whose penalty has a kink at zero."""
        return self._flat_penalty.l1 > 0.0

    def permuted(self, params: GateParams, order: Indices) -> GateParams:
        """Return the gate of experts in another order: its last one is the reference."""
        coef = params.coef[order]
        return GateParams(coef - coef[-1])


Gate = WeightsGate | SoftmaxGate
