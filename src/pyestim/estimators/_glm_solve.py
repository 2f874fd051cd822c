"""From checked data to a `GLMPath`: the only place where the estimators meet the engine."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from pyestim.estimators._base import Array
from pyestim.estimators._glm_base import PenalisedGLM, Training
from pyestim.estimators._glm_path import GLMPath
from pyestim.estimators._glm_report import GLMReport
from pyestim.penalised import criteria
from pyestim.penalised.path import alpha_grid, solve_path
from pyestim.penalised.point import Path, PathOutcome, Point
from pyestim.penalised.problem import Problem

#: Names of the arguments that a path remembers.
ARGUMENTS = (
    *("family", "l1_ratio", "penalty", "concavity", "penalty_weights", "fit_intercept"),
    *("standardize", "lower", "upper", "ties", "tol", "max_iter"),
)

#: Columns up to which a fit without penalty is asked whether it has a maximum.
MOST_UNPENALISED = 100
#: Odds of the exponential of this are certain to ten digits: maybe the maximum is at infinity.
CERTAIN = 25.0


def in_name_of(owner: str, work: Callable[[], Any]) -> Any:
    """Return what ``work`` returns; what it refuses is told in the name of the estimator."""
    try:
        return work()
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from error


def grid(model: PenalisedGLM, problem: Problem, n_alphas: int, eps: float) -> Array:
    """Return penalties from the least one that holds all at zero down to ``eps`` times it."""
    alphas: Array = in_name_of(model._name, lambda: alpha_grid(problem, n_alphas, eps))
    return alphas


def solve(
    model: PenalisedGLM,
    data: Training,
    problem: Problem,
    alphas: Array,
    warm: Any = None,
    early_stop: bool = False,
) -> GLMPath:
    """Solve for every penalty and return the path in the units of X."""
    began = perf_counter()
    quadratic = model.family == "gaussian"
    if alphas[-1] == 0 and problem.design.p <= MOST_UNPENALISED and not quadratic:
        # Without a penalty the maximum may be at infinity: the model without one says so.
        in_name_of(model._name, lambda: problem.at(0.0).null)
    path: Path = in_name_of(
        model._name,
        lambda: solve_path(
            problem,
            alphas,
            tol=float(model.tol),
            max_iter=int(model.max_iter),
            warm=warm,
            early_stop=early_stop,
        ),
    )
    return published(model, data, problem, path, perf_counter() - began)


def published(
    model: PenalisedGLM, data: Training, problem: Problem, path: Path, seconds: float
) -> GLMPath:
    """Translate what the engine returns: columns of X, names, likelihoods."""
    coefs, intercepts = in_units_of_the_columns(problem, path)
    outputs = problem.datafit.n_outputs
    losses = np.array([point.loss for point in path.points])
    saturated = problem.datafit.saturated
    phi = criteria.dispersion(model.family, losses - saturated)
    n_parameters = np.diff(coefs.indptr) + outputs * bool(problem.fit_intercept)
    n_parameters = n_parameters + (model.family in criteria.WITH_DISPERSION)
    constant = criteria.constant_of(model.family, data.response.y, data.weight)
    return GLMPath(
        family=model.family,
        alphas=path.alphas,
        sparse_coefs=coefs,
        intercepts=intercepts,
        deviance_ratio=path.deviance_ratio,
        df=np.array([len(point.columns) for point in path.points], dtype=np.int64),
        duality_gap=path.gaps,
        n_iter=path.n_iter,
        log_likelihood=criteria.log_likelihood(
            model.family, losses, saturated, data.weight_sum, constant, phi
        ),
        n_parameters=n_parameters.astype(np.int64),
        dispersion=phi,
        null_deviance=2.0 * (path.null - saturated),
        n_effective=data.n_effective,
        n_features=problem.design.p,
        classes=data.response.classes,
        feature_names=getattr(model, "feature_names_in_", None),
        report=report_of(model, problem, path, seconds),
        arguments={name: getattr(model, name) for name in ARGUMENTS},
    )


def in_units_of_the_columns(problem: Problem, path: Path) -> tuple[Any, Array]:
    """Coefficients (K p, n_alphas) of the columns of X, and intercepts that belong to them."""
    design, outputs = problem.design, problem.datafit.n_outputs
    values, rows, starts = [], [], [0]
    intercepts = np.zeros((outputs, len(path.points)))
    for i, point in enumerate(path.points):
        coef = np.atleast_2d(point.coef.T / design.scale[point.columns])
        if problem.fit_intercept:
            intercepts[:, i] = point.intercept - coef @ design.centre[point.columns]
        k, j = np.nonzero(coef)
        values.append(coef[k, j])
        rows.append(k * design.p + point.columns[j])
        starts.append(starts[-1] + len(j))
    shape = (outputs * design.p, len(path.points))
    parts = (np.concatenate(values), np.concatenate(rows).astype(np.int64), np.array(starts))
    return sparse.csc_array(parts, shape=shape), intercepts if outputs > 1 else intercepts[0]


def report_of(model: PenalisedGLM, problem: Problem, path: Path, seconds: float) -> GLMReport:
    """Account of the fits."""
    form = "sparse" if problem.design.is_sparse else "dense"
    names = {"l1": "elastic net" if model.l1_ratio < 1 else "Lasso", "group": "group Lasso"}
    names["adaptive"] = "adaptive Lasso"
    named = names.get(model.penalty, model.penalty.upper())
    return GLMReport(
        outcome=path.sentence,
        converged=path.outcome not in (PathOutcome.MAX_ITER, PathOutcome.NO_MAXIMUM),
        problem=f"{model.family}, {named}, {problem.design.n} x {problem.design.p} {form}",
        solver=", ".join(dict.fromkeys(path.solvers)),
        gap=float(np.max(path.gaps, initial=0.0)),
        tol=float(model.tol),
        n_iter=int(np.sum(path.n_iter)),
        n_points=len(path.points),
        seconds=seconds,
        notes=separation(model, problem, path.points[-1]),
    )


def separation(model: PenalisedGLM, problem: Problem, point: Point) -> tuple[str, ...]:
    """Note about a fit without penalty whose predictors may be on their way to infinity."""
    free = point.alpha == 0 or len(problem.unpenalised) > 0
    if not free or model.family in ("gaussian", "gamma") or not len(point.columns):
        return ()
    if np.ptp(problem.design.times(point.coef, point.columns)) <= CERTAIN:
        return ()
    return (
        f"linear predictors differ by more than {CERTAIN:g}: where they separate the responses "
        "the unpenalised likelihood has no maximum; penalise all columns",
    )


def warm_point(owner: str, problem: Problem, coef: Array, intercept: Array) -> Point:
    """Return coefficients (K, p) and intercepts (K,) of X as the engine has them."""
    design, several = problem.design, problem.datafit.n_outputs > 1
    if coef.shape != (problem.datafit.n_outputs, design.p):
        raise ValueError(
            f"{owner}: warm_start=True expects the columns of X and the classes to stay as they "
            f"were, coefficients {coef.shape}, got {(problem.datafit.n_outputs, design.p)}. Set "
            f"warm_start=False."
        )
    columns = np.flatnonzero(coef.any(axis=0))
    scaled = (coef[:, columns] * design.scale[columns]).T
    if problem.fit_intercept:
        intercept = intercept + coef[:, columns] @ design.centre[columns]
    constant = intercept if several else float(intercept[0])
    scaled = scaled if several else scaled[:, 0]
    return Point(np.inf, columns, scaled, constant, np.inf, np.inf, 0, "given")


def warn_if_short(owner: str, report: GLMReport, stacklevel: int) -> None:
    """Warn about a fit that the iteration limit ended."""
    if not report.converged:
        notes = "".join(f" Note: {note}." for note in report.notes)
        warnings.warn(
            f"{owner}: {report.outcome} The relative gap is {report.gap:.1e}, tol is "
            f"{report.tol:.1e}.{notes}",
            ConvergenceWarning,
            stacklevel=stacklevel + 1,
        )
