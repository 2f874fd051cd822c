"""Pairs of states that exchange flow: sums over them, and the Newton systems of reversible chains.

Both estimates of `chain_reversible` have one unknown per state, terms per pair of states, and a
second derivative ``D + sign * W``: W the symmetric, non-negative matrix of the weights of pairs, D
its row sums. Such a system is solved by conjugate gradients preconditioned with D, in few steps
where the chain mixes; where it does not (metastable chains), by a factorisation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, eigvalsh_tridiagonal
from scipy.sparse import csc_array, csr_array, diags_array, issparse
from scipy.sparse.linalg import splu

__all__ = ["Pairs", "System"]

Float = NDArray[np.float64]
#: From the values of two states and the counts between them: a term and a weight.
Formula: TypeAlias = Callable[[Any, Any, Any], tuple[Float, Float]]
#: Cells per block of a dense matrix, so that its temporaries stay in cache.
BLOCK_CELLS = 1 << 14
#: Below this many states a factorisation costs less than finding out whether it can be avoided.
DIRECT_STATES = 150
#: Worse conditioned systems are factorised: rounding would hide errors from conjugate gradients.
SMALLEST_GAP = 1e-7


class Pairs:
    """Symmetric non-negative counts between states, and the weights of the pairs.

    Parameters
    ----------
    counts : ndarray or csr_array of shape (k, k)
        Symmetric.
    """

    def __init__(self, counts: Any) -> None:
        self.counts = counts
        self.k = int(counts.shape[0])
        self.sparse = issparse(counts)
        if self.sparse:
            self._rows = np.repeat(np.arange(self.k), np.diff(counts.indptr))
            self._columns = counts.indices
            self.weights: Any = csr_array(counts, copy=True)
        else:
            self.weights = np.empty((self.k, self.k))

    def sums(self, formula: Formula, values: Float) -> Float:
        """Row sums of the terms; keeps the weights."""
        if self.sparse:
            term, weight = formula(values[self._rows], values[self._columns], self.counts.data)
            self.weights.data = weight
            return cast("Float", np.bincount(self._rows, term, minlength=self.k))
        out = np.empty(self.k)
        step = max(1, BLOCK_CELLS // self.k)
        for first in range(0, self.k, step):
            rows = slice(first, first + step)
            term, self.weights[rows] = formula(values[rows, None], values, self.counts[rows])
            out[rows] = term.sum(axis=1)
        return out

    def cells(self, formula: Callable[[Any, Any, Any], Float], values: Float) -> Any:
        """Matrix of a formula, as sparse as the counts."""
        if self.sparse:
            data = formula(values[self._rows], values[self._columns], self.counts.data)
            return csr_array((data, self._columns, self.counts.indptr), (self.k, self.k))
        return formula(values[:, None], values, self.counts)

    def largest_difference(self, values: Float) -> float:
        """Largest difference of the values of two states that exchange flow."""
        difference = self.cells(lambda a, b, s: np.abs(a - b) * (s > 0), values)
        return float(difference.max()) if self.k else 0.0


class System:
    """The equations ``(D + sign W) x = b``, for the weights that `pairs` holds at the time.

    Parameters
    ----------
    pairs : Pairs
    sign : {-1, 1}
        For -1 the system is a Laplacian: b must sum to zero in every component, and x is one of
        the solutions.
    component : ndarray of shape (k,) or None
        Number of the component of every state; for sign -1.
    """

    def __init__(
        self, pairs: Pairs, sign: int, component: NDArray[np.integer[Any]] | None = None
    ) -> None:
        self._pairs, self._sign, self._component = pairs, sign, component
        self._direct = pairs.k <= DIRECT_STATES
        # What a factorisation costs in products with W, roughly.
        self._most_steps = 200 if pairs.sparse else 10 + pairs.k // 40
        self._gap = 0.0

    def diagonal(self) -> Float:
        """Row sums of the weights."""
        return np.asarray(self._pairs.weights.sum(axis=1)).ravel()

    def probe(self) -> None:
        """Find out how well the system is conditioned, or that it takes a factorisation.

        The residual of a solution says little about its error in directions that the system hardly
        sees, the exchange between metastable sets. So the smallest eigenvalue is estimated with a
        right-hand side that contains every direction.
        """
        if self._direct:
            return
        d = self.diagonal()
        b = np.sqrt(d) * np.random.default_rng(0).standard_normal(self._pairs.k)
        solution, tridiagonal = self._conjugate_gradients(self._balanced(b), d, 1e-2, d > 0)
        if solution is None:
            self._direct = True
        else:
            self._gap = float(
                eigvalsh_tridiagonal(*tridiagonal, select="i", select_range=(0, 0))[0]
            )

    def solve(self, b: Float, accuracy: float, free: Any = True) -> Float:
        """Solve for the unknowns that are free; the others are zero.

        Parameters
        ----------
        b : ndarray of shape (k,)
        accuracy : float
            Relative error that is small enough, in the norm weighted by D.
        free : ndarray of shape (k,), bool, or True
        """
        d = self.diagonal()
        inside = (d > 0) & free
        b = np.where(inside, self._balanced(b), 0.0)
        if not self._direct:
            x, _ = self._conjugate_gradients(b, d, accuracy * self._gap, inside)
            if x is not None:
                return x
            self._direct = True
        return self._factorised(b, d, inside)

    def _balanced(self, b: Float) -> Float:
        """Right-hand side without its mean over every component, where that has no solution."""
        if self._component is None:
            return b
        size = np.bincount(self._component)
        return cast("Float", b - (np.bincount(self._component, b) / size)[self._component])

    def _conjugate_gradients(
        self, b: Float, d: Float, relative: float, inside: Any
    ) -> tuple[Float | None, tuple[Float, Float]]:
        """Solution whose residual is `relative` times it, and the tridiagonal matrix of Lanczos."""
        inverse = np.divide(1.0, d, out=np.zeros_like(d), where=inside)
        x, r = np.zeros_like(b), b.copy()
        z = inverse * r
        p, rz = z.copy(), float(r @ z)
        alphas: list[float] = []
        betas: list[float] = []
        for _ in range(self._most_steps):
            product = d * p + self._sign * (self._pairs.weights @ p)
            curvature = float(p @ product)
            if curvature <= 0:
                break
            alpha = rz / curvature
            x += alpha * p
            r = r - alpha * np.where(inside, product, 0.0)
            z = inverse * r
            before, rz = rz, float(r @ z)
            alphas.append(alpha)
            betas.append(rz / before)
            if rz <= relative**2 * float(x @ (d * x)):
                return x, _lanczos(alphas, betas)
            p = z + betas[-1] * p
        return (x if rz == 0 else None), _lanczos(alphas or [1.0], betas or [0.0])

    def _factorised(self, b: Float, d: Float, inside: Any) -> Float:
        keep = np.flatnonzero(inside)
        x = np.zeros_like(b)
        if not len(keep):
            return x
        extra = d.copy()
        if self._component is not None:  # one state of every component stays where it is
            _, first = np.unique(self._component[keep], return_index=True)
            extra[keep[first]] *= 2
        if self._pairs.sparse:
            matrix = (diags_array(extra) + self._sign * self._pairs.weights).tocsr()
            x[keep] = splu(csc_array(matrix[keep][:, keep])).solve(b[keep])
            return x
        matrix = self._sign * self._pairs.weights
        matrix[np.diag_indices(len(d))] += extra
        if len(keep) < len(d):
            matrix = matrix[np.ix_(keep, keep)]
        factor = cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False)
        x[keep] = cho_solve(factor, b[keep], check_finite=False)
        return x


def _lanczos(alphas: list[float], betas: list[float]) -> tuple[Float, Float]:
    """Diagonal and off-diagonal of the matrix whose eigenvalues approximate the system's."""
    a, b = np.array(alphas), np.array(betas[:-1])
    diagonal = 1 / a
    diagonal[1:] += b / a[:-1]
    return diagonal, np.sqrt(b) / a[:-1]
