"""Sequences drawn from a chain."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators._base import Array, integer, random_numbers, shown
from pyestim.estimators._chain_base import ChainBase
from pyestim.models.chain_simulate import simulate
from pyestim.models.chain_tables import TransitionTable


class ChainSampling(ChainBase):
    """Draws sequences."""

    def sample(
        self,
        n_samples: int = 1,
        n_sequences: int = 1,
        *,
        random_state: Any = None,
        initial_state: Any = None,
    ) -> NDArray[Any]:
        """Draw sequences from the chain.

        Parameters
        ----------
        n_samples : int, default=1
            Rows of each sequence.
        n_sequences : int, default=1
        random_state : int, RandomState or None, default=None
            Seed; that of the constructor by default. One seed gives the same states for any
            number of threads.
        initial_state : label or array-like, optional
            First ``order`` states: a label (order 1) or (order,) labels for all sequences, or
            (n_sequences, order) labels. By default they are drawn: the first one from
            ``start_proba_``, those that complete a context by how often it was seen.

        Returns
        -------
        X : ndarray of shape (n_sequences * n_samples,)
            Labels, one sequence after the other: ``fit(X, lengths=[n_samples] * n_sequences)``.

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain().fit(list("aababbbaab"))
        >>> chain.sample(5, random_state=0, initial_state="b").shape
        (5,)
        """
        for name, value in (("n_samples", n_samples), ("n_sequences", n_sequences)):
            if not integer(1).holds(value):
                raise ValueError(
                    f"{self._name}: {name} must be an integer of at least 1, got {shown(value)}."
                )
        seed = self.random_state if random_state is None else random_state
        table = self._table()
        if not table.n_rows:
            raise ValueError(
                f"{self._name}: sample expects a chain with at least one context, got none: there "
                "was no transition to fit. Fit longer sequences."
            )
        codes = simulate(
            table,
            self._first_contexts(table),
            np.full(n_sequences, n_samples, dtype=np.int64),
            int(random_numbers(seed).randint(0, 2**31 - 1)),
            contexts=table.contexts,
            initial_states=self._initial(initial_state, int(n_sequences)),
        )
        return np.asarray(self._states[codes])

    def _first_contexts(self, table: TransitionTable) -> Array:
        """Distribution of the first ``order`` states, over the rows of the table."""
        start = self._start()
        if table.contexts is None:
            return start
        first = table.contexts[:, 0]
        seen = self._row_weights(table)
        seen = seen if seen.any() else np.ones(table.n_rows)
        total = np.bincount(first, weights=seen, minlength=table.n_states)
        proba = np.where(seen > 0.0, start[first] * seen / np.maximum(total[first], 1e-300), 0.0)
        # A start that leads to no context cannot go on: the others take its part.
        return np.asarray(proba / proba.sum()) if proba.any() else np.asarray(seen / seen.sum())

    def _initial(self, initial_state: Any, n_sequences: int) -> NDArray[np.int64] | None:
        if initial_state is None:
            return None
        given = np.asarray(initial_state)
        expected = [(), (n_sequences,)] if self.order == 1 else []
        expected += [(self.order,), (n_sequences, self.order)]
        if given.shape not in expected:
            wanted = " or ".join(str(shape) for shape in expected)
            raise ValueError(
                f"{self._name}: initial_state must be the first {self.order} states of each "
                f"sequence, of shape {wanted}, got shape {given.shape}."
            )
        codes = self._state_codes(given.reshape(-1), "initial_state")
        rows = codes.reshape(-1, self.order)
        if len(rows) == 1:
            rows = np.repeat(rows, n_sequences, axis=0)
        return rows
