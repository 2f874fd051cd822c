"""Gaussian paths: exact from kink to kink, on the columns that may matter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import RowDatafit
from pyestim.penalised.homotopy import MAX_ACTIVE, Columns, End, GramPath
from pyestim.penalised.newton import newton_path
from pyestim.penalised.point import Point
from pyestim.penalised.screening import Correlations, strong_threshold

if TYPE_CHECKING:
    from pyestim.penalised.problem import Problem

#: All columns form the working set where their Gram matrix is cheap: no pass over the rows follows.
MOST_COLUMNS_OF_GRAM = 500
#: A pass of descent over sparse columns costs so little that it wins earlier.
MAX_ACTIVE_SPARSE = 800
#: The penalty falls at most by this factor at once; a greater step goes through others.
LEAST_STEP = 0.8
#: From this share of the largest penalty on the rest of the way is one step.
LAST_STEP = 1e-8
#: A correlation above its bound by less is rounding: relative, and in units of both norms.
BOUND_ROUNDING, NORM_ROUNDING = 1e-9, 1e-12
#: Penalties this close to the largest leave everything at zero.
ALPHA_ROUNDING = 1e-13
#: Times that violators may join at one penalty.
MAX_ROUNDS = 50


class Gaussian:
    """What the Gaussian likelihood leaves of a problem: centred responses and weights.

    Attributes
    ----------
    response : ndarray of shape (n,)
        Responses less offset and intercept.
    intercept : float
        Of the centred columns: it does not depend on their coefficients.
    null : float
        Loss of the intercept alone.
    usable : ndarray of shape (p,)
        Columns that may have a coefficient and are not constant.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.design = problem.design
        datafit = problem.datafit
        assert isinstance(datafit, RowDatafit)
        self.weight = datafit.weight
        response = datafit.y
        if problem.offset is not None:
            response = response - problem.offset
        self.intercept = float(self.weight @ response) if problem.fit_intercept else 0.0
        self.response = response - self.intercept
        self.null = 0.5 * float(self.response @ (self.weight * self.response))
        weights = problem.weights
        self.l1, self.l2 = weights.l1, weights.l2
        self.norm = np.sqrt(self.design.column_squares(self.weight))
        self.usable = (weights.lower < weights.upper) & (self.norm > 0)
        self.rounding = NORM_ROUNDING * np.sqrt(2.0 * self.null) * self.norm
        # What bounds a correlation: nothing where the conjugate of the penalty is finite.
        self.soft = np.flatnonzero(self.usable & (self.l2 > 0))
        self.limit = np.where(self.usable & (self.l2 == 0), self.l1, np.inf)
        self.any_free = bool(np.any(self.limit == 0))

    def violators(self, alpha: float, corr: Vector) -> Columns:
        """Columns whose correlation is above its bound."""
        bound = alpha * (1.0 + BOUND_ROUNDING) * self.l1 + self.rounding
        return np.flatnonzero((np.abs(corr) > bound) & self.usable)

    def gap(
        self, alpha: float, square: float, corr: Vector, columns: Columns, coef: Vector
    ) -> float:
        """Duality gap by Fenchel and Young, a sum without cancellation.

        With ``theta = s r``: ``(1 - s)^2 |r|^2 / 2 + sum_j pen(w) + pen*(s corr) - s corr w``.
        """
        s = self.scale(alpha, corr)
        conjugate = 0.0
        if alpha > 0 and len(self.soft):
            most = np.maximum(alpha * self.l1[self.soft], self.rounding[self.soft])
            excess = np.maximum(s * np.abs(corr[self.soft]) - most, 0.0)
            conjugate = float(np.sum(excess * excess / self.l2[self.soft])) / (2.0 * alpha)
        w = np.abs(coef)
        slack = (
            alpha * (self.l1[columns] + 0.5 * self.l2[columns] * w) * w - s * corr[columns] * coef
        )
        return 0.5 * (1.0 - s) ** 2 * square + abs(float(slack.sum()) + conjugate)

    def scale(self, alpha: float, corr: Vector) -> float:
        """Share of the residual that is a feasible dual point; none if a free column objects."""
        size = np.abs(corr)
        limit = self.limit if alpha > 0 else np.zeros_like(self.limit)
        free = limit == 0.0 if alpha == 0 or self.any_free else None
        if free is not None and np.any(size[free] > self.rounding[free]):
            return 0.0
        # A penalty below the rounding of a correlation cannot be told from none.
        most = np.maximum(alpha * limit, self.rounding)
        over = np.flatnonzero(size > most)
        if free is not None:
            over = over[~free[over]]
        return float(np.min(most[over] / size[over], initial=1.0))


