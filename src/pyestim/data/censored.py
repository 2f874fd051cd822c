"""Rows of a regression whose responses are known up to an interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import ArraySource
from pyestim.engine.stats import Vector


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
        none. A row without any limit says nothing and counts as absent.
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
        self.lower, self.upper, self.offset = lower, upper, offset
        weight = self._sort(sample_weight)
        if not (self.n_exact or self.n_left or self.n_right or self.n_interval):
            raise ValueError(
                f"{owner}: expected rows with a limit and a positive weight, got none of {n}: "
                "nothing is known about y. Give y, or finite limits."
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
        height = heights(self.lower, self.upper)
        if self.offset is not None:
            height = height - self.offset
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
