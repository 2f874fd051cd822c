"""Secant steps along a path of fits: ascent, the end they reach, what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from expert_problems import problem, start

from pyestim.engine.secant import Secants
from pyestim.engine.stop import rounding_floor
from pyestim.models.expert_build import build_model
from pyestim.models.expert_fit import fit_experts

pytestmark = pytest.mark.once


def fits(accelerate, tol=1e-7):
    """Fits along falling penalties, each from the end of the one before."""
    source, model, options = problem(n_experts=2, n_noise=4, expert_l1=0.1, gate_l1=0.05)
    accelerate = Secants(model.kinks) if accelerate == "secant" else accelerate
    params, found = start(model, source), []
    for factor in (1.0, 0.8, 0.64, 0.51):
        one = replace(options, expert_l1=0.1 * factor, gate_l1=0.05 * factor)
        fit = fit_experts(
            build_model(source, one),
            source,
            0,
            None,
            starts=[params],
            tol=tol,
            accelerate=accelerate,
        )
        params = fit.params
        found.append(fit)
    return source, found


def test_a_path_of_secant_steps_ends_where_plain_steps_do():
    source, plain = fits("auto", tol=1e-13)
    _, found = fits("secant")
    for one, other in zip(found, plain, strict=True):
        # The estimate of what remains is a thousandth of tol.
        assert one.objective > other.objective - 1e-9
        assert one.report.converged
    # What was learned at one penalty serves at the next: fewer than half of the passes.
    again = fits("auto")[1]
    assert 2 * found[-1].report.sweeps < again[-1].report.sweeps
    kept = np.maximum.accumulate(found[-1].report.trace)
    floor = rounding_floor(found[-1].objective, source.mean_eps)
    if found[-1].report.rejected == 0:
        assert (np.array(found[-1].report.trace) >= kept - 2.0 * floor).all()


def test_secants_solve_a_linear_map_after_as_many_steps_as_it_has_directions():
    rng = np.random.default_rng(0)
    gains = np.diag([0.9, 0.5, 0.2]) + 0.05 * rng.normal(size=(3, 3))
    limit = np.array([1.0, -2.0, 0.5])
    secants, here, past = Secants(np.zeros(3, dtype=bool)), np.zeros(3), None
    # Broyden's method ends on linear maps after 2 n steps (Gay 1979).
    for _ in range(8):
        image = limit + gains @ (here - limit)
        if past is not None:
            secants.learn(here - past[0], image - here - past[1], np.ones(3, dtype=bool))
        past = here, image - here
        here = secants.target(here, image, secants.free(image))
    np.testing.assert_allclose(here, limit, atol=1e-8)


def test_kinks_hold_what_plain_steps_hold_there():
    secants = Secants(np.array([False, True, True, True]))
    here, image = np.array([1.0, 0.0, 0.5, -0.1]), np.array([-2.0, 0.0, 0.0, -0.05])
    secants.learn(np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.0, 0.0, 0.0, -0.1]), np.ones(4, bool))
    free = secants.free(image)
    assert list(free) == [True, False, False, True]
    # Coordinate 3 would overshoot zero, where its kink is; coordinate 0 has none.
    assert list(secants.target(here, image, free)) == [-2.0, 0.0, 0.0, 0.0]


def test_on_a_branch_the_way_back_ends_at_the_beginning():
    source, model, options = problem(n=600, n_noise=2, expert_l1=0.02, gate_l1=0.01)
    other = build_model(source, replace(options, expert_l1=0.019, gate_l1=0.0095))
    secants, params, ends, smooth = Secants(model.kinks), start(model, source), [], []
    for one in (model, other, model):
        fit = fit_experts(one, source, 0, None, starts=[params], accelerate=secants)
        params = fit.params
        ends.append(fit)
        smooth.append(secants.on_branch)
    assert smooth[1]
    # Ends are known to a thousandth of tol, their parameters to its square root over curvatures.
    assert ends[2].objective == pytest.approx(ends[0].objective, abs=1e-8)
    np.testing.assert_allclose(model.pack(ends[2].params), model.pack(ends[0].params), atol=1e-3)
