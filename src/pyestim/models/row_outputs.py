"""What a Gaussian mixture says about single rows: log-densities, responsibilities, labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import Chunk
from pyestim.models.gaussian_forms import Array, CovarianceType, whitening_factors
from pyestim.models.kernels import mixture_rows

#: Rows whose intermediate results are held at once, where a result is a sum over rows.
BLOCK_ROWS = 1 << 16


class RowOutputs:
    """Evaluates the mixture ``sum_k w_k N(mean_k, (U_k U_k')^-1)`` on rows.

    Parameters
    ----------
    weights : ndarray of shape (k,)
    means : ndarray of shape (k, d)
    factor : ndarray
        ``precisions_cholesky`` in the shape of the covariance type.
    covariance_type : {"full", "tied", "diag", "spherical"}
    """

    def __init__(
        self, weights: Array, means: Array, factor: Array, covariance_type: CovarianceType
    ) -> None:
        self.n_components, d = means.shape
        self.family = covariance_type
        whitening, log_det = whitening_factors(factor, covariance_type)
        if covariance_type == "diag":
            log_det = log_det.sum(axis=1)
        elif covariance_type == "spherical":
            log_det = log_det * d
        with np.errstate(divide="ignore"):
            self.log_offset = np.log(weights) + log_det - 0.5 * d * math.log(2 * math.pi)
        # Coordinates about the mixture: single-precision rows keep their digits there.
        self.centre = weights @ means / weights.sum()
        self.scale = _powers_of_two(whitening, means - self.centre, covariance_type)
        self.means = np.ascontiguousarray((means - self.centre) * self.scale)
        if covariance_type == "spherical":
            self.factors = np.ascontiguousarray(whitening / self.scale[0])
        else:
            self.factors = np.ascontiguousarray(whitening / self.scale)

    def log_prob(self, X: NDArray[Any]) -> Array:
        """Log-density of every row: (n,)."""
        out = np.empty(len(X))
        self._rows(X, 0, len(X), log_prob=out)
        return out

    def resp(self, X: NDArray[Any], out: Array) -> Array:
        """Responsibilities (n, k), written to ``out``."""
        self._rows(X, 0, len(X), resp=out)
        return out

    def labels(self, X: NDArray[Any]) -> NDArray[np.int64]:
        """Most probable component of every row: (n,)."""
        out = np.empty(len(X), dtype=np.int64)
        self._rows(X, 0, len(X), labels=out)
        return out

    def log_likelihood(self, X: NDArray[Any], sample_weight: Array | None) -> float:
        """Weighted sum of the log-densities."""
        sums = []
        for start in range(0, len(X), BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, len(X))
            out = np.empty(stop - start)
            self._rows(X, start, stop, log_prob=out)
            sums.append(_weighted_sum(out, sample_weight, start, stop))
        return math.fsum(sums)

    def entropy(self, X: NDArray[Any], sample_weight: Array | None, *, hard: bool) -> float:
        """``-sum_i w_i sum_k r_ik log r_ik``, or ``-sum_i w_i log max_k r_ik`` if ``hard``."""
        step = max(1, BLOCK_ROWS // self.n_components)
        sums = []
        for start in range(0, len(X), step):
            stop = min(start + step, len(X))
            log_resp = np.empty((stop - start, self.n_components))
            self._rows(X, start, stop, resp=log_resp, log_resp=True)
            if hard:
                term = -log_resp.max(axis=1)
            else:
                # x exp(x) goes to zero; the floor keeps -inf times 0 out.
                term = -(np.exp(log_resp) * np.maximum(log_resp, -1e4)).sum(axis=1)
            sums.append(_weighted_sum(term, sample_weight, start, stop))
        return math.fsum(sums)

    def _rows(self, X: NDArray[Any], start: int, stop: int, **outputs: Any) -> None:
        rows = _core.native.Rows(X, None, self.centre, self.scale)
        chunk = Chunk(rows, start, stop, False)
        mixture_rows(chunk, self.family, self.log_offset, self.means, self.factors, **outputs)


def _weighted_sum(values: Array, weight: Array | None, start: int, stop: int) -> float:
    return float(values.sum() if weight is None else values @ weight[start:stop])


def _powers_of_two(whitening: Array, gaps: Array, covariance_type: CovarianceType) -> Array:
    """Scale of each column of the order of one over the spread of the mixture: (d,)."""
    d = gaps.shape[1]
    if covariance_type in ("full", "tied"):
        precise = np.abs(np.diagonal(whitening, axis1=-2, axis2=-1))
    elif covariance_type == "diag":
        precise = whitening
    else:
        precise = np.broadcast_to(whitening[:, None], (len(whitening), d))
    with np.errstate(divide="ignore", over="ignore"):
        spread = np.max(1.0 / np.atleast_2d(precise), axis=0) + np.abs(gaps).max(axis=0)
    if covariance_type == "spherical":
        spread = np.full(d, spread.max())
    usable = np.clip(np.nan_to_num(spread, nan=1.0), 1e-300, 1e300)
    return np.asarray(np.exp2(-np.round(np.log2(usable))))
