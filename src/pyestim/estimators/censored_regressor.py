"""`CensoredRegressor`: linear regression of responses that are known up to an interval."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score

from pyestim.estimators import _censored_checks as checks
from pyestim.estimators._callbacks import with_callbacks
from pyestim.estimators._censored_inference import CensoredInference


class CensoredRegressor(RegressorMixin, CensoredInference):
    r"""Tobit and interval regression by maximum likelihood.

    .. math::

        y = o + c + b^\top x + \sigma e, \qquad
        \log L = \sum_\text{exact} \log \frac{f(z)}{\sigma} + \sum_\text{others}
        \log \bigl(F(z_u) - F(z_l)\bigr), \qquad z = \frac{y - o - c - b^\top x}{\sigma},

    where e is normal, logistic or Student's t, and a response is known exactly, to lie below or
    above a limit, or between two limits.

    Parameters
    ----------
    distribution : {"normal", "logistic", "t"}, default="normal"
        Law of the error.
    df : float or None, default=4.0
        Degrees of freedom of Student's law; None: estimated, between 0.2 and 1000.
    scale : float or None, default=None
        A fixed scale; None: estimated.
    fit_intercept : bool, default=True
        Whether there is an intercept.
    tol : float, default=1e-12
        Bound on the estimated gain of the log-likelihood that is still to come (nats per row).
    max_iter : int, default=100
        Most Newton steps.
    warm_start : bool, default=False
        Begin at the present parameters.

    Attributes
    ----------
    coef_ : ndarray of shape (p,)
        Slopes, unit of y per unit of X.
    intercept_ : float
    scale_ : float
        Scale of the error: its standard deviation for the normal law, the scale of the standard
        logistic or t distribution for the others (as in R's survreg).
    df_ : float
        Degrees of freedom; only for Student's law.
    covariance_ : ndarray of shape (m, m)
        Inverse of the observed information, for intercept, slopes, log-scale and log-df, as far as
        they were estimated. NaN for what the data do not tell.
    n_parameters_ : int
        Free parameters; without a scale that no row tells.
    n_exact_, n_left_, n_right_, n_interval_ : int
        Rows of each kind, of positive weight: exact, known to lie below a limit, above one, between
        two.
    converged_ : bool
        Whether the stopping criterion held.
    n_iter_ : int
        Newton steps, one pass over the rows each, those that were shortened included; at least 1,
        for least squares at the start is a step. Of the last of several fits if df is estimated.
    lower_bound_ : float
        Mean log-likelihood, nats per row.
    report_ : Report
        Account of the fit. Print it: it names scales and coefficients without a maximum.
    n_features_in_, feature_names_in_ :
        Number of columns of X, zero without X; their names if it is a data frame.

    See Also
    --------
    LassoGLM : Many columns, ``family="cox"`` for proportional hazards.

    Notes
    -----
    Newton's method in ``b / sigma`` and ``1 / sigma``, where the log-likelihood of the normal and
    the logistic law is concave whatever the limits are; steps that do not ascend are shortened.
    Time of a pass: ``n p^2 / 2`` multiplications and one or two exponentials for each row that is
    not exact; memory beyond the data: a few numbers per row where responses are limited.

    Without limits it is ordinary maximum likelihood: least squares for the normal law, with the
    scale's divisor n. Maximum likelihood has no maximum where all rows are censored on one side (an
    error), where rows are met without error (the scale is held above 1e-8 standard deviations of y)
    or separated by their limits; the fit then warns. Rows that say only on which side of one
    limit they lie do not tell the scale: it is held at one, which makes a probit, and the fit warns
    unless ``scale`` says that this is meant.

    References
    ----------
    Tobin (1958), Estimation of relationships for limited dependent variables.
    doi:10.2307/1907382
    Olsen (1978), Note on the uniqueness of the maximum likelihood estimator for the Tobit model.
    doi:10.2307/1913445

    Examples
    --------
    Hours that cannot be negative are a Tobit model:

    >>> import numpy as np
    >>> from pyestim import CensoredRegressor
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(500, 2))
    >>> hours = np.maximum(0.0, 1.0 + X @ [2.0, -1.0] + rng.normal(size=500))
    >>> model = CensoredRegressor().fit(X, hours, lower=0.0)
    >>> print(model.coef_.round(1), round(model.scale_, 1))
    [ 2. -1.] 1.0

    Responses that are rounded to whole numbers are intervals:

    >>> low = np.floor(3.0 + X @ [2.0, -1.0] + 0.5 * rng.normal(size=500))
    >>> model = CensoredRegressor().fit(X, lower=low, upper=low + 1.0)
    >>> print(model.coef_.round(1), round(model.scale_, 1))
    [ 1.9 -1. ] 0.5
    """

    _saved_state = (
        *("coef_", "intercept_", "scale_", "df_", "covariance_", "n_parameters_"),
        *("n_exact_", "n_left_", "n_right_", "n_interval_"),
        *("converged_", "n_iter_", "lower_bound_", "report_"),
        *("n_features_in_", "feature_names_in_"),
    )

    def __init__(
        self,
        distribution: str = "normal",
        *,
        df: float | None = 4.0,
        scale: float | None = None,
        fit_intercept: bool = True,
        tol: float = 1e-12,
        max_iter: int = 100,
        warm_start: bool = False,
    ) -> None:
        self.distribution = distribution
        self.df = df
        self.scale = scale
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    @with_callbacks
    def fit(
        self,
        X: Any,
        y: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        sample_weight: Any = None,
        offset: Any = None,
    ) -> Self:
        """Estimate intercept, slopes and scale.

        Parameters
        ----------
        X : array-like of shape (n, p), or None
            Predictors, float32 or float64 in any order; not copied. None: an intercept only.
        y : array-like of shape (n,), optional
            Responses. Without `lower` and `upper` they are exact.
        lower, upper : float or array-like of shape (n,), optional
            With y: limits of what could be seen; responses at or beyond one are known to lie there
            (a Tobit model). Without y: the limits of each response, exact where both are equal,
            minus and plus infinity where there is none.
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.
        offset : array-like of shape (n,), optional
            Added to the linear predictor with a coefficient of one.

        Returns
        -------
        self : CensoredRegressor

        Raises
        ------
        ValueError
            Bad arguments or data, and rows that are all censored on one side.

        Warns
        -----
        ConvergenceWarning
            The likelihood has no maximum, or the iteration limit came first.
        """
        self._fit(X, y, lower, upper, sample_weight, offset)
        return self

    def score(
        self,
        X: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        offset: Any = None,
    ) -> float:
        """Return R^2 of the latent mean over the rows whose response is known exactly.

        Without limits that is the R^2 of any regressor. With limits, exact rows are a selection:
        use `log_likelihood` or `score_samples` to compare models.

        Parameters
        ----------
        X : array-like of shape (n, p), or None for a model without columns
        y, lower, upper, offset :
            Responses as in `fit`.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        score : float
            One for a perfect prediction, zero for the mean of y.
        """
        asked, limits = self._seen(X, y, lower, upper, offset)
        exact = checks.exact_rows(limits)
        if not exact.any():
            raise ValueError(
                f"{self._name}: score is R^2 over exact responses, and no row has one. Use "
                "log_likelihood, which all rows enter."
            )
        weight = self._weights(sample_weight, asked.n)
        kept = None if weight is None else weight[exact]
        return float(
            r2_score(limits.lower[exact], self._location(asked)[exact], sample_weight=kept)
        )
