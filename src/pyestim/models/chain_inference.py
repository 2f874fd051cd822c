"""Standard errors and intervals of transition probabilities and stationary laws."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import inv
from scipy.sparse import csr_array, issparse
from scipy.special import betaincinv, ndtri

from pyestim.models.chain_matrix import Matrix, chain_matrix
from pyestim.models.chain_simulate import ChainSampler
from pyestim.models.chain_structure import communicating_classes, stationary
from pyestim.models.chain_tables import Floats, Integers, TransitionTable
from pyestim.models.transition_counts import TransitionCounts, count_transitions

METHODS = ("asymptotic", "wald", "dirichlet")
#: Numbers that the resamples of a bootstrap may hold together, 0.8 GB.
MOST_RESAMPLED = 100_000_000
#: Whole sequences are resampled from so many on; the chain is simulated where there are fewer.
MANY_SEQUENCES = 30


@dataclass(frozen=True)
class Intervals:
    """Lower and upper ends for every cell of a transition table.

    Attributes
    ----------
    lower, upper : ndarray of shape (R, k) or csr_array
        Within [0, 1]. Sparse counts: the stored cells only.
    unseen_upper : ndarray of shape (R,), optional
        Upper end of the cells of a row that are not stored; their lower end is taken for zero,
        where the Dirichlet intervals of a dense table have a tiny positive one. None when dense.
    level : float
        Nominal coverage of each interval, one at a time.
    method : str
    standard_errors : ndarray of shape (R, k), optional
        Standard deviations of the resampled estimates; of the bootstrap only.
    """

    lower: Any
    upper: Any
    unseen_upper: Floats | None
    level: float
    method: str
    standard_errors: Floats | None = None


def standard_errors(counts: TransitionCounts, table: TransitionTable) -> Any:
    """Asymptotic standard errors sqrt(p (1 - p) / N), N the transitions of the row.

    Returns
    -------
    ndarray of shape (R, k) or csr_array
        Infinite in rows without transitions. Sparse: of the stored cells.

    Notes
    -----
    Rows of a chain are asymptotically independent, each like N independent draws (Billingsley,
    1961). R's markovchain reports p / sqrt(count) instead, which leaves out the factor sqrt(1 -
    p).
    """
    sums = np.asarray(counts.row_sums, dtype=np.float64)

    def errors(p: Floats, n: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return np.where(n > 0, np.sqrt(p * (1.0 - p) / n), np.inf)

    if not issparse(table.matrix):
        return errors(table.matrix, sums[:, None])
    return _like(table.matrix, errors(table.matrix.data, _per_cell(table.matrix, sums)))


def intervals(
    counts: TransitionCounts,
    table: TransitionTable,
    *,
    method: str = "asymptotic",
    level: float = 0.95,
    prior: float = 0.5,
) -> Intervals:
    """Intervals for each transition probability.

    Parameters
    ----------
    counts : TransitionCounts
    table : TransitionTable
        Estimate from these counts; the middle of "wald" intervals.
    method : {"asymptotic", "wald", "dirichlet"}
        "asymptotic": Wilson's interval, the probabilities that the normal approximation does not
        reject. It stays within [0, 1] and does not collapse at counts of zero. "wald": estimate -+
        z standard errors, cut off at 0 and 1; its coverage is poor for small counts, and nil for a
        count of zero. "dirichlet": equal-tailed intervals of the posterior under a symmetric
        Dirichlet prior; each cell is Beta distributed.
    level : float
    prior : float
        Parameter of the Dirichlet prior, 1/2 for Jeffreys'. With many states and few transitions
        per row it dominates.

    Returns
    -------
    Intervals
        [0, 1] in rows without transitions (the prior's own interval for "dirichlet").
    """
    _check_level(level)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    if not (np.isfinite(prior) and prior > 0):
        raise ValueError(f"prior must be a finite number above 0, got {prior!r}")
    sums, k = np.asarray(counts.row_sums, dtype=np.float64), counts.n_states
    z = float(ndtri(0.5 + level / 2))

    def ends(count: Floats, n: Floats, p: Floats) -> tuple[Floats, Floats]:
        if method == "dirichlet":
            return _beta_ends(count, n, k, prior, level)
        return _wilson(count, n, z) if method == "asymptotic" else _wald(p, n, z)

    if not counts.sparse:
        lower, upper = ends(counts.table, sums[:, None], table.matrix)
        return Intervals(lower, upper, None, level, method)
    held = counts.table
    lower, upper = ends(held.data, _per_cell(held, sums), table.matrix.data)
    zero = np.zeros(len(sums))
    unseen = ends(zero, sums, zero if table.unseen is None else table.unseen)[1]
    return Intervals(_like(held, lower), _like(held, upper), unseen, level, method)


def _wilson(count: Floats, n: Floats, z: float) -> tuple[Floats, Floats]:
    """Ends of Wilson's interval, the roots of (p - x)^2 n = z^2 x (1 - x); [0, 1] at n = 0."""
    middle, total = count + z * z / 2, n + z * z
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.where(n > 0, z * np.sqrt(count * ((n - count) / n) + z * z / 4), z * z / 2)
        # The small end by the product of the two: their difference would cancel.
        lower = np.where((n > 0) & (count > 0), count * (count / n) / (middle + spread), 0.0)
    upper = np.where(count < n, (middle + spread) / total, 1.0)
    return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)


