"""Gaussian paths against reference cases, a slow solver, and conditions checked from scratch."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
from lasso_cases import cases, problem_of

from pyestim import _core
from pyestim.data.design import Design
from pyestim.penalised import gaussian
from pyestim.penalised.datafit import Gaussian
from pyestim.penalised.path import PathOutcome, alpha_grid, solve_path
from pyestim.penalised.penalty import MCP
from pyestim.penalised.problem import Problem

FORMS = [gaussian.HomotopyPath, gaussian.CovariancePath]


def data(n, p, *, seed=0, correlation=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    for j in range(1, p):
        X[:, j] = correlation * X[:, j - 1] + np.sqrt(1 - correlation**2) * X[:, j]
    y = X[:, :: max(p // 5, 1)].sum(axis=1) + rng.standard_normal(n)
    return X + rng.standard_normal(p), y + 2.0


def problem(X, y, *, weight=None, factor=None, ratio=1.0, intercept=True, scale=False, **more):
    factor = np.ones(X.shape[1]) if factor is None else np.asarray(factor, dtype=float)
    with np.errstate(invalid="ignore"):
        l2 = np.where(np.isinf(factor), np.inf, factor * (1 - ratio)) if ratio < 1 else 0 * factor
    l2 = np.where(np.isnan(l2), 0.0, l2)
    return Problem(
        Design(X, weight, centre=intercept, scale=scale),
        Gaussian(y, weight),
        factor * ratio,
        l2,
        fit_intercept=intercept,
        **more,
    )


def columns_of(given):
    """The design's columns as a plain matrix, from its own products with unit vectors."""
    return given.design.times(np.eye(given.design.p))


def unmet(given, alpha, beta, intercept):
    """Largest violation of the first-order conditions, from dense columns and nothing else."""
    X, w = columns_of(given), given.datafit.weight
    offset = 0.0 if given.offset is None else given.offset
    residual = given.datafit.y - offset - intercept - X @ beta
    corr = X.T @ (w * residual)
    worst = abs(w @ residual) if given.fit_intercept else 0.0
    for j, b in enumerate(beta):
        if np.isinf(given.l1[j]):
            assert b == 0
            continue
        slope, l1 = corr[j] - alpha * given.l2[j] * b, alpha * given.l1[j]
        worst = max(worst, abs(slope - l1 * np.sign(b)) if b else abs(slope) - l1)
    return worst


def slow_path(given, alphas):
    """Cyclic coordinate descent until a pass changes nothing beyond 1e-14."""
    X, w = columns_of(given), given.datafit.weight
    y = given.datafit.y - (w @ given.datafit.y if given.fit_intercept else 0.0)
    gram, linear = X.T @ (w[:, None] * X), X.T @ (w * y)
    beta = np.zeros(len(linear))
    for alpha in alphas:
        for _ in range(200_000):
            change = 0.0
            for j in range(len(beta)):
                z = linear[j] - gram[j] @ beta + gram[j, j] * beta[j]
                size = max(abs(z) - alpha * given.l1[j], 0.0)
                new = np.sign(z) * size / (gram[j, j] + alpha * given.l2[j])
                change, beta[j] = max(change, abs(new - beta[j])), new
            if change < 1e-14:
                break
        yield beta.copy()


def points_of(form, given, alphas):
    return list(form(gaussian.Gaussian(given)).points(np.asarray(alphas, dtype=float)))


def dense(given, point):
    beta = np.zeros(given.design.p)
    beta[point.columns] = point.coef
    return beta


# Rounding: corr is a sum of n products, refined to a few ulp of the largest; 1e-12 of the response
# is a thousand of them.
EXACT = 1e-12


def check(given, points):
    scale = np.sqrt(given.datafit.weight @ given.datafit.y**2) * max(given.design.sd.max(), 1.0)
    for point in points:
        assert unmet(given, point.alpha, dense(given, point), point.intercept) < EXACT * scale
        assert point.gap <= 1e-12 * given.scale


@pytest.mark.parametrize(
    ("content", "case"), [pytest.param(f, c, id=c["id"]) for f, c in cases("lasso_")]
)
@pytest.mark.parametrize("form", FORMS)
def test_reference(content, case, form):
    given = problem_of(content, case)
    expected = case["expected"]["path"]
    tolerance = content["tolerances"]["coef"]
    points = points_of(form, given, [row["lambda"] for row in expected])
    assert len(points) == len(expected)
    for row, point in zip(expected, points, strict=True):
        beta, want = dense(given, point), np.array(row["coef"])
        unit = given.design.sd / given.datafit.y.std()
        close = np.abs(beta - want) <= np.maximum(
            tolerance["abs"] / unit, tolerance["rel"] * np.abs(want)
        )
        assert close.all()
        objective = given.at(row["lambda"]).objective(beta, point.intercept)
        assert objective <= row["objective"] * (1 + 1e-9)
        if "intercept" in row:
            assert point.intercept - given.design.mean @ beta == pytest.approx(
                row["intercept"], rel=1e-5, abs=1e-6
            )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("scale", [False, True])
