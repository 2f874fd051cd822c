"""Design against plain numpy: every layout, dtype and sparse form."""

from __future__ import annotations

import numpy as np
import pytest
from layouts import LAYOUTS, rows_in
from reference.slow_lasso import standardised
from scipy import sparse

from pyestim import _native, set_num_threads
from pyestim.data import Design

EPS = np.finfo(np.float64).eps
SPARSE = ("csc", "csc64", "csr", "coo")
SHAPES = [(1, 1), (1, 4), (2, 3), (13, 5), (130, 23), (1027, 9), (5000, 3)]


@pytest.fixture(params=[1, 2, 7])
def n_threads(request):
    set_num_threads(request.param)
    yield request.param
    set_num_threads(None)


def matrix(n, p, dtype, *, seed=0):
    """Half of the entries zero, an offset, and a constant column."""
    rng = np.random.default_rng(seed + 100 * n + p)
    x = rng.normal(size=(n, p)) * 3 + 40
    x[rng.uniform(size=(n, p)) < 0.5] = 0
    x[:, p // 2] = 0.1
    return x.astype(dtype)


def stored(form, x):
    if form not in SPARSE:
        return rows_in(form, x)
    made = sparse.coo_array(x).asformat(form[:3])
    if form == "csc64":
        made = sparse.csc_array(
            (made.data, made.indices.astype(np.int64), made.indptr.astype(np.int64)), made.shape
        )
    return made


def within(got, want, scale, n):
    """Rounding of each term and of the sums: both at most n errors, of the size of a term."""
    assert got.shape == want.shape
    assert np.all(np.abs(got - want) <= 8 * EPS * (n + 4) * scale)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", [*LAYOUTS, *SPARSE])
@pytest.mark.parametrize(("n", "p"), SHAPES)
def test_against_numpy(form, n, p, dtype):
    x = matrix(n, p, dtype)
    rng = np.random.default_rng(n + p)
    weight = rng.integers(0, 3, size=n).astype(float) + (np.arange(n) == 0)
    for centre, scale in ((True, True), (True, False), (False, True), (False, False)):
        design = Design(stored(form, x), weight, centre=centre, scale=scale)
        columns, mean, sd = standardised(x, weight, centre=centre, scale=scale)
        within(design.mean, mean, 50, n)
        assert np.array_equal(design.sd == 0, sd == 0)
        # A small spread keeps fewer digits of the numbers near 40.
        loss = 50 / np.where(sd > 0, sd, 50).min()
        within(design.sd, sd, 50 * loss, n)
        check_products(design, columns, 50 * loss, rng)


def check_products(design, columns, size, rng):
    n, p = columns.shape
    chosen = rng.permutation(p)[: max(1, p // 2)]
    r, R = rng.normal(size=n), rng.normal(size=(n, 5))
    d = rng.uniform(size=n)
    within(design.dot(r), columns.T @ r, 4 * size, n)
    within(design.dot(R), columns.T @ R, 4 * size, n)
    within(design.dot(r, chosen), columns[:, chosen].T @ r, 4 * size, n)
    within(design.dot(R, chosen), columns[:, chosen].T @ R, 4 * size, n)
    within(design.column_squares(d), d @ columns**2, size**2, n)
    within(design.column_squares(d, chosen), d @ columns[:, chosen] ** 2, size**2, n)
    beta, B = rng.normal(size=p), rng.normal(size=(p, 3))
    beta[::3] = 0
    within(design.times(beta), columns @ beta, 4 * size, p)
    within(design.times(B), columns @ B, 4 * size, p)
    within(design.times(beta[chosen], chosen), columns[:, chosen] @ beta[chosen], 4 * size, p)
    weighted = d[:, None] * columns
    within(design.gram(d, chosen), columns[:, chosen].T @ weighted[:, chosen], size**2, n)
    everything = np.arange(p)
    within(design.gram(d, chosen, everything), columns[:, chosen].T @ weighted, size**2, n)
    symmetric = design.gram(d, everything)
    assert np.array_equal(symmetric, symmetric.T)


@pytest.mark.parametrize("form", ["C", "F", "every second", "csc"])
@pytest.mark.parametrize(("n", "p"), [(9000, 40), (300, 1500)])
def test_large_enough_for_parts_and_threads(form, n, p, n_threads):
    x = matrix(n, p, "float64")
    design = Design(stored(form, x), scale=True)
    columns, _, sd = standardised(x, scale=True)
    rng = np.random.default_rng(n)
    check_products(design, columns, 50 * 50 / sd[sd > 0].min(), rng)
    # The same bits as one thread has.
    r, beta = rng.normal(size=(n, 4)), rng.normal(size=p)
    got = design.dot(r), design.times(beta), design.gram(design.weight, np.arange(40))
    set_num_threads(1)
    one = design.dot(r), design.times(beta), design.gram(design.weight, np.arange(40))
    for a, b in zip(got, one, strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("level", _native.available_levels())
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("form", ["C", "F", "reversed", "csc", "csc64"])
def test_every_level(level, form, dtype):
    x = matrix(41, 11, dtype)
    design = Design(stored(form, x), scale=True)
    columns, _, sd = standardised(x, scale=True)
    context = _native.Context(level, 2)
    size = 50 * 50 / sd[sd > 0].min()
    r = np.random.default_rng(0).normal(size=(4, 41))
    out = np.empty((4, 11))
    _native.column_dots(context, design.columns, r, None, out)
    within(out, r @ columns, 4 * size, 41)
    _native.column_times(context, design.columns, out, None, back := np.empty((4, 41)))
    within(back, out @ columns.T, size * np.abs(out).max(), 41)
    chosen = np.array([3, 0, 9, 7, 5])
    gram = np.empty((5, 5))
    _native.column_gram(context, design.columns, r[0] ** 2, chosen, None, gram)
    want = columns[:, chosen].T @ (r[0][:, None] ** 2 * columns[:, chosen])
    within(gram, want, 8 * size**2, 41)


@pytest.mark.parametrize("form", ["C", "F", "csc"])
@pytest.mark.parametrize("offset", [1.0, 1e4, 1e8])
def test_an_offset_costs_no_more_digits_than_it_must(form, offset):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(500, 4)) + offset
    design = Design(stored(form, x))
    exact = x - x.astype(np.longdouble).mean(axis=0)
    r = rng.normal(size=500)
    r -= r.mean()
    # Dense columns lose what rounding the mean loses; sparse ones are centred after the sum.
    loss = EPS * offset * (1 if form != "csc" else 500)
    assert np.abs(design.dot(r) - (exact.T @ r).astype(float)).max() <= 500 * (loss + 8 * EPS)
    assert np.abs(design.sd - np.sqrt((exact**2).mean(axis=0)).astype(float)).max() <= loss + 1e-13


@pytest.mark.parametrize("form", ["C", "F", "csc"])
def test_constant_columns_are_exactly_zero(form):
    x = np.full((1000, 3), 0.1)
    x[:, 1] = 1e6 / 3
    x[:, 2] = 0
    weight = np.random.default_rng(0).uniform(size=1000)
    design = Design(stored(form, x), weight, scale=True)
    assert np.array_equal(design.sd, np.zeros(3))
    assert np.array_equal(design.scale, np.ones(3))
    assert np.array_equal(design.dot(weight), np.zeros(3))
    assert np.array_equal(design.gram(weight, np.arange(3)), np.zeros((3, 3)))


def test_float32_entries_give_float64_sums():
    x = (np.random.default_rng(0).normal(size=(20_000, 3)) + 1000).astype(np.float32)
    columns, mean, sd = standardised(x)
    design = Design(x)
    within(design.mean, mean, 1000, 100)
    within(design.sd, sd, 1000, 100)
    r = np.random.default_rng(1).normal(size=20_000)
    within(design.dot(r), columns.T @ r, 1000, 1000)


@pytest.mark.parametrize("make", [np.zeros, lambda shape: sparse.csc_array(shape)])
def test_no_columns(make):
    design = Design(make((5, 0)))
    assert (design.n, design.p) == (5, 0)
    assert design.dot(np.ones(5)).shape == (0,)
    assert design.dot(np.ones((5, 2))).shape == (0, 2)
    assert np.array_equal(design.times(np.zeros(0)), np.zeros(5))
    nothing = np.zeros(0, np.int64)
    assert design.gram(np.ones(5), nothing).shape == (0, 0)
    assert design.column_squares(np.ones(5)).shape == (0,)


def test_no_column_is_chosen():
    design = Design(np.random.default_rng(0).normal(size=(5, 3)))
    nothing = np.zeros(0, np.int64)
    assert design.dot(np.ones(5), nothing).shape == (0,)
    assert np.array_equal(design.times(np.zeros(0), nothing), np.zeros(5))
    assert design.gram(np.ones(5), nothing, np.arange(3)).shape == (0, 3)
    assert np.array_equal(design.times(np.zeros(3)), np.zeros(5))


def test_nothing_is_copied():
    for x in (np.zeros((6, 4), order="F"), np.zeros((6, 4)), np.zeros((6, 4), np.float32)[::2]):
        x[:, 0] = np.arange(len(x))
        design = Design(x, centre=False)
        x[0, 1] = 5  # seen through the design
        assert design.dot(np.eye(len(x))[0])[1] == 5
    x = sparse.csc_array(np.eye(4))
    design = Design(x, centre=False)
    x.data[2] = 7
    assert design.dot(np.ones(4))[2] == 7


def test_a_matrix_of_integers_and_one_of_the_other_byte_order():
    x = np.arange(12).reshape(4, 3) ** 2
    want = Design(x.astype(float)).dot(np.arange(4.0))
    for other in (x, x.astype(">f8"), x.astype(np.int8), sparse.csc_array(x)):
        np.testing.assert_allclose(Design(other).dot(np.arange(4.0)), want, rtol=1e-14, atol=1e-13)


def test_duplicate_entries_add_up_and_the_matrix_is_left_alone():
    x = sparse.csc_array(
        (np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(3, 1)
    )
    design = Design(x, centre=False)
    assert design.column_squares(np.ones(3))[0] == 25
    assert x.nnz == 3


BAD = [
    (np.array([[1.0, np.nan], [0, 1]]), None, "X must be finite .* column 1"),
    (np.array([[np.inf, 1], [0, 1.0]]), None, "X must be finite .* column 0"),
    (np.array([[1e200, 1], [-1e200, 1.0]]), None, "X must be finite .* column 0"),
    (np.zeros((0, 3)), None, "at least one row"),
    (np.zeros(3), None, "two axes"),
    (np.zeros((3, 2)), np.ones(2), r"weight must have shape \(3,\), got \(2,\)"),
    (np.zeros((3, 2)), -np.ones(3), "weight must be finite, not negative"),
    (np.zeros((3, 2)), np.zeros(3), "not all zero"),
    (np.zeros((3, 2)), np.array([1, np.nan, 1]), "weight must be finite"),
]


@pytest.mark.parametrize(("x", "weight", "sentence"), BAD)
def test_bad_input(x, weight, sentence):
    with pytest.raises(ValueError, match=f"Design: .*{sentence}"), np.errstate(over="ignore"):
        Design(x, weight)


def test_columns_that_do_not_exist():
    design = Design(np.zeros((4, 3)))
    for bad in ([3], [-1], [2**40]):
        with pytest.raises(ValueError, match=r"columns must lie within 0\.\.2, got"):
            design.dot(np.ones(4), bad)
    with pytest.raises(ValueError, match="vectors must have shape"):
        design.dot(np.ones(5))


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_rows_and_starts_outside_the_matrix_are_refused(index):
    def columns(rows, starts, n=3):
        p = len(starts) - 1
        return _native.Columns(
            np.ones(len(rows)),
            np.array(rows, index),
            np.array(starts, index),
            n,
            np.zeros(p),
            np.ones(p),
        )

    assert columns([0, 2], [0, 1, 2]).shape == (3, 2)
    for rows in ([0, 3], [-1, 0], [0, np.iinfo(index).max]):
        with pytest.raises(ValueError, match=r"entry_row must lie within 0\.\.2"):
            columns(rows, [0, 1, 2])
    for starts in ([1, 1, 2], [0, 2, 1], [0, 1, 3], [0, -1, 2], [0, np.iinfo(index).max, 2]):
        with pytest.raises(ValueError, match="starts must rise from 0 to at most 2"):
            columns([0, 2], starts)
    with pytest.raises(ValueError, match="n must not be negative"):
        columns([], [0], n=-1)


@pytest.mark.once
@pytest.mark.parametrize("scale", [True, False])
def test_selected_columns_are_those_of_the_matrix(scale):
    rng = np.random.default_rng(1)
    x = sparse.csc_array(np.where(rng.random((60, 40)) < 0.2, rng.normal(size=(60, 40)), 0))
    design, chosen = Design(x, rng.uniform(size=60), scale=scale), rng.permutation(40)[:17]
    own, r, beta = design.select(chosen), rng.normal(size=60), rng.normal(size=17)
    assert own.p == 17
    assert np.array_equal(own.dot(r), design.dot(r, chosen))
    np.testing.assert_allclose(own.times(beta), design.times(beta, chosen), rtol=1e-13, atol=1e-14)
    assert np.array_equal(own.sd, design.sd[chosen])
    assert np.array_equal(own.squares, design.squares[chosen])


@pytest.mark.parametrize("form", ["F", "C", "every second"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_gram_of_many_rows(form, dtype):
    x = matrix(8200, 23, dtype)  # the last columns and rows fill no vector
    design, d = Design(stored(form, x)), np.random.default_rng(2).uniform(size=8200)
    d[5] = 0.0
    for columns in (np.arange(23), np.arange(23)[::-2]):
        centred = x[:, columns] - design.mean[columns]
        want = centred.T @ (d[:, None] * centred)
        within(design.gram(d, columns), want, 100, 8200)
    # A negative weight has no root: the same numbers by the other way.
    d[7] = -1.0
    centred = x - design.mean
    within(design.gram(d, np.arange(23)), centred.T @ (d[:, None] * centred), 100, 8200)
