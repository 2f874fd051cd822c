"""What a truncated mixture says about single rows, and rows drawn from it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pyestim.engine.stats import Vector
from pyestim.models.cut_normal import interval_moments
from pyestim.models.gaussian_forms import (
    CovarianceType,
    GaussianForm,
    dense_covariances,
    draw,
    variances,
)
from pyestim.models.row_outputs import BLOCK_ROWS, RowOutputs
from pyestim.models.support import Inside, Support

#: Rejection draws at most this many rows for one that is kept.
MOST_DRAWS = 10_000


def inside_of(form: GaussianForm, support: Support) -> Inside:
    """Probabilities and moments inside the set of the components of a published mixture."""
    if support.everything:
        k = len(form.weights)
        return Inside(np.zeros(k), np.zeros_like(form.means), dense_covariances(form), 0.0)
    values = variances(form) if form.covariance_type == "diag" else dense_covariances(form)
    return support.inside(form.means, np.ascontiguousarray(values))


def log_mass(form: GaussianForm, inside: Inside) -> float:
    """Logarithm of the probability of the set under the mixture."""
    alive = form.weights > 0.0
    terms = np.log(form.weights[alive]) + inside.log_mass[alive]
    return float(special.logsumexp(terms))


class TruncatedRowOutputs(RowOutputs):
    """Evaluates a mixture on rows, given that they lie in a set.

    Parameters
    ----------
    weights, means, factor, covariance_type
        As for `RowOutputs`.
    support : Support
    log_alpha : float
        Logarithm of the probability of the set.
    """

    def __init__(
        self,
        weights: Vector,
        means: Vector,
        factor: Vector,
        covariance_type: CovarianceType,
        support: Support,
        log_alpha: float,
    ) -> None:
        super().__init__(weights, means, factor, covariance_type)
        self.support = support
        self.log_alpha = log_alpha

    def log_prob(self, X: NDArray[Any]) -> Vector:
        """Log-density given the set: (n,); minus infinity outside."""
        out = super().log_prob(X) - self.log_alpha
        out[~self.support.contains(X)] = -np.inf
        return out

    def log_likelihood(self, X: NDArray[Any], sample_weight: Vector | None) -> float:
        """Weighted sum of the log-densities given the set."""
        outside = np.zeros(len(X), dtype=bool)
        for start in range(0, len(X), BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            outside[block] = ~self.support.contains(X[block])
        if sample_weight is not None:
            outside &= sample_weight > 0.0
        if outside.any():
            return -float("inf")
        total = float(len(X) if sample_weight is None else sample_weight.sum())
        return super().log_likelihood(X, sample_weight) - total * self.log_alpha


def draw_inside(
    form: GaussianForm, support: Support, n: int, rng: Any
) -> tuple[Vector, NDArray[np.int64]]:
    """``n`` rows given the set and their components, in the order of the components.

    Exact: by the inverse distribution function in one column and in columns that are independent,
    by rejection elsewhere.
    """
    inside = inside_of(form, support)
    share = form.weights * np.exp(inside.log_mass - log_mass(form, inside))
    counts = rng.multinomial(n, share / share.sum())
    labels = np.repeat(np.arange(len(counts)), counts)
    sd = np.sqrt(variances(form))
    parts = []
    for k in np.flatnonzero(counts).tolist():
        if support.intervals is not None:
            parts.append(_from_union(form.means[k], sd[k], support.intervals, counts[k], rng))
        elif form.covariance_type == "diag":
            parts.append(_from_columns(form.means[k], sd[k], support, counts[k], rng))
        else:
            mass = float(np.exp(inside.log_mass[k]))
            parts.append(_by_rejection(form, k, mass, support, int(counts[k]), rng))
    return np.concatenate(parts), labels


def _from_union(mean: Vector, sd: Vector, pieces: Vector, n: int, rng: Any) -> Vector:
    """Values (n, 1) inside a union of intervals."""
    mass = interval_moments(mean, sd, pieces[:, 0], pieces[:, 1]).log_probability
    share = np.exp(mass - mass.max())
    which = rng.choice(len(pieces), size=n, p=share / share.sum())
    low, high = pieces[which].T
    return _between(mean, sd, low, high, rng.uniform(size=n))[:, None]


def _from_columns(mean: Vector, sd: Vector, support: Support, n: int, rng: Any) -> Vector:
    """Rows (n, d) in a box, of independent columns."""
    uniform = rng.uniform(size=(n, len(mean)))
    return _between(mean, sd, support.lower, support.upper, uniform)


def _between(mean: Vector, sd: Vector, low: Vector, high: Vector, uniform: Vector) -> Vector:
    """Inverse distribution function of normal laws between two limits.

    In logarithms on the side where the tail is, so that far tails keep their digits.
    """
    a, b = (low - mean) / sd, (high - mean) / sd
    turn = b > -a
    a, b = np.where(turn, -b, a), np.where(turn, -a, b)
    with np.errstate(divide="ignore"):
        left = np.log1p(-uniform) + special.log_ndtr(a)
        right = np.log(uniform) + special.log_ndtr(b)
    z = special.ndtri_exp(np.logaddexp(left, right))
    return np.asarray(np.clip(mean + sd * np.where(turn, -z, z), low, high))


def _by_rejection(
    form: GaussianForm, k: int, mass: float, support: Support, n: int, rng: Any
) -> Vector:
    """Rows (n, d) of one component that fall into the set."""
    if mass * MOST_DRAWS < 1.0:
        raise ValueError(
            f"sample: component {k} has {mass:.2g} of its probability inside the set, too little "
            "to draw from. Draw from the whole mixture with uncut=True, or use diag covariances."
        )
    covariances = dense_covariances(form)[k][None]
    one = GaussianForm(np.ones(1), form.means[k][None], np.array(covariances), "full")
    kept = np.empty((0, form.means.shape[1]))
    while len(kept) < n:
        wanted = int((n - len(kept)) / mass * 1.1) + 16
        rows = draw(one, min(wanted, 1 << 20), rng)[0]
        kept = np.concatenate([kept, rows[support.contains(rows)]])
    return kept[:n]
