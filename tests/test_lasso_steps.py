"""Penalised steps on packed Gram matrices against the conditions of their minima."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.models import kernels
from pyestim.models.packing import packed, unpacked

WEIGHT, TOL = 50.0, 1e-13


def problems(n=4, m=7, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 60, m))
    gram = np.array([packed(x.T @ x) for x in rows])
    old = rng.normal(size=(n, m)) * (rng.uniform(size=(n, m)) < 0.5)
    l1, l2 = np.full(m, 0.3), np.full(m, 0.05)
    l1[0] = l2[0] = 0.0
    return gram, 40.0 * rng.normal(size=(n, m)), old, l1, l2


def check_conditions(gram, score, old, l1, l2, coef, scale):
    """Slope of the quadratic: that of the penalty, or below it where a coefficient is zero."""
    for k in range(len(coef)):
        slope = score[k] - unpacked(gram[k]) @ (coef[k] - old[k]) - WEIGHT * l2 * coef[k]
        bound = WEIGHT * l1 * scale[k]
        # Descent ends where no gradient moves by more than TOL of its size; m of them add up.
        slack = 1e-10 * np.abs(score).max()
        on = coef[k] != 0.0
        assert np.abs(slope - bound * np.sign(coef[k]))[on].max() < slack
        assert (np.abs(slope) <= bound + slack).all()


def test_steps_are_minima():
    gram, score, old, l1, l2 = problems()
    coef, gain = kernels.lasso_steps(gram, score, old, l1, l2, WEIGHT, TOL)
    check_conditions(gram, score, old, l1, l2, coef, np.ones(4))
    assert (coef == 0.0).any()
    move = coef - old
    rise = WEIGHT * (
        (np.abs(coef) - np.abs(old)) @ l1 + 0.5 * (np.square(coef) - np.square(old)) @ l2
    )
    np.testing.assert_allclose(gain[:, 0], (score * move).sum(axis=1) - rise, rtol=1e-10)
    curve = [d @ unpacked(g) @ d for g, d in zip(gram, move, strict=True)]
    np.testing.assert_allclose(gain[:, 1], curve, rtol=1e-10)


def test_scales_and_slopes_settle_together():
    gram, score, old, l1, l2 = problems(seed=1)
    count, square = np.array([20.0, 30.0, 25.0, 60.0]), np.full(4, 900.0)
    coef, scale = kernels.scaled_lasso_steps(
        gram, score, old, l1, l2, WEIGHT, TOL, np.ones(4), square, count, 1e-3, 500, 1e-14
    )
    check_conditions(gram, score, old, l1, l2, coef, scale)
    move = coef - old
    rest = square - 2.0 * (score * move).sum(axis=1) + WEIGHT * np.square(coef) @ l2
    rest += [d @ unpacked(g) @ d for g, d in zip(gram, move, strict=True)]
    linear = WEIGHT * np.abs(coef) @ l1
    assert (scale > 1e-3).all()
    np.testing.assert_allclose(count * scale**2, rest + linear * scale, rtol=1e-9)


def test_scales_stay_above_the_floor_and_inputs_as_they_are():
    gram, score, old, l1, l2 = problems()
    before, scale = old.copy(), np.full(4, 2.0)
    _, found = kernels.scaled_lasso_steps(
        gram, score, old, l1, l2, WEIGHT, TOL, scale, np.zeros(4), np.full(4, 1e9), 1.5, 3, 1e-9
    )
    assert (found == 1.5).all()
    assert (scale == 2.0).all()
    assert np.array_equal(old, before)


def test_bad_arguments_are_named():
    gram, score, old, l1, l2 = problems()
    with pytest.raises(ValueError, match="lasso_steps: gram must have shape"):
        kernels.lasso_steps(gram[:, :-1].copy(), score, old, l1, l2, WEIGHT, TOL)
    with pytest.raises(ValueError, match="not be negative"):
        kernels.lasso_steps(gram, score, old, l1, l2, WEIGHT, -1.0)
