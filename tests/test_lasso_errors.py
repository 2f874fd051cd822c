"""Bad input of the penalised models: one clear sentence, or the right answer."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from pyestim import LassoGLM, LassoGLMCV, glm_path
from pyestim.plot import PathDisplay

pytestmark = pytest.mark.once
RNG = np.random.RandomState(0)
X = RNG.normal(size=(40, 4))
Y = X[:, 0] - X[:, 2] + RNG.normal(size=40)
LABELS = np.where(Y > 0, "up", "down")
ONES = np.ones(40)
TIMES = np.column_stack([np.exp(-Y), ONES])


def replaced(array, where, value):
    changed = array.copy()
    changed[where] = value
    return changed


SEPARABLE = np.where(X[:, 0] > 0, 1, 0)

#: Arguments of the model, X, y, what else goes to fit, and what the sentence must say.
REFUSED = {
    "family": ({"family": "tweedie"}, X, Y, {}, r"family must be one of 'gaussian'.*got 'tweedie'"),
    "alpha": ({"alpha": -1.0}, X, Y, {}, r"alpha must be a finite number of at least 0, got -1"),
    "alpha inf": ({"alpha": np.inf}, X, Y, {}, "alpha must be a finite number"),
    "alpha NaN": ({"alpha": np.nan}, X, Y, {}, "alpha must be a finite number"),
    "l1_ratio": ({"l1_ratio": 1.5}, X, Y, {}, r"l1_ratio must be a number from 0 .* to 1"),
    "tol": ({"tol": 0.0}, X, Y, {}, "tol must be a finite number above 0"),
    "max_iter": ({"max_iter": 0}, X, Y, {}, "max_iter must be an integer of at least 1"),
    "penalty": ({"penalty": "l0"}, X, Y, {}, "penalty must be one of 'l1'"),
    "group": ({"penalty": "group"}, X, Y, {}, "penalty='group' .* family='multinomial'"),
    "concavity": ({"penalty": "mcp", "concavity": 1.0}, X, Y, {}, "concavity must be None or"),
    "flag": ({"standardize": "yes"}, X, Y, {}, "standardize must be one of True, False"),
    "weights v": ({"penalty_weights": -ONES[:4]}, X, Y, {}, "penalty_weights must not be negative"),
    "NaN v": ({"penalty_weights": [np.nan, 1, 1, 1]}, X, Y, {}, "penalty_weights must not be neg"),
    "length v": (
        {"penalty_weights": ONES[:3]},
        X,
        Y,
        {},
        r"penalty_weights must have the shape \(4",
    ),
    "text v": (
        {"penalty_weights": "abc"},
        X,
        Y,
        {},
        "penalty_weights must be a number or an array",
    ),
    "bounds": ({"lower": 0.5}, X, Y, {}, r"lower <= 0 <= upper .* got \[0.5, inf\] for column 0"),
    "upper": ({"upper": [1, 1, -1, 1]}, X, Y, {}, r"\[-inf, -1\] for column 2"),
    "NaN bound": ({"lower": [np.nan, 0, 0, 0]}, X, Y, {}, "lower <= 0 <= upper"),
    "NaN in X": ({}, replaced(X, (3, 1), np.nan), Y, {}, "Input X contains NaN"),
    "inf in X": ({}, replaced(X, (3, 1), np.inf), Y, {}, "Input X contains infinity"),
    "NaN sparse": ({}, sparse.csc_array(replaced(X, (3, 1), np.nan)), Y, {}, "contains NaN"),
    "NaN in y": ({}, X, replaced(Y, 5, np.nan), {}, "Input y contains NaN"),
    "huge y": ({}, X, Y * 1e200, {}, "squares do not overflow"),
    "huge offset": ({}, X, Y, {"offset": Y * 1e200}, "offset must not exceed"),
    "group bounds": (
        {"family": "multinomial", "penalty": "group", "lower": 0.0},
        X,
        LABELS,
        {},
        "penalty='group' takes no bounds",
    ),
    "no y": ({}, X, None, {}, "requires y"),
    "short y": ({}, X, Y[:-1], {}, "inconsistent numbers of samples"),
    "no columns": ({}, X[:, :0], Y, {}, "0 feature"),
    "no rows": ({}, X[:0], Y[:0], {}, "0 sample"),
    "huge X": ({}, X * 1e200, Y, {}, "squares must not overflow"),
    "weights": ({}, X, Y, {"sample_weight": -ONES}, "sample_weight must not be negative"),
    "zero weights": ({}, X, Y, {"sample_weight": 0 * ONES}, "must not be zero for every row"),
    "short weights": ({}, X, Y, {"sample_weight": ONES[1:]}, r"must have the shape \(40,\)"),
    "offset": ({}, X, Y, {"offset": ONES[1:]}, r"offset must have the shape \(40,\)"),
    "NaN offset": ({}, X, Y, {"offset": ONES * np.nan}, "Input offset contains NaN"),
    "counts": ({"family": "poisson"}, X, -np.abs(Y), {}, "family='poisson': expected y >="),
    "no counts": ({"family": "poisson"}, X, 0 * Y, {}, "expected an event in some row"),
    "gamma": ({"family": "gamma"}, X, np.maximum(Y, 0), {}, "family='gamma': expected y > 0"),
    "three": ({"family": "binomial"}, X, np.arange(40) % 3, {}, "Use family='multinomial'"),
    "one class": ({"family": "binomial"}, X, ONES, {}, r"at least two .* got one class, 1\.0:"),
    "one class m": ({"family": "multinomial"}, X, ONES, {}, "at least two classes"),
    "one class w": (
        {"family": "binomial"},
        X,
        LABELS,
        {"sample_weight": (LABELS == "up").astype(float)},
        "got one class, .*'up'",
    ),
    "continuous": ({"family": "binomial"}, X, Y, {}, "continuous"),
    "separable": ({"family": "binomial", "alpha": 0.0}, X, SEPARABLE, {}, "no maximum"),
    "separable m": ({"family": "multinomial", "alpha": 0.0}, X, SEPARABLE, {}, "no maximum"),
    "separable v": (
        {"family": "binomial", "alpha": 0.1, "penalty_weights": [0, 1, 1, 1]},
        X,
        SEPARABLE,
        {},
        "no maximum",
    ),
    "no event": ({"family": "cox"}, X, TIMES * [1, 0], {}, "at least one event"),
    "no event w": (
        {"family": "cox"},
        X,
        TIMES * np.column_stack([ONES, np.arange(40) < 5]),
        {"sample_weight": (np.arange(40) >= 5).astype(float)},
        "at least one event",
    ),
    "event 2": ({"family": "cox"}, X, TIMES * [1, 2], {}, "events must be 1 .* got 2 in row 0"),
    "times": ({"family": "cox"}, X, -TIMES, {}, "events must be 1|times >= 0"),
    "columns": ({"family": "cox"}, X, np.column_stack([TIMES, ONES]), {}, "time and event, got 3"),
    "fields": (
        {"family": "cox"},
        X,
        np.zeros(40, dtype=[("a", float), ("b", float)]),
        {},
        "a time and a boolean event",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("cls", [LassoGLM, LassoGLMCV])
def test_refused(cls, name):
    arguments, rows, y, more, message = REFUSED[name]
    arguments = dict(arguments)
    if cls is LassoGLMCV and "alpha" in arguments:
        alpha = arguments.pop("alpha")
        if not alpha > 0:
            arguments["alphas"] = [alpha]
            message = message if alpha == 0 else "alphas must be finite penalties of at least 0"
    if name == "alpha inf" and cls is LassoGLMCV:
        arguments["alphas"], message = [np.inf], "alphas must be finite penalties of at least 0"
    with pytest.raises(
        ValueError, match=f"(?s)^({cls.__name__}|Input|Found|fold).*{message}|{message}"
    ):
        cls(**arguments).fit(rows, y, **more)


CV_REFUSED = {
    "rule": ({"rule": "max"}, "rule must be one of 'min'"),
    "eps": ({"eps": 1.0}, "eps must be a number between 0 and 1"),
    "n_alphas": ({"n_alphas": 0}, "n_alphas must be an integer of at least 1"),
    "alphas": ({"alphas": []}, "alphas must be finite penalties"),
    "alphas text": ({"alphas": "many"}, "alphas must be finite penalties"),
    "folds": ({"cv": 41}, "cv=41 does not fit the data"),
    "one fold": ({"cv": 1}, "does not fit the data"),
    "n_jobs": ({"n_jobs": 0}, "n_jobs must be None or an integer"),
}


@pytest.mark.parametrize("name", CV_REFUSED)
def test_cv_refused(name):
    arguments, message = CV_REFUSED[name]
    with pytest.raises(ValueError, match=f"LassoGLMCV: .*{message}"):
        LassoGLMCV(**arguments).fit(X, Y)


def test_fold_without_a_class_or_an_event():
    rare = np.where(np.arange(40) == 7, "rare", LABELS)
    folds = [(np.arange(20), np.arange(20, 40)), (np.arange(20, 40), np.arange(20))]
    with pytest.raises(ValueError, match=r"fold 1 cannot be fitted.*lack the class .*rare"):
        LassoGLMCV("multinomial", n_alphas=2, cv=folds).fit(X, rare)
    few = TIMES * np.column_stack([ONES, np.arange(40) == 7])
    with pytest.raises(ValueError, match=r"fold 1 cannot be fitted.*event"):
        LassoGLMCV("cox", n_alphas=2, cv=folds).fit(X, few)
    with pytest.raises(ValueError, match=r"fold 1 cannot be fitted.*sample_weight"):
        LassoGLMCV(cv=folds).fit(X, Y, sample_weight=(np.arange(40) < 20) * 1.0)
    with pytest.raises(ValueError, match="at least two folds that hold out"):
        LassoGLMCV(cv=[folds[0]]).fit(X, Y)


def test_the_question_to_a_fit_is_checked():
    model = LassoGLM(alpha=0.1).fit(X, Y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    with pytest.raises(ValueError, match="features must be distinct column numbers"):
        model.debiased(X, Y, features=[9])
    with pytest.raises(ValueError, match="noise must be 'scaled', 'residual' or a positive"):
        model.debiased(X, Y, noise="guess")
    rows = replaced(X, (slice(None), 1), 2.0)
    flat = LassoGLM(alpha=0.1).fit(rows, Y)
    with pytest.raises(ValueError, match="must not be constant, got column 1"):
        flat.debiased(rows, Y)
    debiased = model.debiased(X, Y, features=[0])
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        debiased.conf_int(95)
    labels = LassoGLM("binomial", alpha=0.01).fit(X, LABELS)
    with pytest.raises(ValueError, match="debiased expects family='gaussian'"):
        labels.debiased(X, LABELS)
    with pytest.raises(ValueError, match="y must hold the labels of the fit"):
        labels.aic(X, np.full(40, "sideways"))
    full = LassoGLM(alpha=1e-6).fit(X[:4], Y[:4])
    with pytest.raises(ValueError, match="expected fewer columns in the support than rows"):
        full.relaxed(X[:4], Y[:4])
    path = glm_path(X, Y, n_alphas=5)
    with pytest.raises(ValueError, match="criterion must be one of"):
        path.select("cp")
    with pytest.raises(ValueError, match="glm_path: alphas must be finite"):
        glm_path(X, Y, alphas=[-1.0])
    with pytest.raises(ValueError, match="expected a GLMPath or a fitted LassoGLMCV"):
        PathDisplay.from_estimator(LassoGLMCV())
    with pytest.raises(ValueError, match="held-out deviance"):
        PathDisplay.from_estimator(path, kind="cv")
    with pytest.raises(ValueError, match="kind must be one of"):
        PathDisplay.from_estimator(path, kind="both")
    with pytest.raises(ValueError, match="one label for each of 4 columns"):
        PathDisplay.from_estimator(path, names=["a"])


def test_warm_start_of_another_size():
    model = LassoGLM(alpha=0.1, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="warm_start=True expects the columns of X"):
        model.fit(X[:, :2], Y)


# -- right answers ---------------------------------------------------------------------------------


def test_constant_columns_stay_at_zero():
    for family, y in (("gaussian", Y), ("binomial", LABELS), ("cox", TIMES)):
        for constant in (0.0, 3.0, 1e9):
            rows = replaced(X, (slice(None), 1), constant)
            for standardize in (False, True):
                model = LassoGLM(family, alpha=0.02, standardize=standardize).fit(rows, y)
                assert np.ravel(model.coef_)[1] == 0
                kept = LassoGLM(family, alpha=0.02, standardize=standardize)
                kept.fit(X[:, [0, 2, 3]], y)
                # The same problem: both within a gap of 1e-7.
                others = np.ravel(model.coef_)[[0, 2, 3]]
                np.testing.assert_allclose(others, np.ravel(kept.coef_), atol=2e-3)


def test_duplicated_columns_share_what_one_has():
    rows = np.column_stack([X, X[:, 0]])
    for family, y in (("gaussian", Y), ("binomial", LABELS), ("cox", TIMES)):
        one = np.ravel(LassoGLM(family, alpha=0.02, tol=1e-12).fit(X, y).coef_)
        two = np.ravel(LassoGLM(family, alpha=0.02, tol=1e-12).fit(rows, y).coef_)
        assert np.isfinite(two).all()
        # Certified to 1e-12: coefficients to the root of it.
        assert two[0] + two[4] == pytest.approx(one[0], abs=1e-5)
        assert two[0] * two[4] >= 0


def test_one_row():
    model = LassoGLM(alpha=0.1).fit(X[:1], Y[:1])
    assert model.intercept_ == Y[0]
    assert not model.coef_.any()
    for family in ("poisson", "gamma"):
        model = LassoGLM(family, alpha=0.1).fit(X[:1], [3.0])
        assert model.predict(X[:1])[0] == pytest.approx(3.0, rel=1e-6)
    with pytest.raises(ValueError, match="one class"):
        LassoGLM("binomial").fit(X[:1], ["a"])


def test_more_columns_than_rows_without_penalty():
    rows = RNG.normal(size=(5, 12))
    model = LassoGLM(alpha=0.0, tol=1e-6).fit(rows, Y[:5])
    np.testing.assert_allclose(model.predict(rows), Y[:5], atol=1e-2)


def test_separable_data_have_a_penalised_maximum():
    model = LassoGLM("binomial", alpha=1e-3).fit(X, SEPARABLE)
    assert model.converged_
    assert np.isfinite(model.coef_).all()
    assert model.score(X, SEPARABLE) == 1.0


def test_one_class_that_a_plane_cuts_off_is_told():
    labels = np.where(X[:, 0] > 0.8, "far", LABELS)
    told = ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        try:
            told = str(LassoGLM("multinomial", alpha=0.0).fit(X, labels).report_)
        except ValueError as error:  # where the fit without penalty sees it
            told = str(error)
    assert "no maximum" in told


def test_rows_of_weight_zero_are_absent_whatever_their_response():
    weight = (np.arange(40) >= 5).astype(float)
    for family, y, odd in (
        ("poisson", np.floor(np.exp(Y)), -1.0),
        ("gamma", np.exp(Y), 0.0),
        ("binomial", LABELS, "other"),
        ("multinomial", LABELS, "other"),
    ):
        changed = y.astype(object) if isinstance(odd, str) else y.copy()
        changed[:5] = odd
        changed = changed.astype(str) if isinstance(odd, str) else changed
        one = LassoGLM(family, alpha=0.02, tol=1e-12).fit(X, changed, sample_weight=weight)
        two = LassoGLM(family, alpha=0.02, tol=1e-12).fit(X[5:], y[5:])
        np.testing.assert_allclose(one.coef_, two.coef_, atol=1e-5)


def test_indices_of_64_bits():
    rows = sparse.csc_array(np.where(np.abs(X) > 0.5, X, 0.0))
    wide = rows.copy()
    wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
    one, two = (LassoGLM(alpha=0.05).fit(r, Y) for r in (rows, wide))
    # Sums in another order.
    np.testing.assert_allclose(one.coef_, two.coef_, rtol=1e-10)
    broken = wide.copy()
    broken.indices[0] = 2**40
    with pytest.raises(ValueError, match=r"row|ind"):
        LassoGLM(alpha=0.05).fit(broken, Y)


@pytest.mark.parametrize("form", [sparse.csc_array, sparse.csr_array])
@pytest.mark.parametrize(
    ("part", "where", "value"),
    [("indices", 0, 10**6), ("indices", 0, -5), ("indptr", 2, 10**6), ("indptr", 2, -4)],
)
def test_sparse_rows_that_point_outside_are_refused(form, part, where, value):
    model = LassoGLM(alpha=0.1).fit(form(X), Y)
    broken = form(X)
    setattr(broken, part, replaced(getattr(broken, part), where, value))
    with pytest.raises(ValueError, match="LassoGLM: expected a sparse X whose indptr rises"):
        LassoGLM().fit(broken, Y)
    with pytest.raises(ValueError, match="LassoGLM: expected a sparse X whose indptr rises"):
        model.predict(broken)


def test_one_fit_is_not_called_every_penalty():
    assert LassoGLM(alpha=0.1).fit(X, Y).report_.outcome.startswith("The fit reached the duality")
    assert glm_path(X, Y, alphas=[1, 0.1]).report.outcome.startswith("Every penalty reached the")


def test_limit_of_iterations_is_told():
    with pytest.warns(ConvergenceWarning, match="LassoGLM: .*raise max_iter"):
        model = LassoGLM("binomial", alpha=1e-3, max_iter=1, tol=1e-14).fit(X, LABELS)
    assert not model.converged_
    assert "NOT CONVERGED" in str(model.report_)
