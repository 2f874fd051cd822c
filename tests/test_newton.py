"""Proximal Newton: reference cases, an independent solver, certificates, hostile problems."""

from __future__ import annotations

import numpy as np
import pytest
from lasso_cases import cases, problem_of
from reference.slow_penalised import SlowDesign, slow_violation, split_minimum
from scipy import sparse

from pyestim.data.design import Design
from pyestim.penalised.datafit import Gaussian
from pyestim.penalised.families import make_datafit
from pyestim.penalised.gap import kkt_violation
from pyestim.penalised.newton import newton_path
from pyestim.penalised.newton_gradients import is_long
from pyestim.penalised.newton_support import SupportNewton
from pyestim.penalised.penalty import MCP, SCAD, ElasticNet, GroupL1
from pyestim.penalised.problem import Problem, lambda_max

pytestmark = pytest.mark.once

REFERENCE = list(cases("logistic", "poisson", "multinomial", "cox"))


def dense(problem, point):
    outputs = problem.datafit.n_outputs
    beta = np.zeros((problem.design.p, outputs) if outputs > 1 else problem.design.p)
    beta[point.columns] = point.coef
    return beta


@pytest.mark.parametrize(("content", "case"), REFERENCE, ids=[case["id"] for _, case in REFERENCE])
def test_reference(content, case):
    problem, path = problem_of(content, case), case["expected"]["path"]
    # The objective's rounding is some 1e-16 of its size; a gap of 1e-13 is well above that.
    gap = 1e-13 * max(1.0, abs(path[0]["objective"]))
    alphas = [point["lambda"] for point in path]
    tolerance = content["tolerances"]["coef"]
    for point, expected in zip(newton_path(problem, alphas, gap, 1000), path, strict=True):
        assert point.gap <= gap
        beta = dense(problem, point)
        objective = problem.at(point.alpha).objective(beta, point.intercept)
        assert objective <= expected["objective"] + 1e-9 * abs(expected["objective"])
        assert objective == pytest.approx(expected["objective"], rel=1e-8)
        coef = np.array(expected["coef"])
        coef = coef.T if coef.ndim == 2 else coef
        scaled = problem.design.sd if coef.ndim == 1 else problem.design.sd[:, None]
        close = pytest.approx(coef * scaled, abs=tolerance["abs"], rel=tolerance["rel"])
        assert beta * scaled == close


# -- small problems against independent computations -----------------------------------------------

N, P = 50, 12
INF = np.full(P, np.inf)


def draw(family, rng, X):
    eta = X[:, :3] @ np.array([1.0, -1.0, 0.5])
    if family == "multinomial":
        return np.argmax(np.stack([eta, -eta, 0 * eta], 1) + rng.gumbel(size=(N, 3)), axis=1)
    if family in ("breslow", "efron"):
        time = np.ceil(4 * rng.exponential(size=N) * np.exp(-eta))
        return np.stack([time, rng.uniform(size=N) < 0.7], axis=1)
    return {
        "gaussian": lambda: eta + rng.normal(size=N),
        "binomial": lambda: (rng.logistic(size=N) < eta).astype(float),
        "poisson": lambda: rng.poisson(np.exp(0.5 * eta)),
        "gamma": lambda: np.exp(eta) * rng.gamma(2.0, size=N),
    }[family]()


def make(family, *, design=Design, X=None, weight=None, y=None, **options):
    rng = np.random.default_rng(7)
    drawn = rng.normal(size=(N, P))
    X = drawn if X is None else X
    weight = rng.uniform(0.5, 2.0, N) if weight is None else weight
    y = draw(family, rng, drawn) if y is None else y
    l1 = rng.uniform(0.5, 1.5, P)
    l1[list(options.get("free", ()))] = 0.0
    l1[list(options.get("excluded", ()))] = np.inf
    name, ties = ("cox", {"ties": family}) if family in ("breslow", "efron") else (family, {})
    datafit = make_datafit(name, y, weight, **ties)
    intercept = options.get("intercept", True) and name != "cox"
    shape = (N, datafit.n_outputs) if datafit.n_outputs > 1 else (N,)
    lower, upper = options.get("bounds", (None, None))
    return Problem(
        design(X, weight, centre=intercept),
        datafit,
        l1,
        options.get("l2", 0.0) * np.where(np.isfinite(l1), l1, 1.0),
        lower,
        upper,
        fit_intercept=intercept,
        offset=rng.normal(scale=0.3, size=shape) if options.get("offset") else None,
        penalty=options.get("penalty", ElasticNet()),
    )


