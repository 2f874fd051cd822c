"""Newton's method for truncated mixtures, from statistics of whole passes over the rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter

import numpy as np

from pyestim.engine.drive import Fit, Progress
from pyestim.engine.model import Infeasible
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import rounding_floor
from pyestim.engine.sweep import LocalSweep
from pyestim.models.knowledge import NOTHING
from pyestim.models.mixture import MixtureParams
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_score import gradient, hessian, knowledge, tangent

#: How often a Newton step is halved.
MOST_HALVINGS = 8
#: Steps after which the matrix is formed anew, and up to which it says how sure parameters are.
MOST_STEPS, FEW_STEPS = 4, 2
#: A step that gains less than this share of its promise is feeble, as all of them are where the
#: variance floor stops them; after so many in a row the EM algorithm goes on.
FEEBLE, MOST_FEEBLE = 0.02, 3
#: A curvature along a step below this share of the expected one teaches nothing.
FLATTEST = 1e-3
#: Longest step in a coordinate: a factor e^2 of a weight or a standard deviation.
LONGEST = 2.0


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


class TruncatedNewton:
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
