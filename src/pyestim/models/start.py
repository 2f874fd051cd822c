"""Starting values: through sweeps, all restarts in one pass over the rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.data.source import ArraySource, Chunk
from pyestim.engine.drive import maximise
from pyestim.engine.stats import Stats, Vector, merge_tree
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep, Source
from pyestim.models import kernels
from pyestim.models.covariance import Covariance
from pyestim.models.gaussian import GaussianParams
from pyestim.models.kmeans import KMeans, KMeansParams
from pyestim.models.mixture import Mixture, MixtureParams

METHODS = ("kmeans", "k-means++", "random", "random_from_data")
#: Rows of the sample on which clusters are looked for: this many, or so many per coordinate.
SAMPLE_ROWS, SAMPLE_ROWS_PER_PARAMETER = 10_000, 50
#: Lloyd sweeps over the sample, and then over all rows.
SAMPLE_LLOYD_SWEEPS, LLOYD_SWEEPS = 100, 10
#: Bound on the fall of the inertia per unit weight that Lloyd's sweeps leave (squared units of the
#: working coordinates, in which a column varies by about one). Over 800 fits of 100 random mixtures
#: this ended no lower than 1e-4 (mean difference of the log-likelihood -0.3, standard error 0.4).
LLOYD_TOL = 3e-3


def make_starts(
    model: Mixture,
    source: ArraySource,
    init: str | NDArray[Any],
    n_init: int,
    rng: np.random.RandomState,
) -> list[MixtureParams]:
    """Return starting parameters of every restart.

    Parameters
    ----------
    model : Mixture
    source : ArraySource
    init : str or ndarray
        One of `METHODS`, labels (n,), or responsibilities (n, K).
    n_init : int
        Number of restarts; one for labels and responsibilities.
    rng : numpy.random.RandomState
    """
    if not isinstance(init, str):
        return [_from_assignment(model, source, np.asarray(init))]
    if init not in METHODS:
        raise ValueError(f"init_params: expected one of {METHODS}, labels or responsibilities.")
    if init == "random":
        return _from_random(model, source, n_init, rng)
    if init == "random_from_data":
        centres = _random_rows(model, source, n_init, rng)
        return assigned(model, source, "nearest", centres)
    sample = _sample(model.n_components, source)
    centres = plusplus_centres(model.n_components, sample, n_init, rng)
    if init == "kmeans":
        centres = lloyd(sample, centres, SAMPLE_LLOYD_SWEEPS)
        if len(sample.z) < source.n_effective:
            centres = lloyd(source, centres, LLOYD_SWEEPS)
    return assigned(model, source, "nearest", centres)


def with_given(
    model: Mixture,
    source: ArraySource,
    start: MixtureParams,
    *,
    weights: Vector | None = None,
    means: Vector | None = None,
    covariances: Vector | None = None,
) -> MixtureParams:
    """Replace parts of a start by what the user gives, in the coordinates of the data.

    Parameters
    ----------
    model : Mixture
    source : ArraySource
    start : MixtureParams
    weights : ndarray of shape (K,), optional
    means : ndarray of shape (K, d), optional
    covariances : ndarray, optional
        In the shape of the covariance structure.
    """
    parts = model.to_user(start, source.centre, source.scale)
    given = (weights, means, covariances)
    chosen = [old if new is None else new for old, new in zip(parts, given, strict=True)]
    return model.from_user(chosen[0], chosen[1], chosen[2], source.centre, source.scale)


def assigned(
    model: Mixture, source: ArraySource, kind: str, means: Vector, **given: Any
) -> list[MixtureParams]:
    """M-step on responsibilities that do not come from the model: means is (C, K, d)."""
    layout = model.layout
    parts = []
    for chunk in source.chunks():
        out = np.empty((len(means), layout.size))
        kernels.assign_sweep(chunk, model.component.family, kind, means, out, **given)
        parts.append(out)
    return [
        _m_step(model, source, centred_at, Stats(layout, vector))
        for centred_at, vector in zip(means, merge_tree(parts), strict=True)
    ]


def _m_step(model: Mixture, source: ArraySource, means: Vector, stats: Stats) -> MixtureParams:
    """Update from a provisional mixture that stands at ``means``, as wide as all rows.

    Its covariances stay with components without rows alone, so they need no factors.
    """
    k, d = means.shape
    spread = np.broadcast_to(np.diag(source.column_sd**2), (k, d, d))
    values = model.component.structure.restrict(spread, np.ones(k))
    unused = np.zeros(k)
    provisional = GaussianParams(means, Covariance(values, values, unused), unused)
    component = model.component.update(provisional, stats["resp_sum"], stats)
    return model.assemble(model.gate.params(stats["resp_sum"]), component)


def _from_assignment(model: Mixture, source: ArraySource, init: NDArray[Any]) -> MixtureParams:
    k = model.n_components
    means = np.broadcast_to(source.column_mean, (1, k, source.n_features)).copy()
    if init.ndim == 1:
        labels = np.ascontiguousarray(init, dtype=np.int32)
        return assigned(model, source, "labels", means, labels=labels)[0]
    return assigned(model, source, "given", means, responsibilities=init)[0]


def _from_random(
    model: Mixture, source: ArraySource, n_init: int, rng: np.random.RandomState
) -> list[MixtureParams]:
    seeds = rng.randint(0, 2**63 - 1, size=n_init, dtype=np.int64).astype(np.uint64)
    shape = (n_init, model.n_components, source.n_features)
    means = np.broadcast_to(source.column_mean, shape).copy()
    return assigned(model, source, "random", means, seeds=seeds)


def _random_rows(
    model: Mixture, source: ArraySource, n_init: int, rng: np.random.RandomState
) -> Vector:
    """Distinct rows of positive weight as centres: (n_init, K, d)."""
    k = model.n_components
    chosen = [_choice(source, k, rng) for _ in range(n_init)]
    z, _ = source.take(np.concatenate(chosen))
    return z.reshape(n_init, k, source.n_features)


def _choice(source: ArraySource, size: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    n = source.n_effective
    if size > n:
        places = rng.randint(0, n, size=size)
    elif 2 * size > n:
        places = rng.permutation(n)[:size]
    else:
        places = _distinct(n, size, rng)
    return places if source.present is None else source.present[places]


def _distinct(n: int, size: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Distinct places below a large ``n`` without a permutation of ``n``."""
    found: dict[int, None] = {}  # a set that keeps the order
    while len(found) < size:
        found.update(dict.fromkeys(rng.randint(0, n, size=size).tolist()))
    return np.array(list(found)[:size])