FAMILIES = ("gaussian", "binomial", "poisson", "gamma", "multinomial", "breslow", "efron")
OPTIONS = {
    "plain": {},
    "no_intercept": {"intercept": False},
    "ridge": {"l2": 0.5},
    "free_columns": {"free": (1, 4)},
    "excluded": {"excluded": (0, 3)},
    "offset": {"offset": True},
    "nonnegative": {"bounds": (np.zeros(P), INF)},
    "box": {"bounds": (np.full(P, -0.2), np.full(P, 0.1))},
    "free_nonnegative": {"bounds": (np.zeros(P), INF), "free": (0, 1)},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("option", OPTIONS)
def test_path_is_optimal_by_independent_computations(family, option):
    problem = make(family, **OPTIONS[option])
    slow = make(family, design=SlowDesign, **OPTIONS[option])
    alphas = lambda_max(problem) * np.array([1.0, 0.3, 0.1])
    gap = 1e-11 * problem.scale
    for point in newton_path(problem, alphas, gap, 200):
        beta = dense(problem, point)
        assert 0.0 <= point.gap <= gap
        # The gap bounds h v^2 / 2 with curvatures h of about one over the number of columns.
        assert slow_violation(slow.at(point.alpha), beta, point.intercept) <= 1e-5
        objective = slow.at(point.alpha).objective(beta, point.intercept)
        assert objective <= split_minimum(slow.at(point.alpha))[0] + gap + 1e-15 * abs(objective)
        assert np.all((problem.weights.lower <= beta.T) & (problem.weights.upper >= beta.T))


@pytest.mark.parametrize("family", FAMILIES)
def test_largest_penalty_leaves_nothing(family):
    """Not even coefficients of the size of rounding."""
    problem = make(family)
    gap = 1e-7 * problem.scale
    point = next(newton_path(problem, np.array([lambda_max(problem)]), gap, 10))
    assert not len(point.columns) and point.gap <= gap


@pytest.mark.parametrize("family", FAMILIES)
def test_warm_and_cold_agree(family):
    problem = make(family)
    top = lambda_max(problem)
    gap = 1e-9 * problem.scale
    path = list(newton_path(problem, top * np.geomspace(1, 0.05, 8), gap, 200))
    cold = next(newton_path(problem, np.array([path[-1].alpha]), gap, 200))
    warm = next(newton_path(problem, np.array([path[-1].alpha]), gap, 200, warm=path[3]))
    objectives = [
        problem.at(p.alpha).objective(dense(problem, p), p.intercept)
        for p in (path[-1], cold, warm)
    ]
    assert np.ptp(objectives) <= gap


@pytest.mark.parametrize("penalty", [MCP(3.0), SCAD(3.7), MCP(1.5)], ids=repr)
@pytest.mark.parametrize("family", ["gaussian", "binomial", "poisson"])
def test_penalties_without_convexity_meet_their_conditions(penalty, family):
    problem = make(family, penalty=penalty)
    before = np.inf
    for alpha in lambda_max(problem) * np.array([0.5, 0.3]):
        point = next(newton_path(problem, np.array([alpha]), 1e-8, 500))
        beta = dense(problem, point)
        assert point.certificate == "kkt"
        assert kkt_violation(problem.at(alpha), beta, point.intercept) == pytest.approx(point.gap)
        assert (
            point.gap
            <= 1e-8 * np.abs(problem.design.dot(problem.datafit.gradient(problem.null.eta))).max()
        )
        assert point.loss < before + 1e-9  # two penalties may have the same unbiased solution
        before = point.loss


@pytest.mark.parametrize("option", ["plain", "ridge", "no_intercept"])
def test_groups_meet_their_conditions(option):
    problem = make("multinomial", penalty=GroupL1(), **OPTIONS[option])
    gap = 1e-11 * problem.scale
    for point in newton_path(problem, lambda_max(problem) * np.array([0.5, 0.1]), gap, 500):
        beta = dense(problem, point)
        assert point.gap <= gap
        assert 0 < len(point.columns) < P
        assert kkt_violation(problem.at(point.alpha), beta, point.intercept) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_weight_is_absence(family):
    weight = np.random.default_rng(0).integers(0, 3, N).astype(float)
    full, kept = make(family, weight=weight), weight > 0
    rng = np.random.default_rng(7)
    X = rng.normal(size=(N, P))
    y = full.datafit.y[kept]
    name, ties = ("cox", {"ties": family}) if family in ("breslow", "efron") else (family, {})
    part = Problem(
        Design(X[kept], weight[kept], centre=full.fit_intercept),
        make_datafit(name, y, weight[kept], **ties),
        *(full.l1, full.l2),
        fit_intercept=full.fit_intercept,
    )
    alpha = np.array([0.2 * lambda_max(full)])
    gap = 1e-12 * full.scale
    one, other = (next(newton_path(problem, alpha, gap, 200)) for problem in (full, part))
    assert lambda_max(part) == pytest.approx(lambda_max(full), rel=1e-9)
    assert one.loss == pytest.approx(other.loss, rel=1e-9)
    # Both are within sqrt(2 gap / h) of the optimum.
    assert dense(full, one) == pytest.approx(dense(part, other), abs=1e-5)


# -- hostile problems ------------------------------------------------------------------------------


def simple(x, y, family="binomial", **options):
    x = np.asarray(x, dtype=float)
    one = np.ones(x.shape[1])
    datafit = make_datafit(family, y)
    intercept = datafit.takes_intercept and options.pop("intercept", True)
    return Problem(
        Design(x, centre=intercept), datafit, one, 0 * one, fit_intercept=intercept, **options
    )


def test_separable_data_are_solved_with_a_penalty_and_refused_without():
    x = np.linspace(-1, 1, 20)[:, None]
    problem = simple(x, (x[:, 0] > 0).astype(float))
    top = lambda_max(problem)
    points = list(newton_path(problem, top * np.array([1e-2, 1e-4, 1e-6]), 1e-9, 500))
    assert all(point.gap <= 1e-9 for point in points)
    assert 1.0 - points[-1].loss / problem.scale > 0.999
    with pytest.raises(ValueError, match="separable"):
        list(newton_path(problem, np.array([top, 0.0]), 1e-9, 500))


def test_without_penalty_the_likelihood_is_maximised():
    problem = make("binomial")
    point = next(newton_path(problem, np.zeros(1), 1e-10, 100))
    assert kkt_violation(problem.at(0.0), dense(problem, point), point.intercept) <= 1e-7
    assert point.gap <= 1e-10


@pytest.mark.parametrize("family", ["binomial", "poisson", "gamma", "gaussian"])
def test_constant_and_duplicated_columns(family):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 1))
    X = np.hstack([x, np.ones((30, 1)), x, -x])
    y = {"binomial": x[:, 0] + rng.normal(size=30) > 0}.get(family, np.ceil(np.exp(x[:, 0])))
    problem = simple(X, np.asarray(y, dtype=float), family)
    alpha = np.array([0.1 * lambda_max(problem)])
    point = next(newton_path(problem, alpha, 1e-10, 500))
    alone = next(newton_path(simple(x, y, family), alpha, 1e-10, 500))
    assert point.gap <= 1e-10 and 1 not in point.columns
    assert point.loss == pytest.approx(alone.loss, rel=1e-5)


