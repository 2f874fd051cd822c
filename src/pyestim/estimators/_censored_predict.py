"""What can be asked of a censored regression about rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.data.censored import heights
from pyestim.estimators import _censored_checks as checks
from pyestim.estimators._base import Array, random_numbers, shown
from pyestim.estimators._censored_base import CensoredBase
from pyestim.models import error_laws

KINDS = ("latent", "observed")
RESIDUALS = ("response", "deviance", "working")


class CensoredPredictions(CensoredBase):
    """Predictions, densities and residuals."""

    def predict(
        self,
        X: Any = None,
        *,
        kind: str = "latent",
        lower: Any = None,
        upper: Any = None,
        offset: Any = None,
    ) -> Array:
        """Return the mean of the response, before or after it is cut.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        kind : {"latent", "observed"}, default="latent"
            The mean of the response itself, ``offset + intercept + X coef`` (its median where the
            law has no mean); or of what is seen of it, ``max(lower, min(y, upper))``.
        lower, upper : float or array-like of shape (n,), optional
            Limits of what can be seen, for ``kind="observed"``; none by default.
        offset : array-like of shape (n,), optional

        Returns
        -------
        mean : ndarray of shape (n,)
        """
        if kind not in KINDS:
            raise ValueError(f"{self._name}: kind must be one of {KINDS}, got {kind!r}.")
        asked = self._asked(X, offset, _length(lower, upper))
        location = self._location(asked)
        if kind == "latent":
            return location
        limits = checks.check_limits(self._name, lower, upper, asked.n)
        law, df = self._law
        ends = ((end - location) / self.scale_ for end in (limits.lower, limits.upper))
        return location + self.scale_ * error_laws.mean_clipped(law, df, *ends)

    def predict_quantile(self, X: Any = None, q: Any = 0.5, *, offset: Any = None) -> Array:
        """Return quantiles of the latent response.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        q : float or array-like of shape (m,), default=0.5
            Levels between 0 and 1.
        offset : array-like of shape (n,), optional

        Returns
        -------
        quantile : ndarray of shape (n,), or (n, m) for m levels
        """
        levels = np.asarray(q, dtype=np.float64)
        if levels.ndim > 1 or not np.all((levels > 0) & (levels < 1)):
            raise ValueError(f"{self._name}: q must hold levels between 0 and 1, got {shown(q)}.")
        location = self._location(self._asked(X, offset))
        steps = self.scale_ * error_laws.quantile(*self._law, levels)
        return location + steps if levels.ndim == 0 else location[:, None] + steps

    def predict_probability(
        self, X: Any = None, *, lower: Any = None, upper: Any = None, offset: Any = None
    ) -> Array:
        """Return the probability that the latent response lies between two limits.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        lower, upper : float or array-like of shape (n,), optional
            Limits; none by default.
        offset : array-like of shape (n,), optional

        Returns
        -------
        probability : ndarray of shape (n,)
            Relative accuracy in the tails, too; zero where both limits are equal.
        """
        asked = self._asked(X, offset, _length(lower, upper))
        limits = checks.check_limits(self._name, lower, upper, asked.n)
        log_prob = self._derivatives(asked, limits)[:, 0]
        probability = np.where(checks.exact_rows(limits), 0.0, np.exp(np.minimum(log_prob, 0.0)))
        return np.asarray(probability)

    def score_samples(
        self, X: Any, y: Any = None, *, lower: Any = None, upper: Any = None, offset: Any = None
    ) -> Array:
        """Return the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        y, lower, upper, offset :
            Responses as in `fit`; by default the latent mean: how sure the model is of it.

        Returns
        -------
        log_likelihood : ndarray of shape (n,)
            Log-density of an exact response, log-probability of the limits of another one.
        """
        if y is None and lower is None and upper is None:
            y = self.predict(X, offset=offset)
        return self._derivatives(*self._seen(X, y, lower, upper, offset))[:, 0].copy()

    def log_likelihood(
        self,
        X: Any,
        y: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> float:
        """Return the log-likelihood of all rows, a sum.

        Parameters
        ----------
        X, y, lower, upper, sample_weight, offset :
            Data as in `fit`.

        Returns
        -------
        log_likelihood : float
        """
        return self._total(X, y, lower, upper, sample_weight, offset)[0]

    def _total(
        self, X: Any, y: Any, lower: Any, upper: Any, sample_weight: Any, offset: Any
    ) -> tuple[float, float]:
        """Log-likelihood, and the number of rows by their weights."""
        each = self.score_samples(X, y, lower=lower, upper=upper, offset=offset)
        weight = self._weights(sample_weight, len(each))
        if weight is None:
            return float(each.sum()), float(len(each))
        return float(each[weight > 0] @ weight[weight > 0]), float(weight.sum())

    def aic(
        self,
        X: Any,
        y: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> float:
        """Return Akaike's criterion: twice the free parameters less twice the log-likelihood.

        Parameters
        ----------
        X, y, lower, upper, sample_weight, offset :
            Data as in `fit`.

        Returns
        -------
        aic : float
            Smaller is better.
        """
        total, _ = self._total(X, y, lower, upper, sample_weight, offset)
        return 2.0 * self.n_parameters_ - 2.0 * total

    def bic(
        self,
        X: Any,
        y: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> float:
        """Return the Bayesian criterion, with the sum of the weights as the number of rows.

        Parameters
        ----------
        X, y, lower, upper, sample_weight, offset :
            Data as in `fit`.

        Returns
        -------
        bic : float
            Smaller is better; n is the sum of the weights.
        """
        total, n = self._total(X, y, lower, upper, sample_weight, offset)
        return float(np.log(n)) * self.n_parameters_ - 2.0 * total

    def residuals(
        self,
        X: Any,
        y: Any = None,
        *,
        kind: str = "response",
        lower: Any = None,
        upper: Any = None,
        offset: Any = None,
    ) -> Array:
        """Return residuals as R's survreg defines them.

        Parameters
        ----------
        X, y, lower, upper, offset :
            Data as in `fit`.
        kind : {"response", "deviance", "working"}, default="response"
            The response less its latent mean, where an interval counts as its middle and a
            half-line as its end; the signed root of twice the log-likelihood that the row misses,
            given the scale; the Newton step of the row's own linear predictor.

        Returns
        -------
        residual : ndarray of shape (n,)
        """
        if kind not in RESIDUALS:
            raise ValueError(f"{self._name}: kind must be one of {RESIDUALS}, got {kind!r}.")
        asked, limits = self._seen(X, y, lower, upper, offset)
        height = heights(*limits)
        response = np.where(np.isinf(height), np.nan, height) - self._location(asked)
        if kind == "response":
            return response
        each = self._derivatives(asked, limits)
        if kind == "working":
            with np.errstate(divide="ignore", invalid="ignore"):
                return np.asarray(-self.scale_ * each[:, 1] / each[:, 3])
        missed = np.maximum(self._best(limits) - each[:, 0], 0.0)
        return np.asarray(np.sign(response) * np.sqrt(2.0 * missed))

    def _best(self, limits: checks.Responses) -> Array:
        """Largest log-likelihood of each row over all linear predictors, given the scale."""
        law, df = self._law
        width = (limits.upper - limits.lower) / self.scale_
        inside = np.log(np.maximum(1.0 - 2.0 * error_laws.below(law, df, -0.5 * width), 1e-300))
        peak = float(error_laws.log_density_at_zero(law, df) - np.log(self.scale_))
        return np.where(checks.exact_rows(limits), peak, np.where(np.isinf(width), 0.0, inside))

    def sample(self, X: Any = None, *, offset: Any = None, random_state: Any = None) -> Array:
        """Draw a latent response for every row.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        offset : array-like of shape (n,), optional
        random_state : int, RandomState or None, default=None

        Returns
        -------
        y : ndarray of shape (n,)
        """
        location = self._location(self._asked(X, offset))
        errors = error_laws.draw(*self._law, random_numbers(random_state), len(location))
        return location + self.scale_ * errors


def _length(*limits: Any) -> int | None:
    """Rows that limits speak of; None where they are numbers."""
    sizes = [len(limit) for limit in limits if np.ndim(limit) > 0]
    return max(sizes) if sizes else None
