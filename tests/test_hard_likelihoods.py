"""Likelihoods at their limits: no maximum, heavy ties, hardly a penalty, penalties with hills."""

from __future__ import annotations

import numpy as np
import pytest
from reference.slow_penalised import SlowDesign, slow_violation

from pyestim.data.design import Design
from pyestim.penalised.families import make_datafit
from pyestim.penalised.gap import kkt_violation
from pyestim.penalised.newton import newton_path
from pyestim.penalised.null import NoMaximum, fit_null, solve_symmetric
from pyestim.penalised.path import alpha_grid, solve_path
from pyestim.penalised.penalty import SCAD
from pyestim.penalised.point import PathOutcome
from pyestim.penalised.problem import Problem, lambda_max

pytestmark = pytest.mark.once

N = 30


def problem_of(X, family, y, charge=1.0, design=Design, weight=None, **options):
    ties = {"ties": options.pop("ties")} if "ties" in options else {}
    datafit, p = make_datafit(family, y, weight, **ties), X.shape[1]
    intercept = datafit.takes_intercept
    return Problem(
        design(X, weight, centre=True),
        datafit,
        np.full(p, charge),
        np.zeros(p),
        fit_intercept=intercept,
        **options,
    )


def without_maximum():
    """Problems whose unpenalised likelihood has none: separated, partly, or by too many columns."""
    rng = np.random.default_rng(0)
    x, wide = rng.normal(size=(N, 2)), rng.normal(size=(N, 2 * N))
    far = x[:, 0] > 0.8
    time = np.sort(rng.exponential(size=N))
    marked = np.column_stack([far, rng.normal(size=N)])
    lone = np.column_stack([time, (rng.uniform(size=N) < 0.7) & ~far])
    counts = rng.poisson(1.0, N)
    return {
        "binomial": (x, "binomial", (x[:, 0] > 0) * 1.0),
        "binomial, partly": (marked, "binomial", np.where(far, 1.0, rng.integers(0, 2, N))),
        "multinomial": (x, "multinomial", np.digitize(x[:, 0], [-0.3, 0.3])),
        "multinomial, one class": (x, "multinomial", np.where(far, 2, rng.integers(0, 2, N))),
        "multinomial, wide": (wide, "multinomial", rng.integers(0, 3, N)),
        "poisson": (marked, "poisson", np.where(far, 0, 1 + counts)),
        "poisson, wide": (wide, "poisson", counts),
        "cox": (-time[:, None], "cox", np.column_stack([time, np.ones(N)])),
        "cox, partly": (marked, "cox", lone),
        "cox, wide": (wide, "cox", lone),
    }


@pytest.mark.parametrize("name", without_maximum())
def test_without_a_maximum_a_path_keeps_what_it_has(name):
    X, family, y = without_maximum()[name]
    with pytest.raises(NoMaximum, match="has no maximum"):
        fit_null(problem_of(X, family, y, 0.0))
    problem = problem_of(X, family, y)
    path = solve_path(problem, np.append(alpha_grid(problem, 3, 0.2), 0.0))
    assert path.outcome is PathOutcome.NO_MAXIMUM
    assert len(path.points) == 3 and path.gaps.max() <= 1e-6
    with pytest.raises(NoMaximum):
        solve_path(problem, np.zeros(1))


@pytest.mark.parametrize("family", ["gaussian", "gamma", "binomial", "poisson", "multinomial"])
def test_far_predictors_alone_do_not_mean_that_there_is_no_maximum(family):
    rng = np.random.default_rng(1)
    x = np.column_stack([np.repeat([0.0, 1.0], N), rng.normal(size=2 * N)])
    # One row in 2 N against the others; means twenty and more logarithms apart.
    rare = np.where(np.arange(2 * N) % N == 0, 1 - x[:, 0], x[:, 0])
    y = {
        "gaussian": 1e6 * x[:, 0],
        "gamma": np.exp(22 * x[:, 0]) * rng.gamma(2.0, size=2 * N),
        "poisson": np.floor(np.exp(22 * x[:, 0])) + 1,
        "multinomial": rare.astype(int),
    }.get(family, rare)
    problem = problem_of(x, family, y, 0.0)
    null = fit_null(problem)
    slope = np.abs(problem.design.dot(problem.datafit.gradient(null.eta))).max()
    assert slope <= 1e-7 * max(1.0, abs(null.value))


