"""Mixtures: gate x component x observation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pyestim.data.source import Chunk
from pyestim.engine.model import Capability
from pyestim.engine.stats import Layout, Stats, Vector
from pyestim.models import kernels
from pyestim.models.degenerate import POLICIES, Watch
from pyestim.models.gates import ConstantGate, ConstantGateParams
from pyestim.models.gaussian import GaussianComponent, GaussianParams


@dataclass(frozen=True, slots=True)
class MixtureParams:
    """Parameters of a mixture, in working coordinates.

    Attributes
    ----------
    gate : ConstantGateParams
    component : GaussianParams
    log_offset : ndarray of shape (K,)
        Log-density of each component at its mean plus its log-weight; minus infinity for a
        component that was dropped.
    """

    gate: ConstantGateParams
    component: GaussianParams
    log_offset: Vector

    @property
    def weights(self) -> Vector:
        """Weights of the components: (K,)."""
        return self.gate.weights

    @property
    def means(self) -> Vector:
        """Means of the components: (K, d)."""
        return self.component.means

    @property
    def covariances(self) -> Vector:
        """Covariances in the shape of their structure."""
        return self.component.covariance.values

    @property
    def factors(self) -> Vector:
        """Inverse Cholesky factors or reciprocal standard deviations, as the kernels take them."""
        return self.component.covariance.factors


class Mixture:
    """A mixture of Gaussians whose rows are observed exactly.

    Parameters
    ----------
    gate : ConstantGate
    component : GaussianComponent
    on_degenerate : {"regularize", "drop", "reseed", "raise"}
        Fate of a component that collapsed or lost its rows.
    row_weight : float
        Weight that counts as one row when rows are counted for that.
    """

    name = "Gaussian mixture"
    halo = 0

    def __init__(
        self,
        gate: ConstantGate,
        component: GaussianComponent,
        *,
        on_degenerate: str = "regularize",
        row_weight: float = 1.0,
    ) -> None:
        if on_degenerate not in POLICIES:
            raise ValueError(f"on_degenerate: expected one of {POLICIES}, got {on_degenerate!r}.")
        self.gate = gate
        self.component = component
        self.on_degenerate = on_degenerate
        self.watch = Watch(component.structure, on_degenerate, row_weight)

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes of the statistics, in the order of the kernels."""
        return Layout(
            {
                "log_likelihood": (),
                "weight_sum": (),
                **self.gate.windows,
                **self.component.windows,
            }
        )

    @property
    def supports(self) -> frozenset[Capability]:
        """What the model can do."""
        able = {Capability.WEIGHTS, Capability.FLOAT32, Capability.STREAM, Capability.ACCELERATE}
        if self.on_degenerate != "regularize":
            able.add(Capability.REPAIR)
        return frozenset(able)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.gate.n_components

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.gate.n_parameters + self.component.n_parameters

    # -- the model protocol ---------------------------------------------------------------------

    def accumulate(self, params: Sequence[MixtureParams], chunk: Chunk, out: Vector) -> None:
        """Write the E-step statistics of every candidate to ``out`` (C, S)."""
        log_offset, means, factors = stacked(params)
        kernels.mixture_sweep(chunk, self.component.family, log_offset, means, factors, out)

    def update(self, params: MixtureParams, stats: Stats) -> MixtureParams:
        """Exact M-step."""
        gate = self.gate.update(params.gate, stats)
        component = self.component.update(params.component, stats["resp_sum"], stats)
        return self.assemble(gate, component)

    def objective(self, params: MixtureParams, stats: Stats) -> float:
        """Log-likelihood in working coordinates."""
        return stats.number("log_likelihood")

    def pack(self, params: MixtureParams) -> Vector:
        """Logits, means, factors with logarithms on the diagonal."""
        return np.concatenate([self.gate.pack(params.gate), self.component.pack(params.component)])

    def unpack(self, vector: Vector) -> MixtureParams:
        """Inverse of `pack`."""
        gate = self.gate.unpack(vector[: self.n_components])
        component = self.component.unpack(vector[self.n_components :])
        return self.assemble(gate, component)

    def needs_repair(self, params: MixtureParams, stats: Stats, n_before: int) -> bool:
        """Whether components collapsed that `on_degenerate` wants replaced."""
        return self.watch.needs_repair(params, stats, n_before)

    def repair(
        self, params: MixtureParams, stats: Stats, sweep: Any, n_before: int
    ) -> tuple[MixtureParams, str]:
        """Drop or reseed degenerate components, or raise, as `on_degenerate` says."""
        return self.watch.repair(self, params, stats, sweep, n_before)

    def diagnose(self, params: MixtureParams, stats: Stats) -> tuple[str, ...]:
        """Sentences that name the degenerate components."""
        return self.watch.diagnose(params, stats)

    def assemble(self, gate: ConstantGateParams, component: GaussianParams) -> MixtureParams:
        """Return the parameters of the mixture from those of its factors."""
        return MixtureParams(gate, component, component.log_norm + gate.log_weights)

    # -- parameters of the user -----------------------------------------------------------------

    def params(self, weights: Vector, means: Vector, covariances: Vector) -> MixtureParams:
        """Return parameters with these values, in working coordinates; the floor applies."""
        gate = self.gate.params(np.asarray(weights, dtype=np.float64))
        component = self.component.params(means, covariances)
        return self.assemble(gate, component)

    def with_gate(self, params: MixtureParams, weights: Vector) -> MixtureParams:
        """Return the same components with other weights."""
        return self.assemble(self.gate.params(weights), params.component)

    def from_user(
        self, weights: Vector, means: Vector, covariances: Vector, centre: Vector, scale: Vector
    ) -> MixtureParams:
        """Return parameters that are given in the coordinates of the data."""
        values = self.component.structure.rescale(np.asarray(covariances, dtype=np.float64), scale)
        return self.params(weights, (np.asarray(means) - centre) * scale, values)

    def to_user(
        self, params: MixtureParams, centre: Vector, scale: Vector
    ) -> tuple[Vector, Vector, Vector]:
        """Weights, means and covariances in the coordinates of the data."""
        means = params.means / scale + centre
        values = self.component.structure.rescale(params.covariances, 1.0 / scale)
        return params.weights.copy(), means, values

    def rows(
        self,
        params: MixtureParams,
        chunk: Chunk,
        *,
        log_prob: Vector | None = None,
        resp: Vector | None = None,
        labels: Any = None,
        log_resp: bool = False,
    ) -> None:
        """Write log-densities, responsibilities, labels of the rows of a chunk.

        Log-densities are those of working coordinates.
        """
        kernels.mixture_rows(
            chunk,
            self.component.family,
            params.log_offset,
            params.means,
            params.factors,
            log_prob=log_prob,
            resp=resp,
            labels=labels,
            log_resp=log_resp,
        )


def stacked(params: Sequence[MixtureParams]) -> tuple[Vector, Vector, Vector]:
    """Parameters of all candidates as the kernels take them, with a leading axis."""
    if len(params) == 1:
        (one,) = params
        return one.log_offset[None], one.means[None], one.factors[None]
    return (
        np.array([p.log_offset for p in params]),
        np.array([p.means for p in params]),
        np.array([p.factors for p in params]),
    )
