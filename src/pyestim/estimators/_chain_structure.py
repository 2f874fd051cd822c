"""What follows from the transition matrix alone: classes, stationary laws, times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators._base import Array, integer, number, shown
from pyestim.estimators._chain_base import ChainBase
from pyestim.models import chain_passage as passage
from pyestim.models import chain_structure as structure
from pyestim.models.chain_tables import TransitionTable


class ChainStructure(ChainBase):
    """Classes of states, stationary distributions, hitting times, timescales."""

    @property
    def communicating_classes_(self) -> tuple[NDArray[Any], ...]:
        """States that can reach one another: one array of labels for each class."""
        found = structure.communicating_classes(self._square("communicating_classes_"))
        states = self._states
        return tuple(states[found.members(i)] for i in range(found.n_classes))

    @property
    def class_is_closed_(self) -> NDArray[np.bool_]:
        """Whether the chain never leaves each of the ``communicating_classes_``."""
        return structure.communicating_classes(self._square("class_is_closed_")).closed

    @property
    def class_periods_(self) -> NDArray[np.int64]:
        """Period of each of the ``communicating_classes_``; 0 for a state that never returns."""
        return structure.communicating_classes(self._square("class_periods_")).periods

    @property
    def stationary_distributions_(self) -> Array:
        """One stationary distribution for each closed class, in their order: (n_closed, k)."""
        return structure.stationary(self._square("stationary_distributions_"))

    @property
    def stationary_distribution_(self) -> Array:
        """The stationary distribution (k,), if there is only one."""
        laws = structure.stationary(self._square("stationary_distribution_"))
        if len(laws) > 1:
            raise AttributeError(
                f"{self._name}: stationary_distribution_ expects one closed class of states, got "
                f"{len(laws)}: every mixture of their distributions is stationary. Use "
                "stationary_distributions_, one for each closed class."
            )
        return np.asarray(laws[0])

    def hitting_times(self, targets: Any) -> Array:
        """Return the expected number of steps until the chain is in one of the targets.

        ``h_i = 1 + sum_j P_ij h_j`` outside the targets, 0 in them.

        Parameters
        ----------
        targets : label or array-like of labels

        Returns
        -------
        times : ndarray of shape (k,)
            From each state, in the order of ``states_``; infinite where the targets are not
            reached with probability one.

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain()
        >>> chain.transition_matrix_ = [[0.5, 0.5], [0.25, 0.75]]
        >>> print(chain.hitting_times(1))
        [2. 0.]
        """
        table = self._square("hitting_times")
        return passage.hitting_times(table, self._state_codes(targets, "targets"))

    def hitting_probabilities(self, targets: Any) -> Array:
        """Return the probability that the chain is ever in one of the targets.

        Parameters
        ----------
        targets : label or array-like of labels

        Returns
        -------
        probabilities : ndarray of shape (k,)
            From each state, in the order of ``states_``.
        """
        table = self._square("hitting_probabilities")
        return passage.hitting_probabilities(table, self._state_codes(targets, "targets"))

    def mean_first_passage_times(self) -> Array:
        """Return the expected number of steps from each state to each.

        Returns
        -------
        times : ndarray of shape (k, k)
            Zero on the diagonal, infinite where a state is not reached with probability one.
        """
        return passage.mean_first_passage_times(self._square("mean_first_passage_times"))

    def timescales(self, n: int | None = None, lag: float = 1.0) -> Array:
        """Return the implied timescales ``-lag / log |lambda_i|``, largest first.

        Parameters
        ----------
        n : int, optional
            How many; all k - 1 by default.
        lag : float, default=1.0
            Length of one step; the result has its unit.

        Returns
        -------
        timescales : ndarray of shape (min(n, k - 1),)
            Without the eigenvalue 1 of a stationary distribution. Infinite for further ones of
            modulus one: another closed class, or a period.
        """
        if n is not None and not integer(1).holds(n):
            raise ValueError(
                f"{self._name}: n must be None or an integer of at least 1, got {shown(n)}."
            )
        if not (number(0.0).holds(lag) and lag > 0):
            raise ValueError(f"{self._name}: lag must be a number above 0, got {shown(lag)}.")
        return structure.timescales(self._square("timescales"), n, lag=float(lag))

    def eigenvalues(self, n: int | None = None) -> NDArray[np.complex128]:
        """Return the eigenvalues of the transition matrix, the largest modulus first.

        Parameters
        ----------
        n : int, optional
            How many; all k by default.

        Returns
        -------
        eigenvalues : ndarray of shape (min(n, k),)
            Complex; one for each closed class is 1.
        """
        if n is not None and not integer(1).holds(n):
            raise ValueError(
                f"{self._name}: n must be None or an integer of at least 1, got {shown(n)}."
            )
        return structure.leading_eigenvalues(self._square("eigenvalues"), n)

    def entropy_rate(self) -> float:
        """Return the entropy of the next state given the present one, in nats.

        ``-sum_i pi_i sum_j P_ij log P_ij`` with the stationary distribution pi.
        """
        table = self._square("entropy_rate")
        return structure.entropy_rate(table, self.stationary_distribution_)

    def _square(self, asked: str) -> TransitionTable:
        """The matrix of a first-order chain."""
        table = self._table()
        if self.order != 1:
            raise AttributeError(
                f"{self._name}: {asked} expects order=1, got order={self.order}. Fit a chain of "
                "order 1, or number the contexts as states."
            )
        return table
