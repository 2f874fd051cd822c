"""`MixtureOfExpertsRegressor`: validates, chooses, publishes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from pyestim.estimators import _experts_checks as checks
from pyestim.estimators._base import Array, random_numbers, shown
from pyestim.estimators._callbacks import with_callbacks
from pyestim.estimators._experts_inference import ExpertsInference
from pyestim.models.expert_build import ExpertOptions
from pyestim.models.expert_rows import PublishedExperts


class MixtureOfExpertsRegressor(RegressorMixin, ExpertsInference):
    r"""Mixture of experts, or of regressions, fitted by maximum likelihood.

    .. math::

        p(y \mid x, z) = \sum_k \pi_k(z) f_k(y \mid x), \qquad
        \pi_k(z) = \frac{\exp(g_{k0} + g_k^\top z)}{\sum_l \exp(g_{l0} + g_l^\top z)},

    where :math:`f_k` is a regression on x: normal with mean :math:`c_k + a_k^\top x` and standard
    deviation :math:`\sigma_k`, Poisson with a logarithmic or binomial with a logistic link.

    Parameters
    ----------
    n_experts : int, default=2
        Number of experts k.
    family : {"gaussian", "poisson", "binomial"}, default="gaussian"
        Distribution of y under one expert.
    gate : {"softmax", "constant"}, default="softmax"
        Whether the experts' probabilities depend on covariates, or are the same for all rows (a
        mixture of regressions).
    expert_l1, expert_l2 : float, default=0.0
        Penalties ``l1 sum |b_j| + l2 sum (s_j b_j)^2 / 2`` on the slopes of each expert, per unit
        weight, with s_j the standard deviation of column j; gaussian experts: on ``b / sigma``,
        so that the unit of y does not matter. Intercepts are not penalised.
    gate_l1, gate_l2 : float, default=0.0 and 1e-8
        The same for the slopes of the gate. The small ridge keeps a gate finite that separates
        the experts without error, whatever the units of its covariates; 0 leaves it out.
    standardize : bool, default=False
        ``l1 sum |s_j b_j|`` in the place of ``l1 sum |b_j|``: units do not matter to the Lasso.
    share_scale : bool, default=False
        One standard deviation for all gaussian experts.
    tol : float, default=1e-6
        Bound on the estimated gain of the objective that is still to come (nats per row).
    max_iter : int, default=500
        Most steps of the EM algorithm.
    n_init : int, default=5
        Number of starts; they share each pass over the rows, and the best fit is kept.
    random_state : int, RandomState or None, default=None
        Seed of the starts and of `sample`.
    accelerate : {"auto", "squarem", "anderson", None}, default="auto"
        Extrapolation of the steps, kept only where the objective allows it.
    warm_start : bool, default=False
        Begin at the present parameters and ignore ``n_init``.
    device : {None, "cpu"}, default=None
        Where to compute; this version knows the processor only.

    Attributes
    ----------
    gate_intercept_ : ndarray of shape (k,)
        Logits relative to the last expert, whose own is zero. Minus infinity for an expert that
        has lost all of its rows.
    gate_coef_ : ndarray of shape (k, q)
        Slopes of the logits; the last row is zero. No columns for a constant gate.
    expert_intercept_ : ndarray of shape (k,), or (k, m) for m outputs
    expert_coef_ : ndarray of shape (k, p), or (k, m, p)
        Unit of y (or of the linear predictor) per unit of X. Experts are sorted by their linear
        predictor at the mean of X; under ``gate_l1`` the last, the reference, stays last.
    expert_scale_ : ndarray of shape (k,), or (k, m)
        Standard deviations of gaussian experts; ones for the others.
    expert_covariance_ : ndarray of shape (k, m, m)
        Only for m outputs: covariances of the residuals.
    weights_ : ndarray of shape (k,)
        Mean responsibility of each expert.
    converged_ : bool
        Whether the stopping criterion held.
    n_iter_ : int
        Steps of the best start; one pass over the rows each.
    lower_bound_ : float
        Mean log-likelihood less penalties, nats per row; constants included.
    n_parameters_ : int
        Free parameters; slopes that a Lasso penalty holds at zero are not counted.
    report_ : Report
        Account of the fit. Print it.
    n_gate_features_in_ : int
        q.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    See Also
    --------
    MixtureOfExpertsClassifier : Labels.
    pyestim.metrics.voronoi_loss : Distance from a true mixture.

    Notes
    -----
    EM with one step of the gate and of every expert in each pass over the rows. Gaussian experts
    are maximised exactly; the gate and the other families take Newton steps of a length that
    cannot lower the likelihood. Time of a pass: ``n (k p^2 + k^2 q^2 / 2)`` multiplications and
    2 n k exponentials; memory beyond the data: nothing that grows with n.

    The number of experts: fit several and keep the one of least `bic`, or of least `icl`, which
    asks for experts that can be told apart: ``min(fits, key=lambda fit: fit.icl(X, y))``.

    References
    ----------
    Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm.
    doi:10.1162/neco.1994.6.2.181
    Gruen & Leisch (2008), FlexMix version 2: finite mixtures with concomitant variables and
    varying and constant parameters. doi:10.18637/jss.v028.i04
    Staedler, Buehlmann & van de Geer (2010), l1-penalization for mixture regression models.
    doi:10.1007/s11749-010-0197-z

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import MixtureOfExpertsRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = rng.uniform(-1, 1, size=(400, 1))
    >>> right = rng.uniform(size=400) < 1 / (1 + np.exp(-8 * X[:, 0]))
    >>> y = np.where(right, 3 * X[:, 0], -2 * X[:, 0] - 1) + 0.1 * rng.normal(size=400)
    >>> model = MixtureOfExpertsRegressor(2, random_state=0).fit(X, y)
    >>> print(model.expert_coef_.ravel().round(1))
    [-2.  3.]
    """

    _saved_state = (
        *("gate_intercept_", "gate_coef_", "expert_intercept_", "expert_coef_", "expert_scale_"),
        *("expert_covariance_", "weights_", "converged_", "n_iter_", "lower_bound_"),
        *("n_parameters_", "report_", "n_gate_features_in_", "own_gate_columns_"),
        *("n_features_in_", "feature_names_in_"),
    )
    _needed = (*ExpertsInference._needed, "expert_scale_")

    expert_scale_: Array
    expert_covariance_: Array

    def __init__(
        self,
        n_experts: int = 2,
        *,
        family: str = "gaussian",
        gate: str = "softmax",
        expert_l1: float = 0.0,
        gate_l1: float = 0.0,
        expert_l2: float = 0.0,
        gate_l2: float = 1e-8,
        standardize: bool = False,
        share_scale: bool = False,
        tol: float = 1e-6,
        max_iter: int = 500,
        n_init: int = 5,
        random_state: Any = None,
        accelerate: str | None = "auto",
        warm_start: bool = False,
        device: str | None = None,
    ) -> None:
        self.n_experts = n_experts
        self.family = family
        self.gate = gate
        self.expert_l1 = expert_l1
        self.gate_l1 = gate_l1
        self.expert_l2 = expert_l2
        self.gate_l2 = gate_l2
        self.standardize = standardize
        self.share_scale = share_scale
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.accelerate = accelerate
        self.warm_start = warm_start
        self.device = device

    def __sklearn_tags__(self) -> Any:
        """Several outputs are for gaussian experts; counts are not negative."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.family == "gaussian"
        tags.target_tags.positive_only = self.family != "gaussian"
        return tags

    @property
    def _kernel_family(self) -> str:
        return self.family

    def _response(self, X: Any, y: Any, weight: Array | None, *, reset: bool) -> Array:
        checked = checks.check_response(self._name, self.family, X, y)
        if reset:
            self._column_output = self.family == "gaussian" and checked.ndim == 2
        if self.family == "binomial" and checked.ndim == 1:
            return np.column_stack([checked, 1.0 - checked])
        if not reset and self.family == "gaussian":
            outputs = np.shape(self.expert_intercept_)[1:]
            checks.check_outputs(self._name, checked, outputs)
        return checked

    def _options(self) -> ExpertOptions:
        return replace(super()._options(), share_scale=bool(self.share_scale))

    @with_callbacks
    def fit(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Estimate gate and experts.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Predictors, float32 or float64 in any order; not copied.
        y : array-like of shape (n,) or (n, m)
            Numbers, one column per output (gaussian); counts (poisson); 0 and 1, or the two
            columns successes and failures (binomial).
        Z : array-like of shape (n, q), optional
            Covariates of the gate; X by default.
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.
        groups : array-like of shape (n,), optional
            Rows with the same label belong to one expert together (as in R's flexmix); weights
            and covariates of the gate must not vary within a group.

        Returns
        -------
        self : MixtureOfExpertsRegressor

        Raises
        ------
        ValueError
            Bad arguments or data, with a sentence that says which and what to do.

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first; the message says what to change.
        """
        self._fit(X, y, Z, sample_weight, groups)
        return self

    def _publish_parameters(self, found: dict[str, Array]) -> None:
        several = len(found["intercept"][0]) > 1 or self._column_output
        self.gate_intercept_, self.gate_coef_ = found["gate_intercept"], found["gate_coef"]
        self.expert_intercept_ = found["intercept"] if several else found["intercept"][:, 0]
        self.expert_coef_ = found["coef"] if several else found["coef"][:, 0]
        self.__dict__.pop("expert_covariance_", None)
        if "covariance" not in found:
            self.expert_scale_ = np.ones(len(self.gate_intercept_))
            return
        scale = np.sqrt(np.diagonal(found["covariance"], axis1=1, axis2=2))
        self.expert_scale_ = scale if several else scale[:, 0]
        if several:
            self.expert_covariance_ = found["covariance"]

    def _published(self) -> PublishedExperts:
        intercept, coef = np.asarray(self.expert_intercept_), np.asarray(self.expert_coef_)
        several = intercept.ndim == 2
        covariance, scale = None, np.asarray(self.expert_scale_, dtype=np.float64)
        if self.family == "gaussian":
            covariance = self.expert_covariance_ if several else scale[:, None, None] ** 2
        return PublishedExperts(
            self.family,
            np.asarray(self.gate_intercept_, dtype=np.float64),
            np.asarray(self.gate_coef_, dtype=np.float64),
            intercept if several else intercept[:, None],
            coef if several else coef[:, None],
            covariance,
        )

    def _shaped(self, values: Array) -> Array:
        return values if np.ndim(self.expert_intercept_) == 2 else np.asarray(values[:, 0])

    # -- prediction -------------------------------------------------------------------------------

    def predict(self, X: Any, Z: Any = None) -> Array:
        """Return the conditional mean ``sum_k pi_k(z) E_k(y | x)``.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        mean : ndarray of shape (n,) or (n, m)
            Binomial: the probability of success.
        """
        experts, rows, gate_rows = self._asked(X, Z)
        mean: Array = np.einsum(
            "nk,nkl->nl", experts.gate(rows, gate_rows), experts.means(rows, gate_rows)
        )
        return mean if np.ndim(self.expert_intercept_) == 2 else mean[:, 0]

    def _most_probable(self, X: Any, Z: Any) -> NDArray[Any]:
        mean = self.predict(X, Z)
        return (mean >= 0.5).astype(np.float64) if self.family == "binomial" else mean

    def predict_expert(self, X: Any, Z: Any = None) -> Array:
        """Return the mean under each expert.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`; they do not matter here.

        Returns
        -------
        means : ndarray of shape (n, k) or (n, k, m)
        """
        experts, rows, gate_rows = self._asked(X, Z)
        means = experts.means(rows, gate_rows)
        return means if np.ndim(self.expert_intercept_) == 2 else means[:, :, 0]

    def predict_quantile(self, X: Any, q: Any = 0.5, Z: Any = None) -> Array:
        """Return quantiles of the response.

        Parameters
        ----------
        X : array-like of shape (n, p)
        q : float or array-like of shape (m,), default=0.5
            Levels between 0 and 1.
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        quantile : ndarray of shape (n,), or (n, m) for m levels
            Where the distribution function of the mixture reaches the level.

        Raises
        ------
        ValueError
            Levels outside of 0 to 1, several outputs, or binomial experts.
        """
        levels = np.asarray(q, dtype=np.float64)
        if not np.all((levels > 0) & (levels < 1)) or levels.ndim > 1:
            raise ValueError(f"{self._name}: q must hold levels between 0 and 1, got {shown(q)}.")
        if np.ndim(self.expert_intercept_) == 2 or self.family == "binomial":
            raise ValueError(
                f"{self._name}: quantiles are for one gaussian output or for counts; use predict "
                "and predict_expert."
            )
        experts, rows, gate_rows = self._asked(X, Z)
        found = [experts.quantile(rows, gate_rows, float(level)) for level in levels.ravel()]
        return found[0] if levels.ndim == 0 else np.column_stack(found)

    def score(self, X: Any, y: Any, sample_weight: Any = None, Z: Any = None) -> float:
        """Return R^2 of the conditional mean.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,) or (n, m), as in `fit`
            Successes and failures (binomial): the share of successes is predicted, and a row
            counts as often as it has trials.
        sample_weight : array-like of shape (n,), optional
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        score : float
            One for a perfect prediction, zero for the mean of y.
        """
        mean = self.predict(X, Z)
        if self.family == "binomial" and np.ndim(y) == 2:
            weight = self._weights(sample_weight, len(mean))
            y, sample_weight = checks.shares(self._response(X, y, weight, reset=False), weight)
        return float(r2_score(y, mean, sample_weight=sample_weight))

    def sample(self, X: Any, Z: Any = None) -> tuple[Array, NDArray[np.intp]]:
        """Draw a response for every row.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        y : ndarray of shape (n,) or (n, m)
        expert : ndarray of shape (n,)
            The expert that each response was drawn from.
        """
        experts, rows, gate_rows = self._asked(X, Z)
        drawn, label = experts.draw(rows, gate_rows, random_numbers(self.random_state))
        one = np.ndim(self.expert_intercept_) == 1 and drawn.ndim == 2
        return (drawn[:, 0] if one else drawn), label
