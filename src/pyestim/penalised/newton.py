"""Proximal Newton along a path: working sets, screening, a certificate at every penalty.

At each penalty the columns that the sequential strong rule keeps form a working set. On it the
loss is replaced by its quadratic model, the model's penalised minimum is the direction, and a line
search on the true objective decides how far to go. When the gap within the working set is small
enough, one pass over all columns either certifies the point or names the columns that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised.gap import (
    Certificate,
    Evaluation,
    certify,
    dual_point,
    evaluate,
    violation_of,
)
from pyestim.penalised.newton_model import Step, zeros
from pyestim.penalised.newton_search import ROUNDING, line_search, objective_of
from pyestim.penalised.newton_step import step_of
from pyestim.penalised.penalty import Weights
from pyestim.penalised.point import Point
from pyestim.penalised.problem import Problem, lambda_max, pull
from pyestim.penalised.screening import MOST, Pulls

#: Share of the gap asked for at which a working set counts as solved.
INNER_SHARE = 0.9
#: A step ends when the violation of the model's conditions is this share of that at its start;
#: where the model is the loss itself, only when it is solved.
#: While the gap is not reached that is at most `PROGRESS`.
FORCING, PROGRESS = 1e-3, 0.1
#: Share of the gap that the violations of the last step may cost.
VIOLATION_SHARE = 0.3
#: So many steps in a row may lower neither the gap nor, visibly, the objective.
MAX_IDLE = 4
#: A violation of this share of the largest gradient need not be more than rounding.
NOTHING = 1e-12
#: Factors of the curvature, tried in turn where the penalty is not convex.
DAMPINGS = (1.0, 4.0, 16.0, 64.0)
#: A column whose slope is below this share of its penalty for sure is not looked at.
SURE = 0.9
#: Points that a prediction looks back on.
TRAIL = 3


def newton_path(
    problem: Problem, alphas: Vector, gap: float, max_iter: int, warm: Point | None = None
) -> Iterator[Point]:
    """Points at falling penalties.

    Parameters
    ----------
    problem : Problem
        Weights of the penalty at ``alpha = 1``.
    alphas : ndarray of shape (m,)
        Penalties, falling.
    gap : float
        Duality gap to reach, in units of the mean loss. For penalties without one the violation of
        the first-order conditions, relative to the largest gradient at the null model.
    max_iter : int
        Newton steps at one penalty.
    warm : Point, optional
        Where to start instead of the null model.

    Yields
    ------
    Point
    """
    path = NewtonPath(problem, gap, max_iter)
    path.start(warm)
    for alpha in np.asarray(alphas, dtype=np.float64).tolist():
        yield path.advance(alpha)


@dataclass
class Trail:
    """A solution, for the prediction of the next."""

    alpha: float
    beta: Vector
    intercept: Vector


class NewtonPath:
    """Where a path is: the last point, its correlations, and how it got there.

    Parameters
    ----------
    problem : Problem
        Weights of the penalty at ``alpha = 1``.
    gap, max_iter : float, int
        As for `newton_path`.
    """

    def __init__(self, problem: Problem, gap: float, max_iter: int) -> None:
        self.problem = problem
        self.gap = gap
        self.max_iter = max_iter
        self.step: Step = step_of(problem)
        self.norms = self.column_norms()
        self.trail: list[Trail] = []

    def column_norms(self) -> Vector | None:
        """Norms for gap-safe tests, where the loss has a bound on its curvature."""
        if self.problem.datafit.smoothness is None or not self.problem.penalty.convex:
            return None
        return self.problem.norms

    def start(self, warm: Point | None) -> None:
        """Begin at the null model or at a given point."""
        problem, null = self.problem, self.problem.null
        outputs = problem.datafit.n_outputs
        beta = np.zeros((problem.design.p, outputs))
        intercept = null.intercept.copy()
        beta[null.columns] = null.beta
        self.alpha = max(lambda_max(problem), np.finfo(float).tiny)
        if warm is not None:
            beta[:] = 0.0
            beta[warm.columns] = warm.coef.reshape(-1, outputs)
            intercept = np.array(warm.intercept, dtype=np.float64).reshape(outputs)
            self.alpha = warm.alpha
        beta = beta[:, 0] if outputs == 1 else beta
        self.at = evaluate(problem, beta, intercept)
        slopes = problem.null_slopes if warm is None else problem.design.dot(self.at.gradient)
        pulled = pull(problem, slopes, problem.weights)
        self.pulls = Pulls(problem.datafit.weight, problem.norms, self.at.gradient, pulled)
        self.largest = float(np.abs(problem.null_slopes).max(initial=0.0))

    def advance(self, alpha: float) -> Point:
        """Solve at the next penalty."""
        problem = self.problem.at(alpha)
        if not (problem.weights.l1.any() or problem.weights.l2.any()):
            self.maximise(problem)
        else:
            self.predict(problem, alpha)
        solved = Solve(self, problem, self.strong(problem, alpha)).run()
        found = solved.certificate
        if self.trail and not alpha < self.trail[-1].alpha:
            self.trail = []
        self.trail = [*self.trail[1 - TRAIL :], Trail(alpha, self.at.beta, self.at.intercept)]
        self.alpha = alpha
        at = self.at
        columns = np.flatnonzero(at.beta if at.beta.ndim == 1 else at.beta.any(axis=1))
        kkt = found.kind == "kkt"
        gap = found.violation if kkt else found.gap
        intercept = float(at.intercept[0]) if at.beta.ndim == 1 else at.intercept
        return Point(
            *(alpha, columns, at.beta[columns], intercept, gap, at.value),
            *(solved.n_iter, f"newton ({self.step.name})", "kkt" if kkt else "gap"),
        )

    def maximise(self, problem: Problem) -> None:
        """Without a penalty: the null model of this problem, or the sentence why there is none."""
        beta = np.zeros_like(self.at.beta)
        beta[problem.null.columns] = problem.null.beta.reshape(-1, *beta.shape[1:])
        self.at = evaluate(problem, beta, problem.null.intercept)

    def strong(self, problem: Problem, alpha: float) -> Any:
        """Columns of the first working set: the strong rule, the present ones, unpenalised ones."""
        w = problem.weights
        threshold = w.l1 * max(2.0 - self.alpha / alpha, 0.5) if alpha > 0 else 0.0 * w.l1
        beta = self.at.beta
        used = beta != 0 if beta.ndim == 1 else beta.any(axis=1)
        return ((self.pulls.value >= threshold) | used) & (w.lower < w.upper)

    def predict(self, problem: Problem, alpha: float) -> None:
        """Follow the curve through the last points, if that lowers the objective."""
        if len(self.trail) < 2:
            return
        shares = extrapolation([point.alpha for point in self.trail], alpha)
        beta = sum(share * point.beta for share, point in zip(shares, self.trail, strict=True))
        beta = clipped(problem, np.where(beta * self.trail[-1].beta > 0, beta, 0.0))
        intercepts = (share * p.intercept for share, p in zip(shares, self.trail, strict=True))
        guess = evaluate(problem, beta, sum(intercepts))
        if objective_of(problem, guess) < objective_of(problem, self.at):
            self.at = guess


def extrapolation(alphas: list[float], alpha: float) -> list[float]:
    """Lagrange's weights of points at ``alphas`` for the value at ``alpha``, in logarithms."""
    at = np.log(np.array(alphas))
    shares = []
    for k, own in enumerate(at):
        others = np.delete(at, k)
        shares.append(float(np.prod((np.log(alpha) - others) / (own - others))))
    return shares


