"""Intervals of single coefficients: checks the question, then asks `penalised.debias`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from pyestim.data.design import Design
from pyestim.estimators._base import number, shown
from pyestim.estimators._glm_inference import DebiasedLasso, GLMInference
from pyestim.penalised.debias import direction, scaled_noise
from pyestim.penalised.penalty import L1


def debias(
    model: GLMInference,
    X: Any,
    y: Any,
    sample_weight: Any,
    offset: Any,
    features: Any,
    noise: Any,
    n_jobs: Any,
) -> DebiasedLasso:
    """Estimates of single coefficients with standard errors."""
    model._require_fit()
    if model.family != "gaussian":
        raise ValueError(
            f"{model._name}: debiased expects family='gaussian', got {model.family!r}: for other "
            f"families refit the support on other rows (relaxed)."
        )
    residual = np.asarray(model._eta(X, offset))
    data = model._training_again(X, y, sample_weight, offset)
    residual = data.response.y - residual
    p = model.n_features_in_
    columns = np.arange(p) if features is None else model._columns(features)
    n = data.weight_sum
    # Columns in units of their standard deviation: the nodewise penalties are then comparable.
    design = Design(data.X, data.weight, centre=model._has_intercept, scale=True)
    sigma = _noise(model, data, design, residual, noise, n)
    found = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(direction)(design, int(j), n) for j in columns
    )
    constant = np.array([not d.z.any() for d in found])
    if constant.any():
        raise ValueError(
            f"{model._name}: features must not be constant, got column "
            f"{int(columns[constant][0])}: its coefficient cannot be estimated. Leave it out."
        )
    w, scale = design.weight, design.scale[columns]
    moves = [
        (d.z * residual) @ w / ((d.z * design.times(np.ones(1), np.array([j]))) @ w)
        for d, j in zip(found, columns, strict=True)
    ]
    names = getattr(model, "feature_names_in_", None)
    return DebiasedLasso(
        features=columns,
        names=tuple(f"x{j}" if names is None else str(names[j]) for j in columns),
        estimate=np.ravel(model.coef_)[columns] + np.array(moves) / scale,
        standard_error=sigma * np.array([d.tau for d in found]) / scale,
        noise_sd=sigma,
        bias_factor=np.array([d.eta for d in found]),
    )


def _noise(model: Any, data: Any, design: Design, residual: Any, noise: Any, n: float) -> float:
    """Standard deviation of the noise."""
    if number(0.0).holds(noise) and noise > 0:
        return float(noise)
    if noise == "residual":
        left = n - int(np.count_nonzero(model.coef_)) - model._has_intercept
        if left <= 0:
            raise ValueError(
                f"{model._name}: noise='residual' expects fewer coefficients than rows, got "
                f"{np.count_nonzero(model.coef_)} and {n:g}. Use noise='scaled'."
            )
        return float(np.sqrt(n * (residual**2 @ design.weight) / left))
    if noise != "scaled":
        raise ValueError(
            f"{model._name}: noise must be 'scaled', 'residual' or a positive number, got "
            f"{shown(noise)}."
        )
    p = design.p
    problem = replace(
        model._problem(data),
        design=design,
        l1=np.ones(p),
        l2=np.zeros(p),
        lower=None,
        upper=None,
        penalty=L1(),
    )
    return scaled_noise(problem, n)
