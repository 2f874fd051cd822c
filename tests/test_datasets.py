"""The packaged data are the published ones, and they travel inside the wheel."""

from __future__ import annotations

from importlib import resources

import numpy as np
import pytest

from pyestim import MixtureOfExpertsRegressor
from pyestim.datasets import load_faithful, load_rain, load_tones


def test_faithful_is_the_published_data():
    X = load_faithful()
    assert X.shape == (272, 2)
    assert X.dtype == np.float64
    assert X.flags.c_contiguous and X.flags.writeable
    np.testing.assert_array_equal(X[[0, -1]], [[3.6, 79.0], [4.467, 74.0]])
    # Means of R's help page summary(faithful), to the digits that R prints.
    np.testing.assert_allclose(X.mean(axis=0), [3.488, 70.90], atol=5e-3)


def test_faithful_is_loaded_anew_each_time():
    first = load_faithful()
    first[:] = 0
    assert load_faithful()[0, 0] == 3.6


def test_rain_is_the_published_data():
    states = load_rain()
    assert states.shape == (1096,)
    labels, counts = np.unique(states, return_counts=True)
    assert labels.tolist() == ["0", "1-5", "6+"]
    # Row sums of the transitions that markovchainFit of the R package counts.
    assert (counts - (states[-1] == labels)).tolist() == [548, 294, 253]


def test_tones_are_the_published_data():
    trials = load_tones()
    assert trials.shape == (150, 2)
    np.testing.assert_array_equal(trials[0], [1.35, 1.461])
    np.testing.assert_array_equal(trials[-1], [3.0, 2.91])
    # What mixtools 2.0.0 and flexmix 2.3.18 of R find in them: log-likelihood of two regressions.
    model = MixtureOfExpertsRegressor(2, gate="constant", tol=1e-9, random_state=0)
    model.fit(trials[:, :1], trials[:, 1])
    assert model.log_likelihood(trials[:, :1], trials[:, 1]) == pytest.approx(141.19840, abs=1e-4)


def test_source_and_licence_travel_with_the_data():
    text = resources.files("pyestim.datasets").joinpath("README.md").read_text(encoding="utf-8")
    assert "faithful.csv" in text and "rain.csv" in text and "tones.csv" in text
    assert "Licence" in text