def test_unpenalised_columns_of_any_scale_and_number():
    rng = np.random.default_rng(2)
    A = rng.normal(size=(80, 12)) * 10.0 ** rng.uniform(-8, 8, 12)
    matrix, solution = A.T @ A, rng.normal(size=12) / np.linalg.norm(A, axis=0)
    assert solve_symmetric(matrix, matrix @ solution) == pytest.approx(solution, rel=1e-9)
    twice = np.hstack([A, A[:, :5]])
    again = solve_symmetric(twice.T @ twice, twice.T @ (A @ solution))
    fit = A @ solution
    assert np.abs(twice @ again - fit).max() <= 1e-6 * np.abs(fit).max()


@pytest.mark.parametrize("ties", ["breslow", "efron"])
@pytest.mark.parametrize("shape", [(120, 8), (60, 150)])
def test_cox_is_certified_with_heavy_ties_and_weights(ties, shape):
    rng = np.random.default_rng(3)
    X = rng.normal(size=shape)
    eta = X[:, :3] @ np.array([1.0, -1.0, 0.5])
    time = np.ceil(2 * rng.exponential(size=shape[0]) * np.exp(-eta)).clip(max=4)
    y = np.column_stack([time, rng.uniform(size=shape[0]) < 0.8])
    weight = np.exp(2 * rng.normal(size=shape[0]))
    problem = problem_of(X, "cox", y, weight=weight, ties=ties)
    path = solve_path(problem, alpha_grid(problem, 5, 0.03), tol=1e-9, max_iter=60)
    assert path.outcome is PathOutcome.CONVERGED and path.gaps.max() <= 1e-9
    slow = problem_of(X, "cox", y, weight=weight, ties=ties, design=SlowDesign)
    last = path.points[-1]
    assert slow_violation(slow.at(last.alpha), path.coefs[:, -1], 0.0) <= 1e-2 * last.alpha


@pytest.mark.parametrize("solver", ["auto", "cd"])
@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("share", [1e-15, 1e-17, 1e-100, 0.0])
def test_next_to_no_penalty_is_least_squares(solver, ridge, share):
    rng = np.random.default_rng(4)
    X = rng.normal(size=(60, 6))
    y = 3 * X[:, 0] + rng.normal(size=60)
    datafit = make_datafit("gaussian", y)
    problem = Problem(Design(X), datafit, np.ones(6), np.full(6, ridge))
    path = solve_path(problem, np.array([share * lambda_max(problem)]), tol=1e-9, solver=solver)
    assert path.outcome is PathOutcome.CONVERGED and path.gaps[0] <= 1e-9
    basis = np.column_stack([np.ones(60), X])
    assert path.coefs[:, 0] == pytest.approx(np.linalg.lstsq(basis, y)[0][1:], rel=1e-8)


def test_penalties_with_hills_are_crossed_or_descended():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 200))
    y = np.argmax(1.5 * X[:, :4] + rng.gumbel(size=(100, 4)), axis=1)
    problem = problem_of(X, "multinomial", y, penalty=SCAD(3.7))
    largest, before = lambda_max(problem), np.inf
    for point in newton_path(problem, largest * np.array([0.8]), 1e-7, 200):
        beta = np.zeros((200, 4))
        beta[point.columns] = point.coef
        at = problem.at(point.alpha)
        assert kkt_violation(at, beta, point.intercept) <= 1e-7 * largest
        assert at.objective(beta, point.intercept) < before
        before = at.objective(beta, point.intercept)


def test_slopes_count_in_units_of_the_largest():
    rng = np.random.default_rng(5)
    X = 1e4 * rng.normal(size=(60, 5))
    y = (rng.logistic(size=60) < 1e-4 * X[:, 0]).astype(float)
    problem = problem_of(X, "binomial", y, penalty=SCAD(3.7))
    path = solve_path(problem, alpha_grid(problem, 4, 0.1), tol=1e-6)
    assert path.outcome is PathOutcome.NO_GAP


@pytest.mark.parametrize("size", [1e-12, 3.3, 1e6])
@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
def test_constant_responses_leave_nothing_to_explain(family, size):
    X = np.random.default_rng(8).normal(size=(N, 5))
    problem = problem_of(X, family, np.full(N, size))
    assert alpha_grid(problem).tolist() == [0.0]
    path = solve_path(problem, np.array([1.0, 0.0]))
    assert path.outcome is PathOutcome.CONVERGED and not path.df.any()