def in_order(problem: Problem, correlation: Vector, beta: Vector, weights: Weights) -> bool:
    """Whether zeros meet their conditions and nothing rests on a bound, which it might leave."""
    none = zeros(beta)
    if problem.bounded:
        shape = (-1, *[1] * (beta.ndim - 1))
        held = (beta <= weights.lower.reshape(shape)) | (beta >= weights.upper.reshape(shape))
        if np.any(held & (beta != 0.0)):
            return False
    return bool(np.all(pull(problem, correlation, weights)[none] <= weights.l1[none]))


def clipped(problem: Problem, beta: Vector) -> Vector:
    """Coefficients moved within their bounds."""
    if not problem.bounded:
        return beta
    w = problem.weights
    shape = (-1, *[1] * (beta.ndim - 1))
    return np.clip(beta, w.lower.reshape(shape), w.upper.reshape(shape))


class Solve:
    """One penalty.

    Parameters
    ----------
    path : NewtonPath
        Present point, which is moved.
    problem : Problem
        With the penalty's weights.
    inside : ndarray of bool of shape (p,)
        First working set.
    """

    def __init__(self, path: NewtonPath, problem: Problem, inside: Any) -> None:
        self.path = path
        self.problem = problem
        self.inside = inside
        self.alive = problem.weights.lower < problem.weights.upper
        self.n_iter = 0
        self.stalled = False
        self.idle, self.best, self.lowest = 0, np.inf, np.inf
        self.certificate: Certificate

    def run(self) -> Solve:
        """Solve working sets until no column is missing and the gap is small."""
        target = INNER_SHARE * self.path.gap
        while True:
            columns = np.flatnonzero(self.inside)
            found = self.everywhere(columns, self.within(columns, target))
            self.remember(found)
            if self.done(found, self.path.gap) or self.n_iter >= self.path.max_iter:
                return self
            missing = self.missing()
            if not missing.any():
                if self.stalled:
                    return self
                target *= 0.1  # the columns outside cost the rest
            self.inside |= missing

    def watch(self, found: Certificate) -> None:
        """Count steps that lowered neither the gap nor, visibly, the objective."""
        reached = found.violation if found.kind == "kkt" else found.gap
        seen = found.objective < self.lowest - ROUNDING * max(1.0, abs(found.objective))
        self.idle = 0 if seen or reached < self.best else self.idle + 1
        self.best, self.lowest = min(self.best, reached), min(self.lowest, found.objective)

    def done(self, found: Certificate, gap: float) -> bool:
        """Whether a certificate is good enough."""
        if found.kind == "kkt":
            return found.violation <= gap * self.path.largest
        return found.gap <= gap

    def everywhere(self, inside: Any, inner: Certificate | None) -> Certificate:
        """Certificate with all columns but those whose conditions hold for sure.

        ``inner`` is the certificate of the present point within the columns ``inside``.
        """
        path, problem, w = self.path, self.problem, self.problem.weights
        point = dual_point(problem, path.at) if inner is None else inner.point
        path.pulls.move(point.theta)
        asked = self.alive & (path.pulls.value + path.pulls.error >= SURE * w.l1)
        correlation = np.zeros((problem.design.p, *point.theta.shape[1:]))
        if inner is not None:
            correlation[inside] = inner.correlation
            asked[inside] = False
        if asked.sum() > MOST * asked.size:
            correlation[asked] = problem.design.dot(point.theta)[asked]
        elif asked.any():
            correlation[asked] = problem.design.dot(point.theta, np.flatnonzero(asked))
        asked[inside] = True
        columns = np.flatnonzero(asked)
        known = correlation[columns]
        path.pulls.take(columns, pull(problem, known, w.of(columns)))
        return certify(problem, path.at, columns, point, known)

    def remember(self, found: Certificate) -> None:
        """Keep the certificate; leave out columns that are zero for sure."""
        path = self.path
        self.certificate = found
        if path.norms is None or found.kind != "gap":
            return
        smoothness = self.problem.datafit.smoothness
        assert smoothness is not None
        radius = np.sqrt(2.0 * smoothness * found.gap)
        w = self.problem.weights
        bound = found.scale * (path.pulls.value + path.pulls.error) + radius * path.norms
        beta = path.at.beta
        used = beta != 0 if beta.ndim == 1 else beta.any(axis=1)
        self.alive &= used | (bound >= w.l1)
        self.inside &= self.alive

    def missing(self) -> Any:
        """Columns outside the working set that break their conditions."""
        return (self.path.pulls.value > self.problem.weights.l1) & self.alive & ~self.inside

    def within(self, columns: Any, target: float) -> Certificate | None:
        """Newton steps on the working set until the gap within it is small; the last gap."""
        path, problem = self.path, self.problem
        weights = problem.weights.of(columns)
        # The first step needs no certificate: the penalty has just changed.
        found: Certificate | None = None if self.n_iter == 0 else certify(problem, path.at, columns)
        while found is None or not self.done(found, target):
            if self.n_iter >= path.max_iter:
                break
            at = path.at
            correlation = (
                problem.design.dot(at.gradient, columns) if found is None else found.correlation
            )
            beta = at.beta[columns]
            violation = violation_of(problem, beta, correlation, at.gradient, weights)
            if found is None and violation <= NOTHING * path.largest:
                # The penalty at which the first column enters: no step of the size of rounding.
                found = certify(problem, path.at, columns)
                continue
            least = VIOLATION_SHARE * target / max(float(np.abs(beta).sum()), 1.0)
            if not problem.penalty.convex:
                least = VIOLATION_SHARE * target * path.largest
            forcing = 0.0 if problem.datafit.name == "gaussian" else FORCING
            tolerance = max(forcing * violation, min(least, PROGRESS * violation))
            settled = found is not None and in_order(problem, correlation, beta, weights)
            moved = self.moved(columns, weights, tolerance, settled)
            self.n_iter += 1
            if moved is None:
                self.stalled = True
                break
            path.at = moved
            found = certify(problem, path.at, columns)
            self.watch(found)
            if self.idle > MAX_IDLE:
                self.stalled = True
                break
        return found

    def moved(
        self, columns: Any, weights: Weights, tolerance: float, settled: bool
    ) -> Evaluation | None:
        """Next point; None if none is better.

        Where the penalty is not convex, the model's minimum may lie across a hill: no part of the
        way there lowers the objective. With more curvature the model is a bound, and descends.
        """
        problem, at = self.problem, self.path.at
        for damping in (1.0,) if problem.penalty.convex else DAMPINGS:
            bent = replace(at, curvature=damping * at.curvature)
            direction = self.path.step(problem, bent, columns, weights, tolerance, settled)
            moved = line_search(problem, at, columns, direction)
            if moved is not None:
                return moved
        return None
