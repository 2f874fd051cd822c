"""The k-means sweep and greedy k-means++ against plain numpy, at every level."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import LAYOUTS, rows_in

from pyestim import _native

EPS = {"float64": np.finfo(np.float64).eps, "float32": np.finfo(np.float32).eps}
LEVELS = _native.available_levels()


@pytest.fixture(scope="module", params=LEVELS)
def level(request):
    return request.param


def sweep(level, rows, centres, *, stop, start=0, accurate=False, n_threads=1):
    n_candidates, k, d = centres.shape
    out = np.full((n_candidates, 2 + k + k * d), np.nan)
    context = _native.Context(level, n_threads)
    _native.kmeans_sweep(context, rows, start, stop, centres, accurate, out)
    return out


def distances(z, centres):
    return np.sum((z[:, None, :] - centres) ** 2, axis=2)


def slow_sweep(z, weight, centres):
    """Inertia, weight, counts, first: the specification, one candidate."""
    distance = distances(z, centres)
    nearest = distance.argmin(axis=1)  # the first of equals
    counts, first = np.zeros(len(centres)), np.zeros_like(centres)
    np.add.at(counts, nearest, weight)
    np.add.at(first, nearest, weight[:, None] * (z - centres[nearest]))
    return np.concatenate([[weight @ distance.min(axis=1), weight.sum()], counts, first.ravel()])


def blobs(rng, n, d, k, dtype, spread=6.0):
    """Rows near well separated centres, so that rounding cannot change the nearest one."""
    centres = spread * rng.permutation(np.arange(k))[:, None] + rng.uniform(-1, 1, size=(k, d))
    x = centres[rng.integers(k, size=n)] + rng.normal(size=(n, d)).clip(-2, 2)
    return x.astype(dtype), centres


SHAPES = [
    (1, 1, 1),
    (2, 2, 1),
    (5, 3, 7),
    (13, 1, 4),
    (997, 2, 5),
    (500, 8, 16),
    (4097, 5, 3),
    (9001, 17, 9),
    (300, 40, 33),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("accurate", [False, True])
@pytest.mark.parametrize(("n", "d", "k"), SHAPES)
def test_against_numpy(level, n, d, k, dtype, accurate):
    rng = np.random.default_rng([n, d, k])
    x, first_centres = blobs(rng, n, d, k, dtype)
    centres = np.stack([first_centres, first_centres[::-1] + 0.25, first_centres + 0.5])
    weight = rng.integers(0, 4, size=n).astype(float)
    rows = _native.Rows(x, weight, np.full(d, 0.75), np.full(d, 0.5))
    z, centres = (x.astype(np.float64) - 0.75) * 0.5, (centres - 0.75) * 0.5
    got = sweep(level, rows, centres, stop=n, accurate=accurate)
    want = np.array([slow_sweep(z, weight, c) for c in centres])
    eps = EPS["float64" if accurate else dtype]
    # One rounding of each z, which is at most `largest`, and the additions of n terms.
    largest = 1 + np.abs(z).max()
    np.testing.assert_allclose(
        got, want, rtol=0, atol=8 * eps * largest * (weight.sum() + 1) * np.sqrt(d)
    )
    np.testing.assert_array_equal(got[:, 1 : 2 + k], want[:, 1 : 2 + k])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("n", "d"), [(37, 3), (600, 8), (450, 5), (4500, 2)])
def test_layout_does_not_matter(level, n, d, layout, dtype):
    rng = np.random.default_rng(n)
    x, centres = blobs(rng, n, d, 4, dtype)
    plain = _native.Rows(np.ascontiguousarray(x), None, np.zeros(d), np.ones(d))
    other = _native.Rows(rows_in(layout, x), None, np.zeros(d), np.ones(d))
    want = sweep(level, plain, centres[None], stop=n)
    np.testing.assert_array_equal(sweep(level, other, centres[None], stop=n), want)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ties_go_to_the_lowest(level, dtype):
    # Integers, so that both distances are exactly equal; duplicated centres beside them.
    x = np.array([[0.0, 0.0], [0.0, 2.0], [1.0, -3.0]], dtype=dtype)
    rows = _native.Rows(np.repeat(x, 30, axis=0), None, np.zeros(2), np.ones(2))
    centres = np.array([[[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [0.0, 2.0], [0.0, 2.0]]])
    counts = sweep(level, rows, centres, stop=90)[0, 2:7]
    np.testing.assert_array_equal(counts, [60, 0, 0, 30, 0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_absent_rows_do_not_count(level, dtype):
    rng = np.random.default_rng(1)
    x, centres = blobs(rng, 700, 3, 4, dtype)
    weight = (rng.uniform(size=700) < 0.5).astype(float)
    present = x[weight > 0]
    spoiled = np.where(weight[:, None] > 0, x, dtype_max(dtype) / 1e30)
    n = len(present)
    rows = [
        _native.Rows(spoiled.astype(dtype), weight, np.zeros(3), np.ones(3)),
        _native.Rows(present, None, np.zeros(3), np.ones(3)),
    ]
    got, want = (
        sweep(level, r, centres[None], stop=m) for r, m in zip(rows, (700, n), strict=True)
    )
    np.testing.assert_allclose(got, want, rtol=0, atol=100 * n * EPS["float64"] * 30**2)


def dtype_max(dtype):
    return float(np.finfo(dtype).max)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_bits_do_not_depend_on_threads(level, dtype):
    rng = np.random.default_rng(2)
    x, centres = blobs(rng, 60_001, 4, 5, dtype)
    rows = _native.Rows(x, rng.uniform(size=len(x)), np.zeros(4), np.ones(4))
    both = np.stack([centres, centres + 0.3])
    alone = sweep(level, rows, both, stop=len(x))
    for n_threads in (2, 3, 7):
        got = sweep(level, rows, both, stop=len(x), n_threads=n_threads)
        np.testing.assert_array_equal(got, alone)
    # Candidates do not meet each other.
    np.testing.assert_array_equal(sweep(level, rows, both[1:], stop=len(x))[0], alone[1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_centred_far_from_the_origin(level, dtype):
    # Tight clusters 1e5 standard deviations from the origin of the working coordinates: sums about
    # the centres keep their digits, up to the rounding of the rows themselves.
    rng = np.random.default_rng(3)
    offset = 1e5 if dtype == "float64" else 1e3
    x = (offset + rng.normal(size=(5000, 2))).astype(dtype)
    centres = offset + np.array([[[-1.0, 0.0], [1.0, 0.0]]])
    rows = _native.Rows(x, None, np.zeros(2), np.ones(2))
    got = sweep(level, rows, centres, stop=5000)[0]
    z = x.astype(np.float64)
    # Rows within the rounding of the middle may go to either side: compare what both sides share.
    np.testing.assert_allclose(got[0], distances(z, centres[0]).min(axis=1).sum(), rtol=1e-6)
    first, counts = got[4:].reshape(2, 2), got[2:4]
    total = (first + counts[:, None] * (centres[0] - offset)).sum(axis=0)
    np.testing.assert_allclose(total, (z - offset).sum(axis=0), rtol=0, atol=1e-8)


def test_float32_rows_beyond_its_squares(level):
    # Squares of 1e25 overflow float32: such leaves are done in float64.
    x = np.array([[1e25, 0.0], [-1e25, 0.0], [1.0, 2.0]], dtype=np.float32)
    rows = _native.Rows(x, None, np.zeros(2), np.ones(2))
    centres = np.array([[[0.0, 0.0], [9e24, 0.0], [-9e24, 0.0]]])
    z = x.astype(np.float64)
    want = slow_sweep(z, np.ones(3), centres[0])
    np.testing.assert_allclose(sweep(level, rows, centres, stop=3)[0], want, rtol=1e-14)


def test_range_of_rows(level):
    rng = np.random.default_rng(4)
    x, centres = blobs(rng, 9000, 3, 4, "float64")
    rows = _native.Rows(x, None, np.zeros(3), np.ones(3))
    got = sweep(level, rows, centres[None], start=4000, stop=8321)[0]
    want = slow_sweep(x[4000:8321], np.ones(4321), centres)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(sweep(level, rows, centres[None], start=7, stop=7), 0)


def slow_plusplus(z, weight, n_clusters, uniforms):
    """Greedy k-means++ by the book, with the draws that the kernel uses: inverse of the cdf."""

    def drawn(mass, uniform):
        cumulated = np.cumsum(mass)
        return min(np.searchsorted(cumulated, uniform * cumulated[-1], side="right"), len(z) - 1)

    chosen = [drawn(weight, uniforms[0, 0])]
    closest = distances(z, z[chosen])[:, 0]
    for k in range(1, n_clusters):
        trials = [drawn(weight * closest, u) for u in uniforms[k]]
        tried = np.minimum(closest[:, None], distances(z, z[trials]))
        best = (weight @ tried).argmin()
        chosen.append(trials[best])
        closest = tried[:, best]
    return np.array(chosen)


def plusplus(level, z, weight, n_clusters, uniforms, n_threads=1):
    chosen = np.full(uniforms.shape[:2], -1, dtype=np.int64)
    context = _native.Context(level, n_threads)
    _native.kmeans_plusplus(context, z, weight, n_clusters, uniforms, chosen)
    return chosen


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_trials", [1, 2, 4, 5])
@pytest.mark.parametrize(
    ("m", "d", "k"), [(1, 1, 1), (7, 2, 3), (100, 2, 8), (1000, 5, 16), (2345, 9, 4), (129, 30, 12)]
)
def test_plusplus_against_numpy(level, m, d, k, n_trials, weighted):
    rng = np.random.default_rng([m, d, k, n_trials])
    z = rng.normal(size=(m, d))
    weight = rng.integers(0, 3, size=m) + 0.5 * (np.arange(m) == m - 1) if weighted else np.ones(m)
    uniforms = rng.uniform(size=(3, k, n_trials))
    got = plusplus(level, z, weight.astype(float) if weighted else None, k, uniforms)
    want = [slow_plusplus(z, weight, k, u) for u in uniforms]
    np.testing.assert_array_equal(got, want)


def test_plusplus_never_draws_an_absent_row(level):
    rng = np.random.default_rng(8)
    z, weight = rng.normal(size=(200, 2)), (rng.uniform(size=200) < 0.3).astype(float)
    edges = np.array([0.0, np.nextafter(1, 0)])[rng.integers(2, size=(40, 6, 3))]
    assert (weight[plusplus(level, z, weight, 6, edges)] > 0).all()


def test_plusplus_with_fewer_distinct_rows_than_clusters(level):
    z = np.repeat([[0.0, 1.0], [2.0, 3.0]], 4, axis=0)
    weight = np.array([0.0, 1, 1, 1, 1, 1, 1, 1])
    uniforms = np.random.default_rng(9).uniform(size=(20, 7, 3))
    for row in plusplus(level, z, weight, 7, uniforms):
        assert sorted(row) == [1, 2, 3, 4, 5, 6, 7]
        assert (z[row[0]] != z[row[1]]).any()  # the distinct ones come first
    # When no row of positive weight is left, absent ones serve.
    assert sorted(plusplus(level, z, weight, 8, np.full((1, 8, 1), 0.5))[0]) == list(range(8))


def test_plusplus_bits_do_not_depend_on_threads(level):
    rng = np.random.default_rng(10)
    z, uniforms = rng.normal(size=(3000, 4)), rng.uniform(size=(9, 6, 3))
    alone = plusplus(level, z, None, 6, uniforms)
    for n_threads in (2, 3, 7):
        np.testing.assert_array_equal(plusplus(level, z, None, 6, uniforms, n_threads), alone)
