"""Rows of censored regressions: log-likelihood, gradient and curvature of all kinds of limits."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from pyestim import CensoredRegressor
from pyestim.estimators._censored_checks import Responses

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import slow_censored as slow

LAWS = [("normal", 4.0), ("logistic", 4.0), ("t", 4.0), ("t", 0.7), ("t", 60.0)]
IDS = [f"{law}-{df:g}" if law == "t" else law for law, df in LAWS]


def unit_model(law, df, location=0.0, scale=1.0):
    """A model without columns whose parameters are given."""
    model = CensoredRegressor(law, df=df)
    model.n_features_in_, model.coef_ = 0, np.zeros(0)
    model.intercept_, model.scale_, model.df_ = location, scale, df
    return model


def limits():
    """Pairs (a, b): both tails, all widths."""
    for a in (-40.0, -7.0, -1.5, -0.2, 0.0, 0.4, 2.5, 9.0, 40.0):
        for width in (1e-9, 1e-4, 0.03, 0.3, 0.6, 1.7, 12.0, 50.0, np.inf):
            yield a, a + width
    yield from ((-np.inf, b) for b in (-40.0, -3.0, 0.0, 1.2, 8.0))


@pytest.mark.parametrize(("law", "df"), LAWS, ids=IDS)
def test_log_probabilities_have_all_digits(law, df):
    pairs = np.array(list(limits()))
    found = unit_model(law, df).score_samples(None, lower=pairs[:, 0], upper=pairs[:, 1])
    want = np.array([slow.exact_log_probability(law, df, a, b) for a, b in pairs])
    # log f is a product of (df + 1) / 2 and a logarithm, each right to 2 ulp, and the difference of
    # two tails loses up to two digits where the interval is as wide as the law allows there.
    np.testing.assert_allclose(found, want, rtol=4e-14, atol=1e-13 * max(1.0, df))


@pytest.mark.once
@pytest.mark.parametrize(("law", "df"), LAWS, ids=IDS)
def test_derivatives_are_those_of_the_log_likelihood(law, df):
    pairs = np.array([(a, b) for a, b in limits() if abs(a) < 10 and b - a > 1e-5] + [(0.3, 0.3)])
    pairs = np.vstack([pairs, [(-1.0, -1.0), (6.0, 6.0)]])
    found = derivatives(law, df, pairs, 0.2, 1.0)
    step = 1e-4
    # Central differences: the square of the step times a third derivative, rounding over it.
    near = np.abs(np.where(np.isfinite(pairs), pairs, 0.0)).max(axis=1)
    allowed = 2e-7 * (1.0 + near) ** 3
    by_a, by_k = (
        (derivatives(law, df, pairs, *ahead) - derivatives(law, df, pairs, *behind)) / (2 * step)
        for ahead, behind in (
            ((0.2 + step, 1.0), (0.2 - step, 1.0)),
            ((0.2 * (1 + step), 1 + step), (0.2 * (1 - step), 1 - step)),
        )
    )
    by_a[:, 2] -= found[:, 1]  # the way of k begins at another linear predictor
    for column, slope in ((1, by_a[:, 0]), (2, by_k[:, 0]), (3, by_a[:, 1]), (4, by_k[:, 1])):
        assert np.all(np.abs(found[:, column] - slope) <= allowed), column
    for column, slope in ((4, by_a[:, 2]), (5, by_k[:, 2])):
        assert np.all(np.abs(found[:, column] - slope) <= allowed), column


def derivatives(law, df, pairs, a, k):
    """Six numbers of every row, with the linear predictor a and the inverse scale k, by k again."""
    model = unit_model(law, df, a / k, 1.0 / k)
    asked = model._asked(None, None, len(pairs))
    rows = Responses(np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1]))
    each = model._derivatives(asked, rows)
    each[:, [2, 4]] /= k
    each[:, 5] /= k * k
    return each


@pytest.mark.parametrize(("law", "df"), LAWS, ids=IDS)
def test_rows_are_those_of_scipy(law, df):
    rng = np.random.default_rng(0)
    n = 1000
    X = rng.normal(size=(n, 3))
    model = CensoredRegressor(law, df=df)
    model.n_features_in_, model.coef_ = 3, np.array([0.5, -2.0, 1.0])
    model.intercept_, model.scale_, model.df_ = -0.3, 1.7, df
    y = model.predict(X) + rng.normal(size=n)
    kind = rng.integers(0, 4, n)
    lower = np.where(kind == 1, -np.inf, y - (kind == 3) * rng.uniform(0.1, 3.0, n))
    upper = np.where(kind == 2, np.inf, y + (kind == 3) * rng.uniform(0.1, 3.0, n))
    found = model.score_samples(X, lower=lower, upper=upper)
    want = slow.row_log_likelihood(law, df, lower, upper, model.predict(X), 1.7)
    np.testing.assert_allclose(found, want, rtol=1e-11, atol=1e-12)
    probability = model.predict_probability(X, lower=lower, upper=upper)
    np.testing.assert_allclose(probability[kind != 0], np.exp(want[kind != 0]), rtol=1e-11)


@pytest.mark.parametrize("distribution", ["normal", "logistic", "t"])
def test_limits_beyond_all_measure_leave_numbers(distribution):
    lower = np.array([-1e150, -np.inf, 1e150, -1e150, 0.0, 1e149, -1e100])
    upper = np.array([1e150, -1e150, np.inf, -1e149, 1e-300, 1e149, 1e-300])
    model = unit_model(distribution, 4.0)
    found = model.score_samples(None, lower=lower, upper=upper)
    assert np.all(np.isfinite(found))
    assert found[0] == 0.0
