"""Directions: the penalised minimum of a quadratic model of the loss on a working set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pyestim import _core
from pyestim.engine.stats import Vector
from pyestim.penalised.datafit_cox import Cox
from pyestim.penalised.gap import Evaluation
from pyestim.penalised.newton_gradients import SupportGradients, is_long
from pyestim.penalised.newton_support import DenseColumns, Model, SupportNewton
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
#: Cox: up to so many columns the exact Hessian is formed: those that are not zero, and those whose
#: slope is above this share of what holds them at zero.
MOST_EXACT_COLUMNS, NEAR = 1000, 0.8
#: Groups: passes in one model, whose curvature is a bound only.
GROUP_EPOCHS = 20
#: Groups: up to so many coefficients that are not zero Newton's method is used on them.
MOST_NEWTON_COEFFICIENTS = 600
#: Added to its matrix, relative, for directions without curvature.
FLAT = 1e-10
#: Rounds over the classes in one model.
MAX_ROUNDS = 20


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


def step_of(problem: Problem) -> Step:
    """Step for a family and a penalty."""
    if problem.penalty.grouped:
        return GroupStep()
    if problem.datafit.n_outputs > 1:
        return ClassStep()
    if isinstance(problem.datafit, Cox):
        return CoxStep(problem.datafit, problem.design.p)
    return RowStep(problem.design.p)


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


class RowStep:
    """One linear predictor: weighted least squares with the working residual.

    Parameters
    ----------
    n_columns : int
        p of the design.
    """

    name = "coordinate descent"

    def __init__(self, n_columns: int) -> None:
        self.support = SupportNewton(n_columns)

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
        curvature = raised(at.curvature, problem.datafit.weight)
        start = working_residual(at.gradient, curvature)
        design, own = problem.design, columns
        support: SupportNewton | SupportGradients = self.support
        if is_long(design, int(np.count_nonzero(at.beta[columns]))):
            design, own = design.select(columns), np.arange(columns.size)
            support = SupportGradients()
        model = Model(
            *(design, own, weights, curvature, start.copy(), at.beta[columns]),
            *(np.zeros(1), problem.fit_intercept),
        )
        self.minimise(problem, model, support, tolerance, settled)
        change = model.beta - at.beta[columns]
        return Direction(change, model.intercept, start - model.residual)

    @staticmethod
    def minimise(
        problem: Problem,
        model: Model,
        support: SupportNewton | SupportGradients,
        tolerance: float,
        settled: bool,
    ) -> None:
        """Few passes to find the support, Newton's method on it, and again until they agree."""

        def passes(most: int) -> float:
            return descend(
                *(problem, model.columns, model.weights, model.curvature, model.residual),
                *(model.beta, model.intercept, tolerance, most, model.design),
            )

        if not problem.penalty.convex:
            passes(MAX_EPOCHS)
            return
        # With the zeros in order already, the rest of the working set need not be read.
        if settled and support.step(model, tolerance):
            return
        for _ in range(MAX_TURNS):
            if passes(FEW_EPOCHS) <= tolerance:
                return
            support.step(model, tolerance)
        passes(MAX_EPOCHS)


class CoxStep:
    """Cox: the exact Hessian on the columns that may matter, a diagonal above it for too many.

    Parameters
    ----------
    datafit : Cox
        Of the problem.
    n_columns : int
        p of the design.
    """

    name = "coordinate descent"

    def __init__(self, datafit: Cox, n_columns: int) -> None:
        self.datafit = datafit
        self.diagonal = RowStep(n_columns)
        self.dense = DenseColumns()

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
        slope = problem.design.dot(at.gradient, columns)
        near = ~zeros(at.beta[columns]) | (pull(problem, slope, weights) >= NEAR * weights.l1)
        if not 0 < near.sum() <= MOST_EXACT_COLUMNS:
            return self.diagonal(problem, at, columns, weights, tolerance, settled)
        change = np.zeros(columns.size)
        exact = self.exact(problem, at, columns[near], weights.of(near), tolerance)
        change[near] = exact.beta
        return Direction(change, exact.intercept, exact.eta)

    def exact(
        self, problem: Problem, at: Evaluation, columns: Any, weights: Weights, tolerance: float
    ) -> Direction:
        """Minimum of the model with the exact Hessian."""
        X = self.dense(problem.design, columns)
        means = self.datafit.term_means(at.eta, X)
        gram = problem.design.gram(at.curvature, columns)
        gram -= means.T @ (self.datafit.mass[:, None] * means)
        start = at.beta[columns]
        beta = start.copy()
        _core.native.coordinate_descent_gram(
            _core.context(),
            np.ascontiguousarray(0.5 * (gram + gram.T)),
            gram @ start - X.T @ at.gradient,
            beta,
            weights.l1,
            weights.l2,
            weights.lower if problem.bounded else None,
            weights.upper if problem.bounded else None,
            tolerance,
            MAX_EPOCHS,
            problem.penalty.code,
            problem.penalty.parameter,
        )
        return Direction(beta - start, np.zeros(1), X @ (beta - start))


