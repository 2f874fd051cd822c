"""Newton's method on the support of a model, by conjugate gradients with a factor kept for long.

Coordinate descent finds which coefficients are not zero in a few passes, and needs many to settle
their values. With the signs fixed the model is a linear system. Its matrix changes little along a
path, so that the Cholesky factor of an old one, on an old support, preconditions it well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import cholesky
from scipy.linalg.lapack import dpotrs, dtrtrs

from pyestim import _core
from pyestim.engine.stats import Vector
from pyestim.penalised.penalty import Weights

if TYPE_CHECKING:
    from pyestim.data.design import Design

#: Iterations of one solve; the factor is renewed after a solve that needed more than `MANY`.
MAX_ITERATIONS, MANY = 60, 5
#: Columns that are appended to a factor at once; it is renewed for more.
MOST_NEW = 64
#: Residuals end at this share of the tolerance.
SHARE = 0.3
#: Added to the diagonal of a factor, relative: duplicated columns have none.
JITTER = 1e-8


@dataclass
class Model:
    """``sum_i d_i r_i^2 / 2 + penalty`` on a working set, and where its solver is.

    Attributes
    ----------
    columns : ndarray of shape (m,)
        Working set.
    curvature, residual : ndarray of shape (n,)
        ``d`` and ``r``; with an intercept ``sum d r = 0``.
    beta : ndarray of shape (m,)
    intercept : ndarray of shape (1,)
        Change of the intercept since the start.
    free : bool
        Whether there is an intercept.
    """

    design: Design
    columns: Any
    weights: Weights
    curvature: Vector
    residual: Vector
    beta: Vector
    intercept: Vector
    free: bool

    def __post_init__(self) -> None:
        """Give the intercept its best value."""
        self.residual, mean = self.centred(self.residual)
        self.intercept -= mean

    def centred(self, change: Vector) -> tuple[Vector, float]:
        """Change of the linear predictor with the best intercept, and that intercept."""
        if not self.free:
            return change, 0.0
        mean = float(self.curvature @ change) / float(self.curvature.sum())
        return change - mean, -mean


def slope_of(model: Model) -> tuple[Any, Vector]:
    """Positions of the coefficients that are free to move, and the objective's slope in them."""
    w, beta = model.weights, model.beta
    used = np.flatnonzero((beta != 0.0) & (beta > w.lower) & (beta < w.upper))
    at = beta[used]
    slope = w.l1[used] * np.sign(at) + w.l2[used] * at
    return used, slope - model.design.dot(model.curvature * model.residual, model.columns[used])


class DenseColumns:
    """Columns as a matrix; those of the last call are at hand."""

    def __init__(self) -> None:
        self.columns: Any = np.zeros(0, dtype=np.int64)
        self.last = np.zeros((0, 0))

    def __call__(self, design: Design, columns: Any) -> Vector:
        """Columns whose numbers rise, (n, m)."""
        known = np.isin(columns, self.columns, assume_unique=True)
        X, one = np.empty((design.n, columns.size), order="F"), np.ones(1)
        for k in np.flatnonzero(~known):
            X[:, k] = design.times(one, columns[k : k + 1])
        if known.any():
            X[:, known] = self.last[:, np.searchsorted(self.columns, columns[known])]
        self.columns, self.last = columns, X
        return X


