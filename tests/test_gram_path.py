"""Penalised least squares from a Gram matrix against the same from the data."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import glm_path, gram_path
from pyestim.penalised.gram import solve_gram

pytestmark = pytest.mark.once

P = 12
FORMS = {
    "lasso": {},
    "elastic net": {"l1_ratio": 0.4},
    "bounds": {"lower": np.full(P, -0.1), "upper": np.full(P, 0.6)},
    "weights": {"penalty_weights": np.r_[0.0, np.inf, np.full(P - 2, 1.5)]},
    "everything": {"l1_ratio": 0.7, "lower": 0.0 - np.ones(P), "penalty_weights": np.arange(P) + 1},
    "mcp": {"penalty": "mcp"},
}


def data(n=80, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, P)) + rng.normal(size=(n, 1))
    return X, X[:, :4].sum(axis=1) + rng.normal(size=n)


def products(X, y):
    return X.T @ X, X.T @ y, y @ y


@pytest.mark.parametrize("form", FORMS)
def test_the_path_of_the_data(form):
    X, y = data()
    many = {"tol": 1e-13, "n_alphas": 15, **FORMS[form]}
    whole = glm_path(X, y, fit_intercept=False, **many)
    path = gram_path(*products(X, y), len(y), **many)
    np.testing.assert_allclose(path.alphas, whole.alphas, rtol=1e-12)
    np.testing.assert_allclose(path.coefs, whole.coefs, atol=1e-10)
    np.testing.assert_allclose(path.log_likelihood, whole.log_likelihood, rtol=1e-10)
    np.testing.assert_allclose(path.deviance_ratio, whole.deviance_ratio, atol=1e-10)
    assert np.all(path.duality_gap <= 1e-13) or form == "mcp"
    assert path.select("bic") == whole.select("bic")


def test_weights_and_intercept_are_in_the_products():
    X, y = data(seed=1)
    weight = np.random.default_rng(1).uniform(size=len(y))
    centred = X - weight @ X / weight.sum()
    root = np.sqrt(weight)[:, None] * np.column_stack([centred, y - weight @ y / weight.sum()])
    path = gram_path(*products(root[:, :-1], root[:, -1]), weight.sum(), n_alphas=10, tol=1e-13)
    whole = glm_path(X, y, sample_weight=weight, n_alphas=10, tol=1e-13)
    np.testing.assert_allclose(path.coefs, whole.coefs, atol=1e-10)


@pytest.mark.parametrize("form", ["lasso", "elastic net", "bounds", "weights"])
def test_one_penalty(form):
    X, y = data(seed=2)
    given, n, alpha = FORMS[form], len(y), 0.2
    whole = glm_path(X, y, fit_intercept=False, alphas=[alpha], tol=1e-14, **given)
    gram, linear, square = (part / n for part in products(X, y))
    factor = np.asarray(given.get("penalty_weights", np.ones(P)), dtype=float)
    out, ratio = np.isinf(factor), given.get("l1_ratio", 1.0)
    charge = alpha * np.where(out, 0.0, factor)
    bounds = [given.get(k, np.full(P, b)) for k, b in (("lower", -np.inf), ("upper", np.inf))]
    lower, upper = (np.where(out, 0.0, bound) for bound in bounds)
    problem = (gram, linear, square, ratio * charge, (1 - ratio) * charge, lower, upper)
    found = solve_gram(*problem, tol=1e-13)
    assert found.gap <= 0.5e-13 * square
    np.testing.assert_allclose(found.coef, whole.coefs[:, 0], atol=1e-10)
    # From the solution nothing is left to do; from elsewhere it is the same solution.
    assert solve_gram(*problem, start=found.coef, tol=1e-13).n_iter == 0
    other = solve_gram(*problem, start=np.ones(P), tol=1e-13)
    np.testing.assert_allclose(other.coef, found.coef, atol=1e-10)


def test_the_gap_bounds_what_is_missing():
    X, y = data(seed=3)
    gram, linear, square = products(X, y)
    l1 = np.full(P, 20.0)

    def objective(b):
        return 0.5 * square - linear @ b + 0.5 * b @ gram @ b + l1 @ np.abs(b)

    best = objective(solve_gram(gram, linear, square, l1, tol=1e-14).coef)
    for start in (np.zeros(P), np.ones(P), -np.ones(P)):
        rough = solve_gram(gram, linear, square, l1, start=start, max_iter=0)
        assert objective(rough.coef) - best <= rough.gap * (1 + 1e-12)


def test_columns_that_depend_on_each_other():
    X, y = data(seed=4)
    X = np.column_stack([X, X[:, :3], np.zeros(len(y))])
    path = gram_path(*products(X, y), len(y), n_alphas=20, tol=1e-10)
    whole = glm_path(X, y, fit_intercept=False, alphas=path.alphas, tol=1e-12)
    # Predictions differ by at most (2 n gap)^(1/2), the gap in units of half the mean square of y.
    far = np.sqrt(1e-10 * (y @ y))
    np.testing.assert_allclose(X @ path.coefs, X @ whole.coefs, atol=2 * far)
    found = solve_gram(*products(X, y), np.full(X.shape[1], 5.0), tol=1e-12)
    assert found.gap <= 0.5e-12 * (y @ y)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"gram": np.ones((2, 3))}, "square"),
        ({"gram": np.array([[1.0, 0.5], [0.2, 1.0]])}, "symmetric"),
        ({"gram": -np.eye(2)}, "negative eigenvalue"),
        ({"gram": np.diag([1.0, 0.0])}, "span of gram"),
        ({"gram": np.full((2, 2), np.nan)}, "finite"),
        ({"Xty": np.ones(3)}, "Xty must have shape"),
        ({"yty": 0.5}, "at least 2"),
        ({"n": 0}, "positive number of rows"),
    ],
)
def test_products_of_no_data(change, match):
    given = {"gram": np.eye(2), "Xty": np.ones(2), "yty": 5.0, "n": 10} | change
    with pytest.raises(ValueError, match=f"gram_path: .*{match}"):
        gram_path(**given)
