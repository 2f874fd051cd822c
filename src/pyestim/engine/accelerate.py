"""How a candidate moves from one evaluated point to the next: plain steps or accelerated ones.

A scheme receives every evaluated point of one candidate and proposes the next parameters.  It
never evaluates anything itself, so that all candidates can share one pass over the rows.  Its
path is a generator that yields proposals and is sent the evaluated points.

Acceleration joins two methods.  SQUAREM extrapolates along two plain steps and makes large steps
where the objective is far from quadratic, on the plateaus that overlapping components cause.
Anderson mixing converges much faster near the maximum, but hardly moves on a plateau.  So
Anderson phases follow SQUAREM cycles, and end as soon as one of their steps does not pay.

References
----------
Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the
convergence of any EM algorithm. Scandinavian Journal of Statistics 35.
doi:10.1111/j.1467-9469.2007.00585.x
Henderson, N. C. and Varadhan, R. (2019). Damped Anderson acceleration with restarts and
monotonicity control for accelerating EM. Journal of Computational and Graphical Statistics 28.
doi:10.1080/10618600.2019.1594835
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast

import numpy as np

from pyestim.engine.mixing import History
from pyestim.engine.model import Capability, Infeasible, Model, NewtonModel, require
from pyestim.engine.report import Outcome
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import AitkenMonitor, rounding_floor

P = TypeVar("P")

#: Values of the `accelerate` argument.
CHOICES = ("auto", "squarem", "anderson", None)
#: Plain steps before the first accelerated one: the beginning chooses the optimum.
WARM_STEPS = 15
#: "auto" accelerates where the gains of plain steps shrink more slowly than this.
SLOW_RATE = 0.85
#: SQUAREM may lower the objective by this many times the last gain, and by `LARGEST_DROP` at most.
DROP_OVER_GAIN, LARGEST_DROP = 10.0, 1e-3
#: Cycles that have not yet made up for a drop allow none, and make later ones smaller by this.
LESS_DARING = 0.5
#: SQUAREM cycles whose step lengths tell how slow plain steps are.
CYCLES_REMEMBERED = 3
#: A SQUAREM step this short is a plain step.
SHORTEST_JUMP = 1.01
#: Plain steps that confirm convergence: they give two ratios of gains.
CONFIRMING_STEPS = 3
#: After confirmations that failed, up to this many signs of convergence are ignored.
LONGEST_MUTE = 16
#: Anderson steps beyond the rounding of the objective, where the tolerance asks for them.
POLISHING_STEPS = 20
#: The tolerance asks for them where it is below so many times the rounding of the objective.
POLISHED_FLOORS = 64.0
#: Anderson phases that fail make the next one wait for up to this many SQUAREM cycles.
LONGEST_WAIT = 8
#: An Anderson phase with this many steps has paid.
GOOD_PHASE = 4


@dataclass(frozen=True, slots=True)
class Point(Generic[P]):
    """Evaluated parameters."""

    params: P
    stats: Stats
    objective: float  # per unit weight


class Done(Exception):
    """The path ends here."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome


class Scheme(Generic[P]):
    """State machine of one candidate; by itself every proposal is the model's own step.

    Parameters
    ----------
    model : Model
    tol : float
        Bound on the estimated remaining gain per unit weight.
    eps : float
        Relative rounding error of the objective, a mean over the rows.

    Attributes
    ----------
    accepted, rejected : int
        Accelerated steps that were kept and taken back.
    kept : bool
        Whether the last point is where the path goes on.
    trying : bool
        Whether the proposal is an extrapolation, which may be taken back.
    outcome : Outcome or None
        Why the path ended.
    """

    name = "em"

    def __init__(self, model: Model[P], tol: float, eps: float) -> None:
        self.model = model
        self.monitor = AitkenMonitor(tol, eps)
        self.accepted = 0
        self.rejected = 0
        self.kept = True
        self.trying = False
        self.outcome: Outcome | None = None
        self._steps: Path[P] | None = None

    @property
    def remaining(self) -> float:
        """Estimated gain per unit weight that is still to come."""
        return self.monitor.remaining

    def advance(self, point: Point[P]) -> P | None:
        """Take the point that was proposed last; return the next proposal, None to stop."""
        self.kept = True
        try:
            if self._steps is None:
                self._steps = self._path(point)
                return next(self._steps)
            return self._steps.send(point)
        except Done as done:
            self.outcome = done.outcome
            return None

    def reset(self) -> None:
        """Forget the past: the next point was not proposed by this scheme."""
        self.monitor.reset()
        self._steps = None

    def _path(self, point: Point[P]) -> Path[P]:
        while True:
            self._watch(point)
            point = yield self._plain(point)

    def _plain(self, point: Point[P]) -> P:
        return self.model.update(point.params, point.stats)

    def _watch(self, point: Point[P]) -> None:
        """Take the next of a sequence of plain steps; stop where the monitor says so."""
        if not isfinite(point.objective):
            raise Done(Outcome.NOT_FINITE)
        if self.monitor.push(point.objective):
            raise Done(self.monitor.outcome)


