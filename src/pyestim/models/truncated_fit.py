"""Fits of truncated mixtures: accelerated steps, then Newton's method on the same statistics.

Truncation makes EM slow.  Newton's method needs few steps near a maximum, and its matrix, by
differences of the gradient in one pass, is the information of the fit as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from pyestim.engine.drive import Fit, maximise
from pyestim.engine.model import Capability, Infeasible
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.models.knowledge import NOTHING, UNKNOWN, Knowledge
from pyestim.models.mixture import MixtureParams
from pyestim.models.start import Sample
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_newton import Options, TruncatedNewton
from pyestim.models.truncated_score import hessian, knowledge

#: Estimated remaining gain per unit weight at which Newton's method takes over.
ROUGH_TOL = 1e-4
#: Most coordinates for which the second derivative is formed: it costs twice as many evaluations.
MOST_COORDINATES = 40
#: Plain steps before the first Newton step, the start included: the beginning chooses the optimum.
WARM_SWEEPS = 12
#: Passes of the first Newton step: where it begins, the matrix, where it ends.
NEWTON_SWEEPS = 3
#: Where there are so many times as many rows as these, the maximum of a sample comes first.
LARGE, SAMPLE_ROWS = 4, 8192
#: The gain that a sample leaves is far below what its maximum loses over all rows.
SAMPLE_TOL = 1e-5


@dataclass(frozen=True)
class TruncatedFit:
    """A fit and the information about its parameters.

    Attributes
    ----------
    fit : Fit
    known : Knowledge
        From the observed information; NaN where there are too many parameters to form it.
    matrix : ndarray of shape (P - 1, P - 1), optional
        What Newton's method knows of the information, in the coordinates of `tangent`.
    """

    fit: Fit[MixtureParams]
    known: Knowledge
    matrix: Vector | None = None


def fit_truncated(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    starts: Sequence[MixtureParams],
    options: Options,
) -> TruncatedFit:
    """Maximise the likelihood from every start and return the best parameters."""
    if not _suits(model) or options.accelerate != "auto" or options.max_sweeps <= 1:
        fit = _climb(model, sweep, starts, options.tol, options.max_sweeps, options)
        return TruncatedFit(fit, _known_at(model, sweep, fit))
    source: Any = sweep.source
    if source.n_effective >= LARGE * SAMPLE_ROWS and not model.supports & {Capability.REPAIR}:
        # The maximum of a sample is within a few standard errors of a tenth of the rows.
        rows, weight = source.take(source.spread_indices(SAMPLE_ROWS))
        sample = LocalSweep(model, Sample(rows, weight))
        apart = replace(options, tol=max(options.tol, SAMPLE_TOL), progress=None, certain=False)
        first = _from_all(model, sample, starts, apart, WARM_SWEEPS)
        if _interrupted(first[-1]):
            raise KeyboardInterrupt  # nothing is known of all rows yet
        scale = sweep.weight_sum / sample.weight_sum
        matrices = [None if one.matrix is None else one.matrix * scale for one in first]
        params = [one.fit.params for one in first]
        return _best(_from_all(model, sweep, params, options, 1, matrices))
    return _best(_from_all(model, sweep, starts, options, WARM_SWEEPS))


def _from_all(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    starts: Sequence[MixtureParams],
    options: Options,
    n_warm: int,
    matrices: Sequence[Vector | None] | None = None,
) -> list[TruncatedFit]:
    """Some plain steps from every start, then Newton's method from each of them."""
    if options.max_sweeps < n_warm + NEWTON_SWEEPS:
        fit = _climb(model, sweep, starts, options.tol, options.max_sweeps, options)
        return [TruncatedFit(fit, _known_at(model, sweep, fit))]
    fit = _climb(model, sweep, starts, options.tol, n_warm, replace(options, accelerate=None))
    if fit.report.outcome in (Outcome.INTERRUPTED, Outcome.NOT_FINITE):
        return [TruncatedFit(fit, UNKNOWN)]
    known = matrices or [None] * len(starts)
    if len(starts) == 1:  # its statistics are at hand
        return [_polished(model, sweep, fit.params, fit.report, known[0], options, fit.stats)]
    fits: list[TruncatedFit] = []
    for one in zip(fit.all_params, fit.all_reports, known, strict=True):
        fits.append(_polished(model, sweep, *one, options))
        if _interrupted(fits[-1]):
            break
    return fits


def _interrupted(found: TruncatedFit) -> bool:
    return found.fit.report.outcome is Outcome.INTERRUPTED


def _best(fits: list[TruncatedFit]) -> TruncatedFit:
    """The best fit, with the accounts of all."""
    if len(fits) == 1:
        return fits[0]
    best = max(range(len(fits)), key=lambda i: _rank(fits[i].fit))
    reports = tuple(each.fit.report for each in fits)
    params = tuple(each.fit.params for each in fits)
    won = replace(fits[best].fit, all_reports=reports, all_params=params, best=best)
    return replace(fits[best], fit=won)


def _suits(model: TruncatedMixture) -> bool:
    return not model.support.everything and model.n_coordinates <= MOST_COORDINATES


def _rank(fit: Fit[MixtureParams]) -> float:
    return fit.objective if isfinite(fit.objective) else -float("inf")


def _climb(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    starts: Sequence[MixtureParams],
    tol: float,
    max_sweeps: int,
    options: Options,
) -> Fit[MixtureParams]:
    return maximise(
        model,
        sweep,
        starts,
        stop=Stop(tol),
        accelerate=options.accelerate,
        max_sweeps=max_sweeps,
        progress=options.progress,
        offset=options.offset,
    )


def _known_at(
    model: TruncatedMixture, sweep: LocalSweep[MixtureParams], fit: Fit[MixtureParams]
) -> Knowledge:
    """Information at parameters that were found without it."""
    if not _suits(model):
        return UNKNOWN
    try:
        return knowledge(model, fit.params, -hessian(model, sweep, fit.params))
    except (Infeasible, np.linalg.LinAlgError):
        return NOTHING


def _polished(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    params: MixtureParams,
    report: Report,
    matrix: Vector | None,
    options: Options,
    stats: Stats | None = None,
) -> TruncatedFit:
    """Newton steps; accelerated EM steps where they do not help, and Newton steps again."""
    for tol in (max(options.tol, ROUGH_TOL), options.tol):
        newton = TruncatedNewton(model, sweep, params, options, report, matrix, stats)
        try:
            outcome = newton.run()
        except KeyboardInterrupt:
            outcome = Outcome.INTERRUPTED
        fit = newton.result(outcome)
        if outcome is not None:
            return TruncatedFit(fit, newton.known, newton.matrix)
        left = options.max_sweeps - newton.sweeps
        if left < 2:
            return TruncatedFit(newton.result(Outcome.MAX_SWEEPS), newton.known)
        again = _climb(model, sweep, [newton.params], tol, left, options)
        report = _joined(fit.report, again.report)
        interrupted = report.outcome is Outcome.INTERRUPTED
        if interrupted or report.sweeps + NEWTON_SWEEPS > options.max_sweeps:
            break
        params, matrix, stats = again.params, None, again.stats
    return TruncatedFit(replace(again, report=report), _known_at(model, sweep, again))


def _joined(first: Report, then: Report) -> Report:
    """One account of two phases."""
    return replace(
        then,
        trace=(*first.trace, *then.trace),
        sweeps=first.sweeps + then.sweeps,
        seconds=first.seconds + then.seconds,
        accepted=first.accepted + then.accepted,
        rejected=first.rejected + then.rejected,
        events=(*first.events, *then.events),
    )
