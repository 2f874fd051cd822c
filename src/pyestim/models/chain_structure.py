"""Classes of states, stationary laws, entropy rate and timescales of a transition matrix.

A matrix is an array (k, k), a `csr_array`, or a `TransitionTable` of order 1. Hitting times are in
`chain_passage`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvals
from scipy.sparse import csr_array, issparse
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs
from scipy.special import xlogy

from pyestim.models.chain_elimination import eliminate
from pyestim.models.chain_matrix import ChainMatrix, Matrix, chain_matrix
from pyestim.models.chain_sparse import sparse_stationary
from pyestim.models.chain_tables import Floats, Integers

#: States up to which a sparse matrix is treated as a dense one: 32 MB, some seconds.
DENSE_STATES = 2000
#: Probabilities that all stationary laws together may have, 1.6 GB.
MOST_CELLS = 200_000_000
#: Modulus from which on an eigenvalue found by iterations is one.
UNIT = 1 - 1e-10


# -- classes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CommunicatingClasses:
    """States that can reach one another.

    Attributes
    ----------
    labels : ndarray of shape (k,)
        Class of each state; classes are numbered by their first state.
    closed : ndarray of bool, shape (n_classes,)
        Whether the chain can never leave the class.
    periods : ndarray of shape (n_classes,)
        Greatest common divisor of the lengths of its cycles; 0 for a single state that never
        returns.
    """

    labels: Integers
    closed: NDArray[np.bool_]
    periods: Integers

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.closed)

    def members(self, label: int) -> Integers:
        """States of a class."""
        return np.flatnonzero(self.labels == label)

    @property
    def recurrent(self) -> NDArray[np.bool_]:
        """Whether each state (k,) is in a closed class."""
        return self.closed[self.labels]

    def __str__(self) -> str:
        lines = []
        for label in range(min(self.n_classes, 20)):
            kind = "closed" if self.closed[label] else "transient"
            states = self.members(label)
            shown = ", ".join(map(str, states[:10])) + (", ..." if len(states) > 10 else "")
            lines.append(f"{kind:<9}  period {self.periods[label]}  {len(states)} states: {shown}")
        lines += ["..."] if self.n_classes > 20 else []
        return "\n".join(lines)


def communicating_classes(matrix: Matrix) -> CommunicatingClasses:
    """Communicating classes, which of them are closed, and their periods.

    Notes
    -----
    Time and memory are proportional to the number of cells that are not zero.
    """
    return _classes_of(chain_matrix(matrix))


def _classes_of(chain: ChainMatrix) -> CommunicatingClasses:
    if not issparse(chain.held) and (chain.held > 0).all():
        # Every smoothed matrix: one class, and no need for its graph.
        labels = np.zeros(chain.n_states, dtype=np.int64)
        return CommunicatingClasses(labels, np.ones(1, dtype=bool), np.ones(1, dtype=np.int64))
    return _classes(chain.graph(), chain.full_rows())


def _classes(graph: csr_array, full: NDArray[np.bool_]) -> CommunicatingClasses:
    k = len(full)
    found = connected_components(_with_hub(graph, full), connection="strong")[1][:k]
    _, first, labels = np.unique(found, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    labels = number[labels.reshape(-1)]
    row = np.repeat(np.arange(k), np.diff(graph.indptr))
    inside = labels[row] == labels[graph.indices]
    closed = np.ones(len(first), dtype=bool)
    closed[labels[row[~inside]]] = False
    if len(first) > 1:
        closed[labels[full]] = False
    return CommunicatingClasses(labels, closed, _periods(graph, row, inside, labels, full))


def _with_hub(graph: csr_array, full: NDArray[np.bool_]) -> csr_array:
    """The graph with one more node, through which the full rows reach every state."""
    if not full.any():
        return graph
    k = len(full)
    row = np.concatenate(
        [np.repeat(np.arange(k), np.diff(graph.indptr)), np.flatnonzero(full), np.full(k, k)]
    )
    column = np.concatenate([graph.indices, np.full(int(full.sum()), k), np.arange(k)])
    return csr_array((np.ones(len(row)), (row, column)), shape=(k + 1, k + 1))


def _periods(
    graph: csr_array,
    row: Integers,
    inside: NDArray[np.bool_],
    labels: Integers,
    full: NDArray[np.bool_],
) -> Integers:
    """Period of each class: what divides the length of every cycle.

    With levels, the distances from the first state of the class, a step from u to v closes a cycle
    of length level(u) + 1 - level(v), up to cycles that were counted already.
    """
    periods = np.zeros(labels.max() + 1, dtype=np.int64)
    periods[labels[row[inside & (row == graph.indices)]]] = 1
    periods[labels[full]] = 1
    unknown = inside & (periods[labels[row]] == 0)
    if not unknown.any():
        return periods
    source, target = row[unknown], graph.indices[unknown].astype(np.int64)
    # The oldest scipy walks on 32-bit indices only, and does not choose them by itself.
    cells = source.astype(np.int32), target.astype(np.int32)
    steps = csr_array((np.ones(len(source)), cells), shape=graph.shape)
    first = np.unique(labels, return_index=True)[1][np.unique(labels[source])]
    level = dijkstra(steps, unweighted=True, indices=first, min_only=True)
    cycle = np.abs(level[source] + 1 - level[target]).astype(np.int64)
    order = np.argsort(labels[source], kind="stable")
    which, begins = np.unique(labels[source][order], return_index=True)
    periods[which] = np.gcd.reduceat(cycle[order], begins)
    return periods


# -- stationary laws -------------------------------------------------------------------------------


def stationary(matrix: Matrix, classes: CommunicatingClasses | None = None) -> Floats:
    """Stationary laws, one for each closed class.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable
    classes : CommunicatingClasses, optional
        If they are known already.

    Returns
    -------
    ndarray of shape (n_closed, k)
        In the order of the classes; zero outside the class. One row for an irreducible chain, and
        whenever one class is closed.

    Notes
    -----
    Up to 2000 states of a class, and for every dense matrix, states are eliminated
    without subtraction: each probability has a relative error of some k units in the last place,
    also for nearly decoupled states (k = 1000: 0.3 s). Larger classes of a sparse matrix: see
    `chain_sparse.sparse_stationary`.
    """
    chain = chain_matrix(matrix)
    classes = _classes_of(chain) if classes is None else classes
    closed = np.flatnonzero(classes.closed)
    if len(closed) * chain.n_states > MOST_CELLS:
        raise MemoryError(
            f"{len(closed)} stationary laws over {chain.n_states} states take "
            f"{8e-9 * len(closed) * chain.n_states:.3g} GB; ask for those of single classes"
        )
    laws = np.zeros((len(closed), chain.n_states))
    for law, label in zip(laws, closed, strict=True):
        members = classes.members(int(label))
        law[members] = _stationary_of(chain, members)
    return laws


def _stationary_of(chain: ChainMatrix, members: Integers) -> Floats:
    """Stationary law of one closed class."""
    if len(members) == 1:
        return np.ones(1)
    whole = len(members) == chain.n_states
    if issparse(chain.held) and len(members) > DENSE_STATES:
        part = chain.excess() if whole else chain.excess()[members][:, members]
        # A closed class with a full row is the whole chain.
        return sparse_stationary(part, chain.rest if whole else None)
    if whole:
        return eliminate(chain.dense()).stationary()
    if issparse(chain.held):
        part = chain.held[members][:, members].toarray()
    else:
        part = chain.held[np.ix_(members, members)]
    return eliminate(part).stationary()


def entropy_rate(matrix: Matrix, law: Floats) -> float:
    """Entropy of the next state given the present one, drawn from `law` (k,), in nats."""
    chain = chain_matrix(matrix)
    if not issparse(chain.held):
        return float(-(law @ xlogy(chain.held, chain.held).sum(axis=1)))
    held = csr_array(
        (xlogy(chain.held.data, chain.held.data), chain.held.indices, chain.held.indptr),
        shape=chain.held.shape,
    )
    rows = np.asarray(held.sum(axis=1)).ravel()
    if chain.rest is not None:
        rows = rows + (chain.n_states - np.diff(chain.held.indptr)) * xlogy(chain.rest, chain.rest)
    return float(-(law @ rows))


# -- spectrum --------------------------------------------------------------------------------------


def leading_eigenvalues(matrix: Matrix, n: int | None = None) -> NDArray[np.complex128]:
    """The n eigenvalues of largest modulus, in this order; all k without n.

    Notes
    -----
    Dense LAPACK up to 2000 states; beyond, Arnoldi iterations for n < k / 2, from one start.
    """
    chain = chain_matrix(matrix)
    n = chain.n_states if n is None else min(n, chain.n_states)
    found = _spectrum(chain, n)
    # Conjugate pairs keep together; the positive imaginary part comes first.
    order = np.lexsort((-found.imag, -found.real, -np.round(np.abs(found), 12)))
    leading: NDArray[np.complex128] = found[order][:n].astype(np.complex128)
    return leading


def _spectrum(chain: ChainMatrix, n: int) -> NDArray[np.complex128]:
    """All eigenvalues, or the n largest ones of a large sparse chain."""
    k = chain.n_states
    if issparse(chain.held) and k > DENSE_STATES and n < k // 2:
        return _arnoldi(chain, n)
    found: NDArray[np.complex128] = eigvals(chain.dense())
    return found


def _arnoldi(chain: ChainMatrix, n: int) -> NDArray[np.complex128]:
    excess, rest = chain.excess(), chain.rest

    def times(vector: Floats) -> Floats:
        product: Floats = excess @ vector
        return product if rest is None else product + rest * vector.sum()

    operator = LinearOperator(excess.shape, matvec=times, dtype=np.float64)
    start = np.random.default_rng(0).random(chain.n_states)
    room = min(chain.n_states, max(4 * n, 40))
    try:
        found: NDArray[np.complex128] = eigs(
            operator, k=n, which="LM", v0=start, return_eigenvectors=False, ncv=room, tol=1e-10
        )
    except ArpackError as error:
        raise ArithmeticError(
            f"the {n} largest eigenvalues of the transition matrix were not found ({error}); "
            "ask for fewer"
        ) from error
    return found


def timescales(matrix: Matrix, n: int | None = None, *, lag: float = 1.0) -> Floats:
    """Implied timescales -lag / log |eigenvalue|, largest first, without the stationary one.

    Parameters
    ----------
    matrix : ndarray, csr_array or TransitionTable
    n : int, optional
        How many; all k - 1 by default.
    lag : float
        Length of a step, in any unit; the timescales have the same.

    Returns
    -------
    ndarray of shape (min(n, k - 1),)
        Infinite where the modulus is one: a further closed class, or a cycle. Zero where it is
        zero.
    """
    chain = chain_matrix(matrix)
    k = chain.n_states
    n = k - 1 if n is None else min(n, k - 1)
    if n < 1:
        return np.zeros(0)
    # Structure tells how many there are of modulus one; iterations may miss repeated ones.
    classes = _classes_of(chain)
    n_unit = int(classes.periods[classes.closed].sum())
    modulus = np.sort(np.abs(_spectrum(chain, n + 1)))[::-1]
    modulus = modulus[n_unit:] if len(modulus) == k else modulus[modulus < UNIT]
    with np.errstate(divide="ignore"):
        slow = -lag / np.log(np.minimum(modulus, 1.0))
    scales: Floats = np.concatenate([np.full(n_unit - 1, np.inf), np.abs(slow)])[:n]
    return scales
