"""`glm_path`: fits along a sequence of penalties, and what they say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from pyestim.estimators import _glm_checks as checks
from pyestim.estimators._base import Array
from pyestim.estimators._glm_report import GLMReport
from pyestim.penalised import criteria


@dataclass(frozen=True)
class GLMPath:
    """Penalised fits along a sequence of penalties, made by `glm_path` and `LassoGLMCV`.

    Attributes
    ----------
    family : str
    alphas : ndarray of shape (n_alphas,)
        Penalties, falling.
    sparse_coefs : csc_array of shape (p, n_alphas) or (K p, n_alphas)
        Coefficients in the units of X, one fit a column; the K classes below each other.
    intercepts : ndarray of shape (n_alphas,) or (K, n_alphas)
    deviance_ratio : ndarray of shape (n_alphas,)
        Share of the deviance of the intercept that the fit explains.
    df : ndarray of shape (n_alphas,)
        Number of columns with a coefficient that is not zero.
    duality_gap : ndarray of shape (n_alphas,)
        Relative: what the objective can still fall at most, in units of the loss of the null
        model above the saturated one. For penalties that are not convex it is the violation of
        the optimality conditions, in units of the penalty.
    n_iter : ndarray of shape (n_alphas,)
    log_likelihood : ndarray of shape (n_alphas,)
        Nats, summed over rows; the partial one for Cox.
    n_parameters : ndarray of shape (n_alphas,)
        Coefficients that are not zero, intercepts, and a dispersion where one is estimated.
    dispersion : ndarray of shape (n_alphas,)
        Maximum-likelihood estimate; one for the families that have none.
    null_deviance : float
        Deviance of the intercept alone, per unit weight.
    n_effective : float
        Sum of the weights; of those of events for Cox.
    n_features : int
    classes : ndarray or None
    feature_names : ndarray or None
    report : GLMReport
        Whether to trust it. Print it.

    See Also
    --------
    pyestim.plot.PathDisplay : The picture.
    """

    family: str
    alphas: Array
    sparse_coefs: Any
    intercepts: Array
    deviance_ratio: Array
    df: NDArray[np.int64]
    duality_gap: Array
    n_iter: NDArray[np.int64]
    log_likelihood: Array
    n_parameters: NDArray[np.int64]
    dispersion: Array
    null_deviance: float
    n_effective: float
    n_features: int
    classes: Any
    feature_names: Any
    report: GLMReport
    #: Arguments of the fits, for what is made from the path.
    arguments: dict[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.alphas)

    @cached_property
    def coefs(self) -> Array:
        """Coefficients as an array: (p, n_alphas), or (K, p, n_alphas) for K classes."""
        dense: Array = self.sparse_coefs.toarray()
        if self.intercepts.ndim == 1:
            return dense
        return dense.reshape(len(self.intercepts), self.n_features, len(self.alphas))

    def linear_predictor(self, X: Any) -> Array:
        """Return the linear predictors of all fits: (n, n_alphas), or (n, K, n_alphas).

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n, p)
        """
        X = X if sparse.issparse(X) else np.asarray(X)
        if self.intercepts.ndim == 1:
            return np.asarray(X @ self.sparse_coefs) + self.intercepts
        p = self.n_features
        blocks = [
            np.asarray(X @ self.sparse_coefs[k * p : (k + 1) * p]) + self.intercepts[k]
            for k in range(len(self.intercepts))
        ]
        return np.stack(blocks, axis=1)

    def criterion(self, name: str = "bic", *, gamma: float = 1.0) -> Array:
        """Return an information criterion of every fit; smaller is better.

        Parameters
        ----------
        name : {"aic", "bic", "ebic"}, default="bic"
            ``-2 l + 2 k``; ``-2 l + k log n``; the latter plus ``2 gamma log binomial(p, df)``.
        gamma : float, default=1.0
            Of the extended criterion; 0 is BIC.

        Returns
        -------
        value : ndarray of shape (n_alphas,)

        Notes
        -----
        The number of coefficients that are not zero is an unbiased estimate of the degrees of
        freedom of the Lasso for Gaussian data; with ``l1_ratio < 1`` it is too large, so that the
        criteria then lean to smaller models.

        References
        ----------
        Zou, Hastie & Tibshirani (2007), On the "degrees of freedom" of the lasso.
        doi:10.1214/009053607000000127
        """
        if name not in checks.CRITERIA:
            raise ValueError(f"GLMPath: criterion must be one of {checks.CRITERIA}, got {name!r}.")
        return criteria.criterion(
            name,
            self.log_likelihood,
            self.n_parameters,
            self.n_effective,
            self.df,
            self.n_features,
            gamma,
        )

    def select(self, name: str = "bic", *, gamma: float = 1.0) -> int:
        """Return the index of the fit that a criterion prefers: the largest penalty among equals.

        Parameters
        ----------
        name : {"aic", "bic", "ebic"}, default="bic"
        gamma : float, default=1.0
            Of the extended criterion.

        Returns
        -------
        index : int
        """
        return int(np.argmin(self.criterion(name, gamma=gamma)))

    def at(self, index: int) -> Any:
        """Return one fit as a `LassoGLM`, ready to predict.

        Parameters
        ----------
        index : int
            Position in ``alphas``, for instance from `select`.

        Returns
        -------
        model : LassoGLM
        """
        from pyestim.estimators.lasso_glm import LassoGLM

        model = LassoGLM(**{**self.arguments, "alpha": float(self.alphas[index])})
        model._publish_point(self, index % len(self.alphas))
        return model

    def refit(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> GLMPath:
        """Return the relaxed path: each support fitted again without a penalty.

        Parameters
        ----------
        X, y, sample_weight, offset :
            The data that the path was made from.

        Returns
        -------
        path : GLMPath
            The same penalties and supports; where the support has no unpenalised maximum (more
            columns than rows, separable classes) the penalised fit stays, and a note in the
            report says so.

        Notes
        -----
        The penalty shrinks what it keeps; the second fit takes the bias away and adds variance.
        Standard errors and tests of the second fit that treat the support as given are too small:
        the same data chose it. They hold for a support that other rows chose, or, for fixed p and
        growing n, where the support is selected consistently.

        References
        ----------
        Meinshausen (2007), Relaxed Lasso. doi:10.1016/j.csda.2006.12.019
        """
        from pyestim.estimators._glm_relax import refit_path

        return refit_path(self, X, y, sample_weight, offset)


def glm_path(
    X: Any,
    y: Any,
    family: str = "gaussian",
    *,
    alphas: Sequence[float] | None = None,
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
    sample_weight: Any = None,
    offset: Any = None,
    tol: float = 1e-7,
    max_iter: int = 10000,
) -> GLMPath:
    """Fit a penalised generalised linear model along a sequence of penalties.

    Minimises, for each ``alpha`` and with ``W = sum_i w_i``,
    ``sum_i w_i loss(y_i, o_i + b + x_i' beta) / W
    + alpha sum_j v_j (l1_ratio |beta_j| + (1 - l1_ratio) beta_j^2 / 2)``,
    where ``loss`` is the negative log-likelihood at unit dispersion.

    Parameters
    ----------
    X : array-like or sparse matrix of shape (n, p)
        float32 or float64 in any order, or sparse (compressed columns are read as they are);
        never copied, never made dense.
    y : array-like of shape (n,) or (n, 2)
        Response, as in `LassoGLM.fit`.
    family : str, default="gaussian"
        As in `LassoGLM`.
    alphas : sequence of float, optional
        Penalties; default ``n_alphas`` of them from the smallest one that holds all penalised
        coefficients at zero down to ``eps`` times it, in equal ratios. The path then ends early
        where it explains no more of the deviance.
    n_alphas : int, default=100
    eps : float, default=1e-3
    l1_ratio, penalty, concavity, penalty_weights, fit_intercept, standardize, lower, upper, ties :
        As in `LassoGLM`.
    sample_weight : array-like of shape (n,), optional
        Number of times that each row counts.
    offset : array-like of shape (n,), optional
        Known part of the linear predictor.
    tol : float, default=1e-7
        Relative duality gap of every fit.
    max_iter : int, default=10000
        Most iterations of one fit.

    Returns
    -------
    path : GLMPath

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import glm_path
    >>> X = np.random.RandomState(0).normal(size=(100, 5))
    >>> path = glm_path(X, X[:, 0] - 2 * X[:, 3] + 1, n_alphas=30)
    >>> print(path.df[0], path.df[-1], path.intercepts[-1].round(2))
    0 2 1.0
    """
    from pyestim.estimators.lasso_glm import PathMaker

    maker = PathMaker(
        family,
        l1_ratio=l1_ratio,
        penalty=penalty,
        concavity=concavity,
        penalty_weights=penalty_weights,
        fit_intercept=fit_intercept,
        standardize=standardize,
        lower=lower,
        upper=upper,
        ties=ties,
        tol=tol,
        max_iter=max_iter,
    )
    return maker.path(X, y, sample_weight, offset, alphas=alphas, n_alphas=n_alphas, eps=eps)
