"""How fits of truncated mixtures end: limits, floors, interruptions, the edge of doubles."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

from pyestim import TruncatedGaussianMixture
from pyestim.data.source import ArraySource

pytestmark = pytest.mark.once

LOWER, UPPER = -1.0, 2.5


@pytest.fixture(scope="module")
def X():
    """Two components, seen between `LOWER` and `UPPER`."""
    rng = np.random.default_rng(0)
    rows = np.concatenate([rng.normal(-1, 0.7, 900), rng.normal(1.5, 0.6, 1100)])
    return rows[(rows >= LOWER) & (rows <= UPPER), None]


def test_fits_on_the_edge_of_doubles_neither_fail_nor_leak_warnings(X):
    """Information that is infinite, weights and limits near the largest double, lost starts."""
    rows = np.concatenate([X[:200], np.full((50, 1), 0.7)])
    box = {"lower": LOWER, "upper": UPPER}
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        fits = [
            TruncatedGaussianMixture(4, on_degenerate="drop", random_state=0, **box).fit(rows),
            TruncatedGaussianMixture(**box).fit(X, sample_weight=np.full(len(X), 1e300)),
            TruncatedGaussianMixture(lower=-1e308, upper=1e308).fit(X),
            TruncatedGaussianMixture(max_iter=60, means_init=[[1e6]], **box).fit(X),
            TruncatedGaussianMixture(2, means_init=[[-1e100], [1.0]], **box).fit(X),
        ]
    plain = TruncatedGaussianMixture(**box).fit(X)
    np.testing.assert_allclose(fits[1].means_, plain.means_, rtol=1e-3)
    np.testing.assert_allclose(fits[2].means_[0], X.mean(axis=0), rtol=1e-6)
    for cut in fits:
        assert np.isfinite(cut.means_).all() and np.isfinite(cut.covariances_).all()


@pytest.mark.parametrize("max_iter", [1, 2, 5, 12, 13, 14, 15, 16, 17, 20])
def test_no_more_passes_than_allowed(X, max_iter):
    cut = TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, max_iter=max_iter, tol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        cut.fit(X)
    assert cut.n_iter_ <= max_iter
    assert (np.diff(cut.lower_bounds_) >= 0.0).all()


def test_a_fit_on_the_variance_floor_ends():
    """Newton's steps are cut short there: the EM algorithm takes over."""
    rng = np.random.default_rng(0)
    rows = np.column_stack([rng.normal(size=2000), np.ones(2000)])
    cut = TruncatedGaussianMixture(lower=-0.7, tol=1e-8, max_iter=200).fit(rows[rows[:, 0] > -0.7])
    assert cut.converged_
    assert cut.covariances_[0, 1, 1] == pytest.approx(1e-6, rel=1e-2)


@pytest.mark.parametrize("n_sweeps", [5, 15])
def test_interrupted_fits_keep_what_they_found(X, monkeypatch, n_sweeps):
    real, calls = ArraySource.chunks, []

    def chunks(source):
        calls.append(1)
        if len(calls) == n_sweeps:
            raise KeyboardInterrupt
        return real(source)

    monkeypatch.setattr(ArraySource, "chunks", chunks)
    with pytest.warns(ConvergenceWarning, match="Interrupted by the user"):
        cut = TruncatedGaussianMixture(2, lower=LOWER, upper=UPPER, random_state=0).fit(X)
    assert np.isfinite(cut.lower_bound_) and not cut.converged_
