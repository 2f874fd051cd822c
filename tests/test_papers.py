"""The reproductions of papers run, and their simulator of two-state chains is right."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import pytest
from chain_counts import count_slowly

from benchmarks.papers import (
    experts_rates,
    markov_estimation,
    markov_prediction,
    truncated_error,
    two_states,
)
from pyestim.models.chain_smoothing import smoothed
from pyestim.models.divergences import divergence

pytestmark = pytest.mark.once

RULES = [1.0, 0.5, "adaptive"]


def test_two_state_simulator_against_all_paths():
    """All paths of 9 states that end in state 0."""
    n, leave, enter = 9, 0.15, 0.3
    matrix = np.array([[1 - leave, leave], [enter, 1 - enter]])
    law = np.array([enter, leave]) / (leave + enter)
    expected = np.zeros(3)
    for path in product([0, 1], repeat=n):
        if path[-1] == 0:
            chance = law[path[0]] * math.prod(matrix[a, b] for a, b in pairwise(path)) / law[0]
            counts = count_slowly([path], 2)
            expected += chance * np.array(
                [divergence("kl", matrix[0], smoothed(counts, rule).matrix[0]) for rule in RULES]
            )
    rng = np.random.default_rng(0)
    mean, variance = two_states.losses(rng, n, leave, enter, 200_000, RULES)
    assert (np.abs(mean - expected) < 4.5 * np.sqrt(variance)).all()
    assert (np.sqrt(variance) < 0.01 * expected).all()


@pytest.mark.parametrize("n", [100, 10**6])
def test_weights_of_the_last_sojourn(n):
    """They average to one, and to the mean of min(l, n), (1 - (1 - p)^n) / p."""
    p = 2.0 / n
    length, weight = two_states.last_sojourns(np.random.default_rng(1), n, p, 200_000)
    for values, expected in ((weight, 1.0), (weight * length, -math.expm1(n * math.log1p(-p)) / p)):
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - expected) < 4.5 * error


def test_worst_risks_agree_with_the_known_values():
    """A quick look: the known values have errors of 0.05, the largest of noisy ones a bias."""
    risks, errors = two_states.worst_risks(10**4, RULES, 2_000, 3)
    bound = 4.5 * np.hypot(errors, 0.05)
    assert (np.abs(risks - markov_prediction.KNOWN[10**4]) < bound).all()


SCRIPTS = [markov_prediction, markov_estimation, experts_rates, truncated_error]


@pytest.mark.parametrize("script", SCRIPTS)
def test_quick_mode(script, tmp_path, capsys):
    script.main(["--quick", "--out", str(tmp_path)])
    name = script.__name__.rsplit(".", 1)[-1]
    text = (tmp_path / f"{name}.md").read_text(encoding="utf-8")
    assert text in capsys.readouterr().out and "nan" not in text
    assert (tmp_path / f"{name}.png").stat().st_size > 10_000


def test_limits_of_the_theory():
    row = np.full(4, 0.25)
    for loss, unit in (("kl", 1.0), ("chi-square", 2.0), ("hellinger", 0.5)):
        for rule in ("add 1", "add √N/k"):
            assert markov_estimation.limit(loss, 4, row, rule) == pytest.approx(unit * 1.5)
    assert markov_estimation.limit("l2", 4, row, "add 1") == pytest.approx(0.75)
