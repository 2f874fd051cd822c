"""Elimination of states without a subtraction (Grassmann, Taksar and Heyman, 1985).

Leaving a state out of a chain adds to the probabilities of the others what goes through it. The
pivot of Gaussian elimination, one minus the probability of staying, is computed as the sum of the
probabilities of leaving. All terms are nonnegative, and every entry of a solution has a small
*relative* error, whatever the condition number, also where the states are nearly decoupled.

References
----------
W. Grassmann, M. Taksar, D. Heyman. Regenerative analysis and steady state distributions for
Markov chains. Oper. Res. 33 (1985) 1107-1116.
C. O'Cinneide. Entrywise perturbation theory and error analysis for Markov chains. Numer. Math. 65
(1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: States that are eliminated before a matrix product brings the rest of the matrix up to date.
BLOCK = 64
#: Unnormalised weights are scaled down from here on.
LARGE = 1e150

UNDERFLOW = (
    "the transition probabilities span too many orders of magnitude: leaving a group of states is "
    "less probable than the smallest number; drop the smallest probabilities."
)


@dataclass(frozen=True)
class Elimination:
    """States 1 to m - 1 of a chain, eliminated from the last to the second; state 0 remains.

    Attributes
    ----------
    matrix : ndarray of shape (m, m)
        Row n left of the diagonal: where the chain goes next of the states 0 to n - 1, times
        `leave`. Column n above it: expected visits to n before the next state of 0 to n - 1.
    leave : ndarray of shape (m,)
        Probability of leaving n for a state before it, later ones left out.
    """

    matrix: Floats
    leave: Floats

    def stationary(self) -> Floats:
        """Stationary law (m,) of an irreducible chain."""
        law = np.zeros(len(self.matrix))
        law[0] = 1.0
        columns = np.ascontiguousarray(self.matrix.T)
        for n in range(1, len(law)):
            law[n] = law[:n] @ columns[n, :n]
            if law[n] > LARGE:
                law[: n + 1] /= law[n]
        law /= law.sum()
        return law

    def until_zero(self, cost: Floats) -> Floats:
        """Expected sum (m, r) of the costs (m, r) of the states visited before state 0."""
        total = np.array(cost, dtype=np.float64)
        total[0] = 0.0
        columns = np.ascontiguousarray(self.matrix.T)
        for n in range(len(total) - 1, 1, -1):
            total[1:n] += np.multiply.outer(columns[n, 1:n], total[n])
        for n in range(1, len(total)):
            total[n] += self.matrix[n, 1:n] @ total[1:n]
            total[n] /= self.leave[n]
        return total


def eliminate(matrix: Floats) -> Elimination:
    """Eliminate the states of a chain, all of which reach state 0.

    Parameters
    ----------
    matrix : ndarray of shape (m, m)
        Transition probabilities; the diagonal and row 0 may hold anything nonnegative, the rows
        need not sum to one (what is missing is staying). Overwritten.

    Notes
    -----
    2 m^3 / 3 operations, nearly all of them in matrix products.
    """
    leave = np.ones(len(matrix))
    for high in range(len(matrix), 1, -BLOCK):
        low = max(high - BLOCK, 1)
        for n in range(high - 1, low - 1, -1):
            row, column = matrix[n, :n], matrix[:n, n]
            leave[n] = row.sum()
            if leave[n] == 0.0:
                raise ArithmeticError(UNDERFLOW)
            column /= leave[n]
            matrix[low:n, :n] += np.multiply.outer(column[low:], row)
            matrix[:low, low:n] += np.multiply.outer(column[:low], row[low:])
        matrix[:low, :low] += matrix[:low, low:high] @ matrix[low:high, :low]
    return Elimination(matrix, leave)
