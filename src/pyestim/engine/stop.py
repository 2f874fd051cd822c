"""When to stop: a bound on the gain that is still to come, not on the last gain."""

from __future__ import annotations

from dataclasses import dataclass

#: Ratios of successive gains that the estimate looks back on.
MEMORY = 3


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
    """Gain per unit weight below which a change of ``objective`` is rounding."""
    return 4.0 * eps * max(1.0, abs(objective))


class AitkenMonitor:
    """Estimate what plain steps would still gain, from the ratio of successive gains.

    With gains ``g_1, g_2, ...`` that shrink by the rate ``c``, the rest is
    ``g c / (1 - c)``.  The slowest of the last ratios counts, because the beginning of a fit is
    not geometric: fast modes die first and the rate grows towards its limit.

    Parameters
    ----------
    tol : float
        Bound on the estimated rest, per unit weight.
    eps : float
        Machine epsilon of the arithmetic that made the objective.
    """

    def __init__(self, tol: float, eps: float) -> None:
        self.tol = tol
        self.eps = eps
        self.reset()

    def reset(self) -> None:
        """Forget the past, for instance after the parameters were repaired."""
        self._last: float | None = None
        self._gain: float | None = None
        self._rates: list[float] = []
        self._still = 0
        self.remaining = float("inf")

    @property
    def rate(self) -> float | None:
        """Slowest of the last ratios of gains; None while there is none."""
        return max(self._rates) if self._rates else None

    def push(self, objective: float) -> bool:
        """Take the objective per unit weight of the next plain step; True means stop."""
        last, self._last = self._last, objective
        if last is None:
            return False
        gain = objective - last
        previous, self._gain = self._gain, gain
        floor = rounding_floor(objective, self.eps)
        if gain <= floor:
            self._still += 1
            self.remaining = max(gain, 0.0)
            return self._still >= 2
        self._still = 0
        if previous is None or previous <= 0.0:
            return False
        self._rates = [*self._rates[1 - MEMORY :], gain / previous]
        rate = max(self._rates)
        before = self.remaining
        self.remaining = gain * rate / (1.0 - rate) if rate < 1.0 else float("inf")
        return len(self._rates) >= 2 and max(before, self.remaining) < self.tol
