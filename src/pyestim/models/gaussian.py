"""Gaussian components: means and a covariance structure, in working coordinates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import log, pi

import numpy as np

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Stats, Vector
from pyestim.models.covariance import Covariance, Structure
from pyestim.models.structures import STRUCTURES

#: A component with less weight than this has no moments.
SMALLEST_WEIGHT = 1e-200


@dataclass(frozen=True, slots=True)
class GaussianParams:
    """Means and covariances of the components.

    Attributes
    ----------
    means : ndarray of shape (K, d)
    covariance : Covariance
    log_norm : ndarray of shape (K,)
        Log-density of each component at its mean.
    """

    means: Vector
    covariance: Covariance
    log_norm: Vector


class GaussianComponent:
    """Multivariate normal components.

    Parameters
    ----------
    covariance_type : {"full", "tied", "diag", "spherical"}
    n_components, n_features : int
    floor_sd : ndarray of shape (d,), optional
        Unit of the variance floor of each column, in working coordinates; ones by default.
    reg_covar : float
        Least eigenvalue of a covariance in these units.
    """

    def __init__(
        self,
        covariance_type: str,
        n_components: int,
        n_features: int,
        *,
        floor_sd: Vector | None = None,
        reg_covar: float = 1e-6,
    ) -> None:
        if covariance_type not in STRUCTURES:
            raise ValueError(
                f"covariance_type: expected one of {tuple(STRUCTURES)}, got {covariance_type!r}."
            )
        if floor_sd is None:
            floor_sd = np.ones(n_features)
        self.n_components = n_components
        self.n_features = n_features
        self.structure: Structure = STRUCTURES[covariance_type](
            n_components, n_features, floor_sd, reg_covar
        )
        self._log_unit = -0.5 * n_features * log(2.0 * pi)

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics."""
        return {
            "first": (self.n_components, self.n_features),
            "second": self.structure.second_shape(),
        }

    @property
    def family(self) -> str:
        """Name of the density among the kernels."""
        return self.structure.family

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        return self.n_components * self.n_features + self.structure.n_parameters()

    def params(self, means: Vector, covariances: Vector) -> GaussianParams:
        """Return parameters with these means (K, d) and covariances; the floor applies."""
        means = np.ascontiguousarray(means, dtype=np.float64)
        covariances = np.ascontiguousarray(covariances, dtype=np.float64)
        return self._assemble(means, self.structure.finish(covariances))

    def _assemble(self, means: Vector, covariance: Covariance) -> GaussianParams:
        log_norm = covariance.log_det + self._log_unit
        if log_norm.shape[0] != self.n_components:
            log_norm = np.repeat(log_norm, self.n_components)
        return GaussianParams(means, covariance, log_norm)

    def update(self, params: GaussianParams, resp_sum: Vector, stats: Stats) -> GaussianParams:
        """Exact maximum given the responsibilities; a component without weight keeps its own."""
        if np.count_nonzero(resp_sum > SMALLEST_WEIGHT) == len(resp_sum):
            shift = stats["first"] / resp_sum[:, None]
            covariance = self.structure.estimate(resp_sum, shift, stats["second"])
            return self._assemble(params.means + shift, covariance)
        return self._update_living(params, resp_sum, stats)

    def _update_living(
        self, params: GaussianParams, resp_sum: Vector, stats: Stats
    ) -> GaussianParams:
        dead = ~(resp_sum > SMALLEST_WEIGHT)
        if dead.all():
            return params
        shift = stats["first"] / np.where(dead, 1.0, resp_sum)[:, None]
        shift[dead] = 0.0
        pooled = self.structure.pooled
        weight = np.where(dead, 0.0 if pooled else 1.0, resp_sum)
        estimate = self.structure.estimate(weight, shift, stats["second"])
        if pooled:
            return self._assemble(params.means + shift, estimate)
        values = estimate.values.copy()
        values[dead] = params.covariance.values[dead]
        # What was raised to the floor is not below it any more: the first count holds.
        found = replace(self.structure.finish(values), n_floored=estimate.n_floored)
        return self._assemble(params.means + shift, found)

    def pack(self, params: GaussianParams) -> Vector:
        """Means, then the coordinates of the covariances."""
        return np.concatenate([params.means.ravel(), self.structure.pack(params.covariance)])

    def unpack(self, vector: Vector) -> GaussianParams:
        """Inverse of `pack`."""
        size = self.n_components * self.n_features
        means = vector[:size].reshape(self.n_components, self.n_features).copy()
        if not np.isfinite(means).all():
            raise Infeasible("means are not finite")
        return self._assemble(means, self.structure.unpack(vector[size:]))
