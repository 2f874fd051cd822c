"""The one place where models call the native kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import Chunk
from pyestim.engine.stats import Vector


def plain_chunk(z: Vector, weight: Vector | None) -> Chunk:
    """Rows (m, d) that are in working coordinates already."""
    d = z.shape[1]
    rows = _core.native.Rows(z, weight, np.zeros(d), np.ones(d))
    return Chunk(rows, 0, len(z), False)


def mixture_sweep(
    chunk: Chunk, family: str, log_offset: Vector, means: Vector, factors: Vector, out: Vector
) -> None:
    """Write the E-step statistics of every candidate to ``out`` (C, S)."""
    _core.native.mixture_sweep(
        _core.context(),
        chunk.rows,
        chunk.start,
        chunk.stop,
        family,
        log_offset,
        means,
        factors,
        chunk.accurate,
        out,
    )


def mixture_rows(
    chunk: Chunk,
    family: str,
    log_offset: Vector,
    means: Vector,
    factors: Vector,
    *,
    log_prob: Vector | None = None,
    resp: Vector | None = None,
    labels: NDArray[np.int64] | None = None,
    log_resp: bool = False,
) -> None:
    """Write log-densities (m,), responsibilities (m, K) and labels (m,) of single rows."""
    _core.native.mixture_rows(
        _core.context(),
        chunk.rows,
        chunk.start,
        chunk.stop,
        family,
        log_offset,
        means,
        factors,
        chunk.accurate,
        log_prob,
        resp,
        labels,
        log_resp,
    )


def assign_sweep(
    chunk: Chunk,
    family: str,
    source: str,
    means: Vector,
    out: Vector,
    *,
    labels: NDArray[np.int32] | None = None,
    responsibilities: NDArray[Any] | None = None,
    seeds: NDArray[np.uint64] | None = None,
) -> None:
    """Write the statistics of given responsibilities, centred at ``means`` (C, K, d)."""
    _core.native.assign_sweep(
        _core.context(),
        chunk.rows,
        chunk.start,
        chunk.stop,
        family,
        source,
        means,
        labels,
        responsibilities,
        seeds,
        chunk.accurate,
        out,
    )


def kmeans_sweep(chunk: Chunk, centres: Vector, out: Vector) -> None:
    """Write inertia, weight, counts and centred sums of every candidate to ``out`` (C, S)."""
    _core.native.kmeans_sweep(
        _core.context(), chunk.rows, chunk.start, chunk.stop, centres, chunk.accurate, out
    )


def kmeans_plusplus(
    rows: Vector, weight: Vector | None, n_clusters: int, uniforms: Vector
) -> NDArray[np.int64]:
    """Greedy k-means++ for all restarts: row indices (C, n_clusters)."""
    out = np.empty((len(uniforms), n_clusters), dtype=np.int64)
    _core.native.kmeans_plusplus(_core.context(), rows, weight, n_clusters, uniforms, out)
    return out


def factorise(covariances: Vector) -> tuple[Vector, Vector, bool]:
    """Inverse Cholesky factors (B, d, d), their log-determinants (B,), whether all succeeded."""
    factors = np.empty(covariances.shape)
    log_det = np.empty(len(covariances))
    with _core.blas_in_lanes(covariances.shape[-1]):
        status = _core.native.factorise(_core.context(), covariances, factors, log_det)
    return factors, log_det, np.count_nonzero(status) == 0
