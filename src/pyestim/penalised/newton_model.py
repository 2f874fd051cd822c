"""What the directions have in common: models of the loss, and passes of coordinate descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pyestim import _core
from pyestim.engine.stats import Vector
from pyestim.penalised import gram as products
from pyestim.penalised.gap import Evaluation
from pyestim.penalised.penalty import Weights
from pyestim.penalised.problem import Problem, pull

if TYPE_CHECKING:
    from pyestim.data.design import Design

#: Curvatures of rows below this share of the largest are raised to it: Newton's method would trust
#: the model too far there.
LEAST_CURVATURE = 1e-6
#: Passes of coordinate descent in one model; what is left is for the next model.
MAX_EPOCHS = 2000
#: Passes between two solves on the support, and how often they take turns.
FEW_EPOCHS, MAX_TURNS = 2, 30
#: Columns that may matter: those that are not zero, and those whose slope is above this share of
#: what holds them at zero.
NEAR = 0.8
#: Added to a matrix, relative, for directions without curvature.
FLAT = 1e-10


@dataclass(frozen=True)
class Direction:
    """Changes of the working set's coefficients, the intercepts, and the linear predictor."""

    beta: Vector
    intercept: Vector
    eta: Vector


class Step(Protocol):
    """Minimise a model around a point, to a violation of its conditions of about ``tolerance``.

    ``settled`` says that the coefficients which are zero meet their conditions at that point.
    """

    name: str

    def __call__(
        self,
        problem: Problem,
        at: Evaluation,
        columns: Any,
        weights: Weights,
        tolerance: float,
        settled: bool,
    ) -> Direction:
        """Direction from ``at``."""


def descend(
    problem: Problem,
    columns: Any,
    weights: Weights,
    curvature: Vector,
    residual: Vector,
    beta: Vector,
    intercept: Vector,
    tolerance: float,
    max_epochs: int = MAX_EPOCHS,
    design: Design | None = None,
) -> float:
    """Coordinate descent on ``sum d r^2 / 2 + penalty``, in place; the last pass's change."""
    _, change = _core.native.coordinate_descent(
        _core.context(),
        (design or problem.design).columns,
        columns,
        curvature,
        residual,
        beta,
        intercept if problem.fit_intercept else None,
        weights.l1,
        weights.l2,
        weights.lower if problem.bounded else None,
        weights.upper if problem.bounded else None,
        tolerance,
        max_epochs,
        problem.penalty.code,
        problem.penalty.parameter,
    )
    return change


def raised(curvature: Vector, weight: Vector) -> Vector:
    """Row curvatures with a floor; zero where the weight is zero."""
    least = LEAST_CURVATURE * float(curvature.max(initial=0.0))
    return np.where(weight > 0, np.maximum(curvature, least), 0.0)


def working_residual(gradient: Vector, curvature: Vector) -> Vector:
    """``-gradient / curvature``, zero for rows without either."""
    out = np.zeros_like(gradient)
    return np.divide(-gradient, curvature, out=out, where=curvature > 0)


def zeros(beta: Vector) -> Any:
    """Rows without a coefficient."""
    return beta == 0.0 if beta.ndim == 1 else ~beta.any(axis=1)


def near(problem: Problem, at: Evaluation, columns: Any, weights: Weights) -> Any:
    """Columns whose coefficients may change: a mask."""
    slope = problem.design.dot(at.gradient, columns)
    return ~zeros(at.beta[columns]) | (pull(problem, slope, weights) >= NEAR * weights.l1)


def descend_gram(
    problem: Problem,
    gram: Vector,
    linear: Vector,
    beta: Vector,
    weights: Weights,
    tolerance: float,
) -> None:
    """Minimise ``beta' gram beta / 2 - linear' beta + penalty``, in place.

    Few passes to find the support, Newton's method on it, and again until they agree.
    """

    def passes(most: int) -> float:
        _, change = _core.native.coordinate_descent_gram(
            *(_core.context(), gram, linear, beta, weights.l1, weights.l2),
            weights.lower if problem.bounded else None,
            weights.upper if problem.bounded else None,
            *(tolerance, most, problem.penalty.code, problem.penalty.parameter),
        )
        return change

    if problem.penalty.convex:
        for _ in range(MAX_TURNS):
            if passes(FEW_EPOCHS) <= tolerance:
                return
            products.newton_step(gram, linear - gram @ beta, beta, weights)
    passes(MAX_EPOCHS)
