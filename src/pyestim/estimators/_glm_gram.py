"""`gram_path`: a Gaussian path from products of the data alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pyestim.estimators._base import Array
from pyestim.estimators._glm_path import GLMPath
from pyestim.estimators.lasso_glm import PathMaker
from pyestim.penalised.gram import root_of_gram


def gram_path(
    gram: Any,
    Xty: Any,
    yty: float,
    n: float,
    *,
    alphas: Sequence[float] | None = None,
    n_alphas: int = 100,
    eps: float = 1e-3,
    l1_ratio: float = 1.0,
    penalty: str = "l1",
    concavity: float | None = None,
    penalty_weights: Any = None,
    lower: Any = None,
    upper: Any = None,
    tol: float = 1e-7,
    max_iter: int = 10000,
) -> GLMPath:
    """Fit penalised least squares along a sequence of penalties, without the data.

    The path of ``glm_path(X, y, fit_intercept=False)`` from ``X'X``, ``X'y``, ``y'y`` and the
    number of rows. For an intercept pass the products of centred columns and responses; for
    weights ``X'WX``, ``X'Wy``, ``y'Wy`` and their sum.

    Parameters
    ----------
    gram : array-like of shape (p, p)
        ``X'X``.
    Xty : array-like of shape (p,)
        ``X'y``.
    yty : float
        ``y'y``.
    n : float
        Number of rows.
    alphas, n_alphas, eps, l1_ratio, penalty, concavity, penalty_weights, lower, upper, tol, \
max_iter :
        As in `glm_path`.

    Returns
    -------
    path : GLMPath

    Notes
    -----
    Products have half of the digits of the data: columns that are dependent up to 1e-7 of their
    length cannot be told from dependent ones.

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import gram_path
    >>> X = np.random.RandomState(0).normal(size=(100, 5))
    >>> y = X[:, 0] - 2 * X[:, 3]
    >>> path = gram_path(X.T @ X, X.T @ y, y @ y, len(y), n_alphas=30)
    >>> print(path.df[0], path.df[-1], path.coefs[3, -1].round(2))
    0 2 -1.95
    """
    products = _checked(gram, Xty, yty, n)
    try:
        X, y = root_of_gram(*products)
    except ValueError as error:
        raise ValueError(f"gram_path: {error}") from error
    maker = PathMaker(
        "gaussian",
        l1_ratio=l1_ratio,
        penalty=penalty,
        concavity=concavity,
        penalty_weights=penalty_weights,
        fit_intercept=False,
        standardize=False,
        lower=lower,
        upper=upper,
        ties="breslow",
        tol=tol,
        max_iter=max_iter,
    )
    maker._name = "gram_path"
    rows = len(y)
    weight, unit = np.full(rows, n / rows), np.sqrt(rows / n)
    return maker.path(unit * X, unit * y, weight, None, alphas=alphas, n_alphas=n_alphas, eps=eps)


def _checked(gram: Any, Xty: Any, yty: Any, n: Any) -> tuple[Array, Array, float]:
    """Products as arrays of float64; what no data set can have is refused."""
    matrix, linear = np.asarray(gram, dtype=np.float64), np.asarray(Xty, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise ValueError(f"gram_path: gram must be square, X'X, got shape {matrix.shape}.")
    if linear.shape != matrix.shape[:1]:
        raise ValueError(
            f"gram_path: Xty must have shape {matrix.shape[:1]}, one product for each column of "
            f"gram, got {linear.shape}."
        )
    if not (np.isfinite(matrix).all() and np.isfinite(linear).all() and np.isfinite(yty)):
        raise ValueError("gram_path: gram, Xty and yty must be finite; impute the data first.")
    if not np.allclose(matrix, matrix.T, rtol=1e-8, atol=1e-12 * np.abs(matrix).max()):
        raise ValueError("gram_path: gram must be symmetric; pass X'X.")
    if not (yty >= 0 and 0 < n < np.inf):
        raise ValueError(
            f"gram_path: yty must not be negative and n must be a positive number of rows, got "
            f"yty={yty} and n={n}."
        )
    return 0.5 * (matrix + matrix.T), linear, float(yty)
