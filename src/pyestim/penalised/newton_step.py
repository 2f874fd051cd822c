"""Directions: the penalised minimum of a quadratic model of the loss on a working set."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.penalised.datafit_cox import Cox
from pyestim.penalised.gap import Evaluation
from pyestim.penalised.newton_classes import ClassStep, GroupStep
from pyestim.penalised.newton_gradients import SupportGradients, is_long
from pyestim.penalised.newton_model import (
    FEW_EPOCHS,
    MAX_EPOCHS,
    MAX_TURNS,
    Direction,
    Step,
    descend,
    descend_gram,
    near,
    raised,
    working_residual,
)
from pyestim.penalised.newton_support import DenseColumns, Model, SupportNewton
from pyestim.penalised.penalty import Weights
from pyestim.penalised.problem import Problem

#: Cox: up to so many columns that may matter the exact Hessian is formed.
MOST_EXACT_COLUMNS = 1000


def step_of(problem: Problem) -> Step:
    """Step for a family and a penalty."""
    if problem.penalty.grouped:
        return GroupStep()
    if problem.datafit.n_outputs > 1:
        return ClassStep()
    if isinstance(problem.datafit, Cox):
        return CoxStep(problem.datafit, problem.design.p)
    return RowStep(problem.design.p)


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
        matter = near(problem, at, columns, weights)
        if not 0 < matter.sum() <= MOST_EXACT_COLUMNS:
            return self.diagonal(problem, at, columns, weights, tolerance, settled)
        change = np.zeros(columns.size)
        exact = self.exact(problem, at, columns[matter], weights.of(matter), tolerance)
        change[matter] = exact.beta
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
        gram = np.ascontiguousarray(0.5 * (gram + gram.T))
        linear = gram @ start - X.T @ at.gradient
        descend_gram(problem, gram, linear, beta, weights, tolerance)
        return Direction(beta - start, np.zeros(1), X @ (beta - start))
