"""Rows whose cells are exact, known by bounds, or missing, and the sets where rows are seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.cell_bounds import far_bounds
from pyestim.data.source import ArraySource, checked_weights
from pyestim.engine.stats import Vector

EXACT, CENSORED, MISSING = 0, 1, 2
#: Columns whose states, three each, one integer can number.
MOST_CODED = 39


@dataclass(frozen=True, slots=True)
class CellChunk:
    """Consecutive rows, as the native kernels take them."""

    rows: Any  # native Rows
    start: int
    stop: int
    accurate: bool
    cells: Any = None  # native Cells; None: every cell is exact
    boxes: Any = None  # native Cells of the distinct sets
    box: NDArray[np.int64] | None = None  # (n,) which set holds for a row, -1: none


class CellTable:
    """Bounds of the cells of rows, sorted by which of them are exact, censored and missing.

    Parameters
    ----------
    lower, upper : ndarray of shape (n, d), float32 or float64
        Equal where a cell is exact, both infinite where it is missing.
    trunc_lower, trunc_upper : ndarray of shape (n, d), optional
        A row would not have been seen outside of this box.
    owner : str
        Who asks, for messages.

    Attributes
    ----------
    lower, upper : ndarray of shape (n, d)
        Of the sorted rows, cut to their boxes.
    state : ndarray of int8 of shape (n_patterns, d)
        0 exact, 1 censored, 2 missing.
    order : ndarray of int of shape (n,), optional
        Row of the input that each sorted row is; None where that is itself.
    boxes : CellTable, optional
        The distinct boxes, as rows without exact cells.
    box : ndarray of int of shape (n,), optional
        Row of ``boxes`` for each sorted row, -1 where a row is seen wherever it is.
    """

    def __init__(
        self,
        lower: NDArray[Any],
        upper: NDArray[Any],
        trunc_lower: NDArray[Any] | None = None,
        trunc_upper: NDArray[Any] | None = None,
        *,
        owner: str = "CellTable",
    ) -> None:
        self.owner = owner
        self._refuse(lower, upper, "lower", "upper")
        self.boxes: CellTable | None = None
        self.box: NDArray[np.int64] | None = None
        if trunc_lower is not None and trunc_upper is not None:
            lower, upper = self._cut(lower, upper, trunc_lower, trunc_upper)
        self.n_rows, self.n_features = lower.shape
        self._sort(lower, upper)

    def __len__(self) -> int:
        return int(self.n_rows)

    @property
    def all_exact(self) -> bool:
        """Whether every cell is exact."""
        return len(self.state) == 1 and not self.state.any()

    @property
    def plain(self) -> bool:
        """Whether these are rows of an ordinary sample."""
        return self.all_exact and self.boxes is None

    @cached_property
    def exact(self) -> NDArray[np.bool_]:
        """Exact cells of the sorted rows: (n, d)."""
        return np.asarray(self.state[self.pattern] == EXACT)

    @cached_property
    def near(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Bounds with infinite ones in the place of those far beyond all cells: (n, d) each."""
        lower, upper = self.lower, self.upper
        wide = (lower < upper) & np.isfinite(lower) & np.isfinite(upper)
        for j in np.flatnonzero(wide.any(axis=0)):
            low, high = (side[:, j].astype(np.float64) for side in (lower, upper))
            below, above = far_bounds(low, high)
            if below.any():
                lower = lower if lower is not self.lower else lower.copy()
                lower[below, j] = -np.inf
            if above.any():
                upper = upper if upper is not self.upper else upper.copy()
                upper[above, j] = np.inf
        return lower, upper

    @cached_property
    def filled(self) -> NDArray[Any]:
        """Exact cells, middles of intervals, ends of half-lines, and NaN: (n, d).

        Middles and ends are those of `near`: half of a bound that stands for none is no cell.
        """
        if self.all_exact:
            return self.lower
        lower, upper = self.near
        with np.errstate(invalid="ignore"):
            middle = lower / 2 + upper / 2
        middle = np.where(np.isinf(lower), upper, middle)
        middle = np.where(np.isinf(upper), lower, middle)
        middle = np.where(self.exact, self.lower, middle)
        return np.where(np.isinf(middle), np.nan, middle).astype(self.lower.dtype)

    def take(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Sorted rows of an array (n, ...) of the input."""
        return rows if self.order is None else rows[self.order]

    def put_back(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Inverse of `take`."""
        if self.order is None:
            return rows
        out = np.empty_like(rows)
        out[self.order] = rows
        return out

    def part(self, rows: NDArray[np.intp]) -> CellTable:
        """Return some of the sorted rows as a table of their own."""
        bounds = [self.lower[rows], self.upper[rows]]
        if self.boxes is not None and self.box is not None:
            box = self.box[rows]
            for end, none in ((self.boxes.lower, -np.inf), (self.boxes.upper, np.inf)):
                bounds.append(np.where(box[:, None] < 0, none, end[box]))
        return CellTable(*bounds, owner=self.owner)

    def native(self, centre: Vector, scale: Vector) -> Any:
        """Return the cells as the kernels take them, in working coordinates."""
        counts = np.diff(self.pattern_start)
        rank = np.cumsum(self.state == CENSORED, axis=1) - 1
        n_censored = rank[:, -1] + 1
        ends = np.cumsum(n_censored * counts)
        cell_start = ends - n_censored * counts
        bounds = np.empty((3, ends[-1]))
        for j in np.flatnonzero((self.state == CENSORED).any(axis=0)):
            rows = np.flatnonzero(self.state[self.pattern, j] == CENSORED)
            own = self.pattern[rows]
            place = cell_start[own] + rank[own, j] * counts[own] + rows - self.pattern_start[own]
            low, high = (np.float64(side[rows, j]) for side in (self.lower, self.upper))
            with np.errstate(over="ignore"):  # beyond all doubles is infinite
                bounds[0, place] = (low - centre[j]) * scale[j]
                bounds[1, place] = (high - centre[j]) * scale[j]
                bounds[2, place] = (high - low) * scale[j]
        parts = (self.pattern, self.pattern_start, self.state, cell_start)
        return _core.native.Cells(*parts, *bounds)

    # -- reading --------------------------------------------------------------------------------

    def _refuse(self, lower: NDArray[Any], upper: NDArray[Any], low: str, high: str) -> None:
        """Refuse bounds that are none."""
        for name, bound in ((low, lower), (high, upper)):
            if np.isnan(bound).any():
                row, column = np.argwhere(np.isnan(bound))[0]
                raise ValueError(
                    f"{self.owner}: {name} must not be NaN, got NaN in row {row}, column {column}. "
                    "A bound that is not known is infinite: -inf to inf is a missing cell."
                )
        crossed = (lower > upper) | ((lower == upper) & np.isinf(lower))
        if crossed.any():
            row, column = np.argwhere(crossed)[0]
            raise ValueError(
                f"{self.owner}: {low} must be at most {high} and not the same infinity, got "
                f"{lower[row, column]:g} and {upper[row, column]:g} in row {row}, column {column}."
            )

    def _cut(
        self,
        lower: NDArray[Any],
        upper: NDArray[Any],
        trunc_lower: NDArray[Any],
        trunc_upper: NDArray[Any],
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Cut the cells to the boxes of their rows, and number the boxes."""
        self._refuse(trunc_lower, trunc_upper, "trunc_lower", "trunc_upper")
        exact = lower == upper
        low, high = np.maximum(lower, trunc_lower), np.minimum(upper, trunc_upper)
        outside = (low > high) | ((low == high) & ~exact) | (trunc_lower == trunc_upper)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise ValueError(
                f"{self.owner}: trunc_lower and trunc_upper must leave room for every row, which "
                f"would not have been seen otherwise, but row {row}, column {column} lies between "
                f"{lower[row, column]:g} and {upper[row, column]:g} and is seen between "
                f"{trunc_lower[row, column]:g} and {trunc_upper[row, column]:g} only."
            )
        ends = np.concatenate([trunc_lower, trunc_upper], axis=1)
        some = np.isfinite(ends).any(axis=1)
        if not some.any():
            return low, high
        distinct, number = np.unique(ends[some], axis=0, return_inverse=True)
        d = lower.shape[1]
        self.boxes = CellTable(distinct[:, :d], distinct[:, d:], owner=self.owner)
        back = np.empty(len(distinct), dtype=np.int64)
        back[np.arange(len(distinct)) if self.boxes.order is None else self.boxes.order] = (
            np.arange(len(distinct))
        )
        self.box = np.full(len(lower), -1, dtype=np.int64)
        self.box[some] = back[number.reshape(-1)]
        return low, high

    def _sort(self, lower: NDArray[Any], upper: NDArray[Any]) -> None:
        """Sort the rows by pattern, then by box; exact rows come first."""
        state = np.zeros(lower.shape, dtype=np.int8)
        state[lower < upper] = CENSORED
        state[np.isneginf(lower) & np.isposinf(upper)] = MISSING
        code = _codes(state)
        keys = (code,) if self.box is None else (self.box, code)
        order = np.lexsort(keys)
        self.order = order if np.any(order[1:] < order[:-1]) else None
        self.lower = np.ascontiguousarray(self.take(lower))
        self.upper = np.ascontiguousarray(self.take(upper))
        self.box = None if self.box is None else self.take(self.box)
        code = self.take(code)
        new = np.flatnonzero(np.concatenate([[True], code[1:] != code[:-1]]))
        self.pattern_start = np.append(new, len(code)).astype(np.int64)
        self.state = np.ascontiguousarray(self.take(state)[new])
        numbers = np.arange(len(new), dtype=np.int32)
        self.pattern = np.repeat(numbers, np.diff(self.pattern_start))


def _codes(state: NDArray[np.int8]) -> NDArray[np.int64]:
    """Number the patterns of the rows; exact in every column is the first: (n,)."""
    d = state.shape[1]
    if d <= MOST_CODED:
        code = np.zeros(len(state), dtype=np.int64)
        for j in range(d):
            code = 3 * code + state[:, j]
        return code
    return np.unique(state, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


class CellSource(ArraySource):
    """Rows whose cells are exact, censored or missing, sorted by which of them are.

    Exact cells are read as an `ArraySource` reads them; in the place of the others stand middles,
    ends and column medians, which starts are made from.

    Parameters
    ----------
    table : CellTable
    sample_weight : ndarray of shape (n,), optional
        Of the rows of the input.
    isotropic, owner, chunk_rows :
        As for `ArraySource`.

    Attributes
    ----------
    table : CellTable
        Of the rows of positive weight.
    cells, boxes : native Cells or None
    """

    def __init__(
        self,
        table: CellTable,
        sample_weight: Vector | None = None,
        *,
        isotropic: bool = False,
        owner: str = "CellSource",
        chunk_rows: int | None = None,
    ) -> None:
        weight = checked_weights(sample_weight, len(table), owner)
        self.table = table
        _refuse_unbounded(table, None if weight is None else table.take(weight) > 0.0, owner)
        super().__init__(
            _without_gaps(table),
            None if weight is None else table.take(weight),
            isotropic=isotropic,
            accurate=not table.plain,
            owner=owner,
            chunk_rows=chunk_rows,
        )
        self.cells = None if table.plain else table.native(self.centre, self.scale)
        self.boxes = None
        if table.boxes is not None:
            self.boxes = table.boxes.native(self.centre, self.scale)

    def chunks(self) -> Iterator[CellChunk]:  # type: ignore[override]
        """Yield the rows, in order, in pieces of equal size."""
        for piece in super().chunks():
            yield self._chunk(piece.start, piece.stop)

    @property
    def whole(self) -> CellChunk:  # type: ignore[override]
        """All rows as one chunk."""
        return self._chunk(0, self.n_rows)

    def _chunk(self, start: int, stop: int) -> CellChunk:
        box = self.table.box
        return CellChunk(self.rows, start, stop, self.accurate, self.cells, self.boxes, box)

    @property
    def log_jacobian(self) -> float:
        """What turns a log-likelihood of working coordinates into one of the data, per weight."""
        if self.cells is None:
            return super().log_jacobian
        share = _weighted_mean(self.table.state[self.table.pattern] == EXACT, self.sample_weight)
        return float(share @ np.log(self.scale))

    @cached_property
    def scaleless(self) -> NDArray[np.intp]:
        """Columns whose cells, none of them exact, all may have one value.

        There the likelihood does not fall as the variance vanishes at that value.
        """
        rows = slice(None) if self.present is None else self.present
        lower, upper = self.table.lower[rows], self.table.upper[rows]
        shared = (lower.max(axis=0) <= upper.min(axis=0)) & (lower < upper).all(axis=0)
        return np.flatnonzero(shared)

    @cached_property
    def uncertainty(self) -> Vector:
        """Mean variance of the cells within their bounds, in working coordinates: (d,).

        Uniform within an interval, a quarter of the column's variance on a half-line.
        """
        table = self.table
        most = self.column_sd**2
        with np.errstate(over="ignore"):  # the widest count as half-lines
            lower, upper = table.near
            width = (np.float64(upper) - lower) * self.scale
            square = width * width
        within = np.where(np.isfinite(width), np.minimum(square / 12.0, most), most / 4.0)
        return _weighted_mean(within, self.sample_weight)


def _weighted_mean(values: NDArray[Any], weight: Vector | None) -> Vector:
    return np.asarray(np.average(values, axis=0, weights=weight))


def _without_gaps(table: CellTable) -> NDArray[Any]:
    """Rows with column medians in the place of missing cells."""
    filled = table.filled
    gaps = np.isnan(filled)
    if not gaps.any():
        return filled
    return np.where(gaps, np.nanmedian(filled, axis=0), filled).astype(filled.dtype)


def _refuse_unbounded(table: CellTable, counts: NDArray[np.bool_] | None, owner: str) -> None:
    """Refuse columns on which the likelihood has no maximum, or does not depend."""
    if table.all_exact:
        return
    rows = slice(None) if counts is None else counts
    lower, upper = table.lower[rows], table.upper[rows]
    low, high = np.isfinite(lower).any(axis=0), np.isfinite(upper).any(axis=0)
    if (~low & ~high).any():
        column = int(np.flatnonzero(~low & ~high)[0])
        raise ValueError(
            f"{owner}: every column must be known somewhere, but every cell of column {column} is "
            "missing. Leave the column out."
        )
    if not (low & high).all():
        column = int(np.flatnonzero(~(low & high))[0])
        side = ("above", "right") if low[column] else ("below", "left")
        raise ValueError(
            f"{owner}: the likelihood has no maximum, because no cell of column {column} is "
            f"bounded {side[0]}: all are {side[1]}-censored or missing, and it grows for ever as "
            "the mean moves away on that side. Some cells must be exact, or censored on the other "
            "side."
        )
