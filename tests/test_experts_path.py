"""Lasso paths of mixtures of experts: conditions, choices, many columns."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from sklearn.base import clone

from pyestim import MixtureOfExpertsRegressor, moe_lasso_path
from pyestim.models import expert_space

pytestmark = pytest.mark.once


@cache
def published_design(n=200, seed=0):
    """Two experts and a gate on six columns, most slopes zero (Chamroukhi & Huynh)."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, 6))
    first = rng.uniform(size=n) < 1 / (1 + np.exp(-(1 + 2 * X[:, 0] - X[:, 3])))
    mean = np.where(first, 1.5 * X[:, 1] + X[:, 5], X[:, 0] - 1.5 * X[:, 1] + 2 * X[:, 4])
    return X, mean + rng.normal(size=n)


@cache
def short_path():
    X, y = published_design()
    return moe_lasso_path(X, y, n_penalties=5, random_state=0)


def penalised(model, X, y):
    """Mean log-likelihood less the penalties, from the published numbers alone."""
    gate = (
        np.column_stack([np.ones(len(X)), X])
        @ np.column_stack([model.gate_intercept_, model.gate_coef_]).T
    )
    mean = X @ model.expert_coef_.T + model.expert_intercept_
    scale = model.expert_scale_
    each = -0.5 * ((y[:, None] - mean) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
    loss = np.logaddexp.reduce(gate + each, axis=1) - np.logaddexp.reduce(gate, axis=1)
    l1 = model.expert_l1 * np.abs(model.expert_coef_ / scale[:, None]).sum()
    l1 += model.gate_l1 * np.abs(model.gate_coef_).sum()
    return (
        loss.mean() - l1 - 0.5 * model.gate_l2 * np.square(model.gate_coef_ * X.std(axis=0)).sum()
    )


def test_objectives_are_those_of_the_published_numbers():
    # Also says that sorting the experts does not move the reference that the penalty is about.
    X, y = published_design()
    path = short_path()
    for i in range(len(path)):
        assert path.at(i).lower_bound_ == pytest.approx(penalised(path.at(i), X, y), abs=1e-12)
    assert np.array_equal(path.objective, [path.at(i).lower_bound_ for i in range(len(path))])


def test_objective_rises_as_the_penalty_falls():
    # The maximum of a smaller penalty is at least the value of the old point.
    assert (np.diff(short_path().objective) > -1e-6).all()


def test_true_signals_are_kept_at_the_published_penalty():
    # lambda = gamma = 5 for sums over 300 rows.
    X, y = published_design(300)
    model = MixtureOfExpertsRegressor(
        expert_l1=5 / 300, gate_l1=5 / 300, random_state=0, tol=1e-8
    ).fit(X, y)
    one = int(np.argmax(model.expert_coef_[:, 1]))
    assert (model.expert_coef_[one, [1, 5]] > 0.5).all()
    assert (np.abs(model.expert_coef_[1 - one, [0, 1, 4]]) > 0.5).all()
    assert (np.abs(model.gate_coef_[0, [0, 3]]) > 0.2).all()
    # Some 18 parameters in all: the objective is near that of the notes, -548.6 and its noise.
    assert 300 * model.lower_bound_ == pytest.approx(-548.6, abs=40)


def test_each_point_is_stationary():
    # No slope can be moved for a gain: forward and backward differences of the objective.
    X, y = published_design()
    model = MixtureOfExpertsRegressor(expert_l1=0.02, gate_l1=0.02, tol=1e-11, random_state=0)
    model.fit(X, y)
    best = penalised(model, X, y)
    for name in ("expert_coef_", "gate_coef_"):
        free = np.ndindex(2, 6) if name == "expert_coef_" else ((0, j) for j in range(6))
        for place in free:
            for h in (1e-4, -1e-4):
                getattr(model, name)[place] += h
                # A slope of the size of sqrt(tol) is left: 1e-5 h and second order.
                assert penalised(model, X, y) < best + 1e-9
                getattr(model, name)[place] -= h


def test_warm_and_cold_fits_reach_the_same_objective():
    X, y = published_design()
    path = short_path()
    for i in (1, 3):
        cold = MixtureOfExpertsRegressor(
            expert_l1=path.expert_l1[i], gate_l1=path.gate_l1[i], n_init=5, random_state=1
        ).fit(X, y)
        assert path.objective[i] > cold.lower_bound_ - 2e-6


def test_large_penalties_leave_no_slope():
    X, y = published_design()
    largest = short_path().expert_l1[0], short_path().gate_l1[0]
    model = MixtureOfExpertsRegressor(
        expert_l1=20 * largest[0], gate_l1=20 * largest[1], n_init=1, random_state=0
    ).fit(X, y)
    assert not model.expert_coef_.any()
    assert not model.gate_coef_.any()


def test_vanishing_penalties_are_the_unpenalised_fit():
    X, y = published_design()
    path = moe_lasso_path(X, y, n_penalties=2, eps=1e-7, tol=1e-9, random_state=0)
    free = MixtureOfExpertsRegressor(tol=1e-9, random_state=0).fit(X, y)
    # The penalty itself is below 1e-6; the log-likelihood is flat at its maximum.
    assert path.log_likelihood[-1] == pytest.approx(len(X) * free.lower_bound_, abs=1e-3)
    assert path.n_parameters[-1] == free.n_parameters_


def test_criteria_choose_the_true_supports():
    X, y = published_design(600, 1)
    path = moe_lasso_path(X, y, n_penalties=6, criterion="ebic", n_init=2, random_state=0)
    experts, gate = path.supports(path.select())
    first = int(np.argmax(path.expert_coef[path.select(), :, 1]))
    assert experts[first, [1, 5]].all()
    assert experts[1 - first, [0, 1, 4]].all()
    assert gate[0, [0, 3]].all()
    bic, ebic = path.criterion("bic"), path.criterion("ebic")
    assert (ebic >= bic).all()
    assert path.select("bic") == np.argmin(bic)
    assert path.criterion("ebic", gamma=0.0) == pytest.approx(bic)
    assert path.report.startswith("Path: OK")
    assert f"ebic chooses number {path.select()}" in path.report


def test_points_are_estimators():
    X, y = published_design()
    path = short_path()
    model = path.at(path.select())
    assert np.array_equal(model.expert_coef_, path.expert_coef[path.select()])
    assert model.score_samples(X, y).sum() == pytest.approx(path.log_likelihood[path.select()])
    assert model.predict(X).shape == y.shape


def test_constant_gate_and_counts():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(200, 5))
    y = rng.poisson(np.exp(np.where(rng.uniform(size=200) < 0.5, 1 + X[:, 0], 1 - X[:, 1])))
    path = moe_lasso_path(X, y, family="poisson", gate="constant", n_penalties=3, random_state=0)
    assert not path.gate_l1.any()
    assert path.gate_coef.shape == (3, 2, 0)
    assert path.supports(1)[0][:, :2].any(axis=0).all()


