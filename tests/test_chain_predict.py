"""Predictions after any past, against the forward algorithm and sums over paths."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import slow_chain as slow
from scipy.sparse import csr_array

from pyestim import MarkovChain

pytestmark = pytest.mark.once

# Sums of a few products of probabilities in another order.
CLOSE = {"rtol": 0, "atol": 1e-14}


def random_chain(k, sparse, rng):
    """Parameters set by hand."""
    chain = MarkovChain()
    P = rng.dirichlet(np.ones(k), size=k)
    if sparse:  # every second cell is held, the others of a row are alike
        held = (np.arange(k)[:, None] + np.arange(k)) % 2 == 0
        others = np.where(held, 0, P).sum(axis=1) / (~held).sum(axis=1)
        P = np.where(held, P, others[:, None])
        row, column = np.nonzero(held)
        chain.transition_matrix_ = csr_array((P[held], (row, column)), shape=(k, k))
        chain.unseen_proba_ = others
    else:
        chain.transition_matrix_ = P
    chain.start_proba_ = rng.dirichlet(np.ones(k))
    return chain, P


@pytest.mark.parametrize("sparse", [False, True])
def test_missing_states_are_summed_over(sparse):
    rng = np.random.RandomState(0)
    chain, P = random_chain(5, sparse, rng)
    lengths = [1, 7, 0, 30, 3, 2]
    codes = np.where(rng.uniform(size=43) < 0.5, -1, rng.randint(0, 5, 43))
    codes[-2:] = -1
    sequences = slow.split([None if c < 0 else c for c in codes.tolist()], lengths)
    expected = [slow.forward_proba(s, chain.start_proba_, P) for s in sequences if s]
    found = chain.predict_proba(codes, lengths=lengths)
    np.testing.assert_allclose(found, np.concatenate(expected), **CLOSE)
    np.testing.assert_array_equal(chain.predict(codes, lengths=lengths), found.argmax(axis=1))
    steps = chain.forecast(codes, 4, lengths=lengths)
    ends = [
        chain.start_proba_ if not s else slow.forward_proba(s, chain.start_proba_, P)[-1]
        for s in sequences
    ]
    for h in range(4):
        power = np.linalg.matrix_power(P, h)
        np.testing.assert_allclose(steps[:, h], np.array(ends) @ power, **CLOSE)
    np.testing.assert_array_equal(chain.forecast(codes[:8], 2), steps_of(chain, codes[:8]))


def steps_of(chain, codes):
    return chain.forecast(codes, 2, lengths=[len(codes)])[0]


@pytest.mark.parametrize("sparse", ["auto", True])
@pytest.mark.parametrize("smoothing", ["mle", 0.5])
def test_a_short_past_pools_the_contexts_that_end_with_it(sparse, smoothing):
    rng = np.random.RandomState(1)
    X = rng.randint(0, 3, 60)
    chain = MarkovChain(order=3, sparse=sparse, smoothing=smoothing).fit(X)
    P = chain.transition_matrix_
    if sparse is True:
        held = csr_array((np.ones_like(P.data), P.indices, P.indptr), shape=P.shape).toarray()
        P = P.toarray() + (1 - held) * chain.unseen_proba_[:, None]
    weight = np.asarray(chain.counts_.sum(axis=1)).ravel()
    rows = {tuple(c): (P[i], weight[i]) for i, c in enumerate(chain.contexts_.tolist())}
    past = [0, 2, None, 1, 1, 0, 2, None, None, 2, 2, 2, 2]
    found = chain.predict_proba(np.array(past, dtype=object), lengths=[9, 4])
    for t in range(len(past)):
        known = []
        for state in reversed(past[(0 if t < 9 else 9) : t + 1][-3:]):
            if state is None:
                break
            known.insert(0, state)
        same = [row for c, row in rows.items() if not known or c[-len(known) :] == tuple(known)]
        expected = sum(p * w for p, w in same) / sum(w for _, w in same) if same else 1 / 3
        np.testing.assert_allclose(found[t], expected, **CLOSE)


def test_a_past_that_was_never_seen_is_followed_by_anything():
    chain = MarkovChain(order=2).fit([0, 0, 1, 0, 0, 1, 2])
    np.testing.assert_array_equal(chain.predict_proba([1, 1])[1], np.full(3, 1 / 3))
    np.testing.assert_array_equal(chain.predict_proba([2])[0], np.full(3, 1 / 3))
    assert chain.score_samples([1, 1, 0])[2] == np.log(1 / 3)
    assert chain.log_likelihood([1, 1, 0]) == np.log(1 / 3)


@pytest.mark.parametrize("sparse", ["auto", True])
def test_forecast_of_a_higher_order_sums_over_paths(sparse):
    rng = np.random.RandomState(2)
    X = rng.randint(0, 3, 40)
    chain = MarkovChain(order=2, smoothing=0.3, sparse=sparse).fit(X)
    complete = MarkovChain(order=2, smoothing=0.3).fit(X)
    contexts = complete.contexts_.tolist()
    found = chain.forecast([1, 0, 2, 2, 1], 4, lengths=[3, 2])
    for i, context in enumerate([(0, 2), (2, 1)]):
        expected = slow.forecast_by_paths(context, complete.transition_matrix_, contexts, 3, 4)
        np.testing.assert_allclose(found[i], expected, **CLOSE)


@pytest.mark.parametrize("sparse", [False, True])
def test_gaps_are_worked_on_in_blocks(sparse, monkeypatch):
    from pyestim.models import chain_prefix

    rng = np.random.RandomState(0)
    k, n = 100, 20_000
    chain, _ = random_chain(k, sparse, rng)
    X = np.where(rng.random_sample(n) < 0.4, -1, rng.randint(0, k, n))
    whole = chain.predict(X)
    monkeypatch.setattr(chain_prefix, "BLOCK_CELLS", 2**14)
    tracemalloc.start()
    assert (chain.predict(X) == whole).all()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Some numbers per row; all the gaps at once take 4 MB.
    assert peak < 2.5e6


def test_blocks_do_not_show(monkeypatch):
    from pyestim.models import chain_prefix

    rng = np.random.RandomState(3)
    X = rng.randint(-1, 4, 500)
    chains = [MarkovChain(order=m, smoothing=1).fit(X) for m in (1, 3)]
    whole = [(c.predict_proba(X), c.predict(X), c.score_samples(X)) for c in chains]
    monkeypatch.setattr(chain_prefix, "BLOCK_CELLS", 28)
    for chain, results in zip(chains, whole, strict=True):
        again = (chain.predict_proba(X), chain.predict(X), chain.score_samples(X))
        for one, two in zip(again, results, strict=True):
            np.testing.assert_allclose(one, two, **CLOSE)


@pytest.mark.parametrize("order", [1, 2])
def test_criteria(order):
    X = np.random.RandomState(4).randint(0, 3, 100)
    chain = MarkovChain(order=order, smoothing=1).fit(X)
    value = chain.score_samples(X).sum()
    n, p = 100 - order, 3**order * 2
    assert chain.log_likelihood(X) == pytest.approx(value, rel=1e-13)
    assert chain.score(X) == pytest.approx(value / n, rel=1e-13)
    assert chain.aic(X) == pytest.approx(2 * p - 2 * value, rel=1e-13)
    assert chain.bic(X) == pytest.approx(p * np.log(n) - 2 * value, rel=1e-13)
    weight = np.random.RandomState(5).uniform(size=100)
    assert chain.log_likelihood(X, sample_weight=weight) == pytest.approx(
        weight @ chain.score_samples(X), rel=1e-13
    )
    assert chain.score(X, sample_weight=weight) == pytest.approx(
        weight @ chain.score_samples(X) / weight[order:].sum(), rel=1e-13
    )


def test_the_impossible():
    chain = MarkovChain().fit([0, 1, 0, 1])
    assert chain.log_likelihood([0, 0]) == -np.inf
    assert chain.score_samples([0, 0]).tolist() == [0.0, -np.inf]


def test_parameters_set_by_hand():
    chain = MarkovChain()
    chain.transition_matrix_ = [[0.9, 0.1], [0.5, 0.5]]
    chain.states_ = np.array(["dry", "wet"])
    assert chain.predict(["dry", "wet"]).tolist() == ["dry", "dry"]
    assert chain.log_likelihood(["dry", "wet"]) == np.log(0.1)
    np.testing.assert_allclose(chain.predict_proba([None]), [[0.7, 0.3]], **CLOSE)
    chain.transition_matrix_ = [[0.1, 0.9], [0.5, 0.5]]
    assert chain.predict(["dry"]).tolist() == ["wet"]
    with pytest.raises(AttributeError, match="set by hand"):
        _ = chain.n_transitions_


def test_a_sparse_matrix_in_any_order_of_its_cells():
    chain = MarkovChain()
    data, indices = np.array([0.25, 0.5, 0.25, 1.0, 0.5, 0.5]), np.array([2, 0, 1, 1, 2, 0])
    chain.transition_matrix_ = csr_array((data, indices, [0, 3, 4, 6]), shape=(3, 3))
    np.testing.assert_array_equal(
        chain.predict_proba([0, 1, 2]), [[0.5, 0.25, 0.25], [0, 1, 0], [0.5, 0, 0.5]]
    )
    assert chain.score_samples([0, 0, 2])[1:].tolist() == [np.log(0.5), np.log(0.25)]
    assert chain.transition_matrix_.indices.tolist() == indices.tolist()


WRONG = {
    "sum": ({"transition_matrix_": [[0.9, 0.2], [0.5, 0.5]]}, r"the sum 1, got the sum 1\.1"),
    "negative": ({"transition_matrix_": [[1.1, -0.1], [0.5, 0.5]]}, "none negative"),
    "NaN": ({"transition_matrix_": [[np.nan, 0.1], [0.5, 0.5]]}, "must hold probabilities"),
    "shape": ({"transition_matrix_": [[1.0, 0.0]]}, r"shape \(rows, k\)"),
    "contexts": ({"contexts_": [[0, 0], [0, 1]]}, r"shape \(rows, k\)"),
    "states": ({"states_": [1, 2, 3]}, "must name the 2 columns"),
    "start": ({"start_proba_": [0.5, 0.6]}, "start_proba_ must hold 2 probabilities"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_parameters_are_told(name):
    attributes, message = WRONG[name]
    chain = MarkovChain()
    chain.transition_matrix_ = [[0.5, 0.5], [0.5, 0.5]]
    for key, value in attributes.items():
        setattr(chain, key, value)
    with pytest.raises(ValueError, match=f"MarkovChain: .*{message}"):
        chain.predict_proba([0, 1])


def test_answers_go_where_they_are_wanted(caplog):
    X = np.random.RandomState(0).randint(0, 3, 50)
    with caplog.at_level("INFO", "pyestim"):
        chain = MarkovChain().fit(X)
    assert "MarkovChain: 0 iterations, objective" in caplog.text
    out = np.empty((50, 3))
    assert chain.predict_proba(X, out=out) is out
    np.testing.assert_array_equal(out, chain.predict_proba(X))
    for wrong in (np.empty((50, 2)), np.empty((50, 3), np.float32), [[0.0] * 3] * 50):
        with pytest.raises(ValueError, match=r"MarkovChain: out must be a writable .* \(50, 3\)"):
            chain.predict_proba(X, out=wrong)
