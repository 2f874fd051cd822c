"""What a chain says about sequences: next states, likelihoods, criteria, samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import DensityMixin

from pyestim.estimators._base import Array, integer, shown
from pyestim.estimators._chain_base import ChainBase
from pyestim.models.chain_prefix import TooManyPasts
from pyestim.models.transition_counts import count_transitions


class ChainPrediction(DensityMixin, ChainBase):
    """Predictions, likelihoods, information criteria and samples."""

    def predict(self, X: Any, lengths: Any = None) -> NDArray[Any]:
        """Return the most probable next state after each row of X.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, as labels; see `predict_proba` for missing ones.
        lengths : array-like of int of shape (n_sequences,), optional

        Returns
        -------
        states : ndarray of shape (n,)
            Labels, the first one of equally probable ones: entry t is the prediction for row
            t + 1, made from the rows up to t of its sequence.
        """
        read = self._sequences(X, lengths)
        return np.asarray(self._states[self._prefixes().best(read.codes, read.offsets)])

    def predict_proba(self, X: Any, lengths: Any = None, out: Array | None = None) -> Array:
        """Return the distribution of the next state after each row of X.

        ``P[x_t, :]`` for a first-order chain. A missing state is summed over: its distribution is
        that of the last known one, or of the first state, carried on by P. A chain of a higher
        order takes the rows after the last missing one; a past that is shorter than the order
        stands for all contexts that end with it, weighted by how often they were seen; a past
        that was never seen is followed by every state with probability 1/k.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, as labels.
        lengths : array-like of int of shape (n_sequences,), optional
        out : ndarray of shape (n, k), optional
            Float64, C-contiguous and writable, for instance a memory-mapped file; filled and
            returned. A new array by default.

        Returns
        -------
        proba : ndarray of shape (n, k)
            Columns in the order of ``states_``; rows sum to one.
        """
        read = self._sequences(X, lengths)
        out = self._result(out, (len(read.codes), len(self._states)))
        return self._prefixes().proba(read.codes, read.offsets, out)

    def forecast(self, X: Any, steps: int = 1, lengths: Any = None) -> Array:
        """Return the distributions of the states that follow the end of X.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, as labels; a missing end is carried on as in `predict_proba`.
        steps : int, default=1
            How many steps ahead.
        lengths : array-like of int of shape (n_sequences,), optional

        Returns
        -------
        proba : ndarray of shape (steps, k), or (n_sequences, steps, k) with ``lengths``
            Entry h is the distribution h + 1 steps after the end.

        Raises
        ------
        ValueError
            A chain of a higher order has too many possible pasts; `sample` is for that.

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain().fit([0, 1, 0, 0, 1, 0, 1, 1, 0])
        >>> print(chain.forecast([1], steps=2))
        [[0.75  0.25 ]
         [0.375 0.625]]
        """
        if not integer(1).holds(steps):
            raise ValueError(
                f"{self._name}: steps must be an integer of at least 1, got {shown(steps)}."
            )
        read = self._sequences(X, lengths)
        try:
            found = self._prefixes().forecast(read.codes, read.offsets, int(steps))
        except TooManyPasts as error:
            raise ValueError(
                f"{self._name}: forecast expects fewer possible pasts, got {error} after some of "
                f"the {steps} steps. Ask for fewer steps, or simulate with sample."
            ) from error
        return found if lengths is not None else found[0]

    # -- likelihood -----------------------------------------------------------------------------

    def score_samples(self, X: Any, lengths: Any = None) -> Array:
        """Return the log-probability of each row given the rows before it.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, as labels.
        lengths : array-like of int of shape (n_sequences,), optional

        Returns
        -------
        log_prob : ndarray of shape (n,)
            Nats. Zero where nothing is scored: in missing rows, and where one of the ``order``
            rows before is missing or belongs to another sequence. They sum to `log_likelihood`.
        """
        read = self._sequences(X, lengths)
        return self._prefixes().log_proba(read.codes, read.offsets)

    def log_likelihood(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Return the log-likelihood of X, given the first ``order`` states of each sequence.

        ``sum_t w_t log P[x_(t-1), x_t]`` over transitions without a missing state.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, as labels.
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional
            Weight of the transition into each row, or of each sequence.

        Returns
        -------
        log_likelihood : float
            Nats; minus infinity where X does what the chain rules out.
        """
        return self._scored(X, lengths, sample_weight)[0]

    def score(self, X: Any, y: Any = None, lengths: Any = None, sample_weight: Any = None) -> float:
        """Return the mean log-likelihood per transition.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
        y : ignored
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional

        Returns
        -------
        score : float
            Nats per transition.

        Raises
        ------
        ValueError
            X holds no transition.
        """
        self._refuse_lengths_as_y(X, y)
        value, total = self._scored(X, lengths, sample_weight)
        return value / self._some(total)

    def aic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Return Akaike's information criterion, ``-2 l + 2 p``; smaller is better.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional

        Returns
        -------
        aic : float
            Chains of different orders are scored on different rows: `order_test` compares them.
        """
        return 2 * self.n_parameters_ - 2 * self._scored(X, lengths, sample_weight)[0]

    def bic(self, X: Any, lengths: Any = None, sample_weight: Any = None) -> float:
        """Return Schwarz's information criterion, ``-2 l + p log n``; smaller is better.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional

        Returns
        -------
        bic : float
            n is the (weighted) number of transitions in X.
        """
        value, total = self._scored(X, lengths, sample_weight)
        return self.n_parameters_ * math.log(self._some(total)) - 2 * value

    def _scored(self, X: Any, lengths: Any, sample_weight: Any) -> tuple[float, float]:
        """Log-likelihood of X, and the weight of its transitions."""
        read = self._sequences(X, lengths, sample_weight)
        table = self._table()
        counts = count_transitions(
            read.codes,
            table.n_states,
            order=self.order,
            offsets=read.offsets,
            weight=read.weight,
        )
        return table.log_likelihood(counts), float(counts.total)

    def _some(self, total: float) -> float:
        if total > 0.0:
            return total
        raise ValueError(
            f"{self._name}: X must hold at least one transition to be scored, got none. Pass "
            f"sequences of more than {self.order} known rows."
        )
