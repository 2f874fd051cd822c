"""Mixtures of experts beyond the laws: gates, the order of experts, words, hostile input."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from expert_cases import truth
from expert_problems import FAMILIES, K, P, assert_ascends, climb, problem, rows, start

from pyestim.data.experts import ExpertSource
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_fit import fit_experts

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import experts_numpy as slow

pytestmark = pytest.mark.once

# -- gates ----------------------------------------------------------------------------------------


def test_gate_ascends_from_far_away():
    """Where curvature is gone at the start, the fixed bound still moves."""
    source, model, _ = problem()
    params = start(model, source)
    far = replace(params, gate=model.gate.unpack(40.0 * np.ones(model.gate.n_packed)))
    values, _ = climb(model, source, far, 60)
    assert_ascends(values, source.mean_eps)
    assert values[-1] > values[0] + 0.1


def test_equal_gates_are_a_mixture_of_regressions():
    source, model, options = problem(n_experts=2)
    params = start(model, source)
    coef = np.zeros((2, 1 + P))
    coef[0, 0] = 0.4
    flat = replace(params, gate=replace(params.gate, coef=coef))
    constant = build_model(source, replace(options, gate="constant"))
    gate = constant.gate.start(np.exp(coef[:, 0]))
    values = [
        m.objective(p, LocalSweep(m, source)([p])[0])
        for m, p in ((model, flat), (constant, replace(params, gate=gate)))
    ]
    np.testing.assert_allclose(*values, rtol=1e-13)


# -- what is published ----------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("gate", ["softmax", "constant"])
def test_order_of_experts_and_units_of_the_user(family, gate):
    X, y = rows(family, 200, gate)
    X = 10.0 * X + 3.0
    source = ExpertSource(X, y, family=family, gated=gate == "softmax")
    model = build_model(source, ExpertOptions(K, gate=gate, n_classes=3))
    params = start(model, source)
    ordered = model.ordered(params, source)
    user = model.to_user(ordered, source)
    heights = (user["intercept"] + user["coef"] @ X.mean(axis=0)).mean(axis=1)
    assert np.all(np.diff(heights) >= 0.0)
    assert not user["gate_coef"][-1].any() and user["gate_intercept"][-1] == 0.0
    values = [
        model.objective(p, LocalSweep(model, source)([p])[0])
        for p in (params, ordered, model.from_user(user, source))
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-11)


def test_log_likelihood_counts_all_constants():
    for family in FAMILIES:
        X, y = rows(family, 100)
        source = ExpertSource(X, y, family=family)
        model = build_model(source, ExpertOptions(K, n_classes=3))
        params = model.from_user(truth(family, "softmax", False), source)
        given = truth(family, "softmax", False)
        gate = np.column_stack([given["gate_intercept"], given["gate_coef"]])
        coef = np.concatenate([given["intercept"][..., None], given["coef"]], axis=-1)
        x1 = slow.with_ones(X)
        each, _ = slow.posterior(family, x1, x1, y, gate, coef, given.get("covariance"))
        want = (each + slow.log_constant(family, y)).mean()
        stats = LocalSweep(model, source)([params])[0]
        got = model.objective(params, stats) / source.weight_sum + source.offset
        np.testing.assert_allclose(got, want, rtol=1e-11)


# -- hostile input --------------------------------------------------------------------------------


def fitted(X, y, n_experts=2, family="gaussian", **options):
    source = ExpertSource(X, y, family=family)
    model = build_model(source, ExpertOptions(n_experts, n_classes=3, **options))
    fit = fit_experts(model, source, 3, np.random.RandomState(0), max_sweeps=200)
    assert np.isfinite(model.pack(fit.params)).all()
    assert np.isfinite(fit.objective)
    return fit


@pytest.mark.parametrize("family", FAMILIES)
def test_collinear_and_constant_predictors(family):
    X, y = rows(family, 120)
    X = np.column_stack([X, X[:, 0] - 2.0 * X[:, 1], np.full(120, 7.0)])
    fit = fitted(X, y, family=family)
    assert any("linear combinations" in line for line in fit.report.diagnosis)


@pytest.mark.parametrize("family", FAMILIES)
def test_more_experts_than_rows(family):
    X, y = rows(family, 4)
    fit = fitted(X, y, 6, family=family)
    assert any("fewer than its 3 coefficients" in line for line in fit.report.diagnosis)


def test_constant_response():
    X, _ = rows(n=60)
    fit = fitted(X, np.full(60, 3.5))
    assert any("scale sits on the floor" in line for line in fit.report.diagnosis)


def test_scale_floor_is_a_thousandth_of_one_regression():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(80, 1))
    exact = rng.random(80) < 0.5
    y = np.where(exact, 2.0 * X[:, 0], -X[:, 0] + rng.normal(size=80))
    source = ExpertSource(X, y)
    model = build_model(source, ExpertOptions(2, gate="constant"))
    fit = fit_experts(model, source, 5, np.random.RandomState(0))
    scale = np.sqrt(model.to_user(fit.params, source)["covariance"].min())
    one = np.linalg.lstsq(slow.with_ones(X), y, rcond=None)
    np.testing.assert_allclose(scale, 1e-3 * np.sqrt(one[1][0] / 80), rtol=1e-6)
    assert any("scale sits on the floor" in line for line in fit.report.diagnosis)


@pytest.mark.parametrize("gate_l2", [0.0, 1e-6])
def test_separable_gate_is_reported(gate_l2):
    X = np.concatenate([np.linspace(-3, -1, 60), np.linspace(1, 3, 60)])[:, None]
    y = np.where(X[:, 0] < 0, 5.0 + X[:, 0], -5.0 - X[:, 0])
    y += np.random.default_rng(0).normal(scale=0.1, size=120)
    fit = fitted(X, y, gate_l2=gate_l2)
    assert any("gate separates" in line for line in fit.report.diagnosis)


@pytest.mark.parametrize("share_scale", [False, True])
def test_several_outputs(share_scale):
    X, y = rows(n=250)
    rng = np.random.default_rng(2)
    Y = np.column_stack([y, X[:, :1] - y + rng.normal(scale=0.3, size=y.shape)])
    source = ExpertSource(X, Y)
    model = build_model(source, ExpertOptions(2, share_scale=share_scale))
    values, _ = climb(model, source, start(model, source), 40)
    assert_ascends(values, source.mean_eps)
    with pytest.raises(ValueError, match="penalties need one output, got 2"):
        build_model(source, ExpertOptions(2, expert_l1=0.1))


def test_unknown_family():
    with pytest.raises(ValueError, match="family must be one of"):
        ExpertSource(np.zeros((3, 1)), np.zeros(3), family="cauchy")


def test_weights_of_experts_that_lost_their_rows_are_published():
    X, y = rows(n=60, gate="constant")
    source = ExpertSource(X, y, gated=False)
    model = build_model(source, ExpertOptions(2, gate="constant"))
    params = start(model, source)
    params = replace(params, gate=model.gate.start(np.array([1.0, 0.0])))
    user = model.to_user(params, source)
    assert user["gate_intercept"].tolist() == [0.0, -np.inf]
    stats = LocalSweep(model, source)([params])[0]
    assert np.isfinite(model.pack(model.update(params, stats))).all()
