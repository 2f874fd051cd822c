"""Lasso libraries behind one call: coefficients (p, m) at given penalties, without intercept.

Each takes the tolerance in the unit of its own stopping rule; the judge looks at the gaps.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.lasso_cases import Array, LassoCase

    Solve = Callable[[LassoCase, Any, Array, Array, float, int], Array]


def pyestim(case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int) -> Array:
    """`pyestim.penalised.path.solve_path`."""
    import pyestim
    from pyestim.data.design import Design
    from pyestim.penalised.datafit import Binomial, Gaussian
    from pyestim.penalised.path import solve_path
    from pyestim.penalised.problem import Problem

    pyestim.set_num_threads(threads)
    p = X.shape[1]
    datafit = Binomial(y) if case.family == "binomial" else Gaussian(y)
    design = Design(X, centre=False)
    problem = Problem(design, datafit, np.ones(p), np.zeros(p), fit_intercept=False)
    return solve_path(problem, alphas, tol=tol).coefs


def celer(case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int) -> Array:
    """Working sets and dual extrapolation."""
    from celer import celer_path

    many = {"max_iter": 200, "max_epochs": 200_000, "tol": tol}
    if case.family == "binomial":
        return celer_path(X, 2 * y - 1, "logreg", alphas=len(y) * alphas, **many)[1]
    return celer_path(X, y, "lasso", alphas=alphas, **many)[1]


def skglm(case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int) -> Array:
    """Working sets and Anderson acceleration."""
    from skglm import Lasso, SparseLogisticRegression

    many = {"max_iter": 200, "max_epochs": 200_000, "tol": tol, "fit_intercept": False}
    if case.family == "binomial":
        model = SparseLogisticRegression(1.0, warm_start=True, **many)
        coefs = []
        for alpha in alphas:
            coefs.append(model.set_params(alpha=alpha).fit(X, y).coef_.ravel().copy())
        return np.stack(coefs, axis=1)
    return Lasso(1.0, warm_start=True, **many).path(X, y, alphas)[1]


def adelie(case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int) -> Array:
    """Group elastic net by coordinate descent with strong rules."""
    import adelie as ad

    glm = ad.glm.binomial(y) if case.family == "binomial" else ad.glm.gaussian(y)
    matrix = ad.matrix.sparse(X, n_threads=threads) if scipy.sparse.issparse(X) else X
    state = ad.grpnet(
        matrix,
        glm,
        lmda_path=alphas,
        intercept=False,
        early_exit=False,
        tol=tol,
        irls_tol=tol,
        adev_tol=1.0,
        max_iters=10_000_000,
        n_threads=threads,
        progress_bar=False,
    )
    return state.betas.toarray().T


def scikit_learn(
    case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int
) -> Array:
    """Coordinate descent; the Gram matrix where there are more rows than columns."""
    from sklearn.linear_model import LogisticRegression, lasso_path

    if case.family == "binomial":
        model = LogisticRegression(
            l1_ratio=1.0, solver="liblinear", fit_intercept=False, tol=tol, max_iter=10_000
        )
        fits = [model.set_params(C=1 / (len(y) * a)).fit(X, y).coef_.ravel() for a in alphas]
        return np.stack(fits, axis=1)
    many: dict[str, Any] = {"max_iter": 100_000, "copy_X": False, "check_input": False}
    tall = X.shape[0] > X.shape[1]
    if tall:
        many |= {"precompute": X.T @ X, "Xy": X.T @ y}
    return lasso_path(X, y, alphas=alphas, tol=tol, **many)[1]


def glum(case: LassoCase, X: Any, y: Array, alphas: Array, tol: float, threads: int) -> Array:
    """Iteratively reweighted least squares by coordinate descent on the Gram matrix."""
    from glum import GeneralizedLinearRegressor

    model = GeneralizedLinearRegressor(
        family="binomial" if case.family == "binomial" else "normal",
        l1_ratio=1,
        alpha_search=True,
        alphas=alphas,
        fit_intercept=False,
        gradient_tol=tol,
        max_iter=1000,
    )
    return np.asarray(model.fit(X, y).coef_path_).T


LASSO_PEERS: dict[str, Solve] = {
    "celer": celer,
    "skglm": skglm,
    "adelie": adelie,
    "scikit-learn": scikit_learn,
    "glum": glum,
}
#: Tolerances of each library's own rule, loose to tight: its default, and those for a gap of 1e-6.
TOLERANCES = {
    "pyestim": (1e-4, 1e-6),
    "celer": (1e-4, 1e-8),
    "skglm": (1e-4, 1e-7),
    "adelie": (1e-7, 1e-12, 1e-15),
    "scikit-learn": (1e-4, 4e-7),
    "glum": (1e-4, 1e-7),
}


def installed() -> list[str]:
    """Libraries that can be imported here."""
    modules = {"scikit-learn": "sklearn"}
    return [name for name in LASSO_PEERS if importlib.util.find_spec(modules.get(name, name))]
