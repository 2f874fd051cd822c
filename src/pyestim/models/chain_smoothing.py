"""Rules that turn counted transitions into probabilities.

Every rule adds pseudo-counts to the counts of a row and normalises: cell j of a row with counts
N_1 ... N_k of sum N becomes (N_j + b_j) / (N + b_1 + ... + b_k). What the rules are optimal for,
and under which conditions, is in the docstring of `smoothed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from pyestim.models.chain_tables import Floats, Integers, TransitionTable

if TYPE_CHECKING:
    from pyestim.models.transition_counts import TransitionCounts

#: Pseudo-counts of the Kullback-Leibler rule at the counts 0, 1, 2 and more (Braess & Sauer, 2004).
BY_COUNT = np.array([0.5, 1.0, 0.75])

#: Numbers beyond, which are added to every count, might overflow in the sum of a row.
HUGE, SCALE = 2.0**900, 2.0**-200


@dataclass(frozen=True)
class Rows:
    """What a rule may know of the rows: numbers of states and observations, sums."""

    n_states: int
    n_observations: float
    sums: Floats


#: Pseudo-count of every cell of each row, from the sums of the rows.
Rule = Callable[[Rows], Floats]


def boundary_constant(alpha: float) -> float:
    """Pseudo-count for the alpha-divergence, f = (t^a - a t + a - 1) / (a (a - 1)): a / 2.

    A cell adds 1 / (2 n) to the risk of n independent draws where its probability is well above
    1/n, whatever the constant b, and b / (a n) where it is zero. They are equal at b = a / 2: 1 for
    chi-square (a = 2), 1/2 for Kullback-Leibler (a = 1), 1/4 for Hellinger (a = 1/2). In between,
    at probabilities of some 1/n, it adds 0.5 (a >= 2), 0.511 (a = 1), 0.525 (a = 1/2) or 0.539
    (a = 1/4) times 1/n, which the best constant lowers by less than one per cent. No constant will
    do for a <= 0: the risk is infinite at zero.
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be greater than 0, got {alpha!r}")
    return alpha / 2


def _constant(value: float) -> Rule:
    return lambda rows: np.full(len(rows.sums), value)


def _root_of_sum(rows: Rows) -> Floats:
    root: Floats = np.sqrt(rows.sums) / rows.n_states
    return root


#: The named rules. "minimax-kl" and "adaptive" then change some cells (see `smoothed`).
RULES: dict[str, Rule] = {
    "mle": _constant(0.0),
    "laplace": _constant(1.0),
    "krichevsky-trofimov": _constant(0.5),
    "minimax-l2": _root_of_sum,
    "minimax-kl": _constant(0.5),
    "minimax-chi-square": _constant(boundary_constant(2.0)),
    "minimax-hellinger": _constant(boundary_constant(0.5)),
    "minimax-alpha": _constant(boundary_constant(0.5)),
    "adaptive": _constant(0.5),
}


def rule_of(smoothing: Any, *, alpha: float = 0.5) -> Rule:
    """Rule of a name or of a number, which is added to every count.

    Raises
    ------
    ValueError
        For a name that is not in `RULES`, and for a negative or infinite number.
    TypeError
        For anything else.
    """
    if isinstance(smoothing, str):
        if smoothing not in RULES:
            names = ", ".join(repr(name) for name in RULES)
            raise ValueError(
                f"smoothing must be one of {names}, or a number that is added to every count, "
                f"got {smoothing!r}"
            )
        return (
            _constant(boundary_constant(alpha))
            if smoothing == "minimax-alpha"
            else RULES[smoothing]
        )
    if isinstance(smoothing, bool) or not isinstance(smoothing, Real):
        raise TypeError(f"smoothing must be a name or a number, got {type(smoothing).__name__}")
    value = float(smoothing)
    if not (math.isfinite(value) and value >= 0):
        raise ValueError(
            f"smoothing must be at least 0 and finite when it is a number, got {value!r}"
        )
    return _constant(value)


