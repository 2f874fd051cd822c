"""Proximal Newton: reference cases, an independent solver, certificates, hostile problems."""

from __future__ import annotations

import numpy as np
import pytest
from lasso_cases import cases, problem_of

from pyestim.penalised.newton import newton_path

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
