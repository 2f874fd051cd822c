"""Rows in working coordinates: what they are, what they do not depend on, what is refused."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest

from pyestim.data import ArraySource
from pyestim.data.source import LEAF_ROWS, SUBSAMPLE_ROWS


def rows(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)) * [1.0, 1e-3, 500.0] + [0.0, 7.0, -2e4]


def same_coordinates(a, b, **tolerance):
    for name in ("centre", "scale", "floor_sd", "column_mean", "column_sd"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), **tolerance)


def test_working_coordinates_are_near_standard():
    X = rows()
    source = ArraySource(X)
    z, weight = source.take(np.arange(len(X)))
    np.testing.assert_array_equal(z, (X - source.centre) * source.scale)
    np.testing.assert_array_equal(weight, 1.0)
    assert np.all(np.abs(np.median(z, axis=0)) < 0.1)
    assert np.all((z.std(axis=0) > 0.6) & (z.std(axis=0) < 1.6))
    mantissa, _ = np.frexp(source.scale)
    np.testing.assert_array_equal(mantissa, 0.5)  # powers of two
    assert source.log_jacobian == pytest.approx(np.log(source.scale).sum())


def test_moments_of_all_rows():
    X = rows(3 * LEAF_ROWS + 17)
    weight = np.random.default_rng(1).uniform(0, 2, len(X))
    source = ArraySource(X, weight)
    z = (X - source.centre) * source.scale
    assert source.weight_sum == pytest.approx(weight.sum(), rel=1e-13)
    mean = np.average(z, axis=0, weights=weight)
    np.testing.assert_allclose(source.column_mean, mean, atol=1e-13)
    sd = np.sqrt(np.average((z - mean) ** 2, axis=0, weights=weight))
    np.testing.assert_allclose(source.column_sd, sd, rtol=1e-12)


def test_nothing_moves_when_the_origin_does():
    # Shifts that are exact: X has few digits.
    X = np.round(rows() * 64) / 64
    here, there = ArraySource(X), ArraySource(X + 2.0**26)
    np.testing.assert_array_equal(here.scale, there.scale)
    np.testing.assert_array_equal(here.centre + 2.0**26, there.centre)
    z = [source.take(np.arange(50))[0] for source in (here, there)]
    np.testing.assert_array_equal(*z)


@pytest.mark.parametrize("unit", [2.0**-300, 2.0**-40, 2.0**300])
def test_unit_of_the_data_is_immaterial(unit):
    X = rows()
    here, there = ArraySource(X), ArraySource(X * unit)
    np.testing.assert_array_equal(here.scale, there.scale * unit)
    np.testing.assert_array_equal(here.floor_sd, there.floor_sd)


def test_one_scale_for_models_that_compare_columns():
    source = ArraySource(rows(), isotropic=True)
    assert len(set(source.scale)) == 1
    assert source.floor_sd[1] < 1e-4 < source.floor_sd[2]


def test_floor_follows_the_robust_spread_where_that_is_smaller():
    X = np.random.default_rng(0).standard_cauchy((2000, 1))
    source = ArraySource(X)
    assert source.floor_sd[0] < 3.0 < source.column_sd[0]


# -- weights ---------------------------------------------------------------------------------------


def test_integer_weights_are_repeated_rows():
    X = rows(700)
    times = np.random.default_rng(2).integers(0, 4, len(X))
    counted = ArraySource(X, times.astype(float))
    same_coordinates(counted, ArraySource(np.repeat(X, times, axis=0)), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("n", [500, 3 * SUBSAMPLE_ROWS])
def test_rows_of_weight_zero_are_absent(n):
    X = rows(n)
    weight = np.ones(n)
    weight[::3] = 0.0
    there = X.copy()
    there[::3] = 1e200  # would be refused
    same_coordinates(ArraySource(there, weight), ArraySource(X[weight > 0]), rtol=1e-12, atol=1e-13)
    source = ArraySource(X, weight)
    assert source.n_effective == np.count_nonzero(weight)
    assert np.all(source.spread_indices(50) % 3)


def test_factor_of_all_weights_is_immaterial():
    X, weight = rows(), np.random.default_rng(3).uniform(0.5, 2, 1000)
    same_coordinates(ArraySource(X, weight), ArraySource(X, weight * 1e-6), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(4), "zero for every row"),
        (np.array([1.0, -1.0, 1.0, 1.0]), "must not be negative"),
        (np.array([1.0, np.nan, 1.0, 1.0]), "must be finite"),
        (np.ones(3), r"shape \(4,\)"),
    ],
)
def test_bad_weights(weight, message):
    with pytest.raises(ValueError, match=message):
        ArraySource(np.arange(8.0).reshape(4, 2), weight)


# -- columns that hardly vary, or too much ---------------------------------------------------------


def test_constant_columns_have_their_own_unit():
    X = rows()
    X[:, 1] = 3.25
    source = ArraySource(X)
    np.testing.assert_array_equal(source.constant, [False, True, False])
    assert source.scale[1] == source.floor_sd[1] == 1.0


def test_a_column_that_varies_outside_the_subsample_only():
    X = rows(5 * SUBSAMPLE_ROWS)
    X[:, 1] = 3.0
    X[1, 1] = 1e5  # rows are taken at equal distances: not this one
    source = ArraySource(X)
    assert not source.constant[1]
    assert 0.5 < source.column_sd[1] < 2.0
    assert np.isfinite(source.floor_sd).all() and (source.floor_sd > 0).all()


def test_more_than_half_of_a_column_equal():
    X = rows()
    X[: len(X) * 4 // 5, 1] = 3.0
    source = ArraySource(X)
    assert 0.2 < source.column_sd[1] < 5.0


@pytest.mark.parametrize("size", [1e-200, 1e145, 1e300])
def test_spans_that_squares_cannot_hold_are_refused(size):
    X = rows()
    X[:, 2] = np.linspace(0, 1, len(X)) * size
    with pytest.raises(ValueError, match=r"me: column 2 spans .* Rescale the column"):
        ArraySource(X, owner="me")


def test_a_far_outlier_is_refused_only_where_it_overflows():
    X = rows()
    X[5, 0] = 1e100
    assert np.isfinite(ArraySource(X).column_sd).all()


def test_one_row():
    source = ArraySource(np.array([[1.0, 2.0]]))
    assert source.constant.all() and source.weight_sum == 1.0


# -- layouts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda X: X[::-1][::-1],
        lambda X: np.flip(np.ascontiguousarray(np.flip(X))),
        lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    ],
)
def test_strides(layout):
    X = rows(3 * LEAF_ROWS)
    same_coordinates(ArraySource(X), ArraySource(layout(X)), rtol=0)


def test_read_only():
    X = rows()
    X.flags.writeable = False
    assert ArraySource(X).n_rows == 1000


def test_mapped_rows_are_not_loaded(tmp_path):
    n = 400_000
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).normal(size=(n, 4)).astype(np.float32))
    X = np.load(path, mmap_mode="r")
    tracemalloc.start()
    try:
        source = ArraySource(X)
        source.take(source.spread_indices(100))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < X.nbytes / 8
    assert source.weight_sum == n


def test_chunks_cover_the_rows_in_order():
    n = 5 * LEAF_ROWS + 5
    source = ArraySource(rows(n), chunk_rows=2 * LEAF_ROWS)
    bounds = [(chunk.start, chunk.stop) for chunk in source.chunks()]
    assert bounds[0][0] == 0 and bounds[-1][1] == n
    assert all(a[1] == b[0] for a, b in pairwise(bounds))
    assert all((b - a) == 2 * LEAF_ROWS for a, b in bounds[:-1])


@pytest.mark.parametrize("chunk_rows", [0, 100, LEAF_ROWS + 1])
def test_chunks_that_cut_leaves_are_refused(chunk_rows):
    with pytest.raises(ValueError, match="multiple of"):
        ArraySource(rows(), chunk_rows=chunk_rows)


def test_precision_of_the_arithmetic():
    X = rows().astype(np.float32)
    assert ArraySource(X).eps == np.finfo(np.float32).eps
    assert ArraySource(X, accurate=True).eps == np.finfo(np.float64).eps
    assert "float32" in ArraySource(X).backend
