"""Divergences between discrete distributions: one table, accurate also where the two nearly agree.

An f-divergence is D(p, q) = sum_j q_j f(p_j / q_j) with f convex and f(1) = 0. Its small
deviations are those of f''(1) / 2 times chi-square, so that f''(1) is all that large samples see
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import exprel

Floats = NDArray[np.float64]

#: Relative difference p / q - 1 below which the divergence is summed as a power series.
NEAR = 0.25
#: Terms of the series: NEAR^N_TERMS is below the rounding unit.
N_TERMS = 28


@dataclass(frozen=True)
class Divergence:
    """A loss of an estimate q of p.

    Attributes
    ----------
    cells : callable
        Contributions of the cells, from p, q and the order alpha.
    curvature : float or None
        f''(1); None for what is not an f-divergence.
    """

    cells: Callable[[Floats, Floats, float], Floats]
    curvature: float | None


def divergence(name: str, p: Any, q: Any, *, alpha: float = 0.5) -> Any:
    """Divergence of q from p, summed over the last axis.

    Parameters
    ----------
    name : {"kl", "chi-square", "hellinger", "alpha", "l2"}
        sum p log(p / q); sum (p - q)^2 / q; sum (sqrt p - sqrt q)^2, without a factor 1/2; sum q
        f(p / q) with f(t) = (t^a - a t + a - 1) / (a (a - 1)), which is "kl" for a = 1, the
        reversed one for a = 0, half of "chi-square" for a = 2 and twice "hellinger" for a = 1/2;
        sum (p - q)^2.
    p, q : array_like of shape (..., k)
        Nonnegative, of equal sums in the last axis; they are broadcast.
    alpha : float
        Order a of "alpha".

    Returns
    -------
    float or ndarray of shape (...)
        Infinite where q is zero and p is not ("hellinger", and "alpha" below 1, stay finite).
    """
    loss = divergence_of(name)
    p, q = np.broadcast_arrays(np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64))
    if not ((p >= 0).all() and (q >= 0).all()):
        raise ValueError("probabilities must be at least 0 and not NaN")
    found = loss.cells(p, q, float(alpha)).sum(axis=-1)
    return float(found) if found.ndim == 0 else found


def divergence_of(name: str) -> Divergence:
    """Row of the table.

    Raises
    ------
    ValueError
        For a name that is not in `DIVERGENCES`.
    """
    if name not in DIVERGENCES:
        names = ", ".join(repr(known) for known in DIVERGENCES)
        raise ValueError(f"the divergence must be one of {names}, got {name!r}")
    return DIVERGENCES[name]


def _alpha(p: Floats, q: Floats, alpha: float) -> Floats:
    if alpha < 0.5:
        # D of order a from p to q is D of order 1 - a from q to p.
        return _alpha(q, p, 1.0 - alpha)
    out = np.zeros(p.shape)
    gone = (q == 0) & (p > 0)
    out[gone] = p[gone] / (1.0 - alpha) if alpha < 1 else np.inf
    some = q > 0
    p, q = p[some], q[some]
    excess = (p - q) / q
    near = np.abs(excess) <= NEAR / max(1.0, alpha / 4)
    f = np.empty(len(q))
    f[near] = _series(excess[near], alpha)
    ratio, e = p[~near] / q[~near], excess[~near]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log = np.log(ratio)
        # t (t^(a-1) - 1) / (a - 1) - (t - 1), without a division by a - 1; zero at t = 0.
        far = (ratio * log * exprel((alpha - 1.0) * log) - e) / alpha
    f[~near] = np.where(ratio > 0, far, 1.0 / alpha)
    out[some] = q * f
    return out


def _series(e: Floats, alpha: float) -> Floats:
    """Binomial series of f(1 + e): its terms of order 0 and 1 are zero, and nothing cancels."""
    coefficients = [0.5]
    for j in range(2, N_TERMS):
        coefficients.append(coefficients[-1] * (alpha - j) / (j + 1))
    total = np.polynomial.polynomial.polyval(e, coefficients)
    return np.asarray(total * e * e, dtype=np.float64)


def _chi_square(p: Floats, q: Floats, _: float) -> Floats:
    difference = p - q
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(difference == 0, 0.0, difference * difference / q)


def _hellinger(p: Floats, q: Floats, _: float) -> Floats:
    root_sum = np.sqrt(p) + np.sqrt(q)
    with np.errstate(invalid="ignore"):
        return np.where(root_sum == 0, 0.0, ((p - q) / root_sum) ** 2)


def _squares(p: Floats, q: Floats, _: float) -> Floats:
    squares: Floats = (p - q) ** 2
    return squares


#: Losses by name. Curvatures of the conventions in `divergence`.
DIVERGENCES: dict[str, Divergence] = {
    "kl": Divergence(lambda p, q, _: _alpha(p, q, 1.0), 1.0),
    "chi-square": Divergence(_chi_square, 2.0),
    "hellinger": Divergence(_hellinger, 0.5),
    "alpha": Divergence(_alpha, 1.0),
    "l2": Divergence(_squares, None),
}
