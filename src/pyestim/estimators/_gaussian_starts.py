"""What fits of Gaussian mixtures begin with: rows, a model, and parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyestim.data.source import ArraySource
from pyestim.engine.report import Report
from pyestim.estimators import _gaussian_checks as checks
from pyestim.estimators._base import Array, random_numbers
from pyestim.estimators._gaussian_arrays import GaussianArrays
from pyestim.models.gates import ConstantGate
from pyestim.models.gaussian import GaussianComponent
from pyestim.models.mixture import Mixture, MixtureParams
from pyestim.models.start import assigned, make_starts, with_given

M = TypeVar("M", bound=Mixture)


class GaussianStarts(GaussianArrays):
    """Rows, models and starting parameters from the arguments of a constructor."""

    n_components: int
    n_init: int
    init_params: Any
    weights_init: Any
    means_init: Any
    precisions_init: Any
    tol: float
    reg_covar: float
    on_degenerate: str
    n_iter_: int

    def _source(self, X: NDArray[Any], weight: Array | None) -> ArraySource:
        isotropic = self.covariance_type == "spherical"
        source = ArraySource(X, weight, isotropic=isotropic, owner=self._name)
        self._refuse_few(source, weight)
        return source

    def _refuse_few(self, source: ArraySource, weight: Array | None) -> None:
        least = max(2, self.n_components)
        if source.n_effective < least:
            of_weight = "" if weight is None else " of positive weight"
            raise ValueError(
                f"{self._name}: Expected n_samples >= n_components and at least two rows"
                f"{of_weight}, but got n_components = {self.n_components}, "
                f"n_samples = {source.n_effective}."
            )

    def _assembled(self, model_class: Callable[..., M], source: ArraySource, *parts: Any) -> M:
        """Model of these rows; ``parts`` are what its class takes beside gate and component."""
        component = GaussianComponent(
            self.covariance_type,
            self.n_components,
            source.n_features,
            floor_sd=source.floor_sd,
            reg_covar=self.reg_covar,
        )
        gate = ConstantGate(self.n_components)
        row_weight = min(1.0, source.weight_sum / source.n_effective)
        options = {"on_degenerate": self.on_degenerate, "row_weight": row_weight}
        return model_class(gate, component, *parts, **options)

    def _starts(self, model: Mixture, source: ArraySource) -> list[MixtureParams]:
        k, d = self.n_components, source.n_features
        kind = self.covariance_type
        weights = self._given(checks.check_weights, self.weights_init, k)
        means = self._given(checks.check_means, self.means_init, k, d)
        covariances = self._given(checks.check_precisions, self.precisions_init, kind, k, d)
        if means is not None:
            checks.check_near(self._name, "means_init", means, source)
        if weights is not None and means is not None and covariances is not None:
            return [model.from_user(weights, means, covariances, source.centre, source.scale)]
        starts = self._estimated_starts(model, source, means)
        if weights is None and means is None and covariances is None:
            return starts
        given = {"weights": weights, "means": means, "covariances": covariances}
        return [with_given(model, source, start, **given) for start in starts]

    def _estimated_starts(
        self, model: Mixture, source: ArraySource, means: Array | None
    ) -> list[MixtureParams]:
        if not isinstance(self.init_params, str):
            init = checks.check_assignment(
                self._name,
                self.init_params,
                source.n_rows,
                self.n_components,
                source.sample_weight,
            )
            return make_starts(model, source, init, 1, random_numbers(None))
        if means is not None:
            centres = np.ascontiguousarray((means - source.centre) * source.scale)
            return assigned(model, source, "nearest", centres[None])
        rng = random_numbers(self.random_state)
        return make_starts(model, source, self.init_params, self.n_init, rng)

    def _given(self, check: Any, value: Any, *shape: Any) -> Array | None:
        return None if value is None else check(self._name, value, *shape)

    def _warm(self, model: Mixture, source: ArraySource) -> MixtureParams:
        form = self._form()
        k, d = self.n_components, source.n_features
        if form.means.shape != (k, d):
            raise ValueError(
                f"{self._name}: warm_start=True expects n_components and the columns of X to stay "
                f"as they were, {form.means.shape}, got ({k}, {d}). Set warm_start=False."
            )
        checks.check_near(self._name, "means_", form.means, source)
        return model.from_user(*form[:3], source.centre, source.scale)

    def _to_come(self, report: Report) -> str:
        known = np.isfinite(report.remaining)
        rest = f"About {report.remaining:.1e}" if known else "An unknown number of"
        return (
            f"{rest} nats per row were still to come after {self.n_iter_} iterations, "
            f"tol is {self.tol:.1e}."
        )
