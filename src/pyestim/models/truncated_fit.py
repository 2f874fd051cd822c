"""Fits of truncated mixtures: accelerated steps, then Newton's method on the same statistics.

Truncation makes EM slow.  Newton's method needs few steps near a maximum, and its matrix, by
differences of the gradient in one pass, is the information of the fit as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter

import numpy as np

from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.model import Infeasible
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import Stop, rounding_floor
from pyestim.engine.sweep import LocalSweep
from pyestim.models.mixture import MixtureParams
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_score import condition, gradient, hessian, tangent

#: Estimated remaining gain per unit weight at which Newton's method takes over.
ROUGH_TOL = 1e-4
#: Most coordinates for which the second derivative is formed: it costs twice as many evaluations.
MOST_COORDINATES = 40
#: Newton steps, and how often one of them is halved.
MOST_STEPS, MOST_HALVINGS = 50, 8
#: A step that leaves more than this share of the gain that was to come asks for a new matrix.
GOOD_SHARE = 0.1
#: Curvatures below this share of the largest one are no better than rounding.
FLATTEST = 1e-10
#: Longest step in a coordinate: a factor e^2 of a weight or a standard deviation.
LONGEST = 2.0


@dataclass(frozen=True)
class TruncatedFit:
    """A fit and the information about its parameters.

    Attributes
    ----------
    fit : Fit
    information_condition : float
        Condition of the observed information; NaN where there are too many parameters to form it.
    """

    fit: Fit[MixtureParams]
    information_condition: float


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
    """

    tol: float
    max_sweeps: int
    accelerate: str | None = "auto"
    offset: float = 0.0
    progress: Progress | None = None


def fit_truncated(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    starts: Sequence[MixtureParams],
    options: Options,
) -> TruncatedFit:
    """Maximise the likelihood from every start and return the best parameters."""
    newton = _suits(model) and options.accelerate == "auto"
    tol = max(options.tol, ROUGH_TOL) if newton else options.tol
    fit = _climb(model, sweep, starts, tol, options.max_sweeps, options)
    if not newton or fit.report.outcome is Outcome.INTERRUPTED or options.max_sweeps <= 1:
        return TruncatedFit(fit, _condition_at(model, sweep, fit))
    polished = [
        _polished(model, sweep, params, report, options)
        for params, report in zip(fit.all_params, fit.all_reports, strict=True)
    ]
    best = max(range(len(polished)), key=lambda i: _rank(polished[i].fit))
    reports = tuple(p.fit.report for p in polished)
    params = tuple(p.fit.params for p in polished)
    won = replace(polished[best].fit, all_reports=reports, all_params=params, best=best)
    return TruncatedFit(won, polished[best].information_condition)


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


def _condition_at(
    model: TruncatedMixture, sweep: LocalSweep[MixtureParams], fit: Fit[MixtureParams]
) -> float:
    """Condition of the information at parameters that were found without it."""
    if not _suits(model):
        return float("nan")
    try:
        return condition(-hessian(model, sweep, fit.params))
    except (Infeasible, np.linalg.LinAlgError):
        return float("inf")


def _polished(
    model: TruncatedMixture,
    sweep: LocalSweep[MixtureParams],
    params: MixtureParams,
    report: Report,
    options: Options,
) -> TruncatedFit:
    """Newton steps from a rough maximum; plain ones again where they do not help."""
    newton = _Newton(model, sweep, params, options, report)
    outcome = newton.run()
    fit = newton.result(outcome)
    if outcome is not None:
        return TruncatedFit(fit, newton.condition)
    left = options.max_sweeps - newton.sweeps
    again = _climb(model, sweep, [newton.params], options.tol, max(left, 2), options)
    told = replace(
        again.report,
        trace=(*fit.report.trace, *again.report.trace),
        sweeps=fit.report.sweeps + again.report.sweeps,
        seconds=fit.report.seconds + again.report.seconds,
        accepted=fit.report.accepted + again.report.accepted,
        rejected=fit.report.rejected + again.report.rejected,
    )
    return TruncatedFit(replace(again, report=told), _condition_at(model, sweep, again))


class _Newton:
    """Newton's method with a guard: a step is kept where the objective rises."""

    def __init__(
        self,
        model: TruncatedMixture,
        sweep: LocalSweep[MixtureParams],
        params: MixtureParams,
        options: Options,
        report: Report,
    ) -> None:
        self.model, self.sweep, self.options, self.before = model, sweep, options, report
        self.ways = tangent(model)
        self.sweeps = report.sweeps
        self.trace: list[float] = []
        self.accepted = self.rejected = 0
        self.remaining = float("inf")
        self.condition = float("inf")
        self.definite = False
        self.began = perf_counter()
        self._take(params, *self._evaluated(params))

    def run(self) -> Outcome | None:
        """Step until the gain that is to come is below the tolerance; None where that fails."""
        while self.sweeps < self.options.max_sweeps:
            if not self._look():
                return None
            moved = False
            for _ in range(MOST_STEPS):
                step, gain = self._step()
                before, self.remaining = self.remaining, gain
                floor = rounding_floor(self.objective, self.sweep.eps)
                if gain < max(self.options.tol, floor):
                    if self.definite and gain > floor:
                        self._move(step)  # it is there: the parameters gain more than the objective
                    return Outcome.CONVERGED if self.definite else None
                if moved and gain > GOOD_SHARE * before:
                    break
                if not self._move(step):
                    break
                moved = True
            if not moved:
                return None
        return Outcome.MAX_SWEEPS

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
        """Form the second derivative here; False where that is not possible."""
        try:
            matrix = -hessian(self.model, self.sweep, self.params)
            self.sweeps += 1
            values, self.axes = np.linalg.eigh(matrix)
        except (Infeasible, np.linalg.LinAlgError):
            return False
        self.condition = condition(matrix)
        self.definite = bool(values[0] > 0.0)
        # Uphill also where the objective is not concave.
        self.values = np.maximum(np.abs(values), FLATTEST * np.abs(values).max())
        return bool(self.values[-1] > 0.0)

    def _step(self) -> tuple[Vector, float]:
        """Newton step and the gain per unit weight that it promises."""
        along = self.axes.T @ self.slope
        step = self.axes @ (along / self.values)
        return step, float(0.5 * step @ self.slope / self.sweep.weight_sum)

    def _move(self, step: Vector) -> bool:
        """Go along the step as far as the objective rises."""
        here = self.model.pack(self.params)
        step = step * min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-300))
        for _ in range(MOST_HALVINGS):
            try:
                params = self.model.unpack(here + self.ways @ step)
                stats, value = self._evaluated(params)
                if isfinite(value) and value > self.objective:
                    self.accepted += 1
                    self._take(params, stats, value)
                    return True
            except Infeasible:
                pass
            self.rejected += 1
            step = 0.5 * step
        return False