class ClassStep:
    """Several classes: the exact Hessian, minimised class by class."""

    name = "coordinate descent by classes"

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
        datafit, outputs = problem.datafit, problem.datafit.n_outputs
        beta = np.ascontiguousarray(at.beta[columns].T)
        intercept, change = np.zeros((outputs, 1)), np.zeros_like(at.eta)
        curvature = [raised(at.curvature[:, k], datafit.weight) for k in range(outputs)]
        added = at.curvature - datafit.quadratic(at.eta)[2]
        for _ in range(MAX_ROUNDS):
            largest = 0.0
            for k in range(outputs):
                gradient = at.gradient[:, k] + datafit.hessian_times(at.eta, change)[:, k]
                gradient = gradient + added[:, k] * change[:, k]
                start = working_residual(gradient, curvature[k])
                residual, before = start.copy(), beta[k].copy()
                descend(
                    *(problem, columns, weights, curvature[k], residual),
                    *(beta[k], intercept[k], tolerance),
                )
                moved = start - residual
                change[:, k] += moved
                largest = max(largest, float(np.abs(curvature[k] @ np.abs(moved))))
                if not np.any(before != beta[k]) and not moved.any():
                    continue
            if largest <= tolerance:
                break
        return Direction(beta.T - at.beta[columns], intercept[:, 0], change)


class GroupStep:
    """Groups of all classes: one curvature a row, above that of every class.

    That converges linearly. Once it leaves the set of groups as it is, Newton's method on them,
    where the penalty is smooth, takes over.
    """

    name = "coordinate descent by groups"

    def __init__(self) -> None:
        self.dense = DenseColumns()

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
        start = at.beta[columns]
        used = start.any(axis=1)
        # With the zeros in order already, the rest of the working set need not be read.
        smooth = self.newton(problem, at, columns, weights, used) if settled else None
        if smooth is not None:
            return smooth
        bounded = self.descend(problem, at, columns, weights, tolerance)
        if np.array_equal(used, (start + bounded.beta).any(axis=1)):
            smooth = self.newton(problem, at, columns, weights, used)
            if smooth is not None:
                return smooth
        return bounded

    def descend(
        self,
        problem: Problem,
        at: Evaluation,
        columns: Any,
        weights: Weights,
        tolerance: float,
    ) -> Direction:
        """Minimum of the model with the larger curvature."""
        # 2 p (1 - p) by Gershgorin and 1/2 everywhere: the largest eigenvalue of diag(p) - pp'.
        weight = problem.datafit.weight
        curvature = np.minimum(2.0 * at.curvature.max(axis=1), 0.5 * weight)
        curvature = raised(curvature, weight)
        by_class = np.ascontiguousarray(at.gradient.T)
        start = working_residual(by_class, np.broadcast_to(curvature, by_class.shape))
        residual, beta = start.copy(), np.ascontiguousarray(at.beta[columns].T)
        intercept = np.zeros(len(start))
        epochs = GROUP_EPOCHS
        descend(problem, columns, weights, curvature, residual, beta, intercept, tolerance, epochs)
        return Direction(beta.T - at.beta[columns], intercept, (start - residual).T)

    def newton(
        self, problem: Problem, at: Evaluation, columns: Any, weights: Weights, used: Any
    ) -> Direction | None:
        """Newton step in the groups that are not zero; None where one would turn around."""
        start, outputs = at.beta[columns][used], at.beta.shape[1]
        first = int(problem.fit_intercept)
        if not 0 < (first + len(start)) * outputs <= MOST_NEWTON_COEFFICIENTS:
            return None
        A = np.ones((problem.design.n, first + len(start)))
        A[:, first:] = self.dense(problem.design, columns[used])
        l1, l2 = weights.l1[used, None], weights.l2[used, None]
        size = np.linalg.norm(start, axis=1, keepdims=True)
        unit = start / size
        slope = A.T @ at.gradient
        slope[first:] += l1 * unit + l2 * start
        hessian = problem.datafit.reduced_hessian(at.eta, A)
        bent = l2[..., None] * np.eye(outputs)
        bent = bent + (l1 / size)[..., None] * (np.eye(outputs) - unit[:, :, None] * unit[:, None])
        for j, block in enumerate(bent, first):
            own = slice(j * outputs, (j + 1) * outputs)
            hessian[own, own] += block
        # Equal constants for all classes change nothing: there the slope is zero too.
        hessian[np.diag_indices_from(hessian)] += FLAT * float(np.trace(hessian)) / len(hessian)
        factor = cho_factor(hessian, lower=True, overwrite_a=True)
        step = cho_solve(factor, -slope.ravel()).reshape(-1, outputs)
        if np.any(np.sum((start + step[first:]) * start, axis=1) <= 0.0):
            return None
        beta = np.zeros((columns.size, outputs))
        beta[used] = step[first:]
        intercept = step[0] if first else np.zeros(outputs)
        return Direction(beta, intercept, A @ step)
