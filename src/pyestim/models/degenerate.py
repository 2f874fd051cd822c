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
        """Drop or reseed degenerate components; None when there is nothing to do."""
        return None
