"""The packaged data are the published ones, and they travel inside the wheel."""

from __future__ import annotations

from importlib import resources

import numpy as np

from pyestim.datasets import load_faithful, load_rain


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


def test_source_and_licence_travel_with_the_data():
    text = resources.files("pyestim.datasets").joinpath("README.md").read_text(encoding="utf-8")
    assert "faithful.csv" in text and "rain.csv" in text
    assert "Licence" in text
