"""A Markov chain of the first order as a model of the engine: its statistics are counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import xlogy

from pyestim.data.sequences import SequenceChunk
from pyestim.engine.model import Capability
from pyestim.engine.stats import Layout, Stats, Vector
from pyestim.models.transition_counts import count_transitions


@dataclass(frozen=True)
class ChainParams:
    """Parameters of a chain.

    Attributes
    ----------
    start : ndarray of shape (k,)
        Distribution of the first state of a sequence.
    transition : ndarray of shape (k, k)
        Row i is the distribution of the state that follows state i.
    """

    start: Vector
    transition: Vector


@dataclass(frozen=True)
class ChainModel:
    """``log p(x) = log start[x_1] + sum_t log transition[x_{t-1}, x_t]`` for each sequence.

    The statistics do not depend on the parameters, so one sweep is enough for a maximum, and a
    hidden chain can use the same windows for its expected counts.

    Parameters
    ----------
    n_states : int
    """

    n_states: int
    name: str = "MarkovChain"
    halo: int = 1
    supports: frozenset[Capability] = frozenset({Capability.WEIGHTS, Capability.STREAM})

    @cached_property
    def layout(self) -> Layout:
        """Weights of the first states and of the transitions."""
        return Layout({"starts": (self.n_states,), "counts": (self.n_states, self.n_states)})

    def accumulate(self, params: Sequence[Any], chunk: SequenceChunk, out: Vector) -> None:
        """Write the counts of the rows of ``chunk``; they are the same for every candidate."""
        found = count_transitions(
            chunk.codes,
            self.n_states,
            offsets=chunk.offsets,
            weight=chunk.weight,
            start=chunk.start,
            stop=chunk.stop,
            sparse=False,
        )
        out[:, : self.n_states] = found.starts
        out[:, self.n_states :] = np.asarray(found.table).reshape(-1)

    def update(self, params: ChainParams, stats: Stats) -> ChainParams:
        """Relative frequencies: the exact maximum; uniform where nothing was seen."""
        return ChainParams(frequencies(stats["starts"]), frequencies(stats["counts"]))

    def objective(self, params: ChainParams, stats: Stats) -> float:
        """Log-likelihood of all sequences."""
        return float(
            xlogy(stats["starts"], params.start).sum()
            + xlogy(stats["counts"], params.transition).sum()
        )

    def pack(self, params: ChainParams) -> Vector:
        """Log-ratios to the last state of each distribution, which must be positive."""
        rows = np.vstack([params.start, params.transition])
        return np.log(rows[:, :-1] / rows[:, -1:]).reshape(-1)

    def unpack(self, vector: Vector) -> ChainParams:
        """Inverse of `pack`."""
        k = self.n_states
        rows = np.zeros((k + 1, k))
        rows[:, :-1] = vector.reshape(k + 1, k - 1)
        rows = np.exp(rows - rows.max(axis=1, keepdims=True))
        rows /= rows.sum(axis=1, keepdims=True)
        return ChainParams(rows[0], rows[1:])

    def diagnose(self, params: ChainParams, stats: Stats) -> tuple[str, ...]:
        """Say which states were never left."""
        return never_left(stats["counts"].sum(axis=1), "states")


def never_left(
    row_sums: Vector, what: str, then: str = "their rows of the transition matrix are uniform"
) -> tuple[str, ...]:
    """Sentence about the rows without transitions, if there are any."""
    n_empty = int(np.count_nonzero(row_sums == 0.0))
    if not n_empty:
        return ()
    return (f"{n_empty} of {len(row_sums)} {what} were never seen to be left: {then}.",)


def frequencies(counts: Vector) -> Vector:
    """Counts (..., k) over their sums; uniform where the sum is zero."""
    total = counts.sum(axis=-1, keepdims=True)
    seen = total > 0.0
    return np.where(seen, counts / np.where(seen, total, 1.0), 1.0 / counts.shape[-1])
