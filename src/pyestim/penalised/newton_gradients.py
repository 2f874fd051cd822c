"""Newton's method on a long support of sparse columns, by conjugate gradients alone.

A factor of the support's matrix costs the cube of its size; a product with it as many operations as
the columns have entries. While the support is still wrong its equations are solved roughly, because
signs will change, and what changes sign stops at zero: hundreds of coefficients may leave at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised.newton_support import SHARE, Model, SupportNewton, slope_of
from pyestim.penalised.penalty import Weights

if TYPE_CHECKING:
    from pyestim.data.design import Design

#: A support this many times as long as its columns have entries is solved without a factor.
LONG = 16
#: Iterations of one solve.
MAX_ITERATIONS = 500
#: A solve ends at this share of the slope it began with.
ROUGH = 0.5
#: Shares of a step that are tried where signs would change.
SHARES = (1.0, 0.5, 0.25, 0.1)


def is_long(design: Design, n_used: int) -> bool:
    """Whether a support of this size is one for this module."""
    return design.is_sparse and n_used > LONG * design.entries_per_column


class SupportGradients:
    """Rough steps on the support of a model."""

    def step(self, model: Model, tolerance: float) -> bool:
        """Move the coefficients that are not zero; whether they came to their optimum."""
        used, slope = slope_of(model)
        if not used.size:
            return False
        size = float(np.abs(slope).max())
        if size <= tolerance:
            return True
        columns, w, at = model.columns[used], model.weights.of(used), model.beta[used]
        end = max(SHARE * tolerance, ROUGH * size)
        change = conjugate_gradients(model, columns, w.l2, -slope, end)
        kept = SupportNewton.reach(at, change, w) >= 1.0
        return self.move(model, used, change, w) and kept and end <= tolerance

    def move(self, model: Model, used: Any, change: Vector, w: Weights) -> bool:
        """Go as far as the objective falls; whether it was all the way."""
        at, columns = model.beta[used], model.columns[used]
        before = objective(model, model.residual, at, w)
        for share in SHARES:
            to = within_signs(at, at + share * change, w)
            along, intercept = model.centred(model.design.times(to - at, columns))
            residual = model.residual - along
            if objective(model, residual, to, w) < before:
                model.beta[used], model.residual = to, residual
                model.intercept += intercept
                return share == 1.0
        return False


def within_signs(at: Vector, to: Vector, w: Weights) -> Vector:
    """Coefficients that do not leave their bounds, nor their sign."""
    return np.clip(np.where(to * at > 0, to, 0.0), w.lower, w.upper)


def objective(model: Model, residual: Vector, beta: Vector, w: Weights) -> float:
    """Value of the model at coefficients of its support."""
    size = np.abs(beta)
    loss = 0.5 * float(residual @ (model.curvature * residual))
    return loss + float(size @ (w.l1 + 0.5 * w.l2 * size))


def conjugate_gradients(
    model: Model, columns: Any, l2: Vector, right: Vector, tolerance: float
) -> Vector:
    """Solve the support's equations until no residual is above ``tolerance``; Jacobi's scaling."""
    design, curvature = model.design, model.curvature
    own = design.select(columns)
    scale = own.column_squares(curvature) + l2
    change, left = np.zeros_like(right), right.copy()
    direction = left / scale
    square = float(left @ direction)
    for _ in range(MAX_ITERATIONS):
        bent = curvature * model.centred(own.times(direction))[0]
        curved = own.dot(bent) + l2 * direction
        total = float(direction @ curved)
        if not total > 0.0:
            break
        share = square / total
        change += share * direction
        left -= share * curved
        if np.abs(left).max() <= tolerance:
            break
        z = left / scale
        square, before = float(left @ z), square
        direction = z + (square / before) * direction
    return change
