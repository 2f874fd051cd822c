"""Stationary laws and linear systems of large sparse chains."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csc_array, csr_array, eye_array
from scipy.sparse.linalg import splu

from pyestim.models.chain_elimination import Floats, eliminate

#: Steps of the power iteration before the linear system is factorised instead.
MAX_STEPS = 400
#: Estimated remaining error (sum of absolute values) at which the power iteration ends.
TOLERANCE = 1e-15
#: Estimated error above which a law by factorisation does not count as found.
MAX_ERROR = 1e-9
#: States up to which the elimination without subtraction is the last resort: 0.3 GB, some 10 s.
MOST_DENSE_STATES = 6000


def sparse_stationary(part: csr_array, rest: Floats | None) -> Floats:
    """Stationary law of a large irreducible chain P = part + rest 1'.

    Parameters
    ----------
    part : csr_array of shape (k, k)
    rest : ndarray of shape (k,), optional

    Notes
    -----
    Steps of the lazy chain (P + I) / 2 while they converge fast, which keeps nearly full relative
    accuracy. Otherwise a sparse LU factorisation, corrected twice (slow chains mostly have
    structure, and little fill), with an error of about 1e-16 times the relaxation time in steps,
    estimated by the last correction. Where that is above 1e-9, the dense elimination without
    subtraction, up to 6000 states.
    """
    k = part.shape[0]
    columns = csr_array(part.T)

    def step(law: Floats) -> Floats:
        moved: Floats = columns @ law
        if rest is not None:
            moved += law @ rest
        return moved

    law, converged = _power(step, np.full(k, 1.0 / k))
    if not converged:
        law, error = _by_factorising(part, rest, step, int(np.argmax(law)))
        converged = error <= MAX_ERROR
    if converged:
        return law
    if k > MOST_DENSE_STATES:
        raise ArithmeticError(
            f"the stationary law of the sparse chain of {k} states was not found to {MAX_ERROR:g}: "
            "groups of states are nearly decoupled; merge them or drop the smallest probabilities"
        )
    dense = part.toarray() if rest is None else part.toarray() + rest[:, None]
    return eliminate(np.maximum(dense, 0.0)).stationary()


def _power(step: Callable[[Floats], Floats], law: Floats) -> tuple[Floats, bool]:
    """Steps of the lazy chain, and whether they converged."""
    before = np.inf
    for _ in range(MAX_STEPS):
        moved = (law + step(law)) / 2
        moved /= moved.sum()
        change = float(np.abs(moved - law).sum())
        law = moved
        ratio = min(change / before, 1.0) if np.isfinite(before) else 1.0
        if change * ratio <= TOLERANCE * (1 - ratio) or change == 0.0:
            return law, True
        before = change
    return law, False


def _by_factorising(
    part: csr_array, rest: Floats | None, step: Callable[[Floats], Floats], pivot: int
) -> tuple[Floats, float]:
    """Law from the weights relative to that of one state, and its estimated error."""
    others = np.delete(np.arange(part.shape[0]), pivot)
    row = part[[pivot]].toarray()[0][others] + (0.0 if rest is None else rest[pivot])
    solve = solver(part[others][:, others], None if rest is None else rest[others])
    law = np.zeros(part.shape[0])
    error = np.inf
    # Nearly decoupled states may overflow; the estimated error then tells.
    with np.errstate(all="ignore"):
        law[others], law[pivot] = solve(row, "T"), 1.0
        law /= law.sum()
        for _ in range(2):
            correction = solve((step(law) - law)[others], "T")
            error = float(np.abs(correction).sum())
            law[others] += correction
            law = np.maximum(law, 0.0)
            law /= law.sum()
    return law, error


def solver(part: csr_array, rest: Floats | None) -> Callable[[Floats, str], Floats]:
    """Function that solves (I - part - rest 1') x = b ("N"), or the transposed system ("T")."""
    k = part.shape[0]
    # The matrix is diagonally dominant: the diagonal is a good pivot, and keeps the order that
    # saves fill.
    factors = splu(csc_array(eye_array(k) - part), diag_pivot_thresh=0.1, permc_spec="COLAMD")
    if rest is None:

        def plain(b: Floats, transposed: str) -> Floats:
            x: Floats = factors.solve(b, transposed)
            return x

        return plain
    left, right = factors.solve(rest, "N"), factors.solve(np.ones(k), "T")

    def solve(b: Floats, transposed: str) -> Floats:
        # Sherman and Morrison's formula for the rank-one part.
        x: Floats = factors.solve(b, transposed)
        if transposed == "N":
            x += left * (x.sum() / (1.0 - left.sum()))
        else:
            x += right * (rest @ x / (1.0 - right @ rest))
        return x

    return solve