def smoothed(
    counts: TransitionCounts,
    smoothing: str | float = "mle",
    *,
    alpha: float = 0.5,
    n_observations: float | None = None,
) -> TransitionTable:
    """Transition probabilities from counts.

    Parameters
    ----------
    counts : TransitionCounts
    smoothing : str or float
        The pseudo-counts, below. A number is added to every count.
    alpha : float
        The order of the divergence that "minimax-alpha" is meant for; greater than 0.
    n_observations : float, optional
        The n of "adaptive": transitions and starts that were counted, by default.

    Returns
    -------
    TransitionTable
        Dense where the table of counts is dense, else sparse with the cells of the counts. A row
        without transitions is uniform under every rule.

    Notes
    -----
    N is the sum of a row, n the number of observations, k that of states.

    ======================  =======================================  ==========================
    name                    pseudo-count                             meant for
    ======================  =======================================  ==========================
    "mle"                   0                                        maximum likelihood
    "laplace"               1                                        prediction; see below
    "krichevsky-trofimov"   1/2                                      code length; prediction
    "minimax-l2"            sqrt(N) / k                              sum (p - q)^2
    "minimax-kl"            1/2, 1, 3/4 at a count of 0, 1, more     sum p log(p / q)
    "minimax-chi-square"    1                                        sum (p - q)^2 / q
    "minimax-hellinger"     1/4                                      sum (sqrt p - sqrt q)^2
    "minimax-alpha"         a / 2                                    alpha-divergence of order a
    "adaptive"              1/2; see below                           prediction, k = 2
    ======================  =======================================  ==========================

    *Estimation.* With entries of at least d > 0 and n to infinity, a row of N transitions behaves
    like N independent draws, and the rarest state decides (Hao, Orlitsky and Pichapati, 2018): the
    largest expected loss of a row, in the worst such chain, is c f''(1) / (2 n d) with k - 2 <= c
    <= k - 1 for a smooth f-divergence, and between (1 - 1/(k-1)) / (n d) and (1 - 1/k) / (n d) for
    squares. *Every* constant reaches the upper one of the f-divergences; sqrt(N)/k does not, its
    bias has the size of the standard error: for Kullback-Leibler c becomes k - 2 + sum_j 1 / (k^2
    p_j), which is k - 1 only for the uniform row. The constants differ in the terms of order 1/n^2
    and for small probabilities, where the theory of chains is silent and that of N independent
    draws takes over:

    - "minimax-l2" has the expected loss (1 - 1/k) / (sqrt N + 1)^2 whatever p is, and is exactly
      minimax.
    - "minimax-kl" attains (k - 1) / (2 N) asymptotically on the whole simplex (Braess and Sauer,
      2004), which no constant does. Weights between two counts get the interpolated pseudo-count.
    - "minimax-chi-square" has a loss of at most (k - 1) / (N + 1) whatever p is, the leading term
      of the minimax risk.
    - "minimax-hellinger" and "minimax-alpha" are asymptotically minimax where the probabilities
      are bounded away from zero, as every constant is. Theirs loses no more at zero than in the
      interior, and is within one per cent of the best constant on the whole simplex, where the
      risk exceeds the interior's by at most 5 per cent for "minimax-hellinger", by 8 for a >= 1/4
      (`boundary_constant`); no sharper claim is made.

    *Prediction* of the next state of a path, under the Kullback-Leibler loss of the last row: for
    k = 2 the minimax rate is log log n / n, and adding a constant has log n / n. "adaptive" has the
    minimax rate: where the chain was never seen to leave its present state i, i.e. N_i = N_ii,
    leaving it has the pseudo-count b = min(1/2, 1 / log n), spread evenly over the k - 1 exits,
    and staying has b too. As the present state is the only one that may have been visited and not
    left, row i of the matrix is the prediction if the chain is in i now. Of order m it applies to
    the contexts i i ... i. It overtakes adding 1/2 only near n = 1e6 (`benchmarks/papers`).

    For k >= 3 the minimax rate is (k^2 / n) log(n / k^2) (Han, Jana and Wu, 2021, which supersedes
    the upper bound of 2018), and "adaptive" is a heuristic. Reversible chains whose spectral gap is
    not excessively small have the rate k^2 / n of independent draws; adding a constant shows it on
    chains that mix fast.

    References
    ----------
    Y. Hao, A. Orlitsky, V. Pichapati. On learning Markov chains. NeurIPS 2018. arXiv:1810.11754.
    Y. Han, S. Jana, Y. Wu. Optimal prediction of Markov chains with and without spectral gap.
    IEEE Trans. Inf. Theory 69 (2023) 3920-3959. arXiv:2106.13947.
    M. Falahatgar, A. Orlitsky, V. Pichapati, A. Suresh. Learning Markov distributions: does
    estimation trump compression? ISIT 2016.
    D. Braess, T. Sauer. Bernstein polynomials and learning theory. J. Approx. Theory 128 (2004)
    187-206.
    """
    table, sums = counts.table, np.asarray(counts.row_sums, dtype=np.float64)
    known = sums > 0
    if n_observations is None:
        n_observations = float(counts.total) + float(np.sum(counts.starts))
    rows = Rows(counts.n_states, n_observations, sums)
    pseudo = rule_of(smoothing, alpha=alpha)(rows)
    # The limit of every rule: equal pseudo-counts and nothing else.
    pseudo[~known] = 1.0
    if pseudo.max(initial=0.0) > HUGE:  # a power of two scales everything without rounding
        table, sums, pseudo = table * SCALE, sums * SCALE, pseudo * SCALE
    by_count = smoothing == "minimax-kl"
    build = _sparse_rows if counts.sparse else _dense_rows
    matrix, unseen = build(table, sums, pseudo, known, by_count)
    if smoothing == "adaptive" and counts.n_states > 1:
        _smooth_never_left(matrix, unseen, sums, _exit_pseudo_count(rows), *_never_left(counts))
    return TransitionTable(matrix, unseen, counts.contexts)


