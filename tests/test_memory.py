"""Memory of a fit and of answers does not grow with the rows beyond the result."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from blobs import TYPES

from pyestim import GaussianMixture

N = 300_000

LAYOUTS = {
    "C": lambda X: X,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=1)[:, ::2],
    "float32": lambda X: X.astype(np.float32),
}


@pytest.fixture(scope="module")
def X():
    rng = np.random.RandomState(0)
    return rng.normal(size=(N, 4)) + 6 * (np.arange(N) % 3)[:, None]


def peak(function):
    """Most memory in use during a call, beyond that before it: bytes that Python knows of."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("covariance_type", TYPES)
def test_fit(X, covariance_type, layout):
    rows = LAYOUTS[layout](X)
    weight = np.ones(N)
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0)
    mixture.fit(rows[:1000])  # what is imported and cached once does not count
    # A copy of the rows is 4.8 or 9.6 MB, responsibilities of three components are 7.2 MB.
    assert peak(lambda: mixture.fit(rows, sample_weight=weight)) < 2.5e6


@pytest.mark.parametrize("init_params", ["k-means++", "random", "random_from_data"])
def test_starts(X, init_params):
    mixture = GaussianMixture(3, init_params=init_params, random_state=0, max_iter=1000)
    mixture.fit(X[:1000])
    assert peak(lambda: mixture.fit(X)) < 2.5e6


def test_answers(X):
    mixture = GaussianMixture(3, random_state=0).fit(X[:1000])
    out = np.empty((N, 3))
    mixture.predict_proba(X[:1000])
    assert peak(lambda: mixture.predict_proba(X, out=out)) < 1e5
    assert peak(lambda: mixture.score(X)) < 2e6
    assert peak(lambda: mixture.icl(X)) < 4e6
    assert peak(lambda: mixture.predict(X)) < 8 * N + 1e5
