"""What a linear predictor costs: mean losses of the families whose rows are independent.

Every loss is the negative log-likelihood at unit dispersion without the terms that the linear
predictor does not enter. Weights are normalised, so that all sums over rows are means.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from scipy.special import xlogy

from pyestim.engine.stats import Vector

#: exp() of more is not taken: the loss is astronomical there and a line search comes back.
LARGEST_EXPONENT = 700.0
#: Squares of larger responses overflow when they are added.
LARGEST_RESPONSE = 1e150
#: A dual variable may leave its domain by the rounding of two products and a quotient.
DUAL_ROUNDING = 8.0 * float(np.finfo(np.float64).eps)


class Datafit(Protocol):
    """Mean loss of a linear predictor ``eta`` of shape (n,), or (n, K) where there are K outputs.

    Attributes
    ----------
    name : str
        Of the family.
    n_outputs : int
        K; one for families with a single linear predictor.
    weight : ndarray of shape (n,)
        Weights of the rows, with sum one.
    saturated : float
        Lower bound of the mean loss over all linear predictors; the infimum except for Cox.
    smoothness : float or None
        ``hessian <= smoothness * diag(weight)`` for every ``eta``; None if no number does it.
    takes_intercept : bool
        Whether an intercept changes the loss.
    """

    name: str
    n_outputs: int
    weight: Vector
    saturated: float
    smoothness: float | None
    takes_intercept: bool

    def value(self, eta: Vector) -> float:
        """Mean loss."""

    def gradient(self, eta: Vector) -> Vector:
        """Derivative of `value`, in the shape of ``eta``."""

    def quadratic(self, eta: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient, and the diagonal of the Hessian (>= 0), or a diagonal above it."""

    def hessian_times(self, eta: Vector, direction: Vector) -> Vector:
        """Exact Hessian times ``direction``."""

    def reduced_hessian(self, eta: Vector, A: Vector) -> Vector:
        """Exact Hessian in the coefficients (mK,) of the columns of ``A`` (n, m)."""

    def dual_value(self, theta: Vector, scale: float, eta: Vector, tilt: Vector | None) -> float:
        """Conjugate at ``scale * theta``, ``theta = gradient - Hessian tilt``, or a bound above."""

    def start(self, offset: Vector | None) -> Vector:
        """Intercepts (K,) near the best ones."""

    def mean(self, eta: Vector) -> Vector:
        """Expected response."""

    def impossible_null(self) -> str:
        """Sentence why the model of an intercept alone has no maximum; empty if it has one."""


def normalised(weight: Any, n_rows: int) -> Vector:
    """Weights with sum one; equal ones for None."""
    if weight is None:
        return np.full(n_rows, 1.0 / n_rows)
    weight = np.asarray(weight, dtype=np.float64)
    total = weight.sum()
    if weight.shape != (n_rows,) or not np.isfinite(total) or total <= 0 or weight.min() < 0:
        raise ValueError(
            f"sample_weight: expected {n_rows} numbers >= 0 with a positive sum, got shape "
            f"{weight.shape} with sum {total}; mend or drop the weights."
        )
    return np.asarray(weight / total)


def reciprocal(weight: Vector) -> Vector:
    """``1 / weight``, zero for zero."""
    return np.divide(1.0, weight, out=np.zeros_like(weight), where=weight > 0)


def refuse_rows(bad: Any, y: Vector, family: str, expected: str, advice: str) -> None:
    """Raise about the first row of ``bad``."""
    if bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"family={family!r}: expected y {expected}, got {y[row]} in row {row} "
            f"({int(bad.sum())} such rows); {advice}."
        )


