"""What no mixture of experts should be given: a clear sentence, or the right answer."""

from __future__ import annotations

import warnings
from functools import cache

import numpy as np
import pytest

from pyestim import MixtureOfExpertsClassifier, MixtureOfExpertsRegressor

pytestmark = pytest.mark.once

N = 60
RNG = np.random.RandomState(0)
X = RNG.normal(size=(N, 2))
SIGN = np.where(X[:, 0] > 0, 1.0, -1.0)
Y = SIGN * X[:, 1] + 0.1 * RNG.normal(size=N)
COUNTS = RNG.poisson(2, N).astype(float)
LABELS = np.array(["a", "b"], dtype=object)[(RNG.uniform(size=N) < 0.5).astype(int)]
GROUPS = np.arange(N) // 3
CHEAP = {"random_state": 0, "n_init": 1}


def regressor(**options):
    return MixtureOfExpertsRegressor(**{**CHEAP, **options})


def with_bad(array, value):
    bad = array.copy()
    bad.flat[3] = value
    return bad


REFUSED = {
    "n_experts must be at most the number of rows of positive weight, 5, got 7": lambda: regressor(
        n_experts=7
    ).fit(X[:5], Y[:5]),
    "minimum of 2 is required by MixtureOfExpertsRegressor": lambda: regressor(n_experts=1).fit(
        X[:1], Y[:1]
    ),
    "n_experts must be at most the number of groups, 2, got 3": lambda: regressor(n_experts=3).fit(
        X, Y, Z=np.ones((N, 1)), groups=np.arange(N) // 30
    ),
    "Z must have one row for each row of X, 60, got 59": lambda: regressor().fit(X, Y, Z=X[:-1]),
    r"Z must have two dimensions.*reshape\(-1, 1\)": lambda: regressor().fit(X, Y, Z=X[:, 0]),
    "gate='constant' reads no covariates": lambda: regressor(gate="constant").fit(X, Y, Z=X),
    "column 0 of Z must be the same for all rows of a group, but row 1": lambda: regressor().fit(
        X, Y, groups=GROUPS
    ),
    "sample_weight must be the same for all rows of a group": lambda: regressor().fit(
        X, Y, Z=X[GROUPS], groups=GROUPS, sample_weight=np.arange(N) + 1.0
    ),
    r"groups must have one label for each row of X, shape \(60,\)": lambda: regressor().fit(
        X, Y, groups=GROUPS[:-1]
    ),
    "groups must not hold NaN": lambda: regressor().fit(
        X, Y, Z=X[GROUPS], groups=np.where(GROUPS == 1, np.nan, GROUPS)
    ),
    "groups must hold labels of one type.*NoneType, str": lambda: regressor().fit(
        X, Y, Z=X[GROUPS], groups=np.array([None if g == 1 else f"{g}" for g in GROUPS])
    ),
    "family='poisson' expects y to hold counts of at least 0": lambda: regressor(
        family="poisson"
    ).fit(X, Y),
    "family='binomial' expects y to hold 0 or 1, or the two columns": lambda: regressor(
        family="binomial"
    ).fit(X, COUNTS),
    "successes and failures, got 3 columns": lambda: regressor(family="binomial").fit(
        X, np.ones((N, 3))
    ),
    "y must hold at least two classes, got one class": lambda: MixtureOfExpertsClassifier().fit(
        X, np.ones(N)
    ),
    "at least two classes, got one class, 'b'": lambda: MixtureOfExpertsClassifier().fit(
        X, LABELS, sample_weight=LABELS == "b"
    ),
    "MixtureOfExpertsRegressor: penalties of experts need one output": lambda: regressor(
        expert_l1=0.1
    ).fit(X, X),
    "must not be negative": lambda: regressor().fit(X, Y, sample_weight=Y),
    "must not be zero for every row": lambda: regressor().fit(X, Y, sample_weight=np.zeros(N)),
    "X contains NaN": lambda: regressor().fit(with_bad(X, np.nan), Y),
    "y contains NaN": lambda: regressor().fit(X, with_bad(Y, np.nan)),
    "Z contains NaN": lambda: regressor().fit(X, Y, Z=with_bad(X, np.nan)),
    "X contains infinity": lambda: regressor().fit(with_bad(X, np.inf), Y),
    "y contains infinity": lambda: regressor().fit(X, with_bad(Y, -np.inf)),
    "Z contains infinity": lambda: regressor().fit(X, Y, Z=with_bad(X, np.inf)),
    r"Regressor: column 0 spans 4.82e\+150; expected": lambda: regressor().fit(X * 1e150, Y),
    r"y: column 0 spans .*e-150; expected": lambda: regressor().fit(X, Y * 1e-150),
    r"Z: column 0 spans .*e\+150; expected": lambda: regressor().fit(X, Y, Z=X * 1e150),
    "levels between 0 and 1": lambda: regressor().fit(X, Y).predict_quantile(X, 1.5),
    "y must have the outputs of the fit": lambda: regressor().fit(X, Y).score_samples(X, X),
    "Z must be given as it was in fit": lambda: regressor().fit(X, Y, Z=X).predict(X),
    "Z must have 2 columns as in fit, got 1": lambda: (
        regressor().fit(X, Y, Z=X).predict(X, X[:, :1])
    ),
    "y must hold the labels of the fit": lambda: (
        MixtureOfExpertsClassifier(max_iter=0).fit(X, LABELS).score_samples(X, np.full(N, "c"))
    ),
}


