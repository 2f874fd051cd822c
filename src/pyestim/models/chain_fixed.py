"""Reversible transition matrix of maximum likelihood for a given stationary distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, diags_array, issparse

from pyestim.models.chain_flows import Pairs, System

__all__ = ["FixedFlows", "fixed_flows"]

Float = NDArray[np.float64]
#: A Newton step that changes every multiplier by a smaller share counts as converged.
ACCURACY = 1e-10
#: Self-consistent steps before Newton's: they find the scale of every multiplier.
WARM_STEPS = 5
SHORT_STEP = 0.25


@dataclass(frozen=True)
class FixedFlows:
    """Transition matrix for a given stationary distribution, and how it was found."""

    transition: Any
    n_iter: int
    converged: bool
    residual: float


class _Multipliers:
    """The convex function of the multipliers: its gradient and Newton steps."""

    def __init__(self, counts: Any, pi: Float) -> None:
        self.pairs = Pairs(counts)
        self.system = System(self.pairs, 1)
        self.pi = pi
        self.size = np.asarray(counts.sum(axis=0)).ravel() + np.asarray(counts.sum(axis=1)).ravel()
        #: Multipliers that may be zero: of states that were never seen to stay.
        self.bounded = np.asarray(counts.diagonal()) <= 0

    def value(self, values: Float) -> float:
        """The function that the multipliers minimise; infinite outside of its domain."""
        return float(self.pi @ values - self.pairs.log_sum(values))

    def gradient(self, values: Float) -> Float:
        """Excess of the given probabilities over the flows; leaves the weights in the pairs."""
        excess: Float = self.pi - self.pairs.sums("exchange", values)
        return excess

    def residual(self, values: Float, gradient: Float) -> tuple[NDArray[np.bool_], float]:
        """Multipliers that are not on their way to zero, and the largest violation.

        The violation is relative to the probability of a state. A multiplier is on its way to zero
        if Newton's method on it alone would take it there.
        """
        reach = values * self.system.diagonal()
        held = self.bounded & (gradient > 0) & (reach <= gradient)
        violation = np.where(held, reach, np.abs(gradient))
        inside = self.pi > 0
        return ~held, float((violation[inside] / self.pi[inside]).max(initial=0.0))

    def step(self, gradient: Float, free: NDArray[np.bool_], accuracy: float) -> Float:
        """Newton's step for the free multipliers, one beyond zero for the others."""
        step = self.system.solve(-gradient, accuracy, free)
        d = self.system.diagonal()
        down = np.divide(-gradient, d, out=np.zeros_like(d), where=d > 0)
        return np.where(free, step, down)


def fixed_flows(counts: Any, pi: Float, tol: float, max_iter: int) -> FixedFlows:
    """Estimate the transition matrix.

    Parameters
    ----------
    counts : ndarray or csr_array of shape (k, k)
    pi : ndarray of shape (k,)
        Positive where there are counts.
    tol : float
    max_iter : int
    """
    problem = _Multipliers(counts, pi)
    values = np.divide(problem.size, 2 * pi, out=np.zeros_like(pi), where=pi > 0)
    for _ in range(WARM_STEPS):
        flows = problem.pairs.sums("exchange", values)
        values *= np.divide(flows, pi, out=np.zeros_like(pi), where=pi > 0)
    g = problem.gradient(values)
    problem.system.probe()
    last = np.inf
    for n_iter in range(max_iter + 1):
        free, residual = problem.residual(values, g)
        step = problem.step(g, free, min(1e-3, max(residual, 1e-5)))
        size = _largest_ratio(step[free], values[free])
        done = residual <= tol and (size <= ACCURACY or size > last / 2)
        if done or n_iter == max_iter:
            break
        last = size
        values, g = _along(problem, values, step)
    return FixedFlows(_transition(problem, values), n_iter, done, residual)


def _largest_ratio(step: Float, values: Float) -> float:
    moved = step != 0
    with np.errstate(divide="ignore"):
        return float((np.abs(step[moved]) / values[moved]).max(initial=0.0))


def _along(problem: _Multipliers, values: Float, step: Float) -> tuple[Float, Float]:
    """The end of a step that lowers the function, and the gradient there.

    Short steps do, but for rounding: the second derivative does not double along them.
    """
    held = problem.bounded & (step < -values)
    if _largest_ratio(step[~held], values[~held]) <= SHORT_STEP and not values[held].any():
        end = np.where(held, 0.0, values + step)
        return end, problem.gradient(end)
    stays = ~problem.bounded & (step < 0)
    length = min(1.0, float((-0.9 * values[stays] / step[stays]).min(initial=np.inf)))
    before = problem.value(values)
    while True:
        end = values + length * step
        end[problem.bounded] = np.maximum(end[problem.bounded], 0.0)
        if problem.value(end) < before or length < 1e-12:
            return end, problem.gradient(end)
        length /= 2


def _transition(problem: _Multipliers, values: Float) -> Any:
    """Rows of the flows; what they leave of a state's probability stays there."""
    problem.pairs.sums("flow", values)
    flows = problem.pairs.cells()
    scale = np.divide(1.0, problem.pi, out=np.zeros_like(problem.pi), where=problem.pi > 0)
    if issparse(flows):
        flows = csr_array(flows - diags_array(flows.diagonal()))
        rows = diags_array(scale) @ flows
        stay = np.maximum(1 - np.asarray(rows.sum(axis=1)).ravel(), 0.0)
        transition = csr_array(rows + diags_array(stay))
        transition.eliminate_zeros()
        return transition
    np.fill_diagonal(flows, 0.0)
    flows *= scale[:, None]
    np.fill_diagonal(flows, np.maximum(1 - flows.sum(axis=1), 0.0))
    return flows
