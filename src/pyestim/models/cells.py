"""Mixtures of Gaussians on rows whose cells are partly known by bounds only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pyestim.data.cells import CellSource
from pyestim.engine.stats import Stats, Vector
from pyestim.models import kernels
from pyestim.models.mixture import Mixture, MixtureParams, stacked

#: Rows that a seen one may stand for, where only some are seen, before the user is told.
MANY_UNSEEN = 1000.0


class CellMixture(Mixture):
    """A mixture of Gaussians whose rows are exact, censored or missing, cell by cell.

    The statistics are those of exact rows, with ``E[x]`` and ``E[x x']`` given what is known of a
    row in the place of x; where rows are seen inside of boxes only, those that were not seen count
    too: a seen row stands for ``1 / alpha`` rows, ``alpha`` the probability of its box.
    """

    name = "Gaussian mixture on censored rows"

    def accumulate(self, params: Sequence[MixtureParams], chunk: Any, out: Vector) -> None:
        """Write the E-step statistics of every candidate to ``out`` (C, S)."""
        if chunk.cells is None:
            super().accumulate(params, chunk, out)
            return
        kernels.cells_sweep(chunk, self.component.family, *stacked(params), out)

    def rows(self, params: MixtureParams, chunk: Any, **outputs: Any) -> None:
        """Write log-densities, responsibilities, labels or expected cells of the rows of a chunk.

        Rows count as if they had been seen wherever they are.
        """
        if chunk.cells is None:
            super().rows(params, chunk, **outputs)
            return
        given = (params.log_offset, params.means, params.factors)
        kernels.cells_rows(chunk, self.component.family, *given, **outputs)

    def diagnose(self, params: MixtureParams, stats: Stats) -> tuple[str, ...]:
        """Sentences about degenerate components, and about boxes that hold hardly anything."""
        lines = super().diagnose(params, stats)
        per_row = stats["resp_sum"].sum() / stats.number("weight_sum")
        if per_row > MANY_UNSEEN:
            lines += (
                f"a row stands for {per_row:.3g} rows that were not seen: so little of the mixture "
                "lies inside of trunc_lower and trunc_upper that the rows hardly determine it.",
            )
        return lines


def widened(model: CellMixture, source: CellSource, start: MixtureParams) -> MixtureParams:
    """Return a start whose covariances have what cells vary within their bounds besides.

    Middles of intervals vary less than what lies in them, not at all where a component has one
    interval only, and from there EM would move slowly or not at all.
    """
    if source.cells is None:
        return start
    structure = model.component.structure
    full = structure.expand(start.covariances).copy()
    d = source.n_features
    full[:, range(d), range(d)] += source.uncertainty
    return model.params(start.weights, start.means, structure.restrict(full, start.weights))
