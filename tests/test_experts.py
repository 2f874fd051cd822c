"""Mixtures of experts against slow formulas, single regressions, recorded standard errors."""

from __future__ import annotations

import warnings
from copy import deepcopy
from functools import cache

import numpy as np
import pytest
from expert_problems import RECORDED, recorded
from scipy import stats
from scipy.special import expit, logsumexp, softmax
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor

from pyestim import MixtureOfExpertsClassifier, MixtureOfExpertsRegressor

pytestmark = pytest.mark.once

CASES = ("gaussian", "outputs", "poisson", "binomial", "trials", "labels", "classes")


class Problem:
    """Rows drawn from two experts, and a mixture for them."""

    def __init__(self, case, n=200, gate="softmax", seed=0):
        rng = np.random.RandomState(seed)
        self.X = rng.uniform(-2, 2, size=(n, 2))
        self.Z = rng.normal(size=(n, 1))
        chance = expit(2 * self.Z[:, 0]) if gate == "softmax" else np.full(n, 0.6)
        sign = np.where(rng.uniform(size=n) < chance, 1.0, -1.0)
        eta = 0.3 + sign * (0.5 + 1.2 * self.X[:, 0]) - 0.4 * self.X[:, 1]
        noise = rng.normal(size=(n, 2)) @ np.array([[0.3, 0.1], [0.0, 0.4]])
        binary = rng.uniform(size=n) < expit(3 * eta)
        successes = rng.binomial(8, expit(eta))
        self.y = {
            "gaussian": eta + noise[:, 0],
            "outputs": np.column_stack([eta, 1 - eta]) + noise,
            "poisson": rng.poisson(np.exp(eta)).astype(float),
            "binomial": binary.astype(float),
            "trials": np.column_stack([successes, 8 - successes]).astype(float),
            "labels": np.where(binary, "yes", "no"),
            "classes": np.digitize(eta + rng.logistic(size=n), [-1, 1]),
        }[case]
        family = {"outputs": "gaussian", "trials": "binomial"}.get(case, case)
        options = {"gate": gate, "random_state": 0, "n_init": 2}
        if case in ("labels", "classes"):
            self.model = MixtureOfExpertsClassifier(2, expert_l2=1e-3, **options)
        else:
            self.model = MixtureOfExpertsRegressor(2, family=family, **options)
        self.gate = {"Z": self.Z} if gate == "softmax" else {}


@cache
def fitted_problem(case, gate="softmax"):
    """A problem whose mixture is fitted; not to be fitted again in place."""
    problem = Problem(case, gate=gate)
    problem.model.fit(problem.X, problem.y, **problem.gate)
    return problem


def slow_gate(model, Z):
    return softmax(model.gate_intercept_ + Z @ model.gate_coef_.T, axis=1)


def slow_log_density(case, model, X, y):
    """Log-density of every response under every expert: (n, k)."""
    eta = model.expert_intercept_ + np.einsum("np,k...p->nk...", X, model.expert_coef_)
    if case == "gaussian":
        return stats.norm.logpdf(y[:, None], eta, model.expert_scale_)
    if case == "outputs":
        covariances = model.expert_covariance_
        each = [
            stats.multivariate_normal.logpdf(y - eta[:, k], cov=covariances[k])
            for k in range(len(covariances))
        ]
        return np.column_stack(each)
    if case == "poisson":
        return stats.poisson.logpmf(y[:, None], np.exp(eta))
    if case == "binomial":
        return stats.bernoulli.logpmf(y[:, None], expit(eta))
    if case == "trials":
        return stats.binom.logpmf(y[:, :1], y.sum(axis=1)[:, None], expit(eta))
    if case == "labels":
        return stats.bernoulli.logpmf((y == "yes")[:, None], expit(eta))
    return np.log(softmax(eta, axis=2))[np.arange(len(y)), :, y]


