"""Expected losses of the smoothing rules, by simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.models.chain_matrix import chain_matrix
from pyestim.models.chain_simulate import ChainSampler
from pyestim.models.chain_smoothing import rule_of, smoothed
from pyestim.models.chain_structure import stationary
from pyestim.models.chain_tables import ROW_TOLERANCE, Floats
from pyestim.models.divergences import DIVERGENCES, divergence
from pyestim.models.transition_counts import TransitionCounts, count_transitions

PREDICTION = "prediction-kl"
LOSSES = (PREDICTION, *DIVERGENCES)
#: States that are simulated at once, and cells of the estimates that are compared at once.
BATCH_STATES, BATCH_CELLS = 4_000_000, 1_000_000


@dataclass(frozen=True)
class Risk:
    """Expected loss of one rule.

    Attributes
    ----------
    smoothing : str or float
    loss : str
    n : int
        Length of the observed path.
    n_repeats : int
    risk : float
        Mean of the loss over simulated paths; of the largest row where the loss is one of
        estimation.
    standard_error : float
        Of `risk`; infinite where the loss was.
    row_risks, row_standard_errors : ndarray of shape (k,), optional
        The same for each row; None for prediction.
    """

    smoothing: str | float
    loss: str
    n: int
    n_repeats: int
    risk: float
    standard_error: float
    row_risks: Floats | None
    row_standard_errors: Floats | None

    def __str__(self) -> str:
        return (
            f"{self.smoothing}: {self.loss} risk {self.risk:.4g} -+ {self.standard_error:.2g} "
            f"at n = {self.n} ({self.n_repeats} paths)"
        )


def simulate_risk(
    smoothing: Any,
    transition_matrix: Any,
    n: int,
    *,
    loss: str = PREDICTION,
    n_repeats: int = 1000,
    start: Any = "stationary",
    seed: int = 0,
    alpha: float = 0.5,
) -> Any:
    """Risk of smoothing rules for a chain of order 1.

    Parameters
    ----------
    smoothing : str, float or sequence of these
        Rules as in `smoothed`; all see the same paths.
    transition_matrix : ndarray of shape (k, k)
        The true chain P.
    n : int
        Length of the observed path.
    loss : str
        "prediction-kl": sum p log(p / q) for the row of the last state, what a forecaster loses.
        "kl", "chi-square", "hellinger", "alpha", "l2" (see `divergence`): the largest divergence
        of a row of the estimate.
    n_repeats : int
        Paths.
    start : "stationary", int or ndarray of shape (k,)
        Distribution of the first state, or the state.
    seed : int
        Equal seeds give equal results, for any number of threads.
    alpha : float
        Order of "alpha", and of the rule "minimax-alpha".

    Returns
    -------
    Risk, or list of Risk for a sequence of rules

    Notes
    -----
    A path of n states takes about 10 n nanoseconds. Paths that hardly ever show the rare event
    that makes the loss (the worst chains of prediction) need many repeats: watch the standard
    error, which underestimates itself there.
    """
    rules: list[Any] = [smoothing] if np.isscalar(smoothing) else list(smoothing)
    for rule in rules:
        rule_of(rule, alpha=alpha)
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {', '.join(map(repr, LOSSES))}, got {loss!r}")
    if n < 2 or n_repeats < 2:
        raise ValueError(f"n and n_repeats must be at least 2, got {n} and {n_repeats}")
    truth = chain_matrix(transition_matrix).dense()
    first = _start(truth, start)
    sampler = ChainSampler(truth)
    largest, each = _Moments(), _Moments()
    step = max(1, min(BATCH_STATES // n, BATCH_CELLS // truth.size))
    for done in range(0, n_repeats, step):
        size = min(step, n_repeats - done)
        paths = sampler.simulate(first, np.full(size, n), seed, first_sequence=done)
        batch = _Batch(paths.reshape(size, n), truth, loss, alpha)
        losses = np.array([batch.losses(rule) for rule in rules])
        largest.add(losses.max(axis=2))
        each.add(losses)
    risk, error = largest.mean, largest.error()
    rows, row_errors = each.mean, each.error()
    found = [
        Risk(
            *(rule, loss, n, n_repeats, float(risk[i]), float(error[i])),
            *((None, None) if loss == PREDICTION else (rows[i], row_errors[i])),
        )
        for i, rule in enumerate(rules)
    ]
    return found[0] if np.isscalar(smoothing) else found


def _start(truth: Floats, start: Any) -> Floats:
    """Distribution of the first state."""
    k = len(truth)
    if isinstance(start, str):
        if start != "stationary":
            raise ValueError(f"start must be 'stationary', a state or probabilities, got {start!r}")
        laws = stationary(truth)
        if len(laws) > 1:
            raise ValueError(
                f"the chain has {len(laws)} closed classes and no single stationary law; give start"
            )
        law: Floats = laws[0]
        return law
    law = np.asarray(start, dtype=np.float64)
    if law.ndim == 0 and 0 <= law < k and law == int(law):
        law = np.arange(k) == int(law)
        return law.astype(np.float64)
    if law.shape != (k,):
        raise ValueError(
            f"start must be a state from 0 to {k - 1} or {k} probabilities, got {start!r}"
        )
    if not ((law >= 0).all() and abs(law.sum() - 1) <= ROW_TOLERANCE):
        raise ValueError(f"start must hold probabilities with the sum 1, got {law.tolist()}")
    return law


class _Moments:
    """Means over paths and their standard errors, from batch to batch, centred."""

    def __init__(self) -> None:
        self.n = 0
        self.mean: Any = 0.0
        self.spread: Any = 0.0

    def add(self, values: Floats) -> None:
        """Take the losses of further paths, (n_rules, n_paths, ...); infinite ones stay so."""
        size = values.shape[1]
        total = self.n + size
        mean = values.mean(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):
            gap = mean - self.mean
            self.spread = self.spread + ((values - mean[:, None]) ** 2).sum(axis=1)
            self.spread = self.spread + gap**2 * (self.n * size / total)
            self.mean = (self.mean * self.n + mean * size) / total
        self.n = total

    def error(self) -> Any:
        """Return the standard errors of the means; infinite where a loss was."""
        with np.errstate(invalid="ignore"):
            error = np.sqrt(self.spread / (self.n - 1) / self.n)
        return np.where(np.isfinite(self.mean), error, np.inf)


class _Batch:
    """Paths of equal length, their counts one below the other as contexts of one state."""

    def __init__(self, paths: NDArray[np.int32], truth: Floats, loss: str, alpha: float) -> None:
        k, (size, self.n) = len(truth), paths.shape
        table = np.stack([count_transitions(path, k, sparse=False).table for path in paths])
        self.loss, self.alpha = loss, alpha
        if loss == PREDICTION:
            last = paths[:, -1].astype(np.int64)
            self.truth = truth[last][:, None]
            rows, contexts = table[np.arange(size), last], last
        else:
            self.truth = truth[None]
            rows, contexts = table.reshape(size * k, k), np.tile(np.arange(k), size)
        self.shape = (size, -1, k)
        self.counts = TransitionCounts(1, k, contexts[:, None], rows, np.zeros(k, dtype=np.int64))

    def losses(self, rule: str | float) -> Floats:
        """Losses of the rows of each path; of the last state's row for prediction."""
        estimate = smoothed(self.counts, rule, alpha=self.alpha, n_observations=self.n).matrix
        name = "kl" if self.loss == PREDICTION else self.loss
        found: Floats = divergence(name, self.truth, estimate.reshape(self.shape), alpha=self.alpha)
        return found
