"""From counted transitions to the published parameters of a chain."""

from __future__ import annotations

import warnings
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from pyestim.engine.progress import Talk
from pyestim.engine.report import Outcome, Report
from pyestim.estimators._base import Array, shown
from pyestim.estimators._chain_count import ChainCounting
from pyestim.estimators._labels import Labels, is_range
from pyestim.models.chain import frequencies, never_left
from pyestim.models.chain_reversible import reversible_mle
from pyestim.models.chain_smoothing import smoothed
from pyestim.models.chain_tables import ROW_TOLERANCE, TransitionTable
from pyestim.models.transition_counts import TransitionCounts

NO_TRANSITION = "X holds no transition: {then}. Pass sequences of more than {order} known rows."
UNIFORM = "every row of transition_matrix_ is uniform"
#: With a given stationary distribution: uniform rows would not be reversible.
IDENTITY = "transition_matrix_ stays in every state"
#: What the rows of states that were never left are in reversible chains.
RETURNING = "the chain returns from them by the flow by which it arrives"
RETURNING_UNIFORM = f"{RETURNING}, and their rows are uniform where none does"
RETURNING_IDENTITY = f"{RETURNING}, and stays in them where none does"


class Estimate(NamedTuple):
    """Probabilities, and how they were found."""

    table: TransitionTable
    outcome: Outcome
    n_iter: int
    remaining: float


class ChainFitting(ChainCounting):
    """Estimates the probabilities and publishes them."""

    def _check_arguments(self) -> None:
        super()._check_arguments()
        if self.stationary_distribution is not None and not self.reversible:
            raise ValueError(
                f"{self._name}: stationary_distribution expects reversible=True, which holds it "
                "fixed, got reversible=False."
            )
        if self.reversible and (self.order != 1 or self.smoothing != "mle"):
            raise ValueError(
                f"{self._name}: reversible=True is a maximum likelihood estimate and expects "
                f"order=1 and smoothing='mle', got order={self.order} and "
                f"smoothing={self.smoothing!r}."
            )

    def _estimate(self, counts: TransitionCounts, states: Labels, began: float, where: str) -> None:
        """Estimate from counts and publish."""
        found = self._estimated(counts)
        total = counts.total
        value = float(found.table.log_likelihood(counts) / total) if total else 0.0
        report = Report(
            outcome=found.outcome,
            objective=value,
            trace=(value,),
            sweeps=1,
            seconds=perf_counter() - began,
            backend=where,
            accelerator="closed form" if found.outcome is Outcome.EXACT else "fixed point",
            remaining=found.remaining,
            diagnosis=self._diagnosed(counts),
        )
        self._publish(found.table, counts, states)
        self.report_ = report
        self.lower_bound_ = value
        self.n_iter_ = found.n_iter
        self.converged_ = report.converged
        Talk(self._name, 0, 1).close(report)
        if not report.converged:
            warnings.warn(
                f"{self._name}: the reversible estimate stopped after {found.n_iter} steps with "
                f"equations violated by up to {found.remaining:.1e}. Check the counts for nearly "
                "separate groups of states.",
                ConvergenceWarning,
                stacklevel=3,
            )
        if not total:
            warnings.warn(f"{self._name}: {report.diagnosis[0]}", UserWarning, stacklevel=3)

    def _estimated(self, counts: TransitionCounts) -> Estimate:
        if not self.reversible:
            return Estimate(smoothed(counts, self.smoothing), Outcome.EXACT, 1, 0.0)
        pi = self._fixed_stationary(counts.n_states)
        try:
            fit = reversible_mle(counts.table, pi)
        except ValueError as error:
            raise ValueError(
                f"{self._name}: stationary_distribution must be positive for every state that "
                f"occurs ({error})"
            ) from error
        unseen = None
        if counts.sparse:
            fit.transition.sum_duplicates()  # sorts the columns
            unseen = np.zeros(counts.n_states)
        outcome = Outcome.CONVERGED if fit.converged else Outcome.MAX_SWEEPS
        return Estimate(TransitionTable(fit.transition, unseen), outcome, fit.n_iter, fit.residual)

    def _fixed_stationary(self, k: int) -> Array | None:
        if self.stationary_distribution is None:
            return None
        pi = self._numbers(self.stationary_distribution, "stationary_distribution")
        if pi.shape != (k,) or not (pi >= 0.0).all() or not abs(pi.sum() - 1.0) <= ROW_TOLERANCE:
            raise ValueError(
                f"{self._name}: stationary_distribution must hold one probability for each of the "
                f"{k} states, in the order of states_, with the sum 1, got {shown(pi)}."
            )
        return np.asarray(pi / pi.sum())

    def _diagnosed(self, counts: TransitionCounts) -> tuple[str, ...]:
        fixed = self.stationary_distribution is not None
        if not counts.total:
            then = IDENTITY if fixed else UNIFORM
            return (NO_TRANSITION.format(order=self.order, then=then),)
        what = "states" if counts.contexts is None else "contexts"
        if not self.reversible:
            return never_left(counts.row_sums, what)
        then = RETURNING_IDENTITY if fixed else RETURNING_UNIFORM
        return never_left(counts.row_sums, what, then)

    def _publish(self, table: TransitionTable, counts: TransitionCounts, states: Labels) -> None:
        for name in ("unseen_proba_", "contexts_"):
            self.__dict__.pop(name, None)
        self.transition_matrix_ = table.matrix
        if table.unseen is not None:
            self.unseen_proba_ = table.unseen
        if counts.contexts is not None:
            contexts: NDArray[Any] = counts.contexts
            self.contexts_ = contexts if is_range(states) else states[contexts]
        self.counts_ = counts.table
        self.start_counts_ = counts.starts
        self.start_proba_ = frequencies(counts.starts.astype(np.float64))
        self.states_ = states
