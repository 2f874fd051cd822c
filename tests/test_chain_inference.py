"""Standard errors, intervals and bootstrap of chains."""

from __future__ import annotations

import math

import numpy as np
import pytest
from chain_counts import counts_of, random_chain, reference_cases
from scipy.stats import beta, binom

from pyestim.models.chain_inference import (
    bootstrap,
    intervals,
    pieces,
    standard_errors,
    stationary_standard_errors,
)
from pyestim.models.chain_orders import order_test
from pyestim.models.chain_simulate import simulate
from pyestim.models.chain_smoothing import smoothed
from pyestim.models.chain_structure import stationary
from pyestim.models.transition_counts import count_transitions

pytestmark = pytest.mark.once

EPS = np.finfo(float).eps
TABLE = np.array([[30, 3, 0], [0, 0, 0], [1, 5, 200]])


def mle(counts):
    return smoothed(counts, "mle")


# -- standard errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["markov_rain", "markov_lynx4", "markov_cav_visits"])
def test_reference_standard_errors(name):
    """markovchain reports p / sqrt(count), which lacks the factor sqrt(1 - p)."""
    case = reference_cases(name)[f"{name}_mle"]["expected"]
    counts = counts_of(case["counts"])
    table = mle(counts)
    some = counts.row_sums > 0
    expected = np.array(case["std_errors"]) * np.sqrt(1 - table.matrix)
    got = standard_errors(counts, table)
    np.testing.assert_allclose(got[some], expected[some], rtol=1e-13)
    assert np.isinf(got[~some]).all()


def test_sparse_standard_errors_are_those_of_the_stored_cells():
    dense, sparse = counts_of(TABLE), counts_of(TABLE, sparse=True)
    expected = standard_errors(dense, smoothed(dense, 0.5))
    got = standard_errors(sparse, smoothed(sparse, 0.5))
    row, column = TABLE.nonzero()
    np.testing.assert_allclose(got.data, expected[row, column], rtol=8 * EPS)


def test_stationary_standard_errors_of_two_states():
    """pi_1 = b / (a + b): the delta method by hand."""
    a, b, n = 0.2, 0.05, np.array([300.0, 1200.0])
    matrix = np.array([[1 - a, a], [b, 1 - b]])
    variance = (b**2 * a * (1 - a) / n[0] + a**2 * b * (1 - b) / n[1]) / (a + b) ** 4
    np.testing.assert_allclose(
        stationary_standard_errors(matrix, n)[0], math.sqrt(variance), rtol=1e-12
    )


def test_stationary_standard_errors_by_differences():
    rng = np.random.default_rng(0)
    matrix, n = random_chain(rng, 4), rng.integers(50, 500, 4).astype(float)
    variance, h = np.zeros(4), 1e-6
    for i in range(4):
        slope = np.empty((4, 4))
        for cell in range(4):
            # Towards the cell and away: p + h (e - p); the step back is allowed as p > h.
            ends = []
            for sign in (1, -1):
                moved = matrix.copy()
                moved[i] += sign * h * (np.eye(4)[cell] - matrix[i])
                ends.append(stationary(moved)[0])
            slope[cell] = (ends[0] - ends[1]) / (2 * h)
        # The estimate moves by sum over cells of (p^ - p)_cell slope_cell.
        covariance = (np.diag(matrix[i]) - np.outer(matrix[i], matrix[i])) / n[i]
        variance += np.einsum("aj,ab,bj->j", slope, covariance, slope)
    got = stationary_standard_errors(matrix, n)[0]
    # Central differences: h^2 and eps / h, 1e-10 relative to slopes of order one.
    np.testing.assert_allclose(got, np.sqrt(variance), rtol=1e-7)


def test_stationary_standard_errors_by_simulation():
    rng = np.random.default_rng(3)
    matrix, n, repeats = random_chain(rng, 3), 2000, 600
    codes = simulate(matrix, stationary(matrix)[0], np.full(repeats, n), 1).reshape(repeats, n)
    laws, scaled = [], []
    for path in codes:
        counts = count_transitions(path, 3)
        table = mle(counts)
        laws.append(stationary(table)[0])
        scaled.append(
            (laws[-1] - stationary(matrix)[0])
            / stationary_standard_errors(table, counts.row_sums)[0]
        )
    # The standard deviation of 600 z-values is 1 -+ 1 / sqrt(1200), and O(1/sqrt n) of skewness.
    np.testing.assert_allclose(np.std(scaled, axis=0), 1.0, atol=4 / math.sqrt(1200) + 0.02)


def test_stationary_standard_errors_of_classes():
    matrix = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert (stationary_standard_errors(matrix, np.ones(3)) == 0).all()
    unknown = stationary_standard_errors(np.full((2, 2), 0.5), np.array([5.0, 0.0]))
    assert np.isinf(unknown).all()


# -- intervals -------------------------------------------------------------------------------------


