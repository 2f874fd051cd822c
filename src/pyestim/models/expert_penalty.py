"""Elastic-net penalties of linear predictors, and the monotone steps under them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.models import kernels
from pyestim.models.monotone import solve_normal, step_length
from pyestim.models.packing import unpacked

#: Coordinate descent ends where no coordinate moves a gradient by more than this share.
DESCENT_TOL = 1e-13


@dataclass(frozen=True)
class Penalty:
    """``sum_j l1_j |b_j| + l2_j b_j^2 / 2``, per unit weight, in working coordinates.

    Attributes
    ----------
    l1, l2 : ndarray of shape (1 + p,)
        Zero for the intercept, which comes first.
    """

    l1: Vector
    l2: Vector

    @cached_property
    def sparse(self) -> bool:
        """Whether coefficients may become exactly zero."""
        return bool(np.any(self.l1))

    @cached_property
    def absent(self) -> bool:
        """Whether nothing is penalised."""
        return not (self.sparse or np.any(self.l2))

    def value(self, coef: Vector) -> float:
        """Penalty of coefficients (..., 1 + p)."""
        flat = coef.reshape(-1, len(self.l1))
        total = float(np.add.reduce(np.abs(flat) @ self.l1))
        if self._quadratic:
            total += 0.5 * float(np.add.reduce((flat * flat) @ self.l2))
        return total

    @cached_property
    def _quadratic(self) -> bool:
        return bool(np.any(self.l2))

    def repeated(self, times: int) -> Penalty:
        """Return the penalty of several predictors in one flat vector."""
        return Penalty(np.tile(self.l1, times), np.tile(self.l2, times))


def unpenalised(n_columns: int) -> Penalty:
    """No penalty on an intercept and ``n_columns`` slopes."""
    zero = np.zeros(1 + n_columns)
    return Penalty(zero, zero)


def make_penalty(unit: Vector, spread: Vector, l1: float, l2: float) -> Penalty:
    """Return a penalty that is meant in other units than those of working coordinates.

    Parameters
    ----------
    unit, spread : ndarray of shape (p,)
        What l1 and l2 are meant for is the slope of working coordinates times these.
    l1, l2 : float
    """
    return Penalty(
        np.concatenate([[0.0], l1 * unit]), np.concatenate([[0.0], l2 * spread * spread])
    )


def descend(gram: Vector, linear: Vector, coef: Vector, l1: Vector, l2: Vector) -> Vector:
    """Minimise ``b' gram b / 2 - linear' b + sum l1 |b| + l2 b^2 / 2`` from ``coef`` on.

    Descent alone, without the certificate of `penalised.gram.solve_gram`: an M-step begins next to
    its solution, where the duality gap of that costs 7 to 40 times as much as the descent.
    """
    tol = DESCENT_TOL * float(np.abs(linear).max(initial=0.0))
    return kernels.descend_gram(gram, linear, coef, l1, l2, tol)


def newton_step(
    coef: Vector,
    score: Vector,
    curvature: Vector,
    penalty: Penalty,
    weight: float,
    reach: Callable[[Vector], float],
) -> tuple[Vector, float]:
    """One proximal Newton step that never descends, and what it gains at least.

    Parameters
    ----------
    coef, score : ndarray of shape (B,)
        Flat coefficients and the gradient of the log-likelihood in them.
    curvature : ndarray of shape (B (B + 1) / 2,)
        Minus its second derivative, packed.
    penalty : Penalty
        Per unit weight, of the flat coefficients.
    weight : float
        Sum of the weights of all rows.
    reach : callable
        Bound on the change of the linear predictors along a direction (`monotone`).
    """
    if penalty.sparse:
        targets, gains = kernels.lasso_steps(
            curvature[None], score[None], coef[None], penalty.l1, penalty.l2, weight, DESCENT_TOL
        )
        (target,), ((gain, curve),) = targets, gains.tolist()
        direction = target - coef
        t, least = step_length(gain, curve, reach(direction))
        return (target if t == 1.0 else coef + t * direction), least
    ridge, matrix = weight * penalty.l2, unpacked(curvature)
    if ridge.any():
        matrix = matrix + np.diag(ridge)
    slope = score - ridge * coef
    direction = solve_normal(matrix, slope[:, None])[:, 0]
    gain, curve = float(slope @ direction), float(direction @ matrix @ direction)
    t, least = step_length(gain, curve, reach(direction))
    return coef + t * direction, least
