"""The picture of a chain: what is drawn are the probabilities of the fit."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import MarkovChain
from pyestim.datasets import load_rain
from pyestim.plot import TransitionDisplay

pytestmark = pytest.mark.once

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
matplotlib.use("Agg")


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def chain():
    return MarkovChain().fit(load_rain())


def test_heat_map_shows_the_matrix_and_its_labels(chain):
    ax = TransitionDisplay.from_estimator(chain).plot().ax_
    shown = np.asarray(ax.images[0].get_array())
    np.testing.assert_array_equal(shown, chain.transition_matrix_)
    assert [label.get_text() for label in ax.get_xticklabels()] == list(chain.states_)
    numbers = [float(text.get_text()) for text in ax.texts]
    np.testing.assert_allclose(numbers, chain.transition_matrix_.ravel(), atol=0.0051)  # rounded


def test_widths_and_areas_of_the_graph_are_in_proportion(chain):
    from matplotlib.patches import Circle, FancyArrowPatch

    ax = TransitionDisplay.from_estimator(chain).plot(kind="graph", min_proba=0.2).ax_
    arrows = [patch for patch in ax.patches if isinstance(patch, FancyArrowPatch)]
    P = chain.transition_matrix_
    between = P[~np.eye(3, dtype=bool) & (P >= 0.2)]
    widths = sorted(arrow.get_linewidth() for arrow in arrows)
    np.testing.assert_allclose(np.array(widths) / widths[-1], np.sort(between) / between.max())
    nodes = [p for p in ax.patches if isinstance(p, Circle) and p.get_fill()]
    area = np.array([node.radius**2 for node in nodes])
    share = chain.stationary_distribution_
    # An area is proportional to a share, above a least size that keeps rare states visible.
    np.testing.assert_allclose(area / area.max(), 0.15 + 0.85 * share / share.max())


def test_a_chain_of_order_two_shows_its_pasts(chain):
    second = MarkovChain(order=2).fit(load_rain())
    display = TransitionDisplay.from_estimator(second)
    labels = [label.get_text() for label in display.plot().ax_.get_yticklabels()]
    assert labels[0] == "0, 0"
    assert len(labels) == len(second.contexts_)
    with pytest.raises(ValueError, match="kind='graph' shows chains of the first order"):
        display.plot(kind="graph")


def test_a_sparse_chain_shows_what_it_does_not_store():
    sparse = MarkovChain(smoothing=1, sparse=True).fit([0, 1, 0, 2, 0, 1])
    dense = MarkovChain(smoothing=1).fit([0, 1, 0, 2, 0, 1])
    drawn = TransitionDisplay.from_estimator(sparse).transition
    np.testing.assert_allclose(drawn, dense.transition_matrix_, rtol=1e-15)


def test_several_closed_classes_are_drawn_alike():
    chain = MarkovChain().fit([0, 0, 1, 1, 1], lengths=[2, 3])
    assert TransitionDisplay.from_estimator(chain).stationary is None
    TransitionDisplay.from_estimator(chain).plot(kind="graph")


def test_what_cannot_be_drawn_is_said(chain):
    with pytest.raises(ValueError, match="expected a fitted estimator"):
        TransitionDisplay.from_estimator(MarkovChain())
    with pytest.raises(ValueError, match="kind must be one of"):
        TransitionDisplay.from_estimator(chain).plot(kind="pie")
    large = MarkovChain(n_states=5000).fit([0, 1])
    with pytest.raises(ValueError, match="at most 4000 rows"):
        TransitionDisplay.from_estimator(large)
    many = MarkovChain(n_states=40).fit([0, 1])
    with pytest.raises(ValueError, match="at most 30 states"):
        TransitionDisplay.from_estimator(many).plot(kind="graph")


def test_dollars_in_labels_are_no_formulas():
    chain = MarkovChain().fit([r"$\frac$", "5$", r"$\frac$"])
    for kind in ("heatmap", "graph"):
        figure = TransitionDisplay.from_estimator(chain).plot(kind=kind).figure_
        figure.canvas.draw()


def test_a_matrix_set_by_hand_needs_no_names():
    chain = MarkovChain()
    chain.transition_matrix_ = [[0.9, 0.1], [0.4, 0.6]]
    display = TransitionDisplay.from_estimator(chain).plot()
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == ["0", "1"]
    np.testing.assert_allclose(display.stationary, [0.8, 0.2], rtol=1e-14)
