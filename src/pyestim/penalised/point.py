"""One solution of a path, and the path."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Vector


class PathOutcome(str, Enum):
    """Why the path ended; the value is the sentence for the user."""

    CONVERGED = "Every penalty reached the duality gap asked for."
    NO_GAP = (
        "Every penalty met its first-order conditions; where there is no duality gap, these count."
    )
    EARLY = "Stopped early: smaller penalties would hardly lower the deviance."
    NO_MAXIMUM = (
        "Stopped before the penalty was gone: without it the likelihood has no maximum (separable "
        "data)."
    )
    MAX_ITER = (
        "A penalty ended above the duality gap asked for: iterations ran out, or rounding hid "
        "further progress; raise max_iter or tol."
    )


#: The sentences of a path of one point.
_OF_ONE = {
    PathOutcome.CONVERGED: "The fit reached the duality gap asked for.",
    PathOutcome.NO_GAP: (
        "The fit met its first-order conditions; where there is no duality gap, these count."
    ),
    PathOutcome.MAX_ITER: (
        "The fit ended above the duality gap asked for: iterations ran out, or rounding hid "
        "further progress; raise max_iter or tol."
    ),
}


class Point(NamedTuple):
    """Solution at one penalty, on the scale of the design's columns.

    Attributes
    ----------
    alpha : float
        Penalty.
    columns : ndarray of shape (k,)
        Columns whose coefficients are not zero, rising.
    coef : ndarray of shape (k,) or (k, K)
        Their coefficients.
    intercept : float or ndarray of shape (K,)
        Constant beside the centred columns.
    gap : float
        Duality gap, in units of the mean loss; where there is none (`certificate` "kkt") the
        largest violation of the first-order conditions.
    loss : float
        Mean loss.
    n_iter : int
        Kinks, epochs or Newton steps.
    solver : str
        Name.
    certificate : str
        "gap" or "kkt".
    """

    alpha: float
    columns: NDArray[np.int64]
    coef: Vector
    intercept: Any
    gap: float
    loss: float
    n_iter: int
    solver: str
    certificate: str = "gap"


@dataclass(frozen=True)
class Path:
    """Solutions at falling penalties, on the scale of the design's columns.

    Parameters
    ----------
    points : sequence of Point
        One a penalty; fewer than asked for where the path stopped early.
    n_columns : int
        p.
    null : float
        Mean loss of the model of intercept and offset alone.
    saturated : float
        Lower bound of the mean loss.
    scale : float
        Unit of relative gaps.
    outcome : PathOutcome
        Whether to trust it.
    """

    points: tuple[Point, ...]
    n_columns: int
    null: float
    saturated: float
    scale: float
    outcome: PathOutcome

    @property
    def sentence(self) -> str:
        """Outcome in words."""
        several: str = self.outcome.value
        return several if len(self.points) > 1 else _OF_ONE.get(self.outcome, several)

    @cached_property
    def alphas(self) -> Vector:
        """Penalties (m,)."""
        return np.array([point.alpha for point in self.points])

    @cached_property
    def coefs(self) -> Vector:
        """Coefficients (p, m), or (p, K, m), dense."""
        inner = self.points[0].coef.shape[1:] if self.points else ()
        out = np.zeros((self.n_columns, *inner, len(self.points)))
        for k, point in enumerate(self.points):
            out[point.columns, ..., k] = point.coef
        return out

    @cached_property
    def intercepts(self) -> Vector:
        """Intercepts (m,) or (K, m)."""
        return np.stack([np.asarray(point.intercept) for point in self.points], axis=-1)

    @cached_property
    def gaps(self) -> Vector:
        """Duality gaps relative to `scale` (m,)."""
        return np.array([point.gap for point in self.points]) / self.scale

    @cached_property
    def df(self) -> NDArray[np.int64]:
        """Coefficients that are not zero (m,)."""
        return np.array([np.count_nonzero(point.coef) for point in self.points], dtype=np.int64)

    @cached_property
    def deviance_ratio(self) -> Vector:
        """Share of the null deviance that is explained (m,)."""
        loss = np.array([point.loss for point in self.points])
        span = self.null - self.saturated
        return 1.0 - (loss - self.saturated) / span if span > 0 else np.zeros(len(loss))

    @cached_property
    def n_iter(self) -> NDArray[np.int64]:
        """Iterations (m,)."""
        return np.array([point.n_iter for point in self.points], dtype=np.int64)

    @cached_property
    def solvers(self) -> tuple[str, ...]:
        """Names of the solvers (m,)."""
        return tuple(point.solver for point in self.points)
