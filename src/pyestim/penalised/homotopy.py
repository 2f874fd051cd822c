"""Exact Lasso paths on a set of coordinates whose Gram matrix is known."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

from pyestim import _core
from pyestim.engine.stats import Vector

Columns = NDArray[np.int64]

#: Coordinates that may be active: each kink costs their square, beyond this descent is faster.
MAX_ACTIVE = 2000
#: An active condition unmet by more than this share of the penalty: the inverse is renewed.
WORN = 1e-9
#: Rows of the native state.
COEF, CORR, LINEAR, WEIGHT, SIGN = range(5)


class End(Enum):
    """How a segment of the path ended; the values are those of the native code."""

    REACHED = 0
    FULL = 1
    KINKS = 2
    SINGULAR = 3


class Segment(NamedTuple):
    """What happened between two penalties."""

    end: End
    kinks: int
    reached: float


class GramPath:
    """Lasso solutions ``w' G w / 2 - linear' w + alpha sum_j weight_j |w_j|`` on a growing set.

    The data is not touched: who adds a coordinate brings its row of the Gram matrix.

    Parameters
    ----------
    l2 : ndarray of shape (p,)
        Weights of the ridge, by the numbers of the coordinates; `set_ridge` says how much of it.
    max_active : int
        Coordinates that may be active at once.
    """

    def __init__(self, l2: Vector, max_active: int = MAX_ACTIVE) -> None:
        self.l2 = l2
        self.max_active = max_active
        self.ridge = 0.0
        self.m = 0
        self.n_active = 0
        self._gram = np.empty((0, 0))
        self._inverse = np.empty((0, 0))
        self._state = np.empty((5, 0))
        self._column = np.empty(0, dtype=np.int64)

    @property
    def columns(self) -> Columns:
        """Coordinates in their present order, the active ones first."""
        return self._column[: self.m]

    @property
    def active(self) -> Columns:
        """Active coordinates."""
        return self._column[: self.n_active]

    @property
    def coef(self) -> Vector:
        """Coefficients of the active coordinates."""
        return self._state[COEF, : self.n_active]

    @property
    def corr(self) -> Vector:
        """``linear - G w`` of all coordinates."""
        return self._state[CORR, : self.m]

    def add(self, columns: Columns, gram: Vector, linear: Vector, weight: Vector) -> None:
        """Let coordinates join at zero.

        Parameters
        ----------
        columns : ndarray of shape (k,)
            Their numbers, none of which is there yet.
        gram : ndarray of shape (k, m + k)
            Gram matrix with the present `columns`, then with themselves; no ridge on it.
        linear, weight : ndarray of shape (k,)
            Linear term and l1 weights.
        """
        m, end = self.m, self.m + len(columns)
        if end > len(self._column):
            self._reserve(max(end, 2 * len(self._column), 64))
        self._gram[m:end, :end] = gram
        self._column[m:end] = columns
        state = self._state[:, m:end]
        state[COEF] = 0.0
        state[SIGN] = 0.0
        state[LINEAR] = linear
        with _core.single_threaded_blas():
            state[CORR] = linear - gram[:, : self.n_active] @ self.coef
        state[WEIGHT] = weight
        self.m = end
        if self.ridge:
            self._diagonal(m)[:] += self.ridge * self.l2[columns]

    def _diagonal(self, start: int) -> Vector:
        """Diagonal of the Gram matrix from a position on, writable."""
        room = len(self._gram)
        return self._gram.reshape(-1)[start * (room + 1) : self.m * room : room + 1]

    def set_ridge(self, ridge: float) -> bool:
        """Put ``ridge * l2`` on the diagonal, in place of what is there. Whether that worked."""
        change = (ridge - self.ridge) * self.l2[self.columns]
        self.ridge = ridge
        if not change.any():
            return True
        self._diagonal(0)[:] += change
        a = self.n_active
        self.corr[:a] -= change[:a] * self.coef
        return self._renew_inverse()

    def _reserve(self, room: int) -> None:
        gram = np.empty((room, room))
        gram[: self.m, : self.m] = self._gram[: self.m, : self.m]
        size = min(room, self.max_active)
        inverse = np.empty((size, size))
        a = self.n_active
        inverse[:a, :a] = self._inverse[:a, :a]
        state = np.empty((5, room))
        state[:, : self.m] = self._state[:, : self.m]
        column = np.empty(room, dtype=np.int64)
        column[: self.m] = self.columns
        self._gram, self._inverse, self._state, self._column = gram, inverse, state, column

    def follow(self, alpha_from: float, alpha_to: float) -> Segment:
        """Go from the solution at one penalty to that at another; from any point if they agree."""
        kinks = 0
        for renewed in (False, True):
            limit = 20 * self.m + 1000
            self.n_active, more, end, reached, miss = _core.native.homotopy_path(
                _core.context(),
                self._gram,
                self._inverse,
                self._state,
                self._column,
                self.m,
                self.n_active,
                alpha_from,
                alpha_to,
                limit,
            )
            kinks += more
            if end != End.REACHED.value or miss <= self._rounding(alpha_to):
                return Segment(End(end), kinks, reached)
            if renewed or not self._renew_inverse():
                break
            alpha_from = alpha_to
        return Segment(End.SINGULAR, kinks, alpha_to)

    def _rounding(self, alpha: float) -> float:
        """Largest unmet condition that is not worth another step."""
        state = self._state[:, : self.m]
        return WORN * (
            alpha * float(state[WEIGHT].max()) + 1e-3 * float(np.abs(state[LINEAR]).max())
        )

    def _renew_inverse(self) -> bool:
        """Whether the active Gram matrix has an inverse; it is then computed anew."""
        a = self.n_active
        if a == 0:
            return True
        # Lower triangles by rows are upper ones by columns.
        with _core.single_threaded_blas():
            factor, failed = lapack.dpotrf(self._gram[:a, :a].T, lower=0)
            if failed:
                return False
            inverse, failed = lapack.dpotri(factor, lower=0)
        self._inverse[:a, :a] = inverse.T
        return not failed
