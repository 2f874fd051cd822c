"""The peer of the benchmarks: its gradient, and that it finds our maximum."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.censored_direct import DirectTobit
from pyestim import CensoredRegressor

pytestmark = pytest.mark.once


def test_direct_maximisation_has_the_right_gradient_and_our_maximum():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 2))
    y = np.maximum(0.0, 0.5 + X @ [1.0, -1.0] + rng.normal(size=300))
    peer = DirectTobit(X, y, 0.0)
    _, gradient = peer.evaluate(peer.x0)
    step = 1e-6
    slopes = [
        (peer.evaluate(peer.x0 + step * way)[0] - peer.evaluate(peer.x0 - step * way)[0])
        / (2 * step)
        for way in np.eye(len(peer.x0))
    ]
    np.testing.assert_allclose(gradient, slopes, atol=1e-8)  # rounding over the step
    peer.run(max_seconds=5.0)
    ours = CensoredRegressor().fit(X, y, lower=0.0)
    assert max(peer.values) == pytest.approx(ours.lower_bound_, abs=1e-12)
