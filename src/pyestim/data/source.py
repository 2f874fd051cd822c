"""Rows in memory or in a mapped file, read in working coordinates ``z = (x - centre) scale``.

The scale is a power of two, so that it changes no digit, and the centre is near the middle of
the data, so that neither a large common offset nor extreme units cost accuracy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.engine.stats import Vector

#: Rows of one leaf of the reduction tree of the native core.
LEAF_ROWS = 4096
#: Rows of the subsample that fixes the working coordinates.
SUBSAMPLE_ROWS = 4096
#: Spans of a column whose squares and their sums stay within double precision.
LARGEST_SPAN, SMALLEST_SPAN = 1e140, 1e-140
DOUBLE_EPS = 2.0**-52
#: Rounding errors of the log-density of one row, in units of its last place (measured).
ROW_ERRORS = 2.5
#: Weights below this lose the digits of their products.
SMALLEST_WEIGHT_SUM = 1e-160
#: Interquartile range of a standard normal.
NORMAL_IQR = 1.3489795003921634


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows, as the native kernels take them."""

    rows: Any  # native Rows
    start: int
    stop: int
    accurate: bool


class ArraySource:
    """A sample matrix, its weights and its working coordinates.

    Parameters
    ----------
    X : ndarray of shape (n, d), float32 or float64
        Any strides, read-only or memory-mapped; never copied.
    sample_weight : ndarray of shape (n,), optional
        A weight means a repeated row, zero means absence.
    isotropic : bool
        One scale for all columns, for models that compare columns with each other.
    accurate : bool
        Compute in double precision on float32 rows.
    owner : str
        Who asks, for messages.
    chunk_rows : int, optional
        Rows of one chunk, a multiple of `LEAF_ROWS`; all rows by default.

    Attributes
    ----------
    centre, scale : ndarray of shape (d,)
        Working coordinates are ``(x - centre) * scale``.
    floor_sd : ndarray of shape (d,)
        Smaller one of the standard deviation and the robust standard deviation of each column,
        in working coordinates; one for a constant column.
    constant : ndarray of bool of shape (d,)
        Columns that do not vary.
    column_mean, column_sd, column_min, column_max : ndarray of shape (d,)
        Of the rows of positive weight, in working coordinates.
    weight_sum : float
    n_effective : int
        Rows of positive weight.
    """

    def __init__(
        self,
        X: NDArray[Any],
        sample_weight: Vector | None = None,
        *,
        isotropic: bool = False,
        accurate: bool = False,
        owner: str = "ArraySource",
        chunk_rows: int | None = None,
    ) -> None:
        self.owner = owner
        self.accurate = accurate
        self._isotropic = isotropic
        self._x = X
        self.n_rows, self.n_features = X.shape
        self.sample_weight = checked_weights(sample_weight, self.n_rows, owner)
        self.chunk_rows = _checked_chunk_rows(chunk_rows, self.n_rows)
        sample, weight = self._subsample()
        self.centre, robust_sd = _centre_and_spread(sample, weight)
        self.scale = self._scale_for(robust_sd)
        self.rows = _core.native.Rows(X, self.sample_weight, self.centre, self.scale)
        self._measure(robust_sd)

    # -- what a sweep needs ---------------------------------------------------------------------

    @cached_property
    def eps(self) -> float:
        """Machine epsilon of the arithmetic on the rows."""
        single = self._x.dtype == np.float32 and not self.accurate
        return float(np.finfo(np.float32 if single else np.float64).eps)

    @cached_property
    def mean_eps(self) -> float:
        """Relative rounding error of a mean over the rows.

        The errors of single rows are independent, and their sum is formed in double precision.
        """
        return max(DOUBLE_EPS, ROW_ERRORS * self.eps / sqrt(self.n_effective))

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        return f"{_core.backend()}, {self._x.dtype} rows"

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows, in order, in pieces of equal size."""
        for start in range(0, self.n_rows, self.chunk_rows):
            stop = min(start + self.chunk_rows, self.n_rows)
            yield Chunk(self.rows, start, stop, self.accurate)

    @property
    def whole(self) -> Chunk:
        """All rows as one chunk."""
        return Chunk(self.rows, 0, self.n_rows, self.accurate)

    @property
    def log_jacobian(self) -> float:
        """What turns a log-density of working coordinates into one of the data."""
        return float(np.log(self.scale).sum())

    # -- a few rows -----------------------------------------------------------------------------

    def take(self, indices: NDArray[np.intp]) -> tuple[Vector, Vector]:
        """Return the rows ``indices`` in working coordinates and their weights."""
        rows = np.asarray(self._x[indices], dtype=np.float64)
        z = np.ascontiguousarray((rows - self.centre) * self.scale)
        if self.sample_weight is None:
            return z, np.ones(len(z))
        return z, np.asarray(self.sample_weight[indices], dtype=np.float64)

    def rows_weighted(self, weight: Vector) -> Any:
        """Return the same rows with other weights (n,), as the kernels take them."""
        return _core.native.Rows(self._x, weight, self.centre, self.scale)

    def column(self, j: int) -> NDArray[Any]:
        """Return column ``j`` of the data, as it is."""
        column: NDArray[Any] = self._x[:, j]
        return column

    def working_columns(self, columns: Any, rows: NDArray[np.intp]) -> Vector:
        """Return some columns of some rows in working coordinates."""
        part = np.asarray(self._x[:, columns][rows], dtype=np.float64)
        return np.asarray((part - self.centre[columns]) * self.scale[columns])

    def some_columns(self, columns: Any) -> NDArray[Any]:
        """Return a copy of some columns of the data."""
        return np.ascontiguousarray(self._x[:, columns])

    @cached_property
    def present(self) -> NDArray[np.intp] | None:
        """Indices of the rows of positive weight; None when all rows are."""
        if self.sample_weight is None or self.n_effective == self.n_rows:
            return None
        return np.flatnonzero(self.sample_weight)

    def spread_indices(self, n_wanted: int) -> NDArray[np.intp]:
        """Return at most ``n_wanted`` rows of positive weight, one of each equal stretch.

        Where in its stretch a row lies is drawn with a fixed seed: equal distances would see one
        phase only of rows that repeat themselves.
        """
        n_wanted = min(n_wanted, self.n_effective)
        jitter = np.zeros(n_wanted)
        if n_wanted < self.n_effective:
            jitter = np.random.default_rng(0).uniform(size=n_wanted)
        stretch = self.n_effective / n_wanted
        places: NDArray[np.intp] = ((np.arange(n_wanted) + jitter) * stretch).astype(np.intp)
        return places if self.present is None else self.present[places]

    # -- working coordinates --------------------------------------------------------------------

    def _subsample(self) -> tuple[Vector, Vector | None]:
        if self.sample_weight is None:
            self.n_effective = self.n_rows
        else:
            self.n_effective = int(np.count_nonzero(self.sample_weight))
        if self.n_effective <= SUBSAMPLE_ROWS and self.present is None:
            return np.array(self._x, dtype=np.float64), self.sample_weight
        indices = self.spread_indices(SUBSAMPLE_ROWS)
        weight = None if self.sample_weight is None else self.sample_weight[indices]
        return np.asarray(self._x[indices], dtype=np.float64), weight

    def _scale_for(self, sd: Vector) -> Vector:
        known = sd > 0.0
        if self._isotropic:
            largest = sd.max() if known.any() else 1.0
            sd = np.full_like(sd, largest)
        else:
            sd = np.where(known, sd, 1.0)
        exponent = np.rint(np.log2(sd))
        return np.asarray(np.exp2(-np.clip(exponent, -1000, 1000)))

    def _measure(self, robust_sd: Vector) -> None:
        """Moments of all rows: weight, floors, constant columns; refuse extreme spans."""
        d = self.n_features
        moments = self._column_moments()
        span = (moments[1 + 3 * d :] - moments[1 + 2 * d : 1 + 3 * d]) / self.scale
        self._refuse_extreme(span)
        self.constant = span == 0.0
        unseen = ~self.constant & (robust_sd == 0.0)
        if unseen.any():  # varies, but not within the subsample
            robust_sd = np.where(unseen, _sd(moments, d) / self.scale, robust_sd)
            self.scale = self._scale_for(robust_sd)
            self.rows = _core.native.Rows(self._x, self.sample_weight, self.centre, self.scale)
            moments = self._column_moments()
        self.weight_sum = float(moments[0])
        self.column_mean = moments[1 : 1 + d] / moments[0]
        sd = _sd(moments, d)
        self.column_sd = np.where(self.constant, 1.0, sd)
        self.column_min, self.column_max = moments[1 + 2 * d :].reshape(2, d)
        own_unit = self._own_unit()
        self.floor_sd = np.where(
            self.constant | (sd == 0.0), own_unit, np.minimum(sd, robust_sd * self.scale)
        )

    def _own_unit(self) -> Vector:
        """A constant column has no scale: one in its own unit, as long as that is in range."""
        if self._isotropic:
            return np.minimum(1.0, self.scale)
        return np.ones(self.n_features)

    def _column_moments(self) -> Vector:
        out = np.empty(1 + 4 * self.n_features)
        _core.native.column_moments(_core.context(), self.rows, 0, self.n_rows, out)
        return out

    def _refuse_extreme(self, span: Vector) -> None:
        bad = ~(span <= LARGEST_SPAN) | ((span < SMALLEST_SPAN) & (span > 0.0))
        if bad.any():
            column = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"{self.owner}: column {column} spans {span[column]:.3g}; expected a span between "
                f"{SMALLEST_SPAN:g} and {LARGEST_SPAN:g}, whose squares a double can hold. "
                "Rescale the column."
            )


def _sd(moments: Vector, d: int) -> Vector:
    mean = moments[1 : 1 + d] / moments[0]
    variance = moments[1 + d : 1 + 2 * d] / moments[0] - mean * mean
    return np.asarray(np.sqrt(np.maximum(variance, 0.0)))


def _centre_and_spread(sample: Vector, weight: Vector | None) -> tuple[Vector, Vector]:
    """Weighted median and robust standard deviation of each column: two (d,) vectors."""
    if weight is None:
        lower, centre, upper = _quartiles(sample)
    else:
        lower, centre, upper = _weighted_quartiles(sample, weight)
    spread = (upper - lower) / NORMAL_IQR
    flat = spread == 0.0
    if flat.any():
        spread[flat] = _plain_sd(sample[:, flat], weight)
    return centre, spread


def _plain_sd(sample: Vector, weight: Vector | None) -> Vector:
    with np.errstate(over="ignore", invalid="ignore"):
        variance = np.average((sample - sample[0]) ** 2, axis=0, weights=weight)
        mean = np.average(sample - sample[0], axis=0, weights=weight)
        sd = np.sqrt(np.maximum(variance - mean * mean, 0.0))
        return np.asarray(np.nan_to_num(sd, posinf=1.0))


def _quartiles(sample: Vector) -> Vector:
    """Values of the data at the three quarters: (3, d)."""
    n = len(sample)
    return np.asarray(np.sort(sample, axis=0)[[n // 4, n // 2, n - 1 - n // 4]])


def _weighted_quartiles(sample: Vector, weight: Vector) -> Vector:
    """The same values as if every row were repeated ``weight`` times: (3, d)."""
    order = np.argsort(sample, axis=0, kind="stable")
    ordered = np.take_along_axis(sample, order, axis=0)
    reached = np.cumsum(weight[order], axis=0)
    total = reached[-1]
    places = (reached <= total / 4), (reached <= total / 2), (reached < 0.75 * total)
    rows = np.minimum([below.sum(axis=0) for below in places], len(sample) - 1)
    return np.asarray(np.take_along_axis(ordered, rows, axis=0))


def checked_weights(weight: Vector | None, n_rows: int, owner: str) -> Vector | None:
    """Return weights (n_rows,) that are finite, not negative and not all zero, or raise."""
    if weight is None:
        return None
    weight = np.ascontiguousarray(weight, dtype=np.float64)
    if weight.shape != (n_rows,):
        raise ValueError(f"{owner}: sample_weight must have shape ({n_rows},), got {weight.shape}.")
    with np.errstate(over="ignore"):
        total = weight.sum()
    if np.isnan(total):
        raise ValueError(f"{owner}: sample_weight must be finite, got NaN.")
    if weight.min() < 0.0:
        raise ValueError(
            f"{owner}: sample_weight must not be negative, got {weight.min():g}; "
            "a weight counts how often a row is repeated."
        )
    if total == 0.0:
        raise ValueError(f"{owner}: sample_weight is zero for every row; nothing is left to fit.")
    if not SMALLEST_WEIGHT_SUM <= total < np.inf:
        raise ValueError(
            f"{owner}: sample_weight must have a sum between {SMALLEST_WEIGHT_SUM:g} and the "
            f"largest double, got {total:.3g}. Multiply all weights by one number."
        )
    return weight


def _checked_chunk_rows(chunk_rows: int | None, n_rows: int) -> int:
    if chunk_rows is None:
        return max(n_rows, 1)
    if chunk_rows < LEAF_ROWS or chunk_rows % LEAF_ROWS:
        raise ValueError(
            f"ArraySource: chunk_rows must be a multiple of {LEAF_ROWS}, got {chunk_rows}."
        )
    return chunk_rows
