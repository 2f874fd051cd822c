"""What fitted mixtures of experts answer about rows: for regressors and classifiers."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators._base import Array
from pyestim.estimators._experts_base import ExpertsBase, Training
from pyestim.models.expert_rows import PublishedExperts


class ExpertsQueries(ExpertsBase):
    """Gate probabilities, responsibilities, densities and criteria."""

    def _asked(self, X: Any, Z: Any) -> tuple[PublishedExperts, NDArray[Any], NDArray[Any]]:
        """Return the parameters, and checked predictors and covariates of the gate."""
        self._require_fit()
        rows = self._sample_matrix(X, reset=False)
        return self._published(), rows, self._gate_rows(rows, Z, reset=False)

    def _seen(
        self, X: Any, y: Any, Z: Any, sample_weight: Any = None, groups: Any = None
    ) -> tuple[PublishedExperts, Training]:
        self._require_fit()
        data = self._training(X, y, Z, sample_weight, groups, reset=False)
        response = data.y[:, None] if data.y.ndim == 1 else data.y
        return self._published(), data._replace(y=response)

    def gate_proba(self, X: Any, Z: Any = None) -> Array:
        """Return the probability of each expert before the response is seen.

        ``pi_k(z) = exp(g_k0 + g_k' z) / sum_l exp(g_l0 + g_l' z)``

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        proba : ndarray of shape (n, k)
            Rows sum to one.
        """
        experts, rows, gate_rows = self._asked(X, Z)
        return experts.gate(rows, gate_rows)

    def responsibilities(self, X: Any, y: Any, Z: Any = None, groups: Any = None) -> Array:
        """Return the probability of each expert after the response was seen.

        ``r_ik = pi_k(z_i) f_k(y_i | x_i) / sum_l pi_l(z_i) f_l(y_i | x_i)``; with ``groups`` the
        densities of the rows of a group are multiplied, and all of them have its responsibilities.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,), as in `fit`
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.
        groups : array-like of shape (n,), optional
            Rows with the same label share one expert.

        Returns
        -------
        resp : ndarray of shape (n, k)
            Rows sum to one.
        """
        experts, data = self._seen(X, y, Z, groups=groups)
        if data.groups is None:
            return experts.responsibilities(data.X, data.Z, data.y)
        _, resp, code = experts.of_groups(data.X, data.Z, data.y, data.groups)
        return resp[code]

    def score_samples(self, X: Any, y: Any = None, Z: Any = None) -> Array:
        """Return the log-density of each response under the mixture.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,), as in `fit`, optional
            By default what `predict` returns (binomial: the more probable outcome): how sure the
            mixture is of its predictions.
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        log_density : ndarray of shape (n,)
            ``log p(y_i | x_i)`` in nats, all constants included.
        """
        if y is None:
            y = self._most_probable(X, Z)
        experts, data = self._seen(X, y, Z)
        return experts.log_density(data.X, data.Z, data.y)

    @abstractmethod
    def _most_probable(self, X: Any, Z: Any) -> NDArray[Any]:
        """Responses that `predict` says, as `fit` takes them."""

    def log_likelihood(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> float:
        """Return the log-likelihood of rows, without penalties.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,), as in `fit`
        Z : array-like of shape (n, q), optional
        sample_weight : array-like of shape (n,), optional
            Number of times that each row (or its group) counts.
        groups : array-like of shape (n,), optional
            Rows with the same label share one expert.

        Returns
        -------
        value : float
            Nats, summed over the rows.
        """
        value, _ = self._likelihood(*self._seen(X, y, Z, sample_weight, groups))
        return value

    def _likelihood(self, experts: PublishedExperts, data: Training) -> tuple[float, Array]:
        """Weighted log-likelihood, and minus the entropy of the responsibilities of each unit."""
        weight = data.weight
        if data.groups is None:
            log_density = experts.log_density(data.X, data.Z, data.y)
            resp = experts.responsibilities(data.X, data.Z, data.y)
        else:
            log_density, resp, code = experts.of_groups(data.X, data.Z, data.y, data.groups)
            if weight is not None:
                weight = weight[np.unique(code, return_index=True)[1]]
        inner = np.sum(np.where(resp > 0, resp * np.log(np.maximum(resp, 1e-300)), 0.0), axis=1)
        if weight is None:
            return float(log_density.sum()), inner
        seen = weight > 0
        return float(weight[seen] @ log_density[seen]), weight * inner

    def _n_units(self, data: Training) -> float:
        """Independent units: rows, or groups, with their weights."""
        if data.groups is None:
            return float(len(data.X) if data.weight is None else data.weight.sum())
        first = np.unique(data.groups, return_index=True)[1]
        return float(len(first) if data.weight is None else data.weight[first].sum())

    def aic(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> float:
        """Return Akaike's criterion ``-2 l + 2 m``; smaller is better.

        Parameters
        ----------
        X, y, Z, sample_weight, groups :
            As in `log_likelihood`.

        Returns
        -------
        value : float
        """
        value = self.log_likelihood(X, y, Z, sample_weight, groups)
        return -2.0 * value + 2.0 * self.n_parameters_

    def bic(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> float:
        """Return Schwarz's criterion ``-2 l + m log n``; smaller is better.

        Parameters
        ----------
        X, y, Z, sample_weight, groups :
            As in `log_likelihood`. n counts rows with their weights, or groups.

        Returns
        -------
        value : float
        """
        return self._bic_and_certainty(X, y, Z, sample_weight, groups)[0]

    def icl(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> float:
        """Return the integrated completed likelihood: BIC plus twice the entropy of the experts.

        It prefers experts that can be told apart. Biernacki, Celeux & Govaert (2000).

        Parameters
        ----------
        X, y, Z, sample_weight, groups :
            As in `log_likelihood`.

        Returns
        -------
        value : float
        """
        bic, certainty = self._bic_and_certainty(X, y, Z, sample_weight, groups)
        return bic - 2.0 * certainty

    def _bic_and_certainty(self, *data: Any) -> tuple[float, float]:
        """Schwarz's criterion, and minus the entropy of all responsibilities."""
        experts, seen = self._seen(*data)
        value, inner = self._likelihood(experts, seen)
        penalty = self.n_parameters_ * float(np.log(self._n_units(seen)))
        return penalty - 2.0 * value, float(inner.sum())