class SupportNewton:
    """Solves models along a path; remembers one factor.

    Parameters
    ----------
    n_columns : int
        p of the design.
    """

    def __init__(self, n_columns: int) -> None:
        self.place = np.full(n_columns, -1)  # of a column within the factor
        self.factor: Vector | None = None
        self.kept: Any = np.zeros(0, dtype=np.int64)
        self.curvature = np.zeros(0)
        self.jitter = 0.0
        self.tired = True

    def step(self, model: Model, tolerance: float) -> bool:
        """Move the coefficients that are not zero to their optimum; whether all signs stayed."""
        w, beta = model.weights, model.beta
        used, slope = slope_of(model)
        if not used.size:
            return False
        if np.abs(slope).max() <= tolerance:
            return True
        columns, at = model.columns[used], beta[used]
        with _core.single_threaded_blas():
            change, moved = self.solve(model, columns, w.l2[used], -slope, SHARE * tolerance)
        reach = self.reach(at, change, w.of(used))
        if reach < 1.0:
            change, moved = reach * change, reach * moved
        beta[used] = at + change
        if reach < 1.0:
            beta[used] = np.where(np.abs(beta[used]) <= 1e-15 * np.abs(at), 0.0, beta[used])
        moved, intercept = model.centred(moved)
        model.residual -= moved
        model.intercept += intercept
        return reach >= 1.0

    @staticmethod
    def reach(at: Vector, change: Vector, w: Weights) -> float:
        """Share of a step until the first coefficient is zero or at a bound; at most one."""
        target = np.where(change < 0, np.maximum(w.lower, np.where(at > 0, 0.0, -np.inf)), 0.0)
        target = np.where(change > 0, np.minimum(w.upper, np.where(at < 0, 0.0, np.inf)), target)
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = np.where(change != 0.0, (target - at) / change, np.inf)
        return float(min(1.0, shares.min()))

    def solve(
        self, model: Model, columns: Any, l2: Vector, right: Vector, tolerance: float
    ) -> tuple[Vector, Vector]:
        """Conjugate gradients: the change of the coefficients, and of the linear predictor."""
        self.prepare(model, columns, l2)
        change, moved = np.zeros_like(right), np.zeros(model.design.n)
        left = right.copy()
        z = self.precondition(columns, left)
        direction, square = z, float(left @ z)
        self.tired = True
        for iteration in range(MAX_ITERATIONS):
            along = model.design.times(direction, columns)
            bent = model.curvature * model.centred(along)[0]
            curved = model.design.dot(bent, columns) + l2 * direction
            total = float(direction @ curved)
            if not total > 0.0:
                break
            share = square / total
            change += share * direction
            moved += share * along
            left -= share * curved
            if np.abs(left).max() <= tolerance:
                self.tired = iteration >= MANY
                break
            z = self.precondition(columns, left)
            square, before = float(left @ z), square
            direction = z + (square / before) * direction
        return change, moved

    def renew(self, model: Model, columns: Any, l2: Vector) -> None:
        """Factor of the present matrix."""
        self.curvature, self.kept = model.curvature, columns
        gram = self.gram(model, columns, None)
        diagonal = np.einsum("ii->i", gram)
        self.jitter = JITTER * float(diagonal.mean())
        diagonal += l2 + self.jitter
        self.factor = cholesky(gram, lower=True, overwrite_a=True, check_finite=False)
        self.place[:] = -1
        self.place[columns] = np.arange(columns.size)

    def extend(self, model: Model, columns: Any, l2: Vector) -> None:
        """Append columns to the factor, as of when it was made."""
        assert self.factor is not None
        cross = self.gram(model, self.kept, columns)
        below = dtrtrs(self.factor, cross, lower=1)[0]
        corner = self.gram(model, columns, None) - below.T @ below
        corner[np.diag_indices_from(corner)] += l2 + self.jitter
        old, new = len(self.factor), columns.size
        factor = np.zeros((old + new, old + new), order="F")
        factor[:old, :old] = self.factor
        factor[old:, :old] = below.T
        factor[old:, old:] = cholesky(corner, lower=True, check_finite=False)
        self.factor, self.kept = factor, np.concatenate([self.kept, columns])
        self.place[columns] = np.arange(old, old + new)

    def gram(self, model: Model, left: Any, right: Any) -> Vector:
        """``X_left' D X_right`` with the curvatures of the factor, centred for an intercept."""
        design, d = model.design, self.curvature
        gram = design.gram(d, left, right)
        if model.free:
            sums = design.dot(d, left)
            gram -= np.outer(sums, sums if right is None else design.dot(d, right)) / d.sum()
        return gram

    def prepare(self, model: Model, columns: Any, l2: Vector) -> None:
        """Have a factor that knows these columns."""
        new = self.place[columns] < 0
        if self.tired or new.sum() > MOST_NEW:
            self.renew(model, columns, l2)
        elif new.any():
            try:
                self.extend(model, columns[new], l2[new])
            except np.linalg.LinAlgError:  # columns nearly in the span of the others
                self.renew(model, columns, l2)

    def precondition(self, columns: Any, vector: Vector) -> Vector:
        """Inverse of the old matrix, of which these columns are a part."""
        assert self.factor is not None
        place = self.place[columns]
        inside = np.zeros(len(self.factor))
        inside[place] = vector
        return np.asarray(dpotrs(self.factor, inside, lower=1)[0][place])
