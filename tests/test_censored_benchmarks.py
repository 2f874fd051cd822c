"""The harness of cut data: its peers do the same work; no time is asserted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

import pyestim
from benchmarks import censored
from benchmarks.censored_direct import DirectTobit
from benchmarks.truncated_direct import DirectTruncated

pytestmark = pytest.mark.once

TINY = replace(censored.TRUNCATED[0], n_rows=400)


def direct():
    x, start = TINY.data()
    return DirectTruncated(x, TINY.limits, *start.values())


def test_objective_and_gradient_of_the_direct_peer():
    peer = direct()
    value, gradient = peer.evaluate(peer.x0)
    x, start = TINY.data()
    means, sds = start["means"], start["sds"]
    ends = norm.cdf(np.array(TINY.limits)[:, None], means, sds)
    density = norm.pdf(x[:, None], means, sds) @ start["weights"]
    expected = np.log(density).mean() - np.log((ends[1] - ends[0]) @ start["weights"])
    assert value == pytest.approx(-expected, rel=1e-12)
    differences = approx_fprime(peer.x0, lambda theta: peer.evaluate(theta)[0], 1e-6)
    # Forward differences of step 1e-6 with second derivatives of about ten.
    np.testing.assert_allclose(gradient, differences, atol=1e-5)


def test_direct_tobit_has_the_right_gradient_and_our_maximum():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = np.maximum(0.0, 0.5 + X @ [1.0, -1.0] + rng.normal(size=300))
    peer = DirectTobit(X, y, 0.0)
    _, gradient = peer.evaluate(peer.x0)
    step = 1e-6
    slopes = [
        (peer.evaluate(peer.x0 + step * way)[0] - peer.evaluate(peer.x0 - step * way)[0])
        / (2 * step)
        for way in np.eye(len(peer.x0))
    ]
    np.testing.assert_allclose(gradient, slopes, atol=1e-8)  # rounding over the step
    peer.run(max_seconds=5.0)
    ours = pyestim.CensoredRegressor().fit(X, y, lower=0.0)
    assert max(peer.values) == pytest.approx(ours.lower_bound_, abs=1e-12)


def test_whole_fits_reach_the_same():
    fit = censored.measure_truncated(pyestim, TINY, repeats=1, limit=5.0)
    assert fit["our_gap"] <= censored.GAP and fit["direct_gap"] <= censored.GAP
    case = censored.TobitCase(n_rows=400, n_columns=2)
    fit = censored.measure_tobit(pyestim, case, repeats=1, limit=5.0)
    assert fit["our_gap"] <= censored.GAP and fit["direct_gap"] <= censored.GAP
    assert "2 predictors" in fit["label"]


@pytest.mark.parametrize("case", censored.CELLS, ids=lambda case: case.name)
def test_cells_hold_their_rows_and_the_share_asked_for(case):
    small = replace(case, n_rows=2000)
    X, lower, upper, _ = small.data()
    assert (lower <= X).all() and (upper >= X).all()
    cut = lower < upper
    # Five errors of a share.
    assert abs(cut.mean() - case.share) < 5 * np.sqrt(case.share * (1 - case.share) / cut.size)
    kinds = {"left": np.isinf(lower), "right": np.isinf(upper)}
    assert all(kinds[kind].any() == (kind in case.kinds) for kind in kinds)
    assert not (np.isinf(lower) & np.isinf(upper)).any()


def test_steps_of_all_kinds_are_timed():
    small = replace(censored.CELLS[1], n_rows=300)
    found = censored.measure_cells(pyestim, small, repeats=1, budget=0.1)
    assert {"uncensored|1", "exact cells|1", "censored|1"} <= set(found["times"])


def test_tables_tell_misses():
    fit = {
        "label": "tiny",
        "ours": 0.01,
        "our_gap": 0.0,
        "sweeps": 9,
        "direct": 0.1,
        "direct_gap": 0.0,
        "direct_seconds": 0.5,
        "evaluations": 70,
    }
    cells = {"uncensored|1": 0.01, "exact cells|1": 0.01, "censored|1": 0.07, "censored|2": 0.035}
    results = {
        "truncated": [fit, {**fit, "direct": None}],
        "cells": [
            {"label": "tiny", "goal": 8.0, "times": cells},
            {"label": "tiny", "goal": 6.0, "times": cells},
        ],
        "tobit": {**fit, "ours": 2.0},
    }
    text = censored.lines(results)
    assert "10.0x (goal 20: **missed**)" in text and "at least 50.0x (goal 20: met)" in text
    assert "seconds of ours, goal at most 1: **missed**" in text
    assert "7.00x (goal at most 8: met)" in text and "7.00x (goal at most 6: **missed**)" in text
    assert "| 2.00x |" in text and "| 1.00x |" in text
