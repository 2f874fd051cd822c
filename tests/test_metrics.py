"""Voronoi losses: invariances, hand-made values, and the minimum against a dense search."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pyestim.metrics import voronoi_loss

pytestmark = pytest.mark.once

TRUE = {
    "gate_intercept": np.array([-1.0, 0.5, 0.0]),
    "gate_coef": np.array([[2.0, -1.0], [0.5, 1.0], [0.0, 0.0]]),
    "expert_coef": np.array([[-3.0], [4.0], [1.0]]),
    "expert_intercept": np.array([1.0, -5.0, 6.0]),
    "expert_scale": np.array([0.3, 0.4, 1.0]),
}


def changed(source=TRUE, **arrays):
    return {**source, **{name: np.asarray(value) for name, value in arrays.items()}}


def noisy(seed=0, size=0.05):
    rng = np.random.default_rng(seed)
    return {name: value + size * rng.normal(size=value.shape) for name, value in TRUE.items()}


@pytest.mark.parametrize("kind", ["exact", "over"])
def test_zero_for_the_same_model_in_any_order_and_with_any_reference(kind):
    order = [2, 0, 1]
    other = {name: value[order] for name, value in TRUE.items()}
    other["gate_intercept"] = other["gate_intercept"] + 3.0
    other["gate_coef"] = other["gate_coef"] + [0.5, -7.0]
    # The shift is found to rounding of the slopes, of size 10.
    assert voronoi_loss(other, TRUE, kind) == pytest.approx(0.0, abs=1e-14)


@pytest.mark.parametrize("kind", ["exact", "over"])
def test_order_and_reference_of_a_fit_do_not_matter(kind):
    fitted, order = noisy(), [1, 2, 0]
    other = {name: value[order] for name, value in fitted.items()}
    other["gate_intercept"] = other["gate_intercept"] - 2.0
    other["gate_coef"] = other["gate_coef"] + [3.0, 1.0]
    assert voronoi_loss(other, TRUE, kind) == pytest.approx(
        voronoi_loss(fitted, TRUE, kind), rel=1e-8
    )


def test_a_single_difference_counts_as_it_is():
    mass = np.exp([-1.5, 0.0, -0.5])
    for name in ("expert_coef", "expert_intercept"):
        shifted = TRUE[name].copy()
        shifted[0] += 0.01
        assert voronoi_loss(changed(**{name: shifted}), TRUE) == pytest.approx(
            0.01 * mass[0], rel=1e-10
        )
    shifted = TRUE["expert_scale"].copy()
    shifted[1] = np.sqrt(shifted[1] ** 2 + 0.02)
    loss = voronoi_loss(changed(expert_scale=shifted), TRUE)
    assert loss == pytest.approx(0.02, rel=1e-10)  # its mass is the largest, one


def dense_minimum(fitted):
    """Definition of the loss of three well separated experts, minimised over a fine grid."""
    mass = [np.exp(p["gate_intercept"] - p["gate_intercept"].max()) for p in (fitted, TRUE)]
    own = [
        np.column_stack([p["expert_coef"], p["expert_intercept"], p["expert_scale"] ** 2])
        for p in (fitted, TRUE)
    ]
    gap = fitted["gate_coef"] - TRUE["gate_coef"]
    rest = np.sum((own[0] - own[1]) ** 2, axis=1)

    def at(s, t):
        norms = np.sqrt(np.sum((gap - t) ** 2, axis=1) + rest)
        return np.abs(s * mass[0] - mass[1]).sum() + s * mass[0] @ norms

    middle, width, best = np.zeros(2), 0.2, np.inf
    for _ in range(12):
        grid = np.linspace(-width, width, 21)
        values = [(at(1.0, middle + np.array([a, b])), a, b) for a in grid for b in grid]
        _, a, b = min(values)
        middle, width = middle + np.array([a, b]), 0.3 * width
    for s in np.append(np.linspace(0.7, 1.3, 2001), mass[1] / mass[0]):
        best = min(best, at(s, middle))
    return best


@pytest.mark.parametrize("seed", range(3))
def test_minimum_over_shifts_agrees_with_a_search(seed):
    fitted = noisy(seed)
    # The grid ends at a width of 0.2 * 0.3^12 / 10, and the loss has slopes of three at most.
    assert voronoi_loss(fitted, TRUE) == pytest.approx(dense_minimum(fitted), abs=1e-7)


def test_merged_experts_count_with_their_orders():
    twice = {name: value[[0, 1, 2, 2]] for name, value in TRUE.items()}
    twice["gate_intercept"] = np.array([-1.0, 0.5, np.log(0.5), np.log(0.5)])
    assert voronoi_loss(twice, TRUE, "over") == pytest.approx(0.0, abs=1e-14)
    h = 0.1
    level = twice["expert_intercept"] + [0, 0, h, -h]
    loss = voronoi_loss(changed(twice, expert_intercept=level), TRUE, "over")
    assert loss == pytest.approx(np.exp(-0.5) * h**4, rel=1e-8)
    slope = twice["expert_coef"] + [[0], [0], [h], [-h]]
    loss = voronoi_loss(changed(twice, expert_coef=slope), TRUE, "over")
    assert loss == pytest.approx(np.exp(-0.5) * h**2, rel=1e-8)


def test_reads_estimators():
    fitted = SimpleNamespace(**{f"{name}_": value for name, value in noisy().items()})
    assert voronoi_loss(fitted, TRUE) == voronoi_loss(noisy(), TRUE)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="kind must be 'exact' or 'over', got 'both'"):
        voronoi_loss(TRUE, TRUE, "both")
    with pytest.raises(ValueError, match="expert_scale is missing"):
        voronoi_loss(TRUE, {k: v for k, v in TRUE.items() if k != "expert_scale"})
    with pytest.raises(ValueError, match="fitted must be a fitted MixtureOfExpertsRegressor"):
        voronoi_loss(SimpleNamespace(), TRUE)
    with pytest.raises(ValueError, match="expert_intercept of fitted must have 3 rows"):
        voronoi_loss(changed(expert_intercept=np.zeros(2)), TRUE)
    with pytest.raises(ValueError, match="gate_coef of true must be finite"):
        voronoi_loss(TRUE, changed(gate_coef=TRUE["gate_coef"] * np.nan))
    with pytest.raises(ValueError, match="the same columns, got 1 and 2 of the gate"):
        voronoi_loss(changed(gate_coef=np.zeros((3, 1))), TRUE)
