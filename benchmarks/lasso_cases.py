"""Lasso problems: five shapes, their data, and the one judge of every library's solutions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

N_ALPHAS = 100
CORRELATION = 0.5  # between neighbouring columns


@dataclass(frozen=True)
class LassoCase:
    """A path: sizes, the smallest penalty relative to the largest, and the goal.

    `goal` is the time of the fastest peer at a like gap over ours, on one thread.
    """

    name: str
    n_rows: int
    n_features: int
    n_coef: int
    eps: float = 1e-3
    density: float = 1.0
    family: str = "gaussian"
    goal: float = 1.0

    @property
    def label(self) -> str:
        """Name and sizes."""
        return f"{self.name} {self.n_rows} x {self.n_features}"

    def quick(self) -> LassoCase:
        """A small problem of the same shape."""
        sizes = QUICK[self.name]
        return replace(self, n_rows=sizes[0], n_features=sizes[1], n_coef=sizes[2])

    def data(self) -> tuple[Any, Array]:
        """Columns, and a standardised response or labels in {0, 1}."""
        rng = np.random.default_rng(0)
        X = self._sparse(rng) if self.density < 1 else self._dense(rng)
        coef = np.zeros(self.n_features)
        where = rng.choice(self.n_features, self.n_coef, replace=False)
        coef[where] = rng.choice([-1.0, 1.0], self.n_coef)
        signal = X @ coef
        if self.family == "binomial":
            chance = 1 / (1 + np.exp(-3 * signal / signal.std()))
            return X, (rng.random(self.n_rows) < chance).astype(np.float64)
        y = signal + signal.std() / 3 * rng.standard_normal(self.n_rows)
        y -= y.mean()
        return X, y / y.std()

    def _dense(self, rng: np.random.Generator) -> Array:
        X = np.asfortranarray(rng.standard_normal((self.n_features, self.n_rows)).T)
        for j in range(1, self.n_features):
            X[:, j] *= np.sqrt(1 - CORRELATION**2)
            X[:, j] += CORRELATION * X[:, j - 1]
        X -= X.mean(axis=0)
        return X

    def _sparse(self, rng: np.random.Generator) -> Any:
        return scipy.sparse.random(
            self.n_rows,
            self.n_features,
            density=self.density,
            format="csc",
            rng=rng,
            data_rvs=rng.standard_normal,
        )

    def null(self, y: Array) -> float:
        """Mean loss of the model that is zero: the unit of relative gaps."""
        return float(np.log(2)) if self.family == "binomial" else 0.5 * float(y @ y) / len(y)

    def alphas(self, X: Any, y: Array) -> Array:
        """Penalties from the one above which all is zero."""
        slope = y - 0.5 if self.family == "binomial" else y
        largest = np.abs(X.T @ slope).max() / len(y)
        return np.geomspace(largest, largest * self.eps, N_ALPHAS)


LASSO_CASES = (
    LassoCase("wide", 1000, 10_000, 100, goal=10.0),
    LassoCase("short", 200, 20_000, 20, goal=5.0),
    LassoCase("sparse", 10_000, 100_000, 1000, density=1e-3, goal=3.0),
    LassoCase("logistic", 1000, 5000, 100, eps=1e-2, family="binomial", goal=3.0),
    LassoCase("tall", 100_000, 100, 20, goal=1.3),
)
QUICK = {
    "wide": (200, 2000, 20),
    "short": (100, 4000, 10),
    "sparse": (1000, 10_000, 100),
    "logistic": (200, 1000, 20),
    "tall": (10_000, 50, 20),
}


def relative_gaps(case: LassoCase, X: Any, y: Array, alphas: Array, coefs: Array) -> Array:
    """Duality gap of every point relative to the loss of the zero model, in float64.

    The dual point is the gradient of the loss, shrunk until the penalty's conjugate is finite.
    """
    if case.family == "binomial":
        gaps = [_logistic_gap(X, y, alpha, b) for alpha, b in zip(alphas, coefs.T, strict=True)]
    else:
        gaps = [_gaussian_gap(X, y, alpha, b) for alpha, b in zip(alphas, coefs.T, strict=True)]
    return np.array(gaps) / case.null(y)


def _gaussian_gap(X: Any, y: Array, alpha: float, coef: Array) -> float:
    n = len(y)
    residual = y - X @ coef
    shrink = min(1.0, n * alpha / np.abs(X.T @ residual).max())
    primal = residual @ residual / (2 * n) + alpha * np.abs(coef).sum()
    theta = shrink * residual
    dual = (y @ y - (y - theta) @ (y - theta)) / (2 * n)
    return float(primal - dual)


def _logistic_gap(X: Any, y: Array, alpha: float, coef: Array) -> float:
    n = len(y)
    side = 2 * y - 1
    margin = side * (X @ coef)
    primal = np.logaddexp(0, -margin).mean() + alpha * np.abs(coef).sum()
    doubt = np.exp(-np.logaddexp(0, margin))
    shrink = min(1.0, n * alpha / np.abs(X.T @ (side * doubt)).max())
    u = shrink * doubt
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = np.where(u > 0, u * np.log(u), 0.0) + (1 - u) * np.log1p(-u)
    return float(primal + entropy.mean())
