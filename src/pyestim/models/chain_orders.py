"""Of which order is a chain: likelihood ratio and Pearson tests, information criteria, evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, issparse
from scipy.special import gammaln, xlogy
from scipy.stats import chi2

from pyestim.models.chain_tables import Floats, Integers, TransitionTable, nonzero_cells
from pyestim.models.transition_counts import TransitionCounts

HEADER = (
    "order",
    "log-lik.",
    "parameters",
    "AIC",
    "BIC",
    "evidence",
    "G",
    "X2",
    "df",
    "p(G)",
    "p(X2)",
)


@dataclass(frozen=True)
class OrderTest:
    """Chains of the orders 0 to m on the same transitions.

    Attributes
    ----------
    n_transitions : float
    log_likelihood : ndarray of shape (m + 1,)
        Maximum for each order.
    n_parameters : ndarray of shape (m + 1,)
        k^r (k - 1).
    n_free : ndarray of shape (m + 1,)
        The same for contexts and successors that occur: the sum over the contexts of the states
        seen after them, less one.
    aic, bic : ndarray of shape (m + 1,)
        From `n_parameters`; smaller is better.
    log_evidence : ndarray of shape (m + 1,)
        Logarithm of the probability of the transitions under a Dirichlet prior on each row; larger
        is better.
    g, pearson : ndarray of shape (m,)
        Statistics of order r against r + 1.
    df, df_nominal : ndarray of shape (m,)
        Degrees of freedom, adjusted for what cannot occur and nominal, k^r (k - 1)^2.
    p_g, p_pearson : ndarray of shape (m,)
        p-values, with `df`.
    """

    n_transitions: float
    log_likelihood: Floats
    n_parameters: Floats
    n_free: Floats
    aic: Floats
    bic: Floats
    log_evidence: Floats
    g: Floats
    pearson: Floats
    df: Floats
    df_nominal: Floats
    p_g: Floats
    p_pearson: Floats

    @property
    def best(self) -> dict[str, int]:
        """Order preferred by each criterion; BIC is consistent, AIC prefers long memories."""
        return {
            "aic": int(np.argmin(self.aic)),
            "bic": int(np.argmin(self.bic)),
            "evidence": int(np.argmax(self.log_evidence)),
        }

    def rows(self) -> list[tuple[str, ...]]:
        """Cells of the table: one row per order, the tests of r against r + 1 in row r."""
        out = []
        for r in range(len(self.aic)):
            single = (self.log_likelihood, self.n_parameters, self.aic, self.bic, self.log_evidence)
            cells = [str(r), *(f"{values[r]:.8g}" for values in single)]
            if r < len(self.g):
                tests = (self.g, self.pearson, self.df, self.p_g, self.p_pearson)
                cells += [f"{values[r]:.4g}" for values in tests]
            else:
                cells += [""] * 5
            out.append(tuple(cells))
        return out

    def __str__(self) -> str:
        table = [HEADER, *self.rows()]
        widths = [max(len(row[j]) for row in table) for j in range(len(HEADER))]
        lines = ["  ".join(c.rjust(w) for c, w in zip(row, widths, strict=True)) for row in table]
        best = ", ".join(f"{name} {order}" for name, order in self.best.items())
        return "\n".join([*lines, "", f"tests: order r against r + 1; best order: {best}"])


def order_test(counts: TransitionCounts, *, prior: float = 0.5) -> OrderTest:
    """Compare the orders 0 to m by the counts of order m.

    Parameters
    ----------
    counts : TransitionCounts
        Of the highest order; the counts of lower ones are sums of these, so that every order sees
        the same transitions, those that have m known states before them.
    prior : float
        Parameter of the Dirichlet prior of the evidence.

    Returns
    -------
    OrderTest

    Notes
    -----
    Under order r, G and X2 against order r + 1 are asymptotically chi-square (Anderson and
    Goodman, 1957). The degrees of freedom are the sum over the contexts c of length r of (a_c -
    1)(b_c - 1), with a_c the number of states seen before c and b_c after it. Where many cells
    hold few counts, neither p-value is to be trusted.
    """
    if not (np.isfinite(prior) and prior > 0):
        raise ValueError(f"prior must be a finite number above 0, got {prior!r}")
    tables = [Level.of(counts, r) for r in range(counts.order + 1)]
    k, m, n = counts.n_states, counts.order, float(counts.total)
    loglik = np.array([level.log_likelihood() for level in tables])
    order = np.arange(m + 1, dtype=np.float64)
    n_parameters = float(k) ** order * (k - 1)
    pairs = [tested(tables[r], tables[r + 1]) for r in range(m)]
    g, pearson, df = np.array(pairs, dtype=np.float64).reshape(m, 3).T
    return OrderTest(
        n_transitions=n,
        log_likelihood=loglik,
        n_parameters=n_parameters,
        n_free=np.array([level.n_free() for level in tables]),
        aic=2 * n_parameters - 2 * loglik,
        bic=np.log(max(n, 1.0)) * n_parameters - 2 * loglik,
        log_evidence=np.array([log_evidence(level.table, prior) for level in tables]),
        g=g,
        pearson=pearson,
        df=df,
        df_nominal=float(k) ** order[:-1] * (k - 1) ** 2,
        p_g=_p_value(g, df),
        p_pearson=_p_value(pearson, df),
    )


def _p_value(statistic: Floats, df: Floats) -> Floats:
    """Without degrees of freedom nothing can be rejected."""
    p: Floats = np.where(df > 0, chi2.sf(statistic, np.maximum(df, 1)), 1.0)
    return p


@dataclass(frozen=True)
class Level:
    """Counts of one order, and the row of the order below to which each row belongs.

    Attributes
    ----------
    table : csr_array of shape (R, k)
    parent : ndarray of shape (R,)
        Row of the context without its first state.
    """

    table: csr_array
    parent: Integers

    @staticmethod
    def of(counts: TransitionCounts, order: int) -> Level:
        """Sum the counts over the states that order `order` does not remember."""
        contexts = counts.contexts
        if contexts is None:
            contexts = np.arange(counts.n_states)[:, None]
        first = contexts.shape[1] - order
        groups, number = _numbered(contexts[:, first:])
        rows = len(contexts)
        together = csr_array((np.ones(rows), (number, np.arange(rows))), shape=(len(groups), rows))
        table = csr_array(together @ csr_array(counts.table, dtype=np.float64))
        table.eliminate_zeros()
        return Level(table, _numbered(groups[:, 1:])[1])

    def sums(self) -> Floats:
        """Transitions of each row."""
        return np.asarray(self.table.sum(axis=1)).ravel()

    def log_likelihood(self) -> float:
        """Maximum of the log-likelihood: sum of n log(n / N)."""
        row, _, value = nonzero_cells(self.table)
        return float(xlogy(value, value / self.sums()[row]).sum())

    def n_free(self) -> float:
        """Free probabilities of the successors that were seen."""
        return float(np.maximum(np.diff(self.table.indptr) - 1, 0).sum())


def _numbered(contexts: Integers) -> tuple[Integers, Integers]:
    """Distinct contexts, and the number of each one's; without states there is one context."""
    if contexts.shape[1] == 0:
        return np.zeros((min(len(contexts), 1), 0), dtype=np.int64), np.zeros(
            len(contexts), np.int64
        )
    groups, number = np.unique(contexts, axis=0, return_inverse=True)
    return groups, number.reshape(-1)


