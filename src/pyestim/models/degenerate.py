"""Components that collapsed or lost their rows: notice, name, drop, reseed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyestim.data.source import ArraySource
from pyestim.engine.stats import Stats
from pyestim.models.covariance import Structure

if TYPE_CHECKING:
    from pyestim.models.mixture import Mixture, MixtureParams

Mask = NDArray[np.bool_]

POLICIES = ("regularize", "drop", "reseed", "raise")
#: After this many times a component that collapses again is left on the floor.
MOST_RESEEDS = 3
#: Rows whose log-densities are held at once.
BLOCK_ROWS = 1 << 16


class Degenerate(ValueError):
    """A component collapsed, and the caller asked to be told."""


class Watch:
    """Watch over the components of one mixture.

    Parameters
    ----------
    structure : Structure
        Knows how many rows a component needs.
    policy : str
        One of `POLICIES`.
    row_weight : float
        Weight that counts as one row.
    """

    def __init__(self, structure: Structure, policy: str, row_weight: float) -> None:
        self.structure = structure
        self.policy = policy
        self.row_weight = row_weight

    def few_rows(self, stats: Stats) -> Mask:
        """Components with fewer rows than their covariance needs: (K,)."""
        return np.asarray(stats["resp_sum"] < self.structure.min_rows() * self.row_weight)

    def on_floor(self, params: MixtureParams) -> Mask:
        """Components with more directions on the floor than every component has: (K,)."""
        floored = params.component.covariance.n_floored
        if floored is None:
            return np.zeros(len(params.weights), dtype=bool)
        alive = params.weights > 0.0
        return np.asarray(alive & (floored > floored[alive].min()))

    def collapsed(self, params: MixtureParams, stats: Stats) -> Mask:
        """Components that will not recover: on the floor, or with less than one row: (K,).

        One that was dropped is not asked for again.
        """
        lost = (stats["resp_sum"] < self.row_weight) | self.on_floor(params)
        return np.asarray(lost & (params.weights > 0.0) if self.policy == "drop" else lost)

    # -- words ----------------------------------------------------------------------------------

    def diagnose(self, params: MixtureParams, stats: Stats) -> tuple[str, ...]:
        """Sentences that name the degenerate components and the directions without variance."""
        few, floor = self.few_rows(stats), self.on_floor(params)
        flagged = np.flatnonzero(few | floor)
        lines = [self._sentence(int(k), params, stats) for k in flagged]
        floored = params.component.covariance.n_floored
        shared = 0 if floored is None else int(floored[params.weights > 0.0].min())
        if shared:
            lines.append(
                f"every covariance sits on the variance floor in {shared} direction(s): columns "
                "are constant, or linear combinations of each other."
            )
        return tuple(lines)

    def _sentence(self, k: int, params: MixtureParams, stats: Stats) -> str:
        rows = stats["resp_sum"][k] / self.row_weight
        total = stats.number("weight_sum") / self.row_weight
        if params.weights[k] == 0.0:
            return f"component {k} has the weight zero: it was dropped, or no row belongs to it."
        if self.on_floor(params)[k]:
            return (
                f"component {k} has collapsed: its covariance sits on the variance floor, and it "
                f"holds {rows:.3g} of {total:.6g} rows."
            )
        return (
            f"component {k} holds {rows:.3g} of {total:.6g} rows, fewer than the "
            f"{self.structure.min_rows():.3g} that its covariance needs."
        )

    # -- deeds ----------------------------------------------------------------------------------

    def needs_repair(self, params: MixtureParams, stats: Stats, n_before: int) -> bool:
        """Whether there is something to replace, and something that stays."""
        collapsed = self.collapsed(params, stats)
        if not collapsed.any() or not (params.weights[~collapsed] > 0.0).any():
            return False
        return self.policy != "reseed" or n_before < MOST_RESEEDS

    def repair(
        self, model: Mixture, params: MixtureParams, stats: Stats, sweep: Any, n_before: int
    ) -> tuple[MixtureParams, str]:
        """Drop or reseed collapsed components, or raise."""
        collapsed = self.collapsed(params, stats)
        if self.policy == "raise":
            k = int(np.flatnonzero(collapsed)[0])
            raise Degenerate(
                f"{model.name}: {self._sentence(k, params, stats)} Use fewer components, a larger "
                'reg_covar or another start; or on_degenerate="regularize", "drop" or "reseed".'
            )
        if self.policy == "drop":
            return _without(model, params, collapsed), f"{_named(collapsed)} dropped."
        repaired = _reseeded(model, params, collapsed, sweep, n_before)
        return repaired, f"{_named(collapsed)} seeded again."


def _named(which: Mask) -> str:
    names = ", ".join(str(k) for k in np.flatnonzero(which))
    return f"components {names} were" if which.sum() > 1 else f"component {names} was"


def _without(model: Mixture, params: MixtureParams, lost: Mask) -> MixtureParams:
    return model.with_gate(params, np.where(lost, 0.0, params.weights))


def _reseeded(
    model: Mixture, params: MixtureParams, lost: Mask, sweep: Any, n_before: int
) -> MixtureParams:
    """Put lost components on the least likely rows, with the mean covariance of the others.

    Each time rows that are a little more likely: the least likely ones may be copies of one row,
    on which a component collapses again.
    """
    structure = model.component.structure
    source: ArraySource = sweep.source
    sweep.count += 1
    kept = np.where(lost, 0.0, params.weights)
    means = params.means.copy()
    n_lost, skipped = int(lost.sum()), n_before * int(structure.min_rows())
    rows = _least_likely(model, _without(model, params, lost), source, skipped + n_lost)
    means[lost] = source.take(rows[-n_lost:])[0]
    full = np.array(structure.expand(params.covariances))
    full[lost] = np.tensordot(kept / kept.sum(), full, axes=1)
    weights = np.where(lost, 1.0 / len(lost), kept / kept.sum() * (1.0 - lost.mean()))
    return model.params(weights, means, structure.restrict(full, weights))


def _least_likely(
    model: Mixture, params: MixtureParams, source: ArraySource, n_wanted: int
) -> NDArray[np.intp]:
    """Rows of positive weight with the lowest log-densities: (n_wanted,)."""
    places = np.zeros(0, dtype=np.intp)
    lowest = np.zeros(0)
    for start in range(0, source.n_rows, BLOCK_ROWS):
        stop = min(start + BLOCK_ROWS, source.n_rows)
        log_prob = np.empty(stop - start)
        model.rows(params, replace(source.whole, start=start, stop=stop), log_prob=log_prob)
        if source.sample_weight is not None:
            log_prob[source.sample_weight[start:stop] == 0.0] = np.inf
        lowest = np.concatenate([lowest, log_prob])
        places = np.concatenate([places, np.arange(start, stop)])
        order = np.argsort(lowest, kind="stable")[:n_wanted]
        lowest, places = lowest[order], places[order]
    return np.asarray(places[np.arange(n_wanted) % len(places)])
