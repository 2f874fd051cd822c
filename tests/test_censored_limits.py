"""CensoredGaussianMixture: what bounds leave open, and how users are told."""

from __future__ import annotations

import numpy as np
import pytest
from blobs import blobs
from sklearn.exceptions import ConvergenceWarning

from pyestim import CensoredGaussianMixture
from pyestim.estimators import censored_mixture

pytestmark = pytest.mark.once

ONE, TWO = np.zeros(50), np.repeat([0.0, 1.0], 25)
SIGNS = np.where(np.random.default_rng(16).normal(size=90) > 0.0, 0.0, -np.inf)
TAIL = np.random.default_rng(17).exponential(size=(300, 1))
SAME, UNKNOWN = "all cells of column 0 may have the same value", "rows do not determine"


@pytest.mark.parametrize(
    ("k", "data", "words"),
    [
        (1, {"lower": SIGNS, "upper": np.where(SIGNS == 0.0, np.inf, 0.0)}, SAME),
        (1, {"lower": ONE, "upper": ONE + 1.0}, SAME),
        (1, {"lower": TWO, "upper": TWO + 1.0}, SAME),
        (2, {"lower": [0, 1], "upper": [1, 2], "sample_weight": [10, 20]}, UNKNOWN),
        (2, {"lower": [0, 1, 2], "upper": [1, 2, 3], "sample_weight": [10, 20, 10]}, UNKNOWN),
        (1, {"X": TAIL, "trunc_lower": 0.0}, UNKNOWN),
    ],
)
def test_what_the_rows_do_not_determine_is_told(k, data, words):
    """Signs, one bin, two that touch, fewer bins than parameters, a component that leaves."""
    mixture = CensoredGaussianMixture(k, random_state=0, tol=1e-6, max_iter=20000)
    with pytest.warns(ConvergenceWarning, match=words):
        mixture.fit(**data)
    assert mixture.converged_ and not mixture.report_.trusted
    assert np.isfinite(mixture.means_).all() and np.isfinite(mixture.covariances_).all()


def test_what_the_variance_floor_holds_is_told_once():
    """A column that does not vary beside one of intervals."""
    x = np.random.default_rng(19).normal(size=200)
    lower, upper = (np.column_stack([x + width, np.ones(200)]) for width in (0.0, 0.1))
    mixture = CensoredGaussianMixture().fit(lower=lower, upper=upper)
    (line,) = mixture.report_.diagnosis
    assert "variance floor in 1 direction" in line


def test_some_of_many_rows_tell_what_is_known(monkeypatch):
    """The same verdict from a share of the rows, which boxes and weights follow."""
    rng = np.random.default_rng(18)
    X = rng.normal(size=(400, 1))
    weight = rng.integers(0, 3, 400)
    box = np.where(rng.random((400, 1)) < 0.5, -np.inf, X - 1.0)
    options = {"upper": np.where(X > 1.0, np.inf, X), "trunc_lower": box}
    monkeypatch.setattr(censored_mixture, "SAMPLE_ROWS", 60)
    mixture = CensoredGaussianMixture(tol=1e-9, max_iter=1000)
    assert mixture.fit(X, None, weight, **options).report_.trusted
    # One row in five hundred tells the unit; where a share misses it, all rows are asked.
    signs = np.append(np.tile(SIGNS, 6), 0.5)
    upper = np.where(np.isinf(signs), 0.0, np.append(np.full(len(signs) - 1, np.inf), 3.0))
    assert mixture.fit(lower=signs, upper=upper).report_.trusted


def test_errors_that_are_not_known_say_why():
    signs = {"lower": SIGNS, "upper": np.where(np.isinf(SIGNS), 0.0, np.inf)}
    mixture = CensoredGaussianMixture(max_iter=0).fit(**signs)
    with pytest.warns(ConvergenceWarning, match="errors are NaN where the likelihood is flat"):
        errors = mixture.standard_errors(**signs)
    assert np.isnan(errors.covariances).all()


def test_the_limit_of_iterations_advises_once():
    X = blobs()
    with pytest.warns(ConvergenceWarning) as told:
        CensoredGaussianMixture(2, random_state=0, max_iter=1).fit(X, upper=X + 1.0)
    (message,) = (str(one.message) for one in told)
    assert message.count("max_iter") == 1 and "init" not in message


def test_queries_know_the_boxes_of_rows():
    """A cell that is cut to a box says what the cut cell says."""
    X = blobs(50, 1)
    mixture = CensoredGaussianMixture(2, random_state=0).fit(X)
    cell = {"lower": np.full((50, 1), -np.inf), "upper": X + 1.0}
    cut = {"lower": X - 1.0, "upper": X + 1.0}
    mixture.set_params(max_iter=0)
    for ask in (mixture.predict, mixture.predict_proba, mixture.impute):
        assert np.array_equal(ask(**cell, trunc_lower=X - 1.0), ask(**cut))
    assert np.array_equal(
        mixture.fit_predict(**cell, trunc_lower=X - 1.0),
        mixture.predict(**cell, trunc_lower=X - 1.0),
    )


@pytest.mark.parametrize("far", [1e4, 1e6, 1e30, 1e300])
def test_a_bound_beyond_everything_is_no_bound(far):
    """Half of the rows below zero, whose lower bound stands for none, moved and in other units."""
    rng = np.random.default_rng(15)
    y = rng.normal(size=300)
    for at, unit in ((0.0, 1.0), (7.0, 1e-3)):
        upper = np.maximum(y, 0.0) * unit + at
        fits = [
            CensoredGaussianMixture(tol=1e-9, max_iter=1000).fit(
                lower=np.where(y > 0.0, upper, bound), upper=upper
            )
            for bound in (-far, -np.inf)
        ]
        # Both are within tol of the maximum: sqrt(2 tol) standard deviations from it.
        assert np.allclose(fits[0].means_, fits[1].means_, rtol=0.0, atol=1e-4 * unit)
        assert fits[0].report_.trusted
