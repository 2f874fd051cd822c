"""Fits of penalised experts along a sequence of penalties, from both of its ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.engine.stats import Vector
from pyestim.models.expert_build import ExpertOptions
from pyestim.models.expert_solution import Effort, Solution
from pyestim.models.expert_space import WholeSpace, WideSpace, is_wide
from pyestim.models.experts import ExpertParams

Penalties = tuple[float, float]
Space = WholeSpace | WideSpace

#: The first point lies this much above the largest penalty, which is known to some digits.
ABOVE = 1e-4
#: Penalties on the way from the largest one to a single fit.
STEPS_TO_ONE = 8
#: A fit whose objective per unit weight is this much below another's need not be exact.
FAR = 1e-2


def space_of(source: ExpertSource, options: ExpertOptions, effort: Effort) -> Space:
    """Where fits with these penalised columns are made."""
    kind = WideSpace if is_wide(source, options) else WholeSpace
    return kind(source, options, effort)


def grid(largest: float, n_penalties: int, eps: float) -> Vector:
    """Penalties from the largest one down to ``eps`` times it, in equal ratios."""
    return np.geomspace(largest * (1.0 + ABOVE), largest * eps, n_penalties)


def solve_both_ways(
    space: Space, penalties: Sequence[Penalties], flat: ExpertParams, n_init: int
) -> list[Solution]:
    """Fit along rising and along falling penalties; the better objective is kept at each.

    The first begins with many starts, at the smallest penalty (with many columns: in the middle,
    where starts find something). The second leaves the mixture without slopes, which is stationary
    at the largest penalty; it may stay in that basin, or win where the starts found worse.

    Parameters
    ----------
    space : WholeSpace or WideSpace
    penalties : sequence of pairs
        Of experts and gate, falling.
    flat : ExpertParams
        The mixture without slopes.
    n_init : int
        Starts.
    """
    last = len(penalties) - 1
    middle = last // 2 if isinstance(space, WideSpace) else last
    rising = _from_starts(space, penalties, middle, n_init)
    found = list(rising)
    falling = _from_flat(space, penalties, flat, rising)
    for i, one in enumerate(falling):
        if _better(one, found[i], space):
            found[i] = one
    # Up from where the second won: above it the second may have been in a worse basin. Not where
    # a fit upwards was made already, or would go back on the branch of maxima it came down on.
    for i in range(last - 1, -1, -1):
        below = found[i + 1]
        risen = below is rising[i + 1] and i < middle
        if not (risen or (below is falling[i + 1] and below.on_branch)):
            best = space.follow(penalties[i], below)
            found[i] = best if _better(best, found[i], space) else found[i]
    return found


def _from_starts(
    space: Space, penalties: Sequence[Penalties], first: int, n_init: int
) -> list[Solution]:
    """From many starts at one penalty, down to the smallest and up to the largest."""
    begin = space.solve(penalties[first], space.starts(penalties[first], n_init))
    below, above = [begin], [begin]
    for one in penalties[first + 1 :]:
        below.append(space.follow(one, below[-1]))
    for one in penalties[:first][::-1]:
        above.append(space.follow(one, above[-1]))
    return above[::-1] + below[1:]


def _from_flat(
    space: Space, penalties: Sequence[Penalties], flat: ExpertParams, others: Sequence[Solution]
) -> list[Solution]:
    """Down from the mixture without slopes: roughly while others are far better, then with them."""
    found = [space.solve(penalties[0], [flat])]
    for i in range(1, len(penalties)):
        before, other = found[-1], others[i - 1]
        if abs(before.objective - other.objective) <= space.effort.tol and other.on_branch:
            found.append(others[i])
            continue
        far = before.objective < other.objective - FAR
        one = space.follow(penalties[i], before, rough=far)
        if far and one.objective > others[i].objective - FAR:
            one = replace(space.follow(penalties[i], one), on_branch=False)
        found.append(one)
    return found


def _down(space: Space, penalties: Sequence[Penalties], flat: ExpertParams) -> Solution:
    """Each fit begins at the one before; the last one."""
    found = space.solve(penalties[0], [flat])
    for one in penalties[1:]:
        found = space.follow(one, found)
    return found


def _better(one: Solution, other: Solution, space: Space) -> bool:
    """Whether an objective is larger by more than the fits' tolerance."""
    return one.objective > other.objective + space.effort.tol


def fit_wide(source: ExpertSource, options: ExpertOptions, n_init: int, effort: Effort) -> Solution:
    """Fit at one penalty with many columns: along a short path that ends there, and from starts."""
    space = WideSpace(source, options, effort)
    largest = space.largest(n_init)
    target = options.expert_l1, options.gate_l1
    most = largest.expert_l1, largest.gate_l1
    share = max(top / l1 for l1, top in zip(target, most, strict=True) if l1 > 0.0)
    steps = np.geomspace(max(share, 1.0), 1.0, STEPS_TO_ONE if share > 1.0 else 1)
    penalties = [(target[0] * step, target[1] * step) for step in steps]
    from_flat = _down(space, penalties, largest.params)
    started = space.solve(target, space.starts(target, n_init))
    return started if _better(started, from_flat, space) else from_flat