@pytest.mark.parametrize("family", ["gaussian", "poisson", "gamma"])
def test_one_row(family):
    problem = simple(np.array([[1.0, 2.0]]), [2.0], family)
    assert lambda_max(problem) == pytest.approx(0.0, abs=1e-12)
    point = next(newton_path(problem, np.array([0.1]), 1e-9, 100))
    assert point.columns.size == 0 and point.gap <= 1e-9


def test_one_row_at_risk():
    point = next(
        newton_path(simple(np.ones((1, 2)), [[1.0, 1.0]], "cox"), np.array([0.1]), 1e-9, 9)
    )
    assert point.columns.size == 0 and point.gap == 0.0


def test_one_class_without_intercept_has_a_solution():
    rng = np.random.default_rng(0)
    problem = simple(rng.normal(size=(20, 3)) + 1.0, np.ones(20), intercept=False)
    point = next(newton_path(problem, np.array([0.1 * lambda_max(problem)]), 1e-10, 100))
    assert point.gap <= 1e-10
    with pytest.raises(ValueError, match="both classes"):
        next(newton_path(simple(rng.normal(size=(20, 3)), np.ones(20)), np.ones(1), 1e-10, 100))


@pytest.mark.parametrize("family", ["binomial", "poisson", "gamma", "multinomial"])
def test_huge_offsets_do_not_break(family):
    problem = make(family, intercept=False)
    shape = problem.datafit.gradient(
        np.zeros((N, 3)) if family == "multinomial" else np.zeros(N)
    ).shape
    offset = 50.0 * np.random.default_rng(3).normal(size=shape)
    hard = Problem(
        *(problem.design, problem.datafit, problem.l1, problem.l2),
        fit_intercept=False,
        offset=offset,
    )
    point = next(newton_path(hard, np.array([0.5 * lambda_max(hard)]), 1e-6 * hard.scale, 500))
    assert np.isfinite(point.coef).all() and np.isfinite(point.gap)
    assert point.gap <= 1e-6 * hard.scale


