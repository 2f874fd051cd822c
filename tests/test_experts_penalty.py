"""Penalised mixtures of experts: ascent, optimality, limits."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from expert_problems import FAMILIES, assert_ascends, climb, problem, rows, start

from pyestim.data.experts import ExpertSource
from pyestim.engine.drive import maximise
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_fit import fit_experts, largest_penalties

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import experts_numpy as slow

pytestmark = pytest.mark.once

PENALTIES = {
    "expert_l1": {"expert_l1": 0.03},
    "gate_l1": {"gate_l1": 0.02},
    "both": {"expert_l1": 0.05, "gate_l1": 0.05, "standardize": True},
    "elastic net": {"expert_l1": 0.02, "expert_l2": 0.05, "gate_l1": 0.01, "gate_l2": 0.02},
    "ridge": {"expert_l2": 0.2, "gate_l2": 0.1},
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("penalties", PENALTIES.values(), ids=PENALTIES)
def test_penalised_likelihood_never_falls(family, penalties):
    source, model, _ = problem(family, n_noise=3, **penalties)
    far = model.unpack(model.pack(start(model, source)) * 3.0)
    values, _ = climb(model, source, far, 40)
    assert_ascends(values, source.mean_eps)


def test_penalised_likelihood_never_falls_with_one_scale():
    source, model, _ = problem(n_noise=3, expert_l1=0.05, gate="constant", share_scale=True)
    values, _ = climb(model, source, start(model, source), 40)
    assert_ascends(values, source.mean_eps)


def slopes_of(model, params):
    """Slopes of the experts, of gaussian ones over their scale: (K, L, p)."""
    covariances = model.experts.covariances(params.experts)
    slopes = params.experts.coef[..., 1:]
    return slopes if covariances is None else slopes / np.sqrt(covariances)


@pytest.mark.parametrize("family", FAMILIES)
def test_optimality_conditions_of_the_penalised_fit(family):
    """Slope minus penalty: zero where a coefficient is not, at most the penalty where it is."""
    source, model, options = problem(
        family, n=150, n_noise=3, expert_l1=0.04, gate_l1=0.02, expert_l2=0.01, standardize=True
    )
    fit = maximise(
        model, LocalSweep(model, source), [start(model, source)], stop=Stop(1e-14), max_sweeps=4000
    )
    params, stats = fit.params, fit.stats
    unit = source.x.column_sd
    phi = slopes_of(model, params) * unit
    score = stats["expert_score"][..., 1:] / unit
    if family == "gaussian":
        score = score / np.sqrt(model.experts.covariances(params.experts))
    score = score / source.weight_sum - options.expert_l2 * phi
    check_conditions(phi, score, options.expert_l1)
    gate = params.gate.coef[:-1, 1:]
    check_conditions(gate, stats["gate_score"][:, 1:] / unit / source.weight_sum, options.gate_l1)


def check_conditions(coef, score, l1):
    # What a fit that is complete to 1e-14 leaves: the square root of it, over the curvature.
    off = np.abs(score - l1 * np.sign(coef))[coef != 0.0]
    assert off.max(initial=0.0) < 1e-5
    assert np.abs(score[coef == 0.0]).max(initial=0.0) <= l1 + 1e-5
    assert np.any(coef == 0.0)


@pytest.mark.parametrize("family", FAMILIES)
def test_above_the_largest_penalty_no_slope_is_left(family):
    source, _, options = problem(family, n_experts=2, n_noise=2)
    largest = largest_penalties(source, options, 2, np.random.RandomState(0))
    for factor in (1.001, 0.97):
        with_l1 = replace(
            options, expert_l1=factor * largest.expert_l1, gate_l1=factor * largest.gate_l1
        )
        model = build_model(source, with_l1)
        sweep = LocalSweep(model, source)
        params = model.update(largest.params, sweep([largest.params])[0])
        slopes = [params.experts.coef[..., 1:], params.gate.coef[:, 1:]]
        assert [s.any() for s in slopes] == [factor < 1.0] * 2
        fit = maximise(model, sweep, [largest.params], stop=Stop(1e-12), max_sweeps=300)
        if factor > 1.0:
            assert not fit.params.experts.coef[..., 1:].any()
            assert not fit.params.gate.coef[:, 1:].any()
        else:
            assert fit.objective > fit.report.trace[0]


def test_no_penalty_is_the_limit_of_small_ones():
    source, model, options = problem(n=400, n_experts=2)
    begin = start(model, source)
    plain = fit_experts(model, source, 0, None, starts=[begin], tol=1e-12)
    tiny = build_model(source, replace(options, expert_l1=1e-9, gate_l1=1e-9, expert_l2=1e-9))
    near = fit_experts(tiny, source, 0, None, starts=[begin], tol=1e-12)
    np.testing.assert_allclose(tiny.pack(near.params), model.pack(plain.params), atol=1e-5)


def test_gaussian_penalty_does_not_depend_on_the_unit_of_y():
    X, y = rows(n=250, n_noise=2)
    found = []
    for unit in (1.0, 1000.0):
        source = ExpertSource(X, unit * y)
        model = build_model(source, ExpertOptions(2, expert_l1=0.05, gate_l1=0.02))
        fit = fit_experts(model, source, 0, None, starts=[start(model, source)], tol=1e-11)
        found.append(model.to_user(fit.params, source)["coef"] / unit)
    np.testing.assert_allclose(found[1], found[0], atol=1e-6)


@pytest.mark.parametrize("share_scale", [False, True])
def test_scales_of_the_penalised_fit_solve_their_equation(share_scale):
    """``N sigma^2 = RSS + W sigma sum l1 |slope|``, over the experts that share the scale."""
    source, model, options = problem(
        n=200, n_experts=2, n_noise=2, expert_l1=0.1, share_scale=share_scale
    )
    begin = start(model, source)
    params = fit_experts(model, source, 0, None, starts=[begin], tol=1e-14, max_sweeps=3000).params
    x, y, _, _ = source.take(np.arange(source.n_rows))
    resp = np.empty((source.n_rows, 2))
    model.rows(params, source.whole, resp=resp)
    slopes = params.experts.coef[:, 0, 1:]
    gaps = y - slow.with_ones(x) @ params.experts.coef[:, 0].T
    variance = model.experts.covariances(params.experts)[:, 0, 0]
    linear = source.weight_sum * np.abs(slopes) @ (options.expert_l1 * source.x.scale)
    square, count = (resp * gaps**2).sum(axis=0), resp.sum(axis=0)
    if share_scale:
        linear, square, count = (np.full(2, part.sum()) for part in (linear, square, count))
    assert slopes.any(axis=0).sum() < slopes.shape[1]
    np.testing.assert_allclose(count * variance, square + np.sqrt(variance) * linear, rtol=1e-6)
