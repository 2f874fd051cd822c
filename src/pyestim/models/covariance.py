"""Covariance structures of Gaussian components: one object per M-step.

Every structure maps centred second moments to covariances, subject to a relative floor: in
coordinates scaled by ``floor_sd`` no eigenvalue of a covariance is below ``reg_covar``.  The
floored estimate is the exact maximum under that constraint.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Vector
from pyestim.models.kernels import factorise

#: Floor that remains when the user asks for none: below it a Cholesky factor has no digits.
SMALLEST_FLOOR = 1e-12
#: Eigenvalues below this share of the largest one, times d, are rounding: no factor survives them.
RESOLVED = 4e-15


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
    pooled: bool  # whether all components share what is estimated

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


class Sized:
    """What all structures know: sizes and the floor."""

    def __init__(
        self, n_components: int, n_features: int, floor_sd: Vector, reg_covar: float
    ) -> None:
        self.n_components = n_components
        self.n_features = n_features
        self.floor_sd = floor_sd
        self.floor_var = floor_sd * floor_sd
        self.reg_covar = max(reg_covar, SMALLEST_FLOOR)

    @property
    def packed_index(self) -> NDArray[np.intp]:
        """Place of entry (i, j) in the packed lower triangle: (d, d)."""
        return _triangle(self.n_features).packed_index

    @property
    def lower(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the lower triangle, in packed order."""
        return _triangle(self.n_features).lower

    @property
    def diagonal(self) -> NDArray[np.intp]:
        """Places of the diagonal in the packed lower triangle: (d,)."""
        return _triangle(self.n_features).diagonal


class _Triangle(NamedTuple):
    """Where the entries of a symmetric matrix are in its packed lower triangle."""

    packed_index: NDArray[np.intp]
    lower: tuple[NDArray[np.intp], NDArray[np.intp]]
    diagonal: NDArray[np.intp]


@lru_cache(maxsize=16)
def _triangle(d: int) -> _Triangle:
    """Made once for each size, because a small fit takes hardly longer."""
    i, j = np.indices((d, d))
    low, high = np.minimum(i, j), np.maximum(i, j)
    rows, columns = np.tril_indices(d)
    each = np.arange(d)
    return _Triangle(high * (high + 1) // 2 + low, (rows, columns), each * (each + 3) // 2)


class Matrices(Sized):
    """Structures whose covariances are general symmetric matrices (B, d, d)."""

    isotropic = False

    def finish_matrices(self, matrices: Vector) -> Covariance:
        """Factorise and, where a matrix may lie below the floor, look closer."""
        factors, log_det, fine = factorise(matrices)
        if fine:
            # sum_j floor_var_j |F e_j|^2 = tr(D S^-1) bounds the inverse of the least eigenvalue.
            size = len(matrices)
            weighted = (factors * factors).reshape(size, -1) @ self._tiled_floor
            if np.maximum.reduce(weighted) * self.reg_covar <= 1.0:
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
        # Small eigenvalues are known to rounding of the largest one only.
        floor = np.maximum(self.reg_covar, RESOLVED * self.n_features * values[:, -1:])
        low: NDArray[np.bool_] = np.asarray(values < floor * (1.0 - 1e-9))
        raised = np.maximum(values, floor)
        changed: NDArray[np.bool_] = np.asarray(low.any(axis=1))
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
        if self.n_features == 1:
            return np.asarray(0.5 * np.log(matrices.ravel()))
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