class RowDatafit:
    """Mean of a convex loss of each row; a family gives ``terms`` and ``conjugate_terms``.

    Parameters
    ----------
    y : array of shape (n,)
        Responses.
    weight : array of shape (n,), optional
        Weights of the rows.
    """

    name = ""
    n_outputs = 1
    smoothness: float | None = None
    takes_intercept = True

    def __init__(self, y: Any, weight: Any = None) -> None:
        y = np.asarray(y, dtype=np.float64)
        if y.ndim != 1:
            raise ValueError(
                f"family={self.name!r}: expected y of shape (n,), got {y.shape}; pass one column."
            )
        refuse_rows(~np.isfinite(y), y, self.name, "finite", "impute or drop these rows")
        self.y = y
        self.weight = normalised(weight, y.size)
        self.inverse_weight = reciprocal(self.weight)
        self.check(y)
        self.saturated = float(self.weight @ self.saturated_terms())

    def check(self, y: Vector) -> None:
        """Raise if a response is outside the family's range."""

    def terms(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Loss of each row, its first and its second derivative."""
        raise NotImplementedError

    def conjugate_terms(self, t: Vector) -> Vector:
        """``sup_eta t eta - loss(eta)`` of each row; infinite outside its domain."""
        raise NotImplementedError

    def saturated_terms(self) -> Vector:
        """Smallest loss of each row."""
        raise NotImplementedError

    def link(self, mean: float) -> float:
        """Linear predictor of a mean response."""
        raise NotImplementedError

    def mean(self, eta: Vector) -> Vector:
        """Expected response."""
        raise NotImplementedError

    def value(self, eta: Vector) -> float:
        """Mean loss."""
        return float(self.weight @ self.terms(eta)[0])

    def gradient(self, eta: Vector) -> Vector:
        """Derivative of `value`."""
        return np.asarray(self.weight * self.terms(eta)[1])

    def quadratic(self, eta: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient, diagonal of the Hessian."""
        loss, slope, curvature = self.terms(eta)
        return float(self.weight @ loss), self.weight * slope, self.weight * curvature

    def hessian_times(self, eta: Vector, direction: Vector) -> Vector:
        """Exact Hessian times ``direction``."""
        return np.asarray(self.weight * self.terms(eta)[2] * direction)

    def reduced_hessian(self, eta: Vector, A: Vector) -> Vector:
        """Exact Hessian in the coefficients of the columns of ``A``."""
        return np.asarray(A.T @ ((self.weight * self.terms(eta)[2])[:, None] * A))

    def conjugate(self, theta: Vector) -> float:
        """Conjugate of `value` at ``theta``, which is zero where weights are; infinite outside."""
        t = theta * self.inverse_weight
        return float(self.weight @ self.conjugate_terms(t))

    def dual_value(self, theta: Vector, scale: float, eta: Vector, tilt: Vector | None) -> float:
        """Conjugate at ``scale * theta``."""
        return self.conjugate(scale * theta)

    def start(self, offset: Vector | None) -> Vector:
        """Intercept of the mean response."""
        shift = 0.0 if offset is None else float(self.weight @ offset)
        return np.array([self.link(float(self.weight @ self.y)) - shift])

    def impossible_null(self) -> str:
        """Empty: a maximum exists."""
        return ""


class Gaussian(RowDatafit):
    """``(y - eta)^2 / 2``."""

    name = "gaussian"
    smoothness = 1.0

    def check(self, y: Vector) -> None:
        """Squares that can be added."""
        beyond = np.abs(y) > LARGEST_RESPONSE
        refuse_rows(beyond, y, self.name, "whose squares do not overflow", "rescale y")

    def terms(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Loss of each row, its first and its second derivative."""
        slope = eta - self.y
        return 0.5 * slope * slope, slope, np.ones_like(slope)

    def conjugate_terms(self, t: Vector) -> Vector:
        """``t^2 / 2 + t y``."""
        return np.asarray(t * (0.5 * t + self.y))

    def saturated_terms(self) -> Vector:
        """Zero."""
        return np.zeros_like(self.y)

    def link(self, mean: float) -> float:
        """The mean itself."""
        return mean

    def mean(self, eta: Vector) -> Vector:
        """The linear predictor itself."""
        return eta


class Binomial(RowDatafit):
    """``log(1 + e^eta) - y eta``, y the share of successes (with the trials as weights) or 0, 1."""

    name = "binomial"
    smoothness = 0.25

    def check(self, y: Vector) -> None:
        """0 <= y <= 1."""
        advice = "pass shares of successes, and the numbers of trials as sample_weight"
        refuse_rows((y < 0) | (y > 1), y, self.name, "between 0 and 1", advice)

    def terms(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Loss of each row, its first and its second derivative; no cancellation in the tails."""
        small = np.exp(-np.abs(eta))
        far = 1.0 / (1.0 + small)
        near = small * far
        positive = eta >= 0
        success, failure = np.where(positive, far, near), np.where(positive, near, far)
        rest = 1.0 - self.y
        loss = np.log1p(small) + np.where(positive, rest, -self.y) * eta
        return loss, rest * success - self.y * failure, far * near

    def conjugate_terms(self, t: Vector) -> Vector:
        """``u log u + (1 - u) log(1 - u)`` with ``u = t + y`` in [0, 1]."""
        success, failure = t + self.y, (1.0 - self.y) - t
        outside = np.minimum(success, failure) < -DUAL_ROUNDING
        success, failure = np.maximum(success, 0.0), np.maximum(failure, 0.0)
        return np.where(outside, np.inf, xlogy(success, success) + xlogy(failure, failure))

    def saturated_terms(self) -> Vector:
        """Entropy of each response: zero for 0 and 1."""
        return np.asarray(-xlogy(self.y, self.y) - xlogy(1.0 - self.y, 1.0 - self.y))

    def link(self, mean: float) -> float:
        """Log-odds."""
        return float(np.log(mean) - np.log1p(-mean))

    def mean(self, eta: Vector) -> Vector:
        """Probability of a success."""
        small = np.exp(-np.abs(eta))
        return np.where(eta >= 0, 1.0, small) / (1.0 + small)

    def impossible_null(self) -> str:
        """With one class only the intercept is infinite."""
        rate = float(self.weight @ self.y)
        used = self.y[self.weight > 0]
        if used.min() < 1.0 and used.max() > 0.0:
            return ""
        return (
            f"family='binomial': expected both classes among the rows of positive weight, got only "
            f"y = {round(rate)}; the intercept has no maximum. Add the other class or set "
            "fit_intercept=False."
        )


def bounded_exp(exponent: Vector) -> Vector:
    """exp() that does not overflow."""
    return np.asarray(np.exp(np.minimum(exponent, LARGEST_EXPONENT)))


class Poisson(RowDatafit):
    """``e^eta - y eta``."""

    name = "poisson"

    def check(self, y: Vector) -> None:
        """``y >= 0``."""
        refuse_rows(y < 0, y, self.name, ">= 0", "counts or rates are needed")

    def terms(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Loss of each row, its first and its second derivative."""
        mean = bounded_exp(eta)
        return mean - self.y * eta, mean - self.y, mean

    def conjugate_terms(self, t: Vector) -> Vector:
        """``u log u - u`` with ``u = t + y >= 0``."""
        u = t + self.y
        outside = u < -DUAL_ROUNDING * np.maximum(1.0, self.y)
        u = np.maximum(u, 0.0)
        return np.where(outside, np.inf, xlogy(u, u) - u)

    def saturated_terms(self) -> Vector:
        """``y - y log y``."""
        return np.asarray(self.y - xlogy(self.y, self.y))

    def link(self, mean: float) -> float:
        """Logarithm."""
        return float(np.log(mean))

    def mean(self, eta: Vector) -> Vector:
        """Expected count."""
        return bounded_exp(eta)

    def impossible_null(self) -> str:
        """With no event at all the intercept is minus infinity."""
        if self.y[self.weight > 0].max() > 0:
            return ""
        return (
            "family='poisson': expected an event in some row of positive weight, got y = 0 in all; "
            "the intercept has no maximum. Set fit_intercept=False or add rows."
        )


class Gamma(RowDatafit):
    """``y e^-eta + eta``: gamma distribution of unit shape with a logarithmic link."""

    name = "gamma"

    def check(self, y: Vector) -> None:
        """``y > 0``."""
        refuse_rows(y <= 0, y, self.name, "> 0", "drop these rows or take family='poisson'")
        self.log_y = np.log(y)

    def terms(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Loss of each row, its first and its second derivative."""
        ratio = bounded_exp(self.log_y - eta)
        return ratio + eta, 1.0 - ratio, ratio

    def conjugate_terms(self, t: Vector) -> Vector:
        """``s log(s / y) - s`` with ``s = 1 - t >= 0``."""
        s = 1.0 - t
        outside = s < -DUAL_ROUNDING
        s = np.maximum(s, 0.0)
        return np.where(outside, np.inf, xlogy(s, s) - s * self.log_y - s)

    def saturated_terms(self) -> Vector:
        """``1 + log y``."""
        return np.asarray(1.0 + self.log_y)

    def link(self, mean: float) -> float:
        """Logarithm."""
        return float(np.log(mean))

    def mean(self, eta: Vector) -> Vector:
        """Expected response."""
        return bounded_exp(eta)
