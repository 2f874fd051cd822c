"""Certificates: the duality gap, and the violation of the first-order conditions.

For ``F(b, beta) = f(offset + b + X beta) + sum_j pen_j(beta_j)`` every ``theta`` gives the bound
``F >= theta'offset - f*(theta) - sum_j pen_j*(-x_j'theta)``, where an intercept demands
``sum_i theta_i = 0``. The point ``theta = c (grad f - Hess f A z)`` is nearly optimal: ``z``
makes it orthogonal to the constant and to the unpenalised columns ``A``, in the metric of the
Hessian, which keeps it within the domain of ``f*``; ``c <= 1`` makes it feasible where ``pen_j``
has no curvature.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import reciprocal
from pyestim.penalised.null import basis, solve_symmetric
from pyestim.penalised.penalty import Weights
from pyestim.penalised.problem import Problem, pull

#: A correlation with an unpenalised column below this share of its bound by Cauchy-Schwarz is zero,
#: and a penalty below it cannot be told from none.
ORTHOGONAL = 1e-12


@dataclass(frozen=True)
class Evaluation:
    """A point and what the datafit says there."""

    beta: Vector
    intercept: Vector
    eta: Vector
    value: float
    gradient: Vector
    curvature: Vector


def evaluate(
    problem: Problem, beta: Vector, intercept: Any, eta: Vector | None = None
) -> Evaluation:
    """Datafit at a point whose linear predictor may be known already."""
    eta = problem.predictor(beta, intercept) if eta is None else eta
    return Evaluation(beta, np.asarray(intercept), eta, *problem.datafit.quadratic(eta))


class DualPoint(NamedTuple):
    """``theta``, the ``A z`` that made it, and whether that is orthogonal to what is unpenalised.

    It cannot be where a column has no curvature.
    """

    tilt: Vector | None
    theta: Vector
    feasible: bool


@dataclass(frozen=True)
class Certificate:
    """How far a point is from the minimum.

    Attributes
    ----------
    gap : float
        Bound on ``objective - minimum``. Without convexity infinite.
    objective : float
        Mean loss and penalty.
    correlation : ndarray of shape (p,) or (p, K)
        ``X' theta / c`` of the dual point; of the gradient where there is none.
    scale : float
        Factor c of the dual point.
    kind : str
        "gap"; "saturated" where the only bound known is the saturated loss; "kkt" where there is no
        bound and `violation` is all that can be said.
    violation : float
        Largest distance from the first-order conditions, of kind "kkt" only.
    point : DualPoint
        Where the bound was taken.
    """

    gap: float
    objective: float
    correlation: Vector
    scale: float
    kind: str
    violation: float
    point: DualPoint


def certify(
    problem: Problem,
    at: Evaluation,
    columns: Any = None,
    point: DualPoint | None = None,
    correlation: Vector | None = None,
) -> Certificate:
    """Certificate of a point; with ``columns`` within the problem that has only these.

    They must hold all coefficients that are not zero and all unpenalised columns. The dual point
    and its correlations may be known already.
    """
    weights = problem.weights if columns is None else problem.weights.of(columns)
    beta = at.beta if columns is None else at.beta[columns]
    objective = at.value + problem.penalty_value(beta, weights)
    point = dual_point(problem, at) if point is None else point
    tilt, theta, feasible = point
    if correlation is None:
        correlation = problem.design.dot(theta, columns)
    if not problem.penalty.convex:
        violation = violation_of(problem, beta, correlation, at.gradient, weights)
        return Certificate(np.inf, objective, correlation, 0.0, "kkt", violation, point)
    scale, dual = 0.0, -np.inf
    if feasible:
        weights = allowed(problem, theta, weights, columns)
        scale = feasible_scale(problem, correlation, weights)
        dual = dual_bound(problem, at.eta, tilt, theta, correlation, scale, weights)
    kind = "gap" if dual > problem.datafit.saturated else "saturated"
    gap = max(objective - max(dual, problem.datafit.saturated), 0.0)
    return Certificate(gap, objective, correlation, scale, kind, np.nan, point)


def duality_gap(problem: Problem, beta: Vector, intercept: Any) -> float:
    """Bound on objective minus minimum; infinite for penalties that are not convex."""
    return certify(problem, evaluate(problem, beta, intercept)).gap


def kkt_violation(problem: Problem, beta: Vector, intercept: Any) -> float:
    """Largest distance of minus the gradient from the subdifferential, intercepts included."""
    gradient = problem.datafit.gradient(problem.predictor(beta, intercept))
    correlation = problem.design.dot(gradient)
    return violation_of(problem, beta, correlation, gradient, problem.weights)


def violation_of(
    problem: Problem, beta: Vector, correlation: Vector, gradient: Vector, weights: Weights
) -> float:
    """Violation for a known gradient."""
    penalty = problem.penalty
    if beta.ndim == 1 or penalty.grouped:
        moves = weights.lower < weights.upper
        parts = [penalty.distance(correlation, beta, weights)[moves]]
    else:
        columns = zip(correlation.T, beta.T, strict=True)
        parts = [penalty.distance(slope, column, weights) for slope, column in columns]
    if problem.fit_intercept:
        parts.append(np.atleast_1d(np.abs(gradient.sum(axis=0))))
    return float(max((part.max() for part in parts if part.size), default=0.0))


def dual_bound(
    problem: Problem,
    eta: Vector,
    tilt: Vector | None,
    theta: Vector,
    correlation: Vector,
    scale: float,
    weights: Weights,
) -> float:
    """Lower bound of the minimum from the dual point ``scale * theta``."""
    dual = -problem.datafit.dual_value(theta, scale, eta, tilt)
    if problem.offset is not None:
        dual += scale * float(np.vdot(theta, problem.offset))
    return dual - conjugate_penalty(problem, scale * correlation, weights)


def dual_point(problem: Problem, at: Evaluation) -> DualPoint:
    """Gradient made orthogonal to the constant and the unpenalised columns; as it is for "kkt"."""
    if not problem.penalty.convex:
        return DualPoint(None, at.gradient, True)
    A = problem.free_columns
    if problem.bounded and problem.unpenalised.size:
        A = basis(problem, open_columns(problem, at.beta, at.gradient))
    if not A.shape[1]:
        return DualPoint(None, at.gradient, True)
    right, outputs = A.T @ at.gradient, problem.datafit.n_outputs
    z = solve_symmetric(problem.datafit.reduced_hessian(at.eta, A), right.ravel(), outputs)
    tilt = np.asarray(A @ z.reshape(right.shape)).reshape(at.eta.shape)
    theta = at.gradient - problem.datafit.hessian_times(at.eta, tilt)
    left, most = np.abs(A.T @ theta), np.abs(A).T @ np.abs(at.gradient)
    return DualPoint(tilt, theta, bool(np.all(left <= ORTHOGONAL * most)))


def open_columns(problem: Problem, beta: Vector, gradient: Vector) -> Any:
    """Unpenalised columns but those whose bound holds their coefficient back."""
    columns = problem.unpenalised
    w = problem.weights.of(columns)
    slope = problem.design.dot(gradient, columns).reshape(columns.size, -1)
    at = beta[columns].reshape(columns.size, -1)
    closed = (at >= w.upper[:, None]) & (slope <= 0) | (at <= w.lower[:, None]) & (slope >= 0)
    return columns[~closed.all(axis=1)]


def allowed(problem: Problem, theta: Vector, weights: Weights, columns: Any) -> Weights:
    """Penalties, not less than the rounding of the correlations with a dual point."""
    norms = problem.norms if columns is None else problem.norms[columns]
    squares = theta * theta if theta.ndim == 1 else np.sum(theta * theta, axis=1)
    size = np.sqrt(float(reciprocal(problem.datafit.weight) @ squares))
    penalised = (weights.l1 > 0) | (weights.l2 > 0)
    least = np.where(penalised, ORTHOGONAL * size * norms, 0.0)
    return replace(weights, l1=np.maximum(weights.l1, least))


def feasible_scale(problem: Problem, correlation: Vector, weights: Weights) -> float:
    """Largest c <= 1 for which the conjugate penalty of ``c * correlation`` is finite."""
    stiff = (weights.l2 == 0) & (weights.l1 > 0)
    pulled = pull(problem, correlation, weights, unbounded=True)
    over = stiff & (pulled > weights.l1)
    return float(np.min(weights.l1[over] / pulled[over])) if over.any() else 1.0


def conjugate_penalty(problem: Problem, correlation: Vector, weights: Weights) -> float:
    """``sum_j sup_b (-correlation_j b - pen_j(b))`` within the bounds, at a feasible point."""
    w = weights
    if problem.penalty.grouped:
        excess = np.maximum(np.linalg.norm(correlation, axis=1) - w.l1, 0.0)
        ridge = (w.l2 > 0) & (w.lower < w.upper)
        return float(0.5 * np.sum(excess[ridge] ** 2 / w.l2[ridge]))
    if not (problem.bounded or w.l2.any()):
        return 0.0
    by_output = correlation if correlation.ndim == 2 else correlation[:, None]
    return sum(conjugate_penalty_of(-column, w) for column in by_output.T)


def conjugate_penalty_of(u: Vector, w: Weights) -> float:
    """Conjugate for one output; where a sup at infinity is only rounding, it counts as zero."""
    excess = np.sign(u) * np.maximum(np.abs(u) - w.l1, 0.0)
    ridge = w.l2 > 0
    best = np.divide(excess, w.l2, out=np.zeros_like(u), where=ridge)
    end = np.where(excess > 0, w.upper, np.where(excess < 0, w.lower, 0.0))
    best = np.where(ridge, best, np.where(np.isfinite(end), end, 0.0))
    best = np.clip(best, w.lower, w.upper)
    return float(np.sum(excess * best - 0.5 * w.l2 * best * best))
