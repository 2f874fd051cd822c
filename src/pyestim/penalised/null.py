"""The model without its penalised part: intercepts and unpenalised columns, by Newton steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.engine.stats import Vector

if TYPE_CHECKING:
    from pyestim.penalised.problem import Problem

MAX_STEPS = 200
MAX_HALVINGS = 60
#: A decrement (twice the gain a Newton step expects) this small, relative to the loss, is rounding.
ROUNDING = 1e-15
#: Newton's method converges quadratically: a last step that moved a linear predictor by more than
#: this went along a direction whose curvature vanishes, towards infinity.
RUNAWAY = 0.5


@dataclass(frozen=True)
class NullFit:
    """Best model without the penalised columns.

    Attributes
    ----------
    intercept : ndarray of shape (K,)
    columns : ndarray of int
        Unpenalised columns.
    beta : ndarray of shape (len(columns), K)
    eta : ndarray of shape (n,) or (n, K)
        Linear predictor, offset included.
    value : float
        Mean loss.
    """

    intercept: Vector
    columns: Any
    beta: Vector
    eta: Vector
    value: float


def basis(problem: Problem, columns: Any) -> Vector:
    """Dense matrix of the constant, if there is an intercept, and of some columns: (n, m)."""
    parts = [np.ones(problem.design.n)] if problem.fit_intercept else []
    one = np.ones(1)
    parts += [problem.design.times(one, np.array([j])) for j in columns]
    return np.stack(parts, axis=1) if parts else np.zeros((problem.design.n, 0))


def reduced_hessian(problem: Problem, eta: Vector, A: Vector) -> Vector:
    """Exact Hessian of the datafit in the coefficients of ``A``, for all outputs: (mK, mK)."""
    outputs, m = problem.datafit.n_outputs, A.shape[1]
    if problem.datafit.row_wise:
        hessian = np.empty((m, outputs, m, outputs))
        for k in range(outputs):
            one = np.zeros_like(eta)
            one.reshape(-1, outputs)[:, k] = 1.0
            curved = problem.datafit.hessian_times(eta, one).reshape(-1, outputs)
            for other in range(outputs):
                hessian[:, k, :, other] = A.T @ (curved[:, other, None] * A)
        return hessian.reshape(m * outputs, m * outputs)
    rows = []
    rows = [A.T @ problem.datafit.hessian_times(eta, column) for column in A.T]
    return np.stack(rows) if rows else np.zeros((0, 0))


def solve_symmetric(matrix: Vector, right: Vector) -> Vector:
    """Least-norm solution: directions without curvature (duplicated columns) rest."""
    return np.asarray(np.linalg.lstsq(matrix, right, rcond=1e-13)[0])


def fit_null(problem: Problem) -> NullFit:
    """Minimise over intercepts and unpenalised columns.

    Raises
    ------
    ValueError
        If there is no minimum: one class only, no event, separated classes.
    """
    datafit, columns = problem.datafit, problem.unpenalised
    if problem.fit_intercept and (impossible := datafit.impossible_null()):
        raise ValueError(impossible)
    A = basis(problem, columns)
    coefficients = np.zeros((A.shape[1], datafit.n_outputs))
    if problem.fit_intercept:
        coefficients[0] = datafit.start(problem.offset)
    if A.shape[1]:
        coefficients = newton(problem, A, coefficients)
    eta = predictor(problem, A, coefficients)
    first = int(problem.fit_intercept)
    intercept = coefficients[0] if first else np.zeros(datafit.n_outputs)
    return NullFit(intercept, columns, coefficients[first:], eta, datafit.value(eta))


def predictor(problem: Problem, A: Vector, coefficients: Vector) -> Vector:
    """Linear predictor in the shape that the datafit takes."""
    eta = A @ coefficients
    eta = eta[:, 0] if problem.datafit.n_outputs == 1 else eta
    return eta if problem.offset is None else eta + problem.offset


def newton(problem: Problem, A: Vector, coefficients: Vector) -> Vector:
    """Newton steps, halved until the loss falls; bounds by steps in the free coefficients."""
    datafit = problem.datafit
    low, high = limits(problem, coefficients)
    eta = predictor(problem, A, coefficients)
    value, moved = datafit.value(eta), 0.0
    for _ in range(MAX_STEPS):
        gradient = (A.T @ datafit.gradient(eta)).reshape(coefficients.shape)
        step = newton_step(reduced_hessian(problem, eta, A), gradient, coefficients, low, high)
        if -np.vdot(gradient, step) <= ROUNDING * max(1.0, abs(value)):
            break
        for halving in range(MAX_HALVINGS):
            trial = np.clip(coefficients + 0.5**halving * step, low, high)
            trial_eta = predictor(problem, A, trial)
            trial_value = datafit.value(trial_eta)
            if trial_value < value:
                break
        else:
            break  # the loss cannot be resolved any further
        moved = float(np.abs(trial_eta - eta).max())
        coefficients, eta, value = trial, trial_eta, trial_value
    if moved > RUNAWAY and datafit.name != "gaussian":
        raise ValueError(no_maximum(problem))
    return coefficients


def newton_step(
    matrix: Vector, gradient: Vector, coefficients: Vector, low: Vector, high: Vector
) -> Vector:
    """Newton step of the coefficients that no bound holds back."""
    held = (coefficients <= low) & (gradient > 0) | (coefficients >= high) & (gradient < 0)
    while True:
        keep = np.flatnonzero(~held.ravel())
        step = np.zeros(coefficients.shape)
        right = -gradient.ravel()[keep]
        step.ravel()[keep] = solve_symmetric(matrix[np.ix_(keep, keep)], right)
        outwards = (coefficients <= low) & (step < 0) | (coefficients >= high) & (step > 0)
        if not outwards.any():
            return step
        held |= outwards


def limits(problem: Problem, coefficients: Vector) -> tuple[Vector, Vector]:
    """Bounds of the coefficients of ``A``, in their shape."""
    low, high = np.full(coefficients.shape, -np.inf), np.full(coefficients.shape, np.inf)
    first = int(problem.fit_intercept)
    low[first:] = problem.weights.lower[problem.unpenalised, None]
    high[first:] = problem.weights.upper[problem.unpenalised, None]
    return low, high


def no_maximum(problem: Problem) -> str:
    """Sentence about an unpenalised likelihood without a maximum."""
    return (
        f"family={problem.datafit.name!r}: the unpenalised columns fit the responses perfectly "
        "(separable data), so that their likelihood has no maximum; penalise them or drop them."
    )
