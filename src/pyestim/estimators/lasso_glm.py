"""`LassoGLM`: one penalised generalised linear model; the mathematics is in the layers below."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from pyestim.estimators import _glm_checks as checks
from pyestim.estimators import _glm_solve as engine
from pyestim.estimators._base import Array
from pyestim.estimators._glm_base import PenalisedGLM
from pyestim.estimators._glm_inference import GLMInference
from pyestim.estimators._glm_path import GLMPath


class PathMaker(PenalisedGLM):
    """The work of `glm_path`: arguments as attributes, so that they are checked in one place."""

    _name = "glm_path"

    def __init__(self, family: str = "gaussian", **arguments: Any) -> None:
        self.family = family
        self.__dict__.update(arguments)

    def path(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        offset: Any,
        *,
        alphas: Any,
        n_alphas: int,
        eps: float,
    ) -> GLMPath:
        """Fit along a sequence of penalties."""
        self.n_alphas, self.eps = n_alphas, eps
        data = self._training(X, y, sample_weight, offset)
        given = checks.check_alphas(self._name, alphas)
        problem = self._problem(data)
        grid = engine.grid(self, problem, n_alphas, eps) if given is None else given
        path = engine.solve(self, data, problem, grid, early_stop=given is None)
        engine.warn_if_short(self._name, path.report, 3)
        return path


class LassoGLM(GLMInference):
    """Lasso-penalised generalised linear model, certified by its duality gap.

    Minimises, with ``W = sum_i w_i``,
    ``sum_i w_i loss(y_i, o_i + b + x_i' beta) / W
    + alpha sum_j v_j (l1_ratio |beta_j| + (1 - l1_ratio) beta_j^2 / 2)``,
    where ``loss`` is the negative log-likelihood at unit dispersion: the scale of scikit-learn's
    `Lasso` and of glmnet. A classifier for the families of labels, a regressor for the others.

    Parameters
    ----------
    family : {"gaussian", "binomial", "poisson", "gamma", "multinomial", "cox"}, default="gaussian"
        Distribution of y: identity link, logit, log, log, softmax (symmetric, one predictor for
        each class), and proportional hazards (partial likelihood, no intercept).
    alpha : float, default=1.0
        Penalty; 0 is plain maximum likelihood.
    l1_ratio : float, default=1.0
        Share of the Lasso in the penalty, from 0 (ridge) to 1.
    penalty : {"l1", "adaptive", "mcp", "scad", "group"}, default="l1"
        ``|beta_j|``, or one that shrinks large coefficients less: ``"adaptive"`` divides it by
        the coefficient of a first Lasso (the one that BIC chooses; what it leaves out stays out);
        MCP and SCAD are not convex, and a local minimum near the Lasso path is found. ``"group"``
        (multinomial) takes the Euclidean norm of a column's coefficients over the classes: a
        column is in or out.
    concavity : float, optional
        Shape of MCP (above 1, default 3) and SCAD (above 2, default 3.7).
    penalty_weights : array-like of shape (p,), optional
        v: 0 leaves a coefficient unpenalised, infinity excludes it. Not rescaled.
    fit_intercept : bool, default=True
        The intercept is not penalised. Cox models have none.
    standardize : bool, default=False
        Penalise the coefficients of columns divided by their (weighted) standard deviation;
        ``coef_`` is in the units of X all the same. Nothing is copied.
    lower, upper : float or array-like of shape (p,), optional
        Bounds of the coefficients; zero must lie between them.
    ties : {"breslow", "efron"}, default="breslow"
        Events at equal times of Cox models.
    tol : float, default=1e-7
        Relative duality gap: the objective is at most ``tol`` above its minimum, in units of the
        loss of the null model above the saturated one.
    max_iter : int, default=10000
        Most iterations of the solver.
    warm_start : bool, default=False
        Begin at the present coefficients.

    Attributes
    ----------
    coef_ : ndarray of shape (p,), (1, p) for binomial or (K, p) for multinomial
        Unit of y, or of the linear predictor, per unit of X.
    intercept_ : float, or ndarray of shape (1,) or (K,)
        In the shape that scikit-learn's linear models give.
    sparse_coef_ : csr_array
        The same coefficients, sparse.
    classes_ : ndarray of shape (K,)
        Labels, of classifiers.
    dual_gap_ : float
        Relative duality gap of the result; for penalties that are not convex the violation of the
        optimality conditions.
    converged_ : bool
        Whether it is at most ``tol``.
    n_iter_ : int
    report_ : GLMReport
        Account of the fit, with the name of the solver. Print it.
    deviance_ratio_ : float
        Share of the deviance of the intercept alone that the fit explains.
    n_parameters_ : int
        Coefficients that are not zero, intercepts, and the dispersion where it is estimated.
    dispersion_ : float
        Residual variance (gaussian), dispersion (gamma), 1 for the others.
    baseline_times_, baseline_hazard_ : ndarray of shape (m,)
        Cox: times of events, and the cumulative hazard where the linear predictor is zero.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    See Also
    --------
    LassoGLMCV : Chooses ``alpha``.
    glm_path : All penalties at once.

    Notes
    -----
    Gaussian: the exact path (homotopy) on the columns that a strong rule leaves, down to
    ``alpha``; other families: proximal Newton steps over coordinate descent on working sets. A
    dense X is read a few times; sparse X is never made dense.

    References
    ----------
    Tibshirani (1996), Regression shrinkage and selection via the Lasso.
    doi:10.1111/j.2517-6161.1996.tb02080.x
    Friedman, Hastie & Tibshirani (2010), Regularization paths for generalized linear models via
    coordinate descent. doi:10.18637/jss.v033.i01

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import LassoGLM
    >>> X = np.random.RandomState(0).normal(size=(100, 5))
    >>> model = LassoGLM(alpha=0.1).fit(X, 1 + X[:, 0] - 2 * X[:, 3])
    >>> print(np.flatnonzero(model.coef_), model.dual_gap_ < 1e-7)
    [0 3] True
    """

    _saved_state = (
        *("coef_", "intercept_", "classes_", "dual_gap_", "converged_", "n_iter_", "report_"),
        *("deviance_ratio_", "n_parameters_", "dispersion_"),
        *("baseline_times_", "baseline_hazard_", "n_features_in_", "feature_names_in_"),
    )

    def __init__(
        self,
        family: str = "gaussian",
        *,
        alpha: float = 1.0,
        l1_ratio: float = 1.0,
        penalty: str = "l1",
        concavity: float | None = None,
        penalty_weights: Any = None,
        fit_intercept: bool = True,
        standardize: bool = False,
        lower: Any = None,
        upper: Any = None,
        ties: str = "breslow",
        tol: float = 1e-7,
        max_iter: int = 10000,
        warm_start: bool = False,
    ) -> None:
        self.family = family
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.penalty = penalty
        self.concavity = concavity
        self.penalty_weights = penalty_weights
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.lower = lower
        self.upper = upper
        self.ties = ties
        self.tol = tol
        self.max_iter = max_iter
        self.warm_start = warm_start

    def fit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Self:
        """Estimate the coefficients.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
            float32 or float64 in any order, or sparse; not copied.
        y : array-like of shape (n,), or (n, 2) for Cox
            Values; two labels (binomial), labels (multinomial), counts (poisson), positive values
            (gamma). Cox: columns time and event (1 seen, 0 censored), or a structured array with
            a time and a boolean event, or times alone where nothing is censored.
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.
        offset : array-like of shape (n,), optional
            Known part of the linear predictor; (n, K) for K classes of a multinomial model.

        Returns
        -------
        self : LassoGLM

        Raises
        ------
        ValueError
            Bad arguments or data, or an unpenalised likelihood without a maximum.

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first; the message says what to change.
        """
        warm = self._warm() if self.warm_start and self.__sklearn_is_fitted__() else None
        data = self._training(X, y, sample_weight, offset)
        problem = self._problem(data)
        start = None if warm is None else engine.warm_point(self._name, problem, *warm)
        path = engine.solve(self, data, problem, np.array([float(self.alpha)]), start)
        self._publish_point(path, 0)
        self._publish_baseline(data)
        engine.warn_if_short(self._name, path.report, 2)
        return self

    def _warm(self) -> tuple[Array, Array]:
        """Present coefficients (K, p) and intercepts (K,)."""
        return np.atleast_2d(self.coef_), np.atleast_1d(self.intercept_)
