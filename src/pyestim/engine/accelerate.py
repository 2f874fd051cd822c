"""How a candidate moves from one evaluated point to the next: plain steps or accelerated ones.

A scheme receives every evaluated point of one candidate and proposes the next parameters.  It
never evaluates anything itself, so that all candidates can share one pass over the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pyestim.engine.model import Capability, Model, require
from pyestim.engine.stats import Stats
from pyestim.engine.stop import AitkenMonitor

P = TypeVar("P")

#: Values of the `accelerate` argument.
CHOICES = ("auto", "squarem", "anderson", None)


@dataclass(frozen=True, slots=True)
class Point(Generic[P]):
    """Evaluated parameters."""

    params: P
    stats: Stats
    objective: float  # per unit weight


class Scheme(Protocol[P]):
    """State machine of one candidate."""

    name: str
    accepted: int
    rejected: int

    @property
    def remaining(self) -> float:
        """Estimated gain per unit weight that is still to come."""
        ...

    def advance(self, point: Point[P]) -> P | None:
        """Take the point that was proposed last; return the next proposal, None to stop."""
        ...

    def reset(self) -> None:
        """Forget the past: the next point was not proposed by this scheme."""
        ...


class PlainEM(Generic[P]):
    """Every proposal is the model's own step."""

    name = "em"

    def __init__(self, model: Model[P], tol: float, eps: float) -> None:
        self.model = model
        self.monitor = AitkenMonitor(tol, eps)
        self.accepted = 0
        self.rejected = 0

    @property
    def remaining(self) -> float:
        """Estimated gain per unit weight that is still to come."""
        return self.monitor.remaining

    def advance(self, point: Point[P]) -> P | None:
        """Take the point that was proposed last; return the next proposal, None to stop."""
        if self.monitor.push(point.objective):
            return None
        return self.model.update(point.params, point.stats)

    def reset(self) -> None:
        """Forget the past."""
        self.monitor.reset()


def make_scheme(model: Model[P], accelerate: str | None, tol: float, eps: float) -> Scheme[P]:
    """Return the state machine for the `accelerate` argument of an estimator."""
    if accelerate not in CHOICES:
        raise ValueError(f"accelerate: expected one of {CHOICES}, got {accelerate!r}.")
    if accelerate in ("squarem", "anderson"):
        require(model, Capability.ACCELERATE, asked_by=f"accelerate={accelerate!r}")
    return PlainEM(model, tol, eps)
