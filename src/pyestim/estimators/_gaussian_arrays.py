"""Gaussian mixtures as arrays that users see, and may set by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.data.source import ArraySource
from pyestim.engine.drive import Fit
from pyestim.engine.report import Report
from pyestim.estimators._base import Array, integer, shown
from pyestim.estimators._density import DensityQueries
from pyestim.estimators._summary import Summary, summarise
from pyestim.models import gaussian_forms as forms
from pyestim.models.gaussian_forms import CovarianceType, GaussianForm, NotPositiveDefinite
from pyestim.models.mixture import Mixture, MixtureParams
from pyestim.models.row_outputs import RowOutputs


class GaussianArrays(DensityQueries):
    """Weights, means, covariances and their factors, published and read back."""

    covariance_type: Any
    random_state: Any
    weights_: Array
    means_: Array
    covariances_: Array
    precisions_: Array
    precisions_cholesky_: Array

    @property
    def n_parameters_(self) -> int:  # type: ignore[override]
        """Free parameters: weights, means, covariances of the components that are in use."""
        self._require_fit()
        means = np.asarray(self.means_)
        alive = int(np.count_nonzero(self.weights_))
        return forms.n_parameters(self.covariance_type, alive, means.shape[1])

    def _row_outputs(self) -> RowOutputs:
        return RowOutputs(*self._factored())

    def _factored(self) -> tuple[Array, Array, Array, CovarianceType]:
        """Weights, means, factors and covariance type, as `RowOutputs` takes them."""
        weights = np.asarray(self.weights_, dtype=np.float64)
        means = np.asarray(self.means_, dtype=np.float64)
        factor = np.asarray(self.precisions_cholesky_, dtype=np.float64)
        self._check_attributes(weights, means, factor, "precisions_cholesky_")
        return weights, means, factor, self.covariance_type

    def _check_attributes(self, weights: Array, means: Array, third: Array, name: str) -> None:
        """Attributes may have been set by hand: their shapes must fit together."""
        k, d = means.shape if means.ndim == 2 else (-1, -1)
        shape = forms.form_shape(self.covariance_type, k, d)
        if weights.shape != (k,) or third.shape != shape:
            raise ValueError(
                f"{self._name}: weights_ (k,), means_ (k, d) and {name} {shape} of covariance_type="
                f"{self.covariance_type!r} must fit together, got {weights.shape}, {means.shape} "
                f"and {third.shape}."
            )
        if not all(np.isfinite(part).all() for part in (weights, means, third)):
            raise ValueError(f"{self._name}: weights_, means_ and {name} must be finite.")

    def _form(self) -> GaussianForm:
        self._require_fit()
        if not hasattr(self, "covariances_"):
            raise AttributeError(
                f"{self._name}: expected the attribute covariances_, which was not set. Use "
                "from_params to build a mixture from arrays."
            )
        weights = np.asarray(self.weights_, dtype=np.float64)
        means = np.asarray(self.means_, dtype=np.float64)
        covariances = np.asarray(self.covariances_, dtype=np.float64)
        self._check_attributes(weights, means, covariances, "covariances_")
        return GaussianForm(weights, means, covariances, self.covariance_type)

    def _check_state(self) -> None:
        """Raise where the arrays of the fitted state do not fit together."""
        self._form()
        self._row_outputs()

    def _set_form(self, form: GaussianForm, factor: Array | None = None) -> None:
        """Publish parameters; ``factor`` is their ``precisions_cholesky`` where it is known."""
        if factor is None:
            try:
                factor = forms.precisions_cholesky(form.covariances, form.covariance_type)
            except NotPositiveDefinite as error:
                raise ValueError(f"{self._name}: {error}") from None
        # Copies: neither the caller's arrays nor those of another mixture may change this one.
        self.weights_ = form.weights.copy()
        self.means_ = form.means.copy()
        self.covariances_ = form.covariances.copy()
        self.precisions_cholesky_ = factor
        self.precisions_ = forms.precisions(factor, form.covariance_type)
        self.n_features_in_ = form.means.shape[1]

    def _publish_fit(
        self, model: Mixture, source: ArraySource, fit: Fit[MixtureParams], report: Report
    ) -> None:
        """Publish the parameters of a fit and its account."""
        params = fit.params
        isotropic = self.covariance_type == "spherical"
        factor = params.factors * (source.scale[0] if isotropic else source.scale)
        if self.covariance_type in ("full", "tied"):
            factor = np.ascontiguousarray(np.swapaxes(factor, -1, -2))
        parts = model.to_user(params, source.centre, source.scale)
        self._set_form(GaussianForm(*parts, self.covariance_type), factor)
        self.converged_ = report.converged
        self.n_iter_ = report.sweeps - 1
        self.lower_bound_ = fit.objective
        # What was before a repair is not comparable with what came after it.
        bounds = report.trace if report.events else np.maximum.accumulate(report.trace)
        self.lower_bounds_ = [float(bound) for bound in bounds[1:]]
        self.report_ = report

    def _summary(self, title: str, errors: str) -> Summary:
        """Table of the estimates; ``errors`` says where standard errors are."""
        names, report = (getattr(self, name, None) for name in ("feature_names_in_", "report_"))
        form, n_parameters = self._form(), self.n_parameters_
        return summarise(form, names, n_parameters, report, title=title, errors=errors)

    def _n_draws(self, n_samples: Any) -> int:
        if not integer(1).holds(n_samples):
            raise ValueError(
                f"{self._name}: Invalid value for 'n_samples': expected an integer of at least 1, "
                f"got {shown(n_samples)}."
            )
        return int(n_samples)
