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


class Truth:
    """A mixture with well-known parameters in every covariance type, and rows drawn from it."""

    def __init__(self, seed=0, n=200, k=2, d=2, scale=50.0):
        rng = np.random.RandomState(seed)
        self.k, self.d = k, d
        self.weights = rng.dirichlet(np.full(k, 20.0))
        self.means = rng.uniform(size=(k, d)) * scale
        roots = np.eye(d) + 0.3 * rng.normal(size=(k + 1, d, d))
        full = roots @ roots.transpose(0, 2, 1) / 2
        variances = rng.uniform(0.3, 2.0, size=(k, d))
        self.covariances = {
            "full": full[:k],
            "tied": full[k],
            "diag": variances,
            "spherical": variances[:, 0],
        }
        self.precisions = {
            name: np.linalg.inv(cov) if name in ("full", "tied") else 1 / cov
            for name, cov in self.covariances.items()
        }
        counts = np.round(self.weights * n).astype(int)
        self.y = np.repeat(np.arange(k), counts)
        self.X = {name: self._rows(rng, name) for name in TYPES}

    def dense(self, name):
        cov = self.covariances[name]
        eye = np.eye(self.d)
        return {
            "full": lambda: cov,
            "tied": lambda: np.array([cov] * self.k),
            "diag": lambda: cov[:, :, None] * eye,
            "spherical": lambda: cov[:, None, None] * eye,
        }[name]()

    def _rows(self, rng, name):
        roots = np.linalg.cholesky(self.dense(name))[self.y]
        noise = rng.normal(size=(len(self.y), self.d))
        return self.means[self.y] + np.einsum("nij,nj->ni", roots, noise)

    def start(self, name):
        return {
            "weights_init": self.weights,
            "means_init": self.means,
            "precisions_init": self.precisions[name],
        }
