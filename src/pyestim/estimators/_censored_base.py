"""The fit of a censored regression, and what is published of it."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pyestim import _core
from pyestim.data.censored import CensoredChunk, CensoredSource
from pyestim.engine.report import Report
from pyestim.estimators import _censored_checks as checks
from pyestim.estimators._base import Array, Estimator
from pyestim.estimators._callbacks import WRAPPERS, CallbackSupport, FitTasks
from pyestim.models.censored_fit import CensoredFit, fit_censored
from pyestim.models.censored_kernels import censored_rows
from pyestim.models.error_laws import shape_of


class Asked(NamedTuple):
    """Checked rows of a question.

    Attributes
    ----------
    X : ndarray of shape (n, p), or None for a model without columns
    n : int
    offset : ndarray of shape (n,), or None
    """

    X: NDArray[Any] | None
    n: int
    offset: Array | None


class CensoredBase(CallbackSupport, Estimator):
    """Base of `CensoredRegressor`: arguments, data, the fit."""

    _rules = checks.RULES
    _needed = ("coef_", "intercept_", "scale_")

    distribution: str
    df: float | None
    scale: float | None
    fit_intercept: bool
    tol: float
    max_iter: int
    warm_start: bool

    coef_: Array
    intercept_: float
    scale_: float
    df_: float
    covariance_: Array
    n_parameters_: int

    def _check_state(self) -> None:
        """Refuse fitted attributes whose shapes do not agree, as a damaged file has them."""
        if np.shape(self.coef_) != (self.n_features_in_,) or not self.scale_ > 0:
            raise ValueError(
                f"Expected {self.n_features_in_} slopes and a scale above 0, got shape "
                f"{np.shape(self.coef_)} and {self.scale_}."
            )

    # -- the fit ----------------------------------------------------------------------------------

    def _fit(self, X: Any, y: Any, lower: Any, upper: Any, sample_weight: Any, offset: Any) -> None:
        self._check_arguments()
        warm = bool(self.warm_start) and self.__sklearn_is_fitted__()
        start = (self.intercept_, self.coef_, self.scale_) if warm else None
        rows = self._columns_of(X, reset=True)
        n = None if rows is None else len(rows)
        limits = checks.check_responses(self._name, y, lower, upper, n)
        n = len(limits.lower)
        weight = self._weights(sample_weight, n)
        shifts = checks.check_offset(self._name, offset, n)
        self._check_start(start)
        source = CensoredSource(
            *(rows, limits.lower, limits.upper, weight, shifts),
            intercept=bool(self.fit_intercept),
            owner=self._name,
        )
        checks.check_sides(self._name, source)
        most = int(self.max_iter) + 1
        tasks = FitTasks(self, X, sample_weight, most)
        found = fit_censored(
            *(source, self.distribution, None if self.df is None else float(self.df)),
            None if self.scale is None else float(self.scale),
            start=start,
            tol=float(self.tol),
            max_sweeps=most,
            progress=tasks,
        )
        tasks.close()
        self._publish(found, source)

    def _columns_of(self, X: Any, *, reset: bool) -> NDArray[Any] | None:
        """X, or None where the model has no columns."""
        if X is None:
            if reset:
                self.n_features_in_ = 0
                self.__dict__.pop("feature_names_in_", None)
            elif self.n_features_in_:
                raise ValueError(
                    f"{self._name}: X must have {self.n_features_in_} columns as in fit, got None."
                )
            return None
        return self._sample_matrix(X, reset=reset, least=2 if reset else 1)

    def _check_start(self, start: tuple[float, Array, float] | None) -> None:
        if start is not None and len(start[1]) != self.n_features_in_:
            raise ValueError(
                f"{self._name}: warm_start=True expects the {len(start[1])} columns of the last "
                f"fit, got {self.n_features_in_}. Set warm_start=False."
            )

    def _publish(self, found: CensoredFit, source: CensoredSource) -> None:
        model, fit = found.model, found.fit
        self.intercept_, self.coef_, self.scale_ = model.to_user(fit.params, source)
        self.__dict__.pop("df_", None)
        if self.distribution == "t":
            self.df_ = found.df
        self.covariance_ = found.covariance
        self.n_parameters_ = found.n_parameters
        self.n_exact_, self.n_interval_ = source.n_exact, source.n_interval
        self.n_left_, self.n_right_ = source.n_left, source.n_right
        self.converged_ = fit.report.converged
        self.n_iter_ = max(fit.report.sweeps - 1, 1)  # least squares is a step
        self.lower_bound_ = fit.objective
        self.report_ = fit.report
        self._warn(fit.report, found.without_maximum)

    def _warn(self, report: Report, without_maximum: tuple[str, ...]) -> None:
        level = 4 + WRAPPERS
        for line in without_maximum:
            warnings.warn(f"{self._name}: {line}", ConvergenceWarning, stacklevel=level)
        if report.converged or self.max_iter == 0:
            return
        warnings.warn(
            f"{self._name}: {report.outcome.value} About {report.remaining:.1e} nats per row were "
            f"still to come after {self.n_iter_} iterations, tol is {self.tol:.1e}.",
            ConvergenceWarning,
            stacklevel=level,
        )

    # -- questions --------------------------------------------------------------------------------

    def _asked(self, X: Any, offset: Any, n: int | None = None) -> Asked:
        """Check the rows of a question; n is their number where there are no columns."""
        self._require_fit()
        rows = self._columns_of(X, reset=False)
        if rows is not None:
            n = len(rows)
        elif n is None:
            n = 1 if offset is None else len(np.atleast_1d(offset))
        return Asked(rows, n, checks.check_offset(self._name, offset, n))

    def _location(self, asked: Asked) -> Array:
        """Linear predictor with its offset: (n,)."""
        location = np.full(asked.n, float(self.intercept_))
        if asked.X is not None:
            location += asked.X @ np.asarray(self.coef_, dtype=np.float64)
        return location if asked.offset is None else location + asked.offset

    @property
    def _law(self) -> tuple[str, float]:
        """Name of the law and its degrees of freedom."""
        return self.distribution, float(getattr(self, "df_", 4.0))

    def _derivatives(self, asked: Asked, limits: checks.Responses) -> Array:
        """Log-likelihood of each row, and its derivatives by the kernels' coordinates: (n, 6)."""
        X = np.broadcast_to(np.zeros((1, 1)), (asked.n, 1)) if asked.X is None else asked.X
        d = X.shape[1]
        rows = _core.native.Rows(X, None, np.zeros(d), np.ones(d))
        chunk = CensoredChunk(rows, limits.lower, limits.upper, asked.offset, 0.0, 1.0, 0, asked.n)
        slopes = np.zeros(d)
        slopes[: len(self.coef_)] = self.coef_
        coef = np.append(float(self.intercept_), slopes)[None] / self.scale_
        out = np.empty((asked.n, 6))
        law, df = self._law
        shape = shape_of(law, df)[None]
        censored_rows(chunk, law, coef, np.array([1.0 / self.scale_]), shape, out)
        return out

    def _seen(
        self, X: Any, y: Any, lower: Any, upper: Any, offset: Any
    ) -> tuple[Asked, checks.Responses]:
        self._require_fit()
        rows = self._columns_of(X, reset=False)
        n = None if rows is None else len(rows)
        limits = checks.check_responses(self._name, y, lower, upper, n)
        n = len(limits.lower)
        return Asked(rows, n, checks.check_offset(self._name, offset, n)), limits
