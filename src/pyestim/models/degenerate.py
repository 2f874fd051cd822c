"""Components that collapsed or lost their rows: notice, name, drop, reseed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Stats
from pyestim.models.covariance import Structure

if TYPE_CHECKING:
    from pyestim.models.mixture import Mixture, MixtureParams

POLICIES = ("regularize", "drop", "reseed", "raise")
#: After this many times a component that collapses again is left on the floor.
MOST_RESEEDS = 3
#: Rows among which the seeds of a new component are looked for.
SEED_ROWS = 4096

ADVICE = (
    "Fitting the mixture model failed because some components have ill-defined empirical "
    "covariance (for instance caused by singleton or collapsed samples). Try to decrease the "
    "number of components, increase reg_covar, or scale the input data."
)


class Watch:
    """Watch over the components of one mixture.

    Parameters
    ----------
    structure : Structure
        Knows how many rows a component needs.
    policy : str
        One of `POLICIES`.
    """

    def __init__(self, structure: Structure, policy: str) -> None:
        self.structure = structure
        self.policy = policy

    def few_rows(self, stats: Stats) -> NDArray[np.bool_]:
        """Components with less weight than their covariance needs: (K,)."""
        return np.asarray(stats["resp_sum"] < self.structure.min_rows())

    def on_floor(self, params: MixtureParams) -> NDArray[np.bool_]:
        """Components with more directions on the floor than every component has: (K,)."""
        floored = params.component.covariance.n_floored
        if floored is None:
            return np.zeros(len(params.weights), dtype=bool)
        alive = params.weights > 0.0
        return np.asarray(alive & (floored > floored[alive].min()))

    def diagnose(self, params: MixtureParams, stats: Stats) -> tuple[str, ...]:
        """Sentences that name the degenerate components and the directions without variance."""
        total = stats.number("weight_sum")
        resp_sum = stats["resp_sum"]
        few, floor = self.few_rows(stats), self.on_floor(params)
        lines = []
        for k in np.flatnonzero(few | floor):
            if params.weights[k] == 0.0:
                lines.append(f"component {k} was dropped or is empty: it holds no rows.")
            elif few[k]:
                lines.append(
                    f"component {k} holds {resp_sum[k]:.3g} of {total:.6g} rows, fewer than the "
                    f"{self.structure.min_rows():.3g} that its covariance needs."
                )
            else:
                lines.append(
                    f"component {k} has collapsed: its covariance sits on the variance floor "
                    f"while it holds {resp_sum[k]:.3g} of {total:.6g} rows."
                )
        return tuple(lines)

    def repair(
        self, model: Mixture, params: MixtureParams, stats: Stats, sweep: Any, n_before: int
    ) -> tuple[MixtureParams, str] | None:
        """Drop or reseed degenerate components, or raise; None when there is nothing to do."""
        bad = (self.few_rows(stats) | self.on_floor(params)) & (params.weights > 0.0)
        if not bad.any():
            return None
        if self.policy == "raise":
            raise ValueError(f"{model.name}: {' '.join(self.diagnose(params, stats))} {ADVICE}")
        if self.policy == "drop":
            return self._drop(model, params, stats, bad)
        if n_before < MOST_RESEEDS:
            return _reseed(model, params, sweep, bad)
        return None

    def _drop(
        self, model: Mixture, params: MixtureParams, stats: Stats, bad: NDArray[np.bool_]
    ) -> tuple[MixtureParams, str] | None:
        """Give degenerate components the weight zero; the largest one always stays."""
        bad = bad.copy()
        bad[np.argmax(stats["resp_sum"])] &= bool((~bad & (params.weights > 0.0)).any())
        if not bad.any():
            return None
        weights = np.where(bad, 0.0, params.weights)
        return model.with_gate(params, weights), f"{_named(bad)} dropped."


def _reseed(
    model: Mixture, params: MixtureParams, sweep: Any, bad: NDArray[np.bool_]
) -> tuple[MixtureParams, str]:
    """Put degenerate components at the least likely rows, as wide as the others are on average."""
    rows, _ = sweep.source.take(sweep.source.spread_indices(SEED_ROWS))
    log_prob = model.log_prob(params, rows)
    seeds = rows[np.argsort(log_prob, kind="stable")[: bad.sum()]]
    means = params.means.copy()
    means[np.flatnonzero(bad)[: len(seeds)]] = seeds
    structure = model.component.structure
    share = np.where(bad, 0.0, params.weights)
    share = share if share.any() else params.weights
    typical = np.tensordot(share / share.sum(), structure.expand(params.covariances), axes=1)
    every = np.broadcast_to(typical, (len(bad), *typical.shape))
    wide = structure.restrict(every, np.ones(len(bad)))
    values = structure.choose(params.covariances, wide, bad)
    weights = np.where(bad, 1.0 / len(bad), params.weights)
    return model.params(weights, means, values), f"{_named(bad)} seeded again."


def _named(bad: NDArray[np.bool_]) -> str:
    names = ", ".join(str(k) for k in np.flatnonzero(bad))
    return f"components {names} were" if bad.sum() > 1 else f"component {names} was"
