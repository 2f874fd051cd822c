"""Laws of the native sweep over experts: bits, memory, weights, hostile numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import slow_experts as slow
from test_kernels_experts import (
    LEAF,
    coefficients,
    ctx,
    problem,
    rows_of,
    size_of,
    sweep,
    three_rows,
)

from pyestim._core import native

__all__ = ["ctx"]


def with_threads(p, n_threads, size, **options):
    return sweep(native.Context(None, n_threads, n_threads), p, size, **options)


@pytest.mark.once
@pytest.mark.parametrize("family", slow.FAMILIES)
def test_threads_and_chunks_leave_every_bit(family):
    p = problem(family, 5 * LEAF + 99, 2, 3, outputs=2, c=2)
    size = size_of(slow.statistics(p))
    one = with_threads(p, 1, size)
    for n_threads in (2, 7):
        assert np.array_equal(with_threads(p, n_threads, size), one)
    # Nodes of the merge tree over 6 leaves: (0..3) + (4..5).
    left = with_threads(p, 2, size, start=0, stop=4 * LEAF)
    right = with_threads(p, 2, size, start=4 * LEAF)
    assert np.array_equal(left + right, one)


@pytest.mark.parametrize("family", slow.FAMILIES)
def test_candidates_do_not_touch_each_other(ctx, family):
    """To rounding: with many candidates blocks are shorter."""
    p = problem(family, 500, 3, 3, outputs=2, c=20)
    size = size_of(slow.statistics(p))
    together = sweep(ctx, p, size)
    for c in (0, 7, 19):
        part = {"gate_coef": p.gate_coef[[c]], "expert_coef": p.expert_coef[[c]]}
        if p.factor is not None:
            part |= {"factor": p.factor[[c]], "log_norm": p.log_norm[[c]]}
        alone = sweep(ctx, replace(p, **part), size)[0]
        assert np.abs(alone - together[c]).max() <= 1e-13 * np.abs(alone).max()


def layouts(x):
    wide = np.zeros((len(x), 2 * x.shape[1] + 1), x.dtype)
    wide[:, 1::2] = x
    yield np.asfortranarray(x)
    yield wide[:, 1::2]
    yield np.ascontiguousarray(x[::-1])[::-1]


@pytest.mark.parametrize("n_features", [1, 3, 4, 6])
def test_strides_and_single_precision_give_the_same_bits(ctx, n_features):
    p = problem("gaussian", 301, n_features, 3, gate="own", outputs=2)
    x, z, y = (a.astype(np.float32) for a in (p.x, p.z, p.y))
    exact = replace(p, x=x.astype(float), z=z.astype(float), y=y.astype(float))
    size = size_of(slow.statistics(exact))
    want = sweep(ctx, exact, size)
    for single in (False, True):
        arrays = (x, z, y) if single else (exact.x, exact.z, exact.y)
        for turned in zip(*map(layouts, arrays), strict=True):
            rows = rows_of(turned[0], p.weight), rows_of(turned[1]), rows_of(turned[2])
            assert np.array_equal(sweep(ctx, exact, size, rows=rows), want)


def test_working_coordinates(ctx):
    """Centres and scales of all three matrices."""
    p = problem("gaussian", 150, 3, 2, gate="own", outputs=2)
    rng = np.random.default_rng(3)
    rows = []
    for x, weight in ((p.x, p.weight), (p.z, None), (p.y, None)):
        centre, scale = rng.normal(size=x.shape[1]), 2.0 ** rng.integers(-3, 4, size=x.shape[1])
        rows.append(native.Rows(x / scale + centre, weight, centre, scale))
    size = size_of(slow.statistics(p))
    got, want = sweep(ctx, p, size, rows=tuple(rows)), sweep(ctx, p, size)
    assert np.abs(got - want).max() <= 1e-12 * np.abs(want).max()


@pytest.mark.parametrize("family", slow.FAMILIES)
@pytest.mark.parametrize("gate", ["shared", "own"])
def test_a_weight_repeats_a_row_and_zero_removes_it(ctx, family, gate):
    p = problem(family, 90, 2, 3, outputs=2, gate=gate)
    times = np.random.default_rng(0).integers(0, 4, size=90)
    x = np.repeat(p.x, times, axis=0)
    z = x if gate == "shared" else np.repeat(p.z, times, axis=0)
    repeated = replace(p, x=x, z=z, y=np.repeat(p.y, times, axis=0), weight=None)
    spoilt = p.x.copy()
    spoilt[times == 0] = np.nan
    y = p.y.copy()
    y[times == 0] = np.inf
    weighted = replace(p, x=spoilt, z=spoilt if gate == "shared" else p.z, y=y, weight=times * 1.0)
    size = size_of(slow.statistics(repeated))
    got, want = sweep(ctx, weighted, size), sweep(ctx, repeated, size)
    assert np.abs(got - want).max() <= 1e-12 * np.abs(want).max()


def test_a_dropped_expert_gets_nothing(ctx):
    for gate in ("shared", "constant"):
        p = problem("gaussian", 100, 2, 3, gate=gate)
        for dropped in range(3):
            coef = p.gate_coef.copy()
            coef[:, dropped, 0] = -np.inf
            size = size_of(slow.statistics(p))
            windows = slow.split(
                sweep(ctx, replace(p, gate_coef=coef), size)[0], slow.statistics(p)
            )
            assert windows["resp_sum"][dropped] == 0.0
            assert windows["resp_sum"].sum() == pytest.approx(p.weight.sum(), rel=1e-13)
            assert np.isfinite(windows["log_likelihood"])
            assert not windows["expert_score"][dropped].any()


def best_expert_gets_all(p, ctx, row):
    resp, log_prob = np.empty((len(p.x), 3)), np.empty(len(p.x))
    native.experts_rows(
        ctx, *three_rows(p), 0, len(p.x), *coefficients(p), resp=resp, log_prob=log_prob
    )
    assert np.isfinite(resp).all()
    assert np.isfinite(log_prob).all()
    assert np.allclose(resp.sum(axis=1), 1.0)
    assert sorted(resp[row]) == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e200, -1e300])
@pytest.mark.parametrize("outputs", [1, 2])
def test_responses_out_of_reach(ctx, value, outputs):
    p = problem("gaussian", 40, 2, 3, outputs=outputs, weighted=False)
    p.y[17] = value
    assert np.isfinite(
        sweep(ctx, p, size_of(slow.statistics(problem("gaussian", 40, 2, 3, outputs=outputs))))
    ).all()
    best_expert_gets_all(p, ctx, 17)


@pytest.mark.parametrize("family", slow.FAMILIES)
@pytest.mark.parametrize("size", [1e3, 1e10, 1e200, np.inf, np.nan])
def test_predictors_out_of_reach(ctx, family, size):
    """Coefficients that overflow the link: numbers come out, whatever they say."""
    for gate in ("shared", "constant"):
        p = problem(family, 60, 2, 3, gate=gate, outputs=2)
        windows = slow.statistics(p)
        for k in range(3):
            p.expert_coef[0, k, :, 1] = size
            assert np.isfinite(sweep(ctx, p, size_of(windows))).all()


@pytest.mark.parametrize("size", [1e3, 1e10, 1e200])
def test_gates_out_of_reach(ctx, size):
    p = problem("poisson", 60, 2, 3)
    windows = slow.statistics(p)
    p.gate_coef[:, :-1] *= size
    assert np.isfinite(sweep(ctx, p, size_of(windows))).all()


@pytest.mark.parametrize("value", [np.inf, 1e200])
@pytest.mark.parametrize("family", ["poisson", "binomial", "multinomial"])
def test_counts_out_of_reach(ctx, family, value):
    p = problem(family, 30, 2, 3, outputs=2)
    windows = slow.statistics(p)
    p.y[3] = value
    assert np.isfinite(sweep(ctx, p, size_of(windows))).all()


def test_a_nearly_separated_gate_keeps_the_digits_of_its_curvature(ctx):
    """pi (1 - pi) as a product of shares: 1 - pi has no digits where pi is 1 - 1e-20."""
    x = np.ones((1, 1))
    coef = np.array([[[46.0, 0.0], [0.0, 0.0]]])
    p = replace(problem("gaussian", 1, 1, 2, weighted=False), x=x, z=x, gate_coef=coef)
    windows = slow.split(sweep(ctx, p, size_of(slow.statistics(p)))[0], slow.statistics(p))
    assert windows["gate_curvature"][0] == pytest.approx(np.exp(-46.0), rel=1e-14)