def _wald(p: Floats, n: Floats, z: float) -> tuple[Floats, Floats]:
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(n > 0, z * np.sqrt(p * (1.0 - p) / n), np.inf)
    return np.clip(p - half, 0.0, 1.0), np.clip(p + half, 0.0, 1.0)


def _beta_ends(
    count: Floats, n: Floats, k: int, prior: float, level: float
) -> tuple[Floats, Floats]:
    """Quantiles of the marginal of a Dirichlet posterior."""
    if k == 1:
        return np.ones(np.shape(count)), np.ones(np.shape(count))
    a, b = count + prior, (n - count) + (k - 1) * prior
    tail = (1.0 - level) / 2
    return betaincinv(a, b, tail), betaincinv(a, b, 1.0 - tail)


def _per_cell(held: csr_array, values: Floats) -> Floats:
    """A value per row, for every stored cell."""
    return np.repeat(values, np.diff(held.indptr))


def _like(held: csr_array, data: Floats) -> csr_array:
    return csr_array((data, held.indices, held.indptr), shape=held.shape)


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level!r}")


# -- stationary law --------------------------------------------------------------------------------


def stationary_standard_errors(matrix: Matrix, row_sums: Floats) -> Floats:
    """Standard errors of the stationary laws of a chain that was estimated row by row.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable
        Estimated transition probabilities (k, k).
    row_sums : ndarray of shape (k,)
        Number of transitions from each state.

    Returns
    -------
    ndarray of shape (n_closed, k)
        In the order of `stationary`; infinite where a state of the class was never left or seen.

    Notes
    -----
    Delta method: a change dP moves the law by pi dP A with A the group inverse of I - P
    (Schweitzer, 1968; Meyer, 1975), and the rows of P are asymptotically independent multinomials,
    so that

        var pi_j = sum_i pi_i^2 / N_i var_{l ~ P_i} A_lj.

    The variance does not see constants in a column of A, and (I - P + 1 pi')^-1 is taken for A.
    k^3 operations.
    """
    chain = chain_matrix(matrix)
    dense = chain.dense()
    classes = communicating_classes(matrix)
    laws = stationary(matrix, classes)
    errors = np.zeros_like(laws)
    for label, law, error in zip(np.flatnonzero(classes.closed), laws, errors, strict=True):
        members = classes.members(int(label))
        part, pi = dense[np.ix_(members, members)], law[members]
        group = inv(np.eye(len(members)) - part + pi)
        mean = part @ group
        # Twice centred, so that the squares do not cancel.
        spread = part @ (group - group.mean(axis=0)) ** 2 - (mean - group.mean(axis=0)) ** 2
        n = np.asarray(row_sums, dtype=np.float64)[members]
        if len(members) > 1:
            with np.errstate(divide="ignore"):
                terms = np.where(n[:, None] > 0, pi[:, None] ** 2 / n[:, None], np.inf)
            known = np.maximum(spread, np.finfo(float).tiny)
            error[members] = np.sqrt((terms * known).sum(axis=0))
    return errors


# -- bootstrap -------------------------------------------------------------------------------------


