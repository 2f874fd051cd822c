"""`CensoredGaussianMixture`: mixtures fitted to rows whose cells are partly known by bounds."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pyestim.data.cells import CellSource, CellTable
from pyestim.data.source import ArraySource
from pyestim.engine.drive import Fit
from pyestim.engine.report import Report
from pyestim.estimators import _gaussian_checks as checks
from pyestim.estimators._base import Array
from pyestim.estimators._callbacks import WRAPPERS, with_callbacks
from pyestim.estimators._censored_queries import CellQueries
from pyestim.estimators._summary import Summary
from pyestim.estimators.gaussian_mixture import GaussianMixture
from pyestim.models.cells import CellMixture, widened
from pyestim.models.knowledge import Knowledge
from pyestim.models.mixture import Mixture, MixtureParams
from pyestim.models.mixture_information import knowledge, standard_errors
from pyestim.models.start import make_starts

#: Reserved arguments of `GaussianMixture` are not arguments here.
RULES = {
    name: rule
    for name, rule in checks.RULES.items()
    if name not in ("missing", "noise", "prior", "fixed", "device")
}

#: Where there are so many times as many rows as these, these tell how well parameters are known.
LARGE, SAMPLE_ROWS = 2, 1024


class MixtureErrors(NamedTuple):
    """Standard errors in the shapes of the attributes that they belong to.

    Attributes
    ----------
    weights, means, covariances : ndarray
    """

    weights: Array
    means: Array
    covariances: Array


class CensoredGaussianMixture(CellQueries, GaussianMixture):
    """Gaussian mixture for rows whose cells are exact, censored by bounds, or missing.

    Maximises ``sum_i s_i log sum_k w_k N(x_io; mu_k, Sigma_k) P_k(l_ic < x_ic < u_ic | x_io)`` over
    weights, means and covariances: the density of the exact cells o of each row times the
    probability of its censored ones c, given these. A missing cell lies between minus and plus
    infinity. Where a row was seen because it lies in a box, its likelihood is divided by the
    probability of the box.

    Parameters
    ----------
    n_components : int, default=1
        Number of components k.
    covariance_type : {"full", "tied", "diag", "spherical"}, default="full"
        A matrix for each component, one for all, variances by column, one variance.
    tol : float, default=1e-3
        Bound on the estimated gain of the mean log-likelihood that is still to come (nats per row).
    reg_covar : float, default=1e-6
        Least eigenvalue of a covariance, relative to the variance of its columns.
    max_iter : int, default=100
        Most EM steps; 0 publishes the start.
    n_init : int, default=1
        Number of starts; they share each pass over the rows, and the best fit is kept.
    init_params : {"kmeans", "k-means++", "random", "random_from_data"} or array, default="kmeans"
        Start, made of middles of intervals, ends of half-lines and column medians in the place of
        cells that are not exact; or labels (n,), or responsibilities (n, k).
    weights_init, means_init, precisions_init : array-like, optional
        Parts of the start, in the shapes of ``weights_``, ``means_``, ``precisions_``.
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
    on_degenerate : {"regularize", "drop", "reseed", "raise"}, default="regularize"
        Fate of a component that collapsed or lost its rows.

    Attributes
    ----------
    weights_ : ndarray of shape (k,)
        Of the whole mixture, seen or not; they sum to one.
    means_ : ndarray of shape (k, d)
        Same unit as X.
    covariances_, precisions_, precisions_cholesky_ : ndarray
        As in `GaussianMixture`.
    converged_, n_iter_, lower_bound_, lower_bounds_, report_ :
        Account of the fit, as in `GaussianMixture`.
    n_parameters_ : int
        Free parameters.
    n_features_in_, feature_names_in_ :
        Number of columns; their names if the rows are a data frame.

    Raises
    ------
    ValueError
        From ``fit``: bad arguments or bounds, or a likelihood without a maximum, as where every
        cell of a column is censored on the same side.

    Notes
    -----
    EM: cells that are not exact take part with ``E[x]`` and ``E[x x']`` given what is known of
    their row, which are exact for one column, for covariances without correlations, and for rows
    with at most two censored cells; more of them in one row are integrated by a fixed lattice.
    Rows that are exact throughout cost what they cost in `GaussianMixture`, and without any other
    row the fit is the same. The rows are copied once, sorted by which cells are exact.

    References
    ----------
    Dempster, Laird & Rubin (1977), Maximum likelihood from incomplete data via the EM algorithm.
    doi:10.1111/j.2517-6161.1977.tb01600.x
    Lee & Scott (2012), EM algorithms for multivariate Gaussian mixture models with truncated and
    censored data. doi:10.1016/j.csda.2012.03.003

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import CensoredGaussianMixture
    >>> edges = np.array([-np.inf, 1.0, 2.0, 3.0, 4.0, 5.0, np.inf])
    >>> counts = [8, 20, 5, 4, 18, 10]
    >>> binned = CensoredGaussianMixture(2, tol=1e-6, random_state=0)
    >>> binned = binned.fit(lower=edges[:-1], upper=edges[1:], sample_weight=counts)
    >>> print(np.sort(binned.means_[:, 0]).round(1))
    [1.4 4.7]
    """

    _model_class = CellMixture
    _rules = RULES

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
        on_degenerate: str = "regularize",
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
        self.on_degenerate = on_degenerate

    @with_callbacks
    def fit(
        self,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> Self:
        """Estimate the mixture.

        Parameters
        ----------
        X : array-like of shape (n, d) or scipy.stats.CensoredData, optional
            Exact rows; what a bound is that is not given. Not needed where both are.
        y : ignored
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts, such as the counts of binned data.
        lower, upper : array-like of shape (n, d), optional
            Bounds of the cells, of shape (n,) also for one column: equal where a cell is exact,
            one of them infinite where it is left- or right-censored, both where it is missing.
        trunc_lower, trunc_upper : float or array-like of shape (d,) or (n, d), optional
            A row would not have been seen had it lain outside of this box. Infinite by default.

        Returns
        -------
        self : CensoredGaussianMixture

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first, or the rows do not determine the parameters; the
            message says what to change.
        """
        self._fit_cells(X, (lower, upper, trunc_lower, trunc_upper), sample_weight)
        return self

    @with_callbacks
    def fit_predict(
        self,
        X: Any = None,
        y: Any = None,
        sample_weight: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> NDArray[np.int64]:
        """Estimate the mixture and return the most probable component of each row.

        Parameters
        ----------
        X, y, sample_weight, lower, upper, trunc_lower, trunc_upper :
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        table = self._fit_cells(X, (lower, upper, trunc_lower, trunc_upper), sample_weight)
        return self._row_outputs().labels_of(table)

    def _fit_cells(self, X: Any, bounds: tuple[Any, ...], sample_weight: Any) -> CellTable:
        self._check_arguments()
        table = self._table(X, *bounds, reset=True, least=2)
        weight = self._weights(sample_weight, len(table))
        source = self._cell_source(table, weight)
        self._refuse_few(source, weight)
        self._maximise(source, X, sample_weight)
        return table

    def _cell_source(self, table: CellTable, weight: Array | None) -> CellSource:
        isotropic = self.covariance_type == "spherical"
        return CellSource(table, weight, isotropic=isotropic, owner=self._name)

    def _estimated_starts(
        self, model: Mixture, source: ArraySource, means: Array | None
    ) -> list[MixtureParams]:
        assert isinstance(source, CellSource) and isinstance(model, CellMixture)
        if isinstance(self.init_params, str):
            starts = super()._estimated_starts(model, source, means)
        else:
            weight = source.sample_weight
            weight = None if weight is None else source.table.put_back(weight)
            shape = (source.n_rows, self.n_components)
            init = checks.check_assignment(self._name, self.init_params, *shape, weight)
            init = np.ascontiguousarray(source.table.take(init))
            starts = make_starts(model, source, init, 1, np.random.RandomState(0))
        return [widened(model, source, start) for start in starts]

    def _publish(
        self, model: Mixture, source: ArraySource, fit: Fit[MixtureParams], report: Report
    ) -> None:
        self._publish_fit(model, source, fit, report)
        lines = []
        if not report.converged and self.max_iter > 0:
            lines.append(f"did not converge. {report.outcome.value} {self._to_come(report)}")
        elif report.converged and (evidence := self._evidence(source, fit.params)):
            lines.append(
                f"the rows do not determine the parameters: {evidence}. Bounds are too wide, "
                "bins or boxes too few or too small, or there are too many components; use fewer "
                "of them, tied covariances, or rows that say more."
            )
            self.report_ = report.with_diagnosis((lines[-1],))
        for line in lines:
            warnings.warn(f"{self._name}: {line}", ConvergenceWarning, stacklevel=5 + WRAPPERS)

    def _evidence(self, source: ArraySource, params: MixtureParams) -> str:
        """What shows that the parameters are not known; empty where they are."""
        assert isinstance(source, CellSource)
        if source.cells is None:
            return ""
        if len(source.scaleless):
            return (
                f"all cells of column {source.scaleless[0]} may have the same value, so that the "
                "likelihood does not fall as its variance vanishes"
            )
        floored = params.component.covariance.n_floored
        if floored is not None and floored.any():
            return ""  # the floor holds what the rows do not, and the report says so
        return self._knowledge(source).evidence

    def _knowledge(self, source: CellSource) -> Knowledge:
        """How well the rows determine the published parameters; some of many rows tell."""
        if source.n_effective > LARGE * SAMPLE_ROWS:
            rows = source.spread_indices(SAMPLE_ROWS)
            weight = None if source.sample_weight is None else source.sample_weight[rows]
            try:
                some = self._cell_source(source.table.part(rows), weight)
            except ValueError:  # the few rows that bound a column are not among them
                return self._knowledge_of(source, 1.0)
            known = self._knowledge_of(some, some.weight_sum / source.weight_sum)
            if not known.evidence:
                return known
        return self._knowledge_of(source, 1.0)

    def _knowledge_of(self, source: CellSource, share: float) -> Knowledge:
        model = self._model(source)
        return knowledge(model, source, self._warm(model, source), share)

    def standard_errors(
        self,
        X: Any = None,
        sample_weight: Any = None,
        *,
        lower: Any = None,
        upper: Any = None,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
    ) -> MixtureErrors:
        """Return standard errors of all parameters, from the observed information.

        The information is the negative second derivative of the log-likelihood, by central
        differences of its analytic gradient; errors of the published parameters by the delta
        method. Valid for large n at a regular maximum. Weights count repeated rows.

        Parameters
        ----------
        X, sample_weight, lower, upper, trunc_lower, trunc_upper :
            The data of the fit, as in `fit`.

        Returns
        -------
        errors : MixtureErrors
            NaN where the likelihood is flat or not at a maximum.

        Warns
        -----
        ConvergenceWarning
            Some are NaN; the message says why.
        """
        bounds = (lower, upper, trunc_lower, trunc_upper)
        _, table, weight = self._asked_cells(X, *bounds, sample_weight=sample_weight)
        lost = int(np.count_nonzero(np.asarray(self.weights_) == 0.0))
        if lost:
            raise ValueError(
                f"{self._name}: {lost} of {len(self.weights_)} components have the weight zero, "
                "and nothing is known about them. Fit fewer components."
            )
        source = self._cell_source(table, weight)
        model = self._model(source)
        params = self._warm(model, source)
        errors = MixtureErrors(*standard_errors(model, source, params))
        if any(np.isnan(part).any() for part in errors):
            warnings.warn(
                f"{self._name}: standard errors are NaN where the likelihood is flat, or not "
                "concave, at the parameters: the rows do not determine them, or the fit stopped "
                "before its maximum. Lower tol, or use fewer components.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return errors

    def summary(self) -> Summary:
        """Return the estimates of every component as text and HTML.

        Returns
        -------
        summary : Summary
            Weights, means and standard deviations (unit of X) and the account of the fit;
            `standard_errors` has the errors.
        """
        errors = "Standard errors: standard_errors(...) with the data of the fit."
        return self._summary("Censored Gaussian mixture", errors)
