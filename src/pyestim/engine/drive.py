"""The only loop: every candidate is evaluated in the same pass over the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import Generic, Protocol, TypeVar, cast

from pyestim.engine.accelerate import Method, Point, Scheme, make_scheme
from pyestim.engine.model import Capability, Model, RepairableModel
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Stats
from pyestim.engine.stop import Stop, rounding_floor
from pyestim.engine.sweep import Sweep

P = TypeVar("P")


class Progress(Protocol):
    """Hears about every sweep; True asks the loop to end."""

    def __call__(self, sweep: int, objectives: Sequence[float]) -> bool | None:
        """Take the number of the sweep and the best objective of every candidate."""
        ...


@dataclass(frozen=True)
class Fit(Generic[P]):
    """Result of `maximise`.

    Attributes
    ----------
    params : P
        Best evaluated parameters.
    stats : Stats
        Their statistics.
    objective : float
        Their objective per unit weight.
    report : Report
        Account of the candidate they belong to.
    all_reports : tuple of Report
        One per start.
    all_params : tuple of P
        Best evaluated parameters of every start.
    best : int
        Which start won.
    """

    params: P
    stats: Stats
    objective: float
    report: Report
    all_reports: tuple[Report, ...]
    all_params: tuple[P, ...]
    best: int


class _Candidate(Generic[P]):
    """One start on its way: what it proposes, the best it has seen, why it ended."""

    def __init__(self, model: Model[P], scheme: Scheme[P], start: P) -> None:
        self.model = model
        self.scheme = scheme
        self.proposal = start
        self.best: Point[P] | None = None
        self.stale = False  # the best point is from before a repair
        self.trace: list[float] = []
        self.events: list[str] = []
        self.outcome: Outcome | None = None
        repairs = Capability.REPAIR in model.supports
        self.repairable = cast("RepairableModel[P]", model) if repairs else None

    def receive(self, stats: Stats, sweep: Sweep[P]) -> None:
        """Take the statistics of the proposal and choose the next one, or end."""
        value = self.model.objective(self.proposal, stats) / sweep.weight_sum
        point = Point(self.proposal, stats, value)
        repairable = self.repairable
        if (
            repairable is not None
            and isfinite(value)
            and repairable.needs_repair(point.params, point.stats, len(self.events))
        ):
            if not self.scheme.trying:
                self.trace.append(value)
                return self._repair(repairable, point, sweep)
            # An extrapolation that went too far is taken back: only the path itself is repaired.
            point = replace(point, objective=-float("inf"))
        proposal = self.scheme.advance(point)
        # Who refuses an extrapolation stays where it was.
        self.trace.append(value if self.scheme.kept else self.trace[-1])
        if self.best is None or self.stale or self._better(point, sweep.eps):
            self.best, self.stale = point, False
        if proposal is None:
            self.outcome = self.scheme.outcome
        else:
            self.proposal = proposal

    def _better(self, point: Point[P], eps: float) -> bool:
        """Whether a point beats the best one; on the path it may do so within rounding."""
        assert self.best is not None
        if not isfinite(point.objective) or point.objective > self.best.objective:
            return isfinite(point.objective)
        slack = rounding_floor(point.objective, eps)
        return self.scheme.kept and point.objective > self.best.objective - slack

    def _repair(self, model: RepairableModel[P], point: Point[P], sweep: Sweep[P]) -> None:
        """Replace degenerate parts; the past is not comparable then."""
        n_before = len(self.events)
        self.proposal, event = model.repair(point.params, point.stats, sweep, n_before)
        self.events.append(event)
        self.best, self.stale = point, True
        self.scheme.reset()

    def report(self, seconds: float, backend: str, offset: float) -> Report:
        """Account of this candidate."""
        assert self.best is not None and self.outcome is not None
        return Report(
            outcome=self.outcome,
            objective=self.best.objective + offset,
            trace=tuple(value + offset for value in self.trace),
            sweeps=len(self.trace),
            seconds=seconds,
            backend=backend,
            accelerator=self.scheme.name,
            accepted=self.scheme.accepted,
            rejected=self.scheme.rejected,
            remaining=self.scheme.remaining,
            diagnosis=self._diagnosis(),
            events=tuple(self.events),
        )

    def _diagnosis(self) -> tuple[str, ...]:
        assert self.best is not None
        lines = self.model.diagnose(self.best.params, self.best.stats)
        fall = self.scheme.monitor.largest_fall
        if fall > 0.0:
            lines += (
                f"the objective fell by {fall:.2g} per unit weight in a plain step, which exact "
                "arithmetic rules out: the precision of the rows does not suffice.",
            )
        return lines


def maximise(
    model: Model[P],
    sweep: Sweep[P],
    starts: Sequence[P],
    *,
    stop: Stop | None = None,
    accelerate: str | Method | None = "auto",
    max_sweeps: int = 100,
    progress: Progress | None = None,
    offset: float = 0.0,
) -> Fit[P]:
    """Improve every start until it converges and return the best evaluated parameters.

    All candidates that still move share each pass over the rows.  Every start runs to its own
    end: none is given up early.

    Parameters
    ----------
    model : Model
    sweep : Sweep
    starts : sequence of P
        At least one.
    stop : Stop, optional
    accelerate : {"auto", "squarem", "anderson", None}, or a Method such as `secant.Secants`
        Accelerated steps are kept only where the objective allows it.
    max_sweeps : int
        Evaluations of one candidate at most, that of the start included.
    progress : callable, optional
        Called after every sweep; True asks to end.
    offset : float
        Added to every reported objective: the log-Jacobian of working coordinates.

    Returns
    -------
    Fit

    Notes
    -----
    `KeyboardInterrupt` between sweeps ends the fit and keeps the best parameters.
    """
    began = perf_counter()
    rule = stop or Stop()
    candidates = [
        _Candidate(model, make_scheme(model, accelerate, rule.tol, sweep.eps), start)
        for start in starts
    ]
    try:
        _run(candidates, sweep, max_sweeps, progress, offset)
    except KeyboardInterrupt:
        if any(c.best is None for c in candidates):
            raise
        _end(candidates, Outcome.INTERRUPTED)
    seconds = perf_counter() - began
    reports = tuple(c.report(seconds, sweep.backend, offset) for c in candidates)
    best = max(range(len(candidates)), key=lambda i: _rank(candidates[i]))
    points = [c.best for c in candidates if c.best is not None]
    return Fit(
        params=points[best].params,
        stats=points[best].stats,
        objective=points[best].objective + offset,
        report=reports[best],
        all_reports=reports,
        all_params=tuple(p.params for p in points),
        best=best,
    )


def _run(
    candidates: list[_Candidate[P]],
    sweep: Sweep[P],
    max_sweeps: int,
    progress: Progress | None,
    offset: float,
) -> None:
    active = candidates
    for number in range(1, max(max_sweeps, 1) + 1):
        for candidate, stats in zip(active, sweep([c.proposal for c in active]), strict=True):
            candidate.receive(stats, sweep)
        active = [c for c in active if c.outcome is None]
        if progress is not None:
            found = [c.best.objective + offset for c in candidates if c.best is not None]
            if progress(number, found):
                return _end(active, Outcome.INTERRUPTED)
        if not active:
            return None
    return _end(active, Outcome.MAX_SWEEPS)


def _end(candidates: Sequence[_Candidate[P]], outcome: Outcome) -> None:
    for candidate in candidates:
        if candidate.outcome is None:
            candidate.outcome = outcome


def _rank(candidate: _Candidate[P]) -> float:
    assert candidate.best is not None
    value = candidate.best.objective
    return value if isfinite(value) else -float("inf")
