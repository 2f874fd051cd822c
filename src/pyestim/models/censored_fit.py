"""A whole fit of a censored regression, degrees of freedom included, and its covariance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import exp, log, sqrt

import numpy as np
from scipy.optimize import minimize_scalar

from pyestim.data.censored import CensoredSource
from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.stats import Vector
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.models.censored_regression import (
    CensoredParams,
    CensoredRegression,
    build_regression,
)

Run = Callable[[CensoredRegression, CensoredParams], Fit[CensoredParams]]

#: Degrees of freedom that are looked for; at the upper end Student's law is the normal one.
LEAST_DF, MOST_DF = 0.2, 1e3
#: Accuracy of their logarithm: its square is what the log-likelihood loses.
DF_TOL = 1e-6
#: Relative step of the differences by the logarithm of the degrees of freedom.
DF_STEP = 1e-3
#: Nearer to a bound than this, in logarithms, a maximum cannot be told from the bound.
AT_BOUND = 1e-2
#: An eigenvector with such a share of a parameter takes part in it.
SHARE = 1e-6


@dataclass(frozen=True)
class CensoredFit:
    """What a fit found.

    Attributes
    ----------
    model : CensoredRegression
    fit : Fit
        Objectives are those of the data, per unit weight.
    df : float
    covariance : ndarray of shape (m, m)
        Of intercept and slopes in the unit of the data, the logarithm of the scale, and, where they
        were estimated, the logarithm of the degrees of freedom; without what was fixed. NaN for
        what the data do not tell.
    without_maximum : tuple of str
        Sentences about parameters that no row holds.
    """

    model: CensoredRegression
    fit: Fit[CensoredParams]
    df: float
    covariance: Vector
    without_maximum: tuple[str, ...]

    @property
    def n_parameters(self) -> int:
        """Parameters that were estimated; a scale that no row tells was not."""
        return len(self.covariance) - (self.model.held_at is not None)


def fit_censored(
    source: CensoredSource,
    law: str,
    df: float | None,
    scale: float | None,
    *,
    start: tuple[float, Vector, float] | None = None,
    tol: float = 1e-12,
    max_sweeps: int = 100,
    progress: Progress | None = None,
) -> CensoredFit:
    """Fit by Newton's method, from least squares or from parameters in the unit of the data.

    Parameters
    ----------
    source : CensoredSource
    law : {"normal", "logistic", "t"}
    df : float, optional
        Degrees of freedom of Student's law; None: estimated.
    scale : float, optional
        Fixed scale in the unit of the data.
    start : tuple, optional
        Intercept, slopes, scale.
    tol, max_sweeps, progress
        As for `maximise`.
    """
    estimated = law == "t" and df is None
    model, params = build_regression(source, law, 4.0 if df is None else df, scale)
    if start is not None:
        params = model.from_user(*start, source)

    def run(model: CensoredRegression, params: CensoredParams) -> Fit[CensoredParams]:
        return maximise(
            *(model, LocalSweep(model, source), [params]),
            stop=Stop(tol),
            max_sweeps=max_sweeps,
            progress=progress,
            offset=source.log_offset,
        )

    fit = run(model, params)
    if estimated:
        model, fit = _best_df(model, fit, run)
    covariance = covariance_of(model, fit, source, estimated)
    lines = model.without_maximum(fit.params, fit.stats)
    if estimated and not lines:  # which would be the cause
        lines = _at_bound(model.df)
        fit = replace(fit, report=fit.report.with_diagnosis(lines))
    return CensoredFit(model, fit, model.df, covariance, lines)


def _at_bound(df: float) -> tuple[str, ...]:
    """A sentence about estimated degrees of freedom that stopped at a bound."""
    if abs(log(df / MOST_DF)) < AT_BOUND:
        return (
            f"the degrees of freedom stopped at their upper bound of {MOST_DF:g}: the tails are no "
            'heavier than normal ones, and there is no maximum. Use distribution="normal".',
        )
    if abs(log(df / LEAST_DF)) < AT_BOUND:
        return (
            f"the degrees of freedom stopped at their lower bound of {LEAST_DF:g}: the likelihood "
            "rises as the tails get heavier, and there is no maximum. Look for outliers and rows "
            "that are met without error, or give df.",
        )
    return ()


def _best_df(
    model: CensoredRegression, fit: Fit[CensoredParams], run: Run
) -> tuple[CensoredRegression, Fit[CensoredParams]]:
    """Maximise the profile over the degrees of freedom, every fit from the best one before."""
    best = [(model, fit)]

    def loss(log_df: float) -> float:
        other = model.with_df(exp(log_df))
        found = run(other, best[0][1].params)
        if found.objective > best[0][1].objective:
            best[0] = (other, found)
        return -float(found.objective)

    minimize_scalar(
        loss,
        bounds=(log(LEAST_DF), log(MOST_DF)),
        method="bounded",
        options={"xatol": DF_TOL, "maxiter": 60},
    )
    return best[0]


def covariance_of(
    model: CensoredRegression, fit: Fit[CensoredParams], source: CensoredSource, estimated: bool
) -> Vector:
    """Return the inverse observed information; see `CensoredFit`."""
    _, information = model.derivatives(fit.params, fit.stats)
    moves = np.append(model.free, model.scale_asked)
    jacobian = _to_data(model, fit.params, source)
    if estimated:
        information = _with_log_df(model, fit, source, information)
        moves = np.append(moves, True)
        jacobian = np.pad(jacobian, (0, 1))
        jacobian[-1, -1] = 1.0
    information = information[np.ix_(moves, moves)]
    used = np.append(True, np.arange(len(model.free) - 1) < source.n_columns)
    shown = moves.copy()
    shown[: len(used)] &= used
    covariance = _inverse(information, jacobian[np.ix_(shown, moves)])
    if estimated and _at_bound(model.df):
        covariance[-1] = covariance[:, -1] = np.nan
    if model.scale_asked and not model.scale_moves(fit.params, fit.stats):
        at = int(np.count_nonzero(shown[: len(used)]))  # of the scale, which a bound holds
        covariance[at] = covariance[:, at] = np.nan
    return covariance


def _to_data(model: CensoredRegression, params: CensoredParams, source: CensoredSource) -> Vector:
    """Derivatives of intercept, slopes and log-scale by what the kernels differentiate by."""
    m = len(model.free)
    scale = 1.0 / params.inverse_scale
    working = np.diag(np.append(np.full(m, scale), -1.0))  # of b and log s
    data = np.eye(m + 1)
    data[1:m, 1:m] = np.diag(source.scale / source.y_scale)
    data[0, 0] = 1.0 / source.y_scale
    data[0, 1:m] = -source.scale * source.centre / source.y_scale
    return np.asarray(data @ working)


def _with_log_df(
    model: CensoredRegression,
    fit: Fit[CensoredParams],
    source: CensoredSource,
    information: Vector,
) -> Vector:
    """Information with a last row for the logarithm of the degrees of freedom.

    At a bound they do not move, and the row is that of a unit matrix.
    """
    if _at_bound(model.df):
        wide = np.pad(information, (0, 1))
        wide[-1, -1] = 1.0
        return wide
    gradients, values = [], []
    for step in (-DF_STEP, DF_STEP):
        other = model.with_df(model.df * exp(step))
        (stats,) = LocalSweep(other, source)([fit.params])
        gradients.append(other.derivatives(fit.params, stats)[0])
        values.append(other.objective(fit.params, stats))
    here = model.objective(fit.params, fit.stats)
    cross = (gradients[1] - gradients[0]) / (2.0 * DF_STEP)
    wide = np.pad(information, (0, 1))
    wide[-1, :-1] = wide[:-1, -1] = -cross
    wide[-1, -1] = -(values[0] + values[1] - 2.0 * here) / DF_STEP**2
    return wide


def _inverse(information: Vector, jacobian: Vector) -> Vector:
    """``J A^-1 J'``, NaN for what takes part in a direction without information."""
    diagonal = np.diagonal(information)
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = information / np.outer(unit, unit)
    if not np.isfinite(scaled).all():
        return np.full((len(jacobian), len(jacobian)), np.nan)
    values, vectors = np.linalg.eigh(scaled)
    jacobian = (jacobian / unit) @ vectors
    known = values > 1e-11 * len(values)
    inverse = np.divide(1.0, values, out=np.zeros_like(values), where=known)
    found = (jacobian * inverse) @ jacobian.T
    size = np.sqrt((jacobian**2).sum(axis=1))
    unknown = (np.abs(jacobian[:, ~known]) > SHARE * size[:, None]).any(axis=1)
    found[unknown] = found[:, unknown] = np.nan
    return np.asarray(found)


def standard_errors_of(covariance: Vector) -> Vector:
    """Square roots of the diagonal, NaN where it is not positive."""
    diagonal = np.diagonal(covariance)
    return np.asarray([sqrt(v) if v > 0.0 else float("nan") for v in diagonal])
