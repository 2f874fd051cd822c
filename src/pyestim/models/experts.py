"""Mixtures of experts: gate x regression, and mixtures of regressions (a constant gate)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.data.experts import ExpertChunk, ExpertSource
from pyestim.engine.model import Capability
from pyestim.engine.stats import Layout, Shape, Stats, Vector
from pyestim.models import expert_words, kernels
from pyestim.models.expert_gates import Gate, GateParams, WeightsGate
from pyestim.models.expert_groups import grouped_sweep
from pyestim.models.experts_gaussian import GaussianExperts
from pyestim.models.experts_glm import LinearExperts

Indices = NDArray[np.intp]
Experts = GaussianExperts | LinearExperts


@dataclass(frozen=True, slots=True)
class ExpertParams:
    """Parameters of a mixture of experts, in working coordinates.

    Attributes
    ----------
    gate : GateParams
    experts : GaussianExpertParams or LinearParams
    """

    gate: GateParams
    experts: Any


class ExpertMixture:
    """``p(y | x, z) = sum_k pi_k(z) f_k(y | x)``.

    The objective is the log-likelihood in working coordinates, without the terms that only depend
    on the responses, minus the weight of the rows times the penalties of gate and experts.  The
    update never lowers it: it raises, or keeps, the expected log-likelihood of gate and of every
    expert, which are separate (generalised EM).

    Parameters
    ----------
    gate : WeightsGate or SoftmaxGate
    experts : GaussianExperts or LinearExperts
    grouped : bool
        Rows of one group share one latent class.
    row_weight : float
        Weight that counts as one row when rows are counted for messages.

    Notes
    -----
    A sweep costs, per row, ``K L (1 + p) + (K - 1) (1 + q)`` multiply-adds for the predictors,
    2 K exponentials, and ``K p^2 / 2 + K^2 q^2 / 4`` multiply-adds for the curvatures.

    References
    ----------
    Jordan, M. I. and Jacobs, R. A. (1994). Hierarchical mixtures of experts and the EM algorithm.
    Neural Computation 6. doi:10.1162/neco.1994.6.2.181
    """

    halo = 0

    def __init__(
        self, gate: Gate, experts: Experts, *, grouped: bool = False, row_weight: float = 1.0
    ) -> None:
        self.gate, self.experts = gate, experts
        self.grouped, self.row_weight = grouped, row_weight

    @property
    def name(self) -> str:
        """How messages call the model."""
        kind = "experts" if self.gate.gated else "regressions"
        return f"mixture of {self.experts.family} {kind}"

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes of the statistics, in the order of the kernels."""
        k = self.n_experts
        own: dict[str, Shape] = {"log_likelihood": (), "weight_sum": (), "resp_sum": (k,)}
        groups: dict[str, Shape] = {"group_sum": (k,)} if self.grouped else {}
        return Layout({**own, **self.experts.windows, **self.gate.windows, **groups})

    @property
    def supports(self) -> frozenset[Capability]:
        """What the model can do; groups must be seen whole."""
        able = {Capability.WEIGHTS, Capability.FLOAT32, Capability.ACCELERATE}
        if not self.grouped:
            able.add(Capability.STREAM)
        return frozenset(able)

    @property
    def n_experts(self) -> int:
        """Number of experts."""
        return self.gate.n_experts

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.gate.n_parameters + self.experts.n_parameters

    # -- the model protocol ---------------------------------------------------------------------

    def accumulate(self, params: Sequence[ExpertParams], chunk: ExpertChunk, out: Vector) -> None:
        """Write the E-step statistics of every candidate to ``out`` (C, S)."""
        if self.grouped:
            for one, row in zip(params, out, strict=True):
                grouped_sweep(self, one, chunk, row)
            return
        self.sweep(params, chunk, out)

    def sweep(
        self, params: Sequence[ExpertParams], chunk: ExpertChunk, out: Vector, **elsewhere: Any
    ) -> None:
        """Write statistics of the posterior, or of responsibilities from elsewhere."""
        kernels.experts_sweep(self._visible(chunk), self.arrays(params), out, **elsewhere)

    def rows(self, params: ExpertParams, chunk: ExpertChunk, **outputs: Vector) -> None:
        """Write what is asked for of single rows: see `kernels.experts_rows`."""
        kernels.experts_rows(self._visible(chunk), self.arrays([params]), **outputs)

    def update(self, params: ExpertParams, stats: Stats) -> ExpertParams:
        """One step of the gate and of every expert that never lowers the objective."""
        return ExpertParams(
            self.gate.update(params.gate, stats), self.experts.update(params.experts, stats)
        )

    def objective(self, params: ExpertParams, stats: Stats) -> float:
        """Log-likelihood minus penalties."""
        weight = stats.number("weight_sum")
        return stats.number("log_likelihood") - weight * self.penalty(params)

    def penalty(self, params: ExpertParams) -> float:
        """Penalties of gate and experts, per unit weight."""
        return self.gate.penalty(params.gate) + self.experts.penalty(params.experts)

    def pack(self, params: ExpertParams) -> Vector:
        """Coordinates of the gate, then of the experts."""
        return np.concatenate([self.gate.pack(params.gate), self.experts.pack(params.experts)])

    def unpack(self, vector: Vector) -> ExpertParams:
        """Inverse of `pack`."""
        cut = self.gate.n_packed
        return ExpertParams(self.gate.unpack(vector[:cut]), self.experts.unpack(vector[cut:]))

    @cached_property
    def kinks(self) -> NDArray[np.bool_]:
        """Coordinates of `pack` whose penalty has a kink at zero."""
        return np.concatenate([self.gate.kinks, self.experts.kinks])

    def diagnose(self, params: ExpertParams, stats: Stats) -> tuple[str, ...]:
        """Sentences about experts without rows, scales on the floor, what cannot be told apart."""
        return expert_words.sentences(self, params, stats)

    # -- what the kernels take ------------------------------------------------------------------

    def arrays(self, params: Sequence[ExpertParams]) -> kernels.ExpertArrays:
        """Parameters of all candidates as the kernels take them, with a leading axis."""
        parts = [self.experts.arrays(p.experts) for p in params]
        coef, factors, log_norm = (
            None if part[0] is None else np.array(part) for part in zip(*parts, strict=True)
        )
        assert coef is not None
        gate = np.array([p.gate.coef for p in params])
        return kernels.ExpertArrays(self.experts.family, gate, coef, factors, log_norm)

    def _visible(self, chunk: ExpertChunk) -> ExpertChunk:
        return chunk if self.gate.gated else replace(chunk, gate_rows=None)

    # -- the order of the experts ---------------------------------------------------------------

    def permuted(self, params: ExpertParams, order: Indices) -> ExpertParams:
        """Return the same mixture with its experts in another order."""
        return ExpertParams(
            self.gate.permuted(params.gate, order), self.experts.permuted(params.experts, order)
        )

    def ordered(self, params: ExpertParams, source: ExpertSource) -> ExpertParams:
        """Return the same mixture in the order of what is published.

        By the mean (over outputs) of the linear predictor at the mean of the predictors, then by
        the slopes one after the other; the last expert is the reference of the gate, so experts
        that a constant gate has dropped come first. Under a Lasso penalty of the gate the
        reference stays what it is, and the others are sorted: the penalty of another reference is
        another one.
        """
        coef = params.experts.coef
        keys = coef.mean(axis=1) @ np.concatenate([[1.0], source.x.column_mean])
        keys = np.where(np.isfinite(params.gate.coef[:, 0]), keys, -np.inf)
        slopes = coef.mean(axis=1)[:, 1:]
        order: Indices = np.lexsort([*slopes.T[::-1], keys])
        if self.gate.sparse:
            order = np.append(order[order != len(order) - 1], len(order) - 1)
        return self.permuted(params, order)

    # -- parameters of the user -----------------------------------------------------------------

    def to_user(self, params: ExpertParams, source: ExpertSource) -> dict[str, Vector]:
        """Parameters in the coordinates of the data.

        Returns
        -------
        dict
            ``gate_intercept`` (K,), ``gate_coef`` (K, q), ``intercept`` (K, L), ``coef`` (K, L,
            p), and ``covariance`` (K, m, m) of gaussian experts.
        """
        unit = source.y_scale[: self.experts.n_linear]
        intercept, coef = _outside(params.experts.coef, source.x.centre, source.x.scale)
        found = {
            "intercept": intercept / unit + source.y_centre[: len(unit)],
            "coef": coef / unit[:, None],
        }
        gate = params.gate.coef
        if self.gate.gated:
            z = source.z
            found["gate_intercept"], found["gate_coef"] = _outside(gate, z.centre, z.scale)
        else:
            # The last expert may have lost all its rows: its weight is no reference then.
            reference = gate[-1, 0] if np.isfinite(gate[-1, 0]) else gate[:, 0].max()
            found["gate_intercept"] = gate[:, 0] - reference
            found["gate_coef"] = np.zeros((self.n_experts, 0))
        covariances = self.experts.covariances(params.experts)
        if covariances is not None:
            found["covariance"] = covariances / np.multiply.outer(unit, unit)
        return found

    def from_user(self, given: dict[str, Vector], source: ExpertSource) -> ExpertParams:
        """Inverse of `to_user`; the gate is moved so that the last expert is its reference."""
        unit = source.y_scale[: self.experts.n_linear]
        intercept = (given["intercept"] - source.y_centre[: len(unit)]) * unit
        slopes = given["coef"] * unit[:, None]
        coef = _inside(intercept, slopes, source.x.centre, source.x.scale)
        covariances = given.get("covariance")
        if covariances is not None:
            covariances = covariances * np.multiply.outer(unit, unit)
        return ExpertParams(
            self._gate_from_user(given, source), self.experts.params(coef, covariances)
        )

    def _gate_from_user(self, given: dict[str, Vector], source: ExpertSource) -> GateParams:
        intercept = given["gate_intercept"]
        if isinstance(self.gate, WeightsGate):
            return self.gate.start(np.exp(intercept - intercept.max()))
        gate = _inside(intercept, given["gate_coef"], source.z.centre, source.z.scale)
        return GateParams(gate - gate[-1])


def _outside(coef: Vector, centre: Vector, scale: Vector) -> tuple[Vector, Vector]:
    """Intercepts and slopes of the data from those of working coordinates (..., 1 + p)."""
    slopes = coef[..., 1:] * scale
    return coef[..., 0] - slopes @ centre, slopes


def _inside(intercept: Vector, slopes: Vector, centre: Vector, scale: Vector) -> Vector:
    """Inverse of `_outside`."""
    at_centre = intercept + slopes @ centre
    return np.concatenate([at_centre[..., None], slopes / scale], axis=-1)
