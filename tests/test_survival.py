"""Concordance and baseline hazard against sums over all pairs and all risk sets."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.penalised.survival import baseline_hazard, concordance


def sample(seed, n=60):
    rng = np.random.default_rng(seed)
    time = rng.integers(1, 15, n).astype(float)  # many ties
    event, risk = rng.integers(0, 2, n).astype(float), rng.integers(0, 8, n) / 4
    return time, event, risk, rng.integers(0, 4, n)


def slow_concordance(time, event, risk, w):
    good = total = 0.0
    for i in range(len(time)):
        for j in range(len(time)):
            later = time[j] > time[i] or (time[j] == time[i] and not event[j])
            if event[i] and later:
                total += w[i] * w[j]
                good += w[i] * w[j] * (1.0 if risk[i] > risk[j] else 0.5 * (risk[i] == risk[j]))
    return good / total


@pytest.mark.parametrize("seed", range(5))
def test_concordance_counts_all_pairs(seed):
    time, event, risk, w = sample(seed)
    # Sums of at most 60^2 quarters and products of small integers: exact.
    assert concordance(time, event, risk, w.astype(float)) == pytest.approx(
        slow_concordance(time, event, risk, w), rel=1e-14
    )
    assert concordance(time, event, risk) == pytest.approx(
        slow_concordance(time, event, risk, np.ones(60)), rel=1e-14
    )


def test_concordance_of_a_perfect_and_of_a_reversed_order():
    time = np.arange(1.0, 9.0)
    event = np.ones(8)
    assert concordance(time, event, -time) == 1.0
    assert concordance(time, event, time) == 0.0
    assert concordance(time, event, np.zeros(8)) == 0.5


def test_concordance_needs_a_pair():
    with pytest.raises(ValueError, match="no two rows can be compared"):
        concordance(np.ones(1), np.ones(1), np.ones(1))
    with pytest.raises(ValueError, match="no two rows can be compared"):
        concordance(np.ones(3), np.ones(3), np.arange(3.0))


@pytest.mark.parametrize("shift", [0.0, 300.0, -300.0])
def test_baseline_hazard_sums_over_risk_sets(shift):
    time, event, eta, w = sample(3)
    w = w.astype(float)
    times, hazard = baseline_hazard(time, event, eta + shift, w)
    expected, total = [], 0.0
    for t in np.unique(time[(event > 0) & (w > 0)]):
        total += w[(time == t) & (event > 0)].sum() / (w * np.exp(eta))[time >= t].sum()
        expected.append(total)
    np.testing.assert_array_equal(times, np.unique(time[(event > 0) & (w > 0)]))
    # exp of the shift loses |shift| units of the last place.
    with np.errstate(under="ignore"):
        np.testing.assert_allclose(hazard, np.array(expected) * np.exp(-shift), rtol=2e-13)


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_baseline_hazard_of_predictors_that_span_more_than_exp_holds(ties):
    time = np.arange(1.0, 6.0)
    eta = np.array([900.0, 400.0, 0.0, -400.0, -900.0])
    _, hazard = baseline_hazard(time, np.ones(5), eta, ties=ties)
    assert np.isfinite(hazard).all()
    # Without ties each risk set is all but its first row: exp of its predictor.
    np.testing.assert_allclose(hazard[1:4], np.exp(-eta[1:4]), rtol=1e-12)
    assert hazard[4] == np.finfo(np.float64).max


def test_efron_lets_the_events_of_one_time_leave_one_by_one():
    time = np.array([1.0, 1.0, 1.0, 2.0])
    event = np.array([1.0, 1.0, 0.0, 1.0])
    eta = np.log([2.0, 3.0, 1.0, 4.0])
    _, hazard = baseline_hazard(time, event, eta, ties="efron")
    first = 1 / 10 + 1 / (10 - 5 / 2)
    np.testing.assert_allclose(hazard, [first, first + 1 / 4], rtol=1e-14)