def test_single_precision_agrees():
    X, y = published_design()
    path = moe_lasso_path(X.astype(np.float32), y, n_penalties=5, random_state=0)
    # Rows are rounded to 6e-8 of their size; the objective is flat at its maximum.
    assert path.objective == pytest.approx(short_path().objective, abs=1e-5)


def test_weights_are_repeated_rows():
    X, y = published_design()
    weight = np.random.RandomState(0).randint(0, 3, size=len(X))
    # One start: where it begins does not depend on whether rows are repeated or weighted.
    model = MixtureOfExpertsRegressor(
        expert_l1=0.03, gate_l1=0.03, tol=1e-10, n_init=1, random_state=0
    )
    one = clone(model).fit(X, y, sample_weight=weight)
    other = clone(model).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, abs=1e-8)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"criterion": "cv"}, "criterion"),
        ({"n_penalties": 0}, "n_penalties"),
        ({"eps": 2.0}, "eps"),
        ({"gate_ratio": -1.0}, "gate_ratio"),
        ({"family": "gamma"}, "family"),
    ],
)
def test_bad_arguments_are_named(arguments, word):
    X, y = published_design()
    with pytest.raises(ValueError, match=word):
        moe_lasso_path(X, y, **arguments)


# -- many columns ----------------------------------------------------------------------------------


def test_many_columns_are_fitted_on_those_that_matter():
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, expert_space.WIDE + 1))
    first = rng.uniform(size=300) < 1 / (1 + np.exp(-3 * X[:, 0]))
    mean = np.where(first, 3 * X[:, 1] + 2 * X[:, 2], -3 * X[:, 1] + 2 * X[:, 3])
    y = mean + rng.normal(size=300)
    model = MixtureOfExpertsRegressor(expert_l1=0.08, gate_l1=0.04, n_init=2, random_state=0).fit(
        X, y
    )
    assert set(np.flatnonzero(model.expert_coef_.any(axis=0))) >= {1, 2, 3}
    assert model.lower_bound_ == pytest.approx(penalised(model, X, y), abs=1e-10)


def test_likelihood_never_falls_on_working_sets(monkeypatch):
    monkeypatch.setattr(expert_space, "WIDE", 3)
    model = MixtureOfExpertsRegressor(expert_l1=0.05, gate_l1=0.05, n_init=1, random_state=0)
    trace = model.set_params(accelerate=None).fit(*published_design()).report_.trace
    assert len(trace) > 3 and (np.diff(trace) > -1e-12).all()


def test_working_sets_reach_what_all_columns_reach(monkeypatch):
    X, y = published_design()
    whole = short_path()
    monkeypatch.setattr(expert_space, "WIDE", 3)
    parts = moe_lasso_path(X, y, n_penalties=5, random_state=0)
    # Both keep the better of two ways; slack in gradients costs the order of its square.
    assert parts.objective == pytest.approx(whole.objective, abs=1e-5)
    assert parts.expert_l1 == pytest.approx(whole.expert_l1, rel=1e-6)


def test_working_sets_of_groups_and_a_constant_gate(monkeypatch):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(150, 6))
    groups = np.repeat(np.arange(50), 3)
    label = rng.uniform(size=50) < 0.5
    y = np.where(label[groups], 2 * X[:, 0], -2 * X[:, 1]) + 0.5 * rng.normal(size=150)
    arguments = {"gate": "constant", "n_penalties": 3, "n_init": 2, "random_state": 0}
    arguments["groups"] = groups
    whole = moe_lasso_path(X, y, **arguments)
    monkeypatch.setattr(expert_space, "WIDE", 3)
    parts = moe_lasso_path(X, y, **arguments)
    assert parts.objective == pytest.approx(whole.objective, abs=1e-5)