@pytest.mark.parametrize("gate", ["softmax", "constant"])
@pytest.mark.parametrize("case", CASES)
def test_rows_against_formulas(case, gate):
    problem = fitted_problem(case, gate)
    X, y, model = problem.X, problem.y, problem.model
    Z = problem.Z if gate == "softmax" else np.zeros((len(X), 0))
    pi, each = slow_gate(model, Z), slow_log_density(case, model, X, y)
    joint = np.log(pi) + each
    log_p = logsumexp(joint, axis=1)
    resp = np.exp(joint - log_p[:, None])
    close = {"rtol": 1e-9, "atol": 1e-11}
    np.testing.assert_allclose(model.gate_proba(X, **problem.gate), pi, **close)
    np.testing.assert_allclose(model.responsibilities(X, y, **problem.gate), resp, **close)
    np.testing.assert_allclose(model.score_samples(X, y, **problem.gate), log_p, **close)
    mean = model.predict_expert(X, **problem.gate)
    whole = np.einsum("nk,nk...->n...", pi, mean)
    predict = getattr(model, "predict_proba", model.predict)
    np.testing.assert_allclose(predict(X, **problem.gate), whole, **close)
    np.testing.assert_allclose(model.weights_, resp.mean(axis=0), rtol=1e-4)

    m, n = model.n_parameters_, len(X)
    p, k = 2, 2
    per_expert = {"gaussian": p + 2, "outputs": 2 * (p + 1) + 3, "classes": 2 * (p + 1)}
    assert m == k * per_expert.get(case, p + 1) + (k - 1) * (1 + Z.shape[1])
    total = log_p.sum()
    entropy = -np.sum(resp * np.log(np.maximum(resp, 1e-300)))
    assert model.log_likelihood(X, y, **problem.gate) == pytest.approx(total, rel=1e-9)
    assert model.aic(X, y, **problem.gate) == pytest.approx(-2 * total + 2 * m, rel=1e-9)
    bic = -2 * total + m * np.log(n)
    assert model.bic(X, y, **problem.gate) == pytest.approx(bic, rel=1e-9)
    assert model.icl(X, y, **problem.gate) == pytest.approx(bic + 2 * entropy, rel=1e-9)
    if case not in ("labels", "classes"):  # those are penalised
        assert model.lower_bound_ * n == pytest.approx(total, abs=1e-3)


@pytest.mark.parametrize("case", CASES)
def test_scores_without_responses_are_those_of_predictions(case):
    problem = fitted_problem(case)
    model = problem.model
    y = model.predict(problem.X, problem.Z)
    if case in ("binomial", "trials"):
        assert model.score(problem.X, problem.y, Z=problem.Z) > 0.1
        y = (y >= 0.5).astype(float)
    np.testing.assert_array_equal(
        model.score_samples(problem.X, Z=problem.Z), model.score_samples(problem.X, y, problem.Z)
    )


@pytest.mark.parametrize("case", CASES)
def test_weights_are_repeated_rows(case):
    problem = Problem(case)
    X, y, Z = problem.X, problem.y, problem.Z
    rng = np.random.RandomState(5)
    weight = rng.randint(0, 4, len(X)).astype(float)
    rows = rng.permutation(np.repeat(np.arange(len(X)), weight.astype(int)))
    model = problem.model.set_params(tol=1e-12, max_iter=3000, n_init=1)
    with warnings.catch_warnings(action="ignore"):
        one = clone(model).fit(X, y, Z, sample_weight=weight)
        two = clone(model).fit(X[rows], y[rows], Z[rows])
    # The gain that is left, 1e-12, is quadratic in the error of the parameters.
    for name in ("gate_intercept_", "gate_coef_", "expert_intercept_", "expert_coef_", "weights_"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-4, atol=2e-5)
    for name in ("log_likelihood", "aic", "bic", "icl"):
        value = getattr(one, name)(X, y, Z, sample_weight=weight)
        assert value == pytest.approx(getattr(two, name)(X[rows], y[rows], Z[rows]), rel=1e-6)


