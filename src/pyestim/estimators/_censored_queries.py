"""What a fitted mixture answers about rows whose cells are partly known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.data.cells import CellTable
from pyestim.estimators._base import Array
from pyestim.estimators._censored_cells import CellReader
from pyestim.estimators._density import total_weight
from pyestim.estimators._gaussian_arrays import GaussianArrays
from pyestim.models.cell_outputs import CellOutputs


class CellQueries(CellReader, GaussianArrays):
    """Densities, responsibilities, labels, expected cells and criteria of censored rows."""

    def _row_outputs(self) -> CellOutputs:
        return CellOutputs(*self._factored())

    def _asked_cells(
        self, X: Any, *bounds: Any, sample_weight: Any = None
    ) -> tuple[CellOutputs, CellTable, Array | None]:
        self._require_fit()
        outputs = self._row_outputs()
        table = self._table(X, *bounds)
        if table.n_features != len(outputs.centre):
            raise ValueError(
                f"X has {table.n_features} features, but {self._name} is expecting "
                f"{len(outputs.centre)} features as input."
            )
        return outputs, table, self._weights(sample_weight, len(table))

    def predict(
        self,
        X: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> NDArray[np.int64]:
        """Return the most probable component of each row, given what is known of its cells.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        lower, upper, trunc_lower, trunc_upper : array-like, optional
            As in `fit`: a cell lies within the box of its row, too.

        Returns
        -------
        labels : ndarray of shape (n,)
            The component with the largest responsibility, the first one of equals.
        """
        outputs, table, _ = self._asked_cells(X, lower, upper, trunc_lower, trunc_upper)
        return outputs.labels_of(table)

    def predict_proba(
        self,
        X: Any = None,
        out: Array | None = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> Array:
        """Return the responsibility of each component for each row.

        ``r_ik`` is proportional to ``w_k`` times the density of the exact cells times the
        probability of the censored ones given these, under component k.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        out : ndarray of shape (n, k), optional
            Float64, C-contiguous and writable; filled and returned. A new array by default.
        lower, upper, trunc_lower, trunc_upper : array-like, optional
            As in `fit`: a cell lies within the box of its row, too.

        Returns
        -------
        resp : ndarray of shape (n, k)
            Rows sum to one.
        """
        outputs, table, _ = self._asked_cells(X, lower, upper, trunc_lower, trunc_upper)
        return outputs.resp_of(table, self._result(out, (len(table), outputs.n_components)))

    def impute(
        self,
        X: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> Array:
        """Return the rows with the mean of every cell given what is known of its row.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        lower, upper, trunc_lower, trunc_upper : array-like, optional
            As in `fit`; a cell between minus and plus infinity is a missing one.

        Returns
        -------
        rows : ndarray of shape (n, d)
            Exact cells as they are, the others within their bounds.
        """
        outputs, table, _ = self._asked_cells(X, lower, upper, trunc_lower, trunc_upper)
        return outputs.expected(table)

    def score_samples(
        self,
        X: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> Array:
        """Return the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        lower, upper, trunc_lower, trunc_upper : array-like, optional
            As in `fit`.

        Returns
        -------
        log_prob : ndarray of shape (n,)
            Nats: the log-density of the exact cells (per unit of their volume) plus the
            log-probability of the others given these, less that of the row's box.
        """
        bounds = (lower, upper, trunc_lower, trunc_upper)
        outputs, table, _ = self._asked_cells(X, *bounds)
        return outputs.log_prob_of(table)

    def score(
        self,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> float:
        """Return the (weighted) mean log-likelihood per row.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.
        lower, upper, trunc_lower, trunc_upper : array-like, optional
            As in `fit`.

        Returns
        -------
        score : float
            Nats per row.
        """
        bounds = (lower, upper, trunc_lower, trunc_upper)
        outputs, table, weight = self._asked_cells(X, *bounds, sample_weight=sample_weight)
        return outputs.log_likelihood_of(table, weight) / total_weight(table, weight)

    def log_likelihood(self, X: Any = None, sample_weight: Any = None, **bounds: Any) -> float:
        """Return the (weighted) sum of the log-likelihoods of the rows.

        Parameters
        ----------
        X : array-like of shape (n, d), optional
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts.
        **bounds
            ``lower``, ``upper``, ``trunc_lower``, ``trunc_upper`` as in `fit`.

        Returns
        -------
        log_likelihood : float
            Nats.
        """
        outputs, table, weight = self._known(X, sample_weight, bounds)
        return outputs.log_likelihood_of(table, weight)

    def aic(self, X: Any = None, sample_weight: Any = None, **bounds: Any) -> float:
        """Return Akaike's information criterion, ``-2 l + 2 p``; smaller is better.

        Parameters
        ----------
        X, sample_weight, **bounds :
            As for `log_likelihood`.

        Returns
        -------
        aic : float
        """
        return 2 * self.n_parameters_ - 2 * self.log_likelihood(X, sample_weight, **bounds)

    def bic(self, X: Any = None, sample_weight: Any = None, **bounds: Any) -> float:
        """Return Schwarz's information criterion, ``-2 l + p log n``; smaller is better.

        Parameters
        ----------
        X, sample_weight, **bounds :
            As for `log_likelihood`; n is the sum of the weights.

        Returns
        -------
        bic : float
        """
        outputs, table, weight = self._known(X, sample_weight, bounds)
        penalty = self.n_parameters_ * math.log(total_weight(table, weight))
        return penalty - 2 * outputs.log_likelihood_of(table, weight)

    def icl(
        self,
        X: Any = None,
        sample_weight: Any = None,
        *,
        criterion: str = "entropy",
        **bounds: Any,
    ) -> float:
        """Return the integrated completed likelihood criterion; smaller is better.

        BIC plus twice the entropy of the responsibilities (``"entropy"``), or minus twice the sum
        of the logarithms of the largest ones (``"hard"``).

        Parameters
        ----------
        X, sample_weight, **bounds :
            As for `log_likelihood`.
        criterion : {"entropy", "hard"}
            Convention.

        Returns
        -------
        icl : float
        """
        hard = self._is_hard(criterion)
        outputs, table, weight = self._known(X, sample_weight, bounds)
        doubt = outputs.entropy_of(table, weight, hard=hard)
        return self.bic(X, sample_weight, **bounds) + 2 * doubt

    def _known(
        self, X: Any, sample_weight: Any, bounds: dict[str, Any]
    ) -> tuple[CellOutputs, CellTable, Array | None]:
        names = ("lower", "upper", "trunc_lower", "trunc_upper")
        if unknown := set(bounds) - set(names):
            raise TypeError(f"{self._name}: bounds are {', '.join(names)}, got {min(unknown)!r}.")
        given = [bounds.get(name) for name in names]
        return self._asked_cells(X, *given, sample_weight=sample_weight)
