"""Normal laws inside intervals, unions of intervals and boxes: probability, mean and covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyestim.engine.stats import Shape, Vector
from pyestim.models.kernels import box_apply, interval_apply


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
    mean, sd, lower, upper = _numbers("interval_moments", mean, sd, lower, upper)
    _check_law("interval_moments", mean, sd)
    _check_limits("interval_moments", lower, upper)
    # The width by itself: differences of rounded ends would lose a narrow interval far away.
    with np.errstate(over="ignore"):
        a, b, width = (np.ravel(x / sd) for x in (lower - mean, upper - mean, upper - lower))
    log_prob, m, v = interval_apply(a, b, width)
    shape = mean.shape
    inside = np.asarray(np.clip(mean + sd * m.reshape(shape), lower, upper))
    variance = np.asarray(sd * sd * v.reshape(shape))
    return CutMoments(log_prob.reshape(shape), inside, variance, np.zeros(shape))


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
    ends = _disjoint(intervals)
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
    mean, lower, upper = _numbers("box_moments", mean, lower, upper)
    if cov.ndim < 2 or cov.shape[-2:] != (*mean.shape[-1:], *mean.shape[-1:]):
        raise ValueError(
            f"box_moments: covariance must have shape (..., d, d) with the d = "
            f"{mean.shape[-1:]} of the other arguments, got {cov.shape}."
        )
    shape = np.broadcast_shapes(mean.shape, cov.shape[:-1])
    d = shape[-1]
    flat = [
        np.ascontiguousarray(np.broadcast_to(x, to).reshape(-1, *to[len(shape) - 1 :]))
        for x, to in ((mean, shape), (cov, (*shape, d)), (lower, shape), (upper, shape))
    ]
    log_prob, inside, inside_cov, error, status = box_apply(*flat)
    _check_status(status, flat, shape[:-1])
    lead = shape[:-1]
    return CutMoments(
        log_prob.reshape(lead),
        inside.reshape(shape),
        inside_cov.reshape(*shape, d),
        error.reshape(lead),
    )


def _numbers(who: str, *arguments: ArrayLike) -> list[Vector]:
    """Arrays of float64 of their common shape."""
    arrays = [np.asarray(x, dtype=float) for x in arguments]
    try:
        return list(np.broadcast_arrays(*arrays))
    except ValueError:
        shapes = ", ".join(str(x.shape) for x in arrays)
        raise ValueError(f"{who}: arguments must broadcast, got shapes {shapes}.") from None


def _first(wrong: NDArray[np.bool_], *arrays: Vector) -> str:
    """Where something is wrong first, and what stands there."""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    values = " and ".join(f"{float(x[at])!r}" for x in arrays)
    return f"{values} at position {at}" if at else values


def _check_law(who: str, mean: Vector, sd: Vector) -> None:
    if (wrong := ~np.isfinite(mean)).any():
        raise ValueError(f"{who}: mean must be finite, got {_first(wrong, mean)}.")
    if (wrong := ~((sd > 0) & np.isfinite(sd))).any():
        raise ValueError(f"{who}: sd must be positive and finite, got {_first(wrong, sd)}.")


def _check_limits(who: str, lower: Vector, upper: Vector) -> None:
    if (wrong := ~((lower < upper) & (lower < np.inf) & (upper > -np.inf))).any():
        raise ValueError(
            f"{who}: lower must be below upper, got {_first(wrong, lower, upper)}; a value that is "
            "known exactly has a density, not a probability."
        )


def _disjoint(intervals: ArrayLike) -> Vector:
    """Intervals as rows of an array, in their order."""
    ends = np.asarray(intervals, dtype=float)
    if ends.ndim != 2 or ends.shape[1] != 2 or not len(ends):
        raise ValueError(
            f"union_moments: intervals must have shape (M, 2) with M >= 1, got {ends.shape}."
        )
    _check_limits("union_moments", ends[:, 0], ends[:, 1])
    ends = ends[np.argsort(ends[:, 0])]
    if (wrong := ends[1:, 0] < ends[:-1, 1]).any():
        raise ValueError(
            f"union_moments: intervals must not overlap, got one from "
            f"{ends[1:, 0][wrong][0]} on and one up to {ends[:-1, 1][wrong][0]}; join them."
        )
    return ends


def _check_status(status: NDArray[np.int64], flat: list[Vector], lead: Shape) -> None:
    """A sentence for the first box that the kernel refused."""
    if not status.any():
        return
    mean, cov, lower, upper = flat
    i = int(np.argmax(status != 0))
    at = f" at {tuple(int(j) for j in np.unravel_index(i, lead))}" if lead else ""
    if status[i] == 1:
        raise ValueError(
            f"box_moments: covariance{at} must be positive definite, got {cov[i].tolist()}."
        )
    if status[i] == 3:
        raise ValueError(
            f"box_moments: the box{at} from {lower[i].tolist()} to {upper[i].tolist()} must be "
            f"within some 1e100 standard deviations of the mean {mean[i].tolist()}."
        )
    _check_limits(f"box_moments{at}", lower[i], upper[i])
    raise ValueError(f"box_moments: mean{at} must be finite, got {mean[i].tolist()}.")