def test_absent_rows_may_hold_anything_finite():
    problem = Problem("gaussian")
    X, y, Z = problem.X.copy(), problem.y.copy(), problem.Z.copy()
    weight = np.ones(len(X))
    weight[::5] = 0.0
    X[::5], y[::5], Z[::5] = 1e200, -1e200, 1e200
    one = clone(problem.model).fit(X, y, Z, sample_weight=weight)
    kept = weight > 0
    two = clone(problem.model).fit(X[kept], y[kept], Z[kept])
    np.testing.assert_allclose(one.expert_coef_, two.expert_coef_, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_float32_rows(case):
    problem = Problem(case)
    narrow = [problem.X.astype(np.float32), problem.Z.astype(np.float32)]
    wide = [part.astype(float) for part in narrow]
    y = problem.y.astype(np.float32) if case in ("gaussian", "outputs") else problem.y
    same = y.astype(float) if case in ("gaussian", "outputs") else y
    model = problem.model.set_params(n_init=1)
    one = clone(model).fit(narrow[0], y, narrow[1])
    two = clone(model).fit(wide[0], same, wide[1])
    assert one.expert_coef_.dtype == np.float64
    # Single rows in single precision; stops may differ by a step, of 1e-6 nats.
    np.testing.assert_allclose(one.expert_coef_, two.expert_coef_, rtol=2e-2, atol=1e-2)
    assert one.lower_bound_ == pytest.approx(two.lower_bound_, abs=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_one_expert_is_a_single_regression(case):
    problem = Problem(case)
    X, y = problem.X, problem.y
    model = problem.model.set_params(n_experts=1, tol=1e-12)
    if case in ("labels", "classes"):  # the ridge is that of columns of standard deviation one
        X = (X - X.mean(axis=0)) / X.std(axis=0)
        model.set_params(expert_l2=1e-2)
    model.fit(X, y)
    mean = model.predict_expert(X)[:, 0]
    if case in ("gaussian", "outputs"):
        expected = LinearRegression().fit(X, y)
        np.testing.assert_allclose(mean, expected.predict(X), rtol=1e-9, atol=1e-9)
        gap = y - expected.predict(X)
        np.testing.assert_allclose(model.expert_scale_[0], gap.std(axis=0), rtol=1e-9)
    elif case == "poisson":
        expected = PoissonRegressor(alpha=0, tol=1e-10, max_iter=1000).fit(X, y).predict(X)
        np.testing.assert_allclose(mean, expected, rtol=1e-6)
    elif case in ("labels", "classes"):
        if case == "classes":  # scikit-learn penalises all classes, not differences to the last
            residual = (y[:, None] == model.classes_) - mean
            slope = X.T @ residual[:, :-1] / len(X)
            ridge = 1e-2 * X.var(axis=0)[:, None]
            np.testing.assert_allclose(slope, ridge * model.expert_coef_[0, :-1].T, atol=1e-6)
            return
        X = X / X.std(axis=0)
        glm = LogisticRegression(C=1 / (1e-2 * len(X)), tol=1e-10, max_iter=1000).fit(X, y)
        np.testing.assert_allclose(mean, glm.predict_proba(X), rtol=1e-5)
    else:
        successes = y if y.ndim == 1 else y[:, 0]
        failures = 1 - y if y.ndim == 1 else y[:, 1]
        design = np.column_stack([np.ones(len(X)), X])
        # At the maximum the score is zero.
        residual = successes - (successes + failures) * mean
        np.testing.assert_allclose(design.T @ residual, 0.0, atol=1e-5)


def test_groups_share_one_expert():
    rng = np.random.RandomState(3)
    n_groups, size = 60, 5
    code = rng.permutation(np.repeat(np.arange(n_groups), size))
    Z = rng.normal(size=(n_groups, 1))
    label = (rng.uniform(size=n_groups) < expit(2 * Z[:, 0])).astype(int)
    X = rng.uniform(-1, 1, size=(len(code), 1))
    slope = np.array([-1.0, 1.0])[label[code]]
    y = slope * X[:, 0] + 0.7 * rng.normal(size=len(code))
    names = np.array([f"g{i:02d}" for i in range(n_groups)])
    model = MixtureOfExpertsRegressor(2, random_state=0).fit(X, y, Z[code], groups=names[code])
    pi = slow_gate(model, Z)
    each = slow_log_density("gaussian", model, X, y)
    joint = np.log(pi)
    for k in range(2):
        joint[:, k] += np.bincount(code, each[:, k])
    log_p = logsumexp(joint, axis=1)
    resp = np.exp(joint - log_p[:, None])
    data = {"X": X, "y": y, "Z": Z[code], "groups": names[code]}
    np.testing.assert_allclose(model.responsibilities(**data), resp[code], rtol=1e-8, atol=1e-10)
    assert model.log_likelihood(**data) == pytest.approx(log_p.sum(), rel=1e-9)
    bic = -2 * log_p.sum() + model.n_parameters_ * np.log(n_groups)
    assert model.bic(**data) == pytest.approx(bic, rel=1e-9)
    # Fewer rows than five per class would tell little: a group is told apart, a row is not.
    assert np.max(resp, axis=1).mean() > 0.85


@pytest.mark.parametrize("case", ["gaussian", "poisson"])
def test_quantiles_invert_the_distribution_function(case):
    problem = fitted_problem(case)
    model = problem.model
    X, Z = problem.X, problem.Z
    levels = [0.01, 0.3, 0.5, 0.999]
    found = model.predict_quantile(X, levels, Z)
    pi, mean = model.gate_proba(X, Z), model.predict_expert(X, Z)
    for q, y in zip(levels, found.T, strict=True):
        if case == "gaussian":
            below = np.sum(pi * stats.norm.cdf(y[:, None], mean, model.expert_scale_), axis=1)
            np.testing.assert_allclose(below, q, rtol=1e-9)
            continue
        assert np.all(y == np.round(y))
        assert np.all(np.sum(pi * stats.poisson.cdf(y[:, None], mean), axis=1) >= q)
        assert np.all(np.sum(pi * stats.poisson.cdf(y[:, None] - 1, mean), axis=1) < q)
    np.testing.assert_array_equal(model.predict_quantile(X, 0.3, Z), found[:, 1])


@pytest.mark.parametrize("case", CASES)
def test_samples_follow_the_mixture(case):
    """Means of what is drawn lie within five standard errors."""
    problem = fitted_problem(case)
    model = problem.model
    times = 200
    X, Z = np.repeat(problem.X[:20], times, axis=0), np.repeat(problem.Z[:20], times, axis=0)
    y, expert = model.sample(X, Z)
    share = (expert == 0).reshape(20, times).mean(axis=1)
    pi = model.gate_proba(problem.X[:20], problem.Z[:20])
    error = np.sqrt(pi[:, 0] * pi[:, 1] / times) + 1 / times
    assert np.all(np.abs(share - pi[:, 0]) < 5 * error)
    if case in ("labels", "classes"):
        assert set(y) <= set(model.classes_)
        hit = (y == model.classes_[0]).reshape(20, times).mean(axis=1)
        p = model.predict_proba(problem.X[:20], problem.Z[:20])[:, 0]
        assert np.all(np.abs(hit - p) < 5 * (np.sqrt(p * (1 - p) / times) + 1 / times))
        return
    drawn = y.reshape(20, times, -1)
    mean = model.predict(problem.X[:20], problem.Z[:20]).reshape(20, -1)
    error = drawn.std(axis=1) / np.sqrt(times) + 1 / times
    assert np.all(np.abs(drawn.mean(axis=1) - mean) < 5 * error)


@pytest.mark.parametrize("case", CASES)
def test_warm_start_goes_on_from_where_it_was(case):
    problem = fitted_problem(case)
    model = deepcopy(problem.model)
    before, steps = model.lower_bound_, model.n_iter_
    model.set_params(warm_start=True).fit(problem.X, problem.y, problem.Z)
    assert model.n_iter_ <= max(steps, 10)
    assert model.lower_bound_ >= before - 1e-9
    with pytest.raises(ValueError, match="warm_start=True expects"):
        model.set_params(n_experts=3).fit(problem.X, problem.y, problem.Z)


# -- standard errors ------------------------------------------------------------------------------


def recorded_mixture(spec, expected, X, Z):
    """A mixture that begins at the recorded parameters, and their order in ours."""
    model = MixtureOfExpertsRegressor(
        spec["n_components"],
        family=spec["family"],
        gate="constant" if Z is None else "softmax",
        gate_l2=0.0,
        tol=1e-13,
        max_iter=3000,
        warm_start=True,
    )
    coef = np.array(expected["coef"])
    order = np.argsort(coef[:, 0] + coef[:, 1:] @ X.mean(axis=0))
    gate = np.array(expected["gating_coef"])[order]
    gate = gate - gate[-1]
    model.gate_intercept_, model.gate_coef_ = gate[:, 0], gate[:, 1:]
    model.expert_intercept_, model.expert_coef_ = coef[order, 0], coef[order, 1:]
    model.expert_scale_ = np.array(expected.get("sigma", np.ones(len(coef))))[order]
    return model, order


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_standard_errors_are_the_recorded_ones(path):
    spec, expected, _, X, y, Z = recorded(path)
    model, order = recorded_mixture(spec, expected, X, Z)
    expected = expected["std_errors"]
    with warnings.catch_warnings(action="ignore"):
        model.fit(X, y, Z)
    errors = model.standard_errors(X, y, Z)
    coef = np.array(expected["coef"])[order]
    np.testing.assert_allclose(errors.expert_intercept, coef[:, 0], rtol=1e-3)
    np.testing.assert_allclose(errors.expert_coef, coef[:, 1:], rtol=1e-3)
    if "log_sigma" in expected:
        log_sigma = np.array(expected["log_sigma"])[order]
        np.testing.assert_allclose(errors.expert_scale / model.expert_scale_, log_sigma, rtol=1e-3)
    if len(order) == 2:  # logits of two experts: another reference changes their sign alone
        found = np.append(errors.gate_intercept[0], errors.gate_coef[0])
        np.testing.assert_allclose(found, expected["gating"][0], rtol=1e-3)


def simulated(n, rng):
    """A gaussian mixture of two experts, and rows drawn from it."""
    true = MixtureOfExpertsRegressor(2, gate_l2=0.0, random_state=rng)
    true.gate_intercept_, true.gate_coef_ = np.array([0.3, 0.0]), np.array([[1.5], [0.0]])
    true.expert_intercept_, true.expert_coef_ = np.array([-1.0, 1.0]), np.array([[1.0], [-0.5]])
    true.expert_scale_ = np.array([0.4, 0.6])
    true.n_features_in_, true.n_gate_features_in_, true.own_gate_columns_ = 1, 1, False
    X = rng.normal(size=(n, 1))
    return true, X, true.sample(X)[0]


ESTIMATES = ("expert_intercept", "expert_coef", "expert_scale", "gate_intercept", "gate_coef")


def standardised(true, model, X, y):
    """Errors of the estimates in units of their standard errors; the reference is left out."""
    spread = model.standard_errors(X, y)
    parts = []
    for name in ESTIMATES:
        gap = getattr(model, f"{name}_") - getattr(true, f"{name}_")
        z = gap / np.where(getattr(spread, name) > 0, getattr(spread, name), 1.0)
        parts.append(z[: 1 if name.startswith("gate") else 2].ravel())
    return np.concatenate(parts)


def test_parameters_are_recovered_within_their_standard_errors():
    true, X, y = simulated(20_000, np.random.RandomState(1))
    model = MixtureOfExpertsRegressor(2, gate_l2=0.0, random_state=0, n_init=1).fit(X, y)
    # Eight normal numbers: one lies beyond four with a probability of 5e-4.
    assert np.abs(standardised(true, model, X, y)).max() < 4.0


def test_standard_errors_cover():
    """8 parameters of 60 fits: the share within 1.96 is binomial, at most 480 draws of 0.95."""
    rng = np.random.RandomState(2)
    inside = []
    for _ in range(60):
        true, X, y = simulated(400, rng)
        model = deepcopy(true).set_params(warm_start=True)
        inside.append(np.abs(standardised(true, model.fit(X, y), X, y)) < 1.96)
    # Parameters of one fit depend on each other: as if there were a quarter as many, 3 sigma.
    assert abs(np.mean(inside) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / 120)


def test_summary_shows_estimates_and_their_errors():
    true, X, y = simulated(400, np.random.RandomState(3))
    model = clone(true).set_params(random_state=0).fit(X, y)
    text = str(model.summary(X, y))
    assert f"{model.expert_coef_[0, 0]:.5g}" in text
    assert f"{model.standard_errors(X, y).expert_coef[0, 0]:.3g}" in text
    assert "<table" in model.summary()._repr_html_()
    with pytest.raises(ValueError, match="Lasso"):
        clone(model).set_params(expert_l1=0.01).fit(X, y).standard_errors(X, y)
