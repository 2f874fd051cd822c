"""Rows of a regression: predictors, responses, and the covariates of a gate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pyestim import _core
from pyestim.data.source import ArraySource
from pyestim.engine.stats import Vector

FAMILIES = ("gaussian", "poisson", "binomial", "multinomial")


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows that share one latent class.

    Attributes
    ----------
    code : ndarray of int of shape (n,)
        Number of the group of each row.
    first : ndarray of int of shape (G,)
        First row of each group: it stands for the group where the gate is concerned.
    weight : ndarray of shape (G,)
        Weight of each group; zero is absence.
    """

    code: NDArray[np.intp]
    first: NDArray[np.intp]
    weight: Vector


@dataclass(frozen=True, slots=True)
class ExpertChunk:
    """Consecutive rows, as the native kernels take them."""

    rows: Any  # native Rows: predictors, and the weights
    gate_rows: Any  # native Rows: covariates of the gate, and the weights that count for it
    responses: Any  # native Rows
    start: int
    stop: int
    accurate: bool
    groups: Groups | None = None


class ExpertSource:
    """Predictors, responses, covariates of the gate, weights and groups.

    Predictors, covariates and gaussian responses are read in the working coordinates of an
    `ArraySource`; counts and classes as they are.

    Parameters
    ----------
    X : ndarray of shape (n, p), float32 or float64
    y : ndarray of shape (n,) or (n, r)
        Real numbers, one column per output (gaussian); counts (poisson); zeros and ones, or
        successes and failures (binomial); codes 0, ..., C - 1 (multinomial).
    Z : ndarray of shape (n, q), optional
        Covariates of the gate; X by default.
    sample_weight : ndarray of shape (n,), optional
    groups : ndarray of shape (n,), optional
        Rows with the same entry share one latent class.
    family : {"gaussian", "poisson", "binomial", "multinomial"}
    gated : bool
        Whether the gate reads covariates; within a group they must be constant then.
    accurate : bool
        Compute in double precision on float32 rows.
    owner : str
        Who asks, for messages.
    chunk_rows : int, optional
        Rows of one chunk; all rows by default, and always with groups, which must stay together.

    Attributes
    ----------
    x, z : ArraySource
    y_centre, y_scale : ndarray of shape (r,)
        Working responses are ``(y - y_centre) * y_scale``; zero and one unless gaussian.
    weight_sum : float
    n_effective : int
        Rows of positive weight.
    """

    def __init__(
        self,
        X: NDArray[Any],
        y: NDArray[Any],
        Z: NDArray[Any] | None = None,
        sample_weight: Vector | None = None,
        groups: NDArray[Any] | None = None,
        *,
        family: str = "gaussian",
        gated: bool = True,
        accurate: bool = False,
        owner: str = "ExpertSource",
        chunk_rows: int | None = None,
    ) -> None:
        if family not in FAMILIES:
            raise ValueError(f"{owner}: family must be one of {FAMILIES}, got {family!r}.")
        options: dict[str, Any] = {"accurate": accurate, "owner": owner}
        self.family, self.owner, self.accurate = family, owner, accurate
        self.x = ArraySource(X, sample_weight, chunk_rows=chunk_rows, **options)
        self.z = self.x
        if Z is not None and Z is not X:
            _same_rows("Z", len(Z), len(X), owner)
            self.z = ArraySource(Z, sample_weight, **{**options, "owner": f"{owner}: Z"})
        self.sample_weight = self.x.sample_weight
        self._y = _as_columns(y, family)
        _same_rows("y", len(self._y), len(X), owner)
        self._read_responses(options)
        self.gate_rows = self.z.rows
        self._gated = gated
        self.groups = None if groups is None else self._grouped(np.asarray(groups), gated)

    def _read_responses(self, options: dict[str, Any]) -> None:
        """Rows of the responses and their working coordinates."""
        self._outputs: ArraySource | None = None
        if self.family == "gaussian":
            named = {**options, "owner": f"{self.owner}: y"}
            self._outputs = ArraySource(self._y, self.sample_weight, **named)
            self.y_centre, self.y_scale = self._outputs.centre, self._outputs.scale
            self.responses = self._outputs.rows
            self.output_sd = self._outputs.column_sd
            return
        r = self._y.shape[1]
        self.y_centre, self.y_scale, self.output_sd = np.zeros(r), np.ones(r), np.ones(r)
        self.responses = _core.native.Rows(self._y, self.sample_weight, self.y_centre, self.y_scale)

    # -- what a sweep needs ---------------------------------------------------------------------

    @property
    def n_rows(self) -> int:
        """Rows, of any weight."""
        return int(self.x.n_rows)

    @property
    def n_effective(self) -> int:
        """Rows of positive weight."""
        return int(self.x.n_effective)

    @property
    def weight_sum(self) -> float:
        """Sum of the row weights."""
        return self.x.weight_sum

    @property
    def eps(self) -> float:
        """Machine epsilon of the arithmetic on the rows."""
        return max(source.eps for source in (self.x, self.z, self._outputs or self.x))

    @property
    def mean_eps(self) -> float:
        """Relative rounding error of a mean over the rows."""
        return max(source.mean_eps for source in (self.x, self.z, self._outputs or self.x))

    @property
    def backend(self) -> str:
        """Where and how the arithmetic is done, for the report."""
        return self.x.backend

    def chunks(self) -> Iterator[ExpertChunk]:
        """Yield the rows, in order, in pieces of equal size."""
        if self.groups is not None:
            yield self.whole
            return
        for piece in self.x.chunks():
            yield self._chunk(piece.start, piece.stop)

    @property
    def whole(self) -> ExpertChunk:
        """All rows as one chunk."""
        return self._chunk(0, self.n_rows)

    def _chunk(self, start: int, stop: int) -> ExpertChunk:
        return ExpertChunk(
            self.x.rows, self.gate_rows, self.responses, start, stop, self.accurate, self.groups
        )

    # -- what is added to a log-likelihood of working coordinates -------------------------------

    @property
    def log_jacobian(self) -> float:
        """What turns a log-density of working responses into one of the data."""
        return float(np.log(self.y_scale).sum())

    @cached_property
    def log_constant(self) -> float:
        """Weighted sum of the terms of the log-density that only depend on the responses."""
        weight = self.sample_weight
        if weight is None:
            return float(log_constants(self.family, self._y).sum())
        present = weight > 0.0
        return float(weight[present] @ log_constants(self.family, self._y[present]))

    @property
    def offset(self) -> float:
        """Log-likelihood of the data minus that of the kernels, per unit weight."""
        return self.log_jacobian + self.log_constant / self.weight_sum

    # -- a few rows -----------------------------------------------------------------------------

    def take(self, indices: NDArray[np.intp]) -> tuple[Vector, Vector, Vector, Vector]:
        """Return predictors, responses, covariates in working coordinates, and weights."""
        x, weight = self.x.take(indices)
        y = (np.asarray(self._y[indices], dtype=np.float64) - self.y_centre) * self.y_scale
        z = x if self.z is self.x else self.z.take(indices)[0]
        return x, np.ascontiguousarray(y), z, weight

    def columns(self, x: NDArray[np.intp], z: NDArray[np.intp]) -> ExpertSource:
        """Return the same rows with some columns of X and Z, in the same working coordinates."""
        return ExpertSource(
            self.x.some_columns(x),
            self._y,
            self.z.some_columns(z) if self._gated else None,
            self.sample_weight,
            None if self.groups is None else self.groups.code,
            family=self.family,
            gated=self._gated,
            accurate=self.accurate,
            owner=self.owner,
        )

    @property
    def heights(self) -> Vector:
        """Responses as numbers that predictors may go with: (n, r)."""
        return np.asarray(self._y[:, :1] if self.family == "binomial" else self._y, np.float64)

    def _grouped(self, groups: NDArray[Any], gated: bool) -> Groups:
        """Number the groups; weights and covariates of the gate must not vary within one."""
        _same_rows("groups", len(groups), self.n_rows, self.owner)
        _, first, code = np.unique(groups, return_index=True, return_inverse=True)
        code = code.reshape(-1)
        if self.sample_weight is not None:
            self._refuse_mixed(self.sample_weight, first, code, "sample_weight")
        if gated:
            for j in range(self.z.n_features):
                self._refuse_mixed(self.z.column(j), first, code, f"column {j} of Z")
        weight = np.ones(len(first))
        if self.sample_weight is not None:
            weight = self.sample_weight[first]
        once = np.zeros(self.n_rows)
        once[first] = weight
        self.gate_rows = self.z.rows_weighted(once)
        return Groups(code, first, weight)

    def _refuse_mixed(
        self, values: Vector, first: NDArray[np.intp], code: NDArray[np.intp], name: str
    ) -> None:
        unequal = values[first][code] != values
        if name != "sample_weight" and self.sample_weight is not None:
            unequal &= self.sample_weight > 0.0  # a row of weight zero is absent whatever it holds
        differs = np.flatnonzero(unequal)
        if len(differs):
            raise ValueError(
                f"{self.owner}: {name} must be the same for all rows of a group, but row "
                f"{differs[0]} differs from the first row of its group. Rows of one group share "
                "one latent class, which is drawn once."
            )


def _same_rows(name: str, found: int, expected: int, owner: str) -> None:
    if found != expected:
        raise ValueError(
            f"{owner}: {name} must have as many rows as X, {expected}, but it has {found}."
        )


def _as_columns(y: NDArray[Any], family: str) -> NDArray[Any]:
    """Responses as the kernels take them: (n, r), float32 or float64."""
    y = np.asarray(y)
    if y.dtype not in (np.float32, np.float64):
        y = y.astype(np.float64)
    columns = y[:, None] if y.ndim == 1 else y
    if family == "binomial" and columns.shape[1] == 1:
        return np.column_stack([columns, 1.0 - columns])
    return columns


def log_constants(family: str, y: NDArray[Any]) -> Vector:
    """Terms of the log-density that only depend on the response (n, r): (n,)."""
    if family in ("gaussian", "multinomial"):
        return np.zeros(len(y))
    counts = y.astype(np.float64)
    found: Vector = -gammaln(counts + 1.0).sum(axis=1)
    if family == "binomial":
        found += gammaln(counts.sum(axis=1) + 1.0)
    return found
