"""The native mixture sweeps against their slow specification, on every level this machine has."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from reference import slow_mixture as slow

from pyestim._core import native

LEVELS = native.available_levels()
FAMILIES = slow.FAMILIES
LEAF = 4096


@pytest.fixture(params=LEVELS)
def ctx(request):
    return native.Context(request.param, 1)


def problem(family, n, d, k, *, candidates=1, seed=0, spread=1.5, weighted=True):
    """Data and parameters of a mixture whose components overlap."""
    rng = np.random.default_rng([seed, n, d, k])
    means = spread * rng.normal(size=(candidates, k, d))
    rows = means[0, rng.integers(k, size=n)] + rng.normal(size=(n, d))
    lower = np.tril(0.4 / np.sqrt(d) * rng.normal(size=(candidates, k, d, d)), -1)
    full = lower + np.eye(d) * rng.uniform(0.7, 1.4, size=(candidates, k, d, 1))
    factors = {
        "full": full,
        "tied": np.ascontiguousarray(full[:, 0]),
        "diag": rng.uniform(0.7, 1.4, size=(candidates, k, d)),
        "spherical": rng.uniform(0.7, 1.4, size=(candidates, k)),
    }[family]
    log_offset = np.log(rng.dirichlet(np.full(k, 5.0), size=candidates)) - d
    weight = rng.uniform(0.0, 2.0, size=n) if weighted else None
    if weighted:
        weight[::7] = 0.0
    scale = 2.0 ** rng.integers(-3, 4, size=d)
    centre = rng.normal(size=d)
    x = rows / scale + centre
    return slow.Data(x, weight, centre, scale), log_offset, means, factors


def native_rows(data):
    return native.Rows(data.x, data.weight, data.centre, data.scale)


def sweep(ctx, data, family, log_offset, means, factors, *, start=0, stop=None, accurate=False):
    candidates, k, d = means.shape
    out = np.full((candidates, slow.stats_size(family, k, d)), np.nan)
    stop = len(data.x) if stop is None else stop
    native.mixture_sweep(
        ctx, native_rows(data), start, stop, family, log_offset, means, factors, accurate, out
    )
    return out


def assert_stats(got, want, data, family, means, eps):
    """Each window to its own scale: sums of numbers as large as rows and means may get."""
    z, weight = slow.working_rows(data, 0, len(data.x))
    candidates, k, d = means.shape
    for c in range(candidates):
        reach = np.abs(z).max() + np.abs(means[c]).max()
        total = max(weight.sum(), 1e-300)
        a, b = (slow.split_stats(s[c], family, k, d) for s in (got, want))
        sizes = {
            "log_likelihood": max(abs(b["log_likelihood"]), total),
            "weight_sum": total,
            "resp_sum": total,
            "first": total * reach,
            "second": total * reach**2 * (d if family == "spherical" else 1),
        }
        for name, size in sizes.items():
            error = np.max(np.abs(a[name] - b[name]), initial=0.0)
            assert error <= eps * size, (name, c, error, eps * size)


# n is never a multiple of a panel by accident only: 1, odd, one block, more than one leaf.
SHAPES = [
    (1, 1, 1),
    (5, 1, 3),
    (61, 2, 5),
    (97, 3, 2),
    (200, 4, 4),
    (301, 5, 3),
    (130, 6, 7),
    (77, 7, 1),
    (500, 8, 8),
    (259, 9, 4),
    (333, 13, 5),
    (400, 16, 16),
    (205, 17, 3),
    (150, 33, 6),
    (700, 2, 300),
    (260, 64, 5),
    (LEAF + 17, 3, 4),
]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("weighted", [True, False])
def test_sweep_equals_specification(ctx, family, n, d, k, weighted):
    data, *parameters = problem(family, n, d, k, candidates=2, weighted=weighted)
    want = slow.mixture_sweep(data, 0, n, family, *parameters)
    got = sweep(ctx, data, family, *parameters)
    assert_stats(got, want, data, family, parameters[1], 50 * np.finfo(float).eps * np.sqrt(d))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
@pytest.mark.parametrize("shift", [0.0, 1e3])
def test_float32(ctx, family, n, d, k, shift):
    data, *parameters = problem(family, n, d, k, candidates=2)
    x = (data.x + shift).astype(np.float32)
    data = data._replace(x=x, centre=data.centre + shift)
    want = slow.mixture_sweep(data, 0, n, family, *parameters)
    got = sweep(ctx, data, family, *parameters)
    eps = np.finfo(np.float32).eps
    assert_stats(got, want, data, family, parameters[1], 20 * eps * np.sqrt(d))
    accurate = sweep(ctx, data, family, *parameters, accurate=True)
    assert_stats(accurate, want, data, family, parameters[1], 50 * np.finfo(float).eps * np.sqrt(d))


def layouts(x):
    """The same numbers in many arrangements."""
    n, d = x.shape
    wide = np.empty((n, 2 * d + 1), x.dtype)
    wide[:, 1::2] = x
    tall = np.empty((3 * n, d), x.dtype)
    tall[::3] = x
    yield "C", np.ascontiguousarray(x)
    yield "F", np.asfortranarray(x)
    yield "every other column", wide[:, 1::2]
    yield "every third row", tall[::3]
    yield "rows backwards", np.ascontiguousarray(x[::-1])[::-1]
    yield "columns backwards", np.ascontiguousarray(x[:, ::-1])[:, ::-1]
    yield "both backwards, F", np.asfortranarray(x[::-1, ::-1])[::-1, ::-1]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("d", [1, 2, 3, 4, 6, 9, 16])
def test_strides_give_the_same_bits(ctx, d, dtype):
    data, *parameters = problem("full", 301, d, 3)
    x = data.x.astype(dtype)
    results = {}
    for name, arranged in layouts(x):
        assert np.array_equal(arranged, x)
        results[name] = sweep(ctx, data._replace(x=arranged), "full", *parameters)
    for name, got in results.items():
        np.testing.assert_array_equal(got, results["C"], err_msg=name)


def test_zero_strides(ctx):
    data, *parameters = problem("full", 1, 5, 3, weighted=False)
    one = sweep(ctx, data, "full", *parameters)
    many = sweep(ctx, data._replace(x=np.broadcast_to(data.x, (100, 5))), "full", *parameters)
    np.testing.assert_allclose(many, 100 * one, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("family", FAMILIES)
def test_ranges_add_up(ctx, family):
    n = 3 * LEAF + 55
    data, *parameters = problem(family, n, 4, 3)
    whole = sweep(ctx, data, family, *parameters)
    cuts = [0, 1, LEAF, LEAF + 100, 2 * LEAF, n]
    parts = [
        sweep(ctx, data, family, *parameters, start=a, stop=b) for a, b in itertools.pairwise(cuts)
    ]
    want = np.sum(parts, axis=0)
    assert_stats(whole, want, data, family, parameters[1], 1e-14)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_threads_give_the_same_bits(ctx, family, dtype):
    data, *parameters = problem(family, 9 * LEAF + 1234, 5, 3, candidates=2)
    data = data._replace(x=data.x.astype(dtype))
    want = sweep(ctx, data, family, *parameters)
    for n_threads in (2, 3, 7):
        ctx.n_threads = n_threads
        np.testing.assert_array_equal(sweep(ctx, data, family, *parameters), want)


@pytest.mark.parametrize("family", FAMILIES)
def test_candidates_do_not_meet(ctx, family):
    data, offset, means, factors = problem(family, 300, 6, 3, candidates=3)
    together = sweep(ctx, data, family, offset, means, factors)
    for c in range(3):
        one = [np.ascontiguousarray(p[c : c + 1]) for p in (offset, means, factors)]
        np.testing.assert_array_equal(sweep(ctx, data, family, *one)[0], together[c])


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_are_repetitions(ctx, family):
    data, *parameters = problem(family, 200, 5, 3)
    count = np.arange(200) % 4
    weighted = sweep(ctx, data._replace(weight=count.astype(float)), family, *parameters)
    repeated = data._replace(x=np.repeat(data.x, count, axis=0), weight=None)
    want = sweep(ctx, repeated, family, *parameters)
    assert_stats(weighted, want, repeated, family, parameters[1], 1e-13)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_weight_zero_may_hold_anything(ctx, family, dtype):
    """In working coordinates the largest number is infinite: times zero that would be NaN."""
    data, *parameters = problem(family, 300, 9, 3)
    x = data.x.astype(dtype)
    data = data._replace(x=x, scale=np.full(9, 4.0))
    want = sweep(ctx, data, family, *parameters)
    x = x.copy()
    x[data.weight == 0] = np.finfo(dtype).max
    got = sweep(ctx, data._replace(x=x), family, *parameters)
    eps = np.finfo(dtype).eps
    assert_stats(got, want, data, family, parameters[1], 100 * eps)
    moments = np.empty(1 + 4 * 9)
    native.column_moments(ctx, native_rows(data._replace(x=x)), 0, 300, moments)
    assert np.isfinite(moments).all()


# The last one scales by the reciprocal of a subnormal number, which overflows.
@pytest.mark.parametrize("weight_scale", [1e-200, 1e200, 1e-308])
@pytest.mark.parametrize("family", FAMILIES)
def test_float32_with_extreme_weights(ctx, family, weight_scale):
    data, *parameters = problem(family, 200, 5, 3)
    data = data._replace(x=data.x.astype(np.float32), weight=data.weight * weight_scale)
    want = slow.mixture_sweep(data, 0, 200, family, *parameters)
    got = sweep(ctx, data, family, *parameters)
    assert_stats(got, want, data, family, parameters[1], 1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spread", [30.0, 1e3, 1e6])
def test_far_components_stay_centred(ctx, family, spread):
    """Separated clusters: the scatter about each mean keeps its digits, negligible rows or not."""
    data, *parameters = problem(family, 700, 6, 5, spread=spread)
    got = slow.split_stats(sweep(ctx, data, family, *parameters)[0], family, 5, 6)
    want = slow.mixture_sweep(data, 0, 700, family, *parameters)[0]
    want = slow.split_stats(want, family, 5, 6)
    # Rounding of z (relative to its size) shows as an error of the same size in z - mean.
    eps = 100 * np.finfo(float).eps * spread
    for name in ("resp_sum", "first", "second"):
        np.testing.assert_allclose(got[name], want[name], rtol=eps, atol=700 * eps, err_msg=name)


@pytest.mark.parametrize("family", ["full", "diag"])
def test_skipping_negligible_rows_changes_nothing(ctx, family):
    """Overlap from everything to nothing: skipped or not, the sums agree to 1e-15 per unit."""
    data, *parameters = problem(family, 3000, 8, 6, spread=6.0, weighted=False)
    want = slow.mixture_sweep(data, 0, 3000, family, *parameters)
    got = sweep(ctx, data, family, *parameters)
    a, b = (slow.split_stats(s[0], family, 6, 8) for s in (got, want))
    for name in ("first", "second"):
        assert np.max(np.abs(a[name] - b[name])) <= 1e-15 * 3000 * np.max(np.abs(data.x)) ** 2


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("family", FAMILIES)
def test_dropped_component_gets_nothing(ctx, family, dtype):
    data, offset, means, factors = problem(family, 100, 3, 4)
    data = data._replace(x=data.x.astype(dtype))
    offset[0, 2] = -np.inf
    got = slow.split_stats(sweep(ctx, data, family, offset, means, factors)[0], family, 4, 3)
    assert got["resp_sum"][2] == 0
    assert np.all(got["first"][2] == 0)
    assert np.isfinite(got["log_likelihood"])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("dtype", "far"),
    [(np.float64, far) for far in (1e3, 1e20, 1e130, 1e160)]
    + [(np.float32, far) for far in (1e3, 1e11, 1e20, 1e37)],
)
def test_outlier_stays_finite(ctx, family, far, dtype):
    data, offset, means, factors = problem(family, 100, 3, 4)
    x = data.x.astype(dtype)
    x[13] = far
    data = data._replace(x=x, weight=None)
    got = sweep(ctx, data, family, offset, means, factors)[0]
    stats = slow.split_stats(got, family, 4, 3)
    assert np.isfinite(stats["log_likelihood"])
    np.testing.assert_allclose(stats["resp_sum"].sum(), 100, rtol=1e-5)
    if far < 1e150:
        assert np.all(np.isfinite(got))


@pytest.mark.parametrize("family", FAMILIES)
def test_lost_row_goes_to_the_first_living_component(ctx, family):
    data, offset, means, factors = problem(family, 20, 3, 4, weighted=False)
    data.x[7] = 1e170
    offset[0, 0] = -np.inf
    log_prob, resp, labels = rows_of(ctx, data, family, offset[0], means[0], factors[0])
    np.testing.assert_array_equal(resp[7], [0, 1, 0, 0])
    assert labels[7] == 1
    assert log_prob[7] < -1e299


def rows_of(ctx, data, family, offset, means, factors, *, accurate=False, log_resp=False, start=0):
    m, k = len(data.x) - start, len(means)
    log_prob, resp, labels = np.empty(m), np.empty((m, k)), np.empty(m, np.int64)
    native.mixture_rows(
        ctx,
        native_rows(data),
        start,
        len(data.x),
        family,
        offset,
        means,
        factors,
        accurate,
        log_prob,
        resp,
        labels,
        log_resp,
    )
    return log_prob, resp, labels


@pytest.mark.parametrize(
    ("dtype", "far"),
    [*((np.float32, far) for far in (1e2, 1e4, 1e9)), (np.float64, 1e6), (np.float64, 1e200)],
)
@pytest.mark.parametrize("family", FAMILIES)
def test_log_responsibilities_of_far_rows_add_up(ctx, family, dtype, far):
    data, *parameters = problem(family, 70, 3, 4, weighted=False)
    log_offset, means, factors = (p[0] for p in parameters)
    x = data.x.astype(dtype)
    x[::3] *= far
    log_resp, resp = np.empty((70, 4)), np.empty((70, 4))
    rows = native_rows(data._replace(x=x))
    for out, logarithms in ((log_resp, True), (resp, False)):
        native.mixture_rows(
            ctx, rows, 0, 70, family, log_offset, means, factors, False, None, out, None, logarithms
        )
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(np.exp(log_resp).sum(axis=1), 1.0, rtol=20 * eps)
    np.testing.assert_allclose(np.exp(log_resp), resp, atol=20 * eps)


def test_float32_sweep_with_a_very_wide_sphere(ctx):
    """The square of the factor is below the smallest float32."""
    data, log_offset, means, _ = problem("spherical", 50, 3, 2)
    data = data._replace(x=data.x.astype(np.float32))
    got = sweep(ctx, data, "spherical", log_offset, means, np.full((1, 2), 1e-25))
    want = slow.mixture_sweep(data, 0, 50, "spherical", log_offset, means, np.full((1, 2), 1e-25))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (61, 2, 5), (333, 13, 5), (LEAF + 9, 3, 2)])
@pytest.mark.parametrize(("dtype", "eps"), [(np.float64, 1e-13), (np.float32, 2e-5)])
def test_rows(ctx, family, n, d, k, dtype, eps):
    data, offset, means, factors = problem(family, n, d, k)
    data = data._replace(x=data.x.astype(dtype))
    start = n // 3
    arguments = (data, family, offset[0], means[0], factors[0])
    want = slow.mixture_rows(data, start, n, family, offset[0], means[0], factors[0])
    log_prob, resp, labels = rows_of(ctx, *arguments, start=start)
    np.testing.assert_allclose(log_prob, want[0], rtol=eps, atol=eps * d)
    np.testing.assert_allclose(resp, want[1], atol=20 * eps * d)
    np.testing.assert_array_equal(labels, resp.argmax(axis=1))
    log_resp = rows_of(ctx, *arguments, start=start, log_resp=True)[1]
    np.testing.assert_allclose(np.exp(log_resp), resp, atol=20 * eps * d)
    exact = rows_of(ctx, *arguments, start=start, accurate=True)
    np.testing.assert_allclose(exact[0], want[0], rtol=1e-13, atol=1e-13 * d)


SOURCES = ["nearest", "labels", "given", "random"]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize(("n", "d", "k"), [(1, 1, 1), (97, 2, 5), (333, 13, 7), (LEAF + 9, 5, 3)])
@pytest.mark.parametrize(("dtype", "eps"), [(np.float64, 1e-14), (np.float32, 1e-6)])
def test_assign(ctx, family, source, n, d, k, dtype, eps):
    data, _, means, _ = problem(family, n, d, k, candidates=2)
    data = data._replace(x=data.x.astype(dtype))
    rng = np.random.default_rng(n)
    given = {
        "labels": rng.integers(-1, k, size=n).astype(np.int32),
        "responsibilities": rng.dirichlet(np.ones(k), size=n)[:, ::-1],
        "seeds": np.array([3, 2**63 + 11], np.uint64),
    }
    takes = {"labels": "labels", "given": "responsibilities", "random": "seeds"}
    extra = {name: given[name] for name in [takes.get(source)] if name}
    want = slow.assign_sweep(data, 0, n, family, source, means, **extra)
    got = np.empty_like(want)
    inputs = {"labels": None, "responsibilities": None, "seeds": None, **extra}
    native.assign_sweep(
        ctx, native_rows(data), 0, n, family, source, means, accurate=False, out=got, **inputs
    )
    assert_stats(got, want, data, family, means, eps * np.sqrt(d))
