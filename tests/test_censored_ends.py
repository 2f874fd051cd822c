"""How fits of censored regressions end: what no row tells, bounds, limits that are none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pyestim import CensoredRegressor

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def rows():
    """Predictors and exact responses."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    return X, X @ [1.0, 2.0] + rng.normal(size=200)


@pytest.mark.parametrize("limit", ["one", "far", "of the columns", "of the offset"])
@pytest.mark.parametrize("law", ["normal", "t"])
def test_a_scale_that_one_limit_cannot_tell_is_held_at_one(rows, law, limit):
    """A probit model: all multiples of the distance from the limit have one likelihood."""
    X, y = rows
    at = {"one": 0.0, "far": 1e4, "of the columns": X @ [1.0, 0.5], "of the offset": 0.0}[limit]
    offset = 1.0 - X[:, 0] if limit == "of the offset" else np.zeros(len(X))
    data = {"lower": np.where(y > 0, at, -np.inf), "upper": np.where(y > 0, np.inf, at)}
    with pytest.warns(ConvergenceWarning, match="limits alone do not tell the scale.* scale=1 if"):
        found = CensoredRegressor(law).fit(X, **data, offset=offset)
    given = CensoredRegressor(law, scale=1.0).fit(X, **data, offset=offset)
    assert found.scale_ == 1.0
    assert "the scale is held at 1" in str(found.report_) and given.report_.trusted
    np.testing.assert_allclose(found.coef_, given.coef_, rtol=1e-7)
    errors = found.standard_errors()
    np.testing.assert_allclose(errors.coef, given.standard_errors().coef, rtol=1e-7)
    assert np.isnan(errors.log_scale) and found.n_parameters_ == given.n_parameters_ == 3


def test_two_limits_tell_the_scale(rows):
    X, y = rows
    at = np.where(np.arange(len(y)) % 2, 0.0, 1.0)
    model = CensoredRegressor().fit(
        X, lower=np.where(y > at, at, -np.inf), upper=np.where(y > at, np.inf, at)
    )
    assert model.report_.trusted and 0.5 < model.scale_ < 2.0


def test_degrees_of_freedom_at_their_bound_are_told(rows):
    X, y = rows
    with pytest.warns(ConvergenceWarning, match="upper bound of 1000.*distribution="):
        model = CensoredRegressor("t", df=None).fit(X, np.maximum(y, 0.0), lower=0.0)
    assert "upper bound" in str(model.report_) and not model.report_.trusted
    errors = model.standard_errors()
    assert np.isnan(errors.log_df) and np.isfinite([*errors.coef, errors.log_scale]).all()


@pytest.mark.parametrize("far", [1e4, 1e9, 1e30, 1e139, 1e300, 1.7e308])
@pytest.mark.parametrize("law", ["normal", "logistic", "t"])
def test_a_finite_limit_beyond_everything_is_none(rows, law, far):
    X, y = rows
    for sign, at, unit in ((1.0, 0.0, 1.0), (-1.0, 5.0, 1e-3)):
        near = sign * np.maximum(y, 0.0) * unit + at
        fits = []
        for bound in (sign * far, sign * np.inf):
            ends = np.sort([np.where(y > 0.0, near, -bound), near], axis=0)
            fits.append(CensoredRegressor(law).fit(X, lower=ends[0], upper=ends[1]))
        # What Student's law has beyond the nearest of these limits: (4 / 1e4)^4.
        np.testing.assert_allclose(fits[0].coef_, fits[1].coef_, rtol=1e-6)
        np.testing.assert_allclose(fits[0].scale_, fits[1].scale_, rtol=1e-6)
        assert fits[0].report_.trusted


@pytest.mark.parametrize("far", [1e30, 1e300, 1.7e308])
def test_limits_that_say_nothing(rows, far):
    X, y = rows
    each = np.full(len(X), far)
    for low, high, message in (
        (-each, y, "all 200 rows are left-censored"),
        (y, each, "all 200 rows are right-censored"),
    ):
        with pytest.raises(ValueError, match=message):
            CensoredRegressor().fit(X, lower=low, upper=high)
    some = np.arange(len(X)) % 2 == 0
    model = CensoredRegressor().fit(X, lower=np.where(some, -far, y), upper=np.where(some, far, y))
    half = CensoredRegressor().fit(X[~some], y[~some])
    np.testing.assert_allclose(model.coef_, half.coef_, rtol=1e-6)
    if far < 1e140:
        return
    with pytest.raises(ValueError, match=r"none of 200: nothing .* 1e\+140 counts as none"):
        CensoredRegressor().fit(X, lower=-each, upper=each)


def test_degrees_of_freedom_of_rows_without_error_are_numbers():
    model = CensoredRegressor("t", df=None)
    with pytest.warns(ConvergenceWarning, match="the scale goes to zero"):
        model.fit(np.arange(30.0)[:, None], np.full(30, 2.5))
    assert np.isfinite([*model.coef_, model.intercept_, model.scale_, model.df_]).all()
