"""Gaussian experts: linear means and a residual covariance, own or shared."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Shape, Stats, Vector
from pyestim.models import kernels
from pyestim.models.covariance import Covariance
from pyestim.models.expert_penalty import DESCENT_TOL, Penalty, descend, unpenalised
from pyestim.models.gaussian import SMALLEST_WEIGHT
from pyestim.models.monotone import solve_normal
from pyestim.models.packing import n_packed, unpacked
from pyestim.models.structures import Full, Tied

Indices = NDArray[np.intp]
Mask = NDArray[np.bool_]

#: Alternations between slopes and scale in one penalised update, and the change that ends them.
#: The next update goes on from there: more of them gain little before the responsibilities move.
MOST_ALTERNATIONS, SCALE_TOL = 2, 1e-9
#: Largest logarithm of a scale whose square is a number.
LARGEST_LOG = 300.0
#: Least residual variance of an expert, relative to that of one regression on all rows.
VARIANCE_FLOOR = 1e-6


@dataclass(frozen=True, slots=True)
class GaussianExpertParams:
    """Linear predictors and residual covariances, in working coordinates.

    Attributes
    ----------
    coef : ndarray of shape (K, m, 1 + p)
        Intercept first.
    covariance : Covariance
        Values (K, m, m), or (m, m) where the experts share one.
    """

    coef: Vector
    covariance: Covariance


class GaussianExperts:
    """``y | x, k ~ N(c_k + A_k x, Sigma_k)``.

    Without l1 penalty the update is the exact maximum: with the residuals' second moments ``R``
    and ``s = sum r e x'`` about the old coefficients, the new ones are ``b + s G^-1`` and the
    residual moments ``R - s G^-1 s'``.  The floor on the covariance is the exact maximum under
    that constraint, since the coefficients do not depend on the covariance.

    Penalties act on ``phi = slope / sigma``, so that they do not depend on the unit of y
    (Staedler, Buehlmann, van de Geer 2010); the problem is jointly convex in ``1 / sigma`` and
    ``phi``.  Slopes and scale are improved in turn, each exactly: slopes by coordinate descent
    on ``G`` with the threshold ``W l1 sigma``; the scale, given the slopes, solves

        N sigma^2 - W (sum l1 |b|) sigma - (RSS + W sum l2 b^2) = 0.

    A point that both leave alone satisfies the conditions of the joint maximum.

    Parameters
    ----------
    n_experts, n_predictors, n_outputs : int
    floor_sd : ndarray of shape (m,)
        Residual scale of one regression on all rows, in working coordinates.
    share_scale : bool
        One residual covariance for all experts.
    penalty : Penalty, optional
        Of one expert's coefficients; one output only.
    """

    family = "gaussian"

    def __init__(
        self,
        n_experts: int,
        n_predictors: int,
        n_outputs: int = 1,
        *,
        floor_sd: Vector | None = None,
        share_scale: bool = False,
        penalty: Penalty | None = None,
    ) -> None:
        self.n_experts, self.n_predictors, self.n_linear = n_experts, n_predictors, n_outputs
        self.share_scale = share_scale
        self._penalty = penalty or unpenalised(n_predictors)
        if n_outputs > 1 and not self._penalty.absent:
            raise ValueError(
                f"GaussianExperts: penalties need one output, got {n_outputs}; fit the outputs "
                "one by one, or without penalty."
            )
        floor_sd = np.ones(n_outputs) if floor_sd is None else floor_sd
        kind = Tied if share_scale else Full
        self.structure = kind(n_experts, n_outputs, floor_sd, VARIANCE_FLOOR)
        self._log_unit = -0.5 * n_outputs * log(2.0 * pi)

    @property
    def windows(self) -> dict[str, Shape]:
        """Names and shapes of the statistics that are the experts' own."""
        k, m, b = self.n_experts, self.n_linear, 1 + self.n_predictors
        return {
            "expert_score": (k, m, b),
            "expert_gram": (k, n_packed(b)),
            "residual": (k, n_packed(m)),
        }

    @property
    def n_parameters(self) -> int:
        """Free parameters."""
        slopes = self.n_experts * self.n_linear * (1 + self.n_predictors)
        return slopes + self.structure.n_parameters()

    @property
    def n_packed(self) -> int:
        """Length of the packed vector."""
        return self.n_parameters

    def arrays(self, params: GaussianExpertParams) -> tuple[Vector, Vector, Vector]:
        """Coefficients, inverse factors (K, m, m) and log-norms (K,) as the kernels take them."""
        if not self.share_scale:
            covariance = params.covariance
            return params.coef, covariance.factors, covariance.log_det + self._log_unit
        k, m = self.n_experts, self.n_linear
        factors = np.broadcast_to(params.covariance.factors, (k, m, m))
        log_norm = np.broadcast_to(params.covariance.log_det + self._log_unit, (k,))
        return params.coef, factors, log_norm

    def covariances(self, params: GaussianExpertParams) -> Vector:
        """Residual covariances of all experts: (K, m, m)."""
        return np.array(self.structure.expand(params.covariance.values))

    def params(self, coef: Vector, covariances: Vector | None) -> GaussianExpertParams:
        """Return parameters with these coefficients and covariances (K, m, m), above the floor."""
        assert covariances is not None, "gaussian experts have a covariance"
        values = self.structure.restrict(np.ascontiguousarray(covariances), np.ones(self.n_experts))
        return GaussianExpertParams(
            np.ascontiguousarray(coef, dtype=np.float64),
            self.structure.finish(np.ascontiguousarray(values)),
        )

    @property
    def penalised(self) -> bool:
        """Whether a penalty settles what the rows leave open."""
        return not self._penalty.absent

    def penalty(self, params: GaussianExpertParams) -> float:
        """Penalty per unit weight."""
        if self._penalty.absent:
            return 0.0
        sigma = np.sqrt(self.covariances(params)[:, 0, 0])
        return self._penalty.value(params.coef[:, 0] / sigma[:, None])

    def ridge(self, params: GaussianExpertParams) -> Vector:
        """Curvature of the ridge per unit weight, at given scales: (K, m, 1 + p)."""
        variances = np.diagonal(self.covariances(params), axis1=1, axis2=2)
        return np.asarray(self._penalty.l2 / variances[..., None])

    # -- the update -----------------------------------------------------------------------------

    def update(self, params: GaussianExpertParams, stats: Stats) -> GaussianExpertParams:
        """Exact maximum, or one that is exact in slopes and scales in turn."""
        alive = stats["resp_sum"] > SMALLEST_WEIGHT
        if not alive.any():
            return params
        if self._penalty.sparse and not self.share_scale:
            return self._sparse(params, stats, alive)
        if not self._penalty.absent:
            return self._penalised(params, stats, alive)
        score = stats["expert_score"]
        step = solve_normal(unpacked(stats["expert_gram"]), score.transpose(0, 2, 1))
        # An expert without rows has a score of zero and stays where it is.
        coef = params.coef + step.transpose(0, 2, 1)
        second = unpacked(stats["residual"]) - score @ step
        second = 0.5 * (second + second.transpose(0, 2, 1))
        return self._with_moments(params, coef, second, stats["resp_sum"], alive)

    def _with_moments(
        self,
        params: GaussianExpertParams,
        coef: Vector,
        second: Vector,
        resp_sum: Vector,
        alive: Mask,
    ) -> GaussianExpertParams:
        """Covariances from residual second moments (K, m, m); an expert without rows keeps its."""
        if self.share_scale:
            values = second[alive].sum(axis=0) / resp_sum[alive].sum()
        else:
            values = second / np.where(alive, resp_sum, 1.0)[:, None, None]
            values[~alive] = params.covariance.values[~alive]
        return GaussianExpertParams(coef, self.structure.finish(np.ascontiguousarray(values)))

    def _sparse(
        self, params: GaussianExpertParams, stats: Stats, alive: Mask
    ) -> GaussianExpertParams:
        """`_penalised` of experts with a scale each, all in one call."""
        values, resp_sum = params.covariance.values, stats["resp_sum"]
        some = slice(None) if alive.all() else alive
        coef = params.coef[:, 0]
        slopes, sigma = kernels.scaled_lasso_steps(
            stats["expert_gram"][some],
            stats["expert_score"][some, 0],
            coef[some],
            self._penalty.l1,
            self._penalty.l2,
            stats.number("weight_sum"),
            DESCENT_TOL,
            np.sqrt(values[some, 0, 0]),
            stats["residual"][some, 0],
            resp_sum[some],
            self._floor,
            MOST_ALTERNATIONS,
            SCALE_TOL,
        )
        if some is alive:
            coef, values = coef.copy(), values.copy()
            coef[alive], values[alive, 0, 0] = slopes, sigma * sigma
            covariance = self.structure.finish(values)
        else:
            coef, covariance = slopes, self._own_scales(sigma)
        return GaussianExpertParams(np.ascontiguousarray(coef[:, None]), covariance)

    def _own_scales(self, sigma: Vector) -> Covariance:
        """Variances of experts with one output, ready for the kernels."""
        variances = (sigma * sigma)[:, None, None]
        if np.minimum.reduce(sigma) <= self._floor * (1.0 + 1e-9):
            return self.structure.finish(variances)
        return Covariance(variances, (1.0 / sigma)[:, None, None], -np.log(sigma))

    def _penalised(
        self, params: GaussianExpertParams, stats: Stats, alive: Mask
    ) -> GaussianExpertParams:
        start = np.sqrt(self.covariances(params)[:, 0, 0])
        coef, resp_sum = params.coef.copy(), stats["resp_sum"]
        second = np.zeros((self.n_experts, 1, 1))
        together = np.flatnonzero(alive)
        weight = stats.number("weight_sum")
        for group in [together] if self.share_scale else together[:, None]:
            problems = [
                _Problem(self._penalty, params.coef[k, 0], stats, int(k), weight) for k in group
            ]
            sigma = self._alternate(problems, start[group[0]], float(resp_sum[group].sum()))
            for k, problem in zip(group, problems, strict=True):
                coef[k, 0] = problem.coef
            second[group] = sigma**2 * resp_sum[group, None, None]
        return self._with_moments(params, coef, second, resp_sum, alive)

    def _alternate(self, problems: list[_Problem], sigma: float, count: float) -> float:
        """Improve the slopes of experts with one scale, and the scale, in turn."""
        floor = self._floor
        for _ in range(MOST_ALTERNATIONS):
            before = sigma
            linear = square = 0.0
            for problem in problems:
                size, rest = problem.improve(sigma)
                linear, square = linear + size, square + rest
            sigma = (linear + sqrt(linear * linear + 4.0 * count * max(square, 0.0))) / (2 * count)
            sigma = max(sigma, floor)
            if abs(sigma - before) <= SCALE_TOL * sigma:
                break
        return sigma

    @cached_property
    def _floor(self) -> float:
        """Least scale of one output."""
        return sqrt(self.structure.reg_covar) * float(self.structure.floor_sd[0])

    # -- coordinates ----------------------------------------------------------------------------

    def pack(self, params: GaussianExpertParams) -> Vector:
        """Coefficients, then the coordinates of the covariances."""
        return np.concatenate([params.coef.ravel(), self.structure.pack(params.covariance)])

    def unpack(self, vector: Vector) -> GaussianExpertParams:
        """Inverse of `pack`."""
        if not np.isfinite(vector).all():
            raise Infeasible("coefficients are not finite")
        shape = (self.n_experts, self.n_linear, 1 + self.n_predictors)
        size = int(np.prod(shape))
        coef = vector[:size].reshape(shape).copy()
        if self.n_linear == 1 and not self.share_scale:
            return GaussianExpertParams(coef, self._own_scales(self._exponentials(vector[size:])))
        return GaussianExpertParams(coef, self.structure.unpack(vector[size:]))

    @staticmethod
    def _exponentials(logarithms: Vector) -> Vector:
        """Scales from their logarithms."""
        if np.abs(logarithms).max() > LARGEST_LOG:
            raise Infeasible("scales are not finite")
        return np.asarray(np.exp(logarithms))

    @property
    def kinks(self) -> Mask:
        """Coordinates whose penalty has a kink at zero."""
        slopes = np.tile(self._penalty.l1 > 0.0, self.n_experts * self.n_linear)
        return np.append(slopes, np.zeros(self.n_packed - len(slopes), dtype=bool))

    def permuted(self, params: GaussianExpertParams, order: Indices) -> GaussianExpertParams:
        """Return the experts in another order."""
        if self.share_scale:
            return GaussianExpertParams(params.coef[order], params.covariance)
        return self.params(params.coef[order], params.covariance.values[order])

    def on_floor(self, params: GaussianExpertParams) -> Mask:
        """Experts whose residual covariance sits on the floor: (K,) of bool."""
        outer = np.multiply.outer(self.structure.floor_sd, self.structure.floor_sd)
        scaled = self.covariances(params) / outer
        least = scaled[:, 0, 0] if self.n_linear == 1 else np.linalg.eigvalsh(scaled)[:, 0]
        return np.asarray(least <= self.structure.reg_covar * (1.0 + 1e-6))


