"""Steps that never descend: Newton directions whose length self-concordance bounds.

Let ``f(t)`` be the loss (minus the expected log-likelihood) along a direction ``d``.  For the
Poisson, binomial and multinomial families and for the softmax gate, the third derivative of a
row's loss is bounded by the second one: with ``a_i`` the change of the linear predictor of row i,

- Poisson: ``b(eta) = exp(eta)``, so ``b''' a^3 = a (b'' a^2)``;
- binomial: ``|b'''| = |1 - 2 mu| b'' <= b''``;
- softmax: the third central moment of the changes of the classes under their probabilities is at
  most the largest difference between two of these changes times their variance.

Hence ``|f'''| <= D f''`` with D the largest ``|a_i|`` (softmax: the largest difference), over the
rows or any region that holds them; a quadratic penalty adds to ``f''`` alone.  So
``f''(t) <= f''(0) exp(D t)``, and with ``f'(0) = -a``, ``f''(0) = b``::

    f(t) <= f(0) - a t + b (exp(D t) - 1 - D t) / D^2.

The right side is least at ``t = log(1 + a D / b) / D``, for a Newton direction (a = b)
``log(1 + D) / D``.  The full step is taken where it is good for half of what that length
guarantees (for Newton directions: D below 1.4), which keeps the quadratic convergence of Newton's
method and the exact zeros of a penalised step.  A convex penalty P that is not smooth lies below
its chord, ``P(t) <= (1 - t) P(0) + t P(1)`` for t in [0, 1], so its change over the full step is
part of ``a``.

References
----------
Bach, F. (2010). Self-concordant analysis for logistic regression. Electronic Journal of
Statistics 4. doi:10.1214/09-EJS521
"""

from __future__ import annotations

from math import exp, expm1, log1p

import numpy as np

from pyestim.engine.stats import Vector
from pyestim.models.kernels import factorise

#: Eigenvalues of a normal matrix with unit diagonal below this times its order are no information.
SINGULAR = 1e-11
#: Exponents beyond which the bound is infinite for all purposes.
LARGEST_REACH = 500.0


def solve_normal(matrix: Vector, right: Vector) -> Vector:
    """Solve normal equations; the step of least norm where they are singular.

    Columns are brought to one unit first, so that the unit of a predictor does not decide what
    is singular.

    Parameters
    ----------
    matrix : ndarray of shape (..., B, B)
        Symmetric, no negative eigenvalues but for rounding.
    right : ndarray of shape (..., B, m)
    """
    scaled, unit = _in_one_unit(matrix)
    target = right / unit[..., None]
    order = matrix.shape[-1]
    factors, _, fine = factorise(np.ascontiguousarray(scaled).reshape(-1, order, order))
    # The diagonal of an inverse Cholesky factor tells what a column adds to those before it.
    added = factors.reshape(-1, order * order)[:, :: order + 1]
    if fine and np.maximum.reduce(np.abs(added), axis=None) ** 2 * SINGULAR * order < 1.0:
        factors = factors.reshape(matrix.shape)
        solved = np.swapaxes(factors, -1, -2) @ (factors @ target)
    else:
        values, vectors = np.linalg.eigh(scaled)
        kept = values > SINGULAR * order
        inverse = np.divide(1.0, values, out=np.zeros_like(values), where=kept)
        solved = vectors @ (inverse[..., None] * (np.swapaxes(vectors, -1, -2) @ target))
    return np.asarray(solved / unit[..., None])


def n_redundant(matrix: Vector) -> int:
    """Count the columns of normal equations that are combinations of the others."""
    values = np.linalg.eigvalsh(_in_one_unit(matrix)[0])
    return int(np.count_nonzero(values <= SINGULAR * len(matrix)))


def _in_one_unit(matrix: Vector) -> tuple[Vector, Vector]:
    """Matrix with ones on its diagonal, and the units (..., B); zero columns stay."""
    diagonal = np.einsum("...jj->...j", matrix)
    unit = np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    return matrix / (unit[..., :, None] * unit[..., None, :]), unit


def step_length(gain: float, curve: float, reach: float) -> tuple[float, float]:
    """Length of a step and what it gains at least.

    Parameters
    ----------
    gain : float
        Slope of the objective along the direction, ``a``.
    curve : float
        Minus its second derivative, ``b``.
    reach : float
        ``D``.
    """
    if not gain > 0.0:
        return 0.0, 0.0
    best = 1.0
    if curve > 0.0:
        ratio = gain / curve
        best = min(1.0, log1p(ratio * reach) / reach if reach > 1e-6 else ratio)
    least = _gain(best, gain, curve, reach)
    full = _gain(1.0, gain, curve, reach)
    return (1.0, full) if full >= 0.5 * least else (best, least)


def _gain(t: float, gain: float, curve: float, reach: float) -> float:
    """``a t - b (exp(D t) - 1 - D t) / D^2``."""
    x = reach * t
    if x > LARGEST_REACH:
        return -exp(LARGEST_REACH) if curve > 0.0 else gain * t
    if x < 1e-3:
        return gain * t - curve * t * t * (0.5 + x / 6.0 + x * x / 24.0)
    return gain * t - curve * (expm1(x) - x) / (reach * reach)


def box(low: Vector, high: Vector) -> tuple[Vector, Vector]:
    """Middle of a box with a one in front, and half of its widths with a zero: (1 + p,) each."""
    middle, half = 0.5 * (low + high), 0.5 * (high - low)
    return np.concatenate([[1.0], middle]), np.concatenate([[0.0], half])


def largest_change(direction: Vector, middle: Vector, half: Vector) -> float:
    """Bound ``|d_0 + d' x|`` over a `box`: direction is (1 + p,)."""
    return float(abs(direction @ middle) + np.abs(direction) @ half)


def largest_difference(directions: Vector, middle: Vector, half: Vector) -> float:
    """Bound the difference of two classes over a `box`; the last class does not change.

    Parameters
    ----------
    directions : ndarray of shape (K - 1, 1 + q)
    middle, half : ndarray of shape (1 + q,)
    """
    largest = largest_change(directions[0], middle, half) if len(directions) else 0.0
    if len(directions) > 1:
        every = np.concatenate([directions, np.zeros((1, directions.shape[1]))])
        pairs = every[:, None] - every
        largest = float((pairs @ middle + np.abs(pairs) @ half).max())
    return largest
