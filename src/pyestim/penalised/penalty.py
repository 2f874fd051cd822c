"""One penalty, one class: value, proximal operator, distance to the subdifferential, native code.

The weights ``l1``, ``l2`` and the bounds belong to the coefficients and are passed in: along a path
they change, the penalty does not. The formulas are those of ``csrc/math/prox.hpp``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from pyestim.engine.stats import Vector


@dataclass(frozen=True)
class Weights:
    """What a coefficient is charged, and where it may lie; every array of shape (p,)."""

    l1: Vector
    l2: Vector
    lower: Vector
    upper: Vector

    def of(self, columns: Any) -> Weights:
        """Weights of some columns."""
        return Weights(*(a[columns] for a in (self.l1, self.l2, self.lower, self.upper)))


class Penalty(Protocol):
    """Sum over coefficients (p,), or over rows of (p, K).

    Attributes
    ----------
    code : int
        Number of the formula in the native core.
    grouped : bool
        Whether all outputs of a column are one group.
    convex : bool
        Without convexity there is no duality gap: the violation of the first-order conditions is
        the certificate.
    """

    code: ClassVar[int]
    grouped: ClassVar[bool]
    convex: ClassVar[bool]

    @property
    def parameter(self) -> float:
        """Shape parameter."""

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""

    def distance(self, gradient: Vector, beta: Vector, weights: Weights) -> Vector:
        """Distance of ``-gradient`` from the subdifferential at ``beta``, bounds included."""


def distance_to_interval(u: Vector, beta: Vector, slope: Vector, w: Weights) -> Vector:
    """Distance of ``u`` from the subdifferential whose part at ``beta != 0`` is ``slope``.

    It is ``[-l1, l1]`` at zero, and a bound that is reached adds the half line outwards.
    """
    low = np.where(beta == 0.0, -w.l1, slope)
    high = np.where(beta == 0.0, w.l1, slope)
    low = np.where(beta <= w.lower, -np.inf, low)
    high = np.where(beta >= w.upper, np.inf, high)
    return np.maximum(np.maximum(low - u, u - high), 0.0)


@dataclass(frozen=True)
class ElasticNet:
    """``l1 |b| + l2 b^2 / 2``."""

    code: ClassVar[int] = 0
    grouped: ClassVar[bool] = False
    convex: ClassVar[bool] = True
    parameter: float = 0.0

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""
        return float((weights.l1 @ np.abs(beta)) + 0.5 * (weights.l2 @ (beta * beta)))

    def distance(self, gradient: Vector, beta: Vector, weights: Weights) -> Vector:
        """Distance of ``-gradient`` from the subdifferential at ``beta``."""
        slope = weights.l1 * np.sign(beta) + weights.l2 * beta
        return distance_to_interval(-gradient, beta, slope, weights)


@dataclass(frozen=True)
class L1(ElasticNet):
    """``l1 |b|``: the elastic net whose ``l2`` is zero, which the native code need not know."""

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""
        return float(weights.l1 @ np.abs(beta))


@dataclass(frozen=True)
class AdaptiveL1(L1):
    """``l1 |b| / |b0|^power`` around a first estimate ``b0``: the weights are made by `adapted`."""

    power: float = 1.0

    def adapted(self, weights: Vector, estimate: Vector) -> Vector:
        """Penalty weights divided by ``|estimate|^power``; infinite (excluded) at zero."""
        size = np.abs(estimate) ** self.power
        return np.divide(weights, size, out=np.full_like(size, np.inf), where=size > 0)


@dataclass(frozen=True)
class MCP:
    """Slope ``l1`` at zero, falling to zero at ``|b| = gamma l1``; plus ``l2 b^2 / 2``."""

    parameter: float = 3.0
    code: ClassVar[int] = 1
    grouped: ClassVar[bool] = False
    convex: ClassVar[bool] = False

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""
        return float(self.terms(beta, weights).sum())

    def terms(self, beta: Vector, weights: Weights) -> Vector:
        """Penalty of each coefficient."""
        size, gamma = np.abs(beta), self.parameter
        inner = weights.l1 * size - size * size / (2.0 * gamma)
        outer = 0.5 * gamma * weights.l1 * weights.l1
        flat = np.where(size <= gamma * weights.l1, inner, outer)
        return np.asarray(flat + 0.5 * weights.l2 * beta * beta)

    def distance(self, gradient: Vector, beta: Vector, weights: Weights) -> Vector:
        """Distance of ``-gradient`` from the subdifferential at ``beta``."""
        slope = np.sign(beta) * np.maximum(weights.l1 - np.abs(beta) / self.parameter, 0.0)
        return distance_to_interval(-gradient, beta, slope + weights.l2 * beta, weights)


@dataclass(frozen=True)
class SCAD:
    """Slope ``l1`` up to ``|b| = l1``, then falling to zero at ``a l1``; plus ``l2 b^2 / 2``."""

    parameter: float = 3.7
    code: ClassVar[int] = 2
    grouped: ClassVar[bool] = False
    convex: ClassVar[bool] = False

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""
        return float(self.terms(beta, weights).sum())

    def terms(self, beta: Vector, weights: Weights) -> Vector:
        """Penalty of each coefficient."""
        size, a, l1 = np.abs(beta), self.parameter, weights.l1
        middle = (2.0 * a * l1 * size - size * size - l1 * l1) / (2.0 * (a - 1.0))
        outer = np.where(size <= a * l1, middle, 0.5 * l1 * l1 * (a + 1.0))
        flat = np.where(size <= l1, l1 * size, outer)
        return np.asarray(flat + 0.5 * weights.l2 * beta * beta)

    def distance(self, gradient: Vector, beta: Vector, weights: Weights) -> Vector:
        """Distance of ``-gradient`` from the subdifferential at ``beta``."""
        size, a = np.abs(beta), self.parameter
        falling = np.maximum(a * weights.l1 - size, 0.0) / (a - 1.0)
        slope = np.sign(beta) * np.minimum(falling, weights.l1)
        return distance_to_interval(-gradient, beta, slope + weights.l2 * beta, weights)


@dataclass(frozen=True)
class GroupL1:
    """``l1 ||b_j||_2 + l2 ||b_j||^2 / 2`` for each row of ``beta`` (p, K); bounds do not apply."""

    parameter: float = 0.0
    code: ClassVar[int] = 3
    grouped: ClassVar[bool] = True
    convex: ClassVar[bool] = True

    def value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of ``beta``."""
        size = np.linalg.norm(beta, axis=1)
        return float((weights.l1 @ size) + 0.5 * (weights.l2 @ (size * size)))

    def distance(self, gradient: Vector, beta: Vector, weights: Weights) -> Vector:
        """Distance of ``-gradient`` from the subdifferential of each row."""
        size = np.linalg.norm(beta, axis=1)
        unit = beta / np.where(size > 0, size, 1.0)[:, None]
        smooth = gradient + weights.l2[:, None] * beta
        at_zero = np.maximum(np.linalg.norm(smooth, axis=1) - weights.l1, 0.0)
        elsewhere = np.linalg.norm(smooth + weights.l1[:, None] * unit, axis=1)
        return np.asarray(np.where(size > 0, elsewhere, at_zero))
