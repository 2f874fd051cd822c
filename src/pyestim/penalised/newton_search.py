"""How far to go along a direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.penalised.gap import Evaluation, evaluate
from pyestim.penalised.newton_model import Direction
from pyestim.penalised.problem import Problem

#: Armijo's share of the expected decrease; halvings of a step.
ARMIJO, MAX_HALVINGS = 1e-4, 40
#: Rounding of the objective, relative; a decrease expected below so many of it cannot be seen, and
#: then the step counts if it lowers the gap.
ROUNDING, UNSEEN = 2e-15, 100.0


def objective_of(problem: Problem, at: Evaluation) -> float:
    """Mean loss and penalty."""
    return at.value + problem.penalty_value(at.beta, problem.weights)


def line_search(
    problem: Problem, at: Evaluation, columns: Any, direction: Direction
) -> Evaluation | None:
    """Largest halving of the step that lowers the objective enough; None where none does."""
    weights = problem.weights.of(columns)
    start, change = at.beta[columns], direction.beta
    charged = problem.penalty_value(start, weights)
    slope = float(np.vdot(at.gradient, direction.eta))
    slope += problem.penalty_value(start + change, weights) - charged
    objective, slope = at.value + charged, min(slope, 0.0)
    rounding = ROUNDING * max(1.0, abs(objective))
    share = 1.0
    for _ in range(MAX_HALVINGS):
        beta = at.beta.copy()
        beta[columns] = start + share * change
        eta = at.eta + share * direction.eta
        intercept = at.intercept + share * direction.intercept
        trial = evaluate(problem, beta, intercept, eta)
        reached = trial.value + problem.penalty_value(beta[columns], weights)
        if reached < objective and reached <= objective + ARMIJO * share * slope:
            return trial
        if -slope <= UNSEEN * rounding and reached <= objective + rounding:
            return trial
        share *= 0.5
    return None
