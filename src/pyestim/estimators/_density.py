"""What a fitted density model answers about rows: shared by all mixtures."""

from __future__ import annotations

import math
from collections.abc import Sized
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import DensityMixin

from pyestim.estimators._base import Array, Estimator
from pyestim.models.row_outputs import RowOutputs

CRITERIA = ("entropy", "hard")


class DensityQueries(DensityMixin, Estimator):
    """Densities, responsibilities, labels and information criteria of rows.

    A sub-class answers `_row_outputs` (made anew at every call, so that attributes set by hand
    count) and ``n_parameters_``.
    """

    n_parameters_: int

    def _row_outputs(self) -> RowOutputs:
        raise AttributeError(f"{self._name} has no density.")

    def _asked(self, X: Any, sample_weight: Any = None) -> tuple[RowOutputs, Any, Array | None]:
        self._require_fit()
        outputs = self._row_outputs()
        X = self._sample_matrix(X, reset=False)
        if X.shape[1] != len(outputs.centre):
            raise ValueError(
                f"X has {X.shape[1]} features, but {self._name} is expecting "
                f"{len(outputs.centre)} features as input."
            )
        return outputs, X, self._weights(sample_weight, len(X))

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        labels : ndarray of shape (n,)
            The component with the largest responsibility, the first one of equals.
        """
        outputs, X, _ = self._asked(X)
        return outputs.labels(X)

    def predict_proba(self, X: Any, out: Array | None = None) -> Array:
        """Return the responsibility of each component for each row.

        ``r_ik = w_k N(x_i; mu_k, Sigma_k) / sum_l w_l N(x_i; mu_l, Sigma_l)``

        Parameters
        ----------
        X : array-like of shape (n, d)
        out : ndarray of shape (n, k), optional
            Float64, C-contiguous and writable, for instance a memory-mapped file; filled and
            returned. A new array by default.

        Returns
        -------
        resp : ndarray of shape (n, k)
            Rows sum to one.

        Raises
        ------
        ValueError
            ``out`` has another shape, type or order.

        Notes
        -----
        No (n, k) array besides the result is made.
        """
        outputs, X, _ = self._asked(X)
        return outputs.resp(X, self._result(out, (len(X), outputs.n_components)))

    def score_samples(self, X: Any) -> Array:
        """Return the log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)

        Returns
        -------
        log_prob : ndarray of shape (n,)
            Nats; the density is per unit of volume of X.
        """
        outputs, X, _ = self._asked(X)
        return outputs.log_prob(X)

    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Return the (weighted) mean log-likelihood per row.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.

        Returns
        -------
        score : float
            Nats per row.
        """
        outputs, X, weight = self._asked(X, sample_weight)
        return outputs.log_likelihood(X, weight) / total_weight(X, weight)

    def log_likelihood(self, X: Any, sample_weight: Any = None) -> float:
        """Return the (weighted) sum of the log-densities of the rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.

        Returns
        -------
        log_likelihood : float
            Nats.
        """
        outputs, X, weight = self._asked(X, sample_weight)
        return outputs.log_likelihood(X, weight)

    def aic(self, X: Any, sample_weight: Any = None) -> float:
        """Return Akaike's information criterion, ``-2 l + 2 p``; smaller is better.

        Parameters
        ----------
        X : array-like of shape (n, d)
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.

        Returns
        -------
        aic : float
        """
        return 2 * self.n_parameters_ - 2 * self.log_likelihood(X, sample_weight)

    def bic(self, X: Any, sample_weight: Any = None) -> float:
        """Return Schwarz's information criterion, ``-2 l + p log n``; smaller is better.

        Parameters
        ----------
        X : array-like of shape (n, d)
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts; n is their sum then.

        Returns
        -------
        bic : float
        """
        outputs, X, weight = self._asked(X, sample_weight)
        penalty = self.n_parameters_ * math.log(total_weight(X, weight))
        return penalty - 2 * outputs.log_likelihood(X, weight)

    def icl(self, X: Any, sample_weight: Any = None, *, criterion: str = "entropy") -> float:
        """Return the integrated completed likelihood criterion; smaller is better.

        BIC plus a price for rows that no component owns clearly. Two conventions are in use:
        ``"entropy"`` adds ``2 sum_i w_i H_i`` with ``H_i = -sum_k r_ik log r_ik``; ``"hard"`` adds
        ``-2 sum_i w_i log max_k r_ik``, the completed likelihood of the labels of `predict`
        (mclust prints this one, with the opposite sign). Never is ``hard`` the larger one.

        Parameters
        ----------
        X : array-like of shape (n, d)
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.
        criterion : {"entropy", "hard"}
            Convention.

        Returns
        -------
        icl : float

        References
        ----------
        Biernacki, Celeux & Govaert (2000), Assessing a mixture model for clustering with the
        integrated completed likelihood. doi:10.1109/34.865189
        """
        hard = self._is_hard(criterion)
        outputs, X, weight = self._asked(X, sample_weight)
        doubt = outputs.entropy(X, weight, hard=hard)
        return self.bic(X, weight) + 2 * doubt

    def _is_hard(self, criterion: str) -> bool:
        """Whether `icl` is to take the hard convention."""
        if criterion not in CRITERIA:
            raise ValueError(
                f"{self._name}: criterion must be one of {CRITERIA}, got {criterion!r}."
            )
        return criterion == "hard"


def total_weight(rows: Sized, weight: Array | None) -> float:
    """Sum of the weights of the rows, which is their number where there are none."""
    return float(len(rows) if weight is None else weight.sum())
