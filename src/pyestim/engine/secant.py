"""Secant steps for a sequence of fits that differ little: what one learns serves the next.

Near a maximum plain steps ``M`` contract linearly, ``M(t) - t = A (t* - t)`` with a matrix ``A``
that hardly changes along a path of penalties.  Broyden's method learns it from differences of
points and of their plain steps, and ``t + A^-1 (M(t) - t)`` is the next proposal.  A fit begins
at the end of the one before, so that its first proposal follows the path, and after a few more
the estimate of what remains is below the tolerance.

Coordinates with a kink at zero are left out while the plain step leaves them there, are brought
there where it brings them there, and do not change their sign otherwise.

References
----------
Jamshidian, M. and Jennrich, R. I. (1997). Acceleration of the EM algorithm by using quasi-Newton
methods. Journal of the Royal Statistical Society B 59. doi:10.1111/1467-9868.00083
"""

from __future__ import annotations

from math import isfinite
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.accelerate import Accelerated, Done, Leg, Path, Point, Scheme
from pyestim.engine.model import Model
from pyestim.engine.report import Outcome
from pyestim.engine.stats import Vector
from pyestim.engine.stop import rounding_floor

P = TypeVar("P")
Mask = NDArray[np.bool_]

#: Proposals after which a fit goes on as others do.
MOST_STEPS = 30
#: Steps that shrink more slowly than by this factor say nothing about what remains.
SLOWEST_SHRINKING = 0.5
#: Lengths are no gains: directions differ in curvature. So the estimate must be this far below.
MARGIN, LEAST_TOL = 1e-3, 1e-13
#: Proposals that may be taken back before a fit goes on as others do.
MOST_REJECTED = 2
#: A fit that took no more evaluations than this, all kept, has followed a branch of maxima.
BRANCH_STEPS = 10


class Secants:
    """What is known of the plain steps near a path.

    Parameters
    ----------
    kinks : ndarray of bool of shape (P,)
        Coordinates of the model whose objective has a kink at zero.

    Attributes
    ----------
    on_branch : bool
        Whether the last fit ended on the branch of maxima where it began: a fit back from its end
        would end at its beginning.
    """

    def __init__(self, kinks: Mask) -> None:
        self.kinks = kinks
        self.on_branch = False
        self._matrix = np.eye(len(kinks))

    def copy(self) -> Secants:
        """Return the same knowledge, to be extended elsewhere."""
        other = Secants(self.kinks)
        other._matrix = self._matrix.copy()
        return other

    def scheme(self, model: Model[Any], tol: float, eps: float) -> Scheme[Any]:
        """Return the state machine of one candidate."""
        return SecantScheme(model, tol, eps, self)

    def free(self, image: Vector) -> Mask:
        """Coordinates that a plain step does not bring to a kink."""
        return np.asarray(~self.kinks | (image != 0.0))

    def learn(self, move: Vector, change: Vector, free: Mask) -> None:
        """Take the difference of two points and that of their plain steps, where these are free."""
        size = float(move @ move)
        if size > 0.0:
            miss = np.where(free, change + self._matrix @ move, 0.0)
            self._matrix -= miss[:, None] * (move / size)

    def target(self, here: Vector, image: Vector, free: Mask) -> Vector:
        """Point whose plain step would be zero; the image where that cannot be told."""
        move = np.where(free, 0.0, -here)
        right = (image - here - self._matrix @ move)[free]
        places = np.flatnonzero(free)
        try:
            move[places] = np.linalg.solve(self._matrix[places[:, None], places], right)
        except np.linalg.LinAlgError:
            return image
        target = here + move
        target[self.kinks & (target * image <= 0.0)] = 0.0
        return target

    def forget(self) -> None:
        """Begin with plain steps again."""
        self._matrix = np.eye(len(self.kinks))


class SecantScheme(Accelerated[P]):
    """Secant steps that never lower the objective; where they fail, acceleration as usual.

    Parameters
    ----------
    model, tol, eps
        As for `Scheme`.
    secants : Secants
        Read and extended.
    """

    def __init__(self, model: Model[P], tol: float, eps: float, secants: Secants) -> None:
        # Steps that shrink fast reach far below the tolerance at the cost of one more, and the next
        # fit of the path then begins where it should.
        tol = max(MARGIN * tol, min(tol, LEAST_TOL))
        super().__init__(model, tol, eps, squarem=True, anderson=True, wait_until_slow=True)
        self.name = "secant"
        self.secants = secants
        secants.on_branch = False

    def _path(self, point: Point[P]) -> Path[P]:
        self._objective, self._length, self._still = point.objective, 0.0, 0
        point = yield from self._follow(point)
        self.name = "secant+squarem+anderson"
        yield from super()._path(point)

    def _follow(self, point: Point[P]) -> Leg[P]:
        """Secant steps, which end the path where the rest is below the tolerance."""
        known = self.secants
        past: tuple[Vector, Vector, Mask] | None = None
        for n_steps in range(MOST_STEPS):
            if not isfinite(point.objective):
                raise Done(Outcome.NOT_FINITE)
            image = self._plain(point)
            here, there = self.model.pack(point.params), self.model.pack(image)
            now = here, there - here, known.free(there)
            if past is not None:
                known.learn(here - past[0], now[1] - past[1], now[2] & past[2])
            target = known.target(here, there, now[2])
            self._judge(point, float(np.linalg.norm(target - here)), n_steps)
            past = now
            floor = rounding_floor(point.objective, self.monitor.eps)
            jumped = yield from self._try(target, point.objective - floor)
            if jumped is None:
                jumped = yield image
                self._length = 0.0
                if self.rejected > MOST_REJECTED:
                    known.forget()
                    return jumped
            point = jumped
        return point

    def _judge(self, point: Point[P], length: float, n_steps: int) -> None:
        """End the path where the last gain and the shrinking of the steps say so."""
        gain, self._objective = point.objective - self._objective, point.objective
        before, self._length = self._length, length
        if before == 0.0:
            return
        floor = rounding_floor(point.objective, self.monitor.eps)
        self._still = self._still + 1 if gain <= floor else 0
        shrinking = length / before
        if shrinking < SLOWEST_SHRINKING:
            square = shrinking * shrinking
            self.monitor.remaining = max(gain, 0.0) * square / (1.0 - square)
        if self._still >= 2:
            self.monitor.remaining = max(gain, 0.0)
        elif not self.monitor.remaining <= max(self.monitor.tol, 0.25 * floor):
            return
        self.secants.on_branch = self.rejected == 0 and n_steps <= BRANCH_STEPS
        raise Done(Outcome.ROUNDING if self._still >= 2 else Outcome.CONVERGED)


__all__ = ["SecantScheme", "Secants"]
