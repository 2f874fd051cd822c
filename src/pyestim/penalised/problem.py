"""A penalised likelihood: design, datafit, penalty; and the model without its penalised part."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import Datafit, reciprocal
from pyestim.penalised.null import NullFit, basis, fit_null
from pyestim.penalised.penalty import ElasticNet, Penalty, Weights

if TYPE_CHECKING:
    from pyestim.data.design import Design

#: A pure ridge has no penalty above which all is zero: lambda_max is that of this share of l1.
LEAST_L1_RATIO = 1e-3
#: A slope below this share of its bound by Cauchy-Schwarz is zero.
SLOPE_ROUNDING = 64 * float(np.finfo(float).eps)


@dataclass(frozen=True)
class Problem:
    """``datafit(offset + intercept + design beta) + alpha * penalty(beta)``, within bounds.

    Everything is on the scale of the design's columns, which are centred and scaled implicitly.

    Parameters
    ----------
    design : Design
        Columns of mean zero if there is an intercept.
    datafit : Datafit
        Responses and weights of the rows.
    l1, l2 : ndarray of shape (p,)
        Weights of the penalty at ``alpha = 1``. Both zero: unpenalised. Infinite: excluded.
    lower, upper : ndarray of shape (p,), optional
        Bounds of the coefficients; they contain zero.
    fit_intercept : bool
        Whether there is an unpenalised constant for each output.
    offset : ndarray, optional
        Part of the linear predictor that is not fitted, in its shape.
    penalty : Penalty
        Formula.
    """

    design: Design
    datafit: Datafit
    l1: Vector
    l2: Vector
    lower: Vector | None = None
    upper: Vector | None = None
    fit_intercept: bool = True
    offset: Vector | None = None
    penalty: Penalty = field(default_factory=ElasticNet)

    def __post_init__(self) -> None:
        """Refuse what no solver could make sense of."""
        p = self.design.p
        for name in ("l1", "l2", "lower", "upper"):
            given = getattr(self, name)
            if given is not None and given.shape != (p,):
                raise ValueError(f"{name}: expected shape ({p},), got {given.shape}; one a column.")
        if not (np.all(self.l1 >= 0) and np.all(self.l2 >= 0)):
            raise ValueError("l1, l2: expected weights >= 0; a negative penalty has no minimum.")
        bounds = self.weights
        if np.any(bounds.lower > 0) or np.any(bounds.upper < 0):
            raise ValueError("lower, upper: expected bounds that contain zero; shift the offset.")
        if self.fit_intercept and not self.datafit.takes_intercept:
            raise ValueError(
                f"family={self.datafit.name!r}: expected fit_intercept=False, got True; the "
                "likelihood does not depend on an intercept."
            )

    @cached_property
    def excluded(self) -> Any:
        """Columns with an infinite penalty."""
        return np.isinf(self.l1) | np.isinf(self.l2)

    @cached_property
    def weights(self) -> Weights:
        """Penalty at ``alpha = 1``; excluded columns are held at zero by their bounds."""
        out = self.excluded
        lower = np.full(self.design.p, -np.inf) if self.lower is None else self.lower
        upper = np.full(self.design.p, np.inf) if self.upper is None else self.upper
        parts = (self.l1, self.l2, lower, upper)
        return Weights(*(np.where(out, 0.0, part) for part in parts))

    @cached_property
    def unpenalised(self) -> Any:
        """Numbers of the columns that are neither penalised nor held at zero."""
        w = self.weights
        return np.flatnonzero((w.l1 == 0) & (w.l2 == 0) & (w.lower < w.upper))

    @cached_property
    def bounded(self) -> bool:
        """Whether a coefficient that may move has a finite bound."""
        w = self.weights
        moves = w.lower < w.upper
        return bool(np.any(np.isfinite(w.lower[moves])) or np.any(np.isfinite(w.upper[moves])))

    @cached_property
    def norms(self) -> Vector:
        """Norms of the columns, with the weights of the rows."""
        return np.sqrt(self.design.column_squares(self.datafit.weight))

    @cached_property
    def null(self) -> NullFit:
        """Best model without the penalised columns."""
        return fit_null(self)

    @cached_property
    def null_slopes(self) -> Vector:
        """Gradient of the datafit in all coefficients at the null model."""
        return np.asarray(self.design.dot(self.datafit.gradient(self.null.eta)))

    @cached_property
    def explained(self) -> bool:
        """Whether penalised columns have nothing to add to the null model but its rounding."""
        w = self.weights
        penalised = (w.l1 > 0) | (w.l2 > 0)
        if not penalised.any():
            return False
        eta, weight = self.null.eta, self.datafit.weight
        size = np.abs(eta)
        if self.datafit.name != "gaussian":  # predictors without a unit: errors of exp
            size = np.maximum(size, 1.0)
        blur = (self.datafit.quadratic(eta)[2] * size).reshape(self.design.n, -1)
        total = float(reciprocal(weight) @ np.sum(blur * blur, axis=1))
        slopes = np.abs(self.null_slopes.reshape(self.design.p, -1)).max(axis=1)
        least = SLOPE_ROUNDING * np.sqrt(total) * self.norms
        return bool(np.all(slopes[penalised] <= least[penalised]))

    @cached_property
    def free_columns(self) -> Vector:
        """Dense matrix of the constant, if there is an intercept, and the unpenalised columns."""
        return basis(self, self.unpenalised)

    @cached_property
    def scale(self) -> float:
        """Unit of relative duality gaps: loss of the null model above the saturated one.

        It is half the null deviance per unit weight; one where the null model fits perfectly.
        """
        excess = self.null.value - self.datafit.saturated
        return excess if excess > 0 else 1.0

    def at(self, alpha: float) -> Problem:
        """The problem with weights multiplied by ``alpha``."""
        penalised = replace(self, l1=self.scaled(self.l1, alpha), l2=self.scaled(self.l2, alpha))
        penalised.__dict__["norms"] = self.norms
        # The model without the penalised columns is the same as long as they are penalised.
        if alpha > 0:
            penalised.__dict__.update(null=self.null, free_columns=self.free_columns)
        return penalised

    def scaled(self, weights: Vector, alpha: float) -> Vector:
        """``alpha * weights``; infinite ones stay so at ``alpha = 0``."""
        return np.where(np.isinf(weights), np.inf, alpha * np.where(np.isinf(weights), 0, weights))

    def predictor(self, beta: Vector, intercept: Any) -> Vector:
        """Linear predictor of coefficients (p,) or (p, K) and an intercept () or (K,)."""
        used = np.flatnonzero(beta if beta.ndim == 1 else beta.any(axis=1))
        shape = (self.design.n,) if beta.ndim == 1 else (self.design.n, beta.shape[1])
        eta = np.zeros(shape) if self.offset is None else self.offset + np.zeros(shape)
        eta += intercept
        if used.size:
            eta += times(self.design, beta[used], used)
        return eta

    def objective(self, beta: Vector, intercept: Any) -> float:
        """Mean loss and penalty."""
        loss = self.datafit.value(self.predictor(beta, intercept))
        return loss + self.penalty_value(beta, self.weights)

    def penalty_value(self, beta: Vector, weights: Weights) -> float:
        """Penalty of coefficients, summed over the outputs."""
        if beta.ndim == 1 or self.penalty.grouped:
            return self.penalty.value(beta, weights)
        return sum(self.penalty.value(column, weights) for column in beta.T)


def times(design: Design, beta: Vector, columns: Any) -> Vector:
    """Columns times coefficients, also for several outputs."""
    if beta.ndim == 1:
        return np.asarray(design.times(np.ascontiguousarray(beta), columns))
    outputs = [design.times(np.ascontiguousarray(column), columns) for column in beta.T]
    return np.stack(outputs, axis=1)


def pull(
    problem: Problem, gradient: Vector, weights: Weights, *, unbounded: bool = False
) -> Vector:
    """Largest slope with which each coefficient could leave zero, (p,): the l1 weight to hold it.

    ``gradient`` (p,) or (p, K) is that of the datafit; a direction that a bound closes pulls not,
    and with ``unbounded`` neither does one that ends at a bound.
    """
    w = weights
    if gradient.ndim == 2 and problem.penalty.grouped:
        size = np.linalg.norm(gradient, axis=1)
        return np.where(w.lower < w.upper, size, 0.0)
    if gradient.ndim == 1 and not (problem.bounded or problem.excluded.any()):
        return np.abs(gradient)
    if not gradient.size:
        return np.zeros(len(gradient))
    by_output = gradient if gradient.ndim == 2 else gradient[:, None]
    rises = w.upper == np.inf if unbounded else w.upper > 0
    falls = w.lower == -np.inf if unbounded else w.lower < 0
    upwards = np.where(rises, -by_output.min(axis=1), 0.0)
    downwards = np.where(falls, by_output.max(axis=1), 0.0)
    return np.maximum(np.maximum(upwards, downwards), 0.0)


def lambda_max(problem: Problem) -> float:
    """Smallest alpha at which all penalised coefficients are zero, unpenalised ones fitted first.

    For a part of the penalty that is pure ridge there is none; the value is then that of an l1
    share of `LEAST_L1_RATIO`.
    """
    w = problem.weights
    penalised = (w.l1 > 0) | (w.l2 > 0)
    if not penalised.any():
        return 0.0
    charge = np.maximum(w.l1, LEAST_L1_RATIO * (w.l1 + w.l2))
    pulled = pull(problem, problem.null_slopes, w)
    if problem.explained:
        return 0.0
    return float(np.max(pulled[penalised] / charge[penalised]))
