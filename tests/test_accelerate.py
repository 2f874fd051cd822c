"""Accelerated steps on hills of known shape: fewer evaluations, the same top, nothing lost."""

from __future__ import annotations

import numpy as np
import pytest
from toys import At, Cliff, Flat, Hill, Saddle

from pyestim import MixtureOfExpertsRegressor
from pyestim.engine import LocalSweep, Outcome, Stop, maximise
from pyestim.engine.accelerate import WARM_STEPS, make_scheme
from pyestim.engine.mixing import History
from pyestim.engine.model import Capability

SLOW = np.array([0.1, 0.5, 0.9, 0.97, 0.99, 0.995])


def climb(model, accelerate, start=None, tol=1e-10, **options):
    start = np.full(len(model.rates), 1.0) if start is None else np.asarray(start, dtype=float)
    sweep = LocalSweep(model, Flat())
    fit = maximise(
        model,
        sweep,
        [At(start)],
        stop=Stop(tol),
        accelerate=accelerate,
        max_sweeps=5000,
        **options,
    )
    assert sweep.count == fit.report.sweeps
    return fit


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson"])
def test_a_third_of_the_steps_to_the_same_top(accelerate):
    plain = climb(Hill(SLOW), None)
    quick = climb(Hill(SLOW), accelerate)
    assert quick.report.converged and -3e-10 < quick.objective <= 0.0
    assert quick.report.sweeps <= plain.report.sweeps / 3
    assert quick.report.accepted > 0


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson"])
def test_reported_rest_is_the_true_rest(accelerate):
    for tol in (1e-4, 1e-7):
        fit = climb(Hill(SLOW), accelerate, tol=tol)
        assert -fit.objective < 3 * tol


def test_auto_leaves_fast_fits_alone():
    fit = climb(Hill([0.2, 0.6, 0.8]), "auto", tol=1e-9)
    assert fit.report.accepted == fit.report.rejected == 0
    assert fit.report.sweeps == climb(Hill([0.2, 0.6, 0.8]), None, tol=1e-9).report.sweeps


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson"])
def test_first_steps_are_plain(accelerate):
    quick = climb(Hill(SLOW), accelerate).report.trace
    plain = climb(Hill(SLOW), None).report.trace
    assert quick[: WARM_STEPS + 1] == plain[: WARM_STEPS + 1]


@pytest.mark.parametrize("accelerate", ["auto", "squarem", "anderson"])
def test_points_that_do_not_exist_are_taken_back(accelerate):
    fit = climb(Cliff(SLOW), accelerate)
    assert fit.report.converged
    assert fit.report.rejected > 0 or accelerate == "squarem"  # which does not overshoot here
    assert -fit.objective < 1e-9


@pytest.mark.parametrize("accelerate", [None, "auto", "squarem", "anderson"])
def test_a_saddle_point_is_not_taken_for_the_top(accelerate):
    # 0.05 (1 + 1e-4): the way up begins with gains of 1e-9 that grow by a tenth per step.
    fit = climb(Saddle([0.0, 0.9, 0.98]), accelerate, start=[1e-4, 1.0, 1.0], tol=1e-7)
    np.testing.assert_allclose(fit.params.x[0], 1.0, atol=1e-2)
    assert -fit.objective < 1e-6


@pytest.mark.parametrize("accelerate", ["auto", "anderson"])
def test_tolerance_below_rounding_polishes_the_parameters(accelerate):
    fit = climb(Hill(SLOW, target=np.ones(6)), accelerate, start=np.zeros(6), tol=0.0)
    assert fit.report.outcome is Outcome.ROUNDING
    np.testing.assert_allclose(fit.params.x, 1.0, atol=1e-7)


def test_best_of_the_evaluated_points_is_returned():
    fit = climb(Hill(SLOW), "squarem")
    assert fit.objective >= max(fit.report.trace) - 1e-15


@pytest.mark.parametrize("accelerate", ["auto", "anderson"])
def test_trace_is_that_of_the_path(accelerate):
    report = climb(Hill(SLOW), accelerate).report
    assert report.rejected > 0
    # Refused points lie lower than where the path stands; on this hill every kept one rises.
    assert min(np.diff(report.trace)) >= 0.0


@pytest.mark.parametrize("seed", range(4))
def test_a_drop_begins_no_lower_than_the_path_has_been(seed):
    """Otherwise drops may follow each other forever."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, 2))
    side = np.where(rows[:, 0] > 0, 1.0, -1.0)
    y = side * (10.0 + rows[:, 1]) + 0.1 * rng.normal(size=200)
    model = MixtureOfExpertsRegressor(n_init=1, random_state=0, accelerate="squarem").fit(rows, y)
    assert model.converged_ and model.report_.accepted > 0
    trace = np.array(model.report_.trace)
    highest = np.maximum.accumulate(trace)
    # Points of one height differ by the rounding of a mean.
    dropped = np.flatnonzero(np.diff(trace) < -1e-13)
    np.testing.assert_allclose(trace[dropped], highest[dropped], atol=1e-13)


def test_each_accelerated_step_costs_one_update():
    model = Hill(SLOW)
    fit = climb(model, "auto")
    assert model.n_updates <= fit.report.sweeps


def test_models_without_coordinates_are_refused():
    model = Hill(SLOW)
    model.supports = frozenset()
    assert make_scheme(model, "auto", 1e-3, 1e-16).name == "em"
    with pytest.raises(ValueError, match=r"accelerate='squarem': hill does not support"):
        make_scheme(model, "squarem", 1e-3, 1e-16)
    assert Capability.ACCELERATE not in model.supports


def test_unknown_choice():
    with pytest.raises(ValueError, match="accelerate: expected one of"):
        make_scheme(Hill(SLOW), "turbo", 1e-3, 1e-16)


def test_mixing_solves_a_linear_map_in_as_many_steps_as_it_has_rates():
    rates = np.array([0.3, 0.8, 0.95])
    x, history = np.ones(3), History(order=3)
    history.order = 3
    lengths = []
    for _ in range(6):
        lengths.append(
            history.push(np.concatenate([x, np.zeros(3)]), np.concatenate([rates * x, np.zeros(3)]))
        )
        x = history.mix()[:3] if len(history.steps) > 1 else rates * x
    assert lengths[-1] < 1e-6 * lengths[0]
