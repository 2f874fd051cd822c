"""Models without rows whose convergence is known: what the engine does, seen without a mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pyestim.engine.model import Capability, Infeasible
from pyestim.engine.stats import Layout, Stats


@dataclass(frozen=True)
class At:
    """A point."""

    x: np.ndarray


class Hill:
    """``-sum_i h_i (x_i - t_i)^2 / 2``, climbed by the factor ``rates_i`` per step.

    The objective is a sum over ``n`` equal rows.
    """

    name = "hill"
    halo = 0
    supports = frozenset({Capability.ACCELERATE, Capability.WEIGHTS})

    def __init__(self, rates, height=1.0, target=None):
        self.rates = np.asarray(rates, dtype=float)
        self.height = np.broadcast_to(height, self.rates.shape)
        self.target = np.zeros(len(self.rates)) if target is None else np.asarray(target)
        self.layout = Layout({"value": (), "gap": (len(self.rates),)})
        self.n_updates = 0

    def accumulate(self, params, chunk, out):
        for row, p in zip(out, params, strict=True):
            gap = p.x - self.target
            row[0] = -chunk.n * float(self.height @ gap**2) / 2
            row[1:] = chunk.n * gap

    def update(self, params, stats):
        self.n_updates += 1
        return At(self.target + self.rates * (params.x - self.target))

    def objective(self, params, stats):
        return stats.number("value")

    def pack(self, params):
        return params.x

    def unpack(self, vector):
        return At(vector)

    def diagnose(self, params, stats):
        return ()


class Cliff(Hill):
    """A hill of which extrapolation may leave the ground."""

    def unpack(self, vector):
        if vector.min() < self.target.min():
            raise Infeasible("over the edge")
        return At(vector)


class Saddle(Hill):
    """Along the first coordinate a saddle at 0 between maxima at -1 and 1."""

    def accumulate(self, params, chunk, out):
        super().accumulate(params, chunk, out)
        for row, p in zip(out, params, strict=True):
            gap = p.x[1:] - self.target[1:]
            slow = (p.x[0] ** 2 - 1.0) ** 2 / 4
            row[0] = -chunk.n * (float(self.height[1:] @ gap**2) / 2 + slow)

    def update(self, params, stats):
        x = super().update(params, stats).x
        first = params.x[0]
        x[0] = first + 0.05 * (first - first**3)
        return At(x)


@dataclass(frozen=True)
class Piece:
    """So many equal rows."""

    n: int


class Flat:
    """A source of ``n`` equal rows in pieces."""

    backend = "toy"

    def __init__(self, n=10, pieces=1, eps=2.0**-52):
        self.n, self.pieces, self.mean_eps = n, pieces, eps
        self.weight_sum = float(n * pieces)

    def chunks(self):
        for _ in range(self.pieces):
            yield Piece(self.n)


class Fixed:
    """A sweep that returns objectives from a list."""

    eps = 2.0**-52
    backend = "list"
    weight_sum = 1.0
    source = None

    def __init__(self, values):
        self.values, self.count = list(values), 0

    def __call__(self, params):
        layout = Layout({"value": (), "gap": (1,)})
        value = self.values[min(self.count, len(self.values) - 1)]
        self.count += 1
        return [Stats(layout, np.array([value, 0.0])) for _ in params]
