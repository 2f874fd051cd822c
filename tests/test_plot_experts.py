"""Pictures of experts: what is drawn is what was fitted."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import MixtureOfExpertsRegressor
from pyestim.datasets import load_tones
from pyestim.plot import ExpertsDisplay

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
matplotlib.use("Agg")
pytestmark = pytest.mark.once

TRIALS = load_tones()
X, Y = TRIALS[:, :1], TRIALS[:, 1]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def model():
    return MixtureOfExpertsRegressor(2, random_state=0).fit(X, Y)


def test_lines_bands_and_gate_are_those_of_the_fit(model):
    display = ExpertsDisplay.from_estimator(model, X, Y, names=("stretched", "tuned")).plot()
    ax = display.ax_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("stretched", "tuned")
    for k, line in enumerate(ax.lines):
        at, mean = line.get_data()
        expected = model.expert_intercept_[k] + model.expert_coef_[k, 0] * at
        np.testing.assert_allclose(mean, expected, rtol=1e-12)
    np.testing.assert_allclose(display.gate, model.gate_proba(display.at[:, None]), rtol=1e-12)
    bands, strips = ax.collections[1:3], ax.collections[3:]
    half = [np.ptp(band.get_paths()[0].vertices[:, 1]) for band in bands]
    # A band spans the line and two standard deviations on either side of its ends.
    spans = np.ptp(display.means, axis=0) + 4 * model.expert_scale_
    np.testing.assert_allclose(np.sort(half), np.sort(spans), rtol=1e-9)
    assert len(strips) == 2


def test_dots_blend_the_experts_by_their_responsibilities(model):
    display = ExpertsDisplay.from_estimator(model, X, Y)
    np.testing.assert_array_equal(display.responsibilities, model.responsibilities(X, Y))
    np.testing.assert_array_equal(display.points, TRIALS)


def test_residuals_are_in_the_units_of_their_expert(model):
    display = ExpertsDisplay.from_estimator(model, X, Y, kind="residuals").plot()
    chosen = model.responsibilities(X, Y).argmax(axis=1)
    rows = np.arange(len(X))
    residual = (Y - model.predict_expert(X)[rows, chosen]) / model.expert_scale_[chosen]
    np.testing.assert_allclose(display.points[:, 1], residual, rtol=1e-12)
    # Of normal residuals 5 % lie beyond two standard deviations: at most five errors of that more.
    assert np.mean(np.abs(residual) > 2) < 0.05 + 5 * np.sqrt(0.05 * 0.95 / len(X))


def test_counts_columns_of_their_own_and_names():
    pandas = pytest.importorskip("pandas")
    rng = np.random.RandomState(0)
    frame = pandas.DataFrame(rng.normal(size=(200, 2)), columns=["dose", "age"])
    own = rng.normal(size=(200, 1))
    y = rng.poisson(np.exp(0.5 + 0.5 * frame["dose"].to_numpy() * np.sign(own[:, 0])))
    model = MixtureOfExpertsRegressor(2, family="poisson", random_state=0, n_init=2)
    model.fit(frame, y, own)
    display = ExpertsDisplay.from_estimator(model, frame, y, own).plot()
    assert display.gate is None and display.spread is None
    assert display.ax_.get_xlabel() == "dose"
    pearson = ExpertsDisplay.from_estimator(model, frame, y, own, kind="residuals").points
    chosen = model.responsibilities(frame, y, own).argmax(axis=1)
    mean = model.predict_expert(frame, own)[np.arange(200), chosen]
    np.testing.assert_allclose(pearson[:, 1], (y - mean) / np.sqrt(mean), rtol=1e-12)


def test_bad_requests_are_named(model):
    with pytest.raises(ValueError, match="kind must be one of"):
        ExpertsDisplay.from_estimator(model, X, Y, kind="gate")
    with pytest.raises(ValueError, match="feature must be a column of X, got 3"):
        ExpertsDisplay.from_estimator(model, X, Y, feature=3)
    with pytest.raises(ValueError, match="expected one response for each row"):
        ExpertsDisplay.from_estimator(model, X, TRIALS)
    with pytest.raises(ValueError, match="expected a fitted estimator"):
        ExpertsDisplay.from_estimator(MixtureOfExpertsRegressor(), X, Y)
