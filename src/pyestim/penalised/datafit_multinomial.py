"""Several classes, one linear predictor for each: the symmetric parametrisation."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlogy

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import DUAL_ROUNDING, normalised, reciprocal


class Multinomial:
    """``log sum_k e^eta_k - sum_k y_k eta_k`` with the shares ``y_k`` of the classes in a row.

    Adding a constant to all predictors of a row changes nothing; the penalty, or the least norm
    for what is unpenalised, picks one of the equal solutions.

    Parameters
    ----------
    y : array of shape (n,) or (n, K)
        Class numbers from 0, or shares >= 0 with sum one in each row.
    weight : array of shape (n,), optional
        Weights of the rows.
    n_classes : int, optional
        K for class numbers; by default the largest number and one.
    """

    name = "multinomial"
    # Off the diagonal of diag(p) - pp' a row has the absolute sum p_k (1 - p_k), at most 1/4.
    smoothness: float | None = 0.5
    takes_intercept = True

    def __init__(self, y: Any, weight: Any = None, n_classes: int | None = None) -> None:
        y = np.asarray(y)
        self.y = one_hot(y, n_classes) if y.ndim == 1 else np.asarray(y, dtype=np.float64)
        if self.y.ndim != 2 or not np.all(np.isfinite(self.y)) or np.any(self.y < 0):
            raise ValueError(
                "family='multinomial': expected class numbers (n,) or shares >= 0 of shape (n, K), "
                f"got shape {y.shape}; encode the classes."
            )
        if np.any(np.abs(self.y.sum(axis=1) - 1.0) > 1e-9):
            raise ValueError(
                "family='multinomial': expected rows of shares with sum one, got other sums; "
                "divide by them and pass them as sample_weight."
            )
        n, self.n_outputs = self.y.shape
        self.weight = normalised(weight, n)
        self.saturated = float(self.weight @ xlogy(self.y, self.y).sum(axis=1)) * -1.0 + 0.0

    def log_mean(self, eta: Vector) -> Vector:
        """Logarithms of the probabilities."""
        top = eta.max(axis=1)
        total = top + np.log(np.exp(eta - top[:, None]).sum(axis=1))
        return np.asarray(eta - total[:, None])

    def mean(self, eta: Vector) -> Vector:
        """Probabilities of the classes."""
        return np.asarray(np.exp(self.log_mean(eta)))

    def value(self, eta: Vector) -> float:
        """Mean loss."""
        return float(self.weight @ -(self.y * self.log_mean(eta)).sum(axis=1))

    def gradient(self, eta: Vector) -> Vector:
        """Derivative of `value`, (n, K)."""
        return np.asarray(self.weight[:, None] * (self.mean(eta) - self.y))

    def quadratic(self, eta: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient, and the diagonal of the Hessian: the block of one class, exactly.

        Twice this diagonal is above the Hessian of all classes (Gershgorin).
        """
        log_mean = self.log_mean(eta)
        mean, w = np.exp(log_mean), self.weight[:, None]
        loss = float(self.weight @ -(self.y * log_mean).sum(axis=1))
        return loss, w * (mean - self.y), w * mean * (1.0 - mean)

    def hessian_times(self, eta: Vector, direction: Vector) -> Vector:
        """Exact Hessian times ``direction``."""
        mean = self.mean(eta)
        centred = direction - (mean * direction).sum(axis=1, keepdims=True)
        return np.asarray(self.weight[:, None] * mean * centred)

    def reduced_hessian(self, eta: Vector, A: Vector) -> Vector:
        """Exact Hessian in the coefficients of the columns of ``A``, class by class in each."""
        mean, m, outputs = self.mean(eta), A.shape[1], self.n_outputs
        hessian = np.empty((m, outputs, m, outputs))
        for k in range(outputs):
            for other in range(k + 1):
                curved = self.weight * mean[:, k] * (float(k == other) - mean[:, other])
                block = A.T @ (curved[:, None] * A)
                hessian[:, k, :, other] = block
                hessian[:, other, :, k] = block
        return hessian.reshape(m * outputs, m * outputs)

    def conjugate_terms(self, t: Vector) -> Vector:
        """``sum_k u_k log u_k`` with ``u = t + y`` in the simplex; infinite outside."""
        u = t + self.y
        outside = (u < -DUAL_ROUNDING).any(axis=1)
        # Sums of K rounded shares near one.
        outside |= np.abs(u.sum(axis=1) - 1.0) > 1e-9
        u = np.maximum(u, 0.0)
        return np.where(outside, np.inf, xlogy(u, u).sum(axis=1))

    def conjugate(self, theta: Vector) -> float:
        """Conjugate of `value` at ``theta``, which is zero where weights are; infinite outside."""
        t = theta * reciprocal(self.weight)[:, None]
        return float(self.weight @ self.conjugate_terms(t))

    def dual_value(self, theta: Vector, scale: float, eta: Vector, tilt: Vector | None) -> float:
        """Conjugate at ``scale * theta``."""
        return self.conjugate(scale * theta)

    def start(self, offset: Vector | None) -> Vector:
        """Logarithms of the classes' shares, with mean zero."""
        shares = np.log(self.weight @ self.y)
        start = shares if offset is None else shares - self.weight @ offset
        return np.asarray(start - start.mean())

    def impossible_null(self) -> str:
        """A class without rows has an intercept of minus infinity."""
        shares = self.weight @ self.y
        if shares.min() > 0 and self.n_outputs > 1:
            return ""
        return (
            "family='multinomial': expected rows of positive weight in each of at least two "
            f"classes, got shares {shares.tolist()}; drop empty classes or set fit_intercept=False."
        )


def one_hot(y: Any, n_classes: int | None) -> Vector:
    """Class numbers to shares."""
    classes = np.asarray(y, dtype=np.int64)
    bad = (classes != y) | (classes < 0)
    if n_classes is not None:
        bad |= classes >= n_classes
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"family='multinomial': expected class numbers 0, 1, ..., got {y[row]} in row {row}; "
            "encode the classes."
        )
    return np.eye(int(classes.max()) + 1 if n_classes is None else n_classes)[classes]
