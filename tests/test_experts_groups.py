"""Rows that share one latent class by groups."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from expert_problems import assert_ascends, climb, rows, start

from pyestim.data.experts import ExpertSource
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_fit import fit_experts

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import experts_numpy as slow

pytestmark = pytest.mark.once


def grouped(gate, weighted=False, family="gaussian"):
    """Rows in groups of one to four, in any order; the gate reads a covariate of the group."""
    rng = np.random.default_rng(3)
    X, y = rows(family, 240, "constant")
    groups = rng.permutation(np.repeat(np.arange(100), rng.integers(1, 5, 100))[:240])
    Z = rng.normal(size=(groups.max() + 1, 2))[groups]
    weight = rng.integers(0, 3, groups.max() + 1)[groups].astype(float) if weighted else None
    source = ExpertSource(X, y, Z, weight, groups, family=family, gated=gate == "softmax")
    return source, build_model(source, ExpertOptions(2, gate=gate)), groups


@pytest.mark.parametrize("gate", ["softmax", "constant"])
@pytest.mark.parametrize("weighted", [False, True])
def test_grouped_sums_are_those_of_the_formulas(gate, weighted):
    source, model, groups = grouped(gate, weighted)
    params = start(model, source)
    stats = LocalSweep(model, source)([params])[0]
    x, y, z, weight = source.take(np.arange(source.n_rows))
    x1, z1 = slow.with_ones(x), slow.with_ones(z) if gate == "softmax" else None
    given = (params.gate.coef, params.experts.coef, model.experts.covariances(params.experts))
    total, resp = slow.group_posterior("gaussian", x1, z1, y, groups, *given)
    first = np.unique(groups, return_index=True)[1]
    expected = slow.statistics("gaussian", x1, z1, y, weight, *given, resp=resp)
    expected["log_likelihood"] = weight[first] @ total
    if gate == "softmax":
        expected |= slow.gate_statistics(z1[first], weight[first], resp[first], given[0])
    expected["group_sum"] = weight[first] @ resp[first]
    assert set(expected) == set(stats.layout.windows)
    for name, window in expected.items():
        # Sums of 240 terms in another order.
        np.testing.assert_allclose(stats[name], window, rtol=1e-11, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
@pytest.mark.parametrize("gate", ["softmax", "constant"])
def test_grouped_fit_is_the_fixed_point_of_plain_em(gate, family):
    source, model, groups = grouped(gate, family=family)
    fit = fit_experts(model, source, 2, np.random.RandomState(0), tol=1e-13, max_sweeps=3000)
    x, y, z, weight = source.take(np.arange(source.n_rows))
    x1, z1 = slow.with_ones(x), slow.with_ones(z) if gate == "softmax" else None
    params = fit.params
    given = (params.gate.coef, params.experts.coef, model.experts.covariances(params.experts))
    after, value = slow.em_step(family, x1, z1, y, weight, *given, groups=groups)
    np.testing.assert_allclose(fit.stats.number("log_likelihood"), value, rtol=1e-12)
    for old, new in zip(given, after, strict=True):
        if old is not None:
            np.testing.assert_allclose(old, new, atol=2e-5)


def test_groups_of_one_row_are_no_groups():
    X, y = rows(n=150)
    alone = ExpertSource(X, y, groups=np.arange(150)[::-1])
    plain = ExpertSource(X, y)
    model, other = (build_model(source, ExpertOptions(2)) for source in (alone, plain))
    params = start(other, plain)
    stats, want = LocalSweep(model, alone)([params])[0], LocalSweep(other, plain)([params])[0]
    for name, window in want.items():
        np.testing.assert_allclose(stats[name], window, rtol=1e-11, atol=1e-10)


def test_grouped_likelihood_never_falls():
    source, model, _ = grouped("softmax")
    values, _ = climb(model, source, start(model, source), 30)
    assert_ascends(values, source.mean_eps)


def test_groups_share_weights_and_covariates_of_the_gate():
    X, y = rows(n=20)
    groups = np.repeat(np.arange(10), 2)
    with pytest.raises(ValueError, match="column 0 of Z must be the same for all rows of a group"):
        ExpertSource(X, y, groups=groups)
    with pytest.raises(ValueError, match="sample_weight must be the same"):
        ExpertSource(X, y, sample_weight=np.arange(20.0), groups=groups, gated=False)
    with pytest.raises(ValueError, match="groups must have as many rows as X, 20, but it has 19"):
        ExpertSource(X, y, groups=groups[:19], gated=False)
    with pytest.raises(ValueError, match="Z must have as many rows as X, 20, but it has 3"):
        ExpertSource(X, y, X[:3])


def test_groups_of_weight_zero_are_absent_whatever_they_hold():
    X, y = rows(n=80)
    groups = np.repeat(np.arange(40), 2)
    Z, weight = X[::2][groups], np.repeat(np.arange(40) % 4 > 0, 2).astype(float)
    gone = weight == 0.0
    X[gone], y[gone], Z[gone] = np.nan, np.nan, np.nan
    source = ExpertSource(X, y, Z, weight, groups)
    kept = ExpertSource(X[~gone], y[~gone], Z[~gone], None, groups[~gone])
    found = []
    for each in (source, kept):
        model = build_model(each, ExpertOptions(2))
        params = start(model, each)
        stats = LocalSweep(model, each)([params])[0]
        found.append(model.objective(params, stats))
    np.testing.assert_allclose(*found, rtol=1e-12)
