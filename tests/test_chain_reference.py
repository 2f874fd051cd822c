"""Chains against other programs: tests/reference/README.md says which."""

from __future__ import annotations

import csv
import functools
import json
from pathlib import Path

import numpy as np
import pytest

from pyestim import MarkovChain

pytestmark = pytest.mark.once

HERE = Path(__file__).parent / "reference"
NAMES = ["markov_rain", "markov_lynx4", "markov_cav_visits"]

# Closed forms in double precision, recorded to 17 digits.
PROBABILITY = {"rtol": 0, "atol": 1e-12}
LIKELIHOOD = {"rtol": 1e-12}


@functools.cache
def file_of(name):
    return json.loads((HERE / "markov" / f"{name}.json").read_text())


@functools.cache
def sequences(name):
    """Labels and lengths."""
    with open(HERE / "data" / f"{name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    X = np.array([row["state"] for row in rows])
    if "sequence" not in rows[0]:
        return X, None
    number = np.array([int(row["sequence"]) for row in rows])
    return X, np.diff(np.flatnonzero(np.diff(number, prepend=-1, append=-1)))


def cases(kind):
    """Cases of all files whose name begins with ``kind``."""
    return [
        pytest.param(name, case["expected"], case["spec"], id=case["id"])
        for name in NAMES
        for case in file_of(name)["cases"]
        if case["id"].removeprefix(name).startswith(f"_{kind}")
    ]


@pytest.mark.parametrize(("name", "expected", "spec"), cases("mle"))
def test_maximum_likelihood(name, expected, spec):
    X, lengths = sequences(name)
    chain = MarkovChain().fit(X, lengths=lengths)
    assert chain.states_.tolist() == file_of(name)["data"]["states"]
    np.testing.assert_array_equal(chain.counts_, expected["counts"])
    assert chain.counts_.dtype == np.int64
    np.testing.assert_allclose(
        chain.transition_matrix_, expected["transition_matrix"], **PROBABILITY
    )
    np.testing.assert_allclose(
        chain.start_proba_, expected["initial_distribution_mle"], **PROBABILITY
    )
    likelihood = expected["loglik_conditional_on_first"]
    np.testing.assert_allclose(chain.log_likelihood(X, lengths=lengths), likelihood, **LIKELIHOOD)
    np.testing.assert_allclose(
        chain.score_samples(X, lengths=lengths).sum(), likelihood, **LIKELIHOOD
    )
    np.testing.assert_allclose(chain.lower_bound_ * chain.n_transitions_, likelihood, **LIKELIHOOD)


@pytest.mark.parametrize(("name", "expected", "spec"), cases("laplace"))
def test_add_constant(name, expected, spec):
    X, lengths = sequences(name)
    chain = MarkovChain(smoothing=spec["smoothing"]).fit(X, lengths=lengths)
    np.testing.assert_allclose(
        chain.transition_matrix_, expected["transition_matrix"], **PROBABILITY
    )
    np.testing.assert_allclose(
        chain.log_likelihood(X, lengths=lengths), expected["loglik_of_data"], **LIKELIHOOD
    )


@pytest.mark.parametrize(("name", "expected", "spec"), [*cases("order2"), *cases("order3")])
def test_higher_orders(name, expected, spec):
    X, lengths = sequences(name)
    chain = MarkovChain(order=spec["order"]).fit(X, lengths=lengths)
    assert chain.contexts_.tolist() == expected["contexts"]
    np.testing.assert_array_equal(chain.counts_, expected["counts"])
    np.testing.assert_allclose(
        chain.transition_matrix_, expected["transition_probabilities"], **PROBABILITY
    )
    likelihood = expected["loglik_conditional_on_first_m"]
    np.testing.assert_allclose(chain.log_likelihood(X, lengths=lengths), likelihood, **LIKELIHOOD)
    np.testing.assert_allclose(
        chain.score_samples(X, lengths=lengths).sum(), likelihood, **LIKELIHOOD
    )
    assert chain.n_transitions_ == expected["n_transitions"]
    sparse = MarkovChain(order=spec["order"], sparse=True).fit(X, lengths=lengths)
    np.testing.assert_array_equal(sparse.counts_.toarray(), expected["counts"])
    np.testing.assert_allclose(sparse.log_likelihood(X, lengths=lengths), likelihood, **LIKELIHOOD)


def test_structure_of_the_maximum_likelihood_chains():
    asked = 0
    for param in cases("mle"):
        name, expected, _ = param.values
        X, lengths = sequences(name)
        chain = MarkovChain().fit(X, lengths=lengths)
        if "stationary_distribution" not in expected:
            continue
        asked += 1
        pi = chain.stationary_distribution_
        np.testing.assert_allclose(pi, expected["stationary_distribution"], **PROBABILITY)
        np.testing.assert_array_equal(chain.stationary_distributions_, [pi])
        # Passage times of some tens of steps, from 16 recorded digits.
        passage = expected["mean_first_passage_time"]
        np.testing.assert_allclose(chain.mean_first_passage_times(), passage, rtol=1e-11)
        for j, label in enumerate(chain.states_):
            times = chain.hitting_times(label)
            np.testing.assert_allclose(times, np.array(passage)[:, j], rtol=1e-11)
        assert chain.entropy_rate() == pytest.approx(expected["entropy_rate_nats"], rel=1e-12)
        moduli = np.array(expected["eigenvalues_abs_sorted"])
        np.testing.assert_allclose(chain.timescales(lag=2.0), -2 / np.log(moduli[1:]), rtol=1e-10)
        power = expected["P_power_5"]
        for i, label in enumerate(chain.states_):
            ahead = chain.forecast([label], steps=5)[-1]
            np.testing.assert_allclose(ahead, power[i], **PROBABILITY)
    assert asked == 2


@pytest.mark.parametrize(("name", "expected", "spec"), cases("laplace"))
def test_stationary_distribution_of_smoothed_chains(name, expected, spec):
    X, lengths = sequences(name)
    chain = MarkovChain(smoothing=spec["smoothing"]).fit(X, lengths=lengths)
    np.testing.assert_allclose(
        chain.stationary_distribution_, expected["stationary_distribution"], **PROBABILITY
    )


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(("name", "expected", "spec"), cases("reversible"))
def test_reversible(name, expected, spec, sparse):
    X, lengths = sequences(name)
    pi = spec.get("fixed_stationary_distribution")
    chain = MarkovChain(reversible=True, stationary_distribution=pi, sparse=sparse)
    chain.fit(X, lengths=lengths)
    P = chain.transition_matrix_.toarray() if sparse else chain.transition_matrix_
    np.testing.assert_allclose(P, expected["transition_matrix"], rtol=0, atol=1e-8)
    law = expected.get("stationary_distribution", pi)
    np.testing.assert_allclose(chain.stationary_distribution_, law, rtol=0, atol=1e-10)
    flows = np.asarray(law)[:, None] * P
    np.testing.assert_allclose(flows, flows.T, rtol=0, atol=1e-8)
    likelihood = chain.log_likelihood(X, lengths=lengths)
    assert likelihood >= expected["loglik_conditional_on_first"] - 1e-8
    assert likelihood == pytest.approx(expected["loglik_conditional_on_first"], abs=1e-8)
    assert chain.converged_ and chain.n_iter_ > 0
    k = len(chain.states_)
    pairs = k * (k - 1) // 2
    assert chain.n_parameters_ == (pairs + k - 1 if pi is None else pairs)


@pytest.mark.parametrize(("name", "expected", "spec"), cases("order_selection"))
def test_order_selection(name, expected, spec):
    X, lengths = sequences(name)
    test = MarkovChain().order_test(X, max_order=3, lengths=lengths)
    assert test.n_transitions == spec["n_for_bic"]
    for order in spec["orders"]:
        row = expected[str(order)]
        assert test.log_likelihood[order] == pytest.approx(row["loglik"], rel=1e-12)
        assert test.n_parameters[order] == row["n_parameters"]
        assert test.aic[order] == pytest.approx(row["aic"], rel=1e-12)
        assert test.bic[order] == pytest.approx(row["bic"], rel=1e-12)
