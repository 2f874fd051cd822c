"""The harness of Lasso paths: its problems, its judge, its tables; no time is asserted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import lasso, lasso_peers, lasso_report, lasso_worker
from benchmarks.lasso_cases import LASSO_CASES, LassoCase, relative_gaps

pytestmark = pytest.mark.once

TINY = LassoCase("tiny", 60, 30, 4)


def test_the_cases_are_those_of_the_goals():
    sizes = {(c.name, c.n_rows, c.n_features, c.density, c.eps, c.goal) for c in LASSO_CASES}
    assert sizes == {
        ("wide", 1000, 10_000, 1.0, 1e-3, 10.0),
        ("short", 200, 20_000, 1.0, 1e-3, 5.0),
        ("sparse", 10_000, 100_000, 1e-3, 1e-3, 3.0),
        ("logistic", 1000, 5000, 1.0, 1e-2, 3.0),
        ("tall", 100_000, 100, 1.0, 1e-3, 1.3),
    }


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
@pytest.mark.parametrize("density", [1.0, 0.2])
def test_the_judge_accepts_solutions_and_sees_errors(family, density):
    case = replace(TINY, family=family, density=density, eps=1e-2)
    X, y = case.data()
    assert case.data()[1].tolist() == y.tolist()
    alphas = case.alphas(X, y)[::10]
    coefs = lasso_peers.pyestim(case, X, y, alphas, 1e-9, 1)
    gaps = relative_gaps(case, X, y, alphas, coefs)
    assert np.all(np.abs(gaps) < 2e-9)
    # A gap bounds the excess of the objective: quadratic in an error of the coefficients.
    worse = relative_gaps(case, X, y, alphas, coefs + 1e-2)
    assert np.all(worse > 1e-5)
    zero = relative_gaps(case, X, y, alphas[:1], np.zeros((30, 1)))
    assert abs(zero[0]) < 1e-12


def test_peers_solve_the_same_problem():
    X, y = TINY.data()
    alphas = TINY.alphas(X, y)[:40]
    tolerance = lasso_peers.TOLERANCES["scikit-learn"][-1]
    coefs = lasso_peers.scikit_learn(TINY, X, y, alphas, tolerance, 1)
    # Its rule is a gap relative to |y|^2, twice our unit.
    assert relative_gaps(TINY, X, y, alphas, coefs).max() <= 2.0 * tolerance


def test_a_run_is_told_with_its_gap():
    record = lasso_worker.main("short", "pyestim", 1e-6, 1, True)
    assert record["points"] == 100 and record["gap"] <= 1e-6 and record["seconds"] > 0


def run(library, seconds, gap, threads=1):
    facts = {"library": library, "tol": 1e-6, "threads": threads}
    return facts | {"seconds": seconds, "gap": gap, "median_gap": gap}


def test_summary_and_tables():
    runs = [
        run("pyestim", 1.0, 1e-14),
        run("pyestim", 0.5, 1e-14, threads=2),
        run("celer", 16.0, 9e-6),
        run("adelie", 20.0, 9e-7),
        run("skglm", 3.0, 1e-2),
        {"library": "glum", "tol": 1e-6, "threads": 1, "failed": "not within 5 s"},
    ]
    record = {"name": "wide", "label": "wide 1000 x 10000", "goal": 10.0, "runs": runs}
    summary = lasso.summarise(record)
    assert (summary["ratio"], summary["near_ratio"]) == (20.0, 16.0)
    assert (summary["loose_ratio"], summary["two_threads"]) == (3.0, 2.0)
    text = lasso_report.tables([record])
    assert "20.0x (goal 10: met)" in text and "not within 5 s" in text
    # Nothing reached the gap: dashes, not an error.
    assert "| - |" in lasso_report.tables([record | {"runs": runs[-1:]}])