def tested(low: Level, high: Level) -> tuple[float, float, float]:
    """G, Pearson's X2 and the degrees of freedom of one order against the next."""
    row, column, seen = nonzero_cells(high.table)
    sums, low_sums = high.sums(), low.sums()
    parent = high.parent[row]
    below = TransitionTable(low.table, np.zeros(len(low_sums))).cells(parent, column)
    expected = sums[row] * below / low_sums[parent]
    g = 2.0 * float(xlogy(seen, seen / expected).sum())
    # Cells that were expected and not seen: what the others leave of the total.
    missing = max(float(sums.sum() - expected.sum()), 0.0)
    pearson = float(((seen - expected) ** 2 / expected).sum()) + missing
    before = np.bincount(high.parent[sums > 0], minlength=low.table.shape[0])
    after = np.diff(low.table.indptr)
    df = float((np.maximum(before - 1, 0) * np.maximum(after - 1, 0)).sum())
    return max(g, 0.0), pearson, df


def log_evidence(table: Any, prior: float = 0.5) -> float:
    """Log-probability of the transitions in their order, rows integrated over a Dirichlet prior.

    Parameters
    ----------
    table : ndarray or csr_array of shape (R, k)
        Counts.
    prior : float
        Parameter of the symmetric prior.
    """
    k = table.shape[1]
    sums = np.asarray(table.sum(axis=1), dtype=np.float64).ravel()
    value: NDArray[Any] = nonzero_cells(table)[2] if issparse(table) else np.asarray(table)
    rows = gammaln(k * prior) - gammaln(sums + k * prior)
    return float(rows.sum() + (gammaln(value + prior) - gammaln(prior)).sum())
