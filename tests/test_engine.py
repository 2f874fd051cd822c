"""The loop, statistics, sweeps and reports, on models of which everything is known."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from toys import At, Fixed, Flat, Hill

from pyestim.engine import (
    Capability,
    Layout,
    LocalSweep,
    Outcome,
    Stats,
    Stop,
    maximise,
    require,
)
from pyestim.engine.stats import merge_tree

# -- statistics ------------------------------------------------------------------------------------


def layout():
    return Layout({"weight": (), "mean": (2,), "matrix": (2, 3)})


def test_windows_are_views_in_order():
    stats = Stats(layout(), np.arange(9.0))
    assert stats.layout.size == 9
    assert stats.number("weight") == 0.0
    np.testing.assert_array_equal(stats["mean"], [1, 2])
    np.testing.assert_array_equal(stats["matrix"], [[3, 4, 5], [6, 7, 8]])
    stats["mean"][0] = 7.0
    assert stats.vector[1] == 7.0
    assert [name for name, _ in stats.items()] == ["weight", "mean", "matrix"]


def test_statistics_are_a_vector_space():
    a = Stats(layout(), np.arange(9.0))
    b = Stats(layout(), np.ones(9))
    np.testing.assert_array_equal((a + b - b).vector, a.vector)
    np.testing.assert_array_equal((0.5 * a + a * 0.5).vector, a.vector)
    np.testing.assert_array_equal((a + layout().zeros()).vector, a.vector)


def test_statistics_of_different_models_do_not_mix():
    with pytest.raises(ValueError, match="only statistics of one model"):
        layout().zeros() + Layout({"weight": ()}).zeros()


def test_statistics_travel():
    stats = pickle.loads(pickle.dumps(Stats(layout(), np.arange(9.0))))
    np.testing.assert_array_equal(stats["matrix"], np.arange(3.0, 9.0).reshape(2, 3))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 13, 64, 100])
def test_tree_does_not_depend_on_how_parts_were_grouped(n):
    parts = np.random.default_rng(n).normal(size=(n, 3)) * 10.0 ** np.arange(-3, 0)
    whole = merge_tree(parts)
    np.testing.assert_allclose(whole, parts.sum(axis=0), rtol=1e-12, atol=1e-13)
    for size in (2, 4, 8):
        grouped = merge_tree(merge_tree(parts[i : i + size]) for i in range(0, n, size))
        np.testing.assert_array_equal(grouped, whole)


def test_tree_needs_a_part():
    with pytest.raises(ValueError, match="at least one part"):
        merge_tree([])


# -- the loop --------------------------------------------------------------------------------------


def climb(rates=(0.5, 0.9), starts=((1.0, 1.0),), source=None, **options):
    model = Hill(rates)
    sweep = LocalSweep(model, source or Flat())
    options = {"stop": Stop(1e-6), "max_sweeps": 1000, **options}
    return maximise(model, sweep, [At(np.array(s)) for s in starts], **options), sweep


def test_converges_to_the_top():
    fit, sweep = climb()
    assert fit.report.outcome is Outcome.CONVERGED and fit.report.converged
    assert -1e-6 < fit.objective <= 0
    assert fit.report.sweeps == len(fit.report.trace) == sweep.count


def test_objective_is_per_unit_weight():
    few, many = (climb(source=Flat(n))[0] for n in (10, 10_000))
    assert few.report.trace == pytest.approx(many.report.trace, rel=1e-12)
    assert few.report.sweeps == many.report.sweeps


def test_offset_is_added_to_what_is_reported():
    plain, moved = climb()[0], climb(offset=-3.0)[0]
    assert moved.objective == plain.objective - 3.0
    assert moved.report.trace == pytest.approx([x - 3.0 for x in plain.report.trace])
    assert moved.report.objective == moved.objective


def test_candidates_share_passes_and_stop_by_themselves():
    fit, sweep = climb(starts=[(1e-2, 1e-2), (1.0, 1.0), (5.0, 30.0)], stop=Stop(1e-9))
    alone = [climb(starts=[s], stop=Stop(1e-9))[0] for s in ((1e-2, 1e-2), (1.0, 1.0), (5.0, 30.0))]
    assert [r.sweeps for r in fit.all_reports] == [a.report.sweeps for a in alone]
    assert sweep.count == max(r.sweeps for r in fit.all_reports)
    assert fit.best == int(np.argmax([a.objective for a in alone]))
    for params, other in zip(fit.all_params, alone, strict=True):
        np.testing.assert_array_equal(params.x, other.params.x)


def test_only_evaluated_parameters_are_returned():
    for n in (1, 2, 7):
        fit, sweep = climb(max_sweeps=n)
        stats = sweep([fit.params])[0]
        np.testing.assert_array_equal(stats.vector, fit.stats.vector)
        assert fit.objective == fit.report.trace[-1]
        assert fit.report.outcome is Outcome.MAX_SWEEPS


def test_best_evaluated_wins_over_the_last():
    model = Hill([0.5])
    sweep = Fixed([0.0, 1.0, 3.0, 2.0, 1.5])
    fit = maximise(model, sweep, [At(np.array([8.0]))], max_sweeps=5, accelerate=None)
    assert fit.objective == 3.0
    assert fit.params.x[0] == 2.0  # after two halvings of 8
    assert any("fell" in line for line in fit.report.diagnosis)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_objective_that_is_not_finite_ends_the_fit(bad):
    fit = maximise(Hill([0.5]), Fixed([0.0, 1.0, bad]), [At(np.ones(1))], accelerate=None)
    assert fit.report.outcome is Outcome.NOT_FINITE and not fit.report.converged
    assert fit.objective == 1.0


def test_interruption_keeps_the_best():
    def interrupt(sweep, objectives):
        if sweep == 5:
            raise KeyboardInterrupt

    fit, _ = climb(progress=interrupt)
    assert fit.report.outcome is Outcome.INTERRUPTED and fit.report.sweeps == 5
    assert fit.objective == max(fit.report.trace)


def test_interruption_before_anything_is_known_is_raised():
    class Stuck(Fixed):
        def __call__(self, params):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        maximise(Hill([0.5]), Stuck([0.0]), [At(np.ones(1))])


def test_listener_hears_every_sweep_and_may_end_the_loop():
    heard = []

    def listener(sweep, objectives):
        heard.append((sweep, tuple(objectives)))
        return sweep == 4

    fit, _ = climb(starts=[(1.0, 1.0), (2.0, 2.0)], progress=listener)
    assert [sweep for sweep, _ in heard] == [1, 2, 3, 4]
    assert all(len(objectives) == 2 for _, objectives in heard)
    assert fit.report.outcome is Outcome.INTERRUPTED


class Mended(Hill):
    """Puts a start that is too far off back near the top, once."""

    supports = frozenset({Capability.REPAIR})

    def needs_repair(self, params, stats, n_before):
        return params.x[0] > 50.0 and n_before == 0

    def repair(self, params, stats, sweep, n_before):
        return At(np.full(2, 2.0)), "the start was moved."


def test_repair_forgets_what_was_before():
    model = Mended([0.5, 0.9])
    fit = maximise(model, LocalSweep(model, Flat()), [At(np.full(2, 100.0))], stop=Stop(1e-6))
    assert fit.report.events == ("the start was moved.",)
    assert fit.report.converged and -fit.objective < 1e-6
    assert fit.report.trace[1] == pytest.approx(-4.0)


class Jump(At):
    """A point that only extrapolation reaches."""


class Fenced(Hill):
    """Calls every extrapolated point degenerate."""

    supports = frozenset({Capability.REPAIR, Capability.ACCELERATE})

    def unpack(self, vector):
        return Jump(vector)

    def needs_repair(self, params, stats, n_before):
        return isinstance(params, Jump)

    def repair(self, params, stats, sweep, n_before):
        raise AssertionError("a trial was repaired")


def test_trials_are_taken_back_and_not_repaired():
    model = Fenced([0.99, 0.5])
    fit = maximise(
        model, LocalSweep(model, Flat()), [At(np.ones(2))], stop=Stop(1e-6), max_sweeps=2000
    )
    assert fit.report.accepted == 0 and fit.report.rejected > 0
    assert fit.report.converged and not isinstance(fit.params, Jump)


def test_chunks_are_merged():
    whole, pieces = climb(source=Flat(40))[0], climb(source=Flat(10, pieces=4))[0]
    np.testing.assert_array_equal(whole.stats.vector, pieces.stats.vector)


def test_require_says_who_what_and_what_else():
    with pytest.raises(ValueError, match=r"partial_fit: hill does not support rows that arrive"):
        require(Hill([0.5]), Capability.STREAM, asked_by="partial_fit")
    with pytest.raises(ValueError, match=r"Use fit\."):
        require(Hill([0.5]), Capability.STREAM, asked_by="x", alternative="Use fit.")
    require(Hill([0.5]), Capability.WEIGHTS, asked_by="fit")


# -- reports ---------------------------------------------------------------------------------------


def test_report_tells_at_a_glance():
    text = str(climb()[0].report)
    assert text.startswith("Fit: OK\n") and Outcome.CONVERGED.value in text
    assert str(climb(max_sweeps=3)[0].report).startswith("Fit: NOT CONVERGED\n")
    doubtful = climb()[0].report.with_diagnosis(("component 1 is <empty>.",))
    assert str(doubtful).startswith("Fit: CHECK\n") and not doubtful.trusted
    assert "&lt;empty&gt;" in doubtful._repr_html_()


def test_report_travels():
    report = climb()[0].report
    assert pickle.loads(pickle.dumps(report)) == report
