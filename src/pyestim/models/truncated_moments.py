"""The method of moments for truncated mixtures of one column with one shared variance."""

from __future__ import annotations

from pyestim.data.source import ArraySource
from pyestim.engine.sweep import LocalSweep
from pyestim.models.mixture import MixtureParams
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_fit import Options, TruncatedFit


def fit_moments(
    model: TruncatedMixture,
    source: ArraySource,
    sweep: LocalSweep[MixtureParams],
    known_sd: float | None,
    options: Options,
) -> TruncatedFit:
    """Fit by moments."""
    raise NotImplementedError