@pytest.mark.parametrize("words", REFUSED)
def test_refused_in_a_sentence(words):
    with pytest.raises(ValueError, match=words):
        REFUSED[words]()


WRONG = {
    "n_experts": (0, 1.5, True, None),
    "family": ("gamma", None),
    "gate": ("soft", None),
    "expert_l1": (-1, np.nan, "a"),
    "gate_l2": (-1, np.inf),
    "tol": (-1,),
    "max_iter": (-1, 2.5),
    "n_init": (0,),
    "accelerate": ("x",),
    "device": ("cuda",),
    "warm_start": (2,),
    "standardize": ("yes",),
}


@pytest.mark.parametrize(("name", "value"), [(n, v) for n, many in WRONG.items() for v in many])
def test_wrong_arguments_are_named(name, value):
    with pytest.raises(ValueError, match=f"MixtureOfExpertsRegressor: {name} must be .*, got "):
        regressor(**{name: value}).fit(X, Y)


def finite(model):
    names = ("gate_coef_", "gate_intercept_", "expert_coef_", "expert_intercept_", "weights_")
    for name in names:
        values = getattr(model, name)
        if name == "gate_intercept_":  # minus infinity: a dropped expert
            values = np.maximum(values, -1e300)
        assert np.isfinite(values).all(), name
    assert np.isfinite(model.lower_bound_)
    return model


def fitted(model, *args, **kwargs):
    with warnings.catch_warnings(action="ignore"):
        return finite(model.fit(*args, **kwargs))


def test_a_constant_or_repeated_predictor_changes_no_prediction():
    plain = fitted(regressor(), X, Y)
    for columns in ([X, np.full(N, 3.0)], [X, X.sum(axis=1)], [X, X]):
        more = np.column_stack(columns)
        model = fitted(regressor(), more, Y, Z=X)
        np.testing.assert_allclose(model.predict(more, X), plain.predict(X), atol=1e-3)
        assert any("linear combinations" in line for line in model.report_.diagnosis)


@pytest.mark.parametrize(
    ("family", "value"),
    [("gaussian", 4.0), ("poisson", 0.0), ("poisson", 3.0), ("binomial", 0.0), ("binomial", 1.0)],
)
@pytest.mark.parametrize("gate", ["softmax", "constant"])
def test_a_constant_response_is_predicted(family, value, gate):
    model = fitted(regressor(family=family, gate=gate), X, np.full(N, value))
    np.testing.assert_allclose(model.predict(X), value, atol=1e-6)


@pytest.mark.parametrize("ridge", [0.0, 1e-8])
@pytest.mark.parametrize(("n", "slope"), [(N, 0.0), (200, 1.0), (3000, 1.0)])
def test_a_separable_gate_stays_finite_and_says_so(n, slope, ridge):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n, 2))
    side = np.where(rows[:, 0] > 0, 1.0, -1.0)
    mean = side * (10.0 + slope * rows[:, 1])
    model = fitted(regressor(gate_l2=ridge), rows, mean + 0.1 * rng.normal(size=n))
    (line,) = (line for line in model.report_.diagnosis if "gate separates" in line)
    assert "gate_l2" in line and model.converged_
    np.testing.assert_allclose(model.predict(rows)[np.abs(rows[:, 0]) > 0.1].mean(), 0.0, atol=1.0)
    np.testing.assert_allclose(model.expert_scale_, 0.1, rtol=0.3)


def test_a_gate_with_some_doubt_is_not_called_separating():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, 1))
    side = np.where(rng.uniform(size=3000) < 1 / (1 + np.exp(-20 * rows[:, 0])), 1.0, -1.0)
    model = fitted(regressor(), rows, 10.0 * side + 0.1 * rng.normal(size=3000))
    assert not any("gate separates" in line for line in model.report_.diagnosis)
    assert model.gate_coef_[0, 0] == pytest.approx(-20, rel=0.3)


def test_separable_classes_stay_finite_and_say_so():
    for model in (
        fitted(MixtureOfExpertsClassifier(2, expert_l2=0.0, **CHEAP), X, SIGN),
        fitted(regressor(family="binomial"), X, SIGN > 0),
    ):
        assert any("expert_l2" in line for line in model.report_.diagnosis)
        assert not any("linear combinations" in line for line in model.report_.diagnosis)
        assert model.score(X, SIGN if hasattr(model, "classes_") else SIGN > 0) > 0.999


