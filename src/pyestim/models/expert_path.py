"""Fits of penalised experts along a sequence of penalties, from both of its ends."""

from __future__ import annotations

from collections.abc import Sequence

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
    """Fit along falling penalties and back; the better objective is kept at each.

    The mixture without slopes is stationary at the largest penalty, and a path that leaves it may
    stay in its basin. So a second one begins with many starts, at the smallest penalty (with many
    columns: in the middle, where starts find something), and goes up from the smallest penalty.

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
    down = _down(space, penalties, flat)
    found, last = list(down), len(penalties) - 1
    middle = last // 2 if isinstance(space, WideSpace) else last
    best = space.solve(penalties[middle], space.starts(penalties[middle], n_init))
    for i in range(middle, last + 1):
        # A start that loses to the mixture without slopes may win at smaller penalties.
        best = best if i == middle else space.follow(penalties[i], best)
        if _better(best, found[i], space):
            found[i] = best
    # All the way up: where both agree at one penalty, the first may have been in a worse basin
    # above it. Not where the first has come down on one branch of maxima: going up it is the same.
    for i in range(last, -1, -1):
        if i < last:
            below = found[i + 1]
            same = below is down[i + 1] and below.on_branch
            best = found[i] if same else space.follow(penalties[i], below)
        if _better(best, found[i], space):
            found[i] = best
    return found


def _down(space: Space, penalties: Sequence[Penalties], flat: ExpertParams) -> list[Solution]:
    """Each fit begins at the one before."""
    found = [space.solve(penalties[0], [flat])]
    for one in penalties[1:]:
        found.append(space.follow(one, found[-1]))
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
    from_flat = _down(space, penalties, largest.params)[-1]
    started = space.solve(target, space.starts(target, n_init))
    return started if _better(started, from_flat, space) else from_flat
