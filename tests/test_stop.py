"""The stopping rule: what is still to come, not what came last."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.engine.report import Outcome
from pyestim.engine.stop import AitkenMonitor, rounding_floor

EPS = 2.0**-52


def gaps(monitor, values):
    """Push values until the monitor stops: index of the last one."""
    for i, value in enumerate(values):
        if monitor.push(value):
            return i
    return None


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9, 0.99, 0.999])
@pytest.mark.parametrize("tol", [1e-2, 1e-5, 1e-8])
def test_geometric_gains_stop_where_the_rest_is_below_tol(rate, tol):
    rest = 3.0 * rate ** np.arange(40_000)
    monitor = AitkenMonitor(tol, EPS)
    stopped = gaps(monitor, -rest)
    assert rest[stopped] < tol
    # Two ratios must be known, and two estimates must agree.
    assert stopped <= 4 or rest[stopped - 2] >= tol
    np.testing.assert_allclose(monitor.remaining, rest[stopped], rtol=1e-3, atol=1e-14)
    assert monitor.outcome is Outcome.CONVERGED


def test_last_gain_below_tol_is_not_the_end_of_a_slow_climb():
    rest = 1e-3 * 0.999 ** np.arange(20_000)
    stopped = gaps(AitkenMonitor(1e-5, EPS), -rest)
    gains = -np.diff(rest)
    assert gains[0] < 1e-5  # a rule on the last gain stops at once, 1e-3 too low
    assert rest[stopped] < 1e-5


def test_fast_beginning_does_not_hide_a_slow_mode():
    t = np.arange(5000)
    rest = 10.0 * 0.3**t + 1e-2 * 0.99**t
    stopped = gaps(AitkenMonitor(1e-4, EPS), -rest)
    assert rest[stopped] < 2e-4


@pytest.mark.parametrize("growth", [1.0, 1.02])
def test_gains_that_do_not_shrink_never_stop(growth):
    gains = 1e-9 * growth ** np.arange(300)
    assert gaps(AitkenMonitor(1e-3, EPS), np.cumsum(gains) - 5.0) is None


def test_rule_does_not_depend_on_an_added_constant():
    rest = 0.7 ** np.arange(60)
    near = gaps(AitkenMonitor(1e-6, EPS), -rest)
    far = gaps(AitkenMonitor(1e-6, EPS), 1e3 - rest)
    assert near == far


def test_standing_still_is_rounding():
    monitor = AitkenMonitor(0.0, EPS)
    assert gaps(monitor, [1.0, 2.0, 2.0, 2.0]) == 3
    assert monitor.outcome is Outcome.ROUNDING
    assert monitor.remaining == 0.0


def test_a_fall_is_remembered():
    monitor = AitkenMonitor(1e-3, EPS)
    for value in (0.0, 1.0, 0.5, 2.0):
        monitor.push(value)
    assert monitor.largest_fall == 0.5


def test_floor_follows_the_arithmetic():
    single = float(np.finfo(np.float32).eps)
    assert rounding_floor(-3.0, single) > 1e6 * rounding_floor(-3.0, EPS)
    noisy = AitkenMonitor(1e-12, single)
    assert gaps(noisy, [-3.0, -2.0, -2.0 + 1e-8, -2.0 + 2e-8]) == 3


@pytest.mark.parametrize(("length", "settled"), [(2.0, True), (1e3, False), (1.0, True)])
def test_single_step_is_judged_by_the_length_of_extrapolation(length, settled):
    monitor = AitkenMonitor(1e-6, EPS)
    assert monitor.check_step(-1.0, -1.0 + 1e-7, length) is settled


def test_going_up_and_down_is_rounding():
    monitor = AitkenMonitor(tol=1e-3, eps=EPS)
    assert not monitor.push(-3.0)
    stops = [monitor.push(-3.0 + 1e-13 * (step % 2)) for step in range(1, 6)]
    assert stops == [False, False, True, True, True]
    assert monitor.outcome is Outcome.ROUNDING
