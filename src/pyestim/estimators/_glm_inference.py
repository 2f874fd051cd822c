"""What follows a penalised fit: publication of a point, second fits, intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from pyestim.estimators._base import Array, shown
from pyestim.estimators._glm_path import GLMPath
from pyestim.estimators._glm_predict import GLMQueries
from pyestim.estimators._glm_report import GLMReport
from pyestim.estimators._glm_summary import summarise
from pyestim.estimators._summary import Summary


@dataclass(frozen=True)
class DebiasedLasso:
    """Estimates of single coefficients with normal errors, from `LassoGLM.debiased`.

    Attributes
    ----------
    features : ndarray of int of shape (m,)
        Columns.
    names : tuple of str
        Their names.
    estimate : ndarray of shape (m,)
        Desparsified coefficients, unit of y per unit of X.
    standard_error : ndarray of shape (m,)
    noise_sd : float
        Standard deviation of the noise that the errors are based on.
    bias_factor : ndarray of shape (m,)
        The bias is at most this times the standard error (per unit of noise) times the l1 error
        of the Lasso; small against ``sqrt(n)`` where the method works.
    """

    features: NDArray[np.intp]
    names: tuple[str, ...]
    estimate: Array
    standard_error: Array
    noise_sd: float
    bias_factor: Array

    def conf_int(self, level: float = 0.95) -> Array:
        """Return the intervals.

        Parameters
        ----------
        level : float, default=0.95
            Coverage of each interval by itself.

        Returns
        -------
        interval : ndarray of shape (m, 2)
        """
        if not 0 < level < 1:
            raise ValueError(f"DebiasedLasso: level must lie between 0 and 1, got {shown(level)}.")
        half = norm.isf((1 - level) / 2) * self.standard_error
        return np.column_stack([self.estimate - half, self.estimate + half])

    @property
    def p_value(self) -> Array:
        """Two-sided p-values of "the coefficient is zero", (m,); not corrected for their number."""
        return np.asarray(2.0 * norm.sf(np.abs(self.estimate) / self.standard_error))

    def __str__(self) -> str:
        wide = max(6, *(len(name) for name in self.names))
        lines = [f"{'column':<{wide}} {'estimate':>10} {'se':>10} {'95 % interval':>24} {'p':>9}"]
        for name, value, error, (low, high), p in zip(
            *(self.names, self.estimate, self.standard_error, self.conf_int(), self.p_value),
            strict=True,
        ):
            interval = f"[{low:.4g}, {high:.4g}]"
            lines.append(f"{name:<{wide}} {value:>10.4g} {error:>10.3g} {interval:>24} {p:>9.2g}")
        return "\n".join(lines)


class GLMInference(GLMQueries):
    """Publishes a fit, fits its support again, and gives intervals."""

    _needed = ("coef_", "intercept_")

    def _publish_point(self, path: GLMPath, index: int) -> None:
        """Take one fit of a path as the result."""
        p = path.n_features
        coef = path.sparse_coefs[:, [index]].toarray().ravel()
        if self.family == "multinomial":
            self.coef_, self.intercept_ = coef.reshape(-1, p), path.intercepts[:, index].copy()
        elif self.family == "binomial":
            self.coef_, self.intercept_ = coef[None], path.intercepts[[index]]
        else:
            self.coef_, self.intercept_ = coef, float(path.intercepts[index])
        if path.classes is not None:
            self.classes_ = path.classes
        self.dual_gap_ = float(path.duality_gap[index])
        self.n_iter_ = max(int(path.n_iter[index]), 1)
        self.converged_ = bool(self.dual_gap_ <= self.tol)
        self.deviance_ratio_ = float(path.deviance_ratio[index])
        self.n_parameters_ = int(path.n_parameters[index])
        self.dispersion_ = float(path.dispersion[index])
        self.report_: GLMReport = path.report
        self.n_features_in_ = p
        if path.feature_names is not None:
            self.feature_names_in_ = path.feature_names

    def _check_state(self) -> None:
        """Refuse fitted attributes from a file that do not belong together."""
        p, several = self.n_features_in_, self.family in ("binomial", "multinomial")
        rows = len(self.classes_) if self.family == "multinomial" else 1
        shape = (rows, p) if several else (p,)
        coef, intercept = np.asarray(self.coef_), np.asarray(self.intercept_)
        if coef.shape != shape or intercept.shape != shape[:-1]:
            raise ValueError(
                f"{self._name}: expected coef_ of shape {shape}, got {coef.shape} with an "
                f"intercept_ of shape {intercept.shape}."
            )
        if not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
            raise ValueError(f"{self._name}: expected finite coefficients, got others.")

    def summary(self) -> Summary:
        """Return the coefficients that are not zero as a table, in text and in HTML.

        Returns
        -------
        summary : Summary
            Without standard errors: see `debiased` and `relaxed`.
        """
        self._require_fit()
        return summarise(self)

    def relaxed(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> Any:
        """Return the model whose support is fitted again without a penalty.

        Parameters
        ----------
        X, y, sample_weight, offset :
            The data of the fit.

        Returns
        -------
        model : LassoGLM
            Its other coefficients are zero.

        Raises
        ------
        ValueError
            The support has no unpenalised maximum: more columns than rows, or separable classes.

        Notes
        -----
        The penalty pulls large coefficients towards zero; the second fit takes that bias away and
        adds variance. Standard errors, tests and ``aic`` of the second fit that treat the support
        as given are too optimistic, because the same rows chose it. They are right where other
        rows chose it.

        References
        ----------
        Meinshausen (2007), Relaxed Lasso. doi:10.1016/j.csda.2006.12.019
        """
        from pyestim.estimators._glm_relax import refit_model

        self._require_fit()
        return refit_model(self, X, y, sample_weight, offset)

    def debiased(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        offset: Any = None,
        *,
        features: Any = None,
        noise: str | float = "scaled",
        n_jobs: int | None = None,
    ) -> DebiasedLasso:
        """Return estimates of single coefficients with standard errors (desparsified Lasso).

        ``b_j = beta_j + z_j' r / z_j' x_j`` with the residual ``r`` of this fit and the residual
        ``z_j`` of a Lasso of column j on the others; ``se_j = sigma |z_j| / |z_j' x_j|``.

        Parameters
        ----------
        X, y, sample_weight, offset :
            The data of the fit.
        features : array-like, optional
            Columns (numbers, mask or names) to estimate; default all. Each takes a path of its
            own.
        noise : {"scaled", "residual"} or float, default="scaled"
            Standard deviation of the noise: by the scaled Lasso; from the residuals of this fit,
            divided by n less the number of coefficients (for a fit that cross-validation chose);
            or a known number.
        n_jobs : int, optional
            Columns at a time, by threads.

        Returns
        -------
        debiased : DebiasedLasso

        Raises
        ------
        ValueError
            Another family than Gaussian, or data of another shape.

        Notes
        -----
        The intervals hold for each coefficient by itself, asymptotically, if (1) the mean of y is
        linear in X with s coefficients that matter and ``s log p`` is small against ``sqrt(n)``;
        (2) errors are independent of X with equal variance, normal or with light tails; (3) no
        column is nearly a combination of the others (compatibility), and each column's regression
        on the others is sparse or n is large; (4) the penalty of this fit is of the order
        ``sigma sqrt(2 log p / n)``, as of `LassoGLMCV`. A single fixed column is meant: the
        smallest of many p-values needs a correction.

        References
        ----------
        Zhang & Zhang (2014), Confidence intervals for low dimensional parameters in high
        dimensional linear models. doi:10.1111/rssb.12026
        van de Geer, Buehlmann, Ritov & Dezeure (2014), On asymptotically optimal confidence
        regions and tests for high-dimensional models. doi:10.1214/14-AOS1221

        Examples
        --------
        >>> import numpy as np
        >>> from pyestim import LassoGLMCV
        >>> rng = np.random.RandomState(0)
        >>> X = rng.normal(size=(100, 150))
        >>> y = X[:, 0] + rng.normal(size=100)
        >>> result = LassoGLMCV().fit(X, y).debiased(X, y, features=[0, 1])
        >>> low, high = result.conf_int().T
        >>> print((low < [1, 0]) & ([1, 0] < high))
        [ True  True]
        """
        from pyestim.estimators._glm_debias import debias

        return debias(self, X, y, sample_weight, offset, features, noise, n_jobs)
