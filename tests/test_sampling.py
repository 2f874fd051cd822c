"""A sample of rows must not follow a rhythm of the data."""

from __future__ import annotations

import numpy as np

from pyestim import GaussianMixture
from pyestim.data.source import ArraySource


def test_rows_that_repeat_themselves_are_sampled_in_every_phase() -> None:
    """Equal distances would take every row from the same cluster when the rhythm fits."""
    rng = np.random.default_rng(0)
    n, period = 40_000, 8
    phase = np.arange(n) % period
    X = rng.normal(size=(n, 1)) + 100.0 * phase[:, None]
    source = ArraySource(X)
    for wanted in (n // period, n // (4 * period), 4096):
        seen = np.bincount(phase[source.spread_indices(wanted)], minlength=period)
        assert seen.min() > 0.7 * wanted / period  # 0.7: beyond 8 standard errors of the count
    fit = GaussianMixture(period, covariance_type="diag", random_state=0).fit(X)
    np.testing.assert_allclose(np.sort(fit.means_[:, 0]), 100.0 * np.arange(period), atol=0.1)


def test_all_rows_when_they_are_few() -> None:
    """No row is taken twice or left out."""
    source = ArraySource(np.arange(50.0)[:, None])
    np.testing.assert_array_equal(source.spread_indices(4096), np.arange(50))