class HomotopyPath:
    """Points of a path by homotopy on a working set that grows.

    Parameters
    ----------
    model : Gaussian
        Problem with l1 weights and ridge, without bounds.
    """

    solver = "homotopy"

    def __init__(self, model: Gaussian) -> None:
        self.model = model
        self.path = GramPath(model.l2, MAX_ACTIVE_SPARSE if model.design.is_sparse else MAX_ACTIVE)
        self.ridged = bool(model.l2.any())
        self.inside = np.zeros(model.design.p, dtype=bool)
        self.linear = np.zeros(model.design.p)
        self.square = 2.0 * model.null
        self.kinks = 0
        self.end = End.REACHED
        self.begin()
        free = np.flatnonzero(model.usable & (model.l1 == 0))
        charged = model.usable & (model.l1 > 0)
        if len(free):
            self.join(free)
            # No correlation exceeds the product of the norms, so no other column enters here.
            most = np.sqrt(2.0 * model.null) * model.norm[charged] / model.l1[charged]
            above = 2.0 * float(most.max(initial=0.0))
            self._follow(above, above)
            self.update(np.zeros_like(model.l1))
        pull = np.abs(self.corr[charged]) / model.l1[charged]
        self.alpha = self.alpha_max = float(pull.max(initial=0.0))

    def begin(self) -> None:
        """Correlations of all columns with the response."""
        model = self.model
        norm = model.norm * model.usable
        self._correlations = Correlations(model.design, model.weight, norm, model.response)
        self.linear = self.corr.copy()

    @property
    def corr(self) -> Vector:
        """Correlations with the residual, exact where they may matter."""
        return self._correlations.value

    def join(self, columns: Columns) -> None:
        """Let columns join the working set."""
        columns = columns[~self.inside[columns]]
        if not len(columns):
            return
        everyone = np.concatenate([self.path.columns, columns]) if self.path.m else None
        gram = self.model.design.gram(self.model.weight, columns, everyone)
        self.path.add(columns, gram, self.linear[columns], self.model.l1[columns])
        self.inside[columns] = True

    def update(self, threshold: Vector) -> None:
        """Correlations at the present coefficients, exact where they may reach the threshold."""
        model = self.model
        residual = model.response - model.design.times(self.path.coef, self.path.active)
        self.square = float(residual @ (model.weight * residual))
        self._correlations.move(residual, threshold)

    def _follow(self, alpha_from: float, alpha_to: float) -> bool:
        if self.path.m == 0:
            return True
        segment = self.path.follow(alpha_from, alpha_to)
        self.kinks += segment.kinks
        self.end = segment.end
        return segment.end is End.REACHED

    def go(self, alpha: float, following: float) -> bool:
        """Go to a smaller penalty; ``following`` is the one after it. Whether that was possible."""
        model = self.model
        strong = np.abs(self.corr) >= strong_threshold(model.l1, self.alpha, alpha)
        self.join(np.flatnonzero(strong & model.usable))
        if self.ridged and not self.path.set_ridge(alpha):
            self.end = End.SINGULAR
            return False
        threshold = strong_threshold(model.l1, alpha, following)
        for _ in range(MAX_ROUNDS):
            if not self._follow(self.alpha, alpha):
                return False
            self.update(threshold)
            self.alpha = alpha
            late = model.violators(alpha, self.corr)
            late = late[~self.inside[late]]
            if not len(late):
                return True
            self.join(late)
        self.end = End.KINKS
        return False

    def point(self, alpha: float) -> Point:
        """The solution that the path has come to."""
        model = self.model
        on = np.flatnonzero(self.path.coef)
        order = on[np.argsort(self.path.active[on])]
        columns, coef = self.path.active[order], self.path.coef[order]
        gap = model.gap(alpha, self.square, self.corr, columns, coef)
        loss = 0.5 * self.square
        return Point(alpha, columns, coef, model.intercept, gap, loss, self.kinks, self.solver)

    def points(self, alphas: Vector) -> Iterator[Point]:
        """Solve at falling penalties, as long as the homotopy goes on."""
        for k, alpha in enumerate(alphas):
            self.kinks = 0
            following = max(alphas[min(k + 1, len(alphas) - 1)], LEAST_STEP * alpha)
            way = steps(self.alpha, self.alpha_max, float(alpha))
            for here, there in zip(way, [*way[1:], float(following)], strict=False):
                if not self.go(here, there):
                    return
            yield self.point(float(alpha))


