"""Fits of truncated mixtures: accelerated steps, then Newton's method on the same statistics.

Truncation makes EM slow.  Newton's method needs few steps near a maximum, and its matrix, by
differences of the gradient in one pass, is the information of the fit as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.model import Capability, Infeasible
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import Stop, rounding_floor
from pyestim.engine.sweep import LocalSweep
from pyestim.models.mixture import MixtureParams
from pyestim.models.start import Sample
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_score import (
    NOTHING,
    UNKNOWN,
    Knowledge,
    gradient,
    hessian,
    knowledge,
    tangent,
)

#: Estimated remaining gain per unit weight at which Newton's method takes over.
ROUGH_TOL = 1e-4
#: Most coordinates for which the second derivative is formed: it costs twice as many evaluations.
MOST_COORDINATES = 40
#: How often a Newton step is halved.
MOST_HALVINGS = 8
#: Steps after which the matrix is formed anew, and up to which it says how sure parameters are.
MOST_STEPS, FEW_STEPS = 4, 2
#: A step that gains less than this share of its promise is feeble, as all of them are where the
#: variance floor stops them; after so many in a row the EM algorithm goes on.
FEEBLE, MOST_FEEBLE = 0.02, 3
#: A curvature along a step below this share of the expected one teaches nothing.
FLATTEST = 1e-3
#: Plain steps before the first Newton step, the start included: the beginning chooses the optimum.
WARM_SWEEPS = 12
#: Passes of the first Newton step: where it begins, the matrix, where it ends.
NEWTON_SWEEPS = 3
#: Where there are so many times as many rows as these, the maximum of a sample comes first.
LARGE, SAMPLE_ROWS = 4, 8192
#: The gain that a sample leaves is far below what its maximum loses over all rows.
SAMPLE_TOL = 1e-5
#: Longest step in a coordinate: a factor e^2 of a weight or a standard deviation.
LONGEST = 2.0


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


@dataclass(frozen=True)
class Options:
    """How to fit.

    Attributes
    ----------
    tol : float
        Bound on the remaining gain per unit weight.
    max_sweeps : int
    accelerate : {"auto", "squarem", "anderson", None}
        None is plain EM: Newton's method is left out as well.
    offset : float
        Added to every reported objective.
    progress : callable, optional
    certain : bool
        Whether to make sure that the objective is concave where a fit ends.
    """

    tol: float
    max_sweeps: int
    accelerate: str | None = "auto"
    offset: float = 0.0
    progress: Progress | None = None
    certain: bool = True


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
        newton = _Newton(model, sweep, params, options, report, matrix, stats)
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


class _Newton:
    """Newton's method with a guard: a step is kept where the objective rises."""

    def __init__(
        self,
        model: TruncatedMixture,
        sweep: LocalSweep[MixtureParams],
        params: MixtureParams,
        options: Options,
        report: Report,
        matrix: Vector | None,
        stats: Stats | None,
    ) -> None:
        self.model, self.sweep, self.options, self.before = model, sweep, options, report
        self.ways = tangent(model)
        self.sweeps = report.sweeps
        self.trace: list[float] = []
        self.accepted = self.rejected = 0
        self.remaining = float("inf")
        self.known = NOTHING
        self.matrix, self.concave = np.zeros((0, 0)) if matrix is None else matrix, False
        self.steps = 0  # since the matrix was formed
        self.feeble = 0  # steps in a row that kept little of their promise
        self.began = perf_counter()
        if stats is None:
            self._take(params, *self._evaluated(params))
        else:
            self._take(params, stats, model.objective(params, stats) / sweep.weight_sum)

    def run(self) -> Outcome | None:
        """Step until the gain that is to come is below the tolerance; None where that fails."""
        if not (isfinite(self.objective) and (self.matrix.size or self._look())):
            return None
        while self.sweeps < self.options.max_sweeps:
            step, self.remaining = self._step()
            floor = rounding_floor(self.objective, self.sweep.eps)
            if self.remaining < max(self.options.tol, floor):
                if self._trusted():
                    if self.remaining > floor:
                        self._move(step)  # parameters gain more than the objective
                    return Outcome.CONVERGED
                if not (self._look() and self._trusted()):
                    return None
            elif self.steps >= MOST_STEPS:
                if not self._look():
                    return None
            elif not self._move(step) or self.feeble >= MOST_FEEBLE:
                return None
        return Outcome.MAX_SWEEPS

    def _trusted(self) -> bool:
        """Whether the matrix is the true one, or nearly so."""
        return not self.options.certain or (self.concave and self.steps <= FEW_STEPS)

    def result(self, outcome: Outcome | None) -> Fit[MixtureParams]:
        """What was reached, with the account of both phases."""
        report = replace(
            self.before,
            outcome=outcome or self.before.outcome,
            objective=self.objective + self.options.offset,
            trace=(*self.before.trace, *self.trace),
            sweeps=self.sweeps,
            seconds=self.before.seconds + perf_counter() - self.began,
            accelerator=f"{self.before.accelerator}+newton",
            accepted=self.before.accepted + self.accepted,
            rejected=self.before.rejected + self.rejected,
            remaining=self.remaining,
            diagnosis=self.model.diagnose(self.params, self.stats),
        )
        objective = report.objective
        return Fit(self.params, self.stats, objective, report, (report,), (self.params,), 0)

    def _evaluated(self, params: MixtureParams) -> tuple[Stats, float]:
        stats = self.sweep([params])[0]
        self.sweeps += 1
        value = self.model.objective(params, stats) / self.sweep.weight_sum
        self.trace.append(value + self.options.offset)
        return stats, value

    def _take(self, params: MixtureParams, stats: Stats, objective: float) -> None:
        self.params, self.stats, self.objective = params, stats, objective
        self.slope = gradient(self.model, params, stats) @ self.ways

    def _look(self) -> bool:
        """Form the second derivative here; False where there is none."""
        try:
            matrix = -hessian(self.model, self.sweep, self.params, self.slope)
            self.sweeps += 1
            values, axes = np.linalg.eigh(matrix)
        except (Infeasible, np.linalg.LinAlgError):
            return False
        self.known, self.steps = knowledge(self.model, self.params, matrix), 0
        self.concave = bool(values[0] > 0.0)
        if not self.concave:  # uphill all the same
            least = FLATTEST * float(np.abs(values).max())
            matrix = (axes * np.maximum(np.abs(values), least)) @ axes.T
        self.matrix = np.asarray(matrix)
        return bool(self.matrix.any())

    def _step(self) -> tuple[Vector, float]:
        """Newton step and the gain per unit weight that it promises."""
        step = np.linalg.solve(self.matrix, self.slope)
        return np.asarray(step), float(0.5 * step @ self.slope / self.sweep.weight_sum)

    def _move(self, step: Vector) -> bool:
        """Go along the step as far as the objective rises, and learn from the new gradient."""
        here, before = self.model.pack(self.params), self.slope
        share = min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
        promise, step = (2.0 - share) * share * self.remaining, share * step
        for _ in range(min(MOST_HALVINGS, self.options.max_sweeps - self.sweeps)):
            try:
                params = self.model.unpack(here + self.ways @ step)
                stats, value = self._evaluated(params)
                if isfinite(value) and value > self.objective:
                    self.accepted += 1
                    feeble = value - self.objective < FEEBLE * promise
                    self.feeble = self.feeble + 1 if feeble else 0
                    self._take(params, stats, value)
                    self.steps += 1
                    self._learn(step, before - self.slope)
                    return True
            except Infeasible:
                pass
            self.rejected += 1
            step = 0.5 * step
        return False

    def _learn(self, step: Vector, change: Vector) -> None:
        """BFGS update: the matrix takes this step to this change of the gradient."""
        along = float(change @ step)
        image = self.matrix @ step
        size = float(step @ image)
        if along > FLATTEST * size > 0.0:
            self.matrix = (
                self.matrix + np.outer(change, change / along) - np.outer(image, image / size)
            )
