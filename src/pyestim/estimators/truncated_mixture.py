"""`TruncatedGaussianMixture`: validates, chooses, publishes; the mathematics is in the models."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pyestim.data.source import ArraySource
from pyestim.engine.progress import Talk, together
from pyestim.engine.report import Report
from pyestim.engine.sweep import LocalSweep
from pyestim.estimators import _truncated_checks as checks
from pyestim.estimators._callbacks import WRAPPERS, CallbackSupport, FitTasks, with_callbacks
from pyestim.estimators._truncated_queries import TruncatedQueries
from pyestim.models.knowledge import Knowledge
from pyestim.models.support import Support
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_fit import TruncatedFit, fit_truncated
from pyestim.models.truncated_moments import fit_moments
from pyestim.models.truncated_newton import Options


class TruncatedGaussianMixture(CallbackSupport, TruncatedQueries):
    """Gaussian mixture of rows that are seen only inside a known set.

    Rows outside the set S were never recorded, and nobody knows how many there were:
    ``p(x | S) = sum_k w_k N(x; mu_k, Sigma_k) / sum_k w_k P_k(S)`` for x in S, maximised over
    weights, means and covariances *of the whole mixture*.

    Parameters
    ----------
    n_components : int, default=1
        Number of components k.
    support : sequence of pairs, optional
        Union of intervals ``((a, b), (c, d), ...)`` for one column; ``numpy.inf`` is no limit.
        Intervals may come in any order, overlap and touch.
    lower, upper : float or array-like of shape (d,), optional
        Box, instead of ``support``. Nothing given is no limit: the mixture of `GaussianMixture`.
    covariance_type : {"full", "tied", "diag"}, default="full"
        A matrix for each component, one for all, variances by column.
    method : {"em", "moments"}, default="em"
        Maximum likelihood, or the method of moments for one column and one shared variance, whose
        means lie between the smallest and the largest row. It needs no start and no steps, but
        hundreds of times the rows for the same accuracy.
    known_sd : float, optional
        For ``method="moments"`` only: standard deviation of every component; estimated where None.
    tol : float, default=1e-6
        Bound on the estimated gain of the mean log-likelihood that is still to come (nats per row).
    reg_covar : float, default=1e-6
        Least eigenvalue of a covariance, relative to the variance of its columns.
    max_iter : int, default=500
        Most passes over the rows after the first; 0 publishes the start.
    n_init : int, default=1
        Number of starts; the best fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array, default="kmeans"
        Start, as for `GaussianMixture`: as if nothing were cut.
    weights_init, means_init, precisions_init : array-like, optional
        Parts of the start.
    random_state : int, RandomState or None, default=None
        Seed of the start and of `sample`.
    warm_start : bool, default=False
        Begin at the present parameters and ignore ``n_init``.
    verbose : int, default=0
        Write progress to standard output: 1 says that, 2 also how far.
    verbose_interval : int, default=10
        Steps between two lines.
    accelerate : {"auto", "squarem", "anderson", None}, default="auto"
        Extrapolation of the EM steps; "auto" finishes with Newton's method; None is plain EM.
    on_degenerate : {"regularize", "drop", "reseed", "raise"}, default="regularize"
        Fate of a component that collapsed or lost its rows, as for `GaussianMixture`.
    device : {None, "cpu"}, default=None
        Where to compute.

    Attributes
    ----------
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        Of the whole mixture, in the shapes of `GaussianMixture`.
    missing_mass_ : float
        Estimated share of the whole that lies outside the set and is never seen.
    inside_mass_ : ndarray of shape (k,)
        Probability of the set under each component.
    inside_error_ : float
        Largest estimated relative error of ``inside_mass_``; zero where it is exact.
    support_ : ndarray of shape (m, 2) or (d, 2)
        Intervals in order (one column), or lower and upper ends of each column.
    information_condition_ : float
        Condition of the observed information, each parameter in its own unit; NaN where it was
        not formed (more than 40 parameters, method of moments), or where a covariance sits on the
        variance floor, which `report_` says.
    converged_ : bool
        Whether the stopping criterion held.
    n_iter_ : int
        Passes over the rows after the first.
    lower_bound_ : float
        Mean log-likelihood per row (nats), given the set, at the parameters that are published.
    lower_bounds_ : list of float
        The best one so far, after each pass.
    report_ : Report
        Account of the fit: whether to trust it, and why. Print it.
    n_parameters_ : int
        Free parameters.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    Raises
    ------
    ValueError
        From ``fit``: bad arguments, an empty set, rows outside it, with a sentence that says which
        and what to do.

    Warns
    -----
    ConvergenceWarning
        The iteration limit came first, or the set is so small that the rows do not determine the
        parameters.

    Notes
    -----
    Where rows look as if a component went on rising beyond the set, the likelihood has no maximum:
    the component wants to leave. A wall holds it: the objective loses
    ``log(0.001 / P_k(S))^2 / 2`` per row for a component with less than 0.001 of its probability
    inside, and `report_` says so. It is zero for all other fits.

    Probabilities and moments are exact for one column, for diag covariances and for boxes that
    bound at most three columns; beyond that they are found by quasi-Monte-Carlo with fixed points.

    References
    ----------
    Lee & Scott (2012), EM algorithms for multivariate Gaussian mixture models with truncated and
    censored data. doi:10.1016/j.csda.2012.03.003
    Tai & Aragam (2023), Learning mixtures of Gaussians with censored data. arXiv:2305.04127
    Wu & Yang (2020), Optimal estimation of Gaussian mixtures via denoised method of moments.
    doi:10.1214/19-AOS1873

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import TruncatedGaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(5.0, 2.0, (20000, 1))
    >>> seen = X[X[:, 0] > 4.0]
    >>> cut = TruncatedGaussianMixture(lower=4.0).fit(seen)
    >>> print(cut.means_.ravel().round(1), cut.covariances_.ravel().round(1))
    [5.1] [3.9]
    >>> print(round(cut.missing_mass_, 1), round(seen.mean(), 1))
    0.3 6.0
    """

    _rules = checks.RULES
    _needed = ("weights_", "means_", "precisions_cholesky_", "support_")
    _saved_state = (
        *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"),
        *("support_", "information_condition_", "converged_", "n_iter_", "lower_bound_"),
        *("lower_bounds_", "report_", "n_features_in_", "feature_names_in_"),
    )

    def __init__(
        self,
        n_components: int = 1,
        *,
        support: Any = None,
        lower: Any = None,
        upper: Any = None,
        covariance_type: Any = "full",
        method: str = "em",
        known_sd: float | None = None,
        tol: float = 1e-6,
        reg_covar: float = 1e-6,
        max_iter: int = 500,
        n_init: int = 1,
        init_params: Any = "kmeans",
        weights_init: Any = None,
        means_init: Any = None,
        precisions_init: Any = None,
        random_state: Any = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        accelerate: str | None = "auto",
        on_degenerate: str = "regularize",
        device: str | None = None,
    ) -> None:
        self.n_components = n_components
        self.support = support
        self.lower = lower
        self.upper = upper
        self.covariance_type = covariance_type
        self.method = method
        self.known_sd = known_sd
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval
        self.accelerate = accelerate
        self.on_degenerate = on_degenerate
        self.device = device

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the mixture.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows inside the set; rows of weight zero may lie anywhere.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.

        Returns
        -------
        self : TruncatedGaussianMixture
        """
        self._fit(X, sample_weight)
        return self

    @with_callbacks
    def fit_predict(self, X: Any, y: Any = None, sample_weight: Any = None) -> NDArray[np.int64]:
        """Estimate the mixture and return the most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
        y : ignored
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        rows = self._fit(X, sample_weight)
        return self._row_outputs().labels(rows)

    def _fit(self, X: Any, sample_weight: Any) -> NDArray[Any]:
        self._check_arguments()
        checks.refuse_known_sd(self._name, self.method, self.known_sd)
        rows = self._sample_matrix(X, reset=True, least=2)
        weight = self._weights(sample_weight, len(rows))
        support = checks.make_support(
            self._name, self.support, self.lower, self.upper, rows.shape[1]
        )
        checks.refuse_outside(self._name, support, rows, weight)
        source = self._source(rows, weight)
        talk = Talk(self._name, self.verbose, self.verbose_interval)
        tasks = FitTasks(self, X, sample_weight, self.max_iter + 1)
        model = self._model(source, support)
        fitted = self._by_method(model, source, together(talk, tasks))
        tasks.close()
        talk.close(fitted.fit.report)
        self._publish(model, source, support, fitted)
        return rows

    def _by_method(
        self, model: TruncatedMixture, source: ArraySource, progress: Any
    ) -> TruncatedFit:
        sweep = LocalSweep(model, source)
        options = Options(
            self.tol, self.max_iter + 1, self.accelerate, source.log_jacobian, progress
        )
        if self.method == "moments":
            checks.refuse_moments(self._name, source.n_features, self.n_components)
            known = None if self.known_sd is None else self.known_sd * float(source.scale[0])
            return fit_moments(model, source, sweep, known, options)
        warm = bool(self.warm_start) and self.__sklearn_is_fitted__()
        starts = [self._warm(model, source)] if warm else self._starts(model, source)
        return fit_truncated(model, sweep, starts, options)

    def _publish(
        self,
        model: TruncatedMixture,
        source: ArraySource,
        support: Support,
        fitted: TruncatedFit,
    ) -> None:
        report = fitted.fit.report
        self._publish_fit(model, source, fitted.fit, report)
        self.support_ = checks.published(support)
        self.information_condition_ = fitted.known.condition
        self._warn(report, fitted.known)

    def _warn(self, report: Report, known: Knowledge) -> None:
        lines = []
        if not report.converged and self.max_iter > 0:
            lines.append(f"did not converge. {report.outcome.value} {self._to_come(report)}")
        if known.evidence:
            lines.append(
                f"the rows do not determine the parameters: {known.evidence}. The set is "
                "too small, or there are too many components; use fewer of them or tied "
                "covariances."
            )
            self.report_ = report.with_diagnosis((lines[-1],))
        for line in lines:
            warnings.warn(f"{self._name}: {line}", ConvergenceWarning, stacklevel=5 + WRAPPERS)
