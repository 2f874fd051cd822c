"""Problem, penalty, duality gap, null model: against slow and independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from reference.slow_penalised import SlowDesign, split_minimum

from pyestim import _core
from pyestim.data.design import Design
from pyestim.penalised.datafit import Binomial, Gamma, Gaussian, Poisson
from pyestim.penalised.families import make_datafit
from pyestim.penalised.gap import certify, duality_gap, evaluate, kkt_violation
from pyestim.penalised.newton import newton_path
from pyestim.penalised.penalty import L1, MCP, SCAD, AdaptiveL1, ElasticNet, GroupL1, Weights
from pyestim.penalised.problem import Problem, lambda_max
from pyestim.penalised.screening import Pulls

pytestmark = pytest.mark.once

N, P = 60, 8
FAMILIES = {
    "gaussian": (Gaussian, lambda eta, rng: eta + rng.normal(size=N)),
    "binomial": (Binomial, lambda eta, rng: (rng.logistic(size=N) < eta).astype(float)),
    "poisson": (Poisson, lambda eta, rng: rng.poisson(np.exp(0.5 * eta))),
    "gamma": (Gamma, lambda eta, rng: np.exp(eta) * rng.gamma(2.0, size=N)),
}
INF = np.full(P, np.inf)


def make(family, *, l2=0.0, free=(), excluded=(), intercept=True, bounds=None, offset=False):
    rng = np.random.default_rng(5)
    X = rng.normal(size=(N, P))
    datafit, draw = FAMILIES[family]
    weight = rng.uniform(0.5, 2.0, N)
    y = draw(X[:, :3] @ np.array([1.0, -1.0, 0.5]), rng)
    l1 = rng.uniform(0.5, 1.5, P)
    l1[list(free)] = 0.0
    l1[list(excluded)] = np.inf
    l2 = l2 * np.where(np.isfinite(l1), l1, 1.0)
    lower, upper = (None, None) if bounds is None else bounds
    return Problem(
        SlowDesign(X, weight, centre=intercept),
        datafit(y, weight),
        l1,
        l2,
        lower,
        upper,
        fit_intercept=intercept,
        offset=rng.normal(scale=0.3, size=N) if offset else None,
    )


OPTIONS = {
    "plain": {},
    "no_intercept": {"intercept": False},
    "ridge": {"l2": 0.5},
    "free_columns": {"free": (1, 4)},
    "excluded": {"excluded": (0,)},
    "offset": {"offset": True},
    "nonnegative": {"bounds": (np.zeros(P), INF)},
    "box": {"bounds": (np.full(P, -0.2), np.full(P, 0.1))},
    "free_nonnegative": {"bounds": (np.zeros(P), INF), "free": (0, 1)},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("option", OPTIONS)
def test_gap_bounds_the_suboptimality_and_vanishes_at_the_optimum(family, option):
    problem = make(family, **OPTIONS[option])
    problem = problem.at(0.3 * lambda_max(problem))
    least, beta, intercept = split_minimum(problem)
    rng = np.random.default_rng(0)
    w = problem.weights
    for size in (1.0, 0.1, 1e-2, 1e-3):
        near = np.clip(beta + size * rng.normal(size=P), w.lower, w.upper)
        found = certify(problem, evaluate(problem, near, intercept + size))
        assert found.gap >= found.objective - least - 1e-12
    # The slow solver stops at a gradient of 1e-8 or so; the gap is at least linear in it.
    assert duality_gap(problem, beta, intercept) <= 1e-5 * problem.scale
    assert certify(problem, evaluate(problem, beta, intercept)).kind == "gap"
    assert kkt_violation(problem, beta, intercept) <= 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("option", OPTIONS)
def test_lambda_max_is_where_the_first_coefficient_enters(family, option):
    problem = make(family, **OPTIONS[option])
    null, top = problem.null, lambda_max(problem)
    beta = np.zeros(P)
    beta[null.columns] = null.beta[:, 0]
    # Newton steps end where the gradient is below the square root of the rounding of the loss.
    assert kkt_violation(problem.at(top), beta, null.intercept) <= 1e-7
    assert kkt_violation(problem.at(0.9 * top), beta, null.intercept) > 1e-3
    assert duality_gap(problem.at(top), beta, null.intercept) <= 1e-12 * max(1, abs(null.value))


def test_excluded_columns_count_nowhere():
    problem = make("binomial", excluded=(0, 3))
    fewer = make("binomial")
    keep = [j for j in range(P) if j not in (0, 3)]
    design = SlowDesign(fewer.design.columns[:, keep], fewer.datafit.weight)
    smaller = Problem(design, fewer.datafit, fewer.l1[keep], fewer.l2[keep])
    assert lambda_max(problem) == pytest.approx(lambda_max(smaller), rel=1e-14)


def test_a_separable_unpenalised_model_has_no_maximum():
    x = np.linspace(-1, 1, 20)[:, None]
    problem = Problem(
        SlowDesign(x), Binomial((x[:, 0] > 0).astype(float)), np.zeros(1), np.zeros(1)
    )
    with pytest.raises(ValueError, match="separable"):
        problem.null  # noqa: B018


def test_duplicated_unpenalised_columns_are_fitted():
    x = np.random.default_rng(0).normal(size=(30, 1))
    y = (np.random.default_rng(1).normal(size=30) > x[:, 0]).astype(float)
    one = Problem(SlowDesign(x), Binomial(y), np.zeros(1), np.zeros(1))
    two = Problem(SlowDesign(np.hstack([x, x])), Binomial(y), np.zeros(2), np.zeros(2))
    assert two.null.value == pytest.approx(one.null.value, rel=1e-14)


def test_impossible_problems_are_refused():
    design, datafit, one = SlowDesign(np.ones((3, 1))), Gaussian(np.arange(3.0)), np.ones(1)
    with pytest.raises(ValueError, match="shape"):
        Problem(design, datafit, np.ones(2), one)
    with pytest.raises(ValueError, match="negative penalty"):
        Problem(design, datafit, -one, one)
    with pytest.raises(ValueError, match="contain zero"):
        Problem(design, datafit, one, one, lower=one)
    with pytest.raises(ValueError, match="both classes"):
        Problem(design, Binomial(np.ones(3)), one, one).null  # noqa: B018


@pytest.mark.parametrize("outputs", [1, 3])
def test_pulls_that_are_not_evaluated_stay_within_their_errors(outputs):
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(N, P)), rng.dirichlet(np.ones(N))
    weight[:5] = 0.0
    norm = np.sqrt(weight @ (X * X))

    def pulled(theta):
        return np.abs(X.T @ theta).max(axis=1)

    theta = weight[:, None] * rng.normal(size=(N, outputs))
    pulls = Pulls(weight, norm, theta, pulled(theta))
    for size in (0.0, 1e-3, 0.1, 0.1, 2.0):
        theta = 0.8 * theta + size * weight[:, None] * rng.normal(size=theta.shape)
        pulls.move(theta)
        off = np.abs(pulls.value - pulled(theta))
        assert np.all(off <= pulls.error + 1e-15) and np.all(pulls.error <= 10 * size + 1e-6)
        pulls.take(np.array([2]), pulled(theta)[2:3])
        assert pulls.value[2] == pulled(theta)[2] and pulls.error[2] == 0.0


# -- penalties -------------------------------------------------------------------------------------

PENALTIES = [L1(), ElasticNet(), AdaptiveL1(), MCP(), MCP(1.2), SCAD(), SCAD(2.2)]


def some_weights(rng, p, penalty):
    l2 = np.zeros(p) if isinstance(penalty, L1) else rng.uniform(0, 1, p)
    lower = np.where(rng.uniform(size=p) < 0.3, -rng.uniform(0, 1, p), -np.inf)
    upper = np.where(rng.uniform(size=p) < 0.3, rng.uniform(0, 1, p), np.inf)
    return Weights(rng.uniform(0, 2, p), l2, lower, upper)


def native_prox(penalty, z, h, w):
    """Minimum of each coefficient (p,), or row (p, K), as the kernels find it."""
    rows = z if z.ndim == 2 else z[:, None]
    out, value = np.empty_like(rows), np.empty(len(z))
    given = (h, rows, w.l1, w.l2, w.lower, w.upper, out, value)
    _core.native.penalty_prox(_core.context(), penalty.code, penalty.parameter, *given)
    return out.reshape(z.shape)


@pytest.mark.parametrize("penalty", PENALTIES, ids=repr)
def test_prox_is_the_minimum_on_a_fine_grid(penalty):
    rng = np.random.default_rng(0)
    p = 60
    w, z, h = some_weights(rng, p, penalty), rng.normal(scale=3, size=p), rng.uniform(0.2, 3, p)
    found = native_prox(penalty, z, h, w)
    assert np.all((found >= w.lower) & (found <= w.upper))

    single = [w.of(slice(j, j + 1)) for j in range(p)]

    def terms(b):
        values = [penalty.value(b[j : j + 1], single[j]) for j in range(p)]
        return 0.5 * h * b * b - z * b + np.array(values)

    best = terms(found)
    for b in np.linspace(-20, 20, 201):
        at = np.clip(np.full(p, b), w.lower, w.upper)
        assert np.all(best <= terms(at) + 1e-12)
    # First-order conditions hold at a minimum, whatever the penalty.
    assert np.all(penalty.distance(h * found - z, found, w) <= 1e-12 * (1 + np.abs(z)))


def test_group_prox_is_stationary():
    rng = np.random.default_rng(0)
    p, K = 50, 3
    w = Weights(rng.uniform(0, 4, p), rng.uniform(0, 1, p), -np.full(p, np.inf), np.full(p, np.inf))
    z, h = rng.normal(scale=2, size=(p, K)), rng.uniform(0.2, 3, p)
    found = native_prox(GroupL1(), z, h, w)
    assert 0 < np.sum(found.any(axis=1)) < p
    gradient = h[:, None] * found - z
    assert np.all(GroupL1().distance(gradient, found, w) <= 1e-14 * (1 + np.abs(z).max()))


def test_adaptive_weights_exclude_what_the_first_estimate_dropped():
    weights = AdaptiveL1(power=2.0).adapted(np.ones(3), np.array([2.0, 0.0, -0.5]))
    assert np.array_equal(weights, [0.25, np.inf, 4.0])


# -- bounds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "seed"), [("poisson", 3), ("gamma", 3), ("gamma", 8)])
def test_coefficients_leave_their_bounds_again(family, seed):
    """On these paths some rest on a bound at one penalty and inside at the next."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(40, 20))
    mean, one = np.exp(X[:, 0] - X[:, 1]), np.ones(20)
    y = rng.poisson(mean) if family == "poisson" else mean * rng.gamma(2.0, size=40)
    datafit = make_datafit(family, y.astype(float))
    problem = Problem(Design(X), datafit, one, 0 * one, -0.2 * one, 0.3 * one)
    alphas = lambda_max(problem) * np.geomspace(1, 0.05, 8)
    gap = 1e-10 * problem.scale
    assert all(point.gap <= gap for point in newton_path(problem, alphas, gap, 100))


def test_unpenalised_columns_may_all_rest_on_their_bounds():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 2))
    datafit = make_datafit("poisson", rng.poisson(np.exp(-2 * x[:, 0])).astype(float))
    l1 = np.array([0.0, 1.0])
    problem = Problem(Design(x, centre=False), datafit, l1, 0 * l1, 0 * l1, fit_intercept=False)
    point = next(newton_path(problem, np.array([lambda_max(problem)]), 1e-9, 50))
    assert 0 not in point.columns and point.gap <= 1e-9
