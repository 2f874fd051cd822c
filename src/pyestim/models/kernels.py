"""The one place where models call the native kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import Chunk
from pyestim.engine.stats import Vector

#: Passes of coordinate descent over the coordinates of one penalised step.
MOST_EPOCHS = 2000


def plain_rows(z: NDArray[Any], weight: Vector | None = None) -> Any:
    """Rows (m, d) that are read in the coordinates that they are in."""
    d = z.shape[1]
    return _core.native.Rows(z, weight, np.zeros(d), np.ones(d))


def plain_chunk(z: Vector, weight: Vector | None) -> Chunk:
    """Rows (m, d) that are in working coordinates already."""
    return Chunk(plain_rows(z, weight), 0, len(z), False)


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


def cells_sweep(
    chunk: Any, family: str, log_offset: Vector, means: Vector, factors: Vector, out: Vector
) -> None:
    """Write the statistics of `mixture_sweep` of partly known rows to ``out`` (C, S).

    The chunk has the attributes rows, cells, boxes, box, start and stop.
    """
    _core.native.cells_sweep(
        _core.context(),
        chunk.rows,
        chunk.cells,
        chunk.boxes,
        chunk.box,
        chunk.start,
        chunk.stop,
        family,
        log_offset,
        means,
        factors,
        out,
    )


def cells_rows(
    chunk: Any,
    family: str,
    log_offset: Vector,
    means: Vector,
    factors: Vector,
    *,
    log_prob: Vector | None = None,
    resp: Vector | None = None,
    labels: NDArray[np.int64] | None = None,
    expected: Vector | None = None,
) -> None:
    """Write log-densities (m,), responsibilities (m, K), labels (m,) and means (m, d) of cells.

    Means of exact cells are left zero.
    """
    _core.native.cells_rows(
        _core.context(),
        chunk.rows,
        chunk.cells,
        chunk.start,
        chunk.stop,
        family,
        log_offset[None],
        means[None],
        factors[None],
        log_prob,
        resp,
        labels,
        expected,
    )


@dataclass(frozen=True, slots=True)
class ExpertArrays:
    """Parameters of C mixtures of K experts as the kernels take them, in working coordinates.

    Attributes
    ----------
    family : {"gaussian", "poisson", "binomial", "multinomial"}
    gate_coef : ndarray of shape (C, K, 1 + q)
        Intercept first, zeros for the last expert; minus infinity drops an expert. q = 0 for a
        constant gate.
    expert_coef : ndarray of shape (C, K, L, 1 + p)
        L linear predictors of each expert, intercepts first.
    factor, log_norm : ndarray of shape (C, K, m, m) and (C, K), optional
        Gaussian: inverse Cholesky factors F of the residual covariances, log|det F| - m/2 log 2 pi.
    """

    family: str
    gate_coef: Vector
    expert_coef: Vector
    factor: Vector | None = None
    log_norm: Vector | None = None


def experts_sweep(
    chunk: Any,
    arrays: ExpertArrays,
    out: Vector,
    *,
    source: str = "posterior",
    labels: NDArray[np.int32] | None = None,
    responsibilities: NDArray[Any] | None = None,
    gram: bool = True,
    curvature: bool = True,
) -> None:
    """Write the statistics of every candidate to ``out`` (C, S); see the native signature.

    The chunk has the attributes rows, gate_rows (None: constant gate), responses (native Rows),
    start and stop. Arithmetic is in double precision for rows of any dtype.
    """
    _core.native.experts_sweep(
        _core.context(),
        chunk.rows,
        chunk.gate_rows,
        chunk.responses,
        chunk.start,
        chunk.stop,
        arrays.family,
        arrays.gate_coef,
        arrays.expert_coef,
        arrays.factor,
        arrays.log_norm,
        source,
        labels,
        responsibilities,
        gram,
        curvature,
        out,
    )


def experts_rows(
    chunk: Any,
    arrays: ExpertArrays,
    *,
    log_prob: Vector | None = None,
    resp: Vector | None = None,
    log_density: Vector | None = None,
    gate: Vector | None = None,
    predictors: Vector | None = None,
) -> None:
    """Write what is asked for of single rows under one candidate (C = 1).

    Log-densities (m,), responsibilities (m, K), log-densities of the experts alone (m, K),
    log-weights (m, K), linear predictors (m, K, L). Without responses only the last two.
    """
    _core.native.experts_rows(
        _core.context(),
        chunk.rows,
        chunk.gate_rows,
        chunk.responses,
        chunk.start,
        chunk.stop,
        arrays.family,
        arrays.gate_coef,
        arrays.expert_coef,
        arrays.factor,
        arrays.log_norm,
        log_prob,
        resp,
        log_density,
        gate,
        predictors,
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


def descend_gram(
    gram: Vector,
    linear: Vector,
    coef: Vector,
    l1: Vector,
    l2: Vector,
    tol: float,
) -> Vector:
    """Minimise ``b' gram b / 2 - linear' b + sum l1 |b| + l2 b^2 / 2`` from ``coef`` (B,) on."""
    beta = np.array(coef, dtype=np.float64)
    _core.native.coordinate_descent_gram(
        _core.context(),
        np.ascontiguousarray(gram),
        np.ascontiguousarray(linear),
        beta,
        l1,
        l2,
        None,
        None,
        tol,
        MOST_EPOCHS,
    )
    return beta


def interval_apply(a: Vector, b: Vector, width: Vector) -> tuple[Vector, Vector, Vector]:
    """Log-probability, mean and variance of N(0, 1) inside intervals (n,)."""
    return _core.native.interval_apply(_core.context(), a, b, width)


def box_apply(
    means: Vector, covariances: Vector, lower: Vector, upper: Vector
) -> tuple[Vector, Vector, Vector, Vector, NDArray[np.int64]]:
    """Log-probability, mean, covariance, error and status (C,) of laws (C, d) in boxes (C, d)."""
    return _core.native.box_moments(_core.context(), means, covariances, lower, upper)


def lasso_steps(
    gram: Vector, score: Vector, old: Vector, l1: Vector, l2: Vector, weight: float, tol: float
) -> tuple[Vector, Vector]:
    """Minimise ``d' gram d / 2 - score' d + weight (sum l1 |b| + l2 b^2 / 2)``, d = b - old (B, m).

    Returns the minima (B, m), and (B, 2): ``score' d`` less the rise of the penalty, ``d' gram d``.
    Gram matrices are packed lower triangles (B, m (m + 1) / 2).
    """
    coef, gain = np.empty(old.shape), np.empty((len(old), 2))
    _core.native.lasso_steps(
        _core.context(), gram, score, old, l1, l2, weight, tol, MOST_EPOCHS, coef, gain
    )
    return coef, gain


def scaled_lasso_steps(
    gram: Vector,
    score: Vector,
    old: Vector,
    l1: Vector,
    l2: Vector,
    weight: float,
    tol: float,
    scale: Vector,
    square: Vector,
    count: Vector,
    floor: float,
    alternations: int,
    scale_tol: float,
) -> tuple[Vector, Vector]:
    """Slopes (B, m) and scales (B,) of penalised least squares, improved in turn.

    As `lasso_steps` with l1 times the scale, which solves ``count s^2 - weight (sum l1 |b|) s -
    (squares + weight sum l2 b^2) = 0`` above the floor; ``square`` are the squares at ``old``.
    """
    coef, scale = np.empty(old.shape), scale.copy()
    _core.native.lasso_steps(
        _core.context(),
        gram,
        score,
        old,
        l1,
        l2,
        weight,
        tol,
        MOST_EPOCHS,
        coef,
        None,
        scale,
        square,
        count,
        floor,
        alternations,
        scale_tol,
    )
    return coef, scale
