"""scikit-learn's own estimator checks, and the parts of its contract that they do not reach."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.metadata_routing import get_routing_for_object

from pyestim import CensoredGaussianMixture, GaussianMixture, TruncatedGaussianMixture


@parametrize_with_checks([GaussianMixture(), TruncatedGaussianMixture(), CensoredGaussianMixture()])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


@pytest.fixture
def X():
    rng = np.random.RandomState(0)
    return np.concatenate([rng.normal(0, 1, (80, 2)), rng.normal(6, 2, (120, 2))])


def test_clone_keeps_every_argument():
    arguments = {
        "n_components": 3,
        "covariance_type": "tied",
        "init_params": np.zeros(4, dtype=int),
        "means_init": np.ones((3, 2)),
        "accelerate": None,
        "on_degenerate": "drop",
    }
    copy = clone(GaussianMixture(**arguments))
    for name, value in arguments.items():
        np.testing.assert_array_equal(getattr(copy, name), value)


def test_pickle_keeps_the_fit(X):
    mixture = GaussianMixture(2, random_state=0).fit(X)
    again = pickle.loads(pickle.dumps(mixture))
    np.testing.assert_array_equal(again.predict_proba(X), mixture.predict_proba(X))
    assert str(again.report_) == str(mixture.report_)


def test_pipeline_and_grid_search(X):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(random_state=0))
    grid = {"gaussianmixture__n_components": [1, 2], "gaussianmixture__covariance_type": ["diag"]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X)
    assert search.best_params_["gaussianmixture__n_components"] == 2


def test_sample_weight_is_routed(X):
    weight = np.where(np.arange(len(X)) < 80, 0.0, 1.0)
    with config_context(enable_metadata_routing=True):
        mixture = GaussianMixture(1).set_fit_request(sample_weight=True)
        requests = get_routing_for_object(mixture.set_score_request(sample_weight=True))
        assert requests.fit.requests["sample_weight"] is True
        assert requests.score.requests["sample_weight"] is True
        pipeline = make_pipeline(FunctionTransformer(), mixture)
        pipeline.fit(X, sample_weight=weight)
    np.testing.assert_allclose(pipeline[-1].means_[0], X[80:].mean(axis=0), rtol=1e-12)


def test_data_frames_name_the_columns(X):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["length", "width"])
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    assert mixture.feature_names_in_.tolist() == ["length", "width"]
    plain = GaussianMixture(2, random_state=0).fit(X)
    np.testing.assert_array_equal(mixture.predict(frame), plain.predict(X))
    assert mixture.marginal(["width"]).feature_names_in_.tolist() == ["width"]
    np.testing.assert_array_equal(
        mixture.condition(["width"], [1.0]).means_, plain.condition([1], [1.0]).means_
    )
    with pytest.raises(ValueError, match="feature names"):
        mixture.predict(frame.rename(columns={"width": "depth"}))


def test_polars_data_frame(X):
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"length": X[:, 0], "width": X[:, 1]})
    mixture = GaussianMixture(2, random_state=0).fit(frame)
    assert mixture.feature_names_in_.tolist() == ["length", "width"]
    np.testing.assert_array_equal(mixture.predict(frame), mixture.predict(frame))


def test_tags():
    tags = GaussianMixture().__sklearn_tags__()
    assert tags.estimator_type == "density_estimator"
    assert not tags.input_tags.sparse
    assert not tags.input_tags.allow_nan
    assert not tags.target_tags.required


class Counter:
    """Callback that counts what it hears, and may ask for an end."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.heard = []

    def setup(self, estimator, context):
        self.heard.append("setup")

    def on_fit_task_begin(self, estimator, context, *, X=None):
        self.heard.append(f"begin {context.task_name} {X.shape}")

    def on_fit_task_end(self, estimator, context):
        self.heard.append(f"end {context.task_name}")
        return self.heard.count("end sweep") == self.stop_after

    def teardown(self, estimator, context):
        self.heard.append("teardown")


@pytest.mark.skipif(not hasattr(GaussianMixture, "set_callbacks"), reason="scikit-learn < 1.9")
def test_callbacks(X):
    counter = Counter()
    mixture = GaussianMixture(2, random_state=0).set_callbacks(counter).fit(X)
    sweeps = mixture.report_.sweeps
    middle = ["begin sweep (200, 2)", "end sweep"] * sweeps
    ends = ["setup", "begin fit (200, 2)"], ["end fit", "teardown"]
    assert counter.heard == [*ends[0], *middle, *ends[1]]
    with pytest.raises(ValueError, match="n_components"):
        mixture.set_params(n_components=0).fit(X)


@pytest.mark.skipif(not hasattr(GaussianMixture, "set_callbacks"), reason="scikit-learn < 1.9")
def test_callbacks_end_a_fit(X):
    mixture = GaussianMixture(2, random_state=0, tol=1e-12).set_callbacks(Counter(stop_after=3))
    with pytest.warns(ConvergenceWarning, match="Interrupted"):
        mixture.fit(X)
    assert mixture.report_.sweeps == 3
    assert not mixture.converged_
    assert np.isfinite(mixture.means_).all()
