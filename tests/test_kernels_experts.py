"""The native sweep over mixtures of experts against its slow specification, on every level."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from reference import slow_experts as slow

from pyestim._core import native

LEVELS = native.available_levels()
LEAF = 4096


@pytest.fixture(params=LEVELS)
def ctx(request):
    return native.Context(request.param, 1)


def parameters_of(rng, family, c, k, p, n_predictors):
    expert_coef = rng.normal(size=(c, k, n_predictors, 1 + p)) / np.sqrt(1 + p)
    if family != "gaussian":
        return expert_coef, None, None
    m = n_predictors
    factor = np.tril(0.3 * rng.normal(size=(c, k, m, m)), -1)
    factor += np.eye(m) * rng.uniform(0.6, 1.5, size=(c, k, m, 1))
    log_norm = np.log(np.einsum("ckaa->cka", factor)).sum(axis=-1) - 0.5 * m * np.log(2 * np.pi)
    return expert_coef, factor, log_norm


def responses_of(rng, family, n, n_predictors):
    if family == "gaussian":
        return 2.0 * rng.normal(size=(n, n_predictors))
    if family == "poisson":
        return rng.poisson(1.5, size=(n, 1)).astype(float)
    if family == "binomial":
        return rng.integers(0, 4, size=(n, 2)).astype(float)
    return rng.integers(0, n_predictors + 1, size=(n, 1)).astype(float)


def problem(family, n, p, k, *, gate="shared", c=1, outputs=1, q=2, weighted=True, seed=0):
    """Rows and parameters of overlapping experts; gate: "shared" covariates, "own", "constant"."""
    rng = np.random.default_rng([seed, n, p, k, outputs])
    n_predictors = outputs if family in ("gaussian", "multinomial") else 1
    x = rng.normal(size=(n, p))
    z = {"shared": x, "own": rng.normal(size=(n, q)), "constant": None}[gate]
    gate_coef = rng.normal(size=(c, k, 1 + (0 if z is None else z.shape[1])))
    gate_coef[:, -1] = 0.0
    weight = rng.uniform(0.0, 2.0, size=n) if weighted else None
    if weighted:
        weight[::7] = 0.0
        weight[0] = 1.0
    y = responses_of(rng, family, n, n_predictors)
    parameters = parameters_of(rng, family, c, k, p, n_predictors)
    return slow.Problem(family, x, z, y, weight, gate_coef, *parameters)


def rows_of(x, weight=None):
    return native.Rows(x, weight, np.zeros(x.shape[1]), np.ones(x.shape[1]))


def three_rows(p, gate_weight=None):
    x = rows_of(p.x, p.weight)
    shared = p.z is p.x and gate_weight is None
    z = x if shared else None if p.z is None else rows_of(p.z, gate_weight)
    return x, z, rows_of(p.y)


def coefficients(p):
    return p.family, p.gate_coef, p.expert_coef, p.factor, p.log_norm


def sweep(ctx, p, size, *, start=0, stop=None, rows=None, **options):
    out = np.full((len(p.expert_coef), size), np.nan)
    stop = len(p.x) if stop is None else stop
    rows = three_rows(p) if rows is None else rows
    native.experts_sweep(ctx, *rows, start, stop, *coefficients(p), out=out, **options)
    return out


def size_of(windows):
    return sum(np.size(value) for value in windows.values())


def assert_windows(p, c, got, want):
    """An error of eps in every log-density moves a responsibility by eps times its size; sums of
    rounded terms add a few eps of the sum of absolute values."""
    largest = np.abs(slow.experts(p, c)[0][p.w > 0]).max()
    eps = np.finfo(float).eps * (30.0 + 2.0 * largest)
    scales = slow.scales(p, c, want)
    for name, a in slow.split(got, want).items():
        error = np.max(np.abs(a - want[name]), initial=0.0)
        assert error <= eps * scales[name], (name, error, eps * scales[name])


def check(ctx, p, **options):
    resp = options.pop("want_resp", None)
    slow_options = {name: options[name] for name in ("gram", "curvature") if name in options}
    for c in range(len(p.expert_coef)):
        want = slow.statistics(p, c, resp=resp, **slow_options)
        got = sweep(ctx, p, size_of(want), **options)
        assert_windows(p, c, got[c], want)


# n: one row, less than a panel, blocks and more than one leaf; p: all remainders of a vector.
SHAPES = [
    ("gaussian", 1, 1, 1, 1),
    ("gaussian", 5, 1, 2, 1),
    ("gaussian", 301, 3, 4, 1),
    ("gaussian", 130, 4, 3, 2),
    ("gaussian", 97, 7, 9, 3),
    ("gaussian", LEAF + 17, 2, 3, 1),
    ("gaussian", 300, 40, 2, 1),
    ("poisson", 3, 1, 1, 1),
    ("poisson", 257, 5, 4, 1),
    ("poisson", LEAF + 5, 1, 2, 1),
    ("binomial", 7, 2, 1, 1),
    ("binomial", 255, 6, 5, 1),
    ("multinomial", 64, 1, 2, 1),
    ("multinomial", 203, 3, 3, 2),
    ("multinomial", 222, 4, 2, 4),
]


@pytest.mark.parametrize(("family", "n", "p", "k", "outputs"), SHAPES)
@pytest.mark.parametrize("gate", ["shared", "own", "constant"])
def test_sweep_equals_specification(ctx, family, n, p, k, outputs, gate):
    for weighted in (True, False):
        check(ctx, problem(family, n, p, k, gate=gate, outputs=outputs, c=2, weighted=weighted))


@pytest.mark.parametrize("family", slow.FAMILIES)
@pytest.mark.parametrize("curvature", [True, False])
@pytest.mark.parametrize("gram", [True, False])
def test_parts_can_be_left_out(ctx, family, curvature, gram):
    for gate in ("shared", "own"):
        p = problem(family, 100, 3, 3, gate=gate, outputs=2)
        check(ctx, p, curvature=curvature, gram=gram)


@pytest.mark.parametrize("family", slow.FAMILIES)
def test_responsibilities_from_elsewhere(ctx, family):
    p = problem(family, 211, 3, 3, outputs=2, c=2)
    p = replace(p, factor=None, log_norm=None)  # densities are not needed
    rng = np.random.default_rng(1)
    resp = rng.dirichlet(np.ones(3), size=211)
    for given in (resp, np.asfortranarray(resp), resp[::-1].copy()[::-1]):
        check(ctx, p, source="given", responsibilities=given, want_resp=resp)
    labels = rng.integers(3, size=211).astype(np.int32)
    check(ctx, p, source="labels", labels=labels, want_resp=np.eye(3)[labels])


def test_rows_without_a_label_are_absent(ctx):
    p = problem("gaussian", 60, 2, 3)
    labels = np.tile(np.arange(-1, 4, dtype=np.int32), 12)
    known = (labels >= 0) & (labels < 3)
    resp = np.eye(3)[np.where(known, labels, 0)]
    want = slow.statistics(replace(p, weight=p.weight * known), resp=resp)
    got = sweep(ctx, p, size_of(want), source="labels", labels=labels)
    assert_windows(p, 0, got[0], want)


def test_the_gate_may_have_weights_of_its_own(ctx):
    """One row of each group counts in the gate."""
    for gate in ("shared", "own"):
        p = problem("gaussian", 120, 2, 3, gate=gate)
        gate_weight = np.where(np.arange(120) % 3 == 0, p.weight, 0.0)
        resp = np.random.default_rng(0).dirichlet(np.ones(3), size=120)
        want = slow.statistics(p, resp=resp, gate_weight=gate_weight)
        rows = three_rows(p, gate_weight)
        options = {"source": "given", "responsibilities": resp}
        got = sweep(ctx, p, size_of(want), rows=rows, **options)
        assert_windows(p, 0, got[0], want)
        posterior = slow.statistics(p, gate_weight=gate_weight)
        assert_windows(p, 0, sweep(ctx, p, size_of(want), rows=rows)[0], posterior)


@pytest.mark.parametrize("family", slow.FAMILIES)
@pytest.mark.parametrize("gate", ["shared", "own", "constant"])
def test_rows_equal_specification(ctx, family, gate):
    p = problem(family, 333, 3, 4, gate=gate, outputs=2)
    start, stop, k, n_predictors = 10, 320, 4, p.expert_coef.shape[2]
    out = {
        "log_prob": np.empty(310),
        "resp": np.empty((310, k)),
        "log_density": np.empty((310, k)),
        "gate": np.empty((310, k)),
        "predictors": np.empty((310, k, n_predictors)),
    }
    native.experts_rows(ctx, *three_rows(p), start, stop, *coefficients(p), **out)
    log_prob, resp = slow.posterior(p)
    density = slow.experts(p)[0]
    want = {
        "log_prob": log_prob,
        "resp": resp,
        "log_density": density,
        "gate": slow.log_gate(p),
        "predictors": slow.predictors(p),
    }
    eps = np.finfo(float).eps * (30.0 + 2.0 * np.abs(density).max())
    for name, a in out.items():
        b = want[name][start:stop]
        assert np.abs(a - b).max() <= eps * max(1.0, np.abs(b).max()), name


def test_predictions_need_no_responses(ctx):
    p = problem("poisson", 50, 3, 2)
    x, z, _ = three_rows(p)
    gate, lines = np.empty((50, 2)), np.empty((50, 2, 1))
    native.experts_rows(ctx, x, z, None, 0, 50, *coefficients(p), gate=gate, predictors=lines)
    assert np.allclose(gate, slow.log_gate(p), atol=1e-13)
    assert np.allclose(lines, slow.predictors(p), atol=1e-13)
