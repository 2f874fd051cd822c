"""Reversible chains judged by formulas that share no code with the fit."""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse


def dense(fit):
    return fit.transition.toarray() if issparse(fit.transition) else fit.transition


def log_likelihood(counts, P):
    seen = counts > 0
    with np.errstate(divide="ignore"):
        return float((counts[seen] * np.log(P[seen])).sum())


def check_chain(fit, k, rows=0.0, flows=8):
    """A stochastic matrix in detailed balance with its distribution, to rounding.

    Every flow is a product of two numbers rounded a few times, so 8 eps of it; rows are sums of k
    numbers that add up to one. `rows`: what the fit leaves where a state must not stay. `flows`
    in place of 8: where log q is far from zero, rounding it weighs as much in exp.
    """
    P, pi, eps = dense(fit), fit.stationary, np.finfo(float).eps
    assert P.shape == (k, k)
    assert pi.shape == (k,)
    assert (P >= 0).all()
    assert (pi >= 0).all()
    assert np.abs(P.sum(axis=1) - 1).max() <= 4 * np.sqrt(k) * eps + rows
    assert abs(pi.sum() - 1) <= 4 * np.sqrt(k) * eps
    flow = pi[:, None] * P
    assert (np.abs(flow - flow.T) <= flows * eps * np.maximum(flow, flow.T) + 1e-300).all()


def stationarity(counts, P, pi):
    """Largest violation of the first-order conditions in the flows, relative to their terms.

    The likelihood as a function of symmetric flows x has the derivative S_ij / x_ij - C_i / x_i -
    C_j / x_j for a pair of states.
    """
    S = counts + counts.T
    x, rate = pi[:, None] * P, counts.sum(axis=1) / pi
    return np.abs(1 - x * (rate[:, None] + rate) / np.where(S > 0, S, 1))[S > 0].max()


def random_counts(k, seed, low=0, high=30):
    return np.random.default_rng(seed).integers(low, high, size=(k, k)).astype(float)
