"""Linear models whose responses are known up to an interval.

``y = offset + x~' b + s e`` with e of a law of `error_laws`; a row is exact, or known to lie
between two limits. Parameters are kept as ``g = b / s`` and ``h = 1 / s``: with them the
log-likelihood of the normal and the logistic law is concave, whatever the limits, since the set of
all ``(e, g, h)`` with ``h l - x~' g <= e <= h u - x~' g`` is convex and marginals of log-concave
functions are log-concave. So Newton's method has one goal there. Its coordinates are changes of g,
and of h at the same b: they are linear in (g, h), and lose no digits where the scale is small.

The step that never descends treats each response, and the variance of its error given that it is a
mixture of normal laws, as missing: with r the derivatives of the log-likelihood by the linear
predictors, in units of s, ``C = sum w E[z^2 weight(z)]`` and c the largest weight of the law::

    g <- g + d,  d = (c X'WX)^-1 X'r,   s^2 <- s^2 (C - r'X d) / W   and b = s g before it,

which is the EM algorithm for the normal law, and least squares in one step without limits.

References
----------
Olsen (1978), Note on the uniqueness of the maximum likelihood estimator for the Tobit model.
doi:10.2307/1913445
Burridge (1981), A note on maximum likelihood estimation for regression models using grouped data.
doi:10.1111/j.2517-6161.1981.tb01149.x
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, isfinite, log, sqrt

import numpy as np
from numpy.typing import NDArray

from pyestim.data.censored import CensoredChunk, CensoredSource
from pyestim.engine.model import Capability, Direction, Infeasible
from pyestim.engine.stats import Layout, Stats, Vector
from pyestim.engine.sweep import LocalSweep
from pyestim.models.censored_kernels import censored_sweep
from pyestim.models.error_laws import largest_curve, shape_of
from pyestim.models.monotone import SINGULAR, n_redundant, solve_normal
from pyestim.models.packing import n_packed, unpacked

#: Range of the scale, relative to the standard deviation of the responses.
SMALLEST_SCALE, LARGEST_SCALE = 1e-8, 1e8
#: A step leaves at least this part of the inverse scale.
LEAST_PART = 0.2
#: Information below this share of what exact rows would have is none.
FLAT = 1e-8
#: A combination of columns meets limits up to this share of their spread; sums of squares cancel.
ROUNDING = 1e-7


@dataclass(frozen=True, slots=True)
class CensoredParams:
    """Parameters in working coordinates.

    Attributes
    ----------
    coef : ndarray of shape (1 + p,)
        In units of the scale, intercept first.
    inverse_scale : float
    """

    coef: Vector
    inverse_scale: float


class CensoredRegression:
    """A linear model of censored responses.

    Parameters
    ----------
    law : {"normal", "logistic", "t"}
    df : float
        Degrees of freedom of Student's law.
    gram : ndarray of shape (1 + p, 1 + p)
        ``sum w x~ x~'``.
    free : ndarray of bool of shape (1 + p,)
        Coefficients that are estimated; the others stay zero.
    fixed_scale : float, optional
        Scale in working coordinates, where it is not estimated.
    unit : float
        Standard deviation of the responses, which bounds the scale.
    any_exact : bool
        Whether a row is known exactly.
    held_at : float, optional
        The fixed scale in the unit of the data, where it is fixed because no row tells it.
    """

    name = "censored regression"
    halo = 0
    supports = frozenset(
        {Capability.WEIGHTS, Capability.FLOAT32, Capability.STREAM, Capability.NEWTON}
    )

    def __init__(
        self,
        law: str,
        df: float,
        gram: Vector,
        free: NDArray[np.bool_],
        fixed_scale: float | None = None,
        unit: float = 1.0,
        any_exact: bool = True,
        held_at: float | None = None,
    ) -> None:
        self.law, self.df, self.gram, self.free = law, df, gram, free
        self.fixed_scale, self.unit, self.any_exact = fixed_scale, unit, any_exact
        self.held_at = held_at
        self.shape = shape_of(law, df)
        self.least_inverse = 1.0 / (LARGEST_SCALE * unit)
        self.largest_inverse = 1.0 / (SMALLEST_SCALE * unit)

    @cached_property
    def layout(self) -> Layout:
        """Names and shapes of the statistics, in the order of the kernels."""
        m = len(self.free)
        return Layout(
            {
                "log_likelihood": (),
                "weight_sum": (),
                "scale_score": (),
                "scale_curvature": (),
                "score": (m,),
                "cross": (m,),
                "curvature": (n_packed(m),),
            }
        )

    @property
    def n_parameters(self) -> int:
        """Free parameters, without the degrees of freedom."""
        return int(np.count_nonzero(self.free)) + (self.fixed_scale is None)

    @property
    def scale_asked(self) -> bool:
        """Whether the scale was to be estimated."""
        return self.fixed_scale is None or self.held_at is not None

    def with_df(self, df: float) -> CensoredRegression:
        """Return the same model with other degrees of freedom."""
        given = (self.gram, self.free, self.fixed_scale, self.unit, self.any_exact, self.held_at)
        return CensoredRegression(self.law, df, *given)

    def accumulate(
        self, params: Sequence[CensoredParams], chunk: CensoredChunk, out: Vector
    ) -> None:
        """Write log-likelihood, gradient and curvature of every candidate."""
        coef = np.array([p.coef for p in params])
        inverse = np.array([p.inverse_scale for p in params])
        shape = np.tile(self.shape, (len(params), 1))
        censored_sweep(chunk, self.law, coef, inverse, shape, out)

    def objective(self, params: CensoredParams, stats: Stats) -> float:
        """Log-likelihood in working coordinates."""
        return stats.number("log_likelihood")

    # -- steps ----------------------------------------------------------------------------------

    def update(self, params: CensoredParams, stats: Stats) -> CensoredParams:
        """One step that never descends."""
        weight, free = stats.number("weight_sum"), self.free
        score = stats["score"]
        step = np.zeros_like(params.coef)
        if free.any():
            curve = largest_curve(self.law, self.df) * self.gram[np.ix_(free, free)]
            step[free] = solve_normal(curve, score[free, None])[:, 0]
        coef = params.coef + step
        if self.fixed_scale is not None:
            return replace(params, coef=coef)
        squares = weight - stats.number("scale_score")
        ratio = sqrt(max(squares - float(step @ score), 0.0) / weight)
        inverse = self._bounded(params.inverse_scale / ratio if ratio > 0.0 else float("inf"))
        return CensoredParams(coef * (inverse / params.inverse_scale), inverse)

    def newton(self, params: CensoredParams, stats: Stats) -> Direction:
        """Newton's direction in the coefficients and the relative change of the inverse scale."""
        gradient, information = self.derivatives(params, stats)
        values, vectors, unit = _spectrum(information)
        kept = np.abs(values) > SINGULAR * len(values)
        along = vectors.T @ (gradient / unit)
        inverse = np.divide(1.0, np.abs(values), out=np.zeros_like(values), where=kept)
        step = (vectors @ (inverse * along)) / unit
        last = step[-1]
        longest = (1.0 - LEAST_PART) / -last if last < 0.0 else 1.0
        slope = float(gradient @ step) / stats.number("weight_sum")
        concave = bool(values.min() > -SINGULAR * len(values))
        return Direction(step, slope, concave, min(longest, 1.0))

    def moved(self, params: CensoredParams, direction: Direction, length: float) -> CensoredParams:
        """Return the parameters after ``length`` times the step."""
        step = length * direction.step
        inverse = self._bounded(params.inverse_scale * (1.0 + step[-1]))
        # A change of the inverse scale alone keeps the location.
        coef = params.coef * (inverse / params.inverse_scale) + step[:-1]
        return CensoredParams(coef, inverse)

    def derivatives(self, params: CensoredParams, stats: Stats) -> tuple[Vector, Vector]:
        """Gradient and information by the coefficients and the relative inverse scale.

        Rows and columns of what does not move are those of a unit matrix.
        """
        m = len(self.free)
        gradient = np.append(stats["score"], stats.number("scale_score"))
        information = np.empty((m + 1, m + 1))
        information[:m, :m] = -unpacked(stats["curvature"])
        information[:m, m] = information[m, :m] = -stats["cross"]
        information[m, m] = -stats.number("scale_curvature")
        moves = np.append(self.free, self.scale_moves(params, stats))
        gradient = np.where(moves, gradient, 0.0)
        information = np.where(np.outer(moves, moves), information, np.eye(m + 1))
        return gradient, information

    def scale_moves(self, params: CensoredParams, stats: Stats) -> bool:
        """Whether the scale is estimated and no bound holds it."""
        slope = stats.number("scale_score")
        if self.fixed_scale is not None:
            return False
        if params.inverse_scale >= self.largest_inverse and slope > 0.0:
            return False
        return not (params.inverse_scale <= self.least_inverse and slope < 0.0)

    def _bounded(self, inverse: float) -> float:
        if self.fixed_scale is not None:
            return 1.0 / self.fixed_scale
        return min(max(inverse, self.least_inverse), self.largest_inverse)

    # -- coordinates ----------------------------------------------------------------------------

    def pack(self, params: CensoredParams) -> Vector:
        """Free coefficients in units of the scale, then the logarithm of the inverse scale."""
        free = params.coef[self.free]
        if self.fixed_scale is not None:
            return np.asarray(free)
        return np.append(free, log(params.inverse_scale))

    def unpack(self, vector: Vector) -> CensoredParams:
        """Inverse of `pack`."""
        coef = np.zeros(len(self.free))
        coef[self.free] = vector[: int(np.count_nonzero(self.free))]
        if self.fixed_scale is not None:
            return CensoredParams(coef, 1.0 / self.fixed_scale)
        if not abs(vector[-1]) < 600.0:
            raise Infeasible("the scale left the range of a double")
        return CensoredParams(coef, exp(vector[-1]))

    def from_user(
        self, intercept: float, coef: Vector, scale: float, source: CensoredSource
    ) -> CensoredParams:
        """Return parameters that are given in the unit of the data."""
        inverse = self._bounded(1.0 / (scale * source.y_scale))
        slopes = np.zeros(len(self.free) - 1)
        slopes[: len(coef)] = np.asarray(coef) / source.scale[: len(coef)] * source.y_scale
        height = intercept - source.y_centre + float(np.dot(coef, source.centre[: len(coef)]))
        return CensoredParams(np.append(height * source.y_scale, slopes) * inverse, inverse)

    def to_user(
        self, params: CensoredParams, source: CensoredSource
    ) -> tuple[float, Vector, float]:
        """Intercept, slopes and scale in the unit of the data."""
        scale = 1.0 / (params.inverse_scale * source.y_scale)
        slopes = params.coef[1:] * source.scale * scale
        height = params.coef[0] * scale + source.y_centre - float(slopes @ source.centre)
        intercept = height if self.free[0] else 0.0
        return float(intercept), slopes[: source.n_columns], float(scale)

    # -- what is wrong --------------------------------------------------------------------------

    def diagnose(self, params: CensoredParams, stats: Stats) -> tuple[str, ...]:
        """Sentences about redundant columns and likelihoods without a maximum."""
        lines = self.without_maximum(params, stats)
        redundant = self._n_redundant()
        if redundant:
            lines += (
                f"{redundant} of the columns are combinations of the others (the intercept "
                "counted): of all coefficients with the same predictions, those of a short step "
                "are given. Remove columns.",
            )
        return lines

    def without_maximum(self, params: CensoredParams, stats: Stats) -> tuple[str, ...]:
        """Sentences about scales at a bound and flat likelihoods."""
        lines = []
        if self.held_at is not None:
            lines.append(
                "limits alone do not tell the scale: each row says only on which side of its limit "
                "y lies, so that coefficients and scale grow together without a change of the "
                f"likelihood. Expected exact rows, intervals or several limits; the scale is held "
                f"at {self.held_at:g}. Give scale={self.held_at:g} if that is meant."
            )
        if self.fixed_scale is None and params.inverse_scale >= self.largest_inverse:
            lines.append(
                "the scale goes to zero: the rows are met without error, and the likelihood has no "
                f"maximum. The scale is held at {SMALLEST_SCALE:g} standard deviations of y; give "
                "more rows than coefficients, or a fixed scale."
                if self.any_exact
                else "limits alone do not tell the scale: the likelihood is flat where it is held, "
                f"at {SMALLEST_SCALE:g} standard deviations of y. Give a fixed scale."
            )
        if self.fixed_scale is None and params.inverse_scale <= self.least_inverse:
            lines.append(
                "the scale grows without bound: no exact row or interval tells it. Give a fixed "
                "scale."
            )
        flat = self._n_flat(params, stats) - self._n_redundant()
        if flat > 0:
            lines.append(
                f"the likelihood is flat in {flat} more direction(s): limits separate the rows "
                "without an exact one to hold the coefficients, which grow without bound. There "
                "is no maximum. Give fewer columns"
                + (", or a fixed scale." if self.fixed_scale is None else ".")
            )
        return tuple(lines)

    def _n_redundant(self) -> int:
        """Columns that are combinations of the others."""
        if not self.free.any():
            return 0
        return n_redundant(self.gram[np.ix_(self.free, self.free)])

    def _n_flat(self, params: CensoredParams, stats: Stats) -> int:
        """Directions without information about them."""
        _, information = self.derivatives(params, stats)
        m = len(self.free)
        moves = np.append(self.free, self.scale_moves(params, stats))
        scale = np.append(np.sqrt(np.diagonal(self.gram)), sqrt(stats.number("weight_sum")))
        scale = np.where(moves & (scale > 0.0), scale, 1.0)
        scaled = information / np.outer(scale, scale)
        if not np.isfinite(scaled).all():
            return 0  # the outcome says what happened
        values = np.linalg.eigvalsh(scaled)
        return int(np.count_nonzero(values <= FLAT * (m + 1)))


