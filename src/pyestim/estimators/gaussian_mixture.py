"""`GaussianMixture`: validates, chooses, publishes; the mathematics is in the layers below."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pyestim.data.source import ArraySource
from pyestim.engine.drive import Fit, maximise
from pyestim.engine.progress import Talk, together
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stop import AitkenMonitor, Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.estimators import _gaussian_checks as checks
from pyestim.estimators._callbacks import WRAPPERS, CallbackSupport, FitTasks, with_callbacks
from pyestim.estimators._gaussian_algebra import GaussianAlgebra
from pyestim.estimators._gaussian_starts import GaussianStarts
from pyestim.models.mixture import Mixture, MixtureParams

NOT_CONVERGED = (
    "Best performing initialization did not converge. Try different init parameters, or increase "
    "max_iter, tol, or check for degenerate data."
)


class GaussianMixture(CallbackSupport, GaussianStarts, GaussianAlgebra):
    """Gaussian mixture, fitted by maximum likelihood with an accelerated EM algorithm.

    ``p(x) = sum_k w_k N(x; mu_k, Sigma_k)``, maximised over weights, means and covariances.
    A drop-in for `sklearn.mixture.GaussianMixture`: names, defaults and shapes are the same.

    Parameters
    ----------
    n_components : int, default=1
        Number of components k.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        A matrix for each component, one for all, variances by column, one variance.
    tol : float, default=1e-3
        Bound on the estimated gain of the mean log-likelihood that is still to come (nats per
        row): not on the last gain, so that neither many rows nor slow progress end a fit early.
    reg_covar : float, default=1e-6
        Least eigenvalue of a covariance, relative to the variance of its columns. A fit that stays
        above it is the exact maximum: nothing is added to the diagonal. Zero leaves 1e-12.
    max_iter : int, default=100
        Most EM steps; 0 publishes the start.
    n_init : int, default=1
        Number of starts; they share each pass over the rows, and the best fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array, default="kmeans"
        Start: clusters, seeds, random responsibilities, random rows; labels of shape (n,) or
        responsibilities of shape (n, k), of which one M-step is made.
    weights_init, means_init, precisions_init : array-like, optional
        Parts of the start, in the shapes of ``weights_``, ``means_``, ``precisions_``. With means
        alone, each row starts at its nearest mean.
    random_state : int, RandomState or None, default=None
        Seed of the start and of `sample`.
    warm_start : bool, default=False
        Begin at the present parameters and ignore ``n_init``.
    verbose : int, default=0
        Write progress to standard output: 1 says that, 2 also how far.
    verbose_interval : int, default=10
        Steps between two lines.
    accelerate : {"auto", "squarem", "anderson", None}, default="auto"
        Extrapolation of the EM steps, kept only where the likelihood allows it; None is plain EM.
    missing : {"error"}, default="error"
        What to do about NaN; later versions can do more.
    on_degenerate : {"regularize", "drop", "reseed", "raise"}, default="regularize"
        Fate of a component that collapsed or lost its rows: held on the floor of ``reg_covar``,
        given the weight zero, started again elsewhere, or an error.
    noise, prior, fixed : default False, None, None
        Reserved for later versions, which will accept more than these values.
    device : {None, "cpu"}, default=None
        Where to compute; this version knows the processor only.

    Attributes
    ----------
    weights_ : ndarray of shape (k,)
        They sum to one.
    means_ : ndarray of shape (k, d)
        Same unit as X.
    covariances_, precisions_, precisions_cholesky_ : ndarray
        Covariances, their inverses, and factors ``U`` with ``U U' = Sigma^-1``, of shape
        (k, d, d), (d, d), (k, d) or (k,) for full, tied, diag, spherical. Predictions follow from
        ``weights_``, ``means_`` and ``precisions_cholesky_``, which may be set by hand.
    converged_ : bool
        Whether the stopping criterion held.
    n_iter_ : int
        EM steps of the best start; one pass over the rows each, and one for the start.
    lower_bound_ : float
        Mean log-likelihood per row (nats) at the parameters that are published.
    lower_bounds_ : list of float
        The best one so far, after each step.
    report_ : Report
        Account of the fit: whether to trust it, and why. Print it.
    n_parameters_ : int
        Free parameters.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    Raises
    ------
    ValueError
        From ``fit``: bad arguments or data, with a sentence that says which and what to do.

    Notes
    -----
    One step reads the rows once: about ``n k (2 d^2 + 7 d)`` operations for full, ``8 n k d`` for
    diag, ``5 n k d`` for spherical and tied covariances (tied ``2 n d^2`` besides). Beside X it
    needs memory for the statistics, ``k d^2`` numbers for each thread, whatever n is. float32 rows
    are computed on as they are and give float64 parameters. The result is equal bit for bit for
    any number of threads.

    References
    ----------
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.
    doi:10.1111/j.2517-6161.1977.tb01600.x
    Varadhan & Roland (2008), Simple and globally convergent methods for accelerating the
    convergence of any EM algorithm. doi:10.1111/j.1467-9469.2007.00585.x

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import GaussianMixture
    >>> X = np.array([[1.0, 2.0], [1.0, 4.0], [1.2, 0.0], [10.0, 2.0], [10.5, 4.0], [10.0, 0.0]])
    >>> mixture = GaussianMixture(2, covariance_type="diag", random_state=0).fit(X)
    >>> print(np.sort(mixture.means_[:, 0]).round(3))
    [ 1.067 10.167]
    >>> mixture.converged_
    True
    """

    _rules = checks.RULES
    _model_class: type[Mixture] = Mixture
    _needed = ("weights_", "means_", "precisions_cholesky_")
    _saved_state = (
        *("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_"),
        *("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "report_"),
        *("n_features_in_", "feature_names_in_"),
    )

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: Any = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
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
        missing: str = "error",
        on_degenerate: str = "regularize",
        noise: bool = False,
        prior: Any = None,
        fixed: Any = None,
        device: str | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
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
        self.missing = missing
        self.on_degenerate = on_degenerate
        self.noise = noise
        self.prior = prior
        self.fixed = fixed
        self.device = device

    @with_callbacks
    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the mixture.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Rows in memory or memory-mapped, float32 or float64 in any order; not copied.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.

        Returns
        -------
        self : GaussianMixture

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first; the message says what to change.
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
            Number of times that each row counts.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        rows = self._fit(X, sample_weight)
        return self._row_outputs().labels(rows)

    def _fit(self, X: Any, sample_weight: Any) -> NDArray[Any]:
        self._check_arguments()
        rows = self._sample_matrix(X, reset=True, least=2)
        source = self._source(rows, self._weights(sample_weight, len(rows)))
        self._maximise(source, X, sample_weight)
        return rows

    def _maximise(self, source: ArraySource, X: Any, sample_weight: Any) -> None:
        model = self._model(source)
        sweep = LocalSweep(model, source)
        warm = bool(self.warm_start) and self.__sklearn_is_fitted__()
        starts = [self._warm(model, source)] if warm else self._starts(model, source)
        talk = Talk(self._name, self.verbose, self.verbose_interval)
        tasks = FitTasks(self, X, sample_weight, self.max_iter + 1)
        fit = maximise(
            model,
            sweep,
            starts,
            stop=Stop(self.tol),
            accelerate=self.accelerate,
            max_sweeps=self.max_iter + 1,
            progress=together(talk, tasks),
            offset=source.log_jacobian,
        )
        tasks.close()
        report = self._told(fit.report, source.mean_eps, warm)
        talk.close(report)
        self._publish(model, source, fit, report)

    def _model(self, source: ArraySource) -> Mixture:
        return self._assembled(self._model_class, source)

    def _told(self, report: Report, eps: float, warm: bool) -> Report:
        """Return the report, converged also where a warm-started series of fits is.

        A fit of one or two steps sees too few gains to judge by; those of its predecessors
        count as long as the rows are the same, which the objective of the start tells.
        """
        past = getattr(self, "_history", []) if warm else []
        plain = report.accepted == 0 and report.rejected == 0
        if not (past and plain and abs(past[-1] - report.trace[0]) <= 1e-9 * abs(past[-1])):
            self._history = list(report.trace)
            return report
        self._history = [*past, *report.trace[1:]]
        if report.outcome is not Outcome.MAX_SWEEPS or self.max_iter == 0:
            return report
        monitor = AitkenMonitor(self.tol, eps)
        held = [monitor.push(value) for value in self._history]
        if not any(held[len(past) :]):
            return report
        return replace(report, outcome=Outcome.CONVERGED, remaining=monitor.remaining)

    def _publish(
        self, model: Mixture, source: ArraySource, fit: Fit[MixtureParams], report: Report
    ) -> None:
        self._publish_fit(model, source, fit, report)
        if not report.converged and self.max_iter > 0:
            warnings.warn(
                f"{NOT_CONVERGED} {self._name}: {report.outcome.value} {self._to_come(report)}",
                ConvergenceWarning,
                stacklevel=5 + WRAPPERS,
            )
