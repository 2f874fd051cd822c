"""Precision factors of covariance batches: every level, and both sides of the change to LAPACK."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim import _core, _native

EPS = np.finfo(np.float64).eps


@pytest.fixture(scope="module", params=_native.available_levels())
def context(request):
    made = _native.Context(request.param, 2)
    capsules = _core._blas_capsules()
    if capsules is not None:
        made.bind_blas(capsules, "scipy")
    return made


def factorise(context, cov):
    factor, log_det = np.full_like(cov, np.nan), np.full(len(cov), np.nan)
    status = _native.factorise(context, cov, factor, log_det)
    return factor, log_det, status


def covariances(rng, batch, d, spread=1.0):
    a = rng.normal(size=(batch, d, d))
    scale = 10.0 ** rng.uniform(-spread, spread, size=(batch, d))
    cov = a @ a.transpose(0, 2, 1) + 0.1 * d * np.eye(d)
    return cov * scale[:, :, None] * scale[:, None, :]


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 31, 64, 65, 111, 112, 191, 192, 201])
def test_whitens_and_log_det(context, d):
    cov = covariances(np.random.default_rng(d), 3, d)
    factor, log_det, status = factorise(context, cov)
    assert (status == 0).all()
    assert (np.triu(factor, 1) == 0).all()
    white = factor @ cov @ factor.transpose(0, 2, 1)
    # Backward error of both steps, d eps each, times the condition of the scaled matrix.
    unit = np.sqrt(np.einsum("bii->bi", cov))
    condition = np.linalg.cond(cov / unit[:, :, None] / unit[:, None, :]).max()
    np.testing.assert_allclose(
        white, np.broadcast_to(np.eye(d), white.shape), atol=20 * d * EPS * condition
    )
    sign, want = np.linalg.slogdet(cov)
    assert (sign > 0).all()
    np.testing.assert_allclose(log_det, -want / 2, rtol=0, atol=20 * d * EPS * condition)


@pytest.mark.parametrize("d", [1, 2, 5, 17, 100, 200])
def test_only_the_lower_triangle_is_read(context, d):
    cov = covariances(np.random.default_rng(d), 2, d)
    want = factorise(context, cov)
    spoiled = cov + np.triu(np.full((d, d), np.nan), 1)
    for got, expected in zip(factorise(context, spoiled), want, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("d", "order"), [(1, 1), (3, 1), (3, 3), (20, 7), (120, 1), (120, 77), (200, 1), (200, 200)]
)
@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_order_of_the_minor_that_fails(context, d, order, bad):
    cov = np.repeat(np.eye(d)[None], 3, axis=0)
    cov[1, order - 1, order - 1] = bad
    _, log_det, status = factorise(context, cov)
    np.testing.assert_array_equal(status, [0, order, 0])
    assert np.isnan(log_det[1])
    np.testing.assert_array_equal(log_det[[0, 2]], 0)


def test_infinite_entry_is_not_positive_definite(context):
    _, _, status = factorise(context, np.array([[[np.inf, 0.0], [0.0, 1.0]]]))
    assert status[0] == 1


def test_extreme_scales(context):
    cov = np.array([[[1e-280, 0.0], [0.0, 1e280]]])
    factor, log_det, status = factorise(context, cov)
    assert status[0] == 0
    np.testing.assert_allclose(factor[0], np.diag([1e140, 1e-140]), rtol=4 * EPS)
    np.testing.assert_allclose(log_det, 0, atol=1e-12)


@pytest.mark.parametrize("d", [2, 16])
def test_bits_do_not_depend_on_threads(d):
    cov = covariances(np.random.default_rng(d), 500, d)
    want = factorise(_native.Context(None, 1), cov)
    for n_threads in (2, 3, 7):
        for got, expected in zip(
            factorise(_native.Context(None, n_threads), cov), want, strict=True
        ):
            np.testing.assert_array_equal(got, expected)
