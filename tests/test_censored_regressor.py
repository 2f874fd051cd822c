"""CensoredRegressor: against scipy, in its limits, and on hostile input."""

from __future__ import annotations

import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyestim
from pyestim import CensoredRegressor
from pyestim.models import error_laws

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import slow_censored as slow

pytestmark = pytest.mark.once


# Some of the checks' responses are met without error, which warns.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([CensoredRegressor(), CensoredRegressor("t")])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def problem(law="normal", n=200, df=4.0, seed=0):
    """Rows of all four kinds."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 2)) * [1.0, 3.0] + [0.0, 10.0]
    y = 1.0 + X @ [1.0, -0.5] + 0.7 * slow.law_of(law, df).rvs(n, random_state=rng)
    kind = rng.integers(0, 4, n)
    away = rng.exponential(size=n)
    lower = np.select([kind == 1, kind == 2, kind == 3], [-np.inf, y - away, np.floor(y)], y)
    upper = np.select([kind == 1, kind == 2, kind == 3], [y + away, np.inf, np.floor(y) + 1], y)
    return X, y, lower, upper


@pytest.mark.parametrize(("law", "df"), [("normal", 4.0), ("logistic", 4.0), ("t", 3.0)])
def test_scipy_finds_the_same_maximum(law, df):
    X, _, lower, upper = problem(law)
    rng = np.random.default_rng(1)
    weight, offset = rng.uniform(0.5, 2.0, len(X)), rng.normal(size=len(X))
    data = {"lower": lower, "upper": upper, "sample_weight": weight, "offset": offset}
    model = CensoredRegressor(law, df=df).fit(X, **data)
    beta, scale, best = slow.maximise(law, df, X, lower, upper, weight, offset)
    assert model.report_.trusted
    value = model.log_likelihood(X, **data)
    assert value >= best - 1e-9
    # scipy stops where the objective no longer changes: its root in the parameters.
    np.testing.assert_allclose([model.intercept_, *model.coef_], beta, atol=1e-5)
    np.testing.assert_allclose(model.scale_, scale, rtol=1e-5)


@pytest.mark.parametrize("law", ["normal", "logistic", "t"])
def test_the_gradient_vanishes_at_the_maximum(law):
    X, _, lower, upper = problem(law)
    model = CensoredRegressor(law).fit(X, lower=lower, upper=upper)
    x1 = slow.design(X)

    def value(theta):
        each = slow.row_log_likelihood(law, 4.0, lower, upper, x1 @ theta[:-1], np.exp(theta[-1]))
        return each.sum()

    here = np.array([model.intercept_, *model.coef_, np.log(model.scale_)])
    errors = np.sqrt(np.diag(model.covariance_))
    for way in np.diag(errors):
        step = 1e-4
        slope = (value(here + step * way) - value(here - step * way)) / (2 * step)
        # In standard errors, half the square of a slope is what is still to gain: tol per row.
        assert abs(slope) <= np.sqrt(2 * 1e-12 * len(X))


def test_standard_errors_are_those_of_the_hessian_with_df():
    X, _, lower, upper = problem("t", n=600, df=3.0)
    model = CensoredRegressor("t", df=None).fit(X, lower=lower, upper=upper)
    x1 = slow.design(X)

    def value(theta):
        *beta, log_scale, log_df = theta
        law = ("t", np.exp(log_df))
        return slow.row_log_likelihood(*law, lower, upper, x1 @ beta, np.exp(log_scale)).sum()

    here = np.array([model.intercept_, *model.coef_, np.log(model.scale_), np.log(model.df_)])
    steps = np.diag(0.02 * np.sqrt(np.diag(model.covariance_)))
    hessian = np.array(
        [
            [
                (
                    value(here + a + b)
                    - value(here + a - b)
                    - value(here - a + b)
                    + value(here - a - b)
                )
                / (4 * a.sum() * b.sum())
                for b in steps
            ]
            for a in steps
        ]
    )
    np.testing.assert_allclose(model.covariance_, np.linalg.inv(-hessian), rtol=2e-2, atol=1e-6)
    assert model.n_parameters_ == 5
    low, high = model.conf_int().df
    assert low < 3.0 < high


def test_without_limits_it_is_least_squares():
    X, y, *_ = problem()
    model = CensoredRegressor().fit(X, y)
    coef, *_ = np.linalg.lstsq(slow.design(X), y, rcond=None)
    np.testing.assert_allclose([model.intercept_, *model.coef_], coef, rtol=1e-12)
    gap = y - slow.design(X) @ coef
    np.testing.assert_allclose(model.scale_, np.sqrt(np.mean(gap**2)), rtol=1e-12)
    assert model.score(X, y) == pytest.approx(1 - np.mean(gap**2) / np.var(y), rel=1e-12)
    far = CensoredRegressor().fit(X, y, lower=-1e9, upper=1e9)
    np.testing.assert_allclose(far.coef_, model.coef_, rtol=1e-12)


def test_limits_of_what_is_seen_and_limits_of_rows_are_one_model():
    X, y, *_ = problem()
    tobit = CensoredRegressor().fit(X, np.maximum(y, -3.0), lower=-3.0)
    low = np.where(y <= -3.0, -np.inf, y)
    rows = CensoredRegressor().fit(X, lower=low, upper=np.maximum(y, -3.0))
    np.testing.assert_array_equal(tobit.coef_, rows.coef_)
    assert tobit.n_left_ == np.count_nonzero(y <= -3.0)


@pytest.mark.parametrize("weighted", [False, True])
def test_an_intercept_only_and_no_intercept(weighted):
    X, _, lower, upper = problem()
    weight = np.random.default_rng(2).uniform(size=len(X)) if weighted else None
    data = {"lower": lower, "upper": upper, "sample_weight": weight}
    alone = CensoredRegressor().fit(None, **data)
    beta, scale, _ = slow.maximise("normal", 4.0, X[:, :0], lower, upper, weight)
    np.testing.assert_allclose([alone.intercept_, alone.scale_], [*beta, scale], rtol=1e-5)
    assert alone.coef_.shape == (0,) and alone.predict().shape == (1,)
    through = CensoredRegressor(fit_intercept=False).fit(slow.design(X), **data)
    model = CensoredRegressor().fit(X, **data)
    np.testing.assert_allclose(through.coef_, [model.intercept_, *model.coef_], rtol=1e-7)
    assert through.intercept_ == 0.0
    np.testing.assert_allclose(through.covariance_, model.covariance_, rtol=1e-5)


def test_a_fixed_scale():
    X, _, lower, upper = problem()
    model = CensoredRegressor(scale=0.9).fit(X, lower=lower, upper=upper)
    beta, _, best = slow.maximise("normal", 4.0, X, lower, upper, scale=0.9)
    np.testing.assert_allclose([model.intercept_, *model.coef_], beta, atol=1e-5)
    assert model.scale_ == pytest.approx(0.9, rel=1e-15)
    assert model.log_likelihood(X, lower=lower, upper=upper) >= best - 1e-9
    assert model.n_parameters_ == 3 and model.standard_errors().log_scale == 0.0


def test_weights_are_repetitions_and_rows_that_say_nothing_are_absent():
    X, _, lower, upper = problem()
    times = np.random.default_rng(3).integers(0, 3, len(X))
    counted = CensoredRegressor().fit(X, lower=lower, upper=upper, sample_weight=times)
    again = (np.repeat(array, times, axis=0) for array in (X, lower, upper))
    rows, low, high = again
    repeated = CensoredRegressor().fit(rows, lower=low, upper=high)
    np.testing.assert_allclose(counted.coef_, repeated.coef_, rtol=1e-9)
    np.testing.assert_allclose(counted.covariance_, repeated.covariance_, rtol=1e-7)
    nothing = np.full(5, np.inf)
    more = CensoredRegressor().fit(
        np.vstack([rows, rows[:5]]), lower=np.append(low, -nothing), upper=np.append(high, nothing)
    )
    np.testing.assert_allclose(more.coef_, repeated.coef_, rtol=1e-9)


def test_units_do_not_matter():
    X, _, lower, upper = problem()
    model = CensoredRegressor().fit(X, lower=lower, upper=upper)
    moved = CensoredRegressor().fit(X * 1e-5 + 7, lower=lower * 1e6 - 1e7, upper=upper * 1e6 - 1e7)
    np.testing.assert_allclose(moved.coef_, model.coef_ * 1e11, rtol=1e-8)
    np.testing.assert_allclose(moved.scale_, model.scale_ * 1e6, rtol=1e-8)
    single = CensoredRegressor().fit(X.astype(np.float32), lower=lower, upper=upper)
    double = CensoredRegressor().fit(X.astype(np.float32).astype(float), lower=lower, upper=upper)
    np.testing.assert_allclose(single.coef_, double.coef_, rtol=1e-9)


@pytest.mark.parametrize(("law", "df"), [("normal", 4.0), ("logistic", 4.0), ("t", 3.0)])
def test_predictions(law, df):
    X, _, lower, upper = problem(law)
    model = CensoredRegressor(law, df=df).fit(X, lower=lower, upper=upper)
    e = slow.law_of(law, df)
    location = model.intercept_ + X @ model.coef_
    np.testing.assert_allclose(model.predict(X, offset=np.ones(len(X))), location + 1, rtol=1e-13)
    levels = [0.1, 0.5, 0.99]
    np.testing.assert_allclose(
        model.predict_quantile(X, levels), location[:, None] + model.scale_ * e.ppf(levels)
    )
    np.testing.assert_allclose(model.predict_quantile(X), location)
    few = X[:4]
    for low, high in ((-np.inf, 0.0), (-1.0, 2.0), (0.0, np.inf), (-np.inf, np.inf), (1.0, 1.0)):
        seen = model.predict(few, kind="observed", lower=low, upper=high)
        for i, centre in enumerate(location[:4]):
            y = stats.logistic if law == "logistic" else stats.norm if law == "normal" else stats.t
            y = y(*([df] if law == "t" else []), loc=centre, scale=model.scale_)
            inside = y.expect(lambda v: v, lb=low, ub=high) if low < high else 0.0
            ends = (0.0 if np.isinf(v) else v for v in (low, high))
            want = inside + next(ends) * y.cdf(low) + next(ends) * y.sf(high)
            if low == high:
                want = low
            assert seen[i] == pytest.approx(want, rel=1e-6, abs=1e-7)  # quadrature's accuracy
        probability = model.predict_probability(few, lower=low, upper=high)
        want = e.cdf((high - location[:4]) / model.scale_) - e.cdf(
            (low - location[:4]) / model.scale_
        )
        np.testing.assert_allclose(probability, want, atol=1e-14)


def test_between_limits_every_law_has_a_mean():
    """E max(a, min(Z, b)) is b less the integral of the distribution function."""
    a, b = np.array([-1.0, 0.0, -50.0, -np.inf]), np.array([2.0, 3.0, 7.0, 1.0])
    for df in (0.3, 1.0, 1.0 + 1e-9, 1.01):
        found = error_laws.mean_clipped("t", df, a, b)
        for i in range(3):
            mass, _ = quad(stats.t(df).cdf, a[i], b[i], epsabs=1e-12, points=[0.0])
            assert found[i] == pytest.approx(b[i] - mass, abs=1e-11)
        assert np.isnan(found[3]) == (df <= 1.0)


def test_residuals_are_those_of_survreg():
    X, _, lower, upper = problem()
    model = CensoredRegressor().fit(X, lower=lower, upper=upper)
    data = {"lower": lower, "upper": upper}
    deviance, response = (model.residuals(X, kind=k, **data) for k in ("deviance", "response"))
    exact = lower == upper
    z = response[exact] / model.scale_
    np.testing.assert_allclose(deviance[exact], z, rtol=1e-10)
    one = np.isinf(lower) | np.isinf(upper)
    log_prob = model.score_samples(X, **data)
    np.testing.assert_allclose(np.abs(deviance[one]), np.sqrt(-2 * log_prob[one]), rtol=1e-10)
    np.testing.assert_allclose(model.residuals(X, kind="working", **data)[exact], response[exact])


def test_criteria_and_summary():
    X, _, lower, upper = problem()
    data = {"lower": lower, "upper": upper}
    model = CensoredRegressor().fit(X, **data)
    total = model.log_likelihood(X, **data)
    assert model.aic(X, **data) == pytest.approx(8 - 2 * total)
    assert model.bic(X, **data) == pytest.approx(4 * np.log(len(X)) - 2 * total)
    text = str(model.summary())
    assert "left-" in text and "log(scale)" in text and "x1" in text
    low, high = model.conf_int(0.9).coef.T
    assert np.all(low < model.coef_) and np.all(model.coef_ < high)
    assert 0 < model.score(X, **data) < 1
    assert model.sample(X, random_state=0).shape == (len(X),)


@pytest.mark.parametrize("law", ["normal", "t"])
def test_pickle_clone_and_file(law, tmp_path):
    X, _, lower, upper = problem()
    model = CensoredRegressor(law, df=None).fit(X, lower=lower, upper=upper)
    assert not clone(model).__sklearn_is_fitted__()
    model.save(tmp_path / "model.npz")
    for again in (pickle.loads(pickle.dumps(model)), pyestim.load(tmp_path / "model.npz")):
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert str(again.summary()) == str(model.summary())
        again.set_params(warm_start=True, df=4.0).fit(X, lower=lower, upper=upper)


# -- hostile input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lower": 1.0, "upper": 0.0}, "lower must not be above upper"),
        ({"lower": np.nan, "upper": 1.0}, "lower must hold numbers"),
        ({"lower": np.inf, "upper": np.inf}, "lower must hold numbers"),
        ({"lower": 0.0}, "requires y to be passed"),
        ({"lower": np.zeros(3), "upper": 1.0}, "must be a number or have the shape"),
        ({"lower": 0.0, "upper": np.inf}, "all 50 rows are right-censored"),
        ({"lower": -np.inf, "upper": 2.0}, "all 50 rows are left-censored"),
        ({"lower": -np.inf, "upper": np.inf}, "none of 50"),
        ({"y": np.zeros(50), "lower": 0.0}, "all 50 rows are left-censored"),
        ({"y": np.arange(50.0), "offset": np.ones(3)}, "offset must have the shape"),
        ({"y": np.arange(50.0), "sample_weight": np.zeros(50)}, "zero for every row"),
        ({"y": np.append(1e300, np.arange(49.0))}, "Rescale the column"),
    ],
)
def test_bad_data_are_refused_in_words(change, message):
    X = np.random.default_rng(0).normal(size=(50, 2))
    with pytest.raises(ValueError, match=message):
        CensoredRegressor().fit(X, **change)


@pytest.mark.parametrize(
    "arguments",
    [{"distribution": "cauchy"}, {"df": 0.0}, {"scale": -1.0}, {"tol": -1.0}, {"max_iter": 1.5}],
)
def test_bad_arguments_are_refused_in_words(arguments):
    with pytest.raises(ValueError, match="CensoredRegressor: "):
        CensoredRegressor(**arguments).fit(np.ones((3, 1)), [1.0, 2.0, 3.0])


def test_questions_before_the_fit_and_bad_questions():
    with pytest.raises(NotFittedError):
        CensoredRegressor().predict(np.ones((2, 1)))
    X, y, *_ = problem()
    model = CensoredRegressor().fit(X, y)
    for call in (
        lambda: model.predict(X, kind="mean"),
        lambda: model.predict_quantile(X, 1.0),
        lambda: model.residuals(X, y, kind="pearson"),
        lambda: model.conf_int(95),
        lambda: model.predict(None),
        lambda: model.score(X, lower=np.zeros(len(X)), upper=np.ones(len(X))),
    ):
        with pytest.raises(ValueError, match="CensoredRegressor: "):
            call()


def finite(model):
    return np.all(np.isfinite([model.intercept_, *model.coef_, model.scale_]))


@pytest.mark.parametrize("law", ["normal", "logistic", "t"])
def test_a_likelihood_without_maximum_is_reported(law):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(30, 1))
    regressor = CensoredRegressor(law)
    for y in (np.full(30, 2.5), 3 * X[:, 0] + 1):
        with pytest.warns(ConvergenceWarning, match="the scale goes to zero"):
            assert finite(regressor.fit(X, y))
        assert "no maximum" in str(regressor.report_)
        assert np.isnan(regressor.standard_errors().log_scale)  # a bound holds it
    with pytest.warns(ConvergenceWarning, match="the scale goes to zero"):
        assert finite(regressor.fit(rng.normal(size=(5, 9)), rng.normal(size=5)))
    side = X[:, 0] > 0
    with pytest.warns(ConvergenceWarning, match="no maximum|scale grows|limits alone"):
        regressor.fit(X, lower=np.where(side, 0.0, -np.inf), upper=np.where(side, np.inf, 0.0))
    assert finite(regressor)
    side = X[:, 0] + rng.normal(size=30) > 0  # one threshold: a probit model
    with pytest.warns(ConvergenceWarning, match="limits alone do not tell the scale"):
        regressor.fit(X, lower=np.where(side, 0.0, -np.inf), upper=np.where(side, np.inf, 0.0))


def test_columns_that_are_combinations_of_others():
    X, _, lower, upper = problem()
    wide = np.column_stack([X, X @ [1.0, 1.0], np.ones(len(X))])
    data = {"lower": lower, "upper": upper}
    model, plain = CensoredRegressor().fit(wide, **data), CensoredRegressor().fit(X, **data)
    np.testing.assert_allclose(model.predict(wide), plain.predict(X), rtol=1e-7)
    assert "combinations" in str(model.report_)
    errors = model.standard_errors()
    assert np.isnan(errors.coef[0]) and errors.log_scale == pytest.approx(
        plain.standard_errors().log_scale, rel=1e-6
    )


@pytest.mark.parametrize("law", ["normal", "logistic", "t"])
def test_outliers_and_far_limits_leave_numbers(law):
    X, y, *_ = problem()
    far = y.copy()
    far[0] = 1e12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert finite(CensoredRegressor(law).fit(X, far))
        upper = np.where(np.arange(len(y)) % 3 == 0, 1e100, y)
        assert finite(CensoredRegressor(law).fit(X, lower=y, upper=upper))
        narrow = CensoredRegressor(law).fit(X, lower=y, upper=np.nextafter(y, np.inf))
    assert finite(narrow)
    np.testing.assert_allclose(narrow.coef_, CensoredRegressor(law).fit(X, y).coef_, rtol=1e-6)


@pytest.mark.parametrize("law", ["normal", "logistic", "t"])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_newton_steps_from_far_away_are_shortened_until_they_climb(law, scale):
    X, _, lower, upper = problem(law)
    data = {"lower": lower, "upper": upper}
    model = CensoredRegressor(law).fit(X, **data)
    far = CensoredRegressor(law, warm_start=True)
    far.intercept_, far.coef_, far.scale_ = 50.0, np.array([-9.0, 9.0]), scale
    far.fit(X, **data)
    assert far.report_.accelerator == "newton"
    assert far.report_.trusted
    np.testing.assert_allclose(far.coef_, model.coef_, rtol=1e-5)
    np.testing.assert_allclose(far.lower_bound_, model.lower_bound_, rtol=1e-11)


def test_the_iteration_limit_warns():
    X, _, lower, upper = problem()
    with pytest.warns(ConvergenceWarning, match="raise max_iter.*to come after 1 .*e-12.$"):
        CensoredRegressor(max_iter=1).fit(X, lower=lower, upper=upper)
