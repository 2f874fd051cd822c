"""Simulate Markov chains of any order from dense or sparse transition probabilities.

Every step picks its symbol from an alias table (Walker 1977) with 64 random bits that are a pure
function of the seed, the number of the sequence and the number of the step in it (Philox4x32-10).
So the symbols are the same for any number of threads, and for any split of the sequences over
calls; a longer sequence continues a shorter one.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, issparse

from pyestim import _core
from pyestim.models.chain_tables import canonical, fault_of_rows

__all__ = ["ChainSampler", "simulate"]

Float = NDArray[np.float64]
#: A dense table keeps 16 bits of the alias where most draws find all they need.
DENSE_STATES = 1 << 16
#: Numbers of rows stay far below where 64 bits overflow.
MOST_SYMBOLS = 2**62
#: Rows may miss a sum of one by so much: they are scaled.
SUM_TOLERANCE = 1e-6


class Table(Protocol):
    """Transition probabilities (R, k): stored cells, and one for all others of a row."""

    @property
    def matrix(self) -> Any: ...
    @property
    def unseen(self) -> Float | None: ...


Transition: TypeAlias = "ArrayLike | Table"


def _require(condition: Any, name: str, expected: str, got: Any) -> None:
    if not condition:
        raise ValueError(f"simulate: {name} must {expected}, got {got}.")


def _parts(transition: Any) -> tuple[Any, Float | None]:
    """Checked matrix, dense or CSR with sorted columns, and the probability of other cells."""
    if hasattr(transition, "matrix") and hasattr(transition, "unseen"):
        matrix, unseen = transition.matrix, transition.unseen
    else:
        matrix, unseen = transition, None
    if issparse(matrix):
        matrix = canonical(matrix)
    else:
        unseen = None
        matrix = np.ascontiguousarray(matrix, dtype=np.float64)
        _require(matrix.ndim == 2, "transition", "have two axes", f"shape {matrix.shape}")
    shape = matrix.shape
    _require(min(shape) > 0, "transition", "have rows and columns", f"shape {shape}")
    _require(shape[1] < 2**31, "transition", "have fewer than 2^31 columns", shape[1])
    if unseen is not None:
        unseen = np.ascontiguousarray(unseen, dtype=np.float64)
        _require(unseen.shape == shape[:1], "unseen", "have one value per row", unseen.shape)
    fault = fault_of_rows(matrix, unseen, SUM_TOLERANCE)
    if fault:
        raise ValueError(f"simulate: transition {fault}.")
    return matrix, unseen


class _Dense:
    """Alias tables of a dense matrix."""

    def __init__(self, matrix: Float) -> None:
        self.n_rows, self.n_states = matrix.shape
        self._hot = np.empty(matrix.shape, dtype=np.uint32)
        self._threshold = np.empty(matrix.shape, dtype=np.uint64)
        _core.native.alias_dense(_core.context(), matrix, self._hot, self._threshold)

    def walk(self, *rest: Any) -> None:
        """Fill the last argument with symbols."""
        tables = (self.n_states, self._hot, self._threshold)
        _core.native.walk_dense(_core.context(), *tables, *rest)


class _Sparse:
    """Alias tables of a sparse matrix; cells that are not stored share one place of their row."""

    def __init__(self, matrix: csr_array, unseen: Float | None) -> None:
        self.n_rows, self.n_states = matrix.shape
        others = np.zeros(self.n_rows) if unseen is None else unseen
        self._indptr = matrix.indptr.astype(np.int64)
        self._indices = matrix.indices.astype(np.int32)
        self._places = np.empty((matrix.nnz + self.n_rows, 2), dtype=np.uint64)
        data = np.ascontiguousarray(matrix.data)
        _core.native.alias_sparse(
            _core.context(), data, others, self.n_states, self._indptr, self._indices, self._places
        )

    def walk(self, *rest: Any) -> None:
        """Fill the last argument with symbols."""
        tables = (self.n_states, self._indptr, self._indices, self._places)
        _core.native.walk_sparse(_core.context(), *tables, *rest)


def _tables(transition: Any) -> _Dense | _Sparse:
    matrix, unseen = _parts(transition)
    if not issparse(matrix) and matrix.shape[1] <= DENSE_STATES:
        return _Dense(matrix)
    return _Sparse(csr_array(matrix), unseen)


@dataclass(frozen=True)
class _Contexts:
    """Where every context of a chain of higher order leads."""

    order: int
    symbols: NDArray[np.int32] | None
    successor: NDArray[np.int64] | None


def _contexts(contexts: ArrayLike | None, n_rows: int, n_states: int) -> _Contexts:
    if contexts is None:
        _require(n_rows == n_states, "transition", "be square without contexts", (n_rows, n_states))
        return _Contexts(1, None, None)
    symbols = np.asarray(contexts)
    shaped = symbols.ndim == 2 and len(symbols) == n_rows and symbols.shape[1] > 0
    _require(shaped, "contexts", f"have shape ({n_rows}, order)", f"shape {symbols.shape}")
    _require(symbols.dtype.kind in "iu", "contexts", "be integers", f"dtype {symbols.dtype}")
    inside = symbols.min() >= 0 and symbols.max() < n_states
    _require(
        inside, "contexts", f"be from 0 to {n_states - 1}", f"{symbols.min()}, {symbols.max()}"
    )
    step = np.diff(symbols.astype(np.int64), axis=0)
    first = (step != 0).argmax(axis=1)
    rising = np.all(np.take_along_axis(step, first[:, None], axis=1) > 0)
    _require(rising, "contexts", "differ and be in lexicographic order", "another order")
    codes = np.ascontiguousarray(symbols, dtype=np.int32)
    return _Contexts(codes.shape[1], codes, _successors(codes))


def _successors(codes: NDArray[np.int32]) -> NDArray[np.int64]:
    """First row that begins with the end of a context, and how many do: (R, 2)."""
    order = codes.shape[1]
    if order == 1:
        return np.full((len(codes), 2), (0, len(codes)), dtype=np.int64)
    heads, tails = codes[:, : order - 1], codes[:, 1:]
    both = np.vstack([heads, tails])
    _, label = np.unique(both, axis=0, return_inverse=True)  # in lexicographic order
    head, tail = np.split(label.ravel(), 2)
    first = np.searchsorted(head, tail, side="left")
    return np.column_stack([first, np.searchsorted(head, tail, side="right") - first])


class ChainSampler:
    """Alias tables of a Markov chain, built once for any number of simulations.

    Parameters
    ----------
    transition : array-like or sparse array of shape (R, k), or TransitionTable
        Row r holds the probabilities of the symbols that follow context r. Rows must sum to one.
        The cells that a `TransitionTable` does not store have its constant probability.
    contexts : array-like of shape (R, m) or None, default None
        The last m symbols that row r belongs to, in lexicographic order. None: those of the table,
        or order 1, row i is symbol i. After m symbols that are no context the next one is drawn
        uniformly.
    """

    def __init__(self, transition: Transition, contexts: ArrayLike | None = None) -> None:
        self._tables = _tables(transition)
        if contexts is None:
            contexts = getattr(transition, "contexts", None)
        self._contexts = _contexts(contexts, self._tables.n_rows, self._tables.n_states)

    def simulate(
        self,
        start_proba: ArrayLike | None,
        lengths: ArrayLike,
        seed: int,
        *,
        initial_states: ArrayLike | None = None,
        first_sequence: int = 0,
    ) -> NDArray[np.int32]:
        """Return simulated symbols; the arguments are those of `simulate`."""
        rows = _lengths(lengths)
        offsets = np.concatenate([[0], np.cumsum(rows)])
        start, initial = self._beginning(start_proba, initial_states, len(rows))
        key = _integer("seed", seed, 2**64)
        first = _integer("first_sequence", first_sequence, 2**62)
        out = _room(int(offsets[-1]))
        if len(out):
            c = self._contexts
            self._tables.walk(
                c.order, c.symbols, c.successor, start, initial, offsets, first, key, out
            )
        return out

    def _beginning(
        self, start_proba: Any, initial_states: Any, n_sequences: int
    ) -> tuple[Float | None, NDArray[np.int32] | None]:
        """Cumulated probabilities of the rows to begin with, or the first symbols."""
        if initial_states is None:
            _require(start_proba is not None, "start_proba", "be given", "None")
            proba = np.asarray(start_proba, dtype=np.float64)
            shape = (self._tables.n_rows,)
            _require(proba.shape == shape, "start_proba", f"have shape {shape}", proba.shape)
            smallest = proba.min()
            _require(smallest >= 0, "start_proba", "not be negative or NaN", smallest)
            total = float(proba.sum())
            _require(abs(total - 1) <= SUM_TOLERANCE, "start_proba", "sum to one", total)
            return np.cumsum(proba), None
        order, n_states = self._contexts.order, self._tables.n_states
        states = np.asarray(initial_states)
        if order == 1 and states.ndim == 1:
            states = states[:, None]
        expected = (n_sequences, order)
        _require(states.shape == expected, "initial_states", f"have shape {expected}", states.shape)
        _require(states.dtype.kind in "iu", "initial_states", "be integers", states.dtype)
        if states.size:
            low, high = int(states.min()), int(states.max())
            inside = low >= 0 and high < n_states
            _require(inside, "initial_states", f"be from 0 to {n_states - 1}", f"{low}, {high}")
        return None, np.ascontiguousarray(states, dtype=np.int32)


def _integer(name: str, value: Any, limit: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"simulate: {name} must be an integer, got {value!r}.") from None
    _require(0 <= number < limit, name, f"be from 0 to {limit - 1}", number)
    return number


def _lengths(lengths: Any) -> NDArray[np.int64]:
    rows = np.atleast_1d(np.asarray(lengths))
    _require(rows.ndim == 1, "lengths", "have one axis", f"shape {rows.shape}")
    if not rows.size:
        return np.zeros(0, dtype=np.int64)
    _require(rows.dtype.kind in "iu", "lengths", "be integers", f"dtype {rows.dtype}")
    _require(rows.min() >= 0, "lengths", "not be negative", rows.min())
    if int(rows.max()) * len(rows) >= MOST_SYMBOLS:
        total = sum(rows.tolist())  # of Python, which do not overflow
        _require(total < MOST_SYMBOLS, "lengths", "sum to less than 2^62", total)
    return cast("NDArray[np.int64]", rows.astype(np.int64))


def _room(n: int) -> NDArray[np.int32]:
    try:
        return np.empty(n, dtype=np.int32)
    except (MemoryError, ValueError):  # ValueError: its bytes overflow
        raise MemoryError(
            f"simulate: {n} symbols take {4e-9 * n:.3g} GB, which cannot be allocated; "
            "simulate fewer or shorter sequences at a time."
        ) from None


def simulate(
    transition: Transition,
    start_proba: ArrayLike | None,
    lengths: ArrayLike,
    seed: int,
    *,
    contexts: ArrayLike | None = None,
    initial_states: ArrayLike | None = None,
    first_sequence: int = 0,
) -> NDArray[np.int32]:
    """Simulate sequences of a Markov chain.

    Parameters
    ----------
    transition : array-like or sparse array of shape (R, k), or TransitionTable
        Row r holds the probabilities of the symbols that follow context r. Rows must sum to one.
        The cells that a `TransitionTable` does not store have its constant probability.
    start_proba : array-like of shape (R,) or None
        Probabilities of the rows to begin with: of the first symbol, or, with ``contexts``, of
        the first m symbols together. Not looked at where ``initial_states`` are given.
    lengths : int or array-like of shape (s,)
        Symbols of every sequence, the first ones included; 0 is allowed.
    seed : int
        From 0 to 2^64 - 1.
    contexts : array-like of shape (R, m) or None, default None
        The last m symbols that row r belongs to, in lexicographic order. None: those of the table,
        or order 1, row i is symbol i. After m symbols that are no context the next one is drawn
        uniformly.
    initial_states : array-like of shape (s,) or (s, m), or None, default None
        First symbols of every sequence. With them they need not be a context.
    first_sequence : int, default 0
        Number of the first sequence: ``lengths`` split over several calls, each with the number of
        sequences before it, give the same symbols.

    Returns
    -------
    ndarray of shape (sum(lengths),), int32
        The sequences, one after the other.

    Examples
    --------
    >>> from pyestim.models.chain_simulate import simulate
    >>> simulate([[0.0, 1.0], [1.0, 0.0]], [1.0, 0.0], [3, 2], seed=0)
    array([0, 1, 0, 0, 1], dtype=int32)
    """
    return ChainSampler(transition, contexts).simulate(
        start_proba, lengths, seed, initial_states=initial_states, first_sequence=first_sequence
    )