MIXED = np.where(RNG.uniform(size=N) < 0.5, 1.0, -1.0) * X[:, 1] + 0.1 * X[:, 0] + 0.3
RIDGE = {"gate_l2": 1e-4, "tol": 1e-9}


@cache
def plain_fits():
    """What no unit should change."""
    return (
        fitted(regressor(**RIDGE), X, MIXED),
        fitted(regressor(family="poisson", **RIDGE), X, COUNTS),
        fitted(regressor(), X, Y),
    )


@pytest.mark.parametrize("unit", [1e-100, 1e-6, 1e6, 1e100])
def test_units_change_nothing(unit):
    """Nor does the small ridge, which is that of columns of standard deviation one."""
    plain, counts, unweighted = plain_fits()
    model = fitted(regressor(**RIDGE), X * unit, MIXED * unit, Z=X * unit)
    expected = plain.predict(X) * unit
    np.testing.assert_allclose(model.predict(X * unit, X * unit), expected, rtol=1e-2)
    model = fitted(regressor(family="poisson", **RIDGE), X * unit, COUNTS)
    assert model.lower_bound_ == pytest.approx(counts.lower_bound_, abs=1e-4)
    model = fitted(regressor(), X, Y, sample_weight=np.full(N, unit))
    np.testing.assert_allclose(model.predict(X), unweighted.predict(X), atol=1e-2)


@pytest.mark.parametrize("gate", ["softmax", "constant"])
def test_few_distinct_rows(gate):
    options = {"n_experts": 3, "gate": gate}
    for rows in (np.repeat(X[:3], 20, axis=0), np.ones((N, 2))):
        y = rows @ [1.0, 2.0]
        model = fitted(regressor(**options), rows, y)
        np.testing.assert_allclose(model.predict(rows), y, atol=1e-4)
        model = fitted(regressor(family="poisson", **options), rows, np.full(N, 2.0))
        np.testing.assert_allclose(model.predict(rows), 2.0, rtol=1e-6)
        model = fitted(MixtureOfExpertsClassifier(**options, **CHEAP), rows, LABELS)
        assert np.isfinite(model.predict_proba(rows)).all()
        fitted(regressor(**options), X[:3], Y[:3])


def test_a_dropped_expert_has_no_standard_error():
    model = fitted(regressor(n_experts=3, gate="constant"), X[:3], Y[:3])
    assert np.isneginf(model.gate_intercept_[0])
    assert model.weights_[0] == 0.0
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.score_samples(X, Y)).all()
    with pytest.raises(ValueError, match=r"2 of 3 experts have lost all of their rows.*fewer"):
        model.standard_errors(X[:3], Y[:3])
    assert "-inf" in str(model.summary())


def test_more_columns_than_rows():
    many = RNG.normal(size=(30, 50))
    model = fitted(regressor(), many, Y[:30])
    assert np.isfinite(model.predict(many)).all()
    assert any("fewer than its 51 coefficients" in line for line in model.report_.diagnosis)


def test_types_of_numbers_and_labels():
    whole, y = (X * 10).astype(int), (Y * 10).astype(int)
    one, two = fitted(regressor(), whole, y), fitted(regressor(), whole.astype(float), y * 1.0)
    np.testing.assert_array_equal(one.expert_coef_, two.expert_coef_)
    options = {"max_iter": 20, **CHEAP}
    model = fitted(MixtureOfExpertsClassifier(2, **options), X, LABELS)
    plain = fitted(MixtureOfExpertsClassifier(2, **options), X, LABELS == "b")
    assert set(model.predict(X)) <= {"a", "b"}
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))


def test_outputs_that_are_one_another():
    both = np.column_stack([Y, 2 * Y])
    model = fitted(regressor(), X, both)
    np.testing.assert_allclose(model.predict(X)[:, 1], 2 * model.predict(X)[:, 0], atol=1e-3)
    fitted(regressor(), X, np.column_stack([Y, np.ones(N)]))


def test_one_row_far_away():
    far = X.copy()
    far[0] = 1e100
    assert np.isfinite(fitted(regressor(), far, Y).predict(far)).all()
    counts = COUNTS.copy()
    counts[0] = 1e9
    fitted(regressor(family="poisson"), X, counts)
    far[0] = 1e10
    fitted(regressor(family="poisson"), far, COUNTS)


def test_rows_without_trials_say_nothing():
    trials = np.column_stack([COUNTS, COUNTS[::-1]])
    trials[::4] = 0.0
    model = fitted(regressor(family="binomial"), X, trials)
    assert np.all(model.score_samples(X[::4], trials[::4]) == pytest.approx(0.0, abs=1e-12))
    fitted(regressor(family="binomial"), X, np.zeros((N, 2)))