def test_wilson_solves_its_equation():
    counts = counts_of(TABLE)
    got = intervals(counts, mle(counts), level=0.9)
    n, z = counts.row_sums[:, None], 1.6448536269514722
    with np.errstate(invalid="ignore"):
        p = TABLE / n
    for end in (got.lower, got.upper):
        left, right = n * (p - end) ** 2, z * z * end * (1 - end)
        np.testing.assert_allclose(left[[0, 2]], right[[0, 2]], rtol=1e-12, atol=1e-15)
    assert (got.lower[1] == 0).all() and (got.upper[1] == 1).all()
    assert (got.lower[TABLE == 0] == 0).all() and (got.upper[[0, 2]] > p[[0, 2]]).all()


def test_wilson_of_huge_counts_keeps_its_digits():
    counts = counts_of([[10**15, 3], [1, 1]])
    got = intervals(counts, mle(counts))
    z2 = 1.959963984540054**2
    # Poisson limit of the interval: roots of (3 - x)^2 = z^2 x.
    root = math.sqrt(z2 * z2 / 4 + 3 * z2)
    ends = np.array([9 / (3 + z2 / 2 + root), 3 + z2 / 2 + root]) / 1e15
    np.testing.assert_allclose([got.lower[0, 1], got.upper[0, 1]], ends, rtol=1e-13)


def test_wald_and_dirichlet():
    counts = counts_of(TABLE)
    table = smoothed(counts, 1)
    got = intervals(counts, table, method="wald")
    half = 1.959963984540054 * standard_errors(counts, table)
    np.testing.assert_allclose(got.lower, np.maximum(table.matrix - half, 0))
    np.testing.assert_allclose(got.upper, np.minimum(table.matrix + half, 1))
    got = intervals(counts, table, method="dirichlet", prior=2.0, level=0.8)
    law = beta(TABLE + 2.0, counts.row_sums[:, None] - TABLE + 4.0)
    np.testing.assert_allclose(got.lower, law.ppf(0.1), rtol=1e-9)
    np.testing.assert_allclose(got.upper, law.ppf(0.9), rtol=1e-9)


@pytest.mark.parametrize("method", ["asymptotic", "wald", "dirichlet"])
def test_sparse_intervals(method):
    dense = intervals(counts_of(TABLE), smoothed(counts_of(TABLE), 0.5), method=method)
    held = counts_of(TABLE, sparse=True)
    sparse = intervals(held, smoothed(held, 0.5), method=method)
    row, column = TABLE.nonzero()
    np.testing.assert_allclose(sparse.lower.data, dense.lower[row, column], rtol=8 * EPS)
    np.testing.assert_allclose(sparse.upper.data, dense.upper[row, column], rtol=8 * EPS)
    np.testing.assert_allclose(sparse.unseen_upper[:2], dense.upper[[0, 1], [2, 2]], rtol=8 * EPS)


@pytest.mark.parametrize("method", ["asymptotic", "wald", "dirichlet"])
def test_one_state_is_certain(method):
    counts = counts_of([[9]])
    got = intervals(counts, mle(counts), method=method)
    assert got.upper == 1 and got.lower > (0.5 if method == "asymptotic" else 0.99)


@pytest.mark.parametrize("method", ["asymptotic", "dirichlet"])
def test_coverage(method):
    """Chains of 400 steps: 9 cells in 800 repetitions."""
    rng = np.random.default_rng(6)
    matrix, repeats, n = random_chain(rng, 3), 800, 400
    codes = simulate(matrix, stationary(matrix)[0], np.full(repeats, n), 2).reshape(repeats, n)
    covered = np.zeros((3, 3))
    for path in codes:
        counts = count_transitions(path, 3)
        got = intervals(counts, mle(counts), method=method, level=0.9)
        covered += (got.lower <= matrix) & (matrix <= got.upper)
    # Four standard errors, and O(1/N) for the discreteness: N is about 130.
    tolerance = 4 * math.sqrt(0.9 * 0.1 / repeats) + 1 / 130
    np.testing.assert_allclose(covered / repeats, 0.9, atol=tolerance)


def test_wald_covers_less_where_counts_are_small():
    """Exact coverage at p = 0.02 of N = 50 draws: why it is not the default."""
    n, p = 50, 0.02
    x = np.arange(n + 1)
    counts = counts_of(np.column_stack([x, n - x]), contexts=x[:, None])
    table = mle(counts)
    coverage = {}
    for method in ("wald", "asymptotic"):
        got = intervals(counts, table, method=method)
        inside = (got.lower[:, 0] <= p) & (p <= got.upper[:, 0])
        coverage[method] = binom.pmf(x, n, p)[inside].sum()
    assert coverage["wald"] < 0.65 < 0.9 < coverage["asymptotic"]


# -- bootstrap -------------------------------------------------------------------------------------


def test_pieces():
    codes = np.array([0, 1, -1, -1, 2, 0, 1, 1, -1, 0, 2])
    first, lengths = pieces(codes, np.array([0, 2, 2, 6, 11]))
    assert first.tolist() == [0, 4, 6, 9] and lengths.tolist() == [2, 2, 2, 2]
    first, lengths = pieces(np.array([-1, -1]), np.array([0, 2]))
    assert len(first) == len(lengths) == 0