class _Problem:
    """Penalised least squares of one expert from sums about its old coefficients."""

    def __init__(self, penalty: Penalty, coef: Vector, stats: Stats, k: int, weight: float) -> None:
        self.old = self.coef = coef
        self.gram = unpacked(stats["expert_gram"][k])
        self.score = stats["expert_score"][k, 0]
        self.square = float(stats["residual"][k, 0])
        self.linear = self.score + self.gram @ coef
        self.sparse = penalty.sparse
        self.l1, self.l2 = weight * penalty.l1, weight * penalty.l2

    def improve(self, sigma: float) -> tuple[float, float]:
        """Minimise over the slopes at this scale; return ``W sum l1 |b|`` and the squares."""
        if self.sparse:
            self.coef = descend(self.gram, self.linear, self.coef, sigma * self.l1, self.l2)
        elif self.coef is self.old:
            ridge = np.diag(self.l2)
            slope = self.score - self.l2 * self.old
            self.coef = self.old + solve_normal(self.gram + ridge, slope[:, None])[:, 0]
        gap = self.coef - self.old
        squares = self.square + float(gap @ (self.gram @ gap - 2.0 * self.score))
        squares += float(self.l2 @ (self.coef * self.coef))
        return float(self.l1 @ np.abs(self.coef)), squares
