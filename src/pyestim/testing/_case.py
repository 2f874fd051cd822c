"""One case of the law suite, and how its rows may be rearranged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.model import Model
from pyestim.engine.stats import Stats, Vector

P = TypeVar("P")
Published: TypeAlias = Mapping[str, Vector]
Indices: TypeAlias = NDArray[np.intp]


class Arrangement(Protocol):
    """Which rearrangements of the rows leave a model as it is."""

    #: Whether the columns are numbers that may be reordered, shifted and scaled.
    numeric: bool

    def many(self, X: NDArray[Any], n: int) -> NDArray[Any]:
        """Return ``n`` rows like those of X, which has fewer."""
        ...

    def columns(self, rng: np.random.Generator, d: int) -> Indices:
        """Return an order of ``d`` columns that is as good as theirs, where they are numbers."""
        ...

    def moved(self, X: NDArray[Any], columns: Indices, shift: float, scale: float) -> NDArray[Any]:
        """Return X with its columns in another order, then shifted and multiplied."""
        ...

    def permutation(self, rng: np.random.Generator, n: int) -> Indices:
        """Return an order of ``n`` rows that is as good as theirs."""
        ...

    def multiplicities(self, rng: np.random.Generator, n: int) -> Indices:
        """Return how often each of ``n`` rows is to count, zero included."""
        ...

    def repeated(self, times: Indices) -> Indices:
        """Return the row numbers that repeat rows ``times`` times."""
        ...


class IndependentRows:
    """Rows in any order."""

    numeric = True

    def many(self, X: NDArray[Any], n: int) -> NDArray[Any]:
        """Return copies of the rows, slightly apart."""
        noise = np.random.default_rng(4).normal(scale=1e-3, size=(n, X.shape[1]))
        return (np.resize(X, (n, X.shape[1])) + noise).astype(X.dtype)

    def columns(self, rng: np.random.Generator, d: int) -> Indices:
        """Return any order."""
        return rng.permutation(d)

    def moved(self, X: NDArray[Any], columns: Indices, shift: float, scale: float) -> NDArray[Any]:
        """Return all columns moved."""
        return ((X[:, columns] + shift) * scale).astype(X.dtype)

    def permutation(self, rng: np.random.Generator, n: int) -> Indices:
        """Return any order."""
        return rng.permutation(n)

    def multiplicities(self, rng: np.random.Generator, n: int) -> Indices:
        """Return a number for each row."""
        return rng.integers(0, 4, n)

    def repeated(self, times: Indices) -> Indices:
        """Return each row as often as it counts."""
        return np.repeat(np.arange(len(times)), times)


class RegressionRows(IndependentRows):
    """Rows whose first columns are predictors and whose last ones are responses.

    Parameters
    ----------
    n_predictors : int
    real : bool
        Whether responses are real numbers, which move with the predictors; counts stay.
    """

    def __init__(self, n_predictors: int, *, real: bool) -> None:
        self.n_predictors = n_predictors
        self.real = real

    def many(self, X: NDArray[Any], n: int) -> NDArray[Any]:
        """Return copies of the rows, slightly apart where they are real."""
        rows = super().many(X, n)
        if not self.real:
            rows[:, self.n_predictors :] = np.resize(X, rows.shape)[:, self.n_predictors :]
        return rows

    def columns(self, rng: np.random.Generator, d: int) -> Indices:
        """Return the predictors in any order, before the responses in theirs."""
        return np.append(rng.permutation(self.n_predictors), np.arange(self.n_predictors, d))

    def moved(self, X: NDArray[Any], columns: Indices, shift: float, scale: float) -> NDArray[Any]:
        """Return the real columns moved."""
        rows = super().moved(X, columns, shift, scale)
        if not self.real:
            rows[:, self.n_predictors :] = X[:, self.n_predictors :]
        return rows


@dataclass(frozen=True)
class EqualSequences:
    """Sequences of ``length`` rows that stay together; the rows are states."""

    length: int
    numeric = False

    def columns(self, rng: np.random.Generator, d: int) -> Indices:
        """Return them as they are."""
        return np.arange(d)

    def moved(self, X: NDArray[Any], columns: Indices, shift: float, scale: float) -> NDArray[Any]:
        """Return them as they are: states have neither origin nor unit."""
        return X

    def many(self, X: NDArray[Any], n: int) -> NDArray[Any]:
        """Return the same sequences again and again; the last one may be cut off."""
        return np.resize(X, (n, *X.shape[1:]))

    def permutation(self, rng: np.random.Generator, n: int) -> Indices:
        """Return the sequences in any order."""
        return rng.permutation(np.arange(n).reshape(-1, self.length)).reshape(-1)

    def multiplicities(self, rng: np.random.Generator, n: int) -> Indices:
        """Return a number for each sequence."""
        return np.repeat(rng.integers(0, 4, n // self.length), self.length)

    def repeated(self, times: Indices) -> Indices:
        """Return each sequence as often as it counts."""
        of_sequence = times[:: self.length]
        rows = np.arange(len(times)).reshape(-1, self.length)
        return np.repeat(rows, of_sequence, axis=0).reshape(-1)


def from_source(source: Any, X: NDArray[Any]) -> Vector:
    """Return the rows of a source in working coordinates."""
    rows: Vector = source.take(np.arange(len(X)))[0]
    return rows


def no_penalty(model: Any, params: Any) -> float:
    """Return zero."""
    return 0.0


@dataclass(frozen=True)
class Case(Generic[P]):
    """A model, rows, and independent formulas.

    Parameters
    ----------
    name : str
    X : ndarray of shape (n, d)
    start, truth : mapping of str to ndarray
        Parameters in the unit of the data: where updates begin, and what `simulate` draws from.
    build : callable
        ``build(X, sample_weight, **options) -> (model, source)``; ``chunk_rows`` is an option.
    place, publish : callable
        ``place(model, source, published) -> params`` and its inverse
        ``publish(model, source, params) -> published``.
    log_density : callable
        ``log_density(model, params, z) -> (n,)`` in working coordinates, by a slow formula.
    expected : callable
        ``expected(model, params, stats, new)``: expected complete log-likelihood of ``new`` given
        the statistics that ``params`` produced, by a slow formula.
    permute : callable
        ``permute(published, order)``: the components in another order.
    moved : callable
        ``moved(published, order, shift, scale)``: what becomes of the published arrays when the
        columns of X are taken in another order, then shifted and multiplied by a number.
    limit : callable
        ``limit(X, sample_weight)``: pairs of found and expected arrays where the model has a
        closed form.
    simulate : callable
        ``simulate(rng, n) -> X``.
    n_components : int
    sample_weight : ndarray of shape (n,), optional
    rows : Arrangement
        Which rearrangements of the rows do not matter; any by default.
    working : callable
        ``working(source, X) -> z``, what `log_density` takes; rows in working coordinates by
        default.
    relabel : callable, optional
        ``relabel(X, order)``: the rows after the components were put in another order, where
        they name them.
    penalty : callable
        ``penalty(model, params)``: what the objective subtracts per unit weight, by a slow
        formula; zero by default. At the truth and where laws look it must be smooth.
    """

    name: str
    X: NDArray[Any]
    start: Published
    truth: Published
    build: Callable[..., tuple[Model[P], Any]]
    place: Callable[[Model[P], Any, Published], P]
    publish: Callable[[Model[P], Any, P], Published]
    log_density: Callable[[Model[P], P, Vector], Vector]
    expected: Callable[[Model[P], P, Stats, P], float]
    permute: Callable[[Published, NDArray[np.intp]], Published]
    moved: Callable[[Published, NDArray[np.intp], float, float], Published]
    limit: Callable[[NDArray[Any], Vector | None], list[tuple[Vector, Vector]]]
    simulate: Callable[[np.random.Generator, int], NDArray[Any]]
    n_components: int = 1
    sample_weight: Vector | None = None
    rows: Arrangement = field(default_factory=IndependentRows)
    working: Callable[[Any, NDArray[Any]], Vector] = from_source
    relabel: Callable[[NDArray[Any], Indices], NDArray[Any]] | None = None
    penalty: Callable[[Model[P], P], float] = no_penalty

    def base_weight(self) -> Vector:
        """Weights of the rows, ones where the case has none."""
        return np.ones(len(self.X)) if self.sample_weight is None else self.sample_weight