Path: TypeAlias = Generator[P, Point[P], None]
Leg: TypeAlias = Generator[P, Point[P], Point[P]]


class Accelerated(Scheme[P]):
    """Plain steps, then SQUAREM cycles and Anderson phases.

    Parameters
    ----------
    model, tol, eps
        As for `Scheme`.
    squarem, anderson : bool
        Which methods to use; Anderson alone falls back to plain steps.
    wait_until_slow : bool
        Go on with plain steps as long as they converge fast.
    """

    def __init__(
        self,
        model: Model[P],
        tol: float,
        eps: float,
        *,
        squarem: bool,
        anderson: bool,
        wait_until_slow: bool,
    ) -> None:
        super().__init__(model, tol, eps)
        self.name = "+".join(["squarem"] * squarem + ["anderson"] * anderson)
        self.squarem = squarem
        self.anderson = anderson
        self.wait_until_slow = wait_until_slow

    def _path(self, point: Point[P]) -> Path[P]:
        self._begin()
        point = yield from self._warm_up(point)
        wait = backoff = 1
        while True:
            shrinking, point = yield from self._cycle(point)
            wait -= 1
            if not self.anderson or wait > 0 or not shrinking:
                continue
            n_good, point = yield from self._mix(point)
            backoff = 1 if n_good >= GOOD_PHASE else min(2 * backoff, LONGEST_WAIT)
            wait = backoff

    def _begin(self) -> None:
        self._longest = 1.0  # bound of the SQUAREM step length
        self._lengths: list[float] = []
        self._peak, self._daring = -float("inf"), 1.0  # before the last drop; of the next one
        self._mute, self._muted = 1, 0  # checks to ignore after a confirmation that failed

    def _warm_up(self, point: Point[P]) -> Leg[P]:
        """Plain steps until it is time to accelerate."""
        n_steps = 0
        while True:
            try:
                self._watch(point)
            except Done:
                if not self._polishes(point):
                    raise
                return (yield from self._finish(point, History()))
            rate = self.monitor.rate
            slow = not self.wait_until_slow or (rate is not None and rate > SLOW_RATE)
            if n_steps >= WARM_STEPS and slow:
                return point
            point = yield self._plain(point)
            n_steps += 1

    def _settles(self, before: Point[P], after: Point[P]) -> bool:
        """Whether a plain step gains so little that the rest may be below the tolerance."""
        if not isfinite(after.objective):
            raise Done(Outcome.NOT_FINITE)
        length = max(self._lengths, default=1.0)
        settled = self.monitor.check_step(before.objective, after.objective, length)
        self._muted -= 1
        return settled and self._muted < 0

    def _confirm(self, point: Point[P]) -> Leg[P]:
        """Plain steps that end the path if their gains really die away.

        Near a saddle point acceleration hardly moves, and only the gains of plain steps, which
        grow there, tell it from a maximum.
        """
        self.monitor.restart()
        for _ in range(CONFIRMING_STEPS + 1):
            self._watch(point)
            point = yield self._plain(point)
        self._mute = min(2 * self._mute, LONGEST_MUTE)
        self._muted = self._mute
        return point

    # -- SQUAREM --------------------------------------------------------------------------------

    def _cycle(self, first: Point[P]) -> Generator[P, Point[P], tuple[bool, Point[P]]]:
        """Two plain steps, an extrapolation along them, a stabilising plain step.

        Returns whether the plain steps became shorter, and the last point.
        """
        second = yield self._plain(first)
        if self._settles(first, second):
            return True, (yield from self._finish(second, History()))
        third = self._plain(second)
        start, middle, end = (self.model.pack(p) for p in (first.params, second.params, third))
        step = middle - start
        change = end - middle - step
        size = float(np.linalg.norm(step))
        free = size / max(float(np.linalg.norm(change)), 1e-300)
        self._lengths = [*self._lengths[1 - CYCLES_REMEMBERED :], free]
        length = max(1.0, min(self._longest, free))
        jumped = None
        if self.squarem and length > SHORTEST_JUMP:
            target = start + 2.0 * length * step + length * length * change
            slack = self._slack(second.objective, second.objective - first.objective)
            jumped = yield from self._try(target, second.objective - slack)
        self._bound_length(length, jumped is not None)
        last = yield third if jumped is None else self._plain(jumped)
        return float(np.linalg.norm(end - middle)) < size, last

    def _slack(self, objective: float, gain: float) -> float:
        """Drop that an extrapolation may cost: none before the last one has paid.

        Drops without this condition can follow each other forever where steps lead along a ridge.
        """
        if objective < self._peak:
            self._daring *= LESS_DARING
            return 0.0
        self._daring = min(1.0, self._daring / LESS_DARING)
        self._peak = objective
        return self._daring * min(LARGEST_DROP, DROP_OVER_GAIN * max(gain, 0.0))

    def _bound_length(self, length: float, kept: bool) -> None:
        """Allow longer steps where the bound was reached, shorter ones after a failure."""
        if kept or length <= SHORTEST_JUMP:
            self._longest *= 4.0 if length == self._longest else 1.0
        else:
            self._longest = max(1.0, self._longest / 4.0)

    def _try(self, target: Vector, least: float) -> Generator[P, Point[P], Point[P] | None]:
        """Evaluate an extrapolated point; None where it does not exist or is worse than least."""
        try:
            proposal = self.model.unpack(target)
        except Infeasible:
            self.rejected += 1
            return None
        self.trying = True
        point = yield proposal
        self.trying = False
        if isfinite(point.objective) and point.objective >= least:
            self.accepted += 1
            return point
        self.rejected += 1
        self.kept = False
        return None

    # -- Anderson -------------------------------------------------------------------------------

    def _mix(self, point: Point[P]) -> Generator[P, Point[P], tuple[int, Point[P]]]:
        """Anderson steps as long as they pay: their number, and the plain step after the last."""
        history = History()
        n_good = 0
        plain_next = True
        while True:
            image = self._plain(point)
            length = history.push(self.model.pack(point.params), self.model.pack(image))
            if plain_next:
                after = yield image
                if self._settles(point, after):
                    return n_good, (yield from self._finish(after, history))
                point, plain_next = after, False
                continue
            if length > 2.0 * history.lengths[-2]:
                break
            floor = rounding_floor(point.objective, self.monitor.eps)
            mixed = yield from self._try(history.mix(), point.objective - floor)
            if mixed is None:
                break
            n_good += 1
            plain_next = mixed.objective - point.objective < max(self.monitor.tol, floor)
            point = mixed
        last = yield image
        return n_good, last

    def _polishes(self, point: Point[P]) -> bool:
        """Whether the tolerance asks for more than the objective can tell."""
        floor = rounding_floor(point.objective, self.monitor.eps)
        return self.anderson and isfinite(floor) and self.monitor.tol < POLISHED_FLOORS * floor

    def _finish(self, point: Point[P], history: History) -> Leg[P]:
        """Confirm convergence; below the rounding of the objective, shorten the steps further."""
        if not self._polishes(point):
            return (yield from self._confirm(point))
        floor = rounding_floor(point.objective, self.monitor.eps)
        for _ in range(POLISHING_STEPS):
            here, image = self.model.pack(point.params), self._plain(point)
            length = history.push(here, self.model.pack(image))
            rounding = self.monitor.eps * float(np.linalg.norm(here))
            if not rounding < length < history.shortest:
                break
            mixed = yield from self._try(history.mix(), point.objective - 2.0 * floor)
            if mixed is None:
                break
            point = mixed
        return (yield from self._confirm(point))