@pytest.mark.parametrize("order", ["C", "F", "csc", "float32"])
def test_layouts_agree(order):
    X = np.random.default_rng(7).normal(size=(N, P))
    X[np.abs(X) < 0.5] = 0.0
    X = X.astype(np.float32).astype(np.float64)
    other = {
        "C": lambda: np.ascontiguousarray(X),
        "F": lambda: np.asfortranarray(X),
        "csc": lambda: sparse.csc_array(X),
        "float32": lambda: X.astype(np.float32),
    }[order]()
    problems = make("binomial", X=X), make("binomial", X=other)
    alpha = np.array([0.1 * lambda_max(problems[0])])
    one, two = (next(newton_path(problem, alpha, 1e-13, 200)) for problem in problems)
    assert one.loss == pytest.approx(two.loss, rel=1e-9)
    assert dense(problems[0], one) == pytest.approx(dense(problems[1], two), abs=1e-6)


def test_iterations_are_bounded_and_the_gap_says_so():
    problem = make("poisson")
    point = next(newton_path(problem, np.array([0.01 * lambda_max(problem)]), 1e-14, 1))
    assert point.n_iter == 1 and point.gap > 1e-14


def test_no_columns():
    problem = simple(np.ones((5, 0)), [0.0, 1.0, 1.0, 0.0, 1.0])
    point = next(newton_path(problem, np.array([0.1]), 1e-10, 10))
    assert point.gap <= 1e-10 and point.intercept == pytest.approx(np.log(1.5), rel=1e-9)


@pytest.mark.parametrize("option", ["intercept", "none", "bounds", "ridge"])
def test_factor_is_kept_renewed_and_extended_along_a_path(option, monkeypatch):
    rng = np.random.default_rng(11)
    n, p = 150, 300
    X = rng.normal(size=(n, p))
    X[:, 1:] += 0.7 * X[:, :-1]
    X[:, 7] = X[:, 5]  # in the span of the others
    y = (rng.logistic(size=n) < X[:, ::20] @ np.ones(15)).astype(float)
    intercept = option != "none"
    problem = Problem(
        Design(X, centre=intercept),
        make_datafit("binomial", y),
        np.ones(p),
        np.full(p, 0.2 if option == "ridge" else 0.0),
        *((np.zeros(p), np.full(p, 0.5)) if option == "bounds" else (None, None)),
        fit_intercept=intercept,
    )
    calls = {"renew": 0, "extend": 0}
    for name in calls:
        original = getattr(SupportNewton, name)

        def counted(self, *args, name=name, original=original):
            calls[name] += 1
            return original(self, *args)

        monkeypatch.setattr(SupportNewton, name, counted)
    alphas = lambda_max(problem) * np.geomspace(1, 0.03, 20)
    gap = 1e-9 * problem.scale
    slow = SlowDesign(X, centre=intercept)
    for point in newton_path(problem, alphas, gap, 100):
        assert point.gap <= gap
        w = problem.at(point.alpha).weights
        beta = dense(problem, point)
        eta = slow.columns @ beta + point.intercept
        mean = 1 / (1 + np.exp(-eta))
        slope = slow.columns.T @ (mean - y) / n + w.l2 * beta
        free = (beta != 0) & (beta < w.upper)
        # Conditions from scratch; a gap of 1e-9 leaves sqrt(2 h gap) with curvatures below one.
        assert np.abs(slope + w.l1 * np.sign(beta))[free].max(initial=0.0) <= 5e-5
        assert np.abs(slope)[(beta == 0) & (w.lower < 0)].max(initial=0.0) <= point.alpha + 5e-5
    assert calls["renew"] >= 1 and calls["extend"] >= 1


@pytest.mark.parametrize(("intercept", "bound"), [(True, np.inf), (False, 0.2)])
def test_long_supports_of_sparse_columns(intercept, bound):
    rng = np.random.default_rng(4)
    X = sparse.csc_array(np.where(rng.random((200, 600)) < 0.01, rng.normal(size=(200, 600)), 0))
    y = X @ rng.normal(size=600) + 0.1 * rng.normal(size=200) + intercept
    design, one = Design(X, centre=intercept), np.ones(600)
    bounds = {"lower": -bound * one, "upper": bound * one}
    given = Problem(design, Gaussian(y), one, 0 * one, fit_intercept=intercept, **bounds)
    alphas = lambda_max(given) * np.geomspace(0.3, 0.01, 6)
    for point in newton_path(given, alphas, 1e-9 * given.scale, 1000):
        assert point.gap <= 1e-9 * given.scale
        beta = np.zeros(600)
        beta[point.columns] = point.coef
        assert np.all(np.abs(beta) <= bound)
        there = given.at(point.alpha)
        assert kkt_violation(there, beta, np.array([point.intercept])) <= 1e-3 * point.alpha
    assert is_long(design, len(point.columns))