def _spectrum(information: Vector) -> tuple[Vector, Vector, Vector]:
    """Eigenvalues and vectors of a matrix brought to a unit diagonal, and its units."""
    diagonal = np.abs(np.diagonal(information))
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = information / np.outer(unit, unit)
    if not np.all(np.isfinite(scaled)):
        scaled = np.eye(len(unit))
    values, vectors = np.linalg.eigh(scaled)
    return values, vectors, unit


def build_regression(
    source: CensoredSource, law: str = "normal", df: float = 4.0, scale: float | None = None
) -> tuple[CensoredRegression, CensoredParams]:
    """Return the model for these rows, and least squares on their heights as a start.

    Parameters
    ----------
    source : CensoredSource
    law : {"normal", "logistic", "t"}
    df : float
    scale : float, optional
        Fixed scale, in the unit of the data.
    """
    m = source.x.n_features + 1
    free = np.zeros(m, dtype=bool)
    free[0] = source.intercept
    free[1 : 1 + source.n_columns] = True
    heights = source.by_height
    plain = CensoredRegression("normal", df, np.zeros((m, m)), free)
    (stats,) = LocalSweep(plain, heights)([CensoredParams(np.zeros(m), 1.0)])
    gram = -unpacked(stats["curvature"])
    fixed = None if scale is None else scale * source.y_scale
    unit = source.output_sd
    flat = CensoredRegression("normal", df, gram, free, unit=unit)
    start = flat.update(CensoredParams(np.zeros(m), 1.0), stats)
    any_exact, held_at = source.exact_weight > 0.0, None
    sides_only = not any_exact and source.n_interval == 0
    if fixed is None and sides_only and start.inverse_scale * unit * ROUNDING > 1.0:
        # A combination of the columns meets every limit: multiples of the distance fit as well.
        fixed, held_at = 1.0, 1.0 / source.y_scale
    model = CensoredRegression(law, df, gram, free, fixed, unit, any_exact, held_at)
    if fixed is not None and isfinite(fixed):
        start = CensoredParams(start.coef / (start.inverse_scale * fixed), 1.0 / fixed)
    return model, start
