"""Adaptive Lasso: weights from a first fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pyestim.penalised import criteria
from pyestim.penalised.path import alpha_grid, solve_path
from pyestim.penalised.penalty import AdaptiveL1
from pyestim.penalised.problem import Problem

#: The first fit is one of so many penalties, down to this share of the largest one.
N_FIRST, EPS_FIRST = 50, 1e-3
#: Relative duality gap of the first fits: their coefficients are weights, not results.
TOL_FIRST = 1e-6


def adapted(problem: Problem, weight_sum: float, n: float, max_iter: int) -> Problem:
    """Return the problem with l1 weights divided by the coefficients of a first Lasso.

    The first fit is the point of the Lasso path that BIC prefers; columns that it leaves out are
    excluded, unpenalised ones stay so.

    Parameters
    ----------
    problem : Problem
    weight_sum : float
        Number of rows, repetitions counted.
    n : float
        Number of pieces of information: rows, or events.
    max_iter : int
        Most iterations of one fit.

    References
    ----------
    Zou (2006), The adaptive Lasso and its oracle properties. doi:10.1198/016214506000000735
    """
    alphas = alpha_grid(problem, N_FIRST, EPS_FIRST)
    path = solve_path(problem, alphas, tol=TOL_FIRST, max_iter=max_iter, early_stop=True)
    name, saturated = problem.datafit.name, problem.datafit.saturated
    losses = np.array([point.loss for point in path.points])
    phi = criteria.dispersion(name, losses - saturated)
    log_lik = criteria.log_likelihood(name, losses, saturated, weight_sum, 0.0, phi)
    k = np.array([np.count_nonzero(point.coef) for point in path.points], dtype=np.int64)
    bic = criteria.criterion("bic", log_lik, k, n, k, problem.design.p, 0.0)
    first = path.points[int(np.argmin(bic))]
    size = np.zeros(problem.design.p)
    by_class = first.coef if first.coef.ndim == 2 else first.coef[:, None]
    size[first.columns] = np.linalg.norm(by_class, axis=1)
    l1 = AdaptiveL1().adapted(problem.l1, size)
    return replace(problem, l1=np.where(problem.l1 == 0, 0.0, l1))
