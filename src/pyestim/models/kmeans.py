"""k-means as a model: Lloyd's step is its update, minus the inertia its objective."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pyestim.data.source import Chunk
from pyestim.engine.model import Capability
from pyestim.engine.stats import Layout, Stats, Vector
from pyestim.models import kernels


@dataclass(frozen=True, slots=True)
class KMeansParams:
    """Centres of the clusters: (K, d)."""

    centres: Vector


class KMeans:
    """Nearest-centre clustering in working coordinates.

    Parameters
    ----------
    n_clusters, n_features : int
    """

    name = "k-means"
    halo = 0
    supports = frozenset({Capability.WEIGHTS, Capability.FLOAT32, Capability.STREAM})

    def __init__(self, n_clusters: int, n_features: int) -> None:
        self.layout = Layout(
            {
                "inertia": (),
                "weight_sum": (),
                "counts": (n_clusters,),
                "first": (n_clusters, n_features),
            }
        )

    def accumulate(self, params: Sequence[KMeansParams], chunk: Chunk, out: Vector) -> None:
        """Write the statistics of the nearest centres to ``out`` (C, S)."""
        kernels.kmeans_sweep(chunk, np.array([p.centres for p in params]), out)

    def update(self, params: KMeansParams, stats: Stats) -> KMeansParams:
        """Mean of the rows of each cluster; an empty one stays where it is."""
        counts = stats["counts"]
        shift = stats["first"] / np.where(counts > 0.0, counts, 1.0)[:, None]
        return KMeansParams(params.centres + shift)

    def objective(self, params: KMeansParams, stats: Stats) -> float:
        """Minus the sum of squared distances to the nearest centre."""
        return -stats.number("inertia")

    def pack(self, params: KMeansParams) -> Vector:
        """Centres, flat."""
        return params.centres.ravel()

    def unpack(self, vector: Vector) -> KMeansParams:
        """Inverse of `pack`."""
        k, d = self.layout.windows["first"]
        return KMeansParams(vector.reshape(k, d).copy())

    def diagnose(self, params: KMeansParams, stats: Stats) -> tuple[str, ...]:
        """Sentences that name the empty clusters."""
        empty = np.flatnonzero(stats["counts"] == 0.0)
        return tuple(f"cluster {k} is empty." for k in empty)
