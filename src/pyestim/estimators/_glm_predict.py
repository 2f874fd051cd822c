"""What a fitted penalised model answers about rows: one class for regressors and classifiers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.metaestimators import available_if

from pyestim.estimators import _glm_checks as checks
from pyestim.estimators._base import Array
from pyestim.estimators._glm_base import PenalisedGLM, Training, make_datafit
from pyestim.penalised import criteria
from pyestim.penalised.survival import baseline_hazard, concordance

#: Rows of float32 that are multiplied at a time: no float64 copy of the matrix.
BLOCK_ROWS = 4096


_Method = TypeVar("_Method", bound=Callable[..., Any])


def _only_for(*families: str) -> Callable[[_Method], _Method]:
    """Let a method be there for some families only."""
    return cast(Callable[[_Method], _Method], available_if(lambda self: self.family in families))


def times(X: Any, coef: Array) -> Array:
    """X times coefficients (p,) or (p, K) in double precision, block by block."""
    if sparse.issparse(X) or X.dtype == np.float64:
        return np.asarray(X @ coef)
    out = np.empty((X.shape[0], *coef.shape[1:]))
    for start in range(0, X.shape[0], BLOCK_ROWS):
        out[start : start + BLOCK_ROWS] = X[start : start + BLOCK_ROWS] @ coef
    return out


class GLMQueries(PenalisedGLM):
    """Predictions, scores and criteria from ``coef_`` and ``intercept_``."""

    coef_: Array
    intercept_: Any
    classes_: NDArray[Any]
    dispersion_: float
    n_parameters_: int
    baseline_times_: Array
    baseline_hazard_: Array

    @property
    def sparse_coef_(self) -> Any:
        """Coefficients as a sparse matrix of one row, or one row for each class."""
        self._require_fit()
        return sparse.csr_array(np.atleast_2d(self.coef_))

    def _eta(self, X: Any, offset: Any) -> Array:
        """Linear predictor (n,), or (n, K) for the classes of a multinomial model."""
        self._require_fit()
        X = self._rows(X, reset=False)
        if self.family == "multinomial":
            eta = times(X, self.coef_.T) + self.intercept_
            outputs = len(self.classes_)
        else:
            intercept = self.intercept_[0] if np.ndim(self.intercept_) else self.intercept_
            eta = times(X, np.ravel(self.coef_)) + intercept
            outputs = 1
        checked = checks.check_offset(self._name, offset, X.shape[0], outputs)
        return np.asarray(eta if checked is None else eta + checked)

    def linear_predictor(self, X: Any, offset: Any = None) -> Array:
        """Return ``offset + intercept + X coef``.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n,), optional
            Known part; (n, K) for K classes of a multinomial model.

        Returns
        -------
        eta : ndarray of shape (n,) or (n, K)
        """
        return self._eta(X, offset)

    def predict(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """Return the most probable label, the mean response, or the log hazard ratio.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n,), optional
            Known part of the linear predictor; that of the fit is not remembered.

        Returns
        -------
        y : ndarray of shape (n,)
            Labels (binomial, multinomial), means in the unit of y (gaussian, poisson, gamma), or
            for Cox the linear predictor: the higher, the earlier the event.
        """
        eta = self._eta(X, offset)
        if self.family == "binomial":
            return np.asarray(self.classes_[(eta > 0).astype(np.intp)])
        if self.family == "multinomial":
            return np.asarray(self.classes_[eta.argmax(axis=1)])
        if self.family in ("poisson", "gamma"):
            with np.errstate(over="ignore"):
                return np.asarray(np.exp(eta).clip(max=np.finfo(np.float64).max))
        return eta

    @_only_for(*checks.CLASSIFIERS)
    def decision_function(self, X: Any, offset: Any = None) -> Array:
        """Return the log-odds of the second of two classes, or the predictor of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n,) or (n, K), optional

        Returns
        -------
        decision : ndarray of shape (n,) for two classes, (n, K) for more
        """
        eta = self._eta(X, offset)
        return eta[:, 1] - eta[:, 0] if eta.ndim == 2 and eta.shape[1] == 2 else eta

    @_only_for(*checks.CLASSIFIERS)
    def predict_proba(self, X: Any, offset: Any = None) -> Array:
        """Return the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n,) or (n, K), optional

        Returns
        -------
        proba : ndarray of shape (n, K)
            In the order of ``classes_``.
        """
        return np.asarray(np.exp(self.predict_log_proba(X, offset)))

    @_only_for(*checks.CLASSIFIERS)
    def predict_log_proba(self, X: Any, offset: Any = None) -> Array:
        """Return the logarithm of the probability of each class.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        offset : array-like of shape (n,) or (n, K), optional

        Returns
        -------
        log_proba : ndarray of shape (n, K)
        """
        eta = self._eta(X, offset)
        if eta.ndim == 1:
            return np.asarray(-np.logaddexp(0.0, np.column_stack([eta, -eta])))
        return np.asarray(eta - np.logaddexp.reduce(eta, axis=1, keepdims=True))

    @_only_for("cox")
    def predict_survival(self, X: Any, times: Any, offset: Any = None) -> Array:
        """Return the probability of no event until each time.

        ``S(t | x) = exp(-H_0(t) exp(x' coef))`` with the baseline hazard of the fit.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        times : array-like of shape (m,)
        offset : array-like of shape (n,), optional

        Returns
        -------
        survival : ndarray of shape (n, m)
        """
        eta = self._eta(X, offset)
        at = np.searchsorted(self.baseline_times_, np.atleast_1d(times), side="right")
        hazard = np.concatenate([[0.0], self.baseline_hazard_])[at]
        with np.errstate(over="ignore", divide="ignore", under="ignore"):
            return np.asarray(np.exp(-np.exp(eta[:, None] + np.log(hazard))))

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return R^2 of regressors, accuracy of classifiers, Harrell's concordance of Cox models.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        y : array-like
            Response, as in `fit`.
        sample_weight : array-like of shape (n,), optional
        offset : array-like of shape (n,), optional

        Returns
        -------
        score : float
        """
        predicted = self.predict(X, offset)
        if self.family in checks.CLASSIFIERS:
            return float(accuracy_score(y, predicted, sample_weight=sample_weight))
        if self.family != "cox":
            return float(r2_score(y, predicted, sample_weight=sample_weight))
        weight = self._weights(sample_weight, len(predicted))
        response = checks.check_response(self._name, "cox", predicted, y, weight)
        assert response.event is not None
        return concordance(response.y, response.event, predicted, weight)

    def _asked(
        self, X: Any, y: Any, sample_weight: Any, offset: Any
    ) -> tuple[Training, float, Any]:
        """Data, mean loss and datafit of rows that need not be those of the fit."""
        eta = self._eta(X, offset)
        weight = self._weights(sample_weight, len(eta))
        classes = self.classes_ if self.family in checks.CLASSIFIERS else None
        response = checks.check_response(self._name, self.family, eta, y, weight, classes)
        data = Training(eta, response, weight, None)
        datafit = make_datafit(self._name, self.family, self.ties, data)
        return data, datafit.value(eta), datafit

    def deviance(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return the deviance per unit weight: twice the loss above that of a perfect fit.

        Parameters
        ----------
        X, y, sample_weight, offset :
            As in `score`.

        Returns
        -------
        deviance : float
            Gaussian: the mean squared error.
        """
        _, loss, datafit = self._asked(X, y, sample_weight, offset)
        return float(2.0 * (loss - datafit.saturated))

    def log_likelihood(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None
    ) -> float:
        """Return the log-likelihood (nats, a sum over rows) at the fitted parameters.

        Parameters
        ----------
        X, y, sample_weight, offset :
            As in `score`.

        Returns
        -------
        log_likelihood : float
            The partial one for Cox; with ``dispersion_`` for Gaussian and gamma.
        """
        data, loss, datafit = self._asked(X, y, sample_weight, offset)
        constant = criteria.constant_of(self.family, data.response.y, data.weight)
        total = criteria.log_likelihood(
            self.family,
            np.array(loss),
            datafit.saturated,
            data.weight_sum,
            constant,
            np.array(self.dispersion_),
        )
        return float(total)

    def aic(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return Akaike's criterion, ``-2 l + 2 k`` with k = ``n_parameters_``; smaller is better.

        Parameters
        ----------
        X, y, sample_weight, offset :
            As in `score`.

        Returns
        -------
        aic : float
        """
        total = self.log_likelihood(X, y, sample_weight, offset)
        return -2.0 * total + 2.0 * self.n_parameters_

    def bic(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return the Bayesian criterion, ``-2 l + k log n``; smaller is better.

        Parameters
        ----------
        X, y, sample_weight, offset :
            As in `score`.

        Returns
        -------
        bic : float
            n is the sum of the weights, of those of events for Cox.
        """
        total = self.log_likelihood(X, y, sample_weight, offset)
        data, _, _ = self._asked(X, y, sample_weight, offset)
        return -2.0 * total + self.n_parameters_ * float(np.log(data.n_effective))

    def _publish_baseline(self, data: Training) -> None:
        """Baseline hazard of a Cox model, at the published coefficients."""
        if self.family != "cox":
            return
        eta = times(data.X, self.coef_)
        eta = eta if data.offset is None else eta + data.offset
        assert data.response.event is not None
        self.baseline_times_, self.baseline_hazard_ = baseline_hazard(
            data.response.y, data.response.event, eta, data.weight, self.ties
        )
