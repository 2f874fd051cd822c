"""Desparsified Lasso: one coefficient at a time without the bias of the penalty."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyestim.penalised.datafit import Gaussian
from pyestim.penalised.path import alpha_grid, solve_path
from pyestim.penalised.problem import Problem

if TYPE_CHECKING:
    from pyestim.data.design import Design

Array = NDArray[np.float64]

#: Penalties that a nodewise path looks at, and the smallest one relative to the largest.
N_NODEWISE, EPS_NODEWISE = 40, 1e-3
#: Standard errors may grow by this much for the sake of a smaller bias (Zhang & Zhang 2014).
MORE_ERROR = 0.25
#: Relative gap of the nodewise fits; they steer the variance and need no more.
TOL_NODEWISE = 1e-6
MAX_ITER = 10000


@dataclass(frozen=True)
class Direction:
    """Score vector of one column: nearly orthogonal to all others.

    Attributes
    ----------
    z : ndarray of shape (n,)
    tau : float
        Standard error of the estimate for unit noise, in the units of the design's column.
    eta : float
        Largest ``|z' x_k| / |z|`` over the other columns: the bias of the estimate is at most
        ``eta tau |beta_hat - beta|_1``.
    """

    z: Array
    tau: float
    eta: float


def direction(design: Design, j: int, n: float) -> Direction:
    """Residual of a Lasso of column j on the others, at the penalty of Zhang and Zhang.

    Among the points of the path whose standard error is at most 1.25 times that of the first one
    with ``eta <= sqrt(2 log p)``, the one with the least ``eta``.
    """
    w, p = design.weight, design.p
    x = design.times(np.ones(1), np.array([j]))
    if not x.any():  # a constant column: nothing to estimate
        return Direction(x, np.inf, 0.0)
    points = _nodewise(design, j, x)
    z = np.array([x - fitted for _, fitted in points])
    norm = np.sqrt(n * (z * z) @ w)  # of the rows, repetitions counted
    overlap = n * np.abs((z * x) @ w)
    fine = (norm > 1e-8 * norm[0]) & (overlap > 0)
    tau = np.where(fine, norm / np.where(fine, overlap, 1.0), np.inf)
    eta = n * np.array([alpha for alpha, _ in points]) / np.where(fine, norm, 1.0)
    target = max(np.sqrt(2.0 * np.log(max(p, 2))), eta[fine].min() * (1 + MORE_ERROR))
    limit = (1.0 + MORE_ERROR) * tau[fine & (eta <= target)].min()
    allowed = np.flatnonzero(fine & (tau <= limit))
    best = allowed[np.argmin(eta[allowed])]
    return Direction(z[best], float(tau[best]), float(eta[best]))


def _nodewise(design: Design, j: int, x: Array) -> list[tuple[float, Array]]:
    """Penalty and fitted values of the points of the path of column j on the others."""
    l1 = np.ones(design.p)
    l1[j] = np.inf
    datafit: Any = Gaussian(x, design.weight)
    problem = Problem(design, datafit, l1, np.zeros(design.p), fit_intercept=False)
    if design.p == 1:
        return [(0.0, np.zeros_like(x))]
    alphas = alpha_grid(problem, N_NODEWISE, EPS_NODEWISE)
    path = solve_path(problem, alphas, tol=TOL_NODEWISE, max_iter=MAX_ITER)
    return [(float(point.alpha), design.times(point.coef, point.columns)) for point in path.points]


def scaled_noise(problem: Problem, n: float) -> float:
    """Standard deviation of the noise by least squares after the scaled Lasso.

    Fixed point of ``sigma = |r(sigma lambda_0)|`` with ``lambda_0 = sqrt(2 log p / n)``, whose
    residuals are too large by what the penalty shrinks; those of least squares on the columns that
    it chose are not, divided by n less their number.

    References
    ----------
    Sun & Zhang (2012), Scaled sparse linear regression. doi:10.1093/biomet/ass043
    """
    unit = np.sqrt(2.0 * np.log(max(problem.design.p, 2)) / n)
    sigma = np.sqrt(2.0 * problem.null.value)
    columns = np.zeros(0, dtype=np.int64)
    for _ in range(50):
        alpha = np.array([unit * sigma])
        point = solve_path(problem, alpha, tol=TOL_NODEWISE, max_iter=MAX_ITER).points[0]
        before, sigma, columns = sigma, np.sqrt(2.0 * point.loss), point.columns
        if abs(sigma - before) <= 1e-4 * before:
            break
    left = n - len(columns) - problem.fit_intercept
    if left < n / 2:  # chosen too much for least squares
        return float(sigma)
    charge = np.full(problem.design.p, np.inf)
    charge[columns] = 0.0
    again = replace(problem, l1=charge, l2=np.zeros(problem.design.p))
    return float(np.sqrt(2.0 * again.null.value * n / left))
