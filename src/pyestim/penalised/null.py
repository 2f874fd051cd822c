"""The model without its penalised part: intercepts and unpenalised columns, by Newton steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import eigh
from scipy.linalg.lapack import dpotrf, dpotrs

from pyestim.engine.stats import Vector

if TYPE_CHECKING:
    from pyestim.penalised.problem import Problem

MAX_STEPS = 200
MAX_HALVINGS = 60
#: A decrement (twice the gain a Newton step expects) this small, relative to the loss, is rounding.
ROUNDING = 1e-15
#: Squared pivot from which Cholesky's factor is trusted; relative eigenvalue that counts as zero.
LEAST_PIVOT, FLAT = 1e-10, 1e-13
#: A likelihood without a maximum sends predictors farther apart than `AFAR`, and does not fall
#: when they go on by `FARTHER`: by more than this share, which rounding and the steps of what
#: converges are far below, and the weight of a row is far above.
AFAR, FARTHER, RISE = 15.0, 30.0, 1e-10


class NoMaximum(ValueError):
    """An unpenalised likelihood without a maximum."""


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
    first, one = int(problem.fit_intercept), np.ones(1)
    A = np.ones((problem.design.n, first + len(columns)), order="F")
    for k, j in enumerate(columns, first):
        A[:, k] = problem.design.times(one, np.array([j]))
    return A


def solve_symmetric(matrix: Vector, right: Vector, outputs: int = 1) -> Vector:
    """Solution for a matrix that is not indefinite; directions without curvature rest.

    Columns may differ in scale by many orders, so that the diagonal is made one first. Where
    Cholesky's pivots say that columns are nearly in the span of others, the spectrum decides.
    With several ``outputs`` of each column, all of them together are such a direction.
    """
    if outputs > 1:
        matrix = matrix.copy()
        for first in range(0, len(matrix), outputs):
            block = matrix[first : first + outputs, first : first + outputs]
            block += np.trace(block) / outputs**2
    diagonal = np.maximum(np.einsum("ii->i", matrix), 0.0)
    scale = np.divide(1.0, np.sqrt(diagonal), out=np.zeros_like(diagonal), where=diagonal > 0)
    scaled = matrix * scale[:, None] * scale
    factor, failed = dpotrf(scaled, lower=1)
    if not failed and np.einsum("ii->i", factor).min(initial=1.0) ** 2 > LEAST_PIVOT:
        return np.asarray(scale * dpotrs(factor, scale * right, lower=1)[0])
    size, axes = eigh(scaled)
    turned = np.where(size > FLAT * size[-1], axes.T @ (scale * right), 0.0)
    return np.asarray(scale * (axes @ (turned / np.where(size > FLAT * size[-1], size, 1.0))))


def fit_null(problem: Problem) -> NullFit:
    """Minimise over intercepts and unpenalised columns.

    Raises
    ------
    NoMaximum
        If there is no minimum: one class only, no event, separated classes.
    """
    datafit, columns = problem.datafit, problem.unpenalised
    if problem.fit_intercept and (impossible := datafit.impossible_null()):
        raise NoMaximum(impossible)
    A = problem.free_columns
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
    eta = start = predictor(problem, A, coefficients)
    value, trail = datafit.value(eta), [coefficients]
    for _ in range(MAX_STEPS):
        gradient = (A.T @ datafit.gradient(eta)).reshape(coefficients.shape)
        step = newton_step(datafit.reduced_hessian(eta, A), gradient, coefficients, low, high)
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
        trail.append(trial)
        coefficients, eta, value = trial, trial_eta, trial_value
    if datafit.name != "gaussian" and np.ptp(eta - start) > AFAR:
        # By half way all that converges has done so; the last steps may end in rounding.
        for before in (trail[len(trail) // 2], trail[-2]):
            if no_rise(problem, A, coefficients, coefficients - before):
                raise NoMaximum(no_maximum(problem))
    return coefficients


def no_rise(problem: Problem, A: Vector, coefficients: Vector, way: Vector) -> bool:
    """Whether the loss does not rise far along a way: then it has no minimum."""
    low, high = limits(problem, coefficients)
    reach = np.ptp(A @ way, axis=0).max()
    trial = coefficients + (FARTHER / reach if reach > 0 else 0.0) * way
    if np.any(trial < low) or np.any(trial > high):
        return False
    here, there = (problem.datafit.value(predictor(problem, A, c)) for c in (coefficients, trial))
    return there <= here + RISE * max(1.0, abs(here))


def newton_step(
    matrix: Vector, gradient: Vector, coefficients: Vector, low: Vector, high: Vector
) -> Vector:
    """Newton step of the coefficients that no bound holds back."""
    held = (coefficients <= low) & (gradient > 0) | (coefficients >= high) & (gradient < 0)
    while True:
        keep = np.flatnonzero(~held.ravel())
        step = np.zeros(coefficients.shape)
        if not keep.size:  # all of them are at bounds
            return step
        right = -gradient.ravel()[keep]
        outputs = 1 if held.any() else coefficients.shape[1]
        step.ravel()[keep] = solve_symmetric(matrix[np.ix_(keep, keep)], right, outputs)
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
