"""Mean losses: derivatives, conjugates, extremes, and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.penalised.datafit import Binomial, Gamma, Gaussian, Poisson
from pyestim.penalised.datafit_cox import Cox
from pyestim.penalised.datafit_multinomial import Multinomial
from pyestim.penalised.families import FAMILIES, make_datafit

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
    assert datafit.dual_value(tilted / 0.7, 0.7, eta, tilt) == pytest.approx(expected, abs=1e-14)


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


# -- several outputs, and rows that depend on each other -------------------------------------------

COUPLED = {
    "multinomial": lambda rng, w: (Multinomial(rng.integers(0, 3, N), w), (N, 3)),
    "shares": lambda rng, w: (Multinomial(rng.dirichlet([0.5, 1, 2], N), w), (N, 3)),
    "breslow": lambda rng, w: (Cox(survival(rng), w), (N,)),
    "efron": lambda rng, w: (Cox(survival(rng), w, ties="efron"), (N,)),
}


def survival(rng):
    """Times with many ties, also between events and censored rows."""
    return np.stack([rng.integers(0, 9, N), rng.uniform(size=N) < 0.6], axis=1)


@pytest.fixture(params=COUPLED)
def coupled(request):
    rng = np.random.default_rng(0)
    weight = rng.uniform(size=N)
    weight[3] = 0.0
    datafit, shape = COUPLED[request.param](rng, weight)
    return datafit, rng.normal(size=shape)


def test_coupled_derivatives(coupled):
    datafit, eta = coupled
    direction = np.random.default_rng(1).normal(size=eta.shape)
    h = 1e-5
    up, down = datafit.quadratic(eta + h * direction), datafit.quadratic(eta - h * direction)
    value, gradient, bound = datafit.quadratic(eta)
    assert (up[0] - down[0]) / (2 * h) == pytest.approx(np.vdot(gradient, direction), abs=1e-9)
    curved = datafit.hessian_times(eta, direction)
    assert (up[1] - down[1]) / (2 * h) == pytest.approx(curved, abs=1e-9)
    assert datafit.value(eta) == pytest.approx(value, rel=1e-14)
    assert datafit.gradient(eta) == pytest.approx(gradient, abs=1e-16)
    # The diagonal: a class's own block, or a bound of all.
    factor = 2.0 if datafit.name == "multinomial" else 1.0
    assert np.vdot(direction, curved) <= factor * np.vdot(direction, bound * direction)


def test_coupled_dual_values(coupled):
    datafit, eta = coupled
    rng = np.random.default_rng(2)
    gradient = datafit.gradient(eta)
    assert datafit.dual_value(gradient, 1.0, eta, None) + datafit.value(eta) == pytest.approx(
        np.vdot(gradient, eta), abs=1e-13
    )
    assert datafit.dual_value(gradient, 0.0, eta, None) == pytest.approx(
        -datafit.saturated, abs=1e-13
    )
    for size in (0.0, 0.05, 0.2):
        tilt = size * rng.uniform(-1, 1, size=eta.shape)
        for scale in (0.3, 1.0):
            theta = gradient - datafit.hessian_times(eta, tilt)
            found = datafit.dual_value(theta, scale, eta, tilt)
            theta = scale * theta
            near = [eta - t * tilt for t in (0.9, 1.0, 1.1)]
            for other in (*near, eta, *(eta + rng.normal(size=eta.shape) for _ in range(20))):
                assert found >= np.vdot(theta, other) - datafit.value(other) - 1e-13


@pytest.mark.parametrize("size", [40.0, 800.0, 1e6, 1e300])
def test_coupled_extremes(coupled, size):
    datafit, eta = coupled
    with np.errstate(all="raise", under="ignore"):
        value, gradient, bound = datafit.quadratic(size * np.sign(eta))
        assert not np.isnan(datafit.dual_value(gradient, 0.5, size * np.sign(eta), None))
        assert np.isfinite(datafit.hessian_times(size * np.sign(eta), eta)).all()
    assert np.isfinite(value) and value >= datafit.saturated - 1e-13
    assert np.isfinite(gradient).all() and np.isfinite(bound).all() and (bound >= 0).all()


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_partial_likelihood_by_brute_force(ties):
    rng = np.random.default_rng(4)
    y, eta = survival(rng), rng.normal(size=N)
    time, event = y[:, 0], y[:, 1] == 1
    loss = 0.0
    for t in np.unique(time[event]):
        tied = np.flatnonzero(event & (time == t))
        at_risk = np.exp(eta[time >= t]).sum()
        for place in range(len(tied)):
            share = place / len(tied) if ties == "efron" else 0.0
            loss += np.log(at_risk - share * np.exp(eta[tied]).sum()) - eta[tied[place]]
    assert Cox(y, ties=ties).value(eta) == pytest.approx(loss / N, rel=1e-14)


def test_breslow_weight_is_a_repeated_row():
    rng = np.random.default_rng(4)
    y, eta, times = survival(rng), rng.normal(size=N), rng.integers(0, 4, N)
    once = Cox(y, times).value(eta)
    assert once == pytest.approx(Cox(y.repeat(times, 0)).value(eta.repeat(times)), rel=1e-14)


def test_two_classes_are_binomial():
    rng = np.random.default_rng(0)
    y, eta = rng.integers(0, 2, N), rng.normal(size=N)
    pair = np.stack([np.zeros(N), eta], axis=1)
    assert Multinomial(y).value(pair) == pytest.approx(Binomial(y).value(eta), rel=1e-15)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Multinomial([0, 1, -1]), "got -1 in row 2"),
        (lambda: Multinomial([0.5, 1.0]), "got 0.5 in row 0"),
        (lambda: Multinomial([0, 3], n_classes=3), "got 3 in row 1"),
        (lambda: Multinomial([[0.5, 0.4]]), "sum one"),
        (lambda: Multinomial([[1.5, -0.5]]), "shares >= 0"),
        (lambda: Cox([1.0, 2.0]), "two columns"),
        (lambda: Cox([[1.0, 0.0], [2.0, 0.0]]), "got none"),
        (lambda: Cox([[1.0, 1.0], [2.0, 1.0]], ties="exact"), "ties: expected"),
        (lambda: Cox([[-1.0, 1.0]]), "times >= 0"),
        (lambda: Cox([[1.0, 2.0]]), "events 0 or 1"),
    ],
)
def test_coupled_responses_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_one_row_at_risk_costs_nothing():
    one = Cox([[1.0, 1.0]])
    assert one.value(np.array([3.0])) == 0.0 and one.gradient(np.array([3.0])) == 0.0
    assert "at least two classes" in Multinomial([0, 0, 2]).impossible_null()


def test_families_by_name():
    assert set(FAMILIES) == {"gaussian", "binomial", "poisson", "gamma", "multinomial", "cox"}
    assert make_datafit("cox", [[1.0, 1.0]], ties="efron").ties == "efron"
    with pytest.raises(ValueError, match="got 'probit'"):
        make_datafit("probit", [0.0])
