"""Rows of a regression whose responses are known up to an interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.cell_bounds import FAR, far_bounds
from pyestim.data.source import ArraySource
from pyestim.engine.stats import Vector

#: No double holds the square of a limit beyond: it stands for none.
LARGEST_LIMIT = 1e140
#: Nor is a limit one that is so many times farther away than all responses are.
NONE = 1e25


@dataclass(frozen=True, slots=True)
class CensoredChunk:
    """Consecutive rows, as the native kernels take them."""

    rows: Any  # native Rows: predictors, and the weights
    lower: Vector
    upper: Vector
    offset: Vector | None
    y_centre: float
    y_scale: float
    start: int
    stop: int


class CensoredSource:
    """Predictors, limits of the responses, offsets and weights.

    Parameters
    ----------
    X : ndarray of shape (n, p), float32 or float64, or None
        None, or no columns: nothing but an intercept.
    lower, upper : ndarray of float64 of shape (n,)
        Limits of each response: exact where they are equal, minus or plus infinity where there is
        none, or limits beyond everything (`NONE`). A row without any limit says nothing and counts
        as absent.
    sample_weight, offset : ndarray of shape (n,), optional
    intercept : bool
        Without an intercept, working coordinates keep the origin of the data.
    owner : str
        Who asks, for messages.
    chunk_rows : int, optional
        Rows of one chunk; all rows by default.

    Attributes
    ----------
    x : ArraySource
    y_centre, y_scale : float
        Working responses are ``(y - offset - y_centre) * y_scale``.
    centre, scale : ndarray of shape (p,)
        Working predictors are ``(x - centre) * scale``; one column of zeros where there is none.
    n_columns : int
        Columns of X.
    weight_sum : float
    exact_weight : float
        Weight of the rows that are exact.
    n_left, n_right, n_exact, n_interval : int
        Rows of positive weight of each kind.
    """

    def __init__(
        self,
        X: NDArray[Any] | None,
        lower: Vector,
        upper: Vector,
        sample_weight: Vector | None = None,
        offset: Vector | None = None,
        *,
        intercept: bool = True,
        owner: str = "CensoredSource",
        chunk_rows: int | None = None,
    ) -> None:
        n = len(lower)
        self.n_columns = 0 if X is None else X.shape[1]
        if X is None or X.shape[1] == 0:
            X = np.broadcast_to(np.zeros((1, 1)), (n, 1))
        self.offset = offset
        self.lower, self.upper = lower, upper
        if upper is not lower:
            self.lower, self.upper = self._told(sample_weight)
        weight = self._sort(sample_weight)
        if not (self.n_exact or self.n_left or self.n_right or self.n_interval):
            raise ValueError(
                f"{owner}: expected rows with a limit and a positive weight, got none of {n}: "
                "nothing is known about y. Give y, or finite limits; one beyond "
                f"{LARGEST_LIMIT:g} counts as none."
            )
        options: dict[str, Any] = {"accurate": True, "chunk_rows": chunk_rows}
        self.x = ArraySource(X, weight, owner=owner, **options)
        self.heights = self._heights(weight)
        y = ArraySource(self.heights[:, None], weight, owner=f"{owner}: y", **options)
        self.intercept = intercept
        self.y_centre = float(y.centre[0]) if intercept else 0.0
        self.y_scale = float(y.scale[0])
        self.output_sd = float(y.column_sd[0])
        self.scale = self.x.scale
        self.centre = self.x.centre if intercept else np.zeros_like(self.x.centre)
        self.rows = _core.native.Rows(X, weight, self.centre, self.scale)
        self.sample_weight = weight

    def _told(self, weight: Vector | None) -> tuple[Vector, Vector]:
        """Limits with infinite ones in the place of those that stand for none."""
        exact = self.lower == self.upper
        none = ~exact & (self.lower <= -LARGEST_LIMIT)
        lower = np.where(none, -np.inf, self.lower) if none.any() else self.lower
        none = ~exact & (self.upper >= LARGEST_LIMIT)
        upper = np.where(none, np.inf, self.upper) if none.any() else self.upper
        return self._near(lower, upper, weight, NONE)

    def _near(
        self, lower: Vector, upper: Vector, weight: Vector | None, many: float
    ) -> tuple[Vector, Vector]:
        """Limits with infinite ones in the place of those far beyond all responses."""
        if self._none_far(lower, upper, weight):
            return lower, upper
        present = ~(np.isneginf(lower) & np.isposinf(upper))
        if weight is not None:
            present &= weight > 0.0
        rows = np.flatnonzero(present)
        shift = 0.0 if self.offset is None else self.offset[rows]
        low, high = lower[rows] - shift, upper[rows] - shift
        below, above = far_bounds(low, high, many)
        if not (below & np.isfinite(low) | above & np.isfinite(high)).any():
            above, below = far_bounds(-high, -low, many)  # the middle is the lower median then
        lower, upper = lower.copy(), upper.copy()
        exact = low == high
        lower[rows[below & ~exact]] = -np.inf
        upper[rows[above & ~exact]] = np.inf
        return lower, upper

    def _none_far(self, lower: Vector, upper: Vector, weight: Vector | None) -> bool:
        """Whether no limit can be far: cheap, and enough for most data.

        Wherever the middle is, one response is half of ``max lower - min upper`` away from it, and
        an end is no farther away than that and the width of its interval together.
        """
        there = True if weight is None else weight > 0.0
        interval = np.isfinite(lower) & np.isfinite(upper) & there
        with np.errstate(over="ignore"):
            widest = np.max(upper - lower, where=interval, initial=0.0)
        if widest == 0.0:
            return True
        shift = 0.0 if self.offset is None else self.offset
        highest = np.max(lower - shift, where=there, initial=-np.inf)
        lowest = np.min(upper - shift, where=there, initial=np.inf)
        return bool(widest <= 0.5 * (FAR - 1.0) * (highest - lowest))

    def _sort(self, weight: Vector | None) -> Vector | None:
        """Count the kinds of rows; those that say nothing lose their weight."""
        exact = self.lower == self.upper
        below, above = np.isneginf(self.lower), np.isposinf(self.upper)
        unseen = below & above
        present = np.ones(len(exact), dtype=bool) if weight is None else weight > 0.0
        if np.any(unseen & present):
            weight = np.where(unseen, 0.0, 1.0 if weight is None else weight)
            present &= ~unseen
        self.n_exact = int(np.count_nonzero(exact & present))
        self.n_left = int(np.count_nonzero(below & present))
        self.n_right = int(np.count_nonzero(above & present))
        inside = int(np.count_nonzero(present))
        self.n_interval = inside - self.n_exact - self.n_left - self.n_right
        self.exact_weight = float(self.n_exact if weight is None else weight[exact].sum())
        return weight

    def _heights(self, weight: Vector | None) -> Vector:
        """One number for each response, less its offset."""
        height = self.lower
        if self.upper is not self.lower:  # half of a limit that stands for none is no height
            height = heights(*self._near(self.lower, self.upper, weight, FAR))
        if self.offset is not None:
            height = height - self.offset
        lost = np.isinf(height)
        if lost.any():
            known = ~lost if weight is None else ~lost & (weight > 0.0)
            height = np.where(lost, np.median(height[known]) if known.any() else 0.0, height)
        if weight is not None:  # rows that are absent may hold anything
            height = np.where(weight > 0.0, height, 0.0)
        return np.ascontiguousarray(height)

    # -- what a sweep needs ---------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Rows, of any weight."""
        return int(self.x.n_rows)

    @property
    def n_effective(self) -> int:
        """Rows of positive weight that say something."""
        return int(self.x.n_effective)

    @property
    def weight_sum(self) -> float:
        """Sum of the weights of these rows."""
        return self.x.weight_sum

    @property
    def eps(self) -> float:
        """Machine epsilon of the arithmetic on the rows."""
        return self.x.eps

    @property
    def mean_eps(self) -> float:
        """Relative rounding error of a mean over the rows."""
        return self.x.mean_eps

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        return self.x.backend

    def chunks(self) -> Iterator[CensoredChunk]:
        """Yield the rows, in order, in pieces of equal size."""
        for piece in self.x.chunks():
            yield self._chunk(piece.start, piece.stop)

    @property
    def whole(self) -> CensoredChunk:
        """All rows as one chunk."""
        return self._chunk(0, self.n_rows)

    @property
    def by_height(self) -> CensoredSource:
        """The same rows with their heights as exact responses, in the same working coordinates."""
        other = object.__new__(CensoredSource)
        other.__dict__.update(self.__dict__)
        other.lower = other.upper = self.heights
        other.offset = None
        return other

    def _chunk(self, start: int, stop: int) -> CensoredChunk:
        return CensoredChunk(
            *(self.rows, self.lower, self.upper, self.offset, self.y_centre, self.y_scale),
            *(start, stop),
        )

    @property
    def log_offset(self) -> float:
        """Log-likelihood of the data minus that of the kernels, per unit weight.

        Exact rows have densities, which know the unit of y; the others have probabilities.
        """
        return float(np.log(self.y_scale)) * self.exact_weight / self.weight_sum


def heights(lower: Vector, upper: Vector) -> Vector:
    """One number for each response: the middle of an interval, the only end of a half-line."""
    if upper is lower:
        return lower
    with np.errstate(invalid="ignore", over="ignore"):
        middle = lower + 0.5 * (upper - lower)
    return np.where(np.isneginf(lower), upper, np.where(np.isposinf(upper), lower, middle))
