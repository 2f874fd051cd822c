"""Second fits of supports without a penalty."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators import _glm_solve as engine
from pyestim.estimators._base import Array
from pyestim.estimators._glm_base import Training
from pyestim.estimators._glm_path import GLMPath
from pyestim.estimators.lasso_glm import LassoGLM
from pyestim.penalised.gap import duality_gap
from pyestim.penalised.point import Path, PathOutcome, Point
from pyestim.penalised.problem import Problem

SOLVER = "Newton without penalty"


def refit_path(path: GLMPath, X: Any, y: Any, sample_weight: Any, offset: Any) -> GLMPath:
    """Return the path whose supports are fitted again without a penalty."""
    began = perf_counter()
    model = _known(LassoGLM(**path.arguments), path.n_features, path.feature_names)
    data = model._training_again(X, y, sample_weight, offset)
    points, kept = [], 0
    solved: dict[bytes, Point | None] = {}
    problem = model._problem(data)
    for i, alpha in enumerate(path.alphas):
        support = _support(path.sparse_coefs[:, [i]].toarray(), path.n_features)
        key = support.tobytes()
        if key not in solved:
            solved[key] = _attempt(model, support, data)
        point = solved[key]
        kept += point is None
        points.append((point or _penalised(model, path, i, problem))._replace(alpha=float(alpha)))
    null = path.null_deviance / 2 + problem.datafit.saturated
    engine_path = Path(
        tuple(points),
        path.n_features,
        null,
        problem.datafit.saturated,
        problem.scale,
        PathOutcome.CONVERGED,
    )
    again = engine.published(model, data, problem, engine_path, perf_counter() - began)
    notes: tuple[str, ...] = ("supports of the penalised path, fitted again without a penalty",)
    if kept:
        notes += (
            f"{kept} of {len(points)} supports have no unpenalised maximum: their penalised fits "
            "stay",
        )
    return replace(again, report=replace(again.report, notes=notes, tol=path.report.tol))


def refit_model(model: Any, X: Any, y: Any, sample_weight: Any, offset: Any) -> LassoGLM:
    """Return a model with the support of a fitted one and no penalty on it."""
    alpha = float(getattr(model, "alpha_", getattr(model, "alpha", 0.0)))
    arguments = {name: getattr(model, name) for name in engine.ARGUMENTS}
    names = getattr(model, "feature_names_in_", None)
    again = _known(LassoGLM(**{**arguments, "alpha": alpha}), model.n_features_in_, names)
    data = model._training_again(X, y, sample_weight, offset)
    support = _support(np.atleast_2d(model.coef_), model.n_features_in_)
    problem, point = _second_fit(again, support, data)
    null = _second_fit(again, np.zeros_like(support), data)[1].loss
    saturated = problem.datafit.saturated
    parts = ((point,), len(support), null, saturated, problem.scale, PathOutcome.CONVERGED)
    path = engine.published(again, data, problem, Path(*parts), 0.0)
    note = "support of a penalised fit, fitted again without a penalty"
    path = replace(path, report=replace(path.report, notes=(note,)))
    again._publish_point(path, 0)
    again._publish_baseline(data)
    return again


def _known(model: LassoGLM, p: int, names: Any) -> LassoGLM:
    """Tell a model the columns that it is going to see."""
    model.n_features_in_ = p
    if names is not None:
        model.feature_names_in_ = names
    return model


def _support(coef: Array, p: int) -> NDArray[np.bool_]:
    return np.asarray(coef.reshape(-1, p).any(axis=0))


def _attempt(model: LassoGLM, support: NDArray[np.bool_], data: Training) -> Point | None:
    """Return the second fit, or None where the likelihood has no maximum."""
    try:
        return _second_fit(model, support, data)[1]
    except ValueError:
        return None


def _second_fit(
    model: LassoGLM, support: NDArray[np.bool_], data: Training
) -> tuple[Problem, Point]:
    rows = data.X.shape[0] if data.weight is None else int(np.count_nonzero(data.weight))
    if support.sum() + model._has_intercept >= rows and support.any():
        raise ValueError(
            f"{model._name}: expected fewer columns in the support than rows, got "
            f"{int(support.sum())} and {rows}: the unpenalised likelihood has no single maximum. "
            f"Choose a larger alpha."
        )
    free = LassoGLM(**{name: getattr(model, name) for name in engine.ARGUMENTS})
    free.set_params(penalty="l1", l1_ratio=1.0, penalty_weights=np.where(support, 0.0, np.inf))
    problem = free._problem(data)
    null = engine.in_name_of(model._name, lambda: problem.null)
    several = problem.datafit.n_outputs > 1
    beta = np.zeros((len(support), problem.datafit.n_outputs))
    beta[null.columns] = null.beta
    beta = beta if several else beta[:, 0]
    intercept = null.intercept if several else float(null.intercept[0])
    columns = np.flatnonzero(beta.any(axis=1) if several else beta)
    gap = float(duality_gap(problem, beta, intercept))
    return problem, Point(0.0, columns, beta[columns], intercept, gap, null.value, 1, SOLVER)


def _penalised(model: LassoGLM, path: GLMPath, i: int, problem: Problem) -> Point:
    """Point of the path as the engine had it."""
    coef = path.sparse_coefs[:, [i]].toarray().reshape(-1, path.n_features)
    intercept = np.atleast_1d(path.intercepts[..., i])
    loss = problem.datafit.saturated + (1 - path.deviance_ratio[i]) * path.null_deviance / 2
    return engine.warm_point(model._name, problem, coef, intercept)._replace(
        gap=float(path.duality_gap[i] * problem.scale),
        loss=float(loss),
        n_iter=int(path.n_iter[i]),
        solver="penalised",
    )
