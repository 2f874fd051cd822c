"""Newton's method for models that have the curvature of their likelihood, and never a descent.

Every step is evaluated before it is kept: one that does not gain enough is shortened, and after
`MOST_TRIALS` of them the model's own step is taken, which never descends.  Where the curvature is
that of a maximum, half the slope along the step estimates the gain that is left: it is the stopping
rule, and needs no further pass over the rows.
"""

from __future__ import annotations

from collections.abc import Generator
from math import isfinite
from typing import TypeVar

from pyestim.engine.accelerate import Done, Path, Point, Scheme
from pyestim.engine.model import Direction, NewtonModel
from pyestim.engine.report import Outcome
from pyestim.engine.stop import rounding_floor

P = TypeVar("P")

#: Lengths that are tried along one direction.
MOST_TRIALS = 6
#: A step that did not pay is shortened to this part.
SHORTER = 0.3
#: Share of the gain that the slope promises which a step must bring.
LEAST_SHARE = 1e-4
#: Steps that are taken after the gains were lost in the rounding of the objective.
BLIND_STEPS = 2


class Newton(Scheme[P]):
    """Newton steps; the model's own step where none of them pays.

    Parameters
    ----------
    model : NewtonModel
    tol : float
        Bound on the estimated remaining gain per unit weight.
    eps : float
        Relative rounding error of the objective, a mean over the rows.
    """

    name = "newton"

    def __init__(self, model: NewtonModel[P], tol: float, eps: float) -> None:
        super().__init__(model, tol, eps)
        self.newton = model
        self._blind = 0

    def _path(self, point: Point[P]) -> Path[P]:
        while True:
            if not isfinite(point.objective):
                raise Done(Outcome.NOT_FINITE)
            direction = self.newton.newton(point.params, point.stats)
            self._judge(direction, point)
            point = yield from self._search(direction, point)

    def _judge(self, direction: Direction, point: Point[P]) -> None:
        """Stop where what is left is small enough, or below what arithmetic can tell."""
        gain = 0.5 * direction.slope
        self.monitor.remaining = gain if direction.concave else float("inf")
        if not direction.concave:
            return
        if gain <= self.monitor.tol:
            raise Done(Outcome.CONVERGED)
        if gain <= rounding_floor(point.objective, self.monitor.eps):
            self._blind += 1
            if self._blind > BLIND_STEPS:
                raise Done(Outcome.ROUNDING)

    def _search(self, direction: Direction, point: Point[P]) -> Generator[P, Point[P], Point[P]]:
        """Shorten the step until it pays; the model's own step otherwise."""
        floor = rounding_floor(point.objective, self.monitor.eps)
        length = min(1.0, direction.longest)
        for _ in range(MOST_TRIALS):
            least = point.objective + LEAST_SHARE * length * direction.slope - floor
            self.trying = True
            found = yield self.newton.moved(point.params, direction, length)
            self.trying = False
            if isfinite(found.objective) and found.objective >= least:
                self.accepted += 1
                return found
            self.rejected += 1
            self.kept = False
            length *= SHORTER
        after = yield self._plain(point)
        if not after.objective > point.objective + floor:
            raise Done(Outcome.ROUNDING if isfinite(after.objective) else Outcome.NOT_FINITE)
        return after
