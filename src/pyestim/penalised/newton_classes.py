"""Directions for several classes, whose predictors share the curvature of a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pyestim.engine.stats import Vector
from pyestim.penalised.gap import Evaluation
from pyestim.penalised.newton_model import (
    FLAT,
    Direction,
    descend,
    descend_gram,
    near,
    raised,
    working_residual,
)
from pyestim.penalised.newton_support import DenseColumns
from pyestim.penalised.penalty import Weights
from pyestim.penalised.problem import Problem, times

#: Up to so many coefficients the exact Hessian of all classes is formed.
MOST_EXACT_COEFFICIENTS = 600
#: Rounds over the classes in one model.
MAX_ROUNDS = 20
#: Groups: passes in one model, whose curvature is a bound only.
GROUP_EPOCHS = 20
#: Groups: up to so many coefficients that are not zero Newton's method is used on them.
MOST_NEWTON_COEFFICIENTS = 600


class ClassStep:
    """Several classes: the exact Hessian, formed for few coefficients, else class by class."""

    name = "coordinate descent by classes"

    def __call__(
        self,
        problem: Problem,
        at: Evaluation,
        columns: Any,
        weights: Weights,
        tolerance: float,
        settled: bool,
    ) -> Direction:
        """Direction from ``at``."""
        outputs = problem.datafit.n_outputs
        matter = near(problem, at, columns, weights)
        if not 0 < outputs * matter.sum() <= MOST_EXACT_COEFFICIENTS:
            found = self.by_class(problem, at, columns, weights, tolerance)
        else:
            found = self.exact(problem, at, columns[matter], weights.of(matter), tolerance)
            change = np.zeros((columns.size, outputs))
            change[matter] = found.beta
            found = replace(found, beta=change)
        free = (weights.l1 == 0.0) & (weights.l2 == 0.0)
        if problem.bounded or not free.any():
            return found
        # Of the equal solutions that of the least norm: rounding must not add up along a path.
        mean = found.beta[free].mean(axis=1)
        found.beta[free] -= mean[:, None]
        along = problem.design.times(mean, columns[free])
        return replace(found, eta=found.eta - along[:, None])

    @staticmethod
    def exact(
        problem: Problem, at: Evaluation, columns: Any, weights: Weights, tolerance: float
    ) -> Direction:
        """Minimum of the model on one matrix for the coefficients of all classes."""
        outputs, start = at.beta.shape[1], at.beta[columns].T.ravel()
        gram, cross, corner = class_hessian(problem, at, columns)
        slope = problem.design.dot(at.gradient, columns).T.ravel()
        total = at.gradient.sum(axis=0)
        # The intercepts' best values, as functions of the coefficients.
        inverse = np.linalg.pinv(corner, rcond=FLAT, hermitian=True)
        inverse *= float(problem.fit_intercept)
        gram -= cross @ inverse @ cross.T
        slope -= cross @ (inverse @ total)
        # Equal constants for all classes change nothing: there the slope is zero too.
        gram[np.diag_indices_from(gram)] += FLAT * float(np.trace(gram)) / len(gram)
        own = weights.of(np.tile(np.arange(columns.size), outputs))
        beta = start.copy()
        gram = 0.5 * (gram + gram.T)
        descend_gram(problem, gram, gram @ start - slope, beta, own, tolerance)
        change = beta - start
        intercept = -inverse @ (total + cross.T @ change)
        by_column = np.ascontiguousarray(change.reshape(outputs, -1).T)
        eta = times(problem.design, by_column, columns) + intercept
        return Direction(by_column, intercept, eta)

    @staticmethod
    def by_class(
        problem: Problem, at: Evaluation, columns: Any, weights: Weights, tolerance: float
    ) -> Direction:
        """Minimum of the model by rounds over the classes."""
        datafit, outputs = problem.datafit, problem.datafit.n_outputs
        beta = np.ascontiguousarray(at.beta[columns].T)
        intercept, change = np.zeros((outputs, 1)), np.zeros_like(at.eta)
        curvature = [raised(at.curvature[:, k], datafit.weight) for k in range(outputs)]
        added = at.curvature - datafit.quadratic(at.eta)[2]
        for _ in range(MAX_ROUNDS):
            largest = 0.0
            for k in range(outputs):
                gradient = at.gradient[:, k] + datafit.hessian_times(at.eta, change)[:, k]
                gradient = gradient + added[:, k] * change[:, k]
                start = working_residual(gradient, curvature[k])
                residual, before = start.copy(), beta[k].copy()
                descend(
                    *(problem, columns, weights, curvature[k], residual),
                    *(beta[k], intercept[k], tolerance),
                )
                moved = start - residual
                change[:, k] += moved
                largest = max(largest, float(np.abs(curvature[k] @ np.abs(moved))))
                if not np.any(before != beta[k]) and not moved.any():
                    continue
            if largest <= tolerance:
                break
        return Direction(beta.T - at.beta[columns], intercept[:, 0], change)


def class_hessian(problem: Problem, at: Evaluation, columns: Any) -> tuple[Vector, Vector, Vector]:
    """Hessian in the coefficients class by class, in these and the intercepts, in the latter."""
    design, outputs, m = problem.design, problem.datafit.n_outputs, columns.size
    mean, weight = problem.datafit.mean(at.eta), problem.datafit.weight
    gram, cross = np.empty((outputs, m, outputs, m)), np.empty((outputs, m, outputs))
    corner = np.empty((outputs, outputs))
    for k in range(outputs):
        for other in range(k + 1):
            same = k == other
            curved = at.curvature[:, k] if same else weight * mean[:, k] * mean[:, other]
            sign = 1.0 if same else -1.0
            block, sums = design.gram(curved, columns), design.dot(curved, columns)
            gram[k, :, other] = gram[other, :, k] = sign * block
            cross[k, :, other] = cross[other, :, k] = sign * sums
            corner[k, other] = corner[other, k] = sign * float(curved.sum())
    size = outputs * m
    return gram.reshape(size, size), cross.reshape(size, outputs), corner


class GroupStep:
    """Groups of all classes: one curvature a row, above that of every class.

    That converges linearly. Once it leaves the set of groups as it is, Newton's method on them,
    where the penalty is smooth, takes over.
    """

    name = "coordinate descent by groups"

    def __init__(self) -> None:
        self.dense = DenseColumns()

    def __call__(
        self,
        problem: Problem,
        at: Evaluation,
        columns: Any,
        weights: Weights,
        tolerance: float,
        settled: bool,
    ) -> Direction:
        """Direction from ``at``."""
        start = at.beta[columns]
        used = start.any(axis=1)
        # With the zeros in order already, the rest of the working set need not be read.
        smooth = self.newton(problem, at, columns, weights, used) if settled else None
        if smooth is not None:
            return smooth
        bounded = self.descend(problem, at, columns, weights, tolerance)
        if np.array_equal(used, (start + bounded.beta).any(axis=1)):
            smooth = self.newton(problem, at, columns, weights, used)
            if smooth is not None:
                return smooth
        return bounded

    def descend(
        self,
        problem: Problem,
        at: Evaluation,
        columns: Any,
        weights: Weights,
        tolerance: float,
    ) -> Direction:
        """Minimum of the model with the larger curvature."""
        # 2 p (1 - p) by Gershgorin and 1/2 everywhere: the largest eigenvalue of diag(p) - pp'.
        weight = problem.datafit.weight
        curvature = np.minimum(2.0 * at.curvature.max(axis=1), 0.5 * weight)
        curvature = raised(curvature, weight)
        by_class = np.ascontiguousarray(at.gradient.T)
        start = working_residual(by_class, np.broadcast_to(curvature, by_class.shape))
        residual, beta = start.copy(), np.ascontiguousarray(at.beta[columns].T)
        intercept = np.zeros(len(start))
        epochs = GROUP_EPOCHS
        descend(problem, columns, weights, curvature, residual, beta, intercept, tolerance, epochs)
        return Direction(beta.T - at.beta[columns], intercept, (start - residual).T)

    def newton(
        self, problem: Problem, at: Evaluation, columns: Any, weights: Weights, used: Any
    ) -> Direction | None:
        """Newton step in the groups that are not zero; None where one would turn around."""
        start, outputs = at.beta[columns][used], at.beta.shape[1]
        first = int(problem.fit_intercept)
        if not 0 < (first + len(start)) * outputs <= MOST_NEWTON_COEFFICIENTS:
            return None
        A = np.ones((problem.design.n, first + len(start)))
        A[:, first:] = self.dense(problem.design, columns[used])
        l1, l2 = weights.l1[used, None], weights.l2[used, None]
        size = np.linalg.norm(start, axis=1, keepdims=True)
        unit = start / size
        slope = A.T @ at.gradient
        slope[first:] += l1 * unit + l2 * start
        hessian = problem.datafit.reduced_hessian(at.eta, A)
        bent = l2[..., None] * np.eye(outputs)
        bent = bent + (l1 / size)[..., None] * (np.eye(outputs) - unit[:, :, None] * unit[:, None])
        for j, block in enumerate(bent, first):
            own = slice(j * outputs, (j + 1) * outputs)
            hessian[own, own] += block
        # Equal constants for all classes change nothing: there the slope is zero too.
        hessian[np.diag_indices_from(hessian)] += FLAT * float(np.trace(hessian)) / len(hessian)
        factor = cho_factor(hessian, lower=True, overwrite_a=True)
        step = cho_solve(factor, -slope.ravel()).reshape(-1, outputs)
        if np.any(np.sum((start + step[first:]) * start, axis=1) <= 0.0):
            return None
        beta = np.zeros((columns.size, outputs))
        beta[used] = step[first:]
        intercept = step[0] if first else np.zeros(outputs)
        return Direction(beta, intercept, A @ step)
