"""Columns of a matrix of predictors, centred and scaled without a copy.

Coordinate descent and screening read columns ``x~_j = (x_j - mean_j) / scale_j``. The matrix stays
as it is, dense in any order or compressed by columns; centre and scale are part of the kernels.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pyestim import _core
from pyestim.engine.stats import Vector

DOUBLE_EPS = 2.0**-52
#: A column of equal numbers has a standard deviation of at most this many units in the last
#: place of its mean: that is what rounding the mean leaves.
CONSTANT_ULPS = 2.0

#: Share of the columns below which those of a matrix that is stored by rows are read one by one.
SPARSE_BETA = 0.2
#: Bytes of a working set that may be copied, so that its columns lie in one piece.
LARGEST_COPY = 1 << 27

Chosen = NDArray[np.int64]


class Design:
    """A matrix of predictors with implicit centring and scaling.

    Parameters
    ----------
    X : ndarray or scipy sparse array of shape (n, p)
        float32 or float64, dense with any strides or sparse; never copied, except that other
        sparse formats are converted to CSC, and integers to float64. Arithmetic is in float64.
    weight : ndarray of shape (n,), optional
        Non-negative; only ratios matter. Means and standard deviations are weighted by it.
    centre : bool
        Subtract the weighted mean of each column.
    scale : bool
        Divide each column by its weighted standard deviation.
    owner : str
        Who asks, for messages.

    Attributes
    ----------
    n, p : int
        Shape of ``X``.
    dtype : dtype
        That of the entries.
    weight : ndarray of shape (n,)
        Sums to one.
    mean, sd : ndarray of shape (p,)
        Weighted means and standard deviations (divisor: the sum of weights), in the unit of
        ``X``; the standard deviation of a constant column is zero.
    centre : ndarray of shape (p,)
        What is subtracted: the mean, or zero.
    scale : ndarray of shape (p,)
        What columns are divided by: the standard deviation or one, and one for constant columns.
    squares : ndarray of shape (p,)
        Mean squares of the columns, as they are centred and scaled, under ``weight``.
    columns : native Columns
        For the native engines.

    Notes
    -----
    Making a design costs three passes over the matrix, and one if it neither centres nor scales:
    then means and standard deviations are computed when they are asked for. Zeros of a sparse
    matrix are never visited.
    """

    def __init__(
        self,
        X: Any,
        weight: Vector | None = None,
        *,
        centre: bool = True,
        scale: bool = False,
        owner: str = "Design",
    ) -> None:
        self.owner = owner
        self._parts = _parts(X, owner)
        self.n, self.p = X.shape
        self.dtype = self._parts[0].dtype
        self.weight = self._shares(weight)
        constant = self.sd == 0 if centre or scale else np.zeros(self.p, dtype=bool)
        self.centre = self.mean if centre else np.zeros(self.p)
        self.scale = np.where(constant, 1.0, self.sd) if scale else np.ones(self.p)
        # A constant column minus its mean is zero, whatever rounding would leave of it.
        self._factor = np.where(constant, 0.0, 1 / self.scale) if centre else 1 / self.scale
        self.columns = self._columns(self.centre, self._factor)
        self.squares = (self.sd * self._factor) ** 2 if centre else self._raw_squares()
        self._check_finite(self.squares)

    @cached_property
    def mean(self) -> Vector:
        """Weighted means."""
        return self._moments[0]

    @cached_property
    def sd(self) -> Vector:
        """Weighted standard deviations."""
        return self._moments[1]

    @property
    def is_sparse(self) -> bool:
        """Whether only entries that are not zero are stored."""
        return self._parts[1] is not None

    @property
    def entries_per_column(self) -> float:
        """Entries that are stored, per column."""
        return float(self._parts[0].size / max(self.p, 1))

    @property
    def _by_rows(self) -> bool:
        values, rows, _ = self._parts
        return rows is None and values.strides[0] != values.itemsize and self.n > 1

    # -- products -------------------------------------------------------------------------------

    def dot(self, r: Vector, columns: Chosen | None = None) -> Vector:
        """Return ``X~' r``, (p,) or one entry for each of ``columns``; (n, K) gives (p, K).

        No weights are applied: pass ``weight * r`` for a weighted product.
        """
        return self._sums(_core.native.column_dots, r, columns)

    def column_squares(self, row_weights: Vector, columns: Chosen | None = None) -> Vector:
        """Return ``sum_i d_i x~_ij**2`` for row weights d, (p,) or one entry per column."""
        if columns is None and np.array_equal(row_weights, self.weight):
            return self.squares.copy()
        return self._sums(_core.native.column_squares, row_weights, columns)

    def times(self, beta: Vector, columns: Chosen | None = None) -> Vector:
        """Return ``X~ beta``, (n,); beta is (p,) or belongs to ``columns``; (p, K) gives (n, K)."""
        beta = np.asarray(beta, dtype=np.float64)
        chosen = self._chosen(columns)
        used = np.flatnonzero(beta if beta.ndim == 1 else beta.any(axis=1))
        # Rows in one piece are read faster whole, unless few of their entries count.
        if len(used) < len(beta) * (SPARSE_BETA if self._by_rows else 1.0):
            chosen = used if chosen is None else chosen[used]
            beta = beta[used]
        out = np.empty((1 if beta.ndim == 1 else beta.shape[1], self.n))
        rows = np.ascontiguousarray(np.atleast_2d(beta.T))
        _core.native.column_times(_core.context(), self.columns, rows, chosen, out)
        return out[0] if beta.ndim == 1 else out.T

    def gram(self, row_weights: Vector, A: Chosen, B: Chosen | None = None) -> Vector:
        """Return ``X~_A' diag(row_weights) X~_B`` (|A|, |B|); B defaults to A, then symmetric."""
        both = np.ascontiguousarray(A if B is None else np.concatenate([A, B]), dtype=np.int64)
        # Most of a row is read as fast where it lies.
        whole = B is None and 2 * len(both) >= self.p
        columns, place = (self.columns, both) if whole else self.working_set(both)
        left, right = place[: len(A)], None if B is None else place[len(A) :]
        out = np.empty((len(left), len(left if right is None else right)))
        weights = np.ascontiguousarray(row_weights, dtype=np.float64)
        _core.native.column_gram(_core.context(), columns, weights, left, right, out)
        return out

    def select(self, columns: Chosen) -> Design:
        """Return some columns of a sparse matrix as a design, centred and scaled as they are here.

        Their entries are copied into one piece, which many passes over them read twice as fast.
        """
        values, rows, starts = self._parts
        own = copy(self)
        count = np.diff(starts)[columns]
        to = np.concatenate([[0], np.cumsum(count)])
        entry = np.arange(to[-1]) + np.repeat(starts[columns] - to[:-1], count)
        own._parts = values[entry], rows[entry], to.astype(starts.dtype)
        own.p = len(count)
        for name in ("mean", "sd", "centre", "scale", "_factor", "squares"):
            setattr(own, name, getattr(self, name)[columns])
        own.columns = own._columns(own.centre, own._factor)
        return own

    def working_set(self, columns: Chosen) -> tuple[Any, Chosen]:
        """Return native columns that engines read fast, and the places of ``columns`` in them.

        A matrix that is stored by columns is its own working set. Where it is stored by rows, the
        chosen columns are copied into one piece each, unless they are too many.
        """
        chosen = np.ascontiguousarray(columns, dtype=np.int64)
        if not self._by_rows or len(chosen) * self.n * self.dtype.itemsize > LARGEST_COPY:
            return self.columns, chosen
        copy = np.asfortranarray(self._parts[0][:, chosen])
        centre, factor = self.centre[chosen], self._factor[chosen]
        return _core.native.Columns(copy, None, None, self.n, centre, factor), np.arange(
            len(chosen)
        )

    # -- inside ---------------------------------------------------------------------------------

    def _sums(self, kernel: Any, r: Vector, columns: Chosen | None, of: Any = None) -> Vector:
        r = np.asarray(r, dtype=np.float64)
        chosen = self._chosen(columns)
        vectors = np.ascontiguousarray(np.atleast_2d(r.T))
        out = np.empty((len(vectors), self.p if chosen is None else len(chosen)))
        kernel(_core.context(), self.columns if of is None else of, vectors, chosen, out)
        return out[0] if r.ndim == 1 else out.T

    @staticmethod
    def _chosen(columns: Any) -> Chosen | None:
        return None if columns is None else np.ascontiguousarray(columns, dtype=np.int64)

    def _columns(self, centre: Vector, factor: Vector) -> Any:
        values, rows, starts = self._parts
        return _core.native.Columns(values, rows, starts, self.n, centre, factor)

    def _shares(self, weight: Vector | None) -> Vector:
        if weight is None:
            return np.full(self.n, 1.0 / self.n)
        weight = np.asarray(weight, dtype=np.float64)
        if weight.shape != (self.n,):
            raise ValueError(
                f"{self.owner}: weight must have shape ({self.n},), got {weight.shape}."
            )
        if not (np.isfinite(weight).all() and (weight >= 0).all() and (weight > 0).any()):
            raise ValueError(
                f"{self.owner}: weight must be finite, not negative and not all zero; "
                "remove rows that do not count."
            )
        weight = weight / weight.max()
        return np.ascontiguousarray(weight / weight.sum())

    def _raw_squares(self) -> Vector:
        return self._sums(_core.native.column_squares, self.weight, None)

    @cached_property
    def _moments(self) -> tuple[Vector, Vector]:
        """Weighted means and standard deviations; the mean is corrected once for its rounding."""
        one = np.ones(self.p)
        dots, squares = _core.native.column_dots, _core.native.column_squares
        mean = self._sums(dots, self.weight, None, of=self._columns(np.zeros(self.p), one))
        self._check_finite(mean)
        if not self.is_sparse:
            mean = mean + self._sums(dots, self.weight, None, of=self._columns(mean, one))
        variance = self._sums(squares, self.weight, None, of=self._columns(mean, one))
        self._check_finite(variance)
        sd = np.sqrt(variance)
        first = int(np.argmax(self.weight > 0))
        for j in self._constant(mean, sd).tolist():
            mean[j] = self._entry(first, j)  # exactly the constant: centred columns are zero
            sd[j] = 0.0
        return mean, sd

    def _constant(self, mean: Vector, sd: Vector) -> NDArray[np.intp]:
        """Columns that do not vary over the rows that count."""
        _, rows, starts = self._parts
        if rows is None:
            return np.flatnonzero(sd <= CONSTANT_ULPS * DOUBLE_EPS * np.abs(mean))
        # The mean of a sparse column is not corrected; but hardly any column is full.
        counts = self.weight > 0
        full = np.flatnonzero((np.diff(starts) >= counts.sum()) & (sd > 0)).tolist()
        columns = [j for j in full if self._is_one_number(j, counts)]
        return np.concatenate([np.flatnonzero(sd == 0), columns]).astype(np.intp)

    def _is_one_number(self, j: int, counts: NDArray[np.bool_]) -> bool:
        values, rows, starts = self._parts
        own = slice(starts[j], starts[j + 1])
        present = values[own][counts[rows[own]]]
        return len(present) == counts.sum() and bool((present == present[0]).all())

    def _entry(self, i: int, j: int) -> float:
        values, rows, starts = self._parts
        if rows is None:
            return float(values[i, j])
        begin, end = starts[j], starts[j + 1]
        return float(values[begin:end][rows[begin:end] == i].sum())

    def _check_finite(self, numbers: Vector) -> None:
        if not np.isfinite(numbers).all():
            j = int(np.argmin(np.isfinite(numbers)))
            raise ValueError(
                f"{self.owner}: X must be finite and its squares must not overflow, "
                f"got otherwise in column {j}; remove or impute such values, or rescale."
            )


