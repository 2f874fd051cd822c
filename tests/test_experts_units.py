"""Mixtures of experts whatever the units, offsets and types of their columns."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pyestim import MixtureOfExpertsClassifier, MixtureOfExpertsRegressor, moe_lasso_path
from pyestim.models import expert_space

pytestmark = pytest.mark.once


def rows(n=300):
    rng = np.random.RandomState(0)
    X = rng.normal(size=(n, 2))
    right = rng.uniform(size=n) < expit(1 + 2 * X[:, 0])
    y = np.where(right, 1 + X @ [1.0, -1.0], -1 + X @ [-0.5, 0.5]) + 0.3 * rng.normal(size=n)
    return X, y


@pytest.mark.parametrize("unit", [1e-100, 2.0**-20, 2.0**20])
def test_units_of_the_columns_do_not_matter(unit):
    """The ridge that keeps a gate finite is small in all of them, and so is that of labels."""
    X, y = rows(600)
    for model, response in (
        (MixtureOfExpertsRegressor(2, gate_l2=1e-3, n_init=1, random_state=0), y),
        (MixtureOfExpertsClassifier(2, expert_l2=1e-3, n_init=1, random_state=0), y > 0),
    ):
        plain = model.fit(X, response).gate_coef_
        moved = model.fit(X * unit, response).gate_coef_ * unit
        # Powers of two change no digit; others round the data by 1e-16, which the end of the fit
        # at a gain of 1e-6 magnifies to its square root at most.
        np.testing.assert_allclose(moved, plain, rtol=1e-3)


@pytest.mark.parametrize("unit", [1e-130, 1e130])
def test_standard_errors_follow_the_unit_of_the_response(unit):
    """Variances of variances are fourth powers, which no double holds."""
    X, y = rows()
    model = MixtureOfExpertsRegressor(2, n_init=1, random_state=0)
    plain = model.fit(X, y).standard_errors(X, y)
    moved = model.fit(X, y * unit).standard_errors(X, y * unit)
    for name in ("expert_intercept", "expert_coef", "expert_scale"):
        # Differences with a step of 1e-4 leave its square.
        np.testing.assert_allclose(getattr(moved, name) / unit, getattr(plain, name), rtol=1e-6)
    np.testing.assert_allclose(moved.gate_coef, plain.gate_coef, rtol=1e-6)


def test_covariates_of_the_gate_keep_their_digits_beside_narrow_predictors():
    X, y = rows()
    narrow = X.astype(np.float32)
    model = MixtureOfExpertsRegressor(2, n_init=1, random_state=0)
    plain = model.fit(narrow, y, X[:, :1]).gate_proba(narrow, X[:, :1])
    far = X[:, :1] + 2.0**20  # a float32 has steps of an eighth there
    moved = model.fit(narrow, y, far).gate_proba(narrow, far)
    np.testing.assert_allclose(moved, plain, atol=1e-6)


def test_experts_without_rows_are_named_once():
    X, y = np.repeat([[0.0], [1.0], [2.0]], 20, axis=0), np.repeat([1.0, 2.0, 5.0], 20)
    said = MixtureOfExpertsRegressor(5, random_state=0).fit(X, y).report_.diagnosis
    assert len(set(said)) == len(said)
    assert any("holds 0 of 60 rows" in line for line in said)
    assert not any("fits its 0 rows" in line for line in said)


def test_counts_far_away_have_quantiles_and_samples():
    """Means of an extrapolation, up to the end of the doubles."""
    rng = np.random.RandomState(0)
    X = rng.normal(size=(300, 1))
    y = rng.poisson(np.exp(X[:, 0])).astype(float)
    model = MixtureOfExpertsRegressor(1, family="poisson", random_state=0).fit(X, y)
    far = np.array([[-50.0], [20.0], [100.0], [500.0]])
    mean = model.predict(far)
    assert mean[3] > 1e150
    # Medians of Poisson counts lie within one of their mean, samples within a few deviations.
    assert np.all(np.abs(model.predict_quantile(far, 0.5) - mean) <= 1 + 1e-9 * mean)
    assert np.all(np.abs(model.sample(far)[0] - mean) <= 1 + 10 * np.sqrt(mean) + 1e-9 * mean)
    with pytest.raises(ValueError, match=r"at most 1e\+100, got 1e\+150"):
        model.fit(X, np.where(y > 0, 1e150, 0.0))


@pytest.mark.parametrize("wide", [1, 1000])
@pytest.mark.parametrize("unit", [2.0**-320, 2.0**320])
def test_paths_follow_the_units_of_the_columns(unit, wide, monkeypatch):
    monkeypatch.setattr(expert_space, "WIDE", wide)
    X, y = rows(100)
    arguments = {"n_penalties": 2, "eps": 0.2, "n_init": 1, "random_state": 0}
    plain, moved = moe_lasso_path(X, y, **arguments), moe_lasso_path(X * unit, y, **arguments)
    # Powers of two change no digit.
    np.testing.assert_allclose(moved.expert_l1 / unit, plain.expert_l1, rtol=1e-9)
    np.testing.assert_allclose(moved.expert_coef * unit, plain.expert_coef, rtol=1e-9)


@pytest.mark.parametrize("share", [False, True])
def test_ridges_count_in_standard_errors_as_in_the_objective(share):
    """One expert: derivatives of the penalised likelihood by hand."""
    X, y = rows(200)
    X, l2 = (X - X.mean(axis=0)) / X.std(axis=0), 0.5
    model = MixtureOfExpertsRegressor(1, expert_l2=l2, share_scale=share, tol=1e-12).fit(X, y)
    b, v = model.expert_coef_[0], model.expert_scale_[0] ** 2
    e = y - model.predict(X)
    slope = np.append(X.T @ e, 0) - np.append(l2 * len(X) * b, 0)  # the score, times v
    information = np.zeros((3, 3))
    information[:2, :2] = (X.T @ X + l2 * len(X) * np.eye(2)) / v
    information[:2, 2] = information[2, :2] = slope[:2] / v**2
    information[2, 2] = (e @ e + l2 * len(X) * b @ b) / v**3 - len(X) / (2 * v**2)
    expected = np.sqrt(np.linalg.inv(information).diagonal())
    found = model.standard_errors(X, y)
    # Differences leave the square of their step, 1e-4.
    np.testing.assert_allclose(found.expert_coef[0], expected[:2], rtol=1e-5)
    np.testing.assert_allclose(found.expert_scale[0] * 2 * np.sqrt(v), expected[2], rtol=1e-5)


@pytest.mark.parametrize("kind", ["regressor", "outputs", "classifier"])
def test_intervals_are_standard_errors_about_the_estimates(kind):
    X, y = rows()
    if kind == "outputs":
        y = np.column_stack([y, X[:, 0] - y + np.random.RandomState(1).normal(size=len(y))])
    model = MixtureOfExpertsRegressor(2, gate_l2=1e-3, n_init=1, random_state=0)
    if kind == "classifier":
        model, y = MixtureOfExpertsClassifier(2, expert_l2=1e-3, n_init=1, random_state=0), y > 0
    model.fit(X, y)
    errors, found = model.standard_errors(X, y), model.conf_int(X, y, level=0.9)
    z = 1.6448536269514722  # of both tails together 0.1
    for name in ("gate_intercept", "gate_coef", "expert_intercept", "expert_coef"):
        estimate, low, high = getattr(model, f"{name}_"), *np.moveaxis(getattr(found, name), -1, 0)
        np.testing.assert_allclose((low + high) / 2, estimate, rtol=1e-12)
        np.testing.assert_allclose(high - low, 2 * z * getattr(errors, name), rtol=1e-12)
    if kind == "classifier":
        assert found.expert_scale is None
    else:
        low, high = np.moveaxis(found.expert_scale, -1, 0)
        np.testing.assert_allclose(np.sqrt(low * high), model.expert_scale_, rtol=1e-12)
        spread = errors.expert_scale / model.expert_scale_
        np.testing.assert_allclose(np.log(high / low), 2 * z * spread, rtol=1e-10)
    with pytest.raises(ValueError, match="level must be a number between 0 and 1, got 95"):
        model.conf_int(X, y, level=95)
