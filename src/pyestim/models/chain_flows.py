"""Pairs of states that exchange flow: sums over them, and the Newton systems of reversible chains.

Both estimates of `chain_reversible` have one unknown per state, terms per pair of states, and a
second derivative ``D + sign * W``: W the symmetric, non-negative matrix of the weights of pairs, D
its row sums. Such a system is solved by conjugate gradients preconditioned with D, in few steps
where the chain mixes; where it does not (metastable chains), by a factorisation.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh_tridiagonal
from scipy.sparse import csc_array, csr_array, diags_array, issparse
from scipy.sparse.linalg import splu

from pyestim import _core

__all__ = ["Formula", "Pairs", "System"]

Float = NDArray[np.float64]
#: Terms and weights of pairs; what values belong to them:
#: - compare: flow balance and its derivative; q
#: - exchange: flows and their derivative; multipliers
#: - flow: the flows once more, as the weight; multipliers
#: - share: counts out of a state as the estimate has them; q
#: and the same for log q, where q itself would overflow.
Formula: TypeAlias = Literal["compare", "exchange", "flow", "share", "compare_logs", "share_logs"]
#: Below this many states a factorisation costs less than finding out whether it can be avoided.
DIRECT_STATES = 150
#: What is added to the diagonal of a singular matrix, relative to it: one after the other.
LIFTS = (0.0, 1e-10, 1e-6)
#: Worse conditioned systems are factorised: rounding would hide errors from conjugate gradients.
SMALLEST_GAP = 1e-7


def _evaluate(formula: Formula, a: Any, b: Any, there: Any, back: Any) -> tuple[Float, Float]:
    """Term and weight of pairs whose states have the values a and b."""
    if formula in ("exchange", "flow"):
        r = 1.0 / np.maximum(a + b, 1e-300)
        term = (there + back) * r
        return term, (term if formula == "flow" else term * r)
    if formula in ("compare", "share"):
        p, q = a / (a + b), b / (a + b)
        difference = (b - a) / (a + b)
    else:
        with np.errstate(over="ignore"):
            p, q = 1 / (1 + np.exp(b - a)), 1 / (1 + np.exp(a - b))
        difference = np.tanh((b - a) / 2)
    if formula in ("share", "share_logs"):
        term = (there + back) * p
        return term, term
    # Where values are similar, small halves: rounding of many mutual counts must not hide a rare
    # exchange.
    halves = there * difference + (there - back) * p
    term = np.where(np.abs(difference) < 0.25, halves, there * q - back * p)
    return term, (there + back) * p * q


class Pairs:
    """Counts between states, and the weights of the pairs.

    Parameters
    ----------
    counts : ndarray or csr_array of shape (k, k)
    """

    def __init__(self, counts: Any) -> None:
        self.k = int(counts.shape[0])
        self.sparse = issparse(counts)
        if self.sparse:
            self._set_sparse(counts)
        else:
            self.forward = counts
            self.backward = np.ascontiguousarray(counts.T)
            self.weights: Any = np.empty((self.k, self.k))

    def _set_sparse(self, counts: csr_array) -> None:
        """Forward and backward counts of every pair that has either."""
        i, j = np.repeat(np.arange(self.k), np.diff(counts.indptr)), counts.indices
        none = np.zeros(counts.nnz)
        at = (np.concatenate([i, j]), np.concatenate([j, i]))
        forward = csr_array((np.concatenate([counts.data, none]), at), (self.k, self.k))
        backward = csr_array((np.concatenate([none, counts.data]), at), (self.k, self.k))
        forward.sum_duplicates()
        backward.sum_duplicates()
        self.forward, self.backward = forward.data, backward.data
        self._rows = np.repeat(np.arange(self.k), np.diff(forward.indptr))
        self._columns = forward.indices
        self.weights = forward

    def sums(self, formula: Formula, values: Float) -> Float:
        """Row sums of the terms; keeps the weights."""
        out = self._sums(formula, values)
        if formula in ("compare", "compare_logs"):
            # It cancels in a Laplacian, but not its rounding: a state that mostly stays.
            if self.sparse:
                self.weights.data[self._rows == self._columns] = 0.0
            else:
                np.fill_diagonal(self.weights, 0.0)
        return out

    def _sums(self, formula: Formula, values: Float) -> Float:
        if self.sparse:
            a, b = values[self._rows], values[self._columns]
            term, self.weights.data = _evaluate(formula, a, b, self.forward, self.backward)
            return cast("Float", np.bincount(self._rows, term, minlength=self.k))
        if formula.endswith("_logs"):
            a = values[:, None]
            term, self.weights = _evaluate(formula, a, values, self.forward, self.backward)
            return cast("Float", term.sum(axis=1))
        out = np.empty(self.k)
        _core.native.pair_sums(
            _core.context(), formula, self.forward, self.backward, values, out, self.weights
        )
        return out

    def cells(self) -> Any:
        """Matrix of the weights that the last sums left; it is the caller's from now on."""
        return self.weights

    def log_sum(self, values: Float) -> float:
        """Sum over ordered pairs of the counts times the logarithm of the sum of two values."""
        if self.sparse:
            total, counts = values[self._rows] + values[self._columns], self.forward
        else:
            total, counts = values[:, None] + values, self.forward
        with np.errstate(divide="ignore"):
            return float((counts * np.log(np.where(counts > 0, total, 1.0))).sum())

    def largest_difference(self, values: Float) -> float:
        """Largest difference of the values of two states with counts between them."""
        if self.sparse:
            difference = values[self._rows] - values[self._columns]
        else:
            difference = values[:, None] - values
        return float(np.abs(difference[self.forward > 0]).max(initial=0.0))


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
        solution, tridiagonal = self._conjugate_gradients(self._balanced(b, d), d, 1e-2, d > 0)
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
        b = np.where(inside, self._balanced(b, d), 0.0)
        if not self._direct:
            x, _ = self._conjugate_gradients(b, d, accuracy * self._gap, inside)
            if x is not None:
                return x
            self._direct = True
        return self._factorised(b, d, inside)

    def _balanced(self, b: Float, d: Float) -> Float:
        """Right-hand side that sums to zero in every component, where others have no solution.

        The excess, which is rounding, is taken from where the rows are large.
        """
        if self._component is None:
            return b
        excess, size = (np.bincount(self._component, v) for v in (b, d))
        return cast("Float", b - d * (excess / np.where(size > 0, size, 1))[self._component])

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
            order = np.argsort(-d)
            _, first = np.unique(self._component[order], return_index=True)
            extra[order[first]] *= 2
        if self._pairs.sparse:
            held = (diags_array(extra) + self._sign * self._pairs.weights).tocsr()[keep][:, keep]
            if len(keep) > DIRECT_STATES:
                x[keep] = _sparse_positive_solve(csc_array(held), b[keep])
            else:
                x[keep] = _positive_solve(held.toarray(), b[keep])
            return x
        matrix = self._sign * self._pairs.weights
        matrix[np.diag_indices(len(d))] += extra
        if len(keep) < len(d):
            matrix = matrix[np.ix_(keep, keep)]
        x[keep] = _positive_solve(matrix, b[keep])
        return x


