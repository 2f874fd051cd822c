"""Sets in which rows are seen: unions of intervals of one column, boxes of several."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Shape, Vector
from pyestim.models.cut_normal import box_moments, interval_moments, union_moments
from pyestim.models.kernels import interval_apply


@dataclass(frozen=True, slots=True)
class Inside:
    """Components inside the set, told about their own means.

    Attributes
    ----------
    log_mass : ndarray of shape (K,)
        Logarithm of the probability of the set.
    first : ndarray of shape (K, d)
        Mean inside the set minus the mean.
    second : ndarray of shape (K, d, d) or (K, d)
        Second moments inside the set about the mean; of each column alone where columns are
        independent.
    error : float
        Largest estimated relative error of a probability.
    """

    log_mass: Vector
    first: Vector
    second: Vector
    error: float


@dataclass(frozen=True)
class Support:
    """A union of disjoint closed intervals of one column, or a closed box.

    Attributes
    ----------
    lower, upper : ndarray of shape (d,)
        The box, or the ends of the union; infinite where there is no bound.
    intervals : ndarray of shape (m, 2), optional
        Increasing and disjoint; None for a box.
    """

    lower: Vector
    upper: Vector
    intervals: Vector | None = None

    @property
    def n_features(self) -> int:
        """Columns."""
        return len(self.lower)

    @cached_property
    def everything(self) -> bool:
        """Whether nothing lies outside."""
        return bool(np.isneginf(self.lower).all() and np.isposinf(self.upper).all()) and (
            self.intervals is None or len(self.intervals) == 1
        )

    @cached_property
    def bounded(self) -> NDArray[np.intp]:
        """Columns with a bound."""
        return np.flatnonzero(np.isfinite(self.lower) | np.isfinite(self.upper))

    def moved(self, centre: Vector, scale: Vector) -> Support:
        """Return the set in coordinates ``(x - centre) * scale``."""
        with np.errstate(over="ignore"):  # a limit too far away for doubles is none
            pieces = None if self.intervals is None else (self.intervals - centre) * scale
            return Support((self.lower - centre) * scale, (self.upper - centre) * scale, pieces)

    def contains(self, X: NDArray[Any]) -> NDArray[np.bool_]:
        """Which rows (n, d) lie inside; bounds are read in the precision of the rows."""
        kind = X.dtype
        with np.errstate(over="ignore"):
            if self.intervals is not None:
                return _in_union(X[:, 0], self.intervals.astype(kind))
            found = np.ones(len(X), dtype=bool)
            for j in self.bounded:
                found &= X[:, j] >= self.lower[j].astype(kind)
                found &= X[:, j] <= self.upper[j].astype(kind)
        return found

    def inside(self, means: Vector, covariances: Vector) -> Inside:
        """Probabilities and moments of normal components.

        Parameters
        ----------
        means : ndarray of shape (K, d)
        covariances : ndarray of shape (K, d, d) or (K, d)
            Matrices, or variances of independent columns.
        """
        if self.intervals is not None:
            return self._of_union(means, covariances)
        if covariances.ndim == 2:
            return self._of_columns(means, covariances)
        return self._of_box(means, covariances)

    def _of_union(self, means: Vector, covariances: Vector) -> Inside:
        assert self.intervals is not None
        sd = np.sqrt(covariances.reshape(-1))
        if len(self.intervals) == 1:
            return self._of_interval(means, sd, covariances.shape)
        got = union_moments(means[:, 0], sd, self.intervals)
        first = got.mean - means[:, 0]
        second = (got.covariance + first * first).reshape(covariances.shape)
        return Inside(got.log_probability, first[:, None], second, float(np.max(got.error)))

    def _of_interval(self, means: Vector, sd: Vector, shape: Shape) -> Inside:
        """One interval: the moments about the mean need no difference of means."""
        (low, high), mean = self.intervals[0], means[:, 0]  # type: ignore[index]
        with np.errstate(over="ignore"):
            log_mass, m, v = interval_apply(
                (low - mean) / sd, (high - mean) / sd, (high - low) / sd
            )
        second = (sd * sd * (v + m * m)).reshape(shape)
        return Inside(log_mass, (sd * m)[:, None], second, 0.0)

    def _of_columns(self, means: Vector, variances: Vector) -> Inside:
        j = self.bounded
        got = interval_moments(means[:, j], np.sqrt(variances[:, j]), self.lower[j], self.upper[j])
        first, second = np.zeros_like(means), variances.copy()
        first[:, j] = got.mean - means[:, j]
        second[:, j] = got.covariance + first[:, j] ** 2
        log_mass = got.log_probability.sum(axis=1)
        return Inside(log_mass, first, second, float(np.max(got.error, initial=0.0)))

    def _of_box(self, means: Vector, covariances: Vector) -> Inside:
        """Bounded columns by their box; the others are regressed on them, which is exact."""
        j = self.bounded
        block = np.ascontiguousarray(covariances[:, j[:, None], j])
        got = box_moments(np.ascontiguousarray(means[:, j]), block, self.lower[j], self.upper[j])
        first = got.mean - means[:, j]
        second = got.covariance + first[:, :, None] * first[:, None, :]
        if len(j) < self.n_features:
            slopes = np.linalg.solve(block, covariances[:, j, :])  # (K, b, d)
            turned = slopes.transpose(0, 2, 1)
            first = np.einsum("kdb,kb->kd", turned, first)
            second = covariances + turned @ (second - block) @ slopes
        return Inside(got.log_probability, first, second, float(np.max(got.error)))


def _in_union(x: NDArray[Any], intervals: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values lie in one of the increasing, disjoint intervals."""
    if len(intervals) == 1:
        return np.asarray((x >= intervals[0, 0]) & (x <= intervals[0, 1]))
    place = np.searchsorted(intervals[:, 0], x, side="right") - 1
    found: NDArray[np.bool_] = (place >= 0) & (x <= intervals[np.maximum(place, 0), 1])
    return found
