"""Covariance structures of Gaussian components: one object per M-step.

Every structure maps centred second moments to covariances, subject to a relative floor: in
coordinates scaled by ``floor_sd`` no eigenvalue of a covariance is below ``reg_covar``.  The
floored estimate is the exact maximum under that constraint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Vector
from pyestim.models.kernels import factorise

#: Floor that remains when the user asks for none: below it a Cholesky factor has no digits.
SMALLEST_FLOOR = 1e-12


@dataclass(frozen=True, slots=True)
class Covariance:
    """Covariances with what the kernels need of them.

    Attributes
    ----------
    values : ndarray
        In the shape of the structure.
    factors : ndarray
        Inverse Cholesky factors or reciprocal standard deviations, as the kernels take them.
    log_det : ndarray of shape (K,) or ()
        Logarithm of the determinant of the factors.
    n_floored : ndarray of int of shape (K,), optional
        Directions of each component that sit on the floor; None when there is none.
    """

    values: Vector
    factors: Vector
    log_det: Vector
    n_floored: NDArray[np.int64] | None = None


class Structure(Protocol):
    """One way to share and restrict covariances among components."""

    name: str
    family: str  # of the kernels
    isotropic: bool  # whether columns are compared with each other

    def second_shape(self) -> Shape:
        """Shape of the statistic of second moments."""
        ...

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """Exact M-step.

        Parameters
        ----------
        resp_sum : ndarray of shape (K,)
            Positive.
        shift : ndarray of shape (K, d)
            New mean minus the mean at which ``second`` is centred.
        second : ndarray
        """
        ...

    def finish(self, values: Vector) -> Covariance:
        """Apply the floor to covariances and factorise them."""
        ...

    def expand(self, values: Vector) -> Vector:
        """Full matrices: (K, d, d)."""
        ...

    def restrict(self, full: Vector, resp_sum: Vector) -> Vector:
        """Nearest values of this structure to full matrices (K, d, d)."""
        ...

    def rescale(self, values: Vector, factor: Vector) -> Vector:
        """Values after column j of the data was multiplied by ``factor[j]``."""
        ...

    def choose(self, values: Vector, old: Vector, dead: NDArray[np.bool_]) -> Vector:
        """Take ``old`` where a component is dead."""
        ...

    def n_parameters(self) -> int:
        """Free parameters."""
        ...

    def min_rows(self) -> float:
        """Rows that a component needs for its covariance to be regular."""
        ...

    def pack(self, covariance: Covariance) -> Vector:
        """Coordinates that accept any value: logarithms of the diagonal of the factor."""
        ...

    def unpack(self, vector: Vector) -> Covariance:
        """Inverse of `pack`."""
        ...


class _Shared:
    """What all structures know: sizes and the floor."""

    def __init__(
        self, n_components: int, n_features: int, floor_sd: Vector, reg_covar: float
    ) -> None:
        self.n_components = n_components
        self.n_features = n_features
        self.floor_sd = floor_sd
        self.floor_var = floor_sd * floor_sd
        self.reg_covar = max(reg_covar, SMALLEST_FLOOR)

    @cached_property
    def packed_index(self) -> NDArray[np.intp]:
        """Place of entry (i, j) in the packed lower triangle: (d, d)."""
        i, j = np.indices((self.n_features, self.n_features))
        low, high = np.minimum(i, j), np.maximum(i, j)
        return np.asarray(high * (high + 1) // 2 + low)

    @cached_property
    def lower(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the lower triangle, in packed order."""
        rows, columns = np.tril_indices(self.n_features)
        return rows, columns

    @cached_property
    def diagonal(self) -> NDArray[np.intp]:
        """Places of the diagonal in the packed lower triangle: (d,)."""
        i = np.arange(self.n_features)
        return np.asarray(i * (i + 3) // 2)


class _Matrices(_Shared):
    """Structures whose covariances are general symmetric matrices (B, d, d)."""

    isotropic = False

    def finish_matrices(self, matrices: Vector) -> Covariance:
        """Factorise and, where a matrix may lie below the floor, look closer."""
        factors, log_det, fine = factorise(matrices)
        if fine:
            # sum_j floor_var_j |F e_j|^2 = tr(D S^-1) bounds the inverse of the least eigenvalue.
            size = len(matrices)
            weighted = (factors * factors).reshape(size, -1) @ self._tiled_floor
            if weighted.max() * self.reg_covar <= 1.0:
                return Covariance(matrices, factors, log_det)
        return self._floored(matrices)

    @cached_property
    def _tiled_floor(self) -> Vector:
        return np.tile(self.floor_var, self.n_features)

    def _floored(self, matrices: Vector) -> Covariance:
        """Raise small eigenvalues to the floor, in coordinates scaled by ``floor_sd``."""
        if not np.isfinite(matrices).all():
            raise Infeasible("covariances are not finite")
        outer = np.multiply.outer(self.floor_sd, self.floor_sd)
        scaled = matrices / outer
        values, vectors = np.linalg.eigh(scaled)
        # A cluster of floored eigenvalues is known to rounding of the largest one only.
        low = values < self.reg_covar * (1.0 - 1e-9)
        raised = np.maximum(values, np.maximum(self.reg_covar, 1e-15 * values[:, -1:]))
        changed = low.any(axis=1)
        rebuilt = np.einsum("bij,bj,bkj->bik", vectors, raised, vectors)
        scaled = np.where(changed[:, None, None], rebuilt, scaled)
        factors, log_det, fine = factorise(np.ascontiguousarray(scaled))
        if not fine:
            raise Infeasible("covariances are not positive definite")
        return Covariance(
            scaled * outer,
            np.ascontiguousarray(factors / self.floor_sd),
            log_det - np.log(self.floor_sd).sum(),
            low.sum(axis=1) if changed.any() else None,
        )

    def pack_matrices(self, matrices: Vector) -> Vector:
        """Lower Cholesky factors with logarithms on the diagonal, flat."""
        rows, columns = self.lower
        packed = np.linalg.cholesky(matrices)[:, rows, columns]
        packed[:, self.diagonal] = np.log(packed[:, self.diagonal])
        return np.asarray(packed.ravel())

    def unpack_matrices(self, vector: Vector, size: int) -> Covariance:
        """Inverse of `pack_matrices`."""
        rows, columns = self.lower
        packed = vector.reshape(size, -1).copy()
        with np.errstate(over="ignore", invalid="ignore"):
            packed[:, self.diagonal] = np.exp(packed[:, self.diagonal])
            lower = np.zeros((size, self.n_features, self.n_features))
            lower[:, rows, columns] = packed
            return self.finish_matrices(lower @ lower.transpose(0, 2, 1))


class Full(_Matrices):
    """Every component has a covariance of its own: (K, d, d)."""

    name = "full"
    family = "full"

    def second_shape(self) -> Shape:
        """Packed lower triangles: (K, P)."""
        return (self.n_components, self.n_features * (self.n_features + 1) // 2)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``second / N_k - shift shift'``."""
        values = np.take(second / resp_sum[:, None], self.packed_index, axis=1)
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

    def choose(self, values: Vector, old: Vector, dead: NDArray[np.bool_]) -> Vector:
        """Take ``old`` where a component is dead."""
        return np.where(dead[:, None, None], old, values)

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


class Tied(_Matrices):
    """All components share one covariance: (d, d)."""

    name = "tied"
    family = "tied"

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

    def choose(self, values: Vector, old: Vector, dead: NDArray[np.bool_]) -> Vector:
        """Dead components left no trace in the shared matrix."""
        return old if dead.all() else values

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


class Diagonal(_Shared):
    """Every component has a diagonal covariance: (K, d)."""

    name = "diag"
    family = "diag"
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

    def choose(self, values: Vector, old: Vector, dead: NDArray[np.bool_]) -> Vector:
        """Take ``old`` where a component is dead."""
        return np.where(dead[:, None], old, values)

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


class Spherical(_Shared):
    """Every component has one variance for all columns: (K,)."""

    name = "spherical"
    family = "spherical"
    isotropic = True

    def second_shape(self) -> Shape:
        """Squared distances: (K,)."""
        return (self.n_components,)

    def estimate(self, resp_sum: Vector, shift: Vector, second: Vector) -> Covariance:
        """``(second / N_k - |shift|^2) / d``."""
        return self.finish(
            (second / resp_sum - (shift * shift).sum(axis=1)) / self.n_features
        )

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

    def choose(self, values: Vector, old: Vector, dead: NDArray[np.bool_]) -> Vector:
        """Take ``old`` where a component is dead."""
        return np.where(dead, old, values)

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