def _dense_rows(
    table: NDArray[Any], sums: Floats, pseudo: Floats, known: NDArray[np.bool_], by_count: bool
) -> tuple[Floats, None]:
    """Rows of a complete table."""
    if by_count:
        matrix = _pseudo_by_count(table)
        matrix[~known] = 1.0
        total = sums + matrix.sum(axis=1)
        matrix += table
    else:
        total = sums + table.shape[1] * pseudo
        matrix = table.astype(np.float64)
        matrix += pseudo[:, None]
    matrix /= total[:, None]
    return matrix, None


def _sparse_rows(
    table: csr_array, sums: Floats, pseudo: Floats, known: NDArray[np.bool_], by_count: bool
) -> tuple[csr_array, Floats]:
    """The cells of a sparse table, and what every other cell of a row has."""
    held = np.diff(table.indptr)
    row = np.repeat(np.arange(table.shape[0]), held)
    if by_count:
        added = np.where(known[row], _pseudo_by_count(table.data), 1.0)
        both = np.bincount(row, weights=added, minlength=table.shape[0])
        total = sums + both + (table.shape[1] - held) * pseudo
    else:
        added = pseudo[row]
        total = sums + table.shape[1] * pseudo
    data = (table.data + added) / total[row]
    return csr_array((data, table.indices, table.indptr), shape=table.shape), pseudo / total


def _pseudo_by_count(counted: NDArray[Any]) -> Floats:
    """Pseudo-counts of the Kullback-Leibler rule, interpolated between whole counts."""
    if counted.dtype.kind in "iu":
        whole: Floats = BY_COUNT.take(np.minimum(counted, 2))
        return whole
    between: Floats = np.interp(counted, [0.0, 1.0, 2.0], BY_COUNT)
    return between


def _exit_pseudo_count(rows: Rows) -> float:
    """Pseudo-count of leaving a state that was never left."""
    return 1.0 / max(2.0, math.log(max(rows.n_observations, 1.0)))


def _never_left(counts: TransitionCounts) -> tuple[Integers, Integers]:
    """Rows of repeated states that were followed by nothing else, and those states."""
    if counts.contexts is None:
        row = state = np.arange(counts.n_states)
    else:
        row = np.flatnonzero((counts.contexts == counts.contexts[:, :1]).all(axis=1))
        state = counts.contexts[row, 0]
    held = TransitionTable(counts.table, np.zeros(len(counts.row_sums)) if counts.sparse else None)
    stayed = held.cells(row, state)
    kept = (stayed > 0) & (stayed == counts.row_sums[row])
    return row[kept], state[kept]


def _smooth_never_left(
    matrix: Any, unseen: Floats | None, sums: Floats, b: float, row: Integers, state: Integers
) -> None:
    """Rows that were never left: b for staying, b for all exits together."""
    total = sums[row] + 2 * b
    stay, leave = (sums[row] + b) / total, b / (matrix.shape[1] - 1) / total
    if unseen is None:
        matrix[row] = leave[:, None]
        matrix[row, state] = stay
        return
    unseen[row] = leave
    number = np.full(len(sums), -1)
    number[row] = np.arange(len(row))
    number = np.repeat(number, np.diff(matrix.indptr))
    cells = number >= 0
    number = number[cells]
    matrix.data[cells] = np.where(
        matrix.indices[cells] == state[number], stay[number], leave[number]
    )
