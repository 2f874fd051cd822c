"""Observed information of mixtures of experts: central differences of the analytic score.

The score of the likelihood is that of the expected complete log-likelihood at the parameters
which gave the responsibilities (Fisher's identity), so the statistics of one sweep hold it. Its
derivatives are differences between candidates, which share the passes over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_gates import GateParams, SoftmaxGate, WeightsGate
from pyestim.models.experts import ExpertMixture, ExpertParams
from pyestim.models.packing import unpacked

#: Step of the differences, in units of what changes the log-density of a row by one: truncation
#: leaves its square, rounding 1e-16 over it.
STEP = 1e-4
#: Candidates of one pass, whose statistics should stay in cache.
BATCH = 32
#: Directions that are curved less than this share per row take the step of one that is.
LEAST_SHARE = 1e-4
#: An eigenvalue of the scaled information below this is rounding: the likelihood is flat there.
FLAT = 1e-7


@dataclass(frozen=True)
class Split:
    """Free parameters: the gate's, the experts' coefficients, lower triangles of covariances."""

    gate: Vector
    coef: Vector
    scales: Vector

    @property
    def vector(self) -> Vector:
        """All in one vector."""
        return np.concatenate([self.gate.ravel(), self.coef.ravel(), self.scales.ravel()])


class Coordinates:
    """Free parameters of a mixture in working coordinates, as one vector.

    Parameters
    ----------
    model : ExpertMixture
    params : ExpertParams
        Of the fit.
    """

    def __init__(self, model: ExpertMixture, params: ExpertParams) -> None:
        self.model = model
        self.shared = getattr(model.experts, "share_scale", False)
        self.lower = np.tril_indices(model.experts.n_linear)
        self.start = self.split(params)
        self.vector = self.start.vector

    def split(self, params: ExpertParams) -> Split:
        """Return the parts; logits relative to those of the last expert."""
        gate = params.gate.coef[:-1] - params.gate.coef[-1]
        return Split(gate, params.experts.coef, self._triangles(self._covariances(params)))

    def _covariances(self, params: ExpertParams) -> Vector:
        """Distinct covariances: (K, m, m), (1, m, m) where shared, (0, m, m) for none."""
        m = self.model.experts.n_linear
        found = self.model.experts.covariances(params.experts)
        if found is None:
            return np.zeros((0, m, m))
        return found[:1] if self.shared else found

    def _triangles(self, matrices: Vector) -> Vector:
        return np.asarray(matrices[:, self.lower[0], self.lower[1]])

    def params(self, vector: Vector) -> ExpertParams:
        """Inverse of `split`."""
        cuts = np.cumsum([self.start.gate.size, self.start.coef.size])
        gate, coef, scales = np.split(vector, cuts)
        free = np.zeros((self.model.n_experts, self.start.gate.shape[1]))
        free[:-1] = gate.reshape(self.start.gate.shape)
        covariances = None
        if scales.size:
            covariances = unpacked(scales.reshape(self.start.scales.shape))
            covariances = np.repeat(covariances, self.model.n_experts if self.shared else 1, axis=0)
        own = GateParams(free)
        if isinstance(self.model.gate, WeightsGate):
            own = self.model.gate.start(np.exp(free[:, 0] - free[:, 0].max()))
        experts = self.model.experts.params(coef.reshape(self.start.coef.shape), covariances)
        return ExpertParams(own, experts)

    def score(self, params: ExpertParams, stats: Stats) -> Vector:
        """Gradient of the log-likelihood."""
        covariances = self.model.experts.covariances(params.experts)
        coef = stats["expert_score"]
        scales = np.zeros(0)
        if covariances is not None:
            inverse = np.linalg.inv(covariances)
            coef = inverse @ coef
            bent = inverse @ unpacked(stats["residual"]) @ inverse
            bent = 0.5 * (bent - stats["resp_sum"][:, None, None] * inverse)
            bent = bent.sum(axis=0, keepdims=True) if self.shared else bent
            # An entry off the diagonal stands for two.
            scales = self._triangles(bent * (2.0 - np.eye(bent.shape[1])))
        return np.concatenate([self._gate(params, stats).ravel(), coef.ravel(), scales.ravel()])

    def _gate(self, params: ExpertParams, stats: Stats) -> Vector:
        if self.model.gate.gated:
            return stats["gate_score"]
        counted = stats["group_sum" if self.model.grouped else "resp_sum"]
        return np.asarray((counted - counted.sum() * np.exp(params.gate.coef[:, 0]))[:-1])

    def units(self, stats: Stats) -> Vector:
        """Changes that alter the log-density of a row by about one, from the complete data."""
        weight, split = stats.number("weight_sum"), self.start
        gate = np.full(split.gate.shape, 0.25 * weight)
        if self.model.gate.gated:
            gate = unpacked(stats["gate_curvature"]).diagonal()
        coef = np.diagonal(unpacked(stats["expert_gram"]), axis1=1, axis2=2)
        scales = np.zeros(0)
        if split.scales.size:
            variances = np.diagonal(unpacked(split.scales), axis1=1, axis2=2)
            coef = coef[:, None] / variances[..., None]
            scales = np.sqrt(variances[:, self.lower[0]] * variances[:, self.lower[1]])
        curved = np.concatenate([gate.ravel(), coef.ravel()])
        lengths = np.sqrt(weight / np.maximum(curved, LEAST_SHARE * weight))
        return np.concatenate([lengths, scales.ravel()])

    def ridge(self, params: ExpertParams) -> Vector:
        """Gradient of the ridges per unit weight; those of gaussian slopes hold the scale too."""
        gate, model = np.zeros(self.start.gate.shape), self.model
        if isinstance(model.gate, SoftmaxGate):
            gate = model.gate.ridge * params.gate.coef[:-1]
        coef = params.experts.coef
        slopes = model.experts.ridge(params.experts) * coef
        scales = np.zeros(self.start.scales.shape)
        covariances = model.experts.covariances(params.experts)
        if covariances is not None and covariances.shape[1] == 1:  # others have no ridge
            each = -0.5 * (slopes * coef).sum(axis=2) / covariances[:, 0]
            scales = each.sum(axis=0, keepdims=True) if self.shared else each
        return Split(gate, slopes, scales).vector


def covariance_of_estimates(
    model: ExpertMixture, source: ExpertSource, params: ExpertParams
) -> tuple[Coordinates, Vector, Vector]:
    """Units (P,) of working coordinates, and the inverse (P, P) of the observed information.

    Parameters
    ----------
    model : ExpertMixture
        Without l1 penalties; a ridge counts as it does in the objective.
    source : ExpertSource
    params : ExpertParams
        At a maximum. Directions in which the likelihood is flat, or not concave, get NaN.
    """
    here, sweep = Coordinates(model, params), LocalSweep(model, source)
    (stats,) = sweep([params])
    unit = here.units(stats)
    weight = stats.number("weight_sum")
    steps = np.diag(STEP * unit)
    points = [here.params(here.vector + sign * step) for step in steps for sign in (1.0, -1.0)]
    scores = np.empty((len(points), len(unit)))
    for begin in range(0, len(points), BATCH):
        batch = points[begin : begin + BATCH]
        for i, (point, found) in enumerate(zip(batch, sweep(batch), strict=True), begin):
            scores[i] = (here.score(point, found) - weight * here.ridge(point)) * unit
    information = (scores[1::2] - scores[::2]) / (2.0 * STEP)
    information = 0.5 * (information + information.T)
    values, vectors = np.linalg.eigh(information / weight)
    flat = values <= FLAT
    inverse = (vectors / np.where(flat, np.inf, values * weight)) @ vectors.T
    lost = np.any(np.abs(vectors[:, flat]) > 1e-6, axis=1)
    inverse[lost] = inverse[:, lost] = np.nan
    return here, unit, inverse * np.multiply.outer(unit, unit)


def standard_errors(
    model: ExpertMixture, source: ExpertSource, params: ExpertParams
) -> dict[str, Vector]:
    """Standard errors of what `ExpertMixture.to_user` returns, in its shapes.

    Published parameters are affine in working coordinates, so their covariance follows exactly.
    """
    here, unit, covariance = covariance_of_estimates(model, source, params)
    base = model.to_user(params, source)
    size = STEP * unit
    columns = [model.to_user(here.params(here.vector + step), source) for step in np.diag(size)]
    errors = {}
    for name, value in base.items():
        slopes = np.array([(column[name] - value).ravel() for column in columns]).T / size
        used = slopes != 0.0
        # In one unit, so that no square is out of reach of a double.
        size_of = np.abs(slopes).max(axis=1, initial=0.0)
        size_of = np.where((size_of > 0.0) & (size_of < np.inf), size_of, 1.0)
        part = np.where(used, slopes, 0.0) / size_of[:, None]
        with np.errstate(invalid="ignore"):
            variance = np.einsum("ij,jk,ik->i", part, np.nan_to_num(covariance), part)
        unknown = used[:, np.isnan(np.diagonal(covariance))].any(axis=1)
        errors[name] = np.where(unknown, np.nan, size_of * np.sqrt(variance)).reshape(value.shape)
    return errors