@pytest.mark.parametrize("kind", ["parametric", "sequences"])
@pytest.mark.parametrize("order", [1, 2])
def test_bootstrap_agrees_with_asymptotics(kind, order):
    rng = np.random.default_rng(1)
    matrix, s, n = random_chain(rng, 2, 3.0), 60, 80
    codes = simulate(matrix, [0.5, 0.5], np.full(s, n), 4)
    offsets = np.arange(s + 1) * n
    counts = count_transitions(codes, 2, order=order, offsets=offsets)
    fitted = mle(counts)
    got = bootstrap(codes, offsets, fitted, mle, kind=kind, n_resamples=400, seed=3)
    assert got.method == f"bootstrap, {kind}"
    # Standard deviations of 400: 1 / sqrt(800); of 60 sequences as well: 1 / sqrt(120).
    relative = 4 * math.sqrt(1 / 800 + (kind == "sequences") / 120)
    np.testing.assert_allclose(got.standard_errors, standard_errors(counts, fitted), rtol=relative)
    assert (got.lower < fitted.matrix).all() and (got.upper > fitted.matrix).all()


def test_bootstrap_chooses_and_is_reproducible():
    codes = np.random.default_rng(0).integers(0, 3, 300)
    offsets = np.array([0, 300])
    fitted = smoothed(count_transitions(codes, 3), 1)

    def run(**options):
        return bootstrap(codes, offsets, fitted, mle, n_resamples=20, **options)

    assert run().method == "bootstrap, parametric"
    assert (run().lower == run().lower).all()
    assert (run(seed=1).lower != run().lower).any()
    weighted = run(weight=np.ones(300))
    assert weighted.method == "bootstrap, parametric"
    assert (weighted.lower == run().lower).all()
    many = bootstrap(codes, np.arange(0, 301, 10), fitted, mle, n_resamples=20)
    assert many.method == "bootstrap, sequences"


def test_parametric_bootstrap_keeps_weights():
    """Transitions of weight 4 are a quarter as many: errors of twice the size at equal totals."""
    rng = np.random.default_rng(1)
    codes = simulate(random_chain(rng, 2, 3.0), [0.5, 0.5], [4000], 4)
    weight = np.where(np.arange(4000) < 2000, 1.0, 0.0)  # the second half does not count
    codes[100] = -1
    counts = count_transitions(codes, 2, weight=weight)
    fitted = mle(counts)
    got = bootstrap(codes, np.array([0, 4000]), fitted, mle, weight=weight, n_resamples=400)
    assert got.method == "bootstrap, parametric"
    # Standard deviations of 400: 1 / sqrt(800).
    relative = 4 * math.sqrt(1 / 800)
    np.testing.assert_allclose(got.standard_errors, standard_errors(counts, fitted), rtol=relative)


@pytest.mark.parametrize(
    ("lengths", "weight"),
    [
        ([300], None),
        ([300, 0], None),
        ([299, 1], None),
        ([150, 150], np.arange(300) < 150),
        ([150, 150], np.arange(300) < 151),
    ],
)
def test_resamples_of_one_sequence_are_refused(lengths, weight):
    codes = np.random.default_rng(0).integers(0, 3, 300)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    weight = None if weight is None else weight.astype(float)
    fitted = mle(count_transitions(codes, 3, offsets=offsets, weight=weight))
    asked = {"weight": weight, "n_resamples": 20}
    with pytest.raises(ValueError, match="at least 2 sequences that hold a transition, got 1"):
        bootstrap(codes, offsets, fitted, mle, kind="sequences", **asked)
    assert (bootstrap(codes, offsets, fitted, mle, **asked).standard_errors > 0).all()


# -- hostile input ---------------------------------------------------------------------------------


@pytest.mark.parametrize("level", [0.0, 1.0, -1, 95, np.nan])
def test_bad_levels(level):
    counts = counts_of(TABLE)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        intervals(counts, mle(counts), level=level)
    with pytest.raises(ValueError, match="level must be between 0 and 1"):
        bootstrap(np.zeros(3, dtype=int), np.array([0, 3]), mle(counts), mle, level=level)


def test_bad_choices():
    counts = counts_of(TABLE)
    codes, offsets = np.zeros(3, dtype=int), np.array([0, 3])
    with pytest.raises(ValueError, match="method must be one of 'asymptotic', 'wald', 'dirichlet'"):
        intervals(counts, mle(counts), method="profile")
    for prior in (0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="prior must be a finite number above 0"):
            intervals(counts, mle(counts), method="dirichlet", prior=prior)
        with pytest.raises(ValueError, match="prior must be a finite number above 0"):
            order_test(counts, prior=prior)
    with pytest.raises(ValueError, match="kind must be 'auto'"):
        bootstrap(codes, offsets, mle(counts), mle, kind="block")
    with pytest.raises(ValueError, match="do not fit"):
        bootstrap(codes, offsets, mle(counts), mle, n_resamples=10**8)
