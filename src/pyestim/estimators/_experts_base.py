"""What the mixtures of experts share: checked data, the fit, and what is published."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array

from pyestim.data.experts import ExpertSource
from pyestim.engine.drive import Fit
from pyestim.engine.report import Report
from pyestim.engine.sweep import LocalSweep
from pyestim.estimators import _experts_checks as checks
from pyestim.estimators._base import ROW_TYPES, Array, Estimator, aligned, random_numbers
from pyestim.estimators._callbacks import WRAPPERS, CallbackSupport, FitTasks
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_fit import fit_experts
from pyestim.models.expert_path import fit_wide
from pyestim.models.expert_rows import PublishedExperts
from pyestim.models.expert_solution import Effort, Solution
from pyestim.models.expert_space import is_wide
from pyestim.models.experts import ExpertMixture, ExpertParams


class Training(NamedTuple):
    """Checked data.

    Attributes
    ----------
    X : ndarray of shape (n, p)
    y : ndarray of shape (n,) or (n, r)
        As the kernels take it.
    Z : ndarray of shape (n, q)
        X itself where the gate has no covariates of its own.
    weight : ndarray of shape (n,), or None
    groups : ndarray of shape (n,), or None
    """

    X: NDArray[Any]
    y: Array
    Z: NDArray[Any]
    weight: Array | None
    groups: NDArray[Any] | None


class ExpertsBase(CallbackSupport, Estimator, ABC):
    """Base of the mixtures of experts.

    A sub-class has the arguments of `checks.RULES` as attributes, the property `_kernel_family`,
    and `_response`, which turns y into what the kernels take.
    """

    _rules = checks.RULES
    _needed: tuple[str, ...] = (
        "gate_intercept_",
        "gate_coef_",
        "expert_intercept_",
        "expert_coef_",
    )

    n_experts: int
    gate: str
    expert_l1: float
    gate_l1: float
    expert_l2: float
    gate_l2: float
    standardize: bool
    tol: float
    max_iter: int
    n_init: int
    random_state: Any
    accelerate: str | None
    warm_start: bool

    gate_intercept_: Array
    gate_coef_: Array
    expert_intercept_: Array
    expert_coef_: Array
    n_parameters_: int
    n_gate_features_in_: int
    own_gate_columns_: bool

    @property
    @abstractmethod
    def _kernel_family(self) -> str:
        """Family of the experts among the kernels."""

    @abstractmethod
    def _response(self, X: Any, y: Any, weight: Array | None, *, reset: bool) -> Array:
        """Check y and return it as the kernels take it; rows of weight zero are absent."""

    @abstractmethod
    def _published(self) -> PublishedExperts:
        """Return the parameters of the attributes, made anew so that those set by hand count."""

    def _check_arguments(self) -> None:
        for name, rule in self._rules.items():
            if hasattr(self, name) and not rule.holds(getattr(self, name)):
                raise ValueError(
                    f"{self._name}: {name} must be {rule.expected}, got {getattr(self, name)!r}."
                )

    def _check_state(self) -> None:
        """Refuse fitted attributes whose shapes do not agree, as a damaged file has them."""
        experts = self._published()
        k, (_, several, p) = len(experts.gate_intercept), experts.coef.shape
        shapes = (experts.gate_coef.shape, experts.intercept.shape, experts.coef.shape[:1])
        q = self.n_gate_features_in_
        if shapes != ((k, q), (k, several), (k,)) or p != self.n_features_in_:
            raise ValueError(f"Expected parameters of {k} experts, got shapes {shapes}.")

    # -- data -------------------------------------------------------------------------------------

    def _training(
        self, X: Any, y: Any, Z: Any, sample_weight: Any, groups: Any, *, reset: bool
    ) -> Training:
        rows = self._sample_matrix(X, reset=reset, least=2 if reset else 1)
        weight = self._weights(sample_weight, len(rows))
        response = self._response(rows, y, weight, reset=reset)
        gate_rows = self._gate_rows(rows, Z, reset=reset)
        labels = checks.check_groups(self._name, groups, len(rows))
        return Training(rows, response, gate_rows, weight, labels)

    def _gate_rows(self, X: NDArray[Any], Z: Any, *, reset: bool) -> NDArray[Any]:
        """Covariates of the gate: Z, or X where it has none of its own."""
        if Z is not None and self.gate == "constant":
            raise ValueError(
                f"{self._name}: gate='constant' reads no covariates, but Z was given. Leave Z "
                "out, or choose gate='softmax'."
            )
        if reset:
            self.own_gate_columns_ = Z is not None
        elif self.own_gate_columns_ != (Z is not None):
            raise ValueError(
                f"{self._name}: Z must be given as it was in fit: the gate reads "
                + ("columns of its own." if self.own_gate_columns_ else "the columns of X.")
            )
        if Z is None:
            self._count_columns(X.shape[1], reset)
            return X
        checked = check_array(Z, dtype=ROW_TYPES, ensure_2d=False, input_name="Z")
        rows = aligned(np.asarray(checked))
        if rows.ndim != 2:
            raise ValueError(
                f"{self._name}: Z must have two dimensions, one row for each row of X and one "
                f"column for each covariate, got shape {rows.shape}. For one covariate give "
                "Z.reshape(-1, 1)."
            )
        if len(rows) != len(X):
            raise ValueError(
                f"{self._name}: Z must have one row for each row of X, {len(X)}, got {len(rows)}."
            )
        self._count_columns(rows.shape[1], reset)
        return rows

    def _count_columns(self, q: int, reset: bool) -> None:
        q = 0 if self.gate == "constant" else q
        if reset:
            self.n_gate_features_in_ = q
        elif q != self.n_gate_features_in_:
            raise ValueError(
                f"{self._name}: Z must have {self.n_gate_features_in_} columns as in fit, got {q}."
            )

    # -- the fit ----------------------------------------------------------------------------------

    def _options(self) -> ExpertOptions:
        """What the mixture is, apart from its data."""
        return ExpertOptions(
            n_experts=int(self.n_experts),
            gate=self.gate,
            expert_l1=float(self.expert_l1),
            gate_l1=float(self.gate_l1),
            expert_l2=float(self.expert_l2),
            gate_l2=float(self.gate_l2) if self.gate == "softmax" else 0.0,
            standardize=bool(self.standardize),
        )

    def _source(self, data: Training) -> ExpertSource:
        return ExpertSource(
            *(data.X, data.y, data.Z, data.weight, data.groups),
            family=self._kernel_family,
            gated=self.gate == "softmax",
            owner=self._name,
        )

    def _fit(self, X: Any, y: Any, Z: Any, sample_weight: Any, groups: Any) -> None:
        self._check_arguments()
        warm = bool(self.warm_start) and self.__sklearn_is_fitted__()
        past = self._published() if warm else None
        data = self._training(X, y, Z, sample_weight, groups, reset=True)
        source = self._source(data)
        self._check_number_of_experts(source)
        options = self._options()
        gaussian = source.family == "gaussian"
        checks.check_penalties(self._name, options, len(source.y_scale) if gaussian else 1)
        if is_wide(source, options):
            return self._fit_wide(source, options)
        model = build_model(source, options)
        tasks = FitTasks(self, X, sample_weight, int(self.max_iter) + 1)
        fit = fit_experts(
            model,
            source,
            0 if warm else int(self.n_init),
            random_numbers(self.random_state),
            starts=[] if past is None else [self._warm(model, source, past)],
            tol=float(self.tol),
            accelerate=self.accelerate,
            max_sweeps=int(self.max_iter) + 1,
            progress=tasks,
        )
        tasks.close()
        self._publish(model, source, fit)

    def _fit_wide(self, source: ExpertSource, options: ExpertOptions) -> None:
        """Fit on the columns that may matter, along a short path; starts are looked for anew."""
        found = fit_wide(source, options, int(self.n_init), self._effort())
        self._publish(found.model, source, found.fit, found)

    def _effort(self) -> Effort:
        return Effort(
            float(self.tol),
            int(self.max_iter) + 1,
            random_numbers(self.random_state),
            self.accelerate,
        )

    def _check_number_of_experts(self, source: ExpertSource) -> None:
        units = source.n_effective
        what = "rows of positive weight"
        if source.groups is not None:
            units, what = int(np.count_nonzero(source.groups.weight)), "groups"
        if self.n_experts > units:
            raise ValueError(
                f"{self._name}: n_experts must be at most the number of {what}, {units}, got "
                f"{self.n_experts}."
            )

    def _warm(
        self, model: ExpertMixture, source: ExpertSource, past: PublishedExperts
    ) -> ExpertParams:
        found = (past.n_experts, past.coef.shape[2], past.gate_coef.shape[1], past.coef.shape[1])
        wanted = (
            *(model.n_experts, source.x.n_features, self.n_gate_features_in_),
            model.experts.n_linear,
        )
        if found != wanted:
            raise ValueError(
                f"{self._name}: warm_start=True expects experts, columns of X and Z and outputs to "
                f"stay as they were, {found}, got {wanted}. Set warm_start=False."
            )
        given = {
            "gate_intercept": past.gate_intercept,
            "gate_coef": past.gate_coef,
            "intercept": past.intercept,
            "coef": past.coef,
        }
        if past.covariance is not None:
            given["covariance"] = past.covariance
        return model.from_user(given, source)

    def _publish(
        self,
        model: ExpertMixture,
        source: ExpertSource,
        fit: Fit[ExpertParams],
        found: Solution | None = None,
    ) -> None:
        """Set the fitted attributes; of a fit on some of many columns from those."""
        every, source = source, source if found is None else found.source
        params = model.ordered(fit.params, source)
        # Once more in the order of what is published: sentences then name the right expert.
        (stats,) = LocalSweep(model, source)([params])
        published = model.to_user(params, source)
        if found is not None:
            published = found.spread(published, every)
        self._publish_parameters(published)
        self.weights_ = stats["resp_sum"] / stats.number("weight_sum")
        self.n_parameters_ = self._count(model, params)
        report = fit.report
        # Nothing new to say where nothing was wrong, unless another expert became the reference.
        if report.diagnosis or not model.gate.sparse:
            named = model.diagnose(fit.params, fit.stats)
            others = tuple(line for line in report.diagnosis if line not in named)
            report = replace(report, diagnosis=(*others, *model.diagnose(params, stats)))
        self.converged_ = report.converged
        self.n_iter_ = report.sweeps - 1
        self.lower_bound_ = fit.objective
        self.report_ = report
        self._warn(report)

    @abstractmethod
    def _publish_parameters(self, found: dict[str, Array]) -> None:
        """Set the attributes of gate and experts."""

    def _count(self, model: ExpertMixture, params: ExpertParams) -> int:
        """Free parameters: slopes that a Lasso penalty holds at zero are not free."""
        zero = 0
        if self.expert_l1 > 0:
            zero += int(np.sum(params.experts.coef[..., 1:] == 0.0))
        if self.gate_l1 > 0 and model.gate.gated:
            zero += int(np.sum(params.gate.coef[:-1, 1:] == 0.0))
        return model.n_parameters - zero

    def _warn(self, report: Report) -> None:
        if report.converged or self.max_iter == 0:
            return
        known = np.isfinite(report.remaining)
        rest = f"About {report.remaining:.1e}" if known else "An unknown number of"
        warnings.warn(
            f"{self._name}: {report.outcome.value} {rest} nats per row were still to come after "
            f"{self.n_iter_} iterations, tol is {self.tol:.1e}. Raise max_iter, or start more "
            "often (n_init).",
            ConvergenceWarning,
            stacklevel=4 + WRAPPERS,
        )