class CovariancePath(HomotopyPath):
    """The same with all columns in the working set: after one Gram matrix no row is read."""

    solver = "homotopy, covariance form"

    def begin(self) -> None:
        """Gram matrix of all columns."""
        model = self.model
        problem = model.problem
        if len(problem.unpenalised):
            linear = model.design.dot(model.weight * model.response)
        else:  # the null model is the intercept alone: its slopes are known
            linear = -problem.null_slopes
        self.linear = np.where(model.usable, linear, 0.0)
        self._value = self.linear.copy()
        self.join(np.flatnonzero(model.usable))

    @property
    def corr(self) -> Vector:
        """Correlations with the residual."""
        return self._value

    def go(self, alpha: float, following: float) -> bool:
        """Go to a smaller penalty: no column is outside of the working set."""
        if self.ridged and not self.path.set_ridge(alpha):
            self.end = End.SINGULAR
        elif self._follow(self.alpha, alpha):
            self.update(self.linear)
            self.alpha = alpha
            return True
        return False

    def update(self, threshold: Vector) -> None:
        """Correlations at the present coefficients; ``|r|^2 = z'z - w'(linear + corr)``."""
        path, active, coef = self.path, self.path.active, self.path.coef
        self._value[path.columns] = path.corr
        self._value[active] += path.ridge * self.model.l2[active] * coef
        fitted = float(coef @ (self.linear[active] + self._value[active]))
        self.square = max(2.0 * self.model.null - fitted, 0.0)


def steps(alpha_now: float, alpha_max: float, alpha: float) -> list[float]:
    """Penalties on the way from one to a smaller one, the last included."""
    # The largest penalty as computed elsewhere is the largest penalty.
    if alpha >= min(alpha_now, (1.0 - ALPHA_ROUNDING) * alpha_max):
        return []
    end = max(alpha, LAST_STEP * alpha_max)
    n = int(np.ceil(np.log(end / alpha_now) / np.log(LEAST_STEP) - 1e-9)) if end < alpha_now else 0
    way = [alpha_now * (end / alpha_now) ** (i / n) for i in range(1, n)]
    return [*way, *([end] if n and end > alpha else []), alpha]


def applies(problem: Problem) -> bool:
    """Whether the homotopy is the way: l1 with or without ridge, no bounds, no ridge alone."""
    w = problem.weights
    ridge_alone = (w.l1 == 0) & (w.l2 > 0)
    return problem.penalty.code == 0 and not problem.bounded and not bool(ridge_alone.any())


def homotopy(problem: Problem) -> HomotopyPath:
    """The form of the homotopy that suits the shape of the design."""
    model = Gaussian(problem)
    p = int(np.count_nonzero(model.usable))
    tall = p <= min(problem.design.n, MOST_COLUMNS_OF_GRAM)
    return CovariancePath(model) if tall else HomotopyPath(model)


def points(
    problem: Problem, alphas: Vector, gap: float, max_iter: int, warm: Point | None, solver: str
) -> Iterator[Point]:
    """Points at falling penalties: the homotopy as far as it goes, descent for the rest.

    The loss is its own quadratic model, so the Newton path is coordinate descent on working sets.
    """
    last, done = warm, 0
    if solver in ("auto", "homotopy") and applies(problem):
        for last in homotopy(problem).points(alphas):
            if last.gap > gap:
                break
            done += 1
            yield last
    if done < len(alphas):
        yield from newton_path(problem, alphas[done:], gap, max_iter, last)
