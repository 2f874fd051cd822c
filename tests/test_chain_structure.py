"""Classes, stationary laws and timescales of transition matrices."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from chain_counts import counts_of, random_chain, reference_cases
from scipy.sparse import csr_array, diags_array, eye_array

from pyestim.models.chain_elimination import eliminate
from pyestim.models.chain_passage import (
    hitting_probabilities,
    hitting_times,
    mean_first_passage_times,
)
from pyestim.models.chain_smoothing import smoothed
from pyestim.models.chain_structure import (
    communicating_classes,
    entropy_rate,
    leading_eigenvalues,
    stationary,
    timescales,
)
from pyestim.models.chain_tables import TransitionTable

pytestmark = pytest.mark.once

EPS = np.finfo(float).eps
NAMES = ["markov_rain", "markov_lynx4"]


def solve_exactly(matrix, right):
    """Gauss and Jordan in rational numbers."""
    rows = [[*map(Fraction, row), Fraction(b)] for row, b in zip(matrix, right, strict=True)]
    for i in range(len(rows)):
        pivot = next(r for r in range(i, len(rows)) if rows[r][i] != 0)
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for r in range(len(rows)):
            if r != i and rows[r][i] != 0:
                rows[r] = [a - rows[r][i] * b for a, b in zip(rows[r], rows[i], strict=True)]
    return [row[-1] for row in rows]


def off_diagonal(matrix):
    """The chain in rational numbers; the diagonal is what the others leave, unrounded."""
    exact = [[Fraction(float(value)) for value in row] for row in matrix]
    for i, row in enumerate(exact):
        row[i] = 1 - sum(value for j, value in enumerate(row) if j != i)
    return exact


def exact_stationary(matrix):
    P, k = off_diagonal(matrix), len(matrix)
    system = [[P[i][j] - (i == j) for i in range(k)] for j in range(k - 1)] + [[Fraction(1)] * k]
    return solve_exactly(system, [0] * (k - 1) + [1])


def exact_hitting_times(matrix, target):
    P, k = off_diagonal(matrix), len(matrix)
    others = [i for i in range(k) if i != target]
    times = solve_exactly([[(i == j) - P[i][j] for j in others] for i in others], [1] * (k - 1))
    return [times.pop(0) if i != target else Fraction(0) for i in range(k)]


def decoupled(rng, k=9, bridge=1e-13):
    """Three blocks that are left with tiny probabilities, of different sizes."""
    matrix = np.full((k, k), 0.0)
    for block in range(3):
        part = slice(3 * block, 3 * block + 3)
        matrix[part, part] = random_chain(rng, 3)
    matrix += bridge * rng.random((k, k)) ** 4
    return matrix / matrix.sum(axis=1, keepdims=True)


# -- classes and periods ---------------------------------------------------------------------------


def slow_classes(matrix):
    """Reachability by repeated squaring, periods by the lengths of closed walks."""
    k = len(matrix)
    reach = np.linalg.matrix_power((np.eye(k) + (matrix > 0)) > 0, k) > 0
    labels = np.unique(
        [np.flatnonzero(reach[i] & reach[:, i])[0] for i in range(k)], return_inverse=True
    )[1]
    closed = [
        bool((reach[labels == c].any(axis=0) == (labels == c)).all())
        for c in range(labels.max() + 1)
    ]
    periods, power = np.zeros(labels.max() + 1, dtype=int), np.eye(k, dtype=bool)
    for length in range(1, 2 * k + 1):
        power = (power.astype(int) @ (matrix > 0).astype(int)) > 0
        for c in set(labels[np.diag(power)]):
            periods[c] = np.gcd(periods[c], length)
    return labels, closed, periods


def graphs():
    rng = np.random.default_rng(3)
    for k, density in [(1, 1.0), (4, 0.3), (7, 0.2), (9, 0.15), (12, 0.1), (12, 0.2), (6, 1.0)]:
        for _ in range(4):
            matrix = (rng.random((k, k)) < density) * rng.random((k, k))
            empty = matrix.sum(axis=1) == 0
            matrix[empty, rng.integers(0, k, empty.sum())] = 1.0
            yield matrix / matrix.sum(axis=1, keepdims=True)
    yield np.roll(np.eye(6), 1, axis=1)  # a cycle
    yield np.kron(np.roll(np.eye(4), 1, axis=1), np.full((2, 2), 0.5))  # of pairs
    yield np.eye(5)
    # Two cycles, of 4 and of 6 steps, through state 0: period 2.
    joined = np.zeros((9, 9))
    for a, b in [(0, 1), (1, 2), (2, 3), (3, 0), (0, 4), (4, 5), (5, 6), (6, 7), (7, 8), (8, 0)]:
        joined[a, b] = 1.0
    yield joined / joined.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("matrix", list(graphs()))
def test_classes_and_periods(matrix):
    labels, closed, periods = slow_classes(matrix)
    for form in (matrix, csr_array(matrix)):
        got = communicating_classes(form)
        assert (got.labels == labels).all() and got.closed.tolist() == closed
        assert (got.periods == periods).all()
        assert got.n_classes == len(closed) and (got.recurrent == np.array(closed)[labels]).all()
    assert all(c in str(got) for c in ("closed", "period"))


@pytest.mark.parametrize("seed", range(12))
def test_full_rows_of_a_sparse_table(seed):
    """Probability on the cells that are not held is as good as held cells."""
    rng = np.random.default_rng(seed)
    held = csr_array((rng.random((7, 7)) < 0.15) * rng.random((7, 7)))
    unseen = (rng.random(7) < 0.3) / 7.0
    alone = (held.sum(axis=1) == 0) & (unseen == 0)
    held = csr_array(held + csr_array(diags_array(alone.astype(float))))
    total = held.sum(axis=1) + unseen * (7 - np.diff(held.indptr))
    table = TransitionTable(csr_array(diags_array(1 / total) @ held), unseen / total)
    dense, sparse = communicating_classes(table.dense()), communicating_classes(table)
    assert (dense.labels == sparse.labels).all() and (dense.closed == sparse.closed).all()
    assert (dense.periods == sparse.periods).all()
    np.testing.assert_allclose(stationary(table), stationary(table.dense()), rtol=1e-13)
    for target in range(7):
        for function in (hitting_times, hitting_probabilities):
            np.testing.assert_allclose(
                function(table, target), function(table.dense(), target), rtol=1e-12
            )
    law = stationary(table)[0]
    assert entropy_rate(table, law) == pytest.approx(entropy_rate(table.dense(), law), rel=1e-13)


def test_a_zero_that_is_held_is_no_step():
    held = csr_array(np.array([[0.5, 0.5], [0.25, 0.75]]))
    held.data[:] = [1.0, 0.0, 0.25, 0.75]
    got = communicating_classes(held)
    assert got.closed.tolist() == [True, False]
    assert held.nnz == 4  # the caller's matrix is as it was
    assert hitting_times(held, 1).tolist() == [np.inf, 0.0]


# -- stationary laws -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_reference_numbers(name):
    case = reference_cases(name)[f"{name}_mle"]["expected"]
    matrix = smoothed(counts_of(case["counts"])).matrix
    law = stationary(matrix)
    assert law.shape == (1, len(matrix))
    np.testing.assert_allclose(law[0], case["stationary_distribution"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(
        mean_first_passage_times(matrix), case["mean_first_passage_time"], rtol=1e-12
    )
    np.testing.assert_allclose(
        np.abs(leading_eigenvalues(matrix)), case["eigenvalues_abs_sorted"], rtol=0, atol=1e-13
    )
    assert entropy_rate(matrix, law[0]) == pytest.approx(case["entropy_rate_nats"], rel=1e-13)
    power = np.linalg.matrix_power(matrix, 5)
    np.testing.assert_allclose(power, case["P_power_5"], rtol=1e-13)


@pytest.mark.parametrize("seed", range(5))
def test_every_probability_is_accurate_also_in_nearly_decoupled_chains(seed):
    """Relative error of elimination: at most some k operations on each entry (O'Cinneide, 1993)."""
    rng = np.random.default_rng(seed)
    for matrix in (decoupled(rng), random_chain(rng, 8, 0.05), random_chain(rng, 5)):
        exact = np.array([float(x) for x in exact_stationary(matrix)])
        np.testing.assert_allclose(stationary(matrix)[0], exact, rtol=8 * len(matrix) * EPS)
        times = np.array([float(x) for x in exact_hitting_times(matrix, 2)])
        np.testing.assert_allclose(hitting_times(matrix, 2), times, rtol=8 * len(matrix) * EPS)


def test_blocks_of_the_elimination_agree_with_one_state_after_another():
    rng = np.random.default_rng(0)
    matrix = random_chain(rng, 150, 0.1)
    slow = matrix.copy()
    for n in range(149, 0, -1):
        slow[:n, n] /= slow[n, :n].sum()
        slow[:n, :n] += np.outer(slow[:n, n], slow[n, :n])
    law = np.ones(150)
    for n in range(1, 150):
        law[n] = law[:n] @ slow[:n, n]
    law /= law.sum()
    np.testing.assert_allclose(eliminate(matrix.copy()).stationary(), law, rtol=150 * EPS)
    np.testing.assert_allclose(law @ matrix, law, rtol=1e-12)


def test_weights_that_would_overflow():
    k = 400
    up = np.full(k - 1, 0.9)
    walk = diags_array([np.full(k - 1, 0.1), up], offsets=[-1, 1]).toarray()
    walk[0, 0], walk[-1, -1] = 0.1, 0.9
    with np.errstate(under="ignore"):
        law = stationary(walk)[0]
        expected = 9.0 ** (np.arange(k) - (k - 1.0))
    expected /= expected.sum()
    # Smaller ones are not normal numbers.
    normal = expected > 1e-300
    np.testing.assert_allclose(law[normal], expected[normal], rtol=20 * k * EPS)


def test_stationary_laws_by_class():
    rng = np.random.default_rng(1)
    first, second = random_chain(rng, 3), random_chain(rng, 2)
    matrix = np.zeros((7, 7))
    matrix[np.ix_([1, 3, 5], [1, 3, 5])] = first
    matrix[np.ix_([2, 6], [2, 6])] = second
    matrix[4, 4] = 1.0
    matrix[0] = 1 / 7
    for form in (matrix, csr_array(matrix)):
        laws = stationary(form)
        assert laws.shape == (3, 7)
        np.testing.assert_allclose(laws[0][[1, 3, 5]], stationary(first)[0], rtol=1e-14)
        np.testing.assert_allclose(laws[1][[2, 6]], stationary(second)[0], rtol=1e-14)
        assert laws[2].tolist() == [0, 0, 0, 0, 1, 0, 0]
        np.testing.assert_allclose(laws.sum(axis=1), 1.0, rtol=4 * EPS)
        np.testing.assert_allclose(laws @ matrix, laws, atol=1e-15)


def test_too_many_stationary_laws_are_refused():
    with pytest.raises(MemoryError, match="20000 stationary laws over 20000 states"):
        stationary(csr_array(eye_array(20_000)))


def test_periodic_chains_have_a_law():
    cycle = np.roll(np.eye(5), 1, axis=1)
    np.testing.assert_allclose(stationary(cycle)[0], 0.2, rtol=4 * EPS)
    assert timescales(cycle).tolist() == [np.inf] * 4


def test_one_state():
    one = np.ones((1, 1))
    assert stationary(one).tolist() == [[1.0]]
    assert timescales(one).shape == (0,) and entropy_rate(one, np.ones(1)) == 0
    assert hitting_times(one, 0).tolist() == [0.0]
    assert mean_first_passage_times(one).tolist() == [[0.0]]
    assert communicating_classes(one).periods.tolist() == [1]


def test_two_states():
    a, b = 0.03, 0.4
    matrix = np.array([[1 - a, a], [b, 1 - b]])
    np.testing.assert_allclose(stationary(matrix)[0], [b / (a + b), a / (a + b)], rtol=4 * EPS)
    np.testing.assert_allclose(timescales(matrix, lag=2.0), [-2.0 / np.log1p(-a - b)], rtol=1e-13)
    np.testing.assert_allclose(
        mean_first_passage_times(matrix), [[0, 1 / a], [1 / b, 0]], rtol=1e-13
    )


def test_probabilities_that_underflow_are_refused():
    tiny = np.array([[0.5, 0.0, 0.5], [1e-200, 1.0, 0.0], [0.0, 1e-200, 1.0]])
    np.testing.assert_allclose(hitting_times(tiny, 0), [0.0, 1e200, 2e200], rtol=4 * EPS)
    with pytest.raises(ArithmeticError, match="less probable than the smallest number"):
        # From 2 only to 3, from 3 by 1e-400 to the target: 1e-200 times 1e-200.
        hitting_times(
            np.array(
                [
                    [1.0, 0.0, 0.0, 0.0],
                    [1e-200, 0.0, 0.0, 1.0],
                    [0.0, 0.0, 1.0, 1e-200],
                    [0.0, 1e-200, 1.0, 0.0],
                ]
            ),
            0,
        )


# -- hostile input ---------------------------------------------------------------------------------


EYE2 = np.eye(2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.ones((2, 3)) / 3, "square"),
        (np.zeros((0, 0)), "square"),
        (np.ones(3), "square"),
        (np.array([[0.5, 0.4], [0.5, 0.5]]), r"got the sum 0\.9 in row 0"),
        (np.array([[1.5, -0.5], [0.5, 0.5]]), r"none negative .* got -0\.5"),
        (np.array([[np.nan, 1.0], [0.5, 0.5]]), "must hold probabilities, .* the sum nan in row 0"),
        (TransitionTable(csr_array(EYE2), np.array([0.0, -0.1])), r"none negative .* got -0\.1"),
        (csr_array(np.array([[0.5, 0.0], [0.5, 0.5]])), "row 0"),
        (TransitionTable(np.ones((1, 1)), None, np.zeros((1, 2), dtype=int)), "order 1 is needed"),
    ],
)
def test_bad_matrices(bad, message):
    for function in (communicating_classes, stationary, timescales, mean_first_passage_times):
        with pytest.raises(ValueError, match=message):
            function(bad)
