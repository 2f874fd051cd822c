"""Normal laws inside intervals, unions of intervals and boxes: probability, mean and covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from pyestim.engine.stats import Vector

LOG_SQRT_2PI = 0.5 * np.log(2 * np.pi)
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(20)
PANELS = (0.0, 2.0, 5.0, 10.0, 20.0, 60.0)
N_POINTS, N_SHIFTS = 2048, 8


@dataclass(frozen=True, slots=True)
class CutMoments:
    """What is inside a set: how much of a normal law, and the moments of that part.

    Attributes
    ----------
    log_probability : ndarray of shape (...)
        Logarithm of the probability of the set; -inf where the set is empty.
    mean : ndarray of shape (...) or (..., d)
        Mean given the set.
    covariance : ndarray of shape (...) or (..., d, d)
        Variance or covariance about the inside mean.
    error : ndarray of shape (...)
        Estimated relative error of the probability; 0 where the method is exact up to rounding.
    """

    log_probability: Vector
    mean: Vector
    covariance: Vector
    error: Vector


def interval_moments(
    mean: ArrayLike, sd: ArrayLike, lower: ArrayLike, upper: ArrayLike
) -> CutMoments:
    """Probability, mean and variance of normal laws inside intervals.

    Parameters
    ----------
    mean, sd : array_like
        Of the normal laws.
    lower, upper : array_like
        Ends of the intervals, ``lower < upper``, infinite ones allowed. The four broadcast.

    Returns
    -------
    CutMoments
        Arrays of the common shape; without limits exactly ``log 1 = 0``, ``mean`` and ``sd ** 2``.

    Examples
    --------
    >>> from pyestim.models.cut_normal import interval_moments
    >>> inside = interval_moments(0.0, 1.0, -1.0, 1.0)
    >>> round(float(inside.log_probability), 6), round(float(inside.covariance), 6)
    (-0.381715, 0.291125)
    """
    mean, sd, lower, upper = np.broadcast_arrays(
        *(np.asarray(x, dtype=float) for x in (mean, sd, lower, upper))
    )
    with np.errstate(all="ignore"):
        a, b, width = (lower - mean) / sd, (upper - mean) / sd, (upper - lower) / sd
        log_prob, m, v = _standard_interval(a.ravel(), b.ravel(), width.ravel())
        shape = mean.shape
        inside = np.clip(mean + sd * m.reshape(shape), lower, upper)
        return CutMoments(
            log_prob.reshape(shape), inside, sd * sd * v.reshape(shape), np.zeros(shape)
        )


def union_moments(mean: ArrayLike, sd: ArrayLike, intervals: ArrayLike) -> CutMoments:
    """Probability, mean and variance of normal laws inside a union of intervals.

    Parameters
    ----------
    mean, sd : array_like
        Of the normal laws; they broadcast.
    intervals : array_like of shape (M, 2)
        Lower and upper ends of disjoint intervals.

    Returns
    -------
    CutMoments
        Arrays of the common shape of ``mean`` and ``sd``.

    Examples
    --------
    >>> from pyestim.models.cut_normal import union_moments
    >>> outside = union_moments(0.0, 1.0, [[-np.inf, -2.0], [2.0, np.inf]])
    >>> round(float(np.exp(outside.log_probability)), 6)
    0.0455
    """
    ends = np.asarray(intervals, dtype=float)
    mean, sd = np.asarray(mean, dtype=float)[..., None], np.asarray(sd, dtype=float)[..., None]
    parts = interval_moments(mean, sd, ends[:, 0], ends[:, 1])
    highest = parts.log_probability.max(axis=-1, keepdims=True)
    share = np.exp(parts.log_probability - highest)
    total = share.sum(axis=-1, keepdims=True)
    share = share / total
    first = parts.mean[..., :1]
    inside = first + (share * (parts.mean - first)).sum(axis=-1, keepdims=True)
    # Moments about the common mean: only positive terms.
    variance = (share * (parts.covariance + (parts.mean - inside) ** 2)).sum(axis=-1)
    log_prob = (highest + np.log(total))[..., 0]
    return CutMoments(log_prob, inside[..., 0], variance, np.zeros(log_prob.shape))


def box_moments(
    mean: ArrayLike, covariance: ArrayLike, lower: ArrayLike, upper: ArrayLike
) -> CutMoments:
    """Probability, mean and covariance of normal laws inside boxes.

    Parameters
    ----------
    mean : array_like of shape (..., d)
        Of the normal laws.
    covariance : array_like of shape (..., d, d)
        Positive definite.
    lower, upper : array_like of shape (..., d)
        Ends of the boxes along the axes, infinite ones allowed.

    Returns
    -------
    CutMoments
        Without limits exactly ``log 1 = 0``, ``mean`` and ``covariance``.

    Examples
    --------
    >>> from pyestim.models.cut_normal import box_moments
    >>> inside = box_moments([0.0, 0.0], [[1.0, 0.5], [0.5, 1.0]], [-1.0, 0.0], [1.0, 2.0])
    >>> round(float(np.exp(inside.log_probability)), 6)
    0.332008
    """
    cov = np.asarray(covariance, dtype=float)
    mean = np.asarray(mean, dtype=float)
    shape = np.broadcast_shapes(mean.shape, cov.shape[:-1], np.shape(lower), np.shape(upper))
    d = shape[-1]
    cov = np.broadcast_to(cov, (*shape, d)).reshape(-1, d, d)
    mean, low, high = (
        np.broadcast_to(np.asarray(x, dtype=float), shape).reshape(-1, d)
        for x in (mean, lower, upper)
    )
    results = [_one_box(*one) for one in zip(mean, cov, low, high, strict=True)]
    lead = shape[:-1]
    log_prob, inside, inside_cov, error = (np.array(x) for x in zip(*results, strict=True))
    return CutMoments(
        log_prob.reshape(lead),
        inside.reshape(shape),
        inside_cov.reshape(*shape, d),
        error.reshape(lead),
    )


def _standard_interval(a: Vector, b: Vector, w: Vector) -> tuple[Vector, Vector, Vector]:
    flip = b > -a
    a, b = np.where(flip, -b, a), np.where(flip, -a, b)
    results = _closed(a, b)
    narrow = (w < 0.5) | (w * np.maximum(1, np.abs(b)) < 1)
    for mask, by in ((b <= -2, _tail), (narrow, _narrow)):
        if mask.any():
            for into, part in zip(results, by(b[mask], w[mask]), strict=True):
                into[mask] = part
    log_prob, m, v = results
    return log_prob, np.where(flip, -m, m), v


def _closed(a: Vector, b: Vector) -> tuple[Vector, Vector, Vector]:
    left, right = special.log_ndtr(a), special.log_ndtr(b)
    across = 0.0 + np.log1p(-special.ndtr(a) - special.ndtr(-b))
    log_prob = np.where((a < 0) & (b > 0), across, right + np.log1p(-np.exp(left - right)))
    p_a = np.exp(-a * a / 2 - log_prob - LOG_SQRT_2PI)
    p_b = np.exp(-b * b / 2 - log_prob - LOG_SQRT_2PI)
    m = p_a - p_b
    v = 1 + np.where(p_a > 0, a * p_a, 0) - np.where(p_b > 0, b * p_b, 0) - m * m
    return log_prob, m, v


def _narrow(b: Vector, w: Vector) -> tuple[Vector, Vector, Vector]:
    c = b - w / 2
    t = (w / 2)[:, None] * NODES
    weight = NODE_WEIGHTS * np.exp(-c[:, None] * t - t * t / 2)
    total = weight.sum(axis=1)
    centre = (weight * t).sum(axis=1) / total
    v = (weight * (t - centre[:, None]) ** 2).sum(axis=1) / total
    log_prob = -c * c / 2 - LOG_SQRT_2PI + np.log(w / 2) + np.log(total)
    return log_prob, c + centre, v


def _tail(b: Vector, w: Vector) -> tuple[Vector, Vector, Vector]:
    s = -b
    end = np.minimum(w * s, PANELS[-1])
    ends = np.minimum(np.array(PANELS), end[:, None])
    half = (ends[:, 1:] - ends[:, :-1]) / 2
    u = (ends[:, :-1] + half)[:, :, None] + half[:, :, None] * NODES
    u = u.reshape(len(b), -1)
    weight = (half[:, :, None] * NODE_WEIGHTS).reshape(len(b), -1)
    weight = weight * np.exp(-u - (u / s[:, None]) ** 2 / 2)
    total = weight.sum(axis=1)
    centre = (weight * u).sum(axis=1) / total
    v = (weight * (u - centre[:, None]) ** 2).sum(axis=1) / total
    log_prob = -b * b / 2 - LOG_SQRT_2PI - np.log(s) + np.log(total)
    return log_prob, b - centre / s, v / (s * s)


def _one_box(mean: Vector, cov: Vector, low: Vector, high: Vector) -> tuple[Vector, ...]:
    """One normal law in one box."""
    free = np.isneginf(low) & np.isposinf(high)
    if free.all():
        return np.array(0.0), mean.copy(), cov.copy(), np.array(0.0)
    if not np.any(cov - np.diag(cov.diagonal())):
        parts = interval_moments(mean, np.sqrt(cov.diagonal()), low, high)
        inside = np.where(free, mean, parts.mean)
        variance = np.where(free, cov.diagonal(), parts.covariance)
        return parts.log_probability.sum(), inside, np.diag(variance), np.array(0.0)
    return _separated(mean, cov, low, high)


def _separated(mean: Vector, cov: Vector, low: Vector, high: Vector) -> tuple[Vector, ...]:
    """Separation of variables on a shifted lattice."""
    d, factor = len(mean), np.linalg.cholesky(cov)
    primes = np.array([p for p in range(2, 400) if all(p % q for q in range(2, p))])[:d]
    shift = np.random.default_rng(0).random((N_SHIFTS, 1, d))
    points = (np.arange(1, N_POINTS + 1)[:, None] * np.sqrt(primes) + shift) % 1
    uniform = np.abs(2 * points - 1).reshape(-1, d)
    y, log_weight = np.zeros_like(uniform), np.zeros(len(uniform))
    for j in range(d):
        centre = mean[j] + y[:, :j] @ factor[j, :j]
        parts = interval_moments(centre, factor[j, j], low[j], high[j])
        log_weight += parts.log_probability
        a, b = (low[j] - centre) / factor[j, j], (high[j] - centre) / factor[j, j]
        flip = b > -a
        a, b = np.where(flip, -b, a), np.where(flip, -a, b)
        at = special.ndtri_exp(
            np.logaddexp(
                np.log1p(-uniform[:, j]) + special.log_ndtr(a),
                np.log(uniform[:, j]) + special.log_ndtr(b),
            )
        )
        y[:, j] = np.where(flip, -1, 1) * at
    y[:, -1] = (parts.mean - centre) / factor[-1, -1]
    highest = log_weight.max()
    weight = np.exp(log_weight - highest)
    by_shift = weight.reshape(N_SHIFTS, -1).mean(axis=1)
    share = weight / weight.sum()
    x = mean + y @ factor.T
    inside = share @ x
    inside_cov = (share[:, None] * (x - inside)).T @ (x - inside)
    inside_cov[-1, -1] += share @ parts.covariance
    log_prob = highest + np.log(by_shift.mean())
    error = by_shift.std(ddof=1) / np.sqrt(N_SHIFTS) / by_shift.mean()
    return log_prob, inside, inside_cov, error
