"""Cox's partial likelihood: log-sum-exps over the rows at risk, with Breslow's or Efron's ties.

Every term is ``mass_v (log S_v - mean of eta over the tied events)`` with
``S_v = sum_{j at risk} w_j e^eta_j - fraction_v sum_{j tied} w_j e^eta_j``. Breslow has one term
for each time with events (fraction 0, the weight of its events as mass), Efron one for each of the
d tied events (fractions l/d, the mean weight as mass). Masses are normalised, weights ``w_j``
within the sums are not: the value is the partial likelihood's, divided by the sum of weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import xlogy

from pyestim.engine.stats import Vector
from pyestim.penalised.datafit import normalised, refuse_rows

#: Sums at risk below this share of the largest term are below the range of double precision.
LEAST_SUM = 1e-290


class Cox:
    """Negative logarithm of the partial likelihood, divided by the sum of the weights.

    With Efron's ties and weights the mean weight of the tied events counts, so that a weight is a
    repeated row up to the correction for ties only; with Breslow's ties it is one exactly.

    Parameters
    ----------
    y : array of shape (n, 2)
        Times >= 0, and 1 for an event or 0 for a censored row.
    weight : array of shape (n,), optional
        Weights of the rows.
    ties : {"breslow", "efron"}
        What events at the same time count.
    """

    name = "cox"
    n_outputs = 1
    smoothness: float | None = None
    takes_intercept = False

    def __init__(self, y: Any, weight: Any = None, ties: str = "breslow") -> None:
        y = np.asarray(y, dtype=np.float64)
        if y.ndim != 2 or y.shape[1] != 2:
            raise ValueError(
                f"family='cox': expected y of shape (n, 2), times and events, got {y.shape}; stack "
                "the two columns."
            )
        if ties not in ("breslow", "efron"):
            raise ValueError(f"ties: expected 'breslow' or 'efron', got {ties!r}; pick one.")
        time, status = y[:, 0], y[:, 1]
        advice = "the first column holds times, the second 1 for an event and 0 for none"
        refuse_rows(~(np.isfinite(time) & (time >= 0)), y, "cox", "with times >= 0", advice)
        refuse_rows((status != 0) & (status != 1), y, "cox", "with events 0 or 1", advice)
        self.y, self.ties = y, ties
        self.weight = normalised(weight, len(y))
        self.sum_weight = np.ones(len(y)) if weight is None else np.asarray(weight, dtype=float)
        event = (status == 1) & (self.weight > 0)
        if not event.any():
            raise ValueError(
                "family='cox': expected an event in some row of positive weight, got none; the "
                "partial likelihood is constant. Check the second column of y."
            )
        self.event_weight = np.where(event, self.weight, 0.0)
        self.arrange(time, event)
        least = self.tied_weight * (1.0 - self.fraction)
        self.saturated = float(self.mass @ np.log(least))

    def arrange(self, time: Vector, event: Any) -> None:
        """Terms of the likelihood, the rows at risk in them, and the tied events."""
        self.order = np.argsort(time, kind="stable")
        ordered = time[self.order]
        times, group, count = np.unique(time[event], return_inverse=True, return_counts=True)
        self.first = np.searchsorted(ordered, times)  # rows from here on are at risk
        # Times at which a row is at risk: those up to its own.
        self.past = np.searchsorted(times, ordered, side="right") - 1
        # Tied events stand together, and so do the terms of a group.
        together = np.argsort(group.ravel(), kind="stable")
        self.events, self.group = np.flatnonzero(event)[together], group.ravel()[together]
        self.group_begins = np.cumsum(count) - count
        group_weight = np.bincount(self.group, self.sum_weight[self.events])
        repeats = count if self.ties == "efron" else np.ones_like(count)
        self.term_group = np.repeat(np.arange(times.size), repeats)
        begins = np.cumsum(repeats) - repeats
        self.term_begins = begins
        within = np.arange(self.term_group.size) - begins[self.term_group]
        self.fraction = within / repeats[self.term_group]
        self.tied_weight = group_weight[self.term_group]
        self.mass = self.tied_weight / (repeats[self.term_group] * self.sum_weight.sum())
        # Pairs (tied event, term of its group).
        pairs = repeats[self.group]
        self.pair_event = np.repeat(np.arange(self.events.size), pairs)
        place = np.arange(self.pair_event.size) - np.repeat(np.cumsum(pairs) - pairs, pairs)
        self.pair_term = begins[self.group[self.pair_event]] + place
        with np.errstate(divide="ignore"):
            self.log_weight = np.log(self.sum_weight)

    # -- sums in logarithms, for any predictor -----------------------------------------------------

    def log_sums(self, eta: Vector) -> tuple[Vector, Vector]:
        """``log S_v`` of the terms, and the log-risks ``log w_i + eta_i``."""
        risk = eta + self.log_weight
        backwards = np.logaddexp.accumulate(risk[self.order][::-1])[::-1]
        at_risk = backwards[self.first]
        tied = np.logaddexp.reduceat(risk[self.events], self.group_begins)
        share = np.exp(np.minimum(tied - at_risk, 0.0))[self.term_group]
        return at_risk[self.term_group] + np.log1p(-self.fraction * share), risk

    def value(self, eta: Vector) -> float:
        """Mean loss."""
        return float(self.mass @ self.log_sums(eta)[0] - self.event_weight @ eta)

    def hazard(self, eta: Vector) -> tuple[float, Vector]:
        """Value, and the expected events of each row: the gradient and the observed ones."""
        log_sum, risk = self.log_sums(eta)
        rate = np.logaddexp.reduceat(np.log(self.mass) - log_sum, self.term_begins)
        past = np.append(np.logaddexp.accumulate(rate), -np.inf)[self.past]
        expected = np.empty_like(risk)
        expected[self.order] = np.exp(risk[self.order] + past)
        if self.ties == "efron":
            relief = self.fraction * self.mass
            tied = relief[self.pair_term] * np.exp(
                risk[self.events][self.pair_event] - log_sum[self.pair_term]
            )
            expected[self.events] -= np.bincount(self.pair_event, tied, self.events.size)
        value = float(self.mass @ log_sum - self.event_weight @ eta)
        return value, np.maximum(expected, 0.0)

    def gradient(self, eta: Vector) -> Vector:
        """Derivative of `value`: expected less observed events."""
        return np.asarray(self.hazard(eta)[1] - self.event_weight)

    def quadratic(self, eta: Vector) -> tuple[float, Vector, Vector]:
        """Value, gradient, and a diagonal above the Hessian: the expected events of each row."""
        value, expected = self.hazard(eta)
        return value, expected - self.event_weight, expected

    # -- sums of signed vectors --------------------------------------------------------------------

    def relative(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Risks relative to the largest, the sums ``S_v`` of these, and the shift."""
        log_sum, risk = self.log_sums(eta)
        top = risk.max()
        return np.exp(risk - top), np.maximum(np.exp(log_sum - top), LEAST_SUM), top

    def at_risk(self, values: Vector) -> Vector:
        """Sums over the rows at risk in each term, along the first axis."""
        sums = np.cumsum(values[self.order][::-1], axis=0)[::-1]
        return np.asarray(sums[self.first][self.term_group])

    def tied(self, values: Vector) -> Vector:
        """Sums over the tied events of each term, along the first axis."""
        sums = np.add.reduceat(values[self.events], self.group_begins, axis=0)
        return np.asarray(sums[self.term_group])

    def term_means(self, eta: Vector, values: Vector) -> Vector:
        """Means of the columns of ``values`` (n, m) in each term, weighted by the risks: (V, m).

        The Hessian is ``diag(expected) - means' diag(mass) means`` in these.
        """
        risk, total, _ = self.relative(eta)
        shaped = risk.reshape(-1, *[1] * (values.ndim - 1)) * values
        column = (slice(None), *[None] * (values.ndim - 1))
        sums = self.at_risk(shaped)
        if self.ties == "efron":
            sums -= self.fraction[column] * self.tied(shaped)
        return np.asarray(sums / total[column])

    def hessian_times(self, eta: Vector, direction: Vector) -> Vector:
        """Exact Hessian times ``direction``, in O(n)."""
        risk, total, _ = self.relative(eta)
        pull = self.mass * self.term_means(eta, direction) / total
        groups = np.bincount(self.term_group, pull, self.first.size)
        past = np.append(np.cumsum(groups), 0.0)[self.past]
        back = np.empty_like(risk)
        back[self.order] = past
        relief = np.bincount(self.term_group, self.fraction * pull, self.first.size)
        back[self.events] -= relief[self.group]
        return np.asarray(self.hazard(eta)[1] * direction - risk * back)

    def reduced_hessian(self, eta: Vector, A: Vector) -> Vector:
        """Exact Hessian in the coefficients of the columns of ``A``."""
        means = self.term_means(eta, A)
        return np.asarray(
            A.T @ (self.hazard(eta)[1][:, None] * A) - means.T @ (self.mass[:, None] * means)
        )

    # -- the dual ----------------------------------------------------------------------------------

    def dual_value(self, theta: Vector, scale: float, eta: Vector, tilt: Vector | None) -> float:
        """Upper bound of the conjugate at ``scale * theta``, ``theta = gradient - Hessian tilt``.

        The conjugate is the least sum of entropies over all ways to write its argument as events
        expected by the terms. The risks, tilted to first order, are one way; what the scale takes
        away is the events themselves.
        """
        tilt = np.zeros_like(eta) if tilt is None else tilt
        if np.ptp(tilt) >= 1.0:
            return np.inf
        risk, total, top = self.relative(eta)
        if total.min() <= LEAST_SUM:
            return np.inf
        eta = eta - top
        z = self.term_means(eta, tilt)
        level = np.log(max(scale, np.finfo(float).tiny)) - np.log(total)
        columns = risk[:, None] * np.stack([np.ones_like(eta), eta, tilt, eta * tilt, tilt**2], 1)
        one, first, tilted, mixed, square = (self.at_risk(columns) - self.tied(columns)).T
        # (1 + z - t)(level + z + eta - t) summed; log(1 + x) <= x made the second factor linear.
        untied = (1.0 + z) * ((level + z) * one + first - tilted)
        untied -= (level + z) * tilted + mixed - square
        entropy = scale * untied / total + self.tied_entropy(risk, total, z, tilt, scale)
        return float(self.mass @ entropy)

    def tied_entropy(
        self, risk: Vector, total: Vector, z: Vector, tilt: Vector, scale: float
    ) -> Vector:
        """Entropies of the tied events in each term."""
        rows, term = self.events[self.pair_event], self.pair_term
        kept = 1.0 - self.fraction[term]
        share = kept * risk[rows] / total[term] * (1.0 + z[term] - tilt[rows])
        share = scale * share + (1.0 - scale) * self.sum_weight[rows] / self.tied_weight[term]
        terms = xlogy(share, share / (kept * self.sum_weight[rows]))
        return np.asarray(np.bincount(term, terms, self.mass.size), dtype=np.float64)

    def start(self, offset: Vector | None) -> Vector:
        """There is no intercept."""
        return np.zeros(1)

    def mean(self, eta: Vector) -> Vector:
        """Hazard relative to that of a row with ``eta = 0``."""
        return np.asarray(np.exp(np.minimum(eta, 700.0)))

    def impossible_null(self) -> str:
        """Empty: there is no intercept."""
        return ""
