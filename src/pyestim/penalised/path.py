"""Solutions along falling penalties: the problem chooses the solver, every point names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised import gaussian
from pyestim.penalised.newton import newton_path
from pyestim.penalised.null import NoMaximum
from pyestim.penalised.point import Path, PathOutcome, Point
from pyestim.penalised.problem import Problem, lambda_max

#: glmnet's rule: enough is explained, or the last penalty added hardly anything.
ENOUGH, LEAST_GAIN, LEAST_POINTS = 0.999, 1e-5, 5


def alpha_grid(problem: Problem, n_alphas: int = 100, eps: float = 1e-3) -> Vector:
    """Penalties from the smallest that leaves nothing down to ``eps`` times it, geometrically."""
    largest = lambda_max(problem)
    if largest == 0.0:
        return np.zeros(1)
    return np.geomspace(largest, largest * eps, n_alphas)


def solve_path(
    problem: Problem,
    alphas: Vector,
    *,
    tol: float = 1e-6,
    max_iter: int = 1000,
    warm: Point | None = None,
    solver: str = "auto",
    early_stop: bool = False,
) -> Path:
    """Solve at falling penalties; every point carries its certificate.

    Parameters
    ----------
    problem : Problem
        Weights of the penalty at ``alpha = 1``.
    alphas : ndarray of shape (m,)
        Penalties, falling.
    tol : float
        Duality gap, relative to ``problem.scale``.
    max_iter : int
        Newton steps, or epochs of coordinate descent, at one penalty.
    warm : Point, optional
        Where to start.
    solver : {"auto", "homotopy", "cd", "newton"}
        Auto: for the Gaussian family the homotopy, where it applies.
    early_stop : bool
        Leave out penalties that would explain hardly more, as glmnet does.

    Returns
    -------
    Path
        On the scale of the design's columns.

    Raises
    ------
    NoMaximum
        If no penalty is left where the likelihood without one has no maximum: a path only ends
        there, with what it has.
    """
    alphas = np.asarray(alphas, dtype=np.float64)
    if np.any(alphas < 0) or np.any(np.diff(alphas) > 0):
        raise ValueError("solve_path: alphas must be falling and >= 0; sort them.")
    null, saturated, scale = null_loss(problem), problem.datafit.saturated, problem.scale
    points: list[Point] = []
    ends = PathOutcome.CONVERGED
    try:
        for point in _points(problem, alphas, tol * scale, max_iter, warm, solver):
            points.append(point)
            if early_stop and _explained(points, null, saturated):
                ends = PathOutcome.EARLY
                break
    except NoMaximum:
        if not points:
            raise
        ends = PathOutcome.NO_MAXIMUM
    # Slopes count in units of the largest one.
    most = {
        "gap": tol * scale,
        "kkt": tol * scale * float(np.abs(problem.null_slopes).max(initial=0.0)),
    }
    short = any(point.gap > most[point.certificate] for point in points)
    outcome = PathOutcome.MAX_ITER if short else ends
    if outcome is PathOutcome.CONVERGED and any(p.certificate != "gap" for p in points):
        outcome = PathOutcome.NO_GAP
    return Path(tuple(points), problem.design.p, null, saturated, scale, outcome)


def null_loss(problem: Problem) -> float:
    """Mean loss of the model of intercept and offset alone."""
    if not len(problem.unpenalised):
        return problem.null.value
    nothing = np.full(problem.design.p, np.inf)
    return replace(problem, l1=nothing, l2=np.zeros_like(nothing)).null.value


def null_point(problem: Problem, alpha: float) -> Point:
    """The null model where it is the solution at every penalty, but for rounding."""
    null, kind = problem.null, "gap" if problem.penalty.convex else "kkt"
    used, several = null.beta.any(axis=1), problem.datafit.n_outputs > 1
    coef = null.beta[used] if several else null.beta[used, 0]
    intercept = null.intercept if several else float(null.intercept[0])
    columns = null.columns[used]
    return Point(alpha, columns, coef, intercept, 0.0, null.value, 0, "null model", kind)


def _explained(points: list[Point], null: float, saturated: float) -> bool:
    """Whether smaller penalties would explain hardly more of the deviance."""
    span = null - saturated
    if len(points) < LEAST_POINTS or not span > 0:
        return False
    ratio, before = (1.0 - (point.loss - saturated) / span for point in (points[-1], points[-2]))
    return ratio > ENOUGH or ratio - before < LEAST_GAIN * ratio


def _points(
    problem: Problem, alphas: Vector, gap: float, max_iter: int, warm: Point | None, solver: str
) -> Iterator[Point]:
    """Points of the solver that the problem asks for, absolute ``gap``."""
    if problem.explained:
        yield from (null_point(problem, alpha) for alpha in alphas.tolist())
    elif problem.datafit.name == "gaussian" and solver != "newton":
        yield from gaussian.points(problem, alphas, gap, max_iter, warm, solver)
    else:
        yield from newton_path(problem, alphas, gap, max_iter, warm)
