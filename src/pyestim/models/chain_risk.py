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
from pyestim.models.chain_tables import Floats
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
    largest, rows, squares = (
        [],
        np.zeros((len(rules), len(truth))),
        np.zeros((len(rules), len(truth))),
    )
    step = max(1, min(BATCH_STATES // n, BATCH_CELLS // truth.size))
    for done in range(0, n_repeats, step):
        size = min(step, n_repeats - done)
        paths = sampler.simulate(first, np.full(size, n), seed, first_sequence=done)
        batch = _Batch(paths.reshape(size, n), truth, loss, alpha)
        losses = [batch.losses(rule) for rule in rules]
        largest.append([values.max(axis=1) for values in losses])
        if loss != PREDICTION:
            with np.errstate(invalid="ignore", over="ignore"):
                rows += [values.sum(axis=0) for values in losses]
                squares += [(values**2).sum(axis=0) for values in losses]
    all_losses = np.concatenate(largest, axis=1)
    found = []
    for i, rule in enumerate(rules):
        risk, error = _mean(all_losses[i].sum(), (all_losses[i] ** 2).sum(), n_repeats)
        by_row = (None, None) if loss == PREDICTION else _mean(rows[i], squares[i], n_repeats)
        found.append(Risk(rule, loss, n, n_repeats, float(risk), float(error), *by_row))
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
    return law


def _mean(total: Any, squares: Any, n: int) -> tuple[Any, Any]:
    """Mean and its standard error from sums; infinite where a loss was."""
    mean = total / n
    with np.errstate(invalid="ignore"):
        variance = np.maximum(squares / n - mean**2, 0.0) / (n - 1)
    return mean, np.where(np.isfinite(mean), np.sqrt(variance), np.inf)


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
