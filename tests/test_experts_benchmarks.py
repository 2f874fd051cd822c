"""The harness of mixtures of experts: its peers do the same work; no time is asserted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import pyestim
from benchmarks import experts
from benchmarks.experts_direct import DirectExperts
from benchmarks.experts_plain import em_step

pytestmark = pytest.mark.once

TINY = experts.ExpertsCase(n_rows=300, n_columns=2, n_experts=3)
MACHINE = {"dgemm_rate": 1e10, "exp_rate": 1e9}


def direct(case):
    X, y, start = case.data()
    return DirectExperts(X, y, start["gate"], start["coef"], start["scale"])


def test_gradient_of_the_direct_peer():
    peer = direct(TINY)
    _, gradient = peer.evaluate(peer.x0)
    differences = approx_fprime(peer.x0, lambda theta: peer.evaluate(theta)[0], 1e-6)
    # Forward differences of step 1e-6 with second derivatives of about a hundred.
    np.testing.assert_allclose(gradient, differences, atol=1e-4)


def test_all_begin_at_the_same_likelihood_and_reach_the_same():
    X, y, start = TINY.data()
    peer = direct(TINY)
    model = experts.started(pyestim, start, max_iter=0, tol=1e-10).fit(X, y)
    assert model.log_likelihood(X, y) / len(y) == pytest.approx(
        -peer.evaluate(peer.x0)[0], rel=1e-9
    )
    fit = experts.measure_fit(pyestim, TINY, limit=5.0)
    assert fit["our_gap"] <= experts.GAP and fit["direct_gap"] <= experts.GAP


def test_plain_numpy_takes_the_step_of_ours():
    X, y, start = TINY.data()
    columns = np.column_stack([np.ones(len(X)), X])
    (_, coef, covariances), value = experts.plain_numpy().em_step(
        *("gaussian", columns, columns, y[:, None], np.ones(len(y)), start["gate"]),
        *(start["coef"][:, None], start["scale"][:, None, None] ** 2),
    )
    step = experts.started(pyestim, start, accelerate=None, tol=0.0, max_iter=1)
    with pytest.warns(UserWarning, match="Iteration limit"):
        step.fit(X, y)
    assert step.report_.trace[0] == pytest.approx(value / len(y), rel=1e-9)
    order = np.argsort(coef[:, 0] @ np.append(1.0, X.mean(axis=0)))
    np.testing.assert_allclose(step.expert_coef_, coef[order, 0, 1:], rtol=1e-8)
    np.testing.assert_allclose(step.expert_scale_, np.sqrt(covariances[order, 0, 0]), rtol=1e-8)


def test_lean_numpy_takes_the_step_of_ours():
    X, y, start = TINY.data()
    columns = np.column_stack([np.ones(len(X)), X])
    gate, coef, scale = em_step(columns, y, start["gate"], start["coef"], start["scale"])
    (_, expected, covariances), _ = experts.plain_numpy().em_step(
        *("gaussian", columns, columns, y[:, None], np.ones(len(y)), start["gate"]),
        *(start["coef"][:, None], start["scale"][:, None, None] ** 2),
    )
    np.testing.assert_allclose(coef, expected[:, 0], rtol=1e-8)
    np.testing.assert_allclose(scale, np.sqrt(covariances[:, 0, 0]), rtol=1e-8)
    # One Newton step of the gate, by the statistics of the slow formulas.
    found = experts.plain_numpy().statistics(
        *("gaussian", columns, columns, y[:, None], np.ones(len(y)), start["gate"]),
        *(start["coef"][:, None], start["scale"][:, None, None] ** 2),
    )
    size = found["gate_score"].size
    hessian = np.zeros((size, size))
    hessian[np.tril_indices(size)] = found["gate_curvature"]
    hessian += np.tril(hessian, -1).T
    step = np.linalg.solve(hessian, found["gate_score"].ravel()).reshape(2, -1)
    np.testing.assert_allclose(gate[:-1], start["gate"][:-1] + step, rtol=1e-7)


def test_tables_tell_misses():
    step = {"plain numpy|1": 9.0, "lean numpy|1": 1.0, "pyestim|1": 0.1, "pyestim|2": 0.05}
    results = {
        "step": {"label": "tiny", "times": step, "floor": 0.05},
        "fit": {
            "label": "tiny",
            "ours": 0.1,
            "our_gap": 0.0,
            "sweeps": 9,
            "direct": None,
            "direct_gap": 1e-5,
            "direct_seconds": 3.0,
            "evaluations": 70,
        },
        "r": {"flexmix 2.3-18": 1e-3, "mixtools 2.0.0": 1e-2},
    }
    text = experts.lines(results)
    assert (
        "90.0x (goal 25: met)" in text and "| 10.0x |" in text and "2.00x (goal 1.8: met)" in text
    )
    assert "ours 2.00x of it (goal 3: met)" in text and "at least 30.0x (goal 15: met)" in text
    assert "154x (goal 100: met)" in text and "30.0x (goal 100: **missed**)" in text


def test_the_floor_counts_what_a_step_must_do():
    # One expert, one column: two predictors, five sums, one exponential pair of a gate of one.
    one = replace(TINY, n_rows=1000, n_columns=1, n_experts=1)
    columns, triangle = 2, 3
    sums = triangle + columns + 1
    assert one.floor(MACHINE) == pytest.approx(1000 * (2 * (columns + sums) / 1e10 + 2 / 1e9))
