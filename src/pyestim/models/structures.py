"""The four covariance structures of scikit-learn."""

from __future__ import annotations

import numpy as np

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Vector
from pyestim.models.covariance import Covariance, Matrices, Sized


class Full(Matrices):
    """Every component has a covariance of its own: (K, d, d)."""

    name = "full"
    family = "full"
    pooled = False

    def second_shape(self) -> Shape:
        """Packed lower triangles: (K, P)."""
        return (self.n_components, self.n_features * (self.n_features + 1) // 2)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``second / N_k - shift shift'``."""
        values = (second / resp_sum[:, None]).take(self.packed_index, axis=1)
        values -= shift[:, :, None] * shift[:, None, :]
        return self.finish_matrices(values)

    def finish(self, values: Vector) -> Covariance:
        """Apply the floor to covariances and factorise them."""
        return self.finish_matrices(values)

    def expand(self, values: Vector) -> Vector:
        """Full matrices: (K, d, d)."""
        return values

    def restrict(self, full: Vector, resp_sum: Vector) -> Vector:
        """Nothing to restrict."""
        return full

    def rescale(self, values: Vector, factor: Vector) -> Vector:
        """Values after column j of the data was multiplied by ``factor[j]``."""
        return np.asarray(values * factor[:, None] * factor)

    def n_parameters(self) -> int:
        """``K d (d + 1) / 2``."""
        return self.n_components * self.n_features * (self.n_features + 1) // 2

    def min_rows(self) -> float:
        """``d + 1`` rows span the space."""
        return self.n_features + 1

    def pack(self, covariance: Covariance) -> Vector:
        """Lower Cholesky factors with logarithms on the diagonal, flat."""
        return self.pack_matrices(covariance.values)

    def unpack(self, vector: Vector) -> Covariance:
        """Inverse of `pack`."""
        return self.unpack_matrices(vector, self.n_components)


class Tied(Matrices):
    """All components share one covariance: (d, d)."""

    name = "tied"
    family = "tied"
    pooled = True

    def second_shape(self) -> Shape:
        """One packed lower triangle: (P,)."""
        return (self.n_features * (self.n_features + 1) // 2,)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``(second - sum_k N_k shift_k shift_k') / sum_k N_k``."""
        values = second[self.packed_index] - (shift.T * resp_sum) @ shift
        return self.finish(values / resp_sum.sum())

    def finish(self, values: Vector) -> Covariance:
        """Apply the floor to the covariance and factorise it."""
        found = self.finish_matrices(np.ascontiguousarray(values)[None])
        floored = None
        if found.n_floored is not None:
            floored = np.repeat(found.n_floored, self.n_components)
        return Covariance(found.values[0], found.factors[0], found.log_det, floored)

    def expand(self, values: Vector) -> Vector:
        """Full matrices: (K, d, d)."""
        return np.broadcast_to(values, (self.n_components, *values.shape))

    def restrict(self, full: Vector, resp_sum: Vector) -> Vector:
        """Weighted mean of the matrices."""
        return np.asarray(np.tensordot(resp_sum / resp_sum.sum(), full, axes=1))

    def rescale(self, values: Vector, factor: Vector) -> Vector:
        """Values after column j of the data was multiplied by ``factor[j]``."""
        return np.asarray(values * factor[:, None] * factor)

    def n_parameters(self) -> int:
        """``d (d + 1) / 2``."""
        return self.n_features * (self.n_features + 1) // 2

    def min_rows(self) -> float:
        """A mean is enough."""
        return 1.0

    def pack(self, covariance: Covariance) -> Vector:
        """Lower Cholesky factor with logarithms on the diagonal, flat."""
        return self.pack_matrices(covariance.values[None])

    def unpack(self, vector: Vector) -> Covariance:
        """Inverse of `pack`."""
        found = self.unpack_matrices(vector, 1)
        return Covariance(found.values[0], found.factors[0], found.log_det, None)


class Diagonal(Sized):
    """Every component has a diagonal covariance: (K, d)."""

    name = "diag"
    family = "diag"
    pooled = False
    isotropic = False

    def second_shape(self) -> Shape:
        """Squares by column: (K, d)."""
        return (self.n_components, self.n_features)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``second / N_k - shift^2``."""
        return self.finish(second / resp_sum[:, None] - shift * shift)

    def finish(self, values: Vector) -> Covariance:
        """Apply the floor to the variances and invert them."""
        floor = self.reg_covar * self.floor_var
        low = values < floor
        floored = None
        if low.any():
            values = np.maximum(values, floor)
            floored = low.sum(axis=1)
        factors = 1.0 / np.sqrt(values)
        return Covariance(values, factors, np.log(factors).sum(axis=1), floored)

    def expand(self, values: Vector) -> Vector:
        """Full matrices: (K, d, d)."""
        return np.asarray(values[:, :, None] * np.eye(self.n_features))

    def restrict(self, full: Vector, resp_sum: Vector) -> Vector:
        """Diagonals."""
        return np.array(np.diagonal(full, axis1=1, axis2=2))

    def rescale(self, values: Vector, factor: Vector) -> Vector:
        """Values after column j of the data was multiplied by ``factor[j]``."""
        return np.asarray(values * factor * factor)

    def n_parameters(self) -> int:
        """``K d``."""
        return self.n_components * self.n_features

    def min_rows(self) -> float:
        """Two rows have a variance."""
        return 2.0

    def pack(self, covariance: Covariance) -> Vector:
        """Logarithms of the standard deviations, flat."""
        return np.asarray(-np.log(covariance.factors).ravel())

    def unpack(self, vector: Vector) -> Covariance:
        """Inverse of `pack`."""
        with np.errstate(over="ignore"):
            values = np.exp(2.0 * vector).reshape(self.n_components, -1)
        if not np.isfinite(values).all():
            raise Infeasible("variances are not finite")
        return self.finish(values)


class Spherical(Sized):
    """Every component has one variance for all columns: (K,)."""

    name = "spherical"
    family = "spherical"
    pooled = False
    isotropic = True

    def second_shape(self) -> Shape:
        """Squared distances: (K,)."""
        return (self.n_components,)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``(second / N_k - |shift|^2) / d``."""
        return self.finish((second / resp_sum - (shift * shift).sum(axis=1)) / self.n_features)

    def finish(self, values: Vector) -> Covariance:
        """Apply the floor to the variances and invert them."""
        floor = self.reg_covar * self.floor_var.max()
        low = values < floor
        floored = None
        if low.any():
            values = np.maximum(values, floor)
            floored = low * self.n_features
        factors = 1.0 / np.sqrt(values)
        return Covariance(values, factors, self.n_features * np.log(factors), floored)

    def expand(self, values: Vector) -> Vector:
        """Full matrices: (K, d, d)."""
        return np.asarray(values[:, None, None] * np.eye(self.n_features))

    def restrict(self, full: Vector, resp_sum: Vector) -> Vector:
        """Mean of the diagonal."""
        return np.asarray(np.trace(full, axis1=1, axis2=2) / self.n_features)

    def rescale(self, values: Vector, factor: Vector) -> Vector:
        """Values after the data were multiplied by the same number in every column."""
        return np.asarray(values * factor[0] * factor[0])

    def n_parameters(self) -> int:
        """``K``."""
        return self.n_components

    def min_rows(self) -> float:
        """Two rows have a variance."""
        return 2.0

    def pack(self, covariance: Covariance) -> Vector:
        """Logarithms of the standard deviations: (K,)."""
        return np.asarray(-np.log(covariance.factors))

    def unpack(self, vector: Vector) -> Covariance:
        """Inverse of `pack`."""
        with np.errstate(over="ignore"):
            values = np.exp(2.0 * vector)
        if not np.isfinite(values).all():
            raise Infeasible("variances are not finite")
        return self.finish(values)


STRUCTURES: dict[str, type[Full] | type[Tied] | type[Diagonal] | type[Spherical]] = {
    kind.name: kind for kind in (Full, Tied, Diagonal, Spherical)
}
