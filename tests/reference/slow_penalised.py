"""Penalised likelihood in plain numpy: a dense design, and an independent slow solver.

Nothing here is shared with the package but the names of the arguments.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


class SlowDesign:
    """`pyestim.data.design.Design` on a dense copy."""

    def __init__(self, X, weight=None, *, centre=True, scale=False):
        X = np.asarray(X, dtype=np.float64)
        self.n, self.p = X.shape
        weight = np.full(self.n, 1 / self.n) if weight is None else weight / np.sum(weight)
        self.mean = weight @ X
        self.sd = np.sqrt(weight @ (X - self.mean) ** 2)
        self.scale = np.where(self.sd > 0, self.sd, 1.0) if scale else np.ones(self.p)
        self.columns = (X - self.mean if centre else X) / self.scale

    def dot(self, r, columns=None):
        return (self.columns if columns is None else self.columns[:, columns]).T @ r

    def times(self, beta, columns=None):
        return (self.columns if columns is None else self.columns[:, columns]) @ beta

    def gram(self, rows_weight, A, B=None):
        B = A if B is None else B
        return self.columns[:, A].T @ (rows_weight[:, None] * self.columns[:, B])

    def column_squares(self, rows_weight):
        return rows_weight @ self.columns**2


def split_minimum(problem):
    """Minimise by L-BFGS-B on positive and negative parts; the objective at what it finds.

    An upper bound of the minimum, so that a certified gap must be at least `objective - this`.
    """
    X, w, p, K = (
        problem.design.columns,
        problem.weights,
        problem.design.p,
        problem.datafit.n_outputs,
    )
    lower, upper = np.repeat(w.lower, K), np.repeat(w.upper, K)
    l1, l2 = np.repeat(w.l1, K), np.repeat(w.l2, K)

    def unpack(z):
        beta = z[: p * K] - z[p * K : 2 * p * K]
        return beta, z[2 * p * K :]

    def objective(z):
        beta, intercept = unpack(z)
        eta = X @ beta.reshape(p, K) + intercept
        eta = eta if K > 1 else eta[:, 0]
        eta = eta if problem.offset is None else eta + problem.offset
        g = problem.datafit.gradient(eta).reshape(-1, K)
        smooth = (X.T @ g).ravel() + l2 * beta
        parts = [smooth + l1, -smooth + l1, g.sum(axis=0) * problem.fit_intercept]
        sizes = z[: p * K] + z[p * K : 2 * p * K]
        value = problem.datafit.value(eta) + l1 @ sizes + 0.5 * l2 @ beta**2
        return value, np.concatenate(parts)

    bounds = [(0, u) for u in upper] + [(0, -low) for low in lower]
    bounds += [(None, None) if problem.fit_intercept else (0, 0)] * K
    start = np.zeros(2 * p * K + K)
    options = {"maxiter": 20000, "maxfun": 200000, "ftol": 1e-16, "gtol": 1e-10, "maxcor": 30}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    beta, intercept = unpack(found.x)
    return found.fun, (beta.reshape(p, K) if K > 1 else beta), intercept
