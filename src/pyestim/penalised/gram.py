"""Least squares of which only the products are known: a Gram matrix in the place of the data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from pyestim import _core
from pyestim.engine.stats import Vector
from pyestim.penalised.gap import conjugate_penalty_of
from pyestim.penalised.newton_support import SupportNewton
from pyestim.penalised.penalty import Weights

#: Passes of coordinate descent between two Newton steps on the support.
FEW_EPOCHS = 10
#: Share of the gap that the last pass may leave.
CHANGE_SHARE = 0.1
#: A correlation of an unpenalised coordinate below this, in units of both norms, is rounding.
NORM_ROUNDING = 1e-12
#: Eigenvalues below this share of the largest are rounding, and so is what products show there.
EIGEN_ROUNDING, SPAN_ROUNDING = 1e-14, 1e-6


class GramSolution(NamedTuple):
    """Minimum on a Gram matrix.

    Attributes
    ----------
    coef : ndarray of shape (p,)
    gap : float
        Duality gap: what the objective can still fall at most.
    n_iter : int
        Passes of coordinate descent.
    """

    coef: Vector
    gap: float
    n_iter: int


def solve_gram(
    gram: Vector,
    linear: Vector,
    square: float,
    l1: Vector,
    l2: Vector | None = None,
    lower: Vector | None = None,
    upper: Vector | None = None,
    *,
    start: Vector | None = None,
    tol: float = 1e-8,
    max_iter: int = 10000,
) -> GramSolution:
    """Minimise ``square / 2 - linear' b + b' gram b / 2 + sum_j l1_j |b_j| + l2_j b_j^2 / 2``.

    With ``gram = X'WX``, ``linear = X'Wy`` and ``square = y'Wy`` this is penalised weighted least
    squares; an M-step needs nothing else of its rows.

    Parameters
    ----------
    gram : ndarray of shape (p, p)
        Symmetric, without negative eigenvalues.
    linear : ndarray of shape (p,)
    square : float
    l1, l2 : ndarray of shape (p,)
        Penalties; default of l2: zero.
    lower, upper : ndarray of shape (p,), optional
        Bounds that contain zero.
    start : ndarray of shape (p,), optional
        Coefficients to begin with.
    tol : float
        Duality gap to reach, relative to ``square / 2``.
    max_iter : int
        Passes of coordinate descent.

    Returns
    -------
    GramSolution

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim.penalised.gram import solve_gram
    >>> solve_gram(np.eye(2), np.array([3.0, 0.5]), 10.0, np.ones(2)).coef
    array([2., 0.])
    """
    p = len(linear)
    gram, linear = np.ascontiguousarray(gram, float), np.ascontiguousarray(linear, float)
    w = Weights(
        np.ascontiguousarray(l1, float),
        np.zeros(p) if l2 is None else np.ascontiguousarray(l2, float),
        np.full(p, -np.inf) if lower is None else np.ascontiguousarray(lower, float),
        np.full(p, np.inf) if upper is None else np.ascontiguousarray(upper, float),
    )
    beta = np.zeros(p) if start is None else np.clip(np.array(start, float), w.lower, w.upper)
    least, epochs = 0.5 * tol * square, 0
    while True:
        corr = linear - gram @ beta
        gap = gram_gap(gram, square, linear, beta, corr, w)
        if gap <= least or epochs >= max_iter:
            return GramSolution(beta, gap, epochs)
        if epochs:
            newton_step(gram, corr, beta, w)
        change = CHANGE_SHARE * least / max(float(np.abs(beta).sum()), np.finfo(float).tiny)
        most = min(FEW_EPOCHS, max_iter - epochs)
        epochs += _core.native.coordinate_descent_gram(
            *(_core.context(), gram, linear, beta, w.l1, w.l2, w.lower, w.upper, change, most)
        )[0]


def gram_gap(
    gram: Vector, square: float, linear: Vector, beta: Vector, corr: Vector, w: Weights
) -> float:
    """Duality gap by Fenchel and Young; the dual point is a share of the residual."""
    residual = max(square - float(beta @ (linear + corr)), 0.0)
    size, stiff = np.abs(corr), (w.l2 == 0) & np.isinf(np.where(corr > 0, w.upper, w.lower))
    free = stiff & (w.l1 == 0)
    if np.any(size[free] > NORM_ROUNDING * np.sqrt(square * np.diag(gram)[free])):
        return np.inf
    over = stiff & ~free & (size > w.l1)
    share = float(np.min(w.l1[over] / size[over], initial=1.0))
    dual = np.where(free, 0.0, share * corr)
    penalty = (w.l1 + 0.5 * w.l2 * np.abs(beta)) * np.abs(beta)
    slack = float(np.sum(penalty - dual * beta)) + conjugate_penalty_of(dual, w)
    return 0.5 * (1.0 - share) ** 2 * residual + abs(slack)


def newton_step(gram: Vector, corr: Vector, beta: Vector, w: Weights) -> None:
    """Solve for the coefficients that are not zero, as far as their signs stay; in place."""
    used = np.flatnonzero((beta != 0.0) & (beta > w.lower) & (beta < w.upper))
    at, own = beta[used], w.of(used)
    hessian = gram[np.ix_(used, used)]
    hessian[np.diag_indices_from(hessian)] += own.l2
    slope = corr[used] - own.l1 * np.sign(at) - own.l2 * at
    try:
        with _core.single_threaded_blas():
            change = cho_solve(cho_factor(hessian, overwrite_a=True), slope)
    except np.linalg.LinAlgError:  # duplicated columns: descent alone
        return
    reach = SupportNewton.reach(at, change, own)
    to = np.clip(at + reach * change, own.lower, own.upper)
    if reach < 1.0:
        to[np.abs(to) <= 1e-15 * np.abs(at)] = 0.0
    beta[used] = to


def root_of_gram(gram: Vector, linear: Vector, square: float) -> tuple[Vector, Vector]:
    """Rows ``X`` (p + 1, p) and ``y`` with these products: the smallest data set there is.

    Raises
    ------
    ValueError
        If no data set has them.
    """
    with _core.single_threaded_blas():
        values, vectors = eigh(gram)
    p, largest = len(linear), float(np.abs(values).max(initial=0.0))
    real = values > len(values) * EIGEN_ROUNDING * largest
    if np.any(values < -SPAN_ROUNDING * largest):
        raise ValueError(
            f"gram must have no negative eigenvalue, got {values[0]:.3g}; pass X'X itself."
        )
    root = np.sqrt(np.where(real, values, 1.0))
    along = vectors.T @ linear
    if np.any(np.abs(along[~real]) > SPAN_ROUNDING * np.linalg.norm(linear)):
        raise ValueError("Xty must lie in the span of gram; both must come from the same rows.")
    X, y = np.zeros((p + 1, p)), np.zeros(p + 1)
    X[:p] = np.where(real, root, 0.0)[:, None] * vectors.T
    y[:p] = np.where(real, along / root, 0.0)
    rest = square - float(y @ y)
    if rest < -SPAN_ROUNDING * square:
        raise ValueError(
            f"yty must be at least {float(y @ y):.6g}, what X explains of y, got {square:.6g}."
        )
    y[p] = np.sqrt(max(rest, 0.0))
    return X, y
