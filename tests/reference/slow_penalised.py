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


def slow_violation(problem, beta, intercept):
    """Largest violation of the first-order conditions, coefficient by coefficient.

    The derivative of the loss is taken by the definition of the families, not by the package.
    """
    X, w, K = problem.design.columns, problem.weights, problem.datafit.n_outputs
    beta = np.asarray(beta, dtype=float).reshape(problem.design.p, K)
    eta = X @ beta + intercept
    eta = eta if problem.offset is None else eta + np.reshape(problem.offset, (-1, K))
    slope = slow_slope(problem.datafit, eta)
    worst = float(np.abs(slope.sum(axis=0)).max()) if problem.fit_intercept else 0.0
    for j in range(problem.design.p):
        if w.lower[j] >= w.upper[j]:
            continue
        for k in range(K):
            b, u = beta[j, k], X[:, j] @ slope[:, k] + w.l2[j] * beta[j, k]
            off = max(abs(u) - w.l1[j], 0.0) if b == 0 else abs(u + w.l1[j] * np.sign(b))
            if b <= w.lower[j]:
                off = max(-u - w.l1[j] if b == 0 else -(u + w.l1[j] * np.sign(b)), 0.0)
            elif b >= w.upper[j]:
                off = max(u - w.l1[j] if b == 0 else u + w.l1[j] * np.sign(b), 0.0)
            worst = max(worst, off)
    return worst


def slow_slope(datafit, eta):
    """Derivative of the mean loss (n, K) by textbook formulas."""
    weight, y = datafit.weight[:, None], np.asarray(datafit.y)
    if datafit.name == "cox":
        return cox_slope(datafit, eta[:, 0])[:, None]
    y = y.reshape(len(y), -1)
    mean = {
        "gaussian": lambda: eta,
        "binomial": lambda: 1 / (1 + np.exp(-eta)),
        "poisson": lambda: np.exp(eta),
        "gamma": lambda: np.exp(eta),
        "multinomial": lambda: np.exp(eta) / np.exp(eta).sum(axis=1, keepdims=True),
    }[datafit.name]()
    scale = mean if datafit.name == "gamma" else 1.0
    return weight * (mean - y) / scale


def cox_slope(datafit, eta):
    """One term for each event, the rows at risk found by comparing times."""
    weight, (time, event) = datafit.weight, datafit.y.T
    slope = np.zeros(len(eta))
    for t in np.unique(time[event == 1]):
        tied = (time == t) & (event == 1) & (weight > 0)
        d = int(tied.sum())
        for place in range(d):
            share = place / d if datafit.ties == "efron" else 0.0
            risk = weight * np.exp(eta) * ((time >= t) - share * tied)
            slope += weight[tied].mean() * risk / risk.sum()
        slope -= weight * tied
    return slope
