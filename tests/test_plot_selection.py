"""Picture of a search: what is drawn is what was found."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import CriterionSearch, GaussianMixture
from pyestim.datasets import load_faithful
from pyestim.plot import SelectionDisplay

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
matplotlib.use("Agg")
pytestmark = pytest.mark.once


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture(scope="module")
def search():
    grid = {"covariance_type": ["diag", "tied"], "n_components": [3, 1, 2]}
    return CriterionSearch(GaussianMixture(tol=1e-4, random_state=0), grid).fit(load_faithful())


def test_lines_are_the_criterion(search):
    ax = SelectionDisplay.from_estimator(search).plot().ax_
    assert ax.get_xlabel() == "n_components" and ax.get_ylabel().startswith("BIC")
    for line, name in zip(ax.lines, ("diag", "tied"), strict=False):
        assert line.get_label() == f"covariance_type={name}"
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        expected = [
            search.results_["criterion"][i]
            for k in (1, 2, 3)
            for i, each in enumerate(search.results_["params"])
            if each == {"covariance_type": name, "n_components": k}
        ]
        np.testing.assert_array_equal(line.get_ydata(), expected)
    (ring_x,), (ring_y,) = ax.lines[-1].get_data()
    assert (ring_x, ring_y) == (search.best_params_["n_components"], search.best_criterion_)


def test_refuses_what_is_no_number(search):
    with pytest.raises(ValueError, match=r"x must be an argument that is a number.*n_components"):
        SelectionDisplay.from_estimator(search, x="covariance_type")
    with pytest.raises(ValueError, match="results_"):
        SelectionDisplay.from_estimator(CriterionSearch(GaussianMixture(), {}))
