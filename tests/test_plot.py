"""Pictures: what is drawn is what was fitted, and matplotlib stays optional."""

from __future__ import annotations

import builtins
import subprocess
import sys

import numpy as np
import pytest

from pyestim import GaussianMixture, LassoGLMCV, glm_path
from pyestim.datasets import load_faithful
from pyestim.plot import ConvergenceDisplay, MixtureDisplay, PathDisplay

matplotlib = pytest.importorskip("matplotlib", reason="pictures need the extra 'plot'")
matplotlib.use("Agg")

COVARIANCE_TYPES = ["full", "tied", "diag", "spherical"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    import matplotlib.pyplot as plt

    plt.close("all")


@pytest.fixture
def X():
    return load_faithful()


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_ellipses_hold_the_stated_probability(X, covariance_type):
    from matplotlib.patches import Ellipse

    model = GaussianMixture(2, covariance_type=covariance_type, random_state=0).fit(X)
    ax = MixtureDisplay.from_estimator(model, X).plot().ax_
    outer = [patch for patch in ax.patches if isinstance(patch, Ellipse) and not patch.get_fill()]
    assert len(outer) == 2 * 2  # two regions for each of two components
    # Independent check by simulation: share of the component's own draws inside the 95 % region.
    draws = np.random.default_rng(0).standard_normal((20_000, 2))
    covariance = MixtureDisplay.from_estimator(model).covariances[0]
    rows = model.means_[0] + draws @ np.linalg.cholesky(covariance).T
    inside = outer[0].get_patch_transform().inverted().transform(rows)
    share = np.mean(np.sum(inside**2, axis=1) <= 1)
    # Five standard errors of a share of 0.95 among 20 000 draws.
    assert share == pytest.approx(0.95, abs=5 * np.sqrt(0.95 * 0.05 / 20_000))


def test_one_feature_gives_a_density_that_integrates_to_one(X):
    x = X[:, 1:]
    model = GaussianMixture(2, random_state=0).fit(x)
    ax = MixtureDisplay.from_estimator(model, x, names=("wait",)).plot().ax_
    density = next(line for line in ax.lines if line.get_label() == "density")
    at, height = density.get_data()
    # Trapezoid over four standard deviations: misses 6e-5 in the tails.
    assert np.trapezoid(height, at) == pytest.approx(1, abs=2e-4)
    np.testing.assert_allclose(height, np.exp(model.score_samples(at[:, None])), rtol=1e-9)
    assert ax.get_xlabel() == "wait"


def test_draws_on_given_axes_and_returns_itself(X):
    import matplotlib.pyplot as plt

    model = GaussianMixture(2, random_state=0).fit(X)
    figure, ax = plt.subplots()
    display = MixtureDisplay.from_estimator(model, X)
    assert display.plot(ax=ax) is display
    assert display.ax_ is ax
    assert display.figure_ is figure


def test_chosen_features_and_many_rows():
    X = np.random.default_rng(0).standard_normal((50_001, 3))
    model = GaussianMixture(1, random_state=0).fit(X)
    display = MixtureDisplay.from_estimator(model, X, features=(2, 0))
    assert display.points.shape == (16_667, 2)  # every third row: at most 20 000
    np.testing.assert_array_equal(display.means[0], model.means_[0, [2, 0]])
    np.testing.assert_array_equal(display.covariances[0], model.covariances_[0][[2, 0]][:, [2, 0]])
    assert display.names == ("feature 2", "feature 0")


def test_more_components_than_colours(X):
    model = GaussianMixture(9, covariance_type="diag", random_state=0).fit(X)
    ax = MixtureDisplay.from_estimator(model, X).plot().ax_
    drawn = {line.get_markerfacecolor().tobytes() for line in ax.lines}
    assert len(drawn) == 9
    assert ax.get_legend() is None  # nine names would hide the data


def test_names_of_a_data_frame(X):
    pandas = pytest.importorskip("pandas", reason="data frames need pandas")
    frame = pandas.DataFrame(X, columns=["eruption", "wait"])
    model = GaussianMixture(2, random_state=0).fit(frame)
    display = MixtureDisplay.from_estimator(model, frame)
    assert display.names == ("eruption", "wait")


@pytest.mark.parametrize("features", [(0, 2), (0, 0), (), (0, 1, 1), (-1,)])
def test_impossible_features_are_refused(X, features):
    model = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(ValueError, match="MixtureDisplay: features must be one or two different"):
        MixtureDisplay.from_estimator(model, X, features=features)


def test_wrong_number_of_names_is_refused(X):
    model = GaussianMixture(2, random_state=0).fit(X)
    with pytest.raises(ValueError, match="one label for each drawn feature"):
        MixtureDisplay.from_estimator(model, X, names=("wait",))


@pytest.mark.parametrize("display", [MixtureDisplay, ConvergenceDisplay])
def test_unfitted_estimator_is_refused(display):
    with pytest.raises(ValueError, match="call fit"):
        display.from_estimator(GaussianMixture(2))


def test_convergence_shows_the_gap_of_every_sweep(X):
    model = GaussianMixture(3, tol=1e-6, max_iter=500, random_state=0).fit(X)
    display = ConvergenceDisplay.from_estimator(model, label="three components").plot()
    sweeps, gap = display.ax_.lines[0].get_data()
    trace = np.asarray(model.lower_bounds_)
    np.testing.assert_array_equal(gap, (trace.max() - trace)[sweeps - 1])
    assert (gap > 0).all()
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_title() == model.report_.outcome.value


def test_convergence_of_a_single_sweep():
    display = ConvergenceDisplay(trace=np.array([-1.0])).plot()
    assert len(display.ax_.lines[0].get_xdata()) == 0


@pytest.mark.parametrize("display", [MixtureDisplay, ConvergenceDisplay])
def test_missing_matplotlib_is_one_clear_sentence(X, display, monkeypatch):
    real_import = builtins.__import__

    def without_matplotlib(name, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real_import(name, *args, **kwargs)

    shown = display.from_estimator(GaussianMixture(2, random_state=0).fit(X))
    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    sentence = rf"{display.__name__}: drawing needs matplotlib.*\[plot\]"
    with pytest.raises(ImportError, match=sentence):
        shown.plot()


def test_importing_the_module_does_not_import_matplotlib():
    code = "import sys, pyestim.plot; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def chosen():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 12))
    y = X[:, :3] @ [2.0, -1.0, 0.5] + rng.standard_normal(80)
    return LassoGLMCV(n_alphas=30).fit(X, y)


def test_path_shows_every_coefficient_that_moves(chosen):
    display = PathDisplay.from_estimator(chosen).plot()
    curves = [line for line in display.ax_.lines if len(line.get_xdata()) == len(chosen.alphas_)]
    assert len(curves) == len(display.names) == np.sum(chosen.coef_path_.any(axis=1))
    drawn = {tuple(line.get_ydata()) for line in curves}
    assert drawn == {tuple(row) for row in chosen.coef_path_ if row.any()}
    assert display.names[:2] == ("x0", "x1")  # the largest first
    texts = [text.get_text() for text in display.ax_.texts]
    assert texts[:8].count("x0") == 1
    assert str(chosen.path_.df[-1]) in texts
    assert display.ax_.xaxis_inverted()
    assert display.ax_.get_xscale() == "log"


def test_names_beside_the_lines_do_not_overlap(chosen):
    ax = PathDisplay.from_estimator(chosen).plot().ax_
    low, high = ax.get_ylim()
    heights = np.sort([text.xy[1] for text in ax.texts if text.get_text().startswith("x")])
    # The least distance that the display promises, less rounding.
    assert np.diff(heights).min() >= 0.045 * (high - low) * (1 - 1e-9)
    # The largest coefficient has no neighbour: its name stands at the end of its line.
    first = next(text for text in ax.texts if text.get_text() == "x0")
    assert first.xy[1] == pytest.approx(chosen.coef_path_[0, -1])


def test_curve_of_cross_validation_and_its_marks(chosen):
    display = PathDisplay.from_estimator(chosen, kind="cv").plot()
    line = next(line for line in display.ax_.lines if len(line.get_xdata()) > 2)
    np.testing.assert_array_equal(line.get_ydata(), chosen.cv_deviance_mean_)
    marks = {line.get_label(): line.get_xdata()[0] for line in display.ax_.lines}
    assert marks["rule min"] == chosen.alpha_min_
    assert marks["rule 1se"] == chosen.alpha_1se_


def test_paths_of_classes_and_of_nothing():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((90, 3))
    y = np.array(["a", "b", "c"])[(X[:, 0] > 0.5) + 1 * (X[:, 1] > 0)]
    path = glm_path(X, y, "multinomial", n_alphas=5, eps=0.1)
    display = PathDisplay.from_estimator(path, names=["p", "q", "r"]).plot()
    assert any(name.startswith("p, ") for name in display.names)
    nothing = PathDisplay.from_estimator(glm_path(X, X[:, 0], alphas=[1e6])).plot()
    assert nothing.names == ()
