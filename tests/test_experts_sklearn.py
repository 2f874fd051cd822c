"""scikit-learn's checks on the mixtures of experts, and what they do not reach."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyestim
from pyestim import MixtureOfExpertsClassifier, MixtureOfExpertsRegressor

pytestmark = pytest.mark.once

CHEAP = {"n_init": 1, "random_state": 0}
CHECKED = [
    MixtureOfExpertsRegressor(**CHEAP),
    MixtureOfExpertsRegressor(gate="constant", **CHEAP),
    MixtureOfExpertsClassifier(**CHEAP),
]


@parametrize_with_checks(CHECKED)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def problem(kind="gaussian", n=150):
    """Rows of two experts, the mixture for them, and weights."""
    rng = np.random.RandomState(0)
    X = rng.uniform(-1, 1, size=(n, 2))
    eta = np.where(X[:, 0] + 0.1 * rng.normal(size=n) > 0, 2.0, -2.0) * X[:, 1]
    classes = np.array(["a", "b", "c"])
    y = {
        "gaussian": eta + 0.2 * rng.normal(size=n),
        "outputs": np.column_stack([eta, -eta]) + 0.2 * rng.normal(size=(n, 2)),
        "poisson": rng.poisson(np.exp(eta)).astype(float),
        "binomial": (rng.uniform(size=n) < 1 / (1 + np.exp(-2 * eta))).astype(float),
        "labels": np.where(eta + rng.logistic(size=n) > 0, "yes", "no"),
        "classes": classes[np.digitize(eta + rng.logistic(size=n), [-1, 1])],
    }[kind]
    if kind in ("labels", "classes"):
        model = MixtureOfExpertsClassifier(2, expert_l2=1e-2, gate_l2=1e-3, **CHEAP)
    else:
        family = "gaussian" if kind == "outputs" else kind
        ridge = 1e-2 if kind in ("poisson", "binomial") else 0.0
        model = MixtureOfExpertsRegressor(2, family=family, gate_l2=1e-3, expert_l2=ridge, **CHEAP)
    return model, X, y, rng.randint(0, 3, n).astype(float)


KINDS = ("gaussian", "outputs", "poisson", "binomial", "labels", "classes")


@pytest.mark.parametrize("kind", KINDS)
def test_tags(kind):
    model, *_ = problem(kind)
    labels = kind in ("labels", "classes")
    assert is_classifier(model) is labels
    assert is_regressor(model) is not labels
    assert not model.__sklearn_tags__().input_tags.sparse
    assert not model.__sklearn_tags__().input_tags.allow_nan


@pytest.mark.parametrize("own_columns", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pickle_clone_and_file(kind, own_columns, tmp_path):
    model, X, y, weight = problem(kind)
    Z = X[:, :1] ** 2 if own_columns else None
    model.fit(X, y, Z, sample_weight=weight)
    assert not clone(model).__sklearn_is_fitted__()
    model.save(tmp_path / "model.npz")
    for again in (pickle.loads(pickle.dumps(model)), pyestim.load(tmp_path / "model.npz")):
        np.testing.assert_array_equal(again.predict(X, Z), model.predict(X, Z))
        np.testing.assert_array_equal(
            again.responsibilities(X, y, Z), model.responsibilities(X, y, Z)
        )
        assert again.bic(X, y, Z) == model.bic(X, y, Z)
        assert str(again.report_) == str(model.report_)
        assert str(again.summary()) == str(model.summary())
        again.set_params(warm_start=True).fit(X, y, Z)


def test_files_with_other_shapes_are_refused(tmp_path):
    model, X, y, _ = problem()
    model.fit(X, y)
    model.expert_coef_ = model.expert_coef_[:-1]
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="inconsistent arrays"):
        pyestim.load(tmp_path / "model.npz")


@pytest.mark.parametrize("kind", ["gaussian", "labels"])
def test_pipeline_and_grid_search(kind):
    model, X, y, _ = problem(kind)
    pipeline = make_pipeline(StandardScaler(), model)
    name = f"{type(model).__name__.lower()}__n_experts"
    search = GridSearchCV(pipeline, {name: [1, 2]}, cv=2).fit(X, y)
    assert search.best_params_[name] == 2


@pytest.mark.parametrize("kind", ["gaussian", "labels"])
def test_metadata_is_routed(kind):
    model, X, y, weight = problem(kind)
    Z = X[:, :1]
    with config_context(enable_metadata_routing=True):
        routed = clone(model).set_fit_request(sample_weight=True, Z=True)
        routed.set_score_request(sample_weight=True, Z=True)
        pipeline = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            clone(model).set_fit_request(sample_weight=True, Z=True),
        )
        pipeline.fit(X, y, sample_weight=weight, Z=Z)
        params = {"sample_weight": weight, "Z": Z}
        scores = cross_val_score(routed, X, y, params=params, cv=3)
    assert np.isfinite(scores).all()
    assert pipeline[-1].own_gate_columns_
    by_hand = clone(model).fit(pipeline[0].transform(X), y, Z, sample_weight=weight)
    np.testing.assert_array_equal(by_hand.expert_coef_, pipeline[-1].expert_coef_)


@pytest.mark.parametrize("kind", ["gaussian", "labels"])
def test_data_frames_name_the_columns(kind):
    pandas = pytest.importorskip("pandas")
    model, X, y, _ = problem(kind)
    frame = pandas.DataFrame(X, columns=["length", "width"])
    named = clone(model).fit(frame, pandas.Series(y))
    assert named.feature_names_in_.tolist() == ["length", "width"]
    plain = clone(model).fit(X, y)
    np.testing.assert_array_equal(named.predict(frame), plain.predict(X))
    assert "width" in str(named.summary())
    with warnings.catch_warnings(action="error"):
        gated = clone(model).fit(frame, y, Z=frame[["width"]])
        gated.predict(frame, Z=frame[["width"]])
    with pytest.raises(ValueError, match="feature names"):
        named.predict(frame.rename(columns={"width": "depth"}))


def test_the_number_of_experts_is_chosen_by_a_criterion():
    _, X, y, _ = problem(n=300)
    options = {"random_state": 0, "n_init": 2, "gate_l2": 1e-3}
    fits = {k: MixtureOfExpertsRegressor(k, **options).fit(X, y) for k in (1, 2, 3)}
    for criterion in ("bic", "icl"):
        values = {k: getattr(fit, criterion)(X, y) for k, fit in fits.items()}
        assert min(values, key=values.get) == 2


@pytest.mark.parametrize("kind", ["gaussian", "labels"])
def test_callbacks_hear_of_every_sweep(kind):
    model, X, y, _ = problem(kind)
    if not hasattr(model, "set_callbacks"):
        pytest.skip("scikit-learn < 1.9")
    heard = []

    class Listener:
        def setup(self, estimator, context):
            heard.append("setup")

        def on_fit_task_begin(self, estimator, context, *, X=None):
            heard.append("begin")

        def on_fit_task_end(self, estimator, context):
            heard.append("end")

        def teardown(self, estimator, context):
            heard.append("teardown")

    model.set_callbacks(Listener()).fit(X, y)
    sweeps = model.report_.sweeps
    assert heard == ["setup", "begin", *["begin", "end"] * sweeps, "end", "teardown"]
