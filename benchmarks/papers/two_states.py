"""Prediction risk of two-state chains of any length, by importance sampling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pyestim.models.chain_smoothing import smoothed
from pyestim.models.divergences import divergence
from pyestim.models.transition_counts import TransitionCounts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

#: Share of the paths whose last sojourn ends before the beginning of the path.
SHARE_INSIDE = 0.7
#: Expected exits per n steps: the worst chains change state a few times in all.
GRID = (0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)


def last_sojourns(
    rng: np.random.Generator, n: int, leave: float, size: int
) -> tuple[NDArray[np.int64], Array]:
    """Lengths of the last sojourn, log-uniform or n, and their importance weights.

    The length l < n has the probability (1 - leave)^(l - 1) leave, and n what is left.
    """
    inside = rng.random(size) < SHARE_INSIDE
    length = np.floor(float(n) ** rng.random(size)).astype(np.int64)
    length = np.where(inside, np.minimum(length, n - 1), n)
    stay = np.log1p(-leave) * (length - 1)
    drawn = np.log1p(1.0 / length) / np.log(n)
    # Lengths of n, of probability zero, were moved to n - 1: its cell ends at n as the others do.
    weight = np.where(
        inside, leave * np.exp(stay) / (SHARE_INSIDE * drawn), np.exp(stay) / (1.0 - SHARE_INSIDE)
    )
    return length, weight


def visits_before(
    rng: np.random.Generator, room: NDArray[np.int64], leave: float, enter: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Visits to the last state before its last sojourn, and exits from it, in `room` steps.

    A two-state chain is reversible: backwards, sojourns of the other and of the last state take
    turns.
    """
    visits, exits = np.zeros_like(room), np.zeros_like(room)
    index, left = np.flatnonzero(room > 0), room[room > 0]
    while len(index):
        left = left - rng.geometric(enter, len(index))
        index, left = index[left > 0], left[left > 0]
        stayed = np.minimum(rng.geometric(leave, len(index)), left)
        visits[index] += stayed
        exits[index] += 1
        left = left - stayed
        index, left = index[left > 0], left[left > 0]
    return visits, exits


def losses(
    rng: np.random.Generator, n: int, leave: float, enter: float, size: int, rules: list[object]
) -> tuple[Array, Array]:
    """Mean loss of each rule for paths that end in a state, and the variance of that mean.

    `leave` is the probability of leaving that state, `enter` of leaving the other.
    """
    length, weight = last_sojourns(rng, n, leave, size)
    visits, exits = visits_before(rng, n - length, leave, enter)
    out = visits + length - 1
    table = np.column_stack([out - exits, exits])
    # Rows of many paths: every row is that of the present state 0.
    counts = TransitionCounts(
        1, 2, np.zeros((size, 1), dtype=np.int64), table, np.zeros(2, dtype=np.int64)
    )
    truth = np.array([1.0 - leave, leave])
    values = np.stack(
        [
            weight * divergence("kl", truth, smoothed(counts, rule, n_observations=n).matrix)
            for rule in rules
        ]
    )
    return values.mean(axis=1), values.var(axis=1, ddof=1) / size


def worst_risks(
    n: int, rules: list[object], size: int, seed: int, grid: tuple[float, ...] = GRID
) -> tuple[Array, Array]:
    """Largest n times risk over chains that leave their states with probabilities a/n and b/n.

    Returns
    -------
    risks, standard errors : ndarray of shape (len(rules),)
        At the chain that is worst for the rule.
    """
    rng = np.random.default_rng([seed, n])
    m = len(grid)
    mean, variance = np.empty((m, m, len(rules))), np.empty((m, m, len(rules)))
    for i, a in enumerate(grid):
        for j, b in enumerate(grid):
            mean[i, j], variance[i, j] = losses(rng, n, min(a / n, 1), min(b / n, 1), size, rules)
    a = np.array(grid)[:, None, None]
    b = np.array(grid)[None, :, None]
    # The stationary probability of the state that is left with a/n is b / (a + b).
    first, second = b / (a + b), a / (a + b)
    risk = n * (first * mean + second * mean.transpose(1, 0, 2))
    error = n * np.sqrt(first**2 * variance + second**2 * variance.transpose(1, 0, 2))
    worst = risk.reshape(m * m, -1).argmax(axis=0)
    rule = np.arange(len(rules))
    return risk.reshape(m * m, -1)[worst, rule], error.reshape(m * m, -1)[worst, rule]
