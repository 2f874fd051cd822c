"""Tests of the order of a chain, and evidence."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from chain_counts import REFERENCE, count_slowly, counts_of, random_chain, reference_cases, walk
from scipy.stats import chi2_contingency

from pyestim.models.chain_orders import log_evidence, order_test
from pyestim.models.chain_simulate import simulate
from pyestim.models.transition_counts import count_transitions

pytestmark = pytest.mark.once


def rain():
    return np.genfromtxt(
        REFERENCE.parent / "data" / "markov_rain.csv", delimiter=",", skip_header=1, dtype=str
    )


def rain_codes():
    table = rain()
    column = table if table.ndim == 1 else table[:, -1]
    states = {name: code for code, name in enumerate(["0", "1-5", "6+"])}
    return np.array([states[name.strip('"')] for name in column])


def test_reference_orders():
    case = reference_cases("markov_rain")["markov_rain_order_selection"]
    counts = count_transitions(rain_codes(), 3, order=3)
    got = order_test(counts)
    assert got.n_transitions == case["spec"]["n_for_bic"]
    for order, numbers in case["expected"].items():
        r = int(order)
        assert got.log_likelihood[r] == pytest.approx(numbers["loglik"], rel=1e-12)
        assert got.n_parameters[r] == numbers["n_parameters"]
        assert got.aic[r] == pytest.approx(numbers["aic"], rel=1e-12)
        assert got.bic[r] == pytest.approx(numbers["bic"], rel=1e-12)
    assert got.best["aic"] == 2 and got.best["bic"] == 1


@pytest.mark.parametrize("sparse", [False, True])
def test_order_zero_against_one_is_independence_in_the_table(sparse):
    table = np.array([[30, 3, 0], [7, 9, 2], [1, 5, 200]])
    got = order_test(counts_of(table, sparse=sparse))
    for name, kind in (("g", "log-likelihood"), ("pearson", "pearson")):
        expected = chi2_contingency(table, correction=False, lambda_=kind)
        assert getattr(got, name)[0] == pytest.approx(expected.statistic, rel=1e-12)
        assert got.df[0] == got.df_nominal[0] == expected.dof
        assert getattr(got, f"p_{name}")[0] == pytest.approx(expected.pvalue, rel=1e-8)


def test_higher_orders_by_tables_of_their_own():
    """Order 1 against 2: one table of independence for each present state."""
    codes = np.random.default_rng(5).integers(0, 3, 400)
    codes[50:100] = 0
    counts = count_slowly([codes], 3, order=2)
    got = order_test(counts)
    full = np.zeros((3, 3, 3))
    for context, row in zip(counts.contexts, counts.table, strict=True):
        full[tuple(context)] = row
    parts = [
        chi2_contingency(full[:, j], correction=False, lambda_="log-likelihood") for j in range(3)
    ]
    assert got.g[1] == pytest.approx(sum(part.statistic for part in parts), rel=1e-11)
    assert got.df[1] == 12 == got.df_nominal[1]
    # The likelihood ratio is the difference of the log-likelihoods.
    np.testing.assert_allclose(got.g, 2 * np.diff(got.log_likelihood), rtol=1e-10)
    assert (got.n_free == got.n_parameters).all()


def test_what_cannot_occur_costs_no_degrees_of_freedom():
    # 0 -> 1 -> 2 -> 0 or 1: six cells of nine never occur.
    matrix = np.array([[0, 1, 0], [0, 0, 1], [0.5, 0.5, 0]])
    codes = walk(np.random.default_rng(0), matrix, 500)
    got = order_test(count_transitions(codes, 3, order=2))
    assert got.n_free.tolist() == [2, 1, 1]
    # Only state 1 is entered from two states, and only state 2 left for two.
    assert got.df[1] == 0 and got.p_g[1] == got.p_pearson[1] == 1
    assert got.df_nominal[1] == 12


def test_size_of_the_test():
    """p-values under the null are uniform up to O(1/n)."""
    rng = np.random.default_rng(11)
    matrix, repeats = random_chain(rng, 2, 5.0), 500
    codes = simulate(matrix, [0.5, 0.5], np.full(repeats, 1000), 8).reshape(repeats, 1000)
    tests = [order_test(count_transitions(path, 2, order=2)) for path in codes]
    for name in ("p_g", "p_pearson"):
        p = np.array([getattr(test, name)[1] for test in tests])
        for level in (0.05, 0.5):
            bound = 4 * math.sqrt(level * (1 - level) / repeats) + 0.005
            assert abs((p < level).mean() - level) < bound


def test_evidence_is_a_product_of_predictions():
    rng = np.random.default_rng(2)
    codes, prior = rng.integers(0, 3, 60), 0.7
    for order in (1, 2):
        seen, total = {}, 0.0
        for t in range(order, 60):
            row = seen.setdefault(tuple(codes[t - order : t]), np.full(3, prior))
            total += math.log(row[codes[t]] / row.sum())
            row[codes[t]] += 1
        counts = count_slowly([codes], 3, order=order)
        assert order_test(counts, prior=prior).log_evidence[order] == pytest.approx(
            total, rel=1e-12
        )
        assert log_evidence(counts.table, prior) == pytest.approx(total, rel=1e-12)


def test_evidence_sums_to_one_over_all_paths():
    total = sum(
        math.exp(log_evidence(count_slowly([path], 2).table)) for path in product([0, 1], repeat=6)
    )
    assert total == pytest.approx(2.0, rel=1e-12)  # given each of two first states


def test_orders_of_degenerate_data():
    for counts in (
        counts_of([[9]]),
        counts_of(np.zeros((3, 3), dtype=int)),
        counts_of([[0, 1], [0, 0]]),
    ):
        got = order_test(counts)
        assert np.isfinite(got.aic).all() and np.isfinite(got.log_evidence).all()
        assert got.p_g.tolist() == [1.0] and got.g.tolist() == [0.0]
    empty = counts_of(np.zeros((0, 2), dtype=int), contexts=np.zeros((0, 2), dtype=int))
    assert order_test(empty).g.tolist() == [0.0, 0.0]


def test_the_table_prints():
    text = str(order_test(count_transitions(rain_codes(), 3, order=2)))
    lines = text.splitlines()
    assert lines[0].split()[:2] == ["order", "log-lik."] and len(lines) == 6
    assert "best order: aic 2, bic 1" in lines[-1]
    assert len({len(line) for line in lines[:4]}) == 1
