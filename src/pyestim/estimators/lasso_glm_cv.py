"""`LassoGLMCV`: a penalty chosen by cross-validation or by an information criterion."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from pyestim.estimators import _glm_checks as checks
from pyestim.estimators import _glm_cv as cross
from pyestim.estimators import _glm_solve as engine
from pyestim.estimators._base import Array
from pyestim.estimators._glm_inference import GLMInference
from pyestim.estimators._glm_path import GLMPath


class LassoGLMCV(GLMInference):
    """Lasso-penalised generalised linear model whose penalty the data chooses.

    One path on all rows gives the grid and the coefficients; one warm-started path for each fold
    gives the held-out deviance of every penalty.

    Parameters
    ----------
    family : {"gaussian", "binomial", "poisson", "gamma", "multinomial", "cox"}, default="gaussian"
        As in `LassoGLM`.
    alphas : array-like of shape (n_alphas,), optional
        Penalties to choose from; default a grid from the data, the same for all folds.
    n_alphas : int, default=100
        Length of that grid.
    eps : float, default=1e-3
        Smallest penalty of the grid, relative to the largest.
    l1_ratio, penalty, concavity, penalty_weights, fit_intercept, standardize, lower, upper, ties :
        As in `LassoGLM`.
    cv : int, splitter or iterable, default=5
        Folds as in scikit-learn; an integer stratifies by class for classifiers.
    rule : {"min", "1se", "aic", "bic", "ebic"}, default="min"
        The lowest held-out deviance; the largest penalty within one standard error of it; or an
        information criterion on the path of all rows, for which no folds are fitted.
    tol, max_iter :
        As in `LassoGLM`.
    n_jobs : int, optional
        Folds fitted at a time, by threads.

    Attributes
    ----------
    alpha_ : float
        The penalty that was chosen.
    alphas_ : ndarray of shape (n_alphas,)
        The grid, falling.
    alpha_min_, alpha_1se_ : float
        What the two rules choose.
    cv_deviance_ : ndarray of shape (n_alphas, n_folds)
        Held-out deviance per unit weight of each fold (Cox: per event, what the rows held out add
        to the partial likelihood, times -2).
    cv_deviance_mean_, cv_deviance_se_ : ndarray of shape (n_alphas,)
        Mean over the folds, weighted by what they hold out, and its standard error.
    path_ : GLMPath
        The path on all rows.
    coef_path_ : ndarray of shape (p, n_alphas), or (K, p, n_alphas)
        Its coefficients.
    coef_, intercept_, sparse_coef_, classes_, dual_gap_, converged_, n_iter_, report_ :
        As in `LassoGLM`, of the fit that was chosen.
    deviance_ratio_, n_parameters_, dispersion_, baseline_times_, baseline_hazard_ :
        As in `LassoGLM`.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    See Also
    --------
    LassoGLM : A penalty that is given.
    pyestim.plot.PathDisplay : The path and the curve as pictures.

    Notes
    -----
    The chosen penalty minimises an estimate of the error of prediction: it tends to keep more
    columns than matter. "1se" and "ebic" choose smaller models.

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import LassoGLMCV
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(100, 20))
    >>> y = X[:, 0] - 2 * X[:, 3] + rng.normal(size=100)
    >>> model = LassoGLMCV(rule="1se").fit(X, y)
    >>> print(np.flatnonzero(model.coef_))
    [0 3]
    """

    _saved_state = (
        *("coef_", "intercept_", "classes_", "dual_gap_", "converged_", "n_iter_", "report_"),
        *("deviance_ratio_", "n_parameters_", "dispersion_", "alpha_", "alpha_min_", "alpha_1se_"),
        *("cv_deviance_", "cv_deviance_mean_", "cv_deviance_se_", "path_"),
        *("baseline_times_", "baseline_hazard_", "n_features_in_", "feature_names_in_"),
    )

    def __init__(
        self,
        family: str = "gaussian",
        *,
        alphas: Any = None,
        n_alphas: int = 100,
        eps: float = 1e-3,
        l1_ratio: float = 1.0,
        penalty: str = "l1",
        concavity: float | None = None,
        penalty_weights: Any = None,
        fit_intercept: bool = True,
        standardize: bool = False,
        lower: Any = None,
        upper: Any = None,
        ties: str = "breslow",
        cv: Any = 5,
        rule: str = "min",
        tol: float = 1e-7,
        max_iter: int = 10000,
        n_jobs: int | None = None,
    ) -> None:
        self.family = family
        self.alphas = alphas
        self.n_alphas = n_alphas
        self.eps = eps
        self.l1_ratio = l1_ratio
        self.penalty = penalty
        self.concavity = concavity
        self.penalty_weights = penalty_weights
        self.fit_intercept = fit_intercept
        self.standardize = standardize
        self.lower = lower
        self.upper = upper
        self.ties = ties
        self.cv = cv
        self.rule = rule
        self.tol = tol
        self.max_iter = max_iter
        self.n_jobs = n_jobs

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None, groups: Any = None
    ) -> Self:
        """Choose the penalty and estimate the coefficients.

        Parameters
        ----------
        X, y, sample_weight, offset :
            As in `LassoGLM.fit`. Weights count in the fits and in the held-out deviance.
        groups : array-like of shape (n,), optional
            Passed to the splitter.

        Returns
        -------
        self : LassoGLMCV

        Raises
        ------
        ValueError
            Bad arguments or data; a fold that lacks a class, or an event.

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first; the message says what to change.
        """
        data = self._training(X, y, sample_weight, offset)
        given = checks.check_alphas(self._name, self.alphas)
        folds = [] if self.rule in checks.CRITERIA else cross.folds_of(self, data, self.cv, groups)
        problem = self._problem(data)
        alphas = given
        if alphas is None:
            alphas = engine.grid(self, problem, int(self.n_alphas), float(self.eps))
        path = engine.solve(self, data, problem, alphas, early_stop=given is None)
        index = self._choose(data, path, folds)
        self.path_ = path
        self.alpha_ = float(path.alphas[index])
        self._publish_point(path, index)
        self._publish_baseline(data)
        engine.warn_if_short(self._name, path.report, 2)
        return self

    def _choose(self, data: Any, path: GLMPath, folds: Any) -> int:
        """Return the position of the penalty that the rule prefers."""
        for name in ("alpha_min_", "alpha_1se_", "cv_deviance_"):
            self.__dict__.pop(name, None)
        for name in ("cv_deviance_mean_", "cv_deviance_se_"):
            self.__dict__.pop(name, None)
        if self.rule in checks.CRITERIA:
            return path.select(self.rule)
        curve = cross.held_out(self, data, folds, path.alphas, self.n_jobs)
        # Fits are certified to tol: means that differ by less are equal.
        least, sparser = cross.choose(curve, float(self.tol) * max(path.null_deviance, 0.0))
        self.alpha_min_ = float(path.alphas[least])
        self.alpha_1se_ = float(path.alphas[sparser])
        self.cv_deviance_ = np.ascontiguousarray(curve.by_fold.T)
        self.cv_deviance_mean_, self.cv_deviance_se_ = curve.mean, curve.se
        return least if self.rule == "min" else sparser

    @property
    def alphas_(self) -> Array:
        """Penalties of the path, falling."""
        return self.path_.alphas

    @property
    def coef_path_(self) -> Array:
        """Coefficients of every penalty: (p, n_alphas), or (K, p, n_alphas)."""
        return self.path_.coefs
