"""Several classes: the matrix of all of them and rounds over the classes find the same minimum."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from pyestim.data.design import Design
from pyestim.penalised import newton_classes
from pyestim.penalised.datafit_multinomial import Multinomial
from pyestim.penalised.gap import kkt_violation
from pyestim.penalised.newton import newton_path
from pyestim.penalised.problem import Problem, lambda_max

pytestmark = pytest.mark.once

N, P, K = 80, 6, 3
OPTIONS = {
    "plain": {},
    "no_intercept": {"fit_intercept": False},
    "ridge": {"l2": np.full(P, 0.3)},
    "free_column": {"l1": np.arange(P) * 0.4},
    "box": {"lower": np.full(P, -0.3), "upper": np.full(P, 0.5)},
    "sparse": {"store": sparse.csc_array},
}


def make(*, store=np.asarray, fit_intercept=True, l1=None, l2=None, **bounds):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(N, P)) * (rng.uniform(size=(N, P)) < 0.7)
    y = np.argmax(X[:, :K] + rng.gumbel(size=(N, K)), axis=1)
    design = Design(store(X), np.full(N, 1 / N), centre=fit_intercept)
    l1, l2 = np.ones(P) if l1 is None else l1, np.zeros(P) if l2 is None else l2
    return Problem(design, Multinomial(y), l1, l2, **bounds, fit_intercept=fit_intercept)


def last(problem, alphas, warm=None):
    gap = 1e-12 * problem.scale
    *_, point = newton_path(problem, np.asarray(alphas), gap, 200, warm=warm)
    assert point.gap <= gap
    beta = np.zeros((P, K))
    beta[point.columns] = point.coef
    return point, beta


@pytest.mark.parametrize("option", OPTIONS)
def test_matrix_and_rounds_over_the_classes_agree(option, monkeypatch):
    problem = make(**OPTIONS[option])
    alphas = lambda_max(problem) * np.array([0.5, 0.1])
    point, beta = last(problem, alphas)
    assert kkt_violation(problem.at(point.alpha), beta, point.intercept) <= 1e-6
    assert last(problem, alphas[1:])[1] == pytest.approx(beta, abs=1e-6)
    assert last(problem, alphas[1:], point)[1] == pytest.approx(beta, abs=1e-6)
    monkeypatch.setattr(newton_classes, "MOST_EXACT_COEFFICIENTS", 0)
    assert last(problem, alphas)[1] == pytest.approx(beta, abs=1e-6)


@pytest.mark.parametrize("share", [1e-2, 1e-4, 1e-8])
def test_cold_starts_take_few_steps(share):
    problem = make()
    point, beta = last(problem, [share * lambda_max(problem)])
    assert point.n_iter <= 20
    assert kkt_violation(problem.at(point.alpha), beta, point.intercept) <= 1e-8