def _parts(X: Any, owner: str) -> tuple[NDArray[Any], Any, Any]:
    """Entries, their rows and the starts of the columns; rows and starts None where dense."""
    if len(X.shape) != 2 or X.shape[0] < 1:
        raise ValueError(f"{owner}: X must have two axes and at least one row, got {X.shape}.")
    if not sparse.issparse(X):
        return _real(np.asarray(X)), None, None
    check_sparse(X, owner)
    columns = X if X.format == "csc" else X.tocsc()
    if not columns.has_canonical_format:
        columns = columns.copy()
        columns.sum_duplicates()
    rows, starts = columns.indices, columns.indptr
    if rows.dtype != starts.dtype or rows.dtype not in (np.int32, np.int64):
        rows, starts = rows.astype(np.int64), starts.astype(np.int64)
    values = _real(columns.data)
    return tuple(np.ascontiguousarray(part) for part in (values, rows, starts))  # type: ignore[return-value]


def check_sparse(X: Any, owner: str) -> None:
    """Refuse compressed matrices whose indices point outside: native code would follow them.

    Parameters
    ----------
    X : scipy sparse array
        Other formats than compressed rows and columns pass.
    owner : str
        Who asks, for messages.
    """
    if X.format not in ("csc", "csr"):
        return
    inner = X.shape[0 if X.format == "csc" else 1]
    starts, inside = X.indptr, X.indices
    rising = starts[0] == 0 and starts[-1] <= len(inside) and bool((np.diff(starts) >= 0).all())
    if not rising or (len(inside) and not 0 <= inside.min() <= inside.max() < inner):
        raise ValueError(
            f"{owner}: expected a sparse X whose indptr rises from 0 to the number of entries and "
            f"whose indices lie within 0..{inner - 1}, got others. Build it again from its entries."
        )


def _real(values: NDArray[Any]) -> NDArray[Any]:
    """float32 and float64 in native order as they are; other real numbers as float64."""
    if values.dtype in (np.float32, np.float64) and values.dtype.isnative:
        return values if values.flags.aligned else values.copy()
    if values.dtype.kind not in "biuf":
        raise TypeError(f"Design: X must hold real numbers, got dtype {values.dtype}.")
    return values.astype(
        np.float32 if values.dtype.itemsize <= 2 and values.dtype.kind == "f" else np.float64
    )
