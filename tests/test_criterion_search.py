"""The search by information criteria: what it keeps is what a loop by hand would keep."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError

from pyestim import (
    CensoredGaussianMixture,
    CriterionSearch,
    GaussianMixture,
    MarkovChain,
    MixtureOfExpertsClassifier,
    MixtureOfExpertsRegressor,
)
from pyestim.datasets import load_faithful, load_rain, load_tones

pytestmark = pytest.mark.once

X = load_faithful()
TRIALS = load_tones()
GRID = {"n_components": [1, 2, 3], "covariance_type": ["full", "diag"]}


@pytest.fixture(scope="module")
def search():
    return CriterionSearch(GaussianMixture(tol=1e-4, random_state=0), GRID).fit(X)


def test_keeps_what_a_loop_keeps(search):
    results = search.results_
    by_hand = [
        clone(search.estimator).set_params(**arguments).fit(X).bic(X)
        for arguments in results["params"]
    ]
    np.testing.assert_array_equal(results["criterion"], by_hand)
    best = int(np.argmin(by_hand))
    assert (search.best_index_, search.best_params_) == (best, results["params"][best])
    assert search.best_criterion_ == by_hand[best] == search.best_estimator_.bic(X)
    assert sorted(results["rank"]) == [1, 2, 3, 4, 5, 6] and results["rank"][best] == 1
    for arguments, count in zip(results["params"], results["n_parameters"], strict=True):
        k = arguments["n_components"]
        assert count == k - 1 + 2 * k + k * (3 if arguments["covariance_type"] == "full" else 2)


def test_table_fits_a_data_frame(search):
    pandas = pytest.importorskip("pandas", reason="the table is made for it")
    frame = pandas.DataFrame(search.results_)
    assert len(frame) == 6 and set(frame["param_covariance_type"]) == {"full", "diag"}


def test_arguments_that_a_candidate_leaves_alone_are_masked():
    grid = [{"n_components": [1]}, {"covariance_type": ["tied"]}]
    results = CriterionSearch(GaussianMixture(), grid).fit(X).results_
    assert list(results["param_n_components"].mask) == [False, True]


def test_answers_as_the_best_fit(search):
    best = search.best_estimator_
    np.testing.assert_array_equal(search.predict(X), best.predict(X))
    np.testing.assert_array_equal(search.predict_proba(X), best.predict_proba(X))
    np.testing.assert_array_equal(search.score_samples(X), best.score_samples(X))
    assert search.score(X) == best.score(X) and search.n_features_in_ == 2
    assert not hasattr(search, "classes_")


def test_several_jobs_find_the_same(search):
    several = clone(search).set_params(n_jobs=2).fit(X)
    np.testing.assert_array_equal(several.results_["criterion"], search.results_["criterion"])


def test_further_data_reach_fit_and_criterion():
    rows, y = TRIALS[:, :1], TRIALS[:, 1]
    weight = np.where(rows[:, 0] > 2, 2.0, 1.0)
    model = MixtureOfExpertsRegressor(n_init=1, random_state=0)
    search = CriterionSearch(model, {"n_experts": [1, 2]}, criterion="icl")
    search.fit(rows, y, sample_weight=weight, Z=np.ones_like(rows))
    best = search.best_estimator_
    assert search.best_criterion_ == best.icl(rows, y, np.ones_like(rows), weight)
    assert is_regressor(search)
    lengths = [500, 596]
    chains = CriterionSearch(MarkovChain(), {"order": [1, 2]}, criterion="aic")
    days = load_rain()
    chains.fit(days, lengths=lengths)
    assert chains.best_criterion_ == chains.best_estimator_.aic(days, lengths)
    # Bounds of cells: the criterion must not read the rows as if they were exact.
    low = np.floor(X)
    cells = CriterionSearch(CensoredGaussianMixture(), {"n_components": [1]})
    cells.fit(low, upper=low + 1)
    assert cells.best_criterion_ == cells.best_estimator_.bic(lower=low, upper=low + 1)


def test_a_criterion_of_ones_own():
    search = CriterionSearch(
        GaussianMixture(), {"n_components": [1, 2]}, criterion=lambda fitted, X, y: -fitted.score(X)
    )
    assert search.fit(X).best_criterion_ == -search.best_estimator_.score(X)


def test_classifiers_stay_classifiers():
    labels = np.where(X[:, 0] > 3, "long", "short")
    search = CriterionSearch(
        MixtureOfExpertsClassifier(n_init=1, random_state=0), {"n_experts": [1, 2]}
    )
    search.fit(X[:, 1:], labels)
    assert is_classifier(search) and list(search.classes_) == ["long", "short"]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="criterion must be the name of a method of Gaussian"):
        CriterionSearch(GaussianMixture(), GRID, criterion="wic").fit(X)
    with pytest.raises(ValueError, match="n_components = 1000") as refused:
        CriterionSearch(GaussianMixture(), {"n_components": [1, 1000]}).fit(X)
    assert "1000" in refused.value.__notes__[0]
    with pytest.raises(ValueError, match="finite criterion of at least one of 1"):
        CriterionSearch(GaussianMixture(), {"n_components": [1]}, criterion=lambda *_: np.nan).fit(
            X
        )
    with pytest.raises(NotFittedError):
        CriterionSearch(GaussianMixture(), GRID).predict(X)
    assert not hasattr(CriterionSearch(MarkovChain(), {"order": [1]}), "transform")


def test_a_candidate_without_a_criterion_is_not_chosen():
    def criterion(fitted, X, y):
        return np.nan if fitted.n_components == 2 else 1.0

    search = CriterionSearch(GaussianMixture(), {"n_components": [2, 1]}, criterion=criterion)
    assert search.fit(X).best_params_ == {"n_components": 1}
    assert list(search.results_["rank"]) == [2, 1]