def test_slow_solver(form, ratio, scale):
    X, y = data(40, 12)
    weight = np.random.default_rng(1).random(40)
    given = problem(X, y, weight=weight, ratio=ratio, scale=scale)
    alphas = alpha_grid(given, 12, 1e-2)
    points = points_of(form, given, alphas)
    check(given, points)
    for point, want in zip(points, slow_path(given, alphas), strict=True):
        # The slow solver's last change of 1e-14 times the condition number of the Gram matrix.
        np.testing.assert_allclose(dense(given, point), want, atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_weights_factors_offset_and_excluded_columns(form):
    X, y = data(50, 20)
    rng = np.random.default_rng(2)
    factor = np.ones(20)
    factor[[0, 7]], factor[3], factor[5] = 0.0, np.inf, 2.5
    offset = rng.standard_normal(50)
    given = problem(X, y, weight=rng.random(50), factor=factor, offset=offset, scale=True)
    points = points_of(form, given, alpha_grid(given, 15, 1e-4))
    check(given, points)
    assert list(points[0].columns) == [0, 7]


@pytest.mark.parametrize("form", FORMS)
def test_more_columns_than_rows_to_the_full_rank(form):
    X, y = data(30, 90)
    given = problem(X, y)
    points = points_of(form, given, alpha_grid(given, 40, 1e-7))
    check(given, points)
    # Centred columns of 30 rows: 29 coefficients fit everything, and the path goes on.
    assert len(points[-1].columns) == 29
    assert points[-1].loss < 1e-10


@pytest.mark.parametrize("form", FORMS)
def test_duplicated_opposite_and_constant_columns(form):
    X, y = data(40, 8)
    given = problem(np.hstack([X, X, -X, np.full((40, 2), 3.0)]), y)
    points = points_of(form, given, alpha_grid(given, 20, 1e-4))
    check(given, points)
    assert not np.isin(points[-1].columns, [24, 25]).any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", range(5))
def test_ties(form, seed):
    # Small integers: many correlations are equal, and so are many kinks.
    rng = np.random.default_rng(seed)
    X = rng.integers(-1, 2, (16, 24)).astype(float)
    y = rng.integers(-2, 3, 16).astype(float)
    given = problem(X, y)
    check(given, points_of(form, given, alpha_grid(given, 20, 1e-5)))


@pytest.mark.parametrize("form", FORMS)
def test_orthogonal_columns_are_thresholded(form):
    rng = np.random.default_rng(0)
    X = np.linalg.qr(rng.standard_normal((64, 16)))[0] * 8.0
    y = X @ np.repeat([1.0, -1.0], 8)  # all enter at once
    given = problem(X, y, intercept=False)
    points = points_of(form, given, [0.75, 0.5, 0.25])
    for point in points:
        np.testing.assert_allclose(np.abs(dense(given, point)), 1.0 - point.alpha, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_one_penalty_is_the_same_as_a_path_to_it(form):
    X, y = data(60, 100)
    given = problem(X, y)
    alphas = alpha_grid(given, 30, 1e-3)
    path = points_of(form, given, alphas)
    for k in (3, 15, 29):
        (alone,) = points_of(form, given, alphas[k : k + 1])
        # Both are exact; what is left is rounding times the condition of the active columns.
        np.testing.assert_allclose(dense(given, alone), dense(given, path[k]), atol=1e-9)


def test_all_forms_and_types_agree():
    X, y = data(80, 40)
    X[np.abs(X) < 1.0] = 0.0
    given = problem(X, y, scale=True)
    alphas = alpha_grid(given, 10, 1e-3)
    want = solve_path(given, alphas).coefs
    # float32 columns are other numbers: compare with them in float64.
    for other in (np.asfortranarray(X), scipy.sparse.csc_array(X), X[::-1][::-1]):
        np.testing.assert_allclose(
            solve_path(problem(other, y, scale=True), alphas).coefs, want, atol=1e-11
        )
    single = X.astype(np.float32)
    np.testing.assert_allclose(
        solve_path(problem(single, y, scale=True), alphas).coefs,
        solve_path(problem(single.astype(np.float64), y, scale=True), alphas).coefs,
        atol=1e-11,
    )


def test_integer_weights_are_repeated_rows():
    X, y = data(30, 50)
    counts = np.random.default_rng(3).integers(0, 4, 30)
    weighted = problem(X, y, weight=counts.astype(float), scale=True)
    repeated = problem(np.repeat(X, counts, axis=0), np.repeat(y, counts), scale=True)
    alphas = alpha_grid(repeated, 10, 1e-2)
    np.testing.assert_allclose(
        solve_path(weighted, alphas).coefs, solve_path(repeated, alphas).coefs, atol=1e-9
    )


def test_descent_takes_over(monkeypatch):
    X, y = data(60, 200)
    given = problem(X, y)
    alphas = alpha_grid(given, 10, 1e-1)
    want = solve_path(given, alphas, tol=1e-10)
    assert set(want.solvers) == {"homotopy"}
    monkeypatch.setattr(gaussian, "MAX_ACTIVE", 8)
    path = solve_path(given, alphas, tol=1e-10)
    assert path.solvers[0] == "homotopy" and path.solvers[-1].startswith("newton")
    assert path.outcome is PathOutcome.CONVERGED
    assert path.gaps.max() <= 1e-10
    losses = [p.loss + p.alpha * np.abs(p.coef).sum() for p in path.points]
    best = [p.loss + p.alpha * np.abs(p.coef).sum() for p in want.points]
    np.testing.assert_allclose(losses, best, rtol=0, atol=2e-10 * given.scale)


def test_bounds_and_penalties_without_convexity_go_to_descent():
    X, y = data(60, 20)
    inside = problem(X, y, lower=np.zeros(20))
    assert not gaussian.applies(inside)
    path = solve_path(inside, alpha_grid(inside, 5, 1e-2))
    assert path.coefs.min() >= 0 and path.outcome is PathOutcome.CONVERGED
    bent = problem(X, y, penalty=MCP(3.0))
    assert not gaussian.applies(bent)
    assert solve_path(bent, alpha_grid(bent, 5, 1e-1)).outcome is PathOutcome.NO_GAP


def test_one_row_and_nothing_to_explain():
    given = problem(np.array([[1.0, 2.0]]), np.array([3.0]))
    (point,) = solve_path(given, np.array([0.1])).points
    assert len(point.columns) == 0 and point.intercept == 3.0
    free = problem(np.array([[1.0, 2.0]]), np.array([3.0]), intercept=False)
    (point,) = solve_path(free, np.array([0.5])).points
    # Only the longer column enters: 2 (3 - 2 b) = 0.5.
    np.testing.assert_allclose(point.coef, [1.375], atol=1e-14)
    X, _ = data(20, 5)
    assert solve_path(problem(X, np.full(20, 1.5)), np.array([0.3, 0.0])).df.sum() == 0


def test_zero_penalty_is_least_squares():
    X, y = data(50, 6)
    given = problem(X, y)
    path = solve_path(given, np.array([0.1, 0.0]))
    want = np.linalg.lstsq(X - X.mean(axis=0), y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(path.coefs[:, -1], want, atol=1e-12)


def test_early_stop_and_summaries():
    X, y = data(40, 60)
    given = problem(X, y)
    path = solve_path(given, alpha_grid(given, 100, 1e-4), early_stop=True)
    assert path.outcome is PathOutcome.EARLY
    assert path.deviance_ratio[-1] > 0.999 or np.diff(path.deviance_ratio)[-1] < 1e-5
    assert path.df[0] == 0 and path.deviance_ratio[0] == 0.0
    residual = y - path.intercepts[-1] - columns_of(given) @ path.coefs[:, -1]
    ratio = 1 - (residual @ residual) / ((y - y.mean()) @ (y - y.mean()))
    assert path.deviance_ratio[-1] == pytest.approx(ratio, abs=1e-12)


def test_threads_do_not_change_bits():
    X, y = data(300, 500)
    before = _core.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            _core.set_num_threads(threads)
            given = problem(X, y)
            found.append(solve_path(given, alpha_grid(given, 20, 1e-2)).coefs)
    finally:
        _core.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])


def test_penalties_must_fall():
    given = problem(*data(20, 3))
    with pytest.raises(ValueError, match="falling"):
        solve_path(given, np.array([0.1, 0.2]))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"m": 4}, "m must be between 1"),
        ({"n_active": 9}, "n_active must be"),
        ({"alpha_to": -1.0}, "alpha must not be negative"),
        ({"gram": np.zeros((3, 2))}, "gram must have shape"),
    ],
)
def test_native_arguments_are_checked(change, match):
    arguments = {
        "gram": np.eye(3),
        "inverse": np.zeros((3, 3)),
        "state": np.zeros((5, 3)),
        "column": np.arange(3),
        "m": 3,
        "n_active": 0,
        "alpha_from": 1.0,
        "alpha_to": 0.5,
        "max_kinks": 10,
    } | change
    with pytest.raises(ValueError, match=match):
        _core.native.homotopy_path(_core.context(), **arguments)
