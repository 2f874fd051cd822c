"""Mean losses: derivatives, conjugates, extremes, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.penalised.datafit import Binomial, Gamma, Gaussian, Poisson

pytestmark = pytest.mark.once

N = 40
ROWS = {
    "gaussian": (Gaussian, lambda rng: rng.normal(size=N)),
    "binomial": (Binomial, lambda rng: rng.integers(0, 2, N)),
    "shares": (Binomial, lambda rng: rng.integers(0, 6, N) / 5),
    "poisson": (Poisson, lambda rng: rng.poisson(1.0, N)),
    "gamma": (Gamma, lambda rng: rng.gamma(2.0, size=N)),
}


@pytest.fixture(params=ROWS)
def case(request):
    rng = np.random.default_rng(0)
    family, draw = ROWS[request.param]
    weight = rng.uniform(size=N)
    weight[3] = 0.0
    return family(draw(rng), weight), rng.normal(size=N)


def test_gradient_and_hessian_are_derivatives_of_the_value(case):
    datafit, eta = case
    direction = np.random.default_rng(1).normal(size=eta.shape)
    # Central differences: the error is h^2 / 6 times a third derivative below 10, and eps / h.
    h = 1e-5
    up, down = datafit.quadratic(eta + h * direction), datafit.quadratic(eta - h * direction)
    _, gradient, curvature = datafit.quadratic(eta)
    assert (up[0] - down[0]) / (2 * h) == pytest.approx(np.vdot(gradient, direction), abs=1e-9)
    assert (up[1] - down[1]) / (2 * h) == pytest.approx(curvature * direction, abs=1e-9)
    assert datafit.hessian_times(eta, direction) == pytest.approx(curvature * direction, rel=1e-14)
    assert datafit.value(eta) == pytest.approx(datafit.quadratic(eta)[0], rel=1e-15)
    assert np.array_equal(datafit.gradient(eta), gradient)


def test_conjugate_meets_the_inequality_of_fenchel_and_young(case):
    datafit, eta = case
    rng = np.random.default_rng(2)
    theta = datafit.gradient(eta)
    # Equality at the gradient; sums of 40 terms of order one.
    found = datafit.conjugate(theta) + datafit.value(eta)
    assert found == pytest.approx(np.vdot(theta, eta), abs=1e-13)
    for _ in range(20):
        other = eta + rng.normal(size=eta.shape)
        for scale in (0.0, 0.5, 1.0):
            bound = np.vdot(scale * theta, other) - datafit.value(other)
            assert datafit.conjugate(scale * theta) >= bound - 1e-13
    tilt = 1e-3 * rng.normal(size=eta.shape)
    tilted = 0.7 * (theta - datafit.hessian_times(eta, tilt))
    expected = datafit.conjugate(tilted)
    assert datafit.dual_value(eta, 0.7, tilt) == pytest.approx(expected, abs=1e-14)


def test_saturated_is_the_infimum(case):
    datafit, eta = case
    rng = np.random.default_rng(3)
    assert all(
        datafit.value(3 * rng.normal(size=eta.shape)) >= datafit.saturated for _ in range(50)
    )
    assert -datafit.conjugate(np.zeros_like(eta)) == pytest.approx(datafit.saturated, abs=1e-15)


@pytest.mark.parametrize("size", [40.0, 800.0, 1e6, 1e300])
def test_extreme_predictors_neither_overflow_nor_make_nan(case, size):
    datafit, eta = case
    if datafit.name == "gaussian" and size > 1e6:
        pytest.skip("the square of 1e300 is infinite in truth")
    with np.errstate(all="raise", under="ignore"):
        value, gradient, curvature = datafit.quadratic(size * np.sign(eta))
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert np.isfinite(curvature).all() and (curvature >= 0).all()


def test_logistic_loss_keeps_its_digits_in_the_tails():
    datafit = Binomial([1.0, 0.0])
    # log(1 + e^-50) and its derivative, which 1 - expit(50) would lose.
    assert datafit.value(np.array([50.0, -50.0])) == pytest.approx(np.exp(-50), rel=1e-15)
    assert datafit.gradient(np.array([50.0, -50.0])) == pytest.approx(
        np.array([-0.5, 0.5]) * np.exp(-50), rel=1e-15
    )


def test_a_weight_is_a_repeated_row():
    y, eta = np.array([0.0, 2.0, 5.0]), np.array([0.3, -0.2, 1.1])
    weighted = Poisson(y, [1, 2, 3])
    repeated = Poisson(np.repeat(y, [1, 2, 3]))
    assert weighted.value(eta) == pytest.approx(
        repeated.value(np.repeat(eta, [1, 2, 3])), rel=1e-15
    )


@pytest.mark.parametrize(
    ("family", "y", "message"),
    [
        (Binomial, [0.0, 1.5], "between 0 and 1, got 1.5 in row 1"),
        (Poisson, [0.0, -1.0], ">= 0, got -1.0 in row 1"),
        (Gamma, [1.0, 0.0], "> 0, got 0.0 in row 1"),
        (Gaussian, [1.0, np.nan], "finite, got nan in row 1"),
        (Gaussian, [[1.0, 2.0]], "shape"),
    ],
)
def test_responses_out_of_range_are_named(family, y, message):
    with pytest.raises(ValueError, match=message):
        family(y)


@pytest.mark.parametrize("weight", [[0.0, 0.0], [1.0, -1.0], [1.0], [np.nan, 1.0]])
def test_useless_weights_are_refused(weight):
    with pytest.raises(ValueError, match="sample_weight: expected 2 numbers"):
        Gaussian([1.0, 2.0], weight)


def test_one_class_has_no_intercept():
    assert "only y = 1" in Binomial([1.0, 1.0, 0.0], [1, 1, 0]).impossible_null()
    assert "y = 0 in all" in Poisson([0.0, 0.0]).impossible_null()
    assert not Binomial([0.5, 0.5]).impossible_null()
