"""scikit-learn's checks on the penalised models of every family, and what they do not reach."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import config_context
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import pyestim
from pyestim import LassoGLM, LassoGLMCV, glm_path

pytestmark = pytest.mark.once

FAMILIES = ("gaussian", "binomial", "poisson", "gamma", "multinomial", "cox")
# Weighted and repeated rows are compared to seven digits: certified to as many squares.
# Cox: heavily tied times at small penalties take thousands of steps to that gap.
SINGLE = [
    LassoGLM(family, alpha=0.1 if family == "cox" else 0.01, tol=1e-13) for family in FAMILIES
]
# The choice of a penalty knows three cases: numbers, labels, times. Poisson and gamma are numbers
# like gaussian here, and the folds of many classes are those of two.
GRID = {"n_alphas": 3, "eps": 0.2, "cv": 2, "tol": 1e-12}
CHOSEN = [LassoGLMCV(family, **GRID) for family in ("gaussian", "binomial", "cox")]
CHOSEN += [LassoGLMCV("multinomial", rule="bic", **GRID)]


@parametrize_with_checks([*SINGLE, *CHOSEN])
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def problem(family, n=80, p=6, seed=0):
    """Rows, a response of the family, and weights."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n, p))
    eta = 0.4 + 0.8 * X[:, 0] - 0.6 * X[:, 2]
    y = {
        "gaussian": eta + rng.normal(size=n),
        "binomial": np.where(rng.rand(n) < 1 / (1 + np.exp(-eta)), "yes", "no"),
        "poisson": rng.poisson(np.exp(eta)).astype(float),
        "gamma": rng.gamma(2.0, np.exp(eta) / 2),
        "multinomial": np.array(["a", "b", "c"])[
            (eta + rng.normal(size=n) > 0) + 1 * (X[:, 1] > 0)
        ],
        "cox": np.column_stack([rng.exponential(np.exp(-eta)), rng.rand(n) < 0.7]),
    }[family]
    return X, y, rng.randint(0, 4, n).astype(float)


@pytest.mark.parametrize("family", FAMILIES)
def test_tags_tell_classifiers_from_regressors(family):
    labels = family in ("binomial", "multinomial")
    for model in (LassoGLM(family), LassoGLMCV(family)):
        assert is_classifier(model) is labels
        assert is_regressor(model) is not labels
        assert hasattr(model, "predict_proba") is labels
        assert hasattr(model, "predict_survival") is (family == "cox")
        assert model.__sklearn_tags__().input_tags.sparse


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_repeated_rows(family):
    X, y, w = problem(family)
    model = LassoGLM(family, alpha=0.02, tol=1e-13, standardize=True)
    weighted = clone(model).fit(X, y, sample_weight=w)
    rows = np.repeat(np.arange(len(X)), w.astype(int))
    repeated = clone(model).fit(X[rows], y[rows])
    # Both are certified to 1e-13 of the loss: coefficients agree to the root of it.
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, atol=1e-6)
    np.testing.assert_allclose(weighted.intercept_, repeated.intercept_, atol=1e-6)
    for criterion in ("aic", "bic", "log_likelihood", "deviance", "score"):
        one = getattr(weighted, criterion)(X, y, sample_weight=w)
        assert one == pytest.approx(getattr(repeated, criterion)(X[rows], y[rows]), rel=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("cls", [LassoGLM, LassoGLMCV])
def test_pickle_clone_and_file(family, cls, tmp_path):
    X, y, w = problem(family)
    model = cls(family, penalty_weights=np.array([0.5, 1, 1, 1, np.inf, 1]))
    model.set_params(**({"alpha": 0.05} if cls is LassoGLM else {"n_alphas": 8, "eps": 0.1}))
    model.fit(X, y, sample_weight=w)
    assert not clone(model).__sklearn_is_fitted__()
    model.save(tmp_path / "model.npz")
    for again in (pickle.loads(pickle.dumps(model)), pyestim.load(tmp_path / "model.npz")):
        np.testing.assert_array_equal(again.coef_, model.coef_)
        np.testing.assert_array_equal(again.predict(X), model.predict(X))
        assert again.bic(X, y) == model.bic(X, y)
        assert str(again.report_) == str(model.report_)
        if cls is LassoGLMCV:
            np.testing.assert_array_equal(again.coef_path_, model.coef_path_)
            np.testing.assert_array_equal(again.cv_deviance_, model.cv_deviance_)


def test_files_with_other_shapes_are_refused(tmp_path):
    X, y, _ = problem("gaussian")
    model = LassoGLM(alpha=0.1).fit(X, y)
    model.coef_ = model.coef_[:-1]
    model.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="inconsistent arrays"):
        pyestim.load(tmp_path / "model.npz")


