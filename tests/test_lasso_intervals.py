"""Desparsified intervals of the Lasso."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression
from test_lasso_sklearn import problem

from pyestim import LassoGLM

pytestmark = pytest.mark.once


def test_debiased_lasso_is_least_squares_where_all_columns_fit():
    """With many rows the nodewise residuals are those of least squares, nearly."""
    X, y, _ = problem("gaussian", n=400, p=4)
    debiased = LassoGLM(alpha=0.01).fit(X, y).debiased(X, y)
    centred = X - X.mean(axis=0)
    sigma = np.sqrt(np.sum((y - LinearRegression().fit(X, y).predict(X)) ** 2) / (400 - 5))
    se = sigma * np.sqrt(np.diag(np.linalg.inv(centred.T @ centred)))
    # Nodewise penalties may enlarge errors by 25 %, never shrink them below (Cauchy-Schwarz: x'z
    # is largest against |z| for z = x); the noise differs by its degrees of freedom.
    assert (debiased.standard_error < 1.3 * se).all()
    assert (abs(debiased.estimate - LinearRegression().fit(X, y).coef_) < se).all()


def test_coverage_of_the_intervals():
    """95 % intervals of active and inactive coefficients, p twice n, by three kinds of noise."""
    rng = np.random.default_rng(5)
    n, p, runs = 100, 200, 30
    beta = np.zeros(p)
    beta[:3] = 1.0, -0.7, 0.5
    chosen = [0, 1, 2, 9]
    hits, noise = np.zeros(3), np.zeros(3)
    for _ in range(runs):
        X = rng.standard_normal((n, p))
        X[:, 1] += 0.5 * X[:, 0]
        y = X @ beta + rng.standard_normal(n)
        model = LassoGLM(alpha=0.7 * np.sqrt(2 * np.log(p) / n)).fit(X, y)
        result = model.debiased(X, y, features=chosen)
        unit = result.standard_error / result.noise_sd
        residual = model.debiased(X, y, features=[9], noise="residual").noise_sd
        for i, sd in enumerate((result.noise_sd, residual, 1.0)):
            low, high = replace(result, standard_error=sd * unit, noise_sd=sd).conf_int().T
            hits[i] += np.sum((low <= beta[chosen]) & (beta[chosen] <= high))
            noise[i] += sd / runs
    # 120 intervals of nominal coverage 0.95: five binomial standard errors below it; the remaining
    # bias, of order s log p / sqrt(n) standard errors, may cost half as much again.
    assert (hits / (4 * runs) > 0.95 - 7.5 * np.sqrt(0.95 * 0.05 / (4 * runs))).all()
    # A standard deviation of 100 rows is known to 0.08, the mean of 30 of them to 0.015. "scaled"
    # may leave out the coefficient 0.5, "residual" shrinks three of them by at most alpha, 0.23.
    error = 5 * 0.08 / np.sqrt(runs)
    assert 1 - error < noise[0] < np.sqrt(1 + 0.5**2) + error
    assert 1 - error < noise[1] < np.sqrt(1 + 3 * 0.23**2) + error


def test_debiased_result_in_words():
    X, y, _ = problem("gaussian")
    result = LassoGLM(alpha=0.1).fit(X, y).debiased(X, y, features=[0, 4])
    assert LassoGLM(alpha=0.1).fit(X, y).debiased(X, y, features=[0], noise=2.5).noise_sd == 2.5
    text = str(result)
    assert "95 % interval" in text
    assert text.splitlines()[1].startswith("x0")
    assert result.p_value[0] < 1e-3 < result.p_value[1]
    narrow, wide = result.conf_int(0.5), result.conf_int(0.99)
    assert (np.diff(wide) > np.diff(narrow)).all()
