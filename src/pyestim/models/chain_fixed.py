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


@dataclass(frozen=True)
class FixedFlows:
    """Transition matrix for a given stationary distribution, and how it was found."""

    transition: Any
    n_iter: int
    converged: bool
    residual: float


def _exchange(a: Any, b: Any, s: Any) -> tuple[Float, Float]:
    """Flows and their derivatives: values are multipliers. 0 / 0 is no flow."""
    total = np.where(s > 0, a + b, 1.0)
    flow = s / total
    return flow, flow / total


class _Multipliers:
    """The convex function of the multipliers: its gradient and Newton steps."""

    def __init__(self, counts: Any, pi: Float) -> None:
        symmetric = counts + counts.T
        self.pairs = Pairs(csr_array(symmetric) if issparse(counts) else symmetric)
        self.system = System(self.pairs, 1)
        self.pi = pi
        stay = np.asarray(counts.diagonal())
        self.size = np.asarray(symmetric.sum(axis=1)).ravel()
        #: Multipliers that may be zero: of states that were never seen to stay.
        self.bounded = stay <= 0

    def value(self, values: Float) -> float:
        """The function that the multipliers minimise; infinite outside of its domain."""
        with np.errstate(divide="ignore"):
            logs = self.pairs.cells(lambda a, b, s: s * np.log(np.where(s > 0, a + b, 1.0)), values)
        return float(self.pi @ values - logs.sum() / 2)

    def gradient(self, values: Float) -> Float:
        """Excess of the given probabilities over the flows; leaves the weights in the pairs."""
        return self.pi - self.pairs.sums(_exchange, values)

    def free(self, values: Float, gradient: Float) -> NDArray[np.bool_]:
        """Multipliers that are not held at zero."""
        return ~(self.bounded & (values <= 0) & (gradient >= 0))

    def residual(self, gradient: Float, free: NDArray[np.bool_]) -> float:
        """Largest violation relative to the probability of a state."""
        inside = free & (self.pi > 0)
        return float((np.abs(gradient[inside]) / self.pi[inside]).max(initial=0.0))


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
        flows = problem.pairs.sums(_exchange, values)
        values *= np.divide(flows, pi, out=np.zeros_like(pi), where=pi > 0)
    g = problem.gradient(values)
    problem.system.probe()
    last = np.inf
    for n_iter in range(max_iter + 1):
        free = problem.free(values, g)
        residual = problem.residual(g, free)
        step = problem.system.solve(-g, min(1e-3, residual), free)
        size = _largest_ratio(step, values)
        done = residual <= tol and (size <= ACCURACY or size > last / 2)
        if done or n_iter == max_iter:
            break
        last = size
        values, g = _along(problem, values, g, step)
    return FixedFlows(_transition(problem, values), n_iter, done, residual)


def _largest_ratio(step: Float, values: Float) -> float:
    moved = step != 0
    with np.errstate(divide="ignore"):
        return float((np.abs(step[moved]) / values[moved]).max(initial=0.0))


def _along(problem: _Multipliers, values: Float, g: Float, step: Float) -> tuple[Float, Float]:
    """The end of a step that lowers the function, and the gradient there."""
    stays = ~problem.bounded & (step < 0)
    length = min(1.0, float((-0.9 * values[stays] / step[stays]).min(initial=np.inf)))
    before = problem.value(values)
    residual = problem.residual(g, problem.free(values, g))
    while True:
        end = values + length * step
        end[problem.bounded] = np.maximum(end[problem.bounded], 0.0)
        value = problem.value(end)
        if value < before or length < 1e-12:
            return end, problem.gradient(end)
        if np.isfinite(value):  # rounding hides the last gains of the function, not of its slope
            gradient = problem.gradient(end)
            if problem.residual(gradient, problem.free(end, gradient)) <= residual / 2:
                return end, gradient
        length /= 2


def _transition(problem: _Multipliers, values: Float) -> Any:
    """Rows of the flows; what they leave of a state's probability stays there."""
    flows = problem.pairs.cells(lambda a, b, s: _exchange(a, b, s)[0], values)
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
