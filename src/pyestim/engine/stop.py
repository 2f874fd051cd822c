"""When to stop: a bound on the gain that is still to come, not on the last gain."""

from __future__ import annotations

from dataclasses import dataclass

from pyestim.engine.report import Outcome

#: Ratios of successive gains that the estimate looks back on.
MEMORY = 3
#: Gains that shrink no faster than this do not shrink: no end is in sight.
SLOWEST_RATE = 1.0 - 1e-6

#: A loss of so many times the rounding of the objective is no rounding.
ALARMING_FLOORS = 1000.0
#: Nor is one above this share of the objective: rounded parameters cost more than rounded sums
#: where a constraint holds them, since the objective has a slope there.
ALARMING_SHARE = 1e-10
#: A loss below the tolerance, and below this, is none of the user's concern either.
ALARMING_LOSS = 1e-6


@dataclass(frozen=True)
class Stop:
    """Stopping rule of a fit.

    Parameters
    ----------
    tol : float
        Bound on the estimated remaining gain of the objective per unit weight (nats).
    """

    tol: float = 1e-3


def rounding_floor(objective: float, eps: float) -> float:
    """Gain per unit weight below which a change of ``objective`` is rounding.

    Parameters
    ----------
    objective : float
        Per unit weight.
    eps : float
        Relative rounding error of a mean over the rows.
    """
    return 4.0 * eps * max(1.0, abs(objective))


class AitkenMonitor:
    """Estimate what plain steps would still gain, from the ratio of successive gains.

    With gains ``g_1, g_2, ...`` that shrink by the rate ``c``, the rest is
    ``g c / (1 - c)``.  The slowest of the last ratios counts, and as long as the ratios grow they
    are expected to grow as much again, because the beginning of a fit is not geometric: fast
    modes die first and the rate grows towards its limit.

    Parameters
    ----------
    tol : float
        Bound on the estimated rest, per unit weight.
    eps : float
        Relative rounding error of the objective, a mean over the rows.

    Attributes
    ----------
    remaining : float
        Last estimate.
    largest_fall : float
        Largest loss in a plain step, beyond rounding.
    """

    def __init__(self, tol: float, eps: float) -> None:
        self.tol = tol
        self.eps = eps
        self.largest_fall = 0.0
        self._noise = 0.0  # largest fall that is rounding: parameters are rounded as well
        self.reset()

    def reset(self) -> None:
        """Forget the past, for instance after the parameters were repaired."""
        self.restart()
        self.remaining = float("inf")

    def restart(self) -> None:
        """Begin a new sequence of plain steps."""
        self._last: float | None = None
        self._gain: float | None = None
        self._rates: list[float] = []
        self._still = 0

    @property
    def rate(self) -> float | None:
        """Slowest of the last ratios of gains; None while there is none."""
        return max(self._rates) if self._rates else None

    @property
    def outcome(self) -> Outcome:
        """What a stop means."""
        return Outcome.ROUNDING if self._still else Outcome.CONVERGED

    def push(self, objective: float) -> bool:
        """Take the objective per unit weight of the next plain step; True means stop."""
        last, self._last = self._last, objective
        if last is None:
            return False
        gain = objective - last
        previous, self._gain = self._gain, gain
        if self._is_rounding(gain, objective):
            return self._still >= 2
        if previous is None or previous <= 0.0:
            return False
        self._rates = [*self._rates[1 - MEMORY :], gain / previous]
        before = self.remaining
        # A rate that grows has not reached its limit, and a plateau may lie ahead.
        growth = max(0.0, self._rates[-1] - self._rates[0])
        self._estimate(gain, max(self._rates) + growth)
        return len(self._rates) >= 2 and max(before, self.remaining) < self.tol

    def check_step(self, before: float, after: float, length: float) -> bool:
        """Judge one plain step from anywhere; True means that it may be time to stop.

        Parameters
        ----------
        before, after : float
            Objective per unit weight on both sides of the step.
        length : float
            How many times the plain step would have to be repeated to reach the limit, as
            extrapolation found: ``1 / (1 - c)`` for parameters that converge at the rate ``c``.
            The objective converges at the rate ``c^2``.
        """
        gain = after - before
        if self._is_rounding(gain, after):
            return True
        rate = max(1.0 - 1.0 / max(length, 1.0), 0.5)
        self._estimate(gain, rate * rate)
        return self.remaining < self.tol

    def _is_rounding(self, gain: float, objective: float) -> bool:
        floor = rounding_floor(objective, self.eps)
        if gain > max(floor, 2.0 * self._noise):
            self._still = 0
            return False
        if -gain > self._alarm(floor, objective):
            self.largest_fall = max(self.largest_fall, -gain)
        else:
            self._noise = max(self._noise, -gain)
        self._still += 1
        self.remaining = max(gain, 0.0)
        return True

    def _alarm(self, floor: float, objective: float) -> float:
        """Loss in a plain step that rounding does not explain."""
        share = ALARMING_SHARE * max(1.0, abs(objective))
        return max(ALARMING_FLOORS * floor, share, min(self.tol, ALARMING_LOSS))

    def _estimate(self, gain: float, rate: float) -> None:
        slow = rate >= SLOWEST_RATE
        self.remaining = float("inf") if slow else gain * rate / (1.0 - rate)
