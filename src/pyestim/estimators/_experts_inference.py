"""Standard errors and the table of a mixture of experts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from pyestim.estimators._base import Array, normal_reach
from pyestim.estimators._experts_predict import ExpertsQueries
from pyestim.estimators._summary import Summary
from pyestim.models.expert_build import build_model
from pyestim.models.expert_information import standard_errors

#: Rows of one table that are shown.
MOST_ROWS = 60


class ExpertErrors(NamedTuple):
    """Standard errors in the shapes of the attributes that they belong to.

    Attributes
    ----------
    gate_intercept, gate_coef, expert_intercept, expert_coef : ndarray
        Zero for the last expert's gate, which is the reference.
    expert_scale : ndarray or None
        Of the standard deviations of gaussian experts.
    """

    gate_intercept: Array
    gate_coef: Array
    expert_intercept: Array
    expert_coef: Array
    expert_scale: Array | None


class ExpertIntervals(NamedTuple):
    """Lower and upper ends, in the shapes of the attributes with a last axis of two.

    Attributes
    ----------
    gate_intercept, gate_coef, expert_intercept, expert_coef : ndarray
        Zeros for the last expert's gate, which is the reference.
    expert_scale : ndarray or None
        Of the standard deviations of gaussian experts, from their logarithms.
    """

    gate_intercept: Array
    gate_coef: Array
    expert_intercept: Array
    expert_coef: Array
    expert_scale: Array | None


class ExpertsInference(ExpertsQueries):
    """Standard errors and intervals from the observed information."""

    def standard_errors(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> ExpertErrors:
        """Return standard errors of all parameters, from the observed information.

        The information is the negative second derivative of the log-likelihood, by central
        differences of its analytic gradient. Valid for large n where the number of experts is the
        true one and they are distinct; not for more experts than there are, whose likelihood is
        flat, and not after a Lasso penalty has chosen slopes. Weights count repeated rows.

        Parameters
        ----------
        X, y, Z, sample_weight, groups :
            The data of the fit.

        Returns
        -------
        errors : ExpertErrors
            NaN where the likelihood is flat or not at a maximum.

        Raises
        ------
        ValueError
            After a Lasso penalty, or where experts have lost all of their rows.

        Notes
        -----
        Two evaluations per free parameter, which share the passes over the rows.
        """
        if self.expert_l1 > 0 or self.gate_l1 > 0:
            raise ValueError(
                f"{self._name}: standard errors are not valid for slopes that a Lasso penalty "
                "shrank and chose. Fit the chosen columns without it on other rows."
            )
        experts, data = self._seen(X, y, Z, sample_weight, groups)
        lost = int(np.count_nonzero(np.isneginf(experts.gate_intercept)))
        if lost:
            raise ValueError(
                f"{self._name}: {lost} of {experts.n_experts} experts have lost all of their rows, "
                "and nothing is known about them. Fit fewer experts."
            )
        source = self._source(data)
        model = build_model(source, self._options())
        params = self._warm(model, source, experts)
        found = standard_errors(model, source, params)
        scale = None
        if experts.covariance is not None:
            sd = np.sqrt(np.diagonal(experts.covariance, axis1=1, axis2=2))
            scale = np.diagonal(found["covariance"], axis1=1, axis2=2) / (2.0 * sd)
        coef, intercept = self._shaped(found["coef"]), self._shaped(found["intercept"])
        scale = None if scale is None else self._shaped(scale)
        return ExpertErrors(found["gate_intercept"], found["gate_coef"], intercept, coef, scale)

    def conf_int(
        self,
        X: Any,
        y: Any,
        Z: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
        *,
        level: float = 0.95,
    ) -> ExpertIntervals:
        """Return Wald intervals; those of standard deviations are taken on their logarithm.

        Parameters
        ----------
        X, y, Z, sample_weight, groups :
            The data of the fit.
        level : float, default=0.95
            Coverage of each interval, one at a time.

        Returns
        -------
        intervals : ExpertIntervals
            NaN where the standard error is.

        Raises
        ------
        ValueError
            As `standard_errors`; a level outside of 0 to 1.
        """
        reach = normal_reach(self._name, level)
        errors = self.standard_errors(X, y, Z, sample_weight, groups)

        def ends(estimate: Any, error: Array) -> Array:
            return np.asarray(np.asarray(estimate)[..., None] + reach * error[..., None])

        scale = None
        if errors.expert_scale is not None:
            sd = np.asarray(self.expert_scale_)[..., None]
            scale = sd * np.exp(reach * errors.expert_scale[..., None] / sd)
        return ExpertIntervals(
            ends(self.gate_intercept_, errors.gate_intercept),
            ends(self.gate_coef_, errors.gate_coef),
            ends(self.expert_intercept_, errors.expert_intercept),
            ends(self.expert_coef_, errors.expert_coef),
            scale,
        )

    @abstractmethod
    def _shaped(self, values: Array) -> Array:
        """Values (K, L, ...) in the shape of the attributes."""

    def summary(
        self,
        X: Any = None,
        y: Any = None,
        Z: Any = None,
        sample_weight: Any = None,
        groups: Any = None,
    ) -> Summary:
        """Return a table of gate and experts, with standard errors where the data are given.

        Parameters
        ----------
        X, y, Z, sample_weight, groups : optional
            The data of the fit; without them the table holds estimates only.

        Returns
        -------
        table : Summary
            Prints as text, and as HTML in a notebook.
        """
        self._require_fit()
        errors = None if X is None else self.standard_errors(X, y, Z, sample_weight, groups)
        rows = list(self._lines(errors))
        facts = (
            ("experts", str(len(self.gate_intercept_))),
            ("family", self._kernel_family),
            ("gate", self.gate),
            ("free parameters", str(self.n_parameters_)),
            ("mean log-likelihood", f"{self.lower_bound_:.8g} nats per row, less penalties"),
        )
        notes = ["Gate: logits relative to the last expert."]
        if errors is None:
            notes.append("Standard errors: summary(X, y) with the data of the fit.")
        if len(rows) > MOST_ROWS:
            notes.insert(0, f"The first {MOST_ROWS} of {len(rows)} parameters.")
        header = ("part", "expert", "parameter", "estimate", "standard error", "z")
        title = f"{self._name}: {self.n_experts} experts"
        report = getattr(self, "report_", None)
        return Summary(title, facts, header, tuple(rows[:MOST_ROWS]), tuple(notes), report)

    def _lines(self, errors: ExpertErrors | None) -> Iterator[tuple[str, ...]]:
        columns = [str(name) for name in getattr(self, "feature_names_in_", ())]
        columns = columns or [f"x{j}" for j in range(self.n_features_in_)]
        own = [f"z{j}" for j in range(self.n_gate_features_in_)]
        names = ["intercept", *(own if self.own_gate_columns_ else columns)]
        for k in range(len(self.gate_intercept_) - 1):
            values = np.append(self.gate_intercept_[k], self.gate_coef_[k])
            spread = None
            if errors is not None:
                spread = np.append(errors.gate_intercept[k], errors.gate_coef[k])
            yield from _table("gate", k, names[: len(values)], values, spread)
        for k in range(len(self.gate_intercept_)):
            yield from self._expert(k, ["intercept", *columns], errors)

    def _expert(
        self, k: int, names: list[str], errors: ExpertErrors | None
    ) -> Iterator[tuple[str, ...]]:
        values, spread = _joined(self.expert_intercept_[k], self.expert_coef_[k]), None
        if errors is not None:
            spread = _joined(errors.expert_intercept[k], errors.expert_coef[k])
        outputs = [""]
        if values.size > len(names):
            outputs = [f" of {self._output(i)}" for i in range(values.size // len(names))]
        names = [f"{name}{output}" for output in outputs for name in names]
        yield from _table("expert", k, names, values, spread)
        if self._kernel_family == "gaussian":
            scale = None if errors is None else errors.expert_scale
            spread = None if scale is None else np.atleast_1d(scale[k])
            names = [f"sd{output}" for output in outputs]
            yield from _table("expert", k, names, np.atleast_1d(self.expert_scale_[k]), spread)

    def _output(self, number: int) -> str:
        """Name of an output or a class."""
        return f"y{number}"

    expert_scale_: Array


def _joined(intercept: Any, coef: Array) -> Array:
    """Intercepts (L,) in front of slopes (L, p), flat."""
    return np.column_stack([np.atleast_1d(intercept), np.atleast_2d(coef)]).ravel()


def _table(
    part: str, k: int, names: list[str], values: Array, spread: Array | None
) -> Iterator[tuple[str, ...]]:
    for j, (name, value) in enumerate(zip(names, values, strict=True)):
        line = (part, str(k), str(name), f"{value:.5g}")
        if spread is None or not spread[j] > 0:
            yield (*line, "", "")
        else:
            yield (
                *line,
                f"{spread[j]:.3g}",
                f"{value / spread[j]:.2f}" if name[:2] != "sd" else "",
            )
