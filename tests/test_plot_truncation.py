"""Pictures of cut data: the whole has area one, and what was never seen is told apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import CensoredData, norm

from pyestim import CensoredGaussianMixture, TruncatedGaussianMixture
from pyestim.datasets import load_faithful
from pyestim.plot import TruncationDisplay

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
matplotlib.use("Agg")
pytestmark = pytest.mark.once

WAITS = load_faithful()[:, 1:]
SEEN = WAITS[(WAITS > 50) & (WAITS < 88)][:, None]
EDGES = np.array([-np.inf, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, np.inf])
COUNTS = np.histogram(WAITS, np.clip(EDGES, 0, 200))[0]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def truncated():
    return TruncatedGaussianMixture(2, lower=50, upper=88, random_state=0).fit(SEEN)


@pytest.fixture(scope="module")
def binned():
    model = CensoredGaussianMixture(2, tol=1e-6, random_state=0)
    return model.fit(lower=EDGES[:-1], upper=EDGES[1:], sample_weight=COUNTS)


def areas(display):
    return [float(heights @ np.diff(display.edges)) for heights in (display.exact, display.bounded)]


def test_bars_have_the_area_of_the_set_and_end_with_it(truncated):
    display = TruncationDisplay.from_estimator(truncated, SEEN)
    assert display.missing_mass == pytest.approx(truncated.missing_mass_, rel=1e-9)
    exact, bounded = areas(display)
    assert exact == pytest.approx(1 - truncated.missing_mass_, rel=1e-9)
    assert bounded == 0.0
    assert {50.0, 88.0} <= set(display.edges) and display.edges[[0, -1]].tolist() == [50, 88]


def test_curves_are_solid_inside_and_dashed_outside(truncated):
    ax = TruncationDisplay.from_estimator(truncated, SEEN, name="minutes").plot().ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("minutes", "density")
    assert [line.get_linestyle() for line in ax.lines] == ["-", "--"] * 3
    *_, solid, dashed = ax.lines
    for line, inside in ((solid, True), (dashed, False)):
        x, y = line.get_data()
        drawn = np.isfinite(y)
        assert (((x >= 50) & (x <= 88)) if inside else ((x <= 50) | (x >= 88)))[drawn].all()
        expected = truncated.density(x[drawn][:, None], conditional=False)
        np.testing.assert_allclose(y[drawn], expected, rtol=1e-9)
    labels = ax.get_legend_handles_labels()[1]
    assert f"never seen: {100 * truncated.missing_mass_:.3g} %" in labels
    assert labels.count("density") == 1 and "data" in labels and "between bounds" not in labels


def test_a_hole_in_the_set_is_shaded_and_has_no_bars():
    hole = ((-np.inf, 60.0), (75.0, np.inf))
    rows = WAITS[(WAITS < 60) | (WAITS > 75)][:, None]
    model = TruncatedGaussianMixture(2, support=hole, random_state=0).fit(rows)
    display = TruncationDisplay.from_estimator(model, rows).plot()
    shaded = [patch for patch in display.ax_.patches if patch.get_alpha() == 0.07]
    assert [(p.get_x(), p.get_x() + p.get_width()) for p in shaded] == [(60.0, 75.0)]
    between = (display.edges[:-1] >= 60) & (display.edges[1:] <= 75)
    assert between.any() and not display.exact[between].any()
    assert display.exact[display.edges[1:] <= 60].all()


def test_binned_rows_are_bars_of_their_intervals(binned):
    cells = {"lower": EDGES[:-1], "upper": EDGES[1:], "sample_weight": COUNTS}
    display = TruncationDisplay.from_estimator(binned, **cells)
    assert areas(display) == pytest.approx([0.0, 1.0])
    np.testing.assert_array_equal(display.edges[1:-1], EDGES[1:-1])
    np.testing.assert_allclose(display.bounded[1:-1], COUNTS[1:-1] / COUNTS.sum() / 5, rtol=1e-9)
    labels = display.plot().ax_.get_legend_handles_labels()[1]
    assert "between bounds" in labels and not any("never" in label for label in labels)


def test_exact_bounded_and_missing_rows_together(binned):
    rows = CensoredData(uncensored=[52.0, 54.0, 80.0], right=[70.0], interval=[[50.0, 60.0]])
    display = TruncationDisplay.from_estimator(binned, rows)
    assert areas(display) == pytest.approx([0.6, 0.4])
    low, high = [52.0, 80.0, -np.inf], [52.0, 80.0, np.inf]
    display = TruncationDisplay.from_estimator(binned, lower=low, upper=high)
    assert areas(display) == pytest.approx([1.0, 0.0])


def test_many_different_bounds_are_spread_over_equal_bars(binned):
    low = np.linspace(45.0, 85.0, 200)
    display = TruncationDisplay.from_estimator(binned, lower=low, upper=low + 7.0)
    assert len(display.edges) == 65 and areas(display) == pytest.approx([0.0, 1.0])


def test_the_interval_of_censored_rows_scales_their_bars(binned):
    ends = {"trunc_lower": 50.0, "trunc_upper": 85.0}
    display = TruncationDisplay.from_estimator(binned, SEEN[SEEN[:, 0] < 85], **ends)
    z = (np.array([[50.0], [85.0]]) - binned.means_[:, 0]) / np.sqrt(binned.covariances_[:, 0, 0])
    inside = float(np.diff(norm.cdf(z), axis=0)[0] @ binned.weights_)
    assert areas(display)[0] == pytest.approx(inside, rel=1e-9)


def test_a_component_that_left_does_not_hide_the_data(truncated):
    far = TruncationDisplay(
        weights=np.array([0.001, 0.999]),
        means=np.array([60.0, 500.0]),
        sds=np.array([5.0, 0.1]),
        support=truncated.support_,
        span=(40.0, 600.0),
        name="x",
    ).plot()
    assert far.ax_.get_ylim()[1] == pytest.approx(2.5 * 0.001 * norm.pdf(0) / 5, rel=1e-3)
    alone = TruncationDisplay.from_estimator(truncated)
    assert alone.edges is None and alone.span[0] < 50 and alone.span[1] > 88


def test_bad_requests_are_named(truncated, binned):
    with pytest.raises(ValueError, match="expected a fitted estimator"):
        TruncationDisplay.from_estimator(TruncatedGaussianMixture())
    two = CensoredGaussianMixture(1).fit(load_faithful())
    with pytest.raises(ValueError, match="expected a mixture of one column, got 2"):
        TruncationDisplay.from_estimator(two)
    with pytest.raises(ValueError, match="has a set of its own"):
        TruncationDisplay.from_estimator(truncated, SEEN, trunc_lower=50)
    with pytest.raises(ValueError, match="give TruncatedGaussianMixture its rows as X"):
        TruncationDisplay.from_estimator(truncated, lower=SEEN, upper=SEEN)
    with pytest.raises(ValueError, match="two increasing numbers"):
        TruncationDisplay.from_estimator(binned, SEEN, trunc_lower=88, trunc_upper=50)
    with pytest.raises(ValueError, match="a row that is not missing"):
        TruncationDisplay.from_estimator(binned, lower=[-np.inf], upper=[np.inf])