class Method(Protocol):
    """A way to accelerate that remembers something from one fit to the next."""

    def scheme(self, model: Model[Any], tol: float, eps: float) -> Scheme[Any]:
        """Return the state machine of one candidate."""
        ...


def make_scheme(
    model: Model[P], accelerate: str | Method | None, tol: float, eps: float
) -> Scheme[P]:
    """Return the state machine for the `accelerate` argument of an estimator, or of a method."""
    if accelerate is not None and not isinstance(accelerate, str):
        require(model, Capability.ACCELERATE, asked_by="accelerate")
        return accelerate.scheme(model, tol, eps)
    if accelerate not in CHOICES:
        raise ValueError(f"accelerate: expected one of {CHOICES}, got {accelerate!r}.")
    if accelerate == "auto" and Capability.NEWTON in model.supports:
        from pyestim.engine.newton import Newton  # it is built on this module

        return Newton(cast("NewtonModel[P]", model), tol, eps)
    able = Capability.ACCELERATE in model.supports
    if accelerate is None or (accelerate == "auto" and not able):
        return Scheme(model, tol, eps)
    require(model, Capability.ACCELERATE, asked_by=f"accelerate={accelerate!r}")
    return Accelerated(
        model,
        tol,
        eps,
        squarem=accelerate != "anderson",
        anderson=accelerate != "squarem",
        wait_until_slow=accelerate == "auto",
    )
