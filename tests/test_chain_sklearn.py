"""scikit-learn's contract for an estimator that reads sequences."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.metadata_routing import get_routing_for_object

from pyestim import MarkovChain

pytestmark = pytest.mark.once


class AsMatrix(MarkovChain):
    """The chain with a tag that lets scikit-learn's checks run: they want a matrix."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = True
        return tags


#: Checks whose data are continuous columns, by what they do with them.
NOT_FOR_SEQUENCES = {
    **dict.fromkeys(
        (
            "check_dont_overwrite_attributes",
            "check_dont_overwrite_parameters",
            "check_dict_unchanged",
            "check_dtype_object",
            "check_estimator_sparse_array",
            "check_estimator_sparse_tag",
            "check_f_contiguous_array_estimator",
            "check_fit2d_1feature",
            "check_fit2d_1sample",
            "check_fit2d_predict1d",
            "check_methods_sample_order_invariance",
            "check_methods_subset_invariance",
            "check_n_features_in",
            "check_n_features_in_after_fitting",
            "check_sample_weight_equivalence_on_dense_data",
            "check_sample_weights_not_overwritten",
            "check_sample_weights_shape",
        ),
        "indexes columns of an array that it made one-dimensional",
    ),
    "check_positive_only_tag_during_fit": "fits numbers that are not whole",
    "check_sample_weights_not_an_array": "weights continuous rows",
}


with warnings.catch_warnings():
    warnings.simplefilter("ignore")

    @parametrize_with_checks([AsMatrix()])
    def test_scikit_learn_checks(estimator, check):
        if check.func.__name__ in NOT_FOR_SEQUENCES:
            pytest.skip(NOT_FOR_SEQUENCES[check.func.__name__])
        check(estimator)


@pytest.fixture
def X():
    return np.random.RandomState(0).choice(["a", "b", "c"], size=200)


def test_tags():
    tags = MarkovChain().__sklearn_tags__()
    assert tags.estimator_type == "density_estimator"
    assert tags.input_tags.one_d_array
    assert not tags.input_tags.two_d_array
    assert tags.input_tags.allow_nan
    assert tags.input_tags.string
    assert not tags.target_tags.required


def test_clone_and_set_params():
    chain = MarkovChain(order=2, smoothing="laplace", n_states=3, sparse=True, random_state=1)
    assert clone(chain).get_params() == chain.get_params()
    assert chain.set_params(smoothing=0.5).smoothing == 0.5
    assert not clone(chain).__sklearn_is_fitted__()


def test_nothing_is_changed_by_questions(X):
    chain = MarkovChain(smoothing=1).fit(X)
    before = pickle.dumps(chain)
    for ask in ("predict", "predict_proba", "score_samples", "score", "log_likelihood", "bic"):
        getattr(chain, ask)(X)
    chain.sample(5)
    assert pickle.dumps(chain) == before
    assert sorted(chain.__dict__) == sorted(pickle.loads(before).__dict__)


@pytest.mark.parametrize("arguments", [{}, {"order": 2}, {"sparse": True, "smoothing": 1}])
def test_pickle(X, arguments):
    chain = MarkovChain(**arguments).fit(X)
    again = pickle.loads(pickle.dumps(chain))
    np.testing.assert_array_equal(again.predict_proba(X), chain.predict_proba(X))
    assert str(again.report_) == str(chain.report_)


@pytest.mark.parametrize(
    "ask", ["predict", "predict_proba", "score", "score_samples", "log_likelihood", "aic", "bic"]
)
def test_not_fitted(X, ask):
    with pytest.raises(NotFittedError, match="MarkovChain instance is not fitted"):
        getattr(MarkovChain(), ask)(X)
    with pytest.raises(NotFittedError):
        MarkovChain().sample()


def test_grid_search_with_a_splitter_of_sequences(X):
    half = np.arange(100)
    splits = [(half, half + 100), (half + 100, half)]
    search = GridSearchCV(MarkovChain(), {"smoothing": ["mle", 0.5, 1000.0]}, cv=splits).fit(X)
    assert search.cv_results_["mean_test_score"].shape == (3,)
    expected = [
        np.mean([MarkovChain(smoothing=s).fit(X[a]).score(X[b]) for a, b in splits])
        for s in ("mle", 0.5, 1000.0)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-14)
    assert search.predict(X).shape == (200,)


def test_lengths_and_weights_are_routed(X):
    lengths, weight = [50, 150], np.linspace(0, 1, 200)
    with config_context(enable_metadata_routing=True):
        chain = MarkovChain().set_fit_request(lengths=True, sample_weight=True)
        chain.set_score_request(lengths=True, sample_weight=True)
        requests = get_routing_for_object(chain.set_predict_request(lengths=True))
        assert requests.fit.requests == {"lengths": True, "sample_weight": True}
        assert requests.score.requests == {"lengths": True, "sample_weight": True}
        pipeline = make_pipeline(FunctionTransformer(), chain)
        pipeline.fit(X, lengths=lengths, sample_weight=weight)
    expected = MarkovChain().fit(X, lengths=lengths, sample_weight=weight)
    np.testing.assert_array_equal(pipeline[-1].counts_, expected.counts_)