def bootstrap(
    codes: NDArray[np.integer[Any]],
    offsets: Integers,
    fitted: TransitionTable,
    fit: Callable[[TransitionCounts], TransitionTable],
    *,
    weight: Floats | None = None,
    kind: str = "auto",
    level: float = 0.95,
    n_resamples: int = 1000,
    seed: int = 0,
) -> Intervals:
    """Bootstrap of the transition probabilities.

    Parameters
    ----------
    codes, offsets, weight
        Sequences as `count_transitions` takes them.
    fitted : TransitionTable
        Estimate from them; the rows are its rows.
    fit : callable
        The estimator, from counts to probabilities.
    kind : {"auto", "sequences", "parametric"}
        Draw whole sequences with replacement, which does not assume that the chain is one and
        needs two of them that hold a transition; or simulate the fitted chain from the first states
        of each unbroken piece, of the same length and with the weights of its rows. "auto":
        sequences from 30 such ones on.
    level : float
    n_resamples : int
    seed : int

    Notes
    -----
    A cell that was never seen is never seen in a resample either: the percentile interval of a
    maximum likelihood estimate collapses at zero there. Wilson's and Dirichlet intervals do not.
    """
    _check_level(level)
    if fitted.n_rows * fitted.n_states * n_resamples > MOST_RESAMPLED:
        raise ValueError(
            f"{n_resamples} resamples of {fitted.n_rows} by {fitted.n_states} cells do not fit; "
            "lower n_resamples or take another method"
        )
    if kind not in ("auto", "sequences", "parametric"):
        raise ValueError(f"kind must be 'auto', 'sequences' or 'parametric', got {kind!r}")
    several = _telling_sequences(codes, offsets, weight, fitted.order)
    if kind == "auto":
        kind = "sequences" if several >= MANY_SEQUENCES else "parametric"
    if kind == "sequences" and several < 2:
        raise ValueError(
            f"kind='sequences' expects at least 2 sequences that hold a transition, got {several}: "
            "all resamples would be alike; take kind='parametric'"
        )
    resample = _resampled_sequences if kind == "sequences" else _simulated_pieces
    draw = resample(codes, offsets, fitted, weight, seed)
    contexts = np.arange(fitted.n_states) if fitted.contexts is None else fitted.contexts
    values = np.empty((n_resamples, fitted.n_rows, fitted.n_states))
    for b in range(n_resamples):
        table = fit(draw(b))
        values[b] = table.rows(table.find(contexts))
    lower, upper = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    method = f"bootstrap, {kind}"  # also tells what "auto" chose
    return Intervals(lower, upper, None, level, method, values.std(axis=0, ddof=1))


Draw = Callable[[int], TransitionCounts]


def _telling_sequences(
    codes: NDArray[np.integer[Any]], offsets: Integers, weight: Floats | None, order: int
) -> int:
    """Number of sequences that hold a transition of positive weight."""
    lengths = np.diff(offsets)
    target = np.arange(len(codes)) - np.repeat(offsets[:-1], lengths) >= order
    for back in range(min(order + 1, len(codes))):
        target[back:] &= codes[: len(codes) - back] >= 0
    if weight is not None:
        target &= weight > 0
    return len(np.unique(np.repeat(np.arange(len(lengths)), lengths)[target]))


def _resampled_sequences(
    codes: NDArray[np.integer[Any]],
    offsets: Integers,
    fitted: TransitionTable,
    weight: Floats | None,
    seed: int,
) -> Draw:
    rng = np.random.default_rng(seed)
    lengths = np.diff(offsets)
    share = np.full(len(lengths), 1.0 / len(lengths))

    def draw(_: int) -> TransitionCounts:
        times = np.repeat(rng.multinomial(len(lengths), share).astype(np.float64), lengths)
        return count_transitions(
            codes,
            fitted.n_states,
            order=fitted.order,
            offsets=offsets,
            weight=times if weight is None else times * weight,
            sparse=False,
        )

    return draw


def _simulated_pieces(
    codes: NDArray[np.integer[Any]],
    offsets: Integers,
    fitted: TransitionTable,
    weight: Floats | None,
    seed: int,
) -> Draw:
    first, lengths = pieces(codes, offsets)
    some = lengths > fitted.order
    first, lengths = first[some], lengths[some]
    begin = codes[first[:, None] + np.arange(fitted.order)].astype(np.int64)
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    if weight is not None:
        weight = weight[np.repeat(first - bounds[:-1], lengths) + np.arange(bounds[-1])]
    sampler = ChainSampler(fitted, fitted.contexts)

    def draw(b: int) -> TransitionCounts:
        path = sampler.simulate(
            None, lengths, seed, initial_states=begin, first_sequence=b * len(lengths)
        )
        return count_transitions(
            path,
            fitted.n_states,
            order=fitted.order,
            offsets=bounds,
            weight=weight,
            sparse=False,
        )

    return draw


def pieces(codes: NDArray[np.integer[Any]], offsets: Integers) -> tuple[Integers, Integers]:
    """First rows and lengths of the runs of known states within sequences."""
    known = codes >= 0
    begins = np.zeros(len(codes), dtype=bool)
    begins[offsets[:-1][np.diff(offsets) > 0]] = True
    begins[1:] |= ~known[:-1]
    first = np.flatnonzero(begins & known)
    stops = np.flatnonzero(begins | ~known)
    after = np.searchsorted(stops, first, side="right")
    return first, np.append(stops, len(codes))[after] - first
