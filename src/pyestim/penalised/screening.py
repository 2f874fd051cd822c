"""Which columns have to be looked at: the sequential strong rule, and a safe test around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import reciprocal

if TYPE_CHECKING:
    from pyestim.data.design import Design

Columns = NDArray[np.int64]

#: Share of its bound from which a correlation is kept, however far the next penalty.
LEAST_KEPT = 0.5
#: From this share of columns in doubt on, all are looked at: whole passes read faster.
MOST = 0.5


def strong_threshold(l1: Vector, alpha_from: float, alpha_to: float) -> Vector:
    """Correlation from which a column is kept on the way between two penalties.

    Tibshirani et al. (2012): correlations change at most as fast as the penalty. Not a theorem, so
    the conditions are checked afterwards; and not kept to where it would keep everything.
    """
    return l1 * max(2.0 * alpha_to - alpha_from, LEAST_KEPT * alpha_from)


class Pulls:
    """What pulls each coefficient at a dual point, evaluated only where no bound answers.

    The bound is that of `Correlations`: a pull is positively homogeneous, and changes at most by
    the norm of the column times that of the change of the dual point.

    Parameters
    ----------
    weight, norm : ndarray of shape (n,), (p,)
        Weights of the rows; norms of the columns with these.
    theta : ndarray of shape (n,) or (n, K)
        First dual point.
    pulled : ndarray of shape (p,)
        Its pulls.
    """

    def __init__(self, weight: Vector, norm: Vector, theta: Vector, pulled: Vector) -> None:
        self.inverse = reciprocal(weight).reshape(-1, *[1] * (theta.ndim - 1))
        self.norm = norm
        self.value, self.error = pulled.copy(), np.zeros_like(pulled)
        self._theta, self._square = theta, float(np.vdot(theta, self.inverse * theta))

    def move(self, theta: Vector) -> None:
        """Take another dual point; the errors grow."""
        bent = self.inverse * theta
        square = float(np.vdot(theta, bent))
        shrink = float(np.vdot(self._theta, bent)) / self._square if self._square > 0 else 0.0
        shrink = max(shrink, 0.0)
        rest = theta - shrink * self._theta
        distance = np.sqrt(float(np.vdot(rest, self.inverse * rest)) + 1e-14 * square)
        self.value *= shrink
        self.error = shrink * self.error + distance * self.norm
        self._theta, self._square = theta, square

    def take(self, columns: Columns, pulled: Vector) -> None:
        """Pulls of some columns at the present point."""
        self.value[columns] = pulled
        self.error[columns] = 0.0


class Correlations:
    """``X' (w r)`` of every column, each evaluated only when a bound does not answer.

    Between two residuals ``r`` and ``r0`` a correlation is ``c`` times the old one, give or take
    the norm of the column times that of ``r - c r0``: the sphere test of gap-safe screening
    (Ndiaye et al. 2017), with the last residual as centre. Columns for which this decides are not
    read, and nothing is lost: all that the answers are compared with is the threshold.

    Parameters
    ----------
    design : Design
        Columns, centred and scaled implicitly.
    weight : ndarray of shape (n,)
        Weights of the rows, with sum one.
    norm : ndarray of shape (p,)
        Norms of the columns; where zero the correlation is zero.
    residual : ndarray of shape (n,)
        First residual; all columns are evaluated.
    """

    def __init__(self, design: Design, weight: Vector, norm: Vector, residual: Vector) -> None:
        self.design = design
        self.weight = weight
        self.norm = norm
        self.usable = norm > 0
        self.value = np.zeros(design.p)
        self.error = np.zeros(design.p)
        self._residual = np.zeros(design.n)
        self._square = 0.0
        self._evaluate(residual, np.flatnonzero(self.usable))
        self._remember(residual)

    def _remember(self, residual: Vector) -> None:
        self._residual = residual
        self._square = float(residual @ (self.weight * residual))

    def _evaluate(self, residual: Vector, columns: Columns) -> None:
        weighted = self.weight * residual
        if len(columns) > MOST * len(self.value):
            self.value = self.design.dot(weighted) * self.usable
            self.error[:] = 0.0
        elif len(columns):
            self.value[columns] = self.design.dot(weighted, columns)
            self.error[columns] = 0.0

    def move(self, residual: Vector, threshold: Vector) -> None:
        """Take another residual; values that keep an error are below ``threshold`` for sure."""
        weighted = self.weight * residual
        square = float(residual @ weighted)
        shrink = float(self._residual @ weighted) / self._square if self._square > 0 else 0.0
        # |r - c r0|^2 with c = r'r0 / r0'r0, not less than its own rounding
        distance = np.sqrt(max(square - shrink * shrink * self._square, 0.0) + 1e-14 * square)
        self.value *= shrink
        self.error *= abs(shrink)
        self.error += distance * self.norm
        doubtful = np.abs(self.value) + self.error >= threshold
        self._evaluate(residual, np.flatnonzero(doubtful & self.usable))
        self._remember(residual)