class Sample:
    """Rows in working coordinates as a source of their own.

    Parameters
    ----------
    z : ndarray of shape (m, d)
    weight : ndarray of shape (m,), optional
    """

    mean_eps = float(np.finfo(np.float64).eps)
    backend = "sample"

    def __init__(self, z: Vector, weight: Vector | None) -> None:
        self.z, self.weight = z, weight
        self.weight_sum = float(len(z) if weight is None else weight.sum())
        self._chunk = kernels.plain_chunk(z, weight)

    def chunks(self) -> Iterator[Chunk]:
        """Yield all rows at once."""
        yield self._chunk


def _sample(n_clusters: int, source: ArraySource) -> Sample:
    wanted = max(SAMPLE_ROWS, SAMPLE_ROWS_PER_PARAMETER * n_clusters * source.n_features)
    z, weight = source.take(source.spread_indices(wanted))
    return Sample(z, None if source.sample_weight is None else weight)


def plusplus_centres(
    n_clusters: int, sample: Sample, n_init: int, rng: np.random.RandomState
) -> Vector:
    """Centres by greedy k-means++ on a sample: (n_init, K, d)."""
    n_trials = 2 + int(np.log(n_clusters))
    uniforms = rng.uniform(size=(n_init, n_clusters, n_trials))
    chosen = kernels.kmeans_plusplus(sample.z, sample.weight, n_clusters, uniforms)
    return np.ascontiguousarray(sample.z[chosen])


def lloyd(source: Source, centres: Vector, max_sweeps: int) -> Vector:
    """Lloyd sweeps from every restart's centres: (n_init, K, d)."""
    model = KMeans(*centres.shape[1:])
    fits = maximise(
        model,
        LocalSweep(model, source),
        [KMeansParams(c) for c in centres],
        stop=Stop(tol=LLOYD_TOL),
        accelerate=None,
        max_sweeps=max_sweeps,
    )
    return np.array([p.centres for p in fits.all_params])
