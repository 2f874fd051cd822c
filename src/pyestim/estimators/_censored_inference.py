"""Standard errors, intervals and the table of a censored regression."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from pyestim.estimators._base import Array, normal_reach
from pyestim.estimators._censored_predict import CensoredPredictions
from pyestim.estimators._summary import Summary
from pyestim.models.censored_fit import standard_errors_of

#: Rows of the table that are shown.
MOST_ROWS = 60


class CensoredErrors(NamedTuple):
    """Standard errors in the shapes of the attributes that they belong to.

    Attributes
    ----------
    intercept : float
        Zero without an intercept.
    coef : ndarray of shape (p,)
    log_scale : float
        Of the logarithm of the scale; zero for a fixed one.
    log_df : float
        Of the logarithm of the degrees of freedom; zero for given ones.
    """

    intercept: float
    coef: Array
    log_scale: float
    log_df: float


class CensoredIntervals(NamedTuple):
    """Lower and upper ends in the shapes of the attributes that they belong to.

    Attributes
    ----------
    intercept : ndarray of shape (2,)
    coef : ndarray of shape (p, 2)
    scale : ndarray of shape (2,)
        From the logarithm, as the interval of df.
    df : ndarray of shape (2,)
        NaN but for Student's law.
    """

    intercept: Array
    coef: Array
    scale: Array
    df: Array


class CensoredInference(CensoredPredictions):
    """Inference from the observed information at the maximum."""

    def standard_errors(self) -> CensoredErrors:
        """Return standard errors from the inverse of the observed information.

        Returns
        -------
        errors : CensoredErrors
            NaN for what the data do not tell.
        """
        self._require_fit()
        found = iter(standard_errors_of(self.covariance_))
        intercept = next(found) if self.fit_intercept else 0.0
        coef = np.array([next(found) for _ in range(self.n_features_in_)])
        log_scale = next(found) if self.scale is None else 0.0
        log_df = next(found) if self.distribution == "t" and self.df is None else 0.0
        return CensoredErrors(intercept, coef, log_scale, log_df)

    def conf_int(self, level: float = 0.95) -> CensoredIntervals:
        """Return Wald intervals; those of the scale and of df are taken on their logarithm.

        Parameters
        ----------
        level : float, default=0.95

        Returns
        -------
        intervals : CensoredIntervals
        """
        errors = self.standard_errors()
        reach = normal_reach(self._name, level)
        df = getattr(self, "df_", np.nan)
        return CensoredIntervals(
            self.intercept_ + reach * errors.intercept,
            np.asarray(self.coef_)[:, None] + reach * errors.coef[:, None],
            self.scale_ * np.exp(reach * errors.log_scale),
            df * np.exp(reach * errors.log_df),
        )

    def summary(self) -> Summary:
        """Return a table of estimates with standard errors.

        Returns
        -------
        table : Summary
            Prints as text, and as HTML in a notebook.
        """
        self._require_fit()
        rows = list(self._lines())
        law = self.distribution if self.distribution != "t" else f"t, {self.df_:.5g} degrees"
        kinds = (
            f"{self.n_exact_} exact, {self.n_left_} left-, {self.n_right_} right-, "
            f"{self.n_interval_} interval-censored"
        )
        facts = (
            ("errors", law),
            ("rows", kinds),
            ("free parameters", str(self.n_parameters_)),
            ("mean log-likelihood", f"{self.lower_bound_:.8g} nats per row"),
        )
        notes = ["Standard errors: from the observed information."]
        if len(rows) > MOST_ROWS:
            notes.insert(0, f"The first {MOST_ROWS} of {len(rows)} parameters.")
        header = ("parameter", "estimate", "standard error", "z", "p")
        report = getattr(self, "report_", None)
        return Summary(
            "Censored regression", facts, header, tuple(rows[:MOST_ROWS]), tuple(notes), report
        )

    def _lines(self) -> Iterator[tuple[str, ...]]:
        errors = self.standard_errors()
        if self.fit_intercept:
            yield _line("intercept", self.intercept_, errors.intercept)
        names = getattr(self, "feature_names_in_", [f"x{j}" for j in range(len(self.coef_))])
        for name, value, spread in zip(names, self.coef_, errors.coef, strict=True):
            yield _line(str(name), value, spread)
        yield _line("log(scale)", np.log(self.scale_), errors.log_scale, test=False)
        if self.distribution == "t" and self.df is None:
            yield _line("log(df)", np.log(self.df_), errors.log_df, test=False)


def _line(name: str, value: Any, spread: float, *, test: bool = True) -> tuple[str, ...]:
    if not spread > 0:
        return (name, f"{value:.5g}", "", "", "")
    if not test:
        return (name, f"{value:.5g}", f"{spread:.3g}", "", "")
    z = value / spread
    return (name, f"{value:.5g}", f"{spread:.3g}", f"{z:.2f}", f"{2.0 * ndtr(-abs(z)):.3g}")