def _positive_solve(matrix: Float, b: Float) -> Float:
    """Solve; a matrix that is singular or nearly so is lifted a little."""
    for lift in LIFTS:
        lifted = matrix + np.diag(lift * matrix.diagonal()) if lift else matrix.copy()
        try:
            factor = cho_factor(lifted.T, lower=True, overwrite_a=True, check_finite=False)
        except LinAlgError:
            continue
        return cast("Float", cho_solve(factor, b, check_finite=False))
    return b / matrix.diagonal()


def _sparse_positive_solve(matrix: csc_array, b: Float) -> Float:
    """`_positive_solve` by a symmetric elimination, whose pivots tell what Cholesky's would."""
    diagonal = matrix.diagonal()
    for lift in LIFTS:
        lifted = csc_array(matrix + diags_array(lift * diagonal)) if lift else matrix
        try:
            factors = splu(
                lifted,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True},
            )
        except RuntimeError:  # a pivot is zero
            continue
        if factors.U.diagonal().min() > 0:
            return cast("Float", factors.solve(b))
    return cast("Float", b / diagonal)


def _lanczos(alphas: list[float], betas: list[float]) -> tuple[Float, Float]:
    """Diagonal and off-diagonal of the matrix whose eigenvalues approximate the system's."""
    a, b = np.array(alphas), np.array(betas[:-1])
    diagonal = 1 / a
    diagonal[1:] += b / a[:-1]
    return diagonal, np.sqrt(b) / a[:-1]