def test_pipeline_grid_search_and_routing():
    X, y, w = problem("binomial")
    pipeline = make_pipeline(StandardScaler(), LassoGLM("binomial"))
    search = GridSearchCV(pipeline, {"lassoglm__alpha": [0.5, 0.02]}, cv=3).fit(X, y)
    assert search.best_params_["lassoglm__alpha"] == 0.02
    with config_context(enable_metadata_routing=True):
        model = LassoGLM("binomial", alpha=0.02).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scores = cross_val_score(model, X, y, params={"sample_weight": w + 1}, cv=3)
    assert scores.shape == (3,)


def test_data_frames_name_the_columns():
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("gaussian")
    frame = pandas.DataFrame(X, columns=list("abcdef"))
    model = LassoGLM(alpha=0.1).fit(frame, y)
    assert model.feature_names_in_.tolist() == list("abcdef")
    assert model.debiased(frame, y, features=["c"]).names == ("c",)
    with warnings.catch_warnings(action="error"):
        assert model.relaxed(frame, y).feature_names_in_.tolist() == list("abcdef")
        assert glm_path(frame, y, n_alphas=3).refit(frame, y).feature_names.tolist()[2] == "c"
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"a": "z"}))


def test_data_frames_of_sparse_columns_stay_sparse():
    pandas = pytest.importorskip("pandas")
    X, y, _ = problem("gaussian")
    X = X * (X > 0)
    frame = pandas.DataFrame.sparse.from_spmatrix(csr_matrix(X), columns=list("abcdef"))
    model = LassoGLM(alpha=0.1).fit(frame, y)
    assert model.report_.problem.endswith("sparse")
    np.testing.assert_allclose(model.coef_, LassoGLM(alpha=0.1).fit(X, y).coef_, rtol=1e-9)
    np.testing.assert_allclose(model.predict(frame), X @ model.coef_ + model.intercept_, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_splitters_of_every_kind(family):
    X, y, w = problem(family)
    groups = np.arange(len(X)) % 5
    model = LassoGLMCV(family, n_alphas=6, eps=0.2)
    first = clone(model).set_params(cv=GroupKFold(5)).fit(X, y, w, groups=groups)
    folds = [(np.flatnonzero(groups != g), np.flatnonzero(groups == g)) for g in range(5)]
    second = clone(model).set_params(cv=iter(folds)).fit(X, y, w)
    np.testing.assert_allclose(first.cv_deviance_mean_, second.cv_deviance_mean_, rtol=1e-12)
    third = clone(model).set_params(cv=KFold(4)).fit(X, y, w)
    assert third.cv_deviance_.shape == (len(third.alphas_), 4)


def test_threads_change_nothing():
    X, y, _ = problem("gaussian", n=60)
    one, two = (LassoGLMCV(n_jobs=jobs, n_alphas=20).fit(X, y) for jobs in (1, 2))
    np.testing.assert_array_equal(one.cv_deviance_, two.cv_deviance_)
    np.testing.assert_array_equal(one.coef_, two.coef_)
