"""Intervals, order tests and summaries of a chain, as its user asks for them."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from pyestim import MarkovChain

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def X():
    return np.random.RandomState(0).choice(["a", "b", "c"], p=[0.6, 0.3, 0.1], size=300)


@pytest.fixture(scope="module")
def chain(X):
    return MarkovChain(random_state=0).fit(X)


@pytest.mark.parametrize("method", ["asymptotic", "wald", "dirichlet", "bootstrap"])
def test_intervals_hold_the_estimates(X, chain, method):
    data = {"X": X, "n_resamples": 1000} if method == "bootstrap" else {}
    found = chain.conf_int(0.99, method, **data)
    P = chain.transition_matrix_
    assert (found.lower <= P).all() and (found.upper >= P).all()
    narrow = chain.conf_int(0.5, method, **data)
    assert (narrow.upper - narrow.lower < found.upper - found.lower).all()
    # Where counts are not small all are nearly normal. Each end of 1000 resamples, a quantile of
    # 0.5 %, has a standard error of 6 % of half the width: 0.15 is more than three of the width's.
    width = 2 * 2.5758 * chain.standard_errors()
    many = chain.counts_ > 20
    np.testing.assert_allclose((found.upper - found.lower)[many], width[many], rtol=0.15)


def test_intervals_of_other_chains(X):
    second = MarkovChain(order=2, sparse=True).fit(X)
    found = second.conf_int()
    assert found.lower.shape == second.counts_.shape
    assert len(found.unseen_upper) == len(second.contexts_)
    reversible = MarkovChain(reversible=True, random_state=0).fit(X)
    found = reversible.conf_int(method="bootstrap", X=X, n_resamples=50)
    assert (found.lower <= reversible.transition_matrix_ + 1e-12).all()
    for ask in (reversible.conf_int, reversible.standard_errors):
        with pytest.raises(ValueError, match=r"rows that were estimated independently"):
            ask()


def test_a_seed_fixes_the_bootstrap(X, chain):
    lengths = [10] * 30
    asked = {"method": "bootstrap", "X": X, "lengths": lengths, "n_resamples": 20}
    one, two = (chain.conf_int(**asked, random_state=3) for _ in range(2))
    np.testing.assert_array_equal(one.upper, two.upper)
    other = chain.conf_int(**asked, random_state=4)
    assert (one.upper != other.upper).any()


BAD = [
    ({"level": 1.0}, "level must be a number between 0 and 1, got 1.0"),
    ({"level": "95%"}, "level must be a number between 0 and 1"),
    ({"method": "exact"}, "method must be one of 'asymptotic', 'wald', 'dirichlet', 'bootstrap'"),
    ({"prior": 0}, "prior must be a number above 0"),
    ({"kind": "blocks"}, "kind must be one of"),
    ({"n_resamples": 1}, "n_resamples must be an integer of at least 2"),
    ({"method": "bootstrap"}, r"conf_int\(method='bootstrap'\) expects X"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_arguments(chain, arguments, message):
    with pytest.raises(ValueError, match=f"MarkovChain: {message}"):
        chain.conf_int(**arguments)


def test_resamples_that_do_not_fit(chain, X):
    with pytest.raises(ValueError, match=r"MarkovChain: conf_int: .* lower n_resamples"):
        chain.conf_int(method="bootstrap", X=X, n_resamples=10**9)


def test_counts_are_needed():
    chain = MarkovChain()
    chain.transition_matrix_ = np.eye(2)
    for ask in (chain.conf_int, chain.standard_errors):
        with pytest.raises(AttributeError, match="only a fit leaves"):
            ask()
    assert "No standard errors" in str(chain.summary())


def test_order_test_is_about_the_data(X):
    plain = MarkovChain().order_test(X, max_order=2)
    fitted = MarkovChain(order=4, smoothing=2.0).fit(X)
    np.testing.assert_array_equal(fitted.order_test(X, max_order=2).aic, plain.aic)
    assert plain.best["bic"] == 0
    one, other = MarkovChain(order=1), MarkovChain(order=2)
    # The same rows are scored for all orders: two chains fitted on them say the same.
    second = other.fit(X)
    first = one.fit(X[1:])
    assert plain.log_likelihood[2] == pytest.approx(second.log_likelihood(X), rel=1e-12)
    assert plain.log_likelihood[1] == pytest.approx(first.log_likelihood(X[1:]), rel=1e-12)
    with pytest.raises(ValueError, match="max_order must be an integer of at least 1, got 0"):
        one.order_test(X, max_order=0)


def test_stationary_standard_errors(chain, X):
    errors = chain.stationary_standard_errors()
    assert errors.shape == (1, 3)
    # Nearly independent rows: those of a frequency, up to what the little dependence adds.
    pi = chain.stationary_distribution_
    np.testing.assert_allclose(errors[0], np.sqrt(pi * (1 - pi) / len(X)), rtol=0.2)
    with pytest.raises(ValueError, match="stationary_standard_errors expects order=1"):
        MarkovChain(order=2).fit(X).stationary_standard_errors()


def test_summary(chain):
    text = str(chain.summary())
    lines = text.splitlines()
    assert lines[0] == "Markov chain of order 1"
    assert "transitions          299" in lines
    (row,) = [line for line in lines if line.split()[:1] == ["a"]]
    p, se = chain.transition_matrix_[0, 0], chain.standard_errors()[0, 0]
    assert f"{p:.4f} ({se:.4f})" in row
    assert "Fit: OK" in text
    html = chain.summary()._repr_html_()
    assert f"{p:.4f} ({se:.4f})" in html


def test_summary_of_large_and_strange_chains():
    X = np.random.RandomState(0).randint(0, 30, 2000)
    text = str(MarkovChain(order=2, sparse=True, smoothing=0.5).fit(X).summary())
    assert "The first 20 of" in text and "6 of 30 columns" in text
    labels = np.array(["<b>", "x & y"], dtype=object)[X % 2]
    html = MarkovChain(reversible=True).fit(labels).summary()._repr_html_()
    assert "<b>" not in html and "&lt;b&gt;" in html and "x &amp; y" in html
    with pytest.warns(UserWarning, match="no transition"):
        empty = MarkovChain(order=2).fit([0, 1])
    assert "transitions          0" in str(empty.summary())


TRUTH = [[0.9, 0.1], [0.2, 0.8]]


def test_simulated_risk_compares_rules_on_the_same_paths():
    chain = MarkovChain(smoothing="laplace", random_state=1)
    asked = {"n": 200, "transition_matrix": TRUTH, "n_repeats": 100, "loss": "l2"}
    own = chain.simulate_risk(**asked)
    both = chain.simulate_risk(**asked, smoothing=["laplace", "minimax-l2"])
    assert [found.smoothing for found in both] == ["laplace", "minimax-l2"]
    assert own.risk == both[0].risk
    assert own.standard_error > 0
    other = chain.simulate_risk(**asked, random_state=2)
    assert own.risk != other.risk
    # Two means of 100 losses differ by a few of their standard errors.
    assert abs(own.risk - other.risk) < 6 * (own.standard_error + other.standard_error)


def test_the_order_alpha_of_a_simulation():
    """The rule of order a adds a / 2, and the loss of order 2 is half of chi-square."""
    chain = MarkovChain(random_state=1)
    asked = {"n": 200, "transition_matrix": TRUTH, "n_repeats": 20, "alpha": 2.0}
    named, number = chain.simulate_risk(**asked, loss="alpha", smoothing=["minimax-alpha", 1.0])
    assert named.risk == number.risk
    half = chain.simulate_risk(**asked, loss="chi-square", smoothing=1.0).risk / 2
    np.testing.assert_allclose(named.risk, half, rtol=1e-12)  # two formulas of one sum


def test_weights_leave_the_bootstrap_its_width(X, chain):
    asked = {"method": "bootstrap", "X": X, "n_resamples": 20}
    found = chain.conf_int(**asked, sample_weight=np.ones(len(X)))
    np.testing.assert_array_equal(found.lower, chain.conf_int(**asked).lower)
    assert (found.upper > found.lower).all()
    with pytest.raises(ValueError, match=r"conf_int: kind='sequences' expects at least 2"):
        chain.conf_int(**asked, kind="sequences")


def test_simulated_risk_of_a_fitted_chain(chain):
    chain.simulate_risk(50, n_repeats=10, start=chain.start_proba_)
    found = chain.simulate_risk(50, smoothing=0.5, n_repeats=10)
    assert np.isfinite(found.risk)
    with pytest.raises(ValueError, match="simulate_risk expects a chain of order 1, got order 2"):
        MarkovChain(order=2).fit([0, 1, 1, 0]).simulate_risk(10)
    with pytest.raises(NotFittedError):
        MarkovChain().simulate_risk(10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1}, "n must be an integer of at least 2, got 1"),
        ({"n_repeats": 1.5}, "n_repeats must be an integer of at least 2"),
        ({"loss": "absolute"}, "loss must be one of 'prediction-kl'"),
        ({"smoothing": "best"}, "smoothing must be a number of at least 0 or one of"),
        ({"smoothing": ["mle", -1]}, "smoothing must be a number of at least 0 or one of"),
        ({"start": "first"}, "simulate_risk: start must be"),
        ({"start": [0.5, 0.2, 0.3]}, "simulate_risk: start must be"),
        (
            {"transition_matrix": [[0.5, 0.6], [0.5, 0.5]]},
            r"simulate_risk: .* got the sum 1\.1 in row 0\.$",
        ),
        ({"start": [1.5, -0.5]}, r"simulate_risk: start must .* got \[1\.5, -0\.5\]\.$"),
        ({"start": [[0.5], "a"]}, "start must hold numbers"),
        ({"smoothing": []}, r"smoothing must be at least one rule, got \[\]"),
        ({"alpha": 0}, "alpha must be a number above 0, got 0"),
        ({"transition_matrix": "abc"}, "transition_matrix must hold numbers, got 'abc'"),
        ({"transition_matrix": [[1.0, 0.0], [0.0, 1.0]]}, "simulate_risk: .* 2 closed classes"),
    ],
)
def test_bad_arguments_of_a_simulation(arguments, message):
    asked = {"n": 20, "transition_matrix": TRUTH, "n_repeats": 5, **arguments}
    with pytest.raises(ValueError, match=f"MarkovChain: {message}"):
        MarkovChain().simulate_risk(**asked)
