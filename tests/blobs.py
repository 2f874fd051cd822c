"""Rows and comparisons that several test files share."""

from __future__ import annotations

import numpy as np

TYPES = ("full", "tied", "diag", "spherical")
ESTIMATED = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


def blobs(n=600, d=3, k=3, seed=0, spread=4.0):
    rng = np.random.RandomState(seed)
    centres = rng.normal(0, spread, (k, d))
    factors = np.eye(d) + 0.4 * rng.normal(size=(k, d, d)) / np.sqrt(d)
    labels = np.sort(rng.randint(0, k, n))
    return centres[labels] + np.einsum("nij,nj->ni", factors[labels], rng.normal(size=(n, d)))


def assert_same_fit(a, b, rtol):
    for name in ESTIMATED:
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=1e-12)
