"""The mixture sweeps in plain numpy: slow, obvious, and the specification of the native ones.

Working coordinates are ``z = (x - centre) * scale``.  Component ``k`` has the log-density
``log_offset[k] - |F_k (z - mean_k)|^2 / 2``.  Every statistic is centred at the mean that produced
it.  Order of one statistics vector, with ``P = d (d + 1) / 2`` and packed index
``i (i + 1) / 2 + j`` for ``j <= i``::

    log_likelihood ()    sum_i w_i log sum_k exp(log_offset_k - maha_ik / 2)
    weight_sum ()        sum_i w_i
    resp_sum (K,)        sum_i w_i r_ik
    first (K, d)         sum_i w_i r_ik (z_i - mean_k)
    second               full (K, P), tied (P,) pooled over k, diag (K, d), spherical (K,)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FAMILIES = ("full", "tied", "diag", "spherical")

#: Squared distances are capped here; a row where every component stands at the cap is lost.
DISTANCE_CAP = 1e300


class Data(NamedTuple):
    """What the native ``Rows`` object holds."""

    x: np.ndarray  # (n, d)
    weight: np.ndarray | None  # (n,)
    centre: np.ndarray  # (d,)
    scale: np.ndarray  # (d,)


def working_rows(data, start, stop):
    """Rows ``start..stop`` in working coordinates with their weights: (m, d), (m,)."""
    z = (np.asarray(data.x[start:stop], dtype=np.float64) - data.centre) * data.scale
    weight = np.ones(len(z)) if data.weight is None else np.asarray(data.weight[start:stop])
    return z, weight


def stats_size(family, n_components, n_features):
    """Length of the statistics vector of one candidate."""
    k, d = n_components, n_features
    packed = d * (d + 1) // 2
    second = {"full": k * packed, "tied": packed, "diag": k * d, "spherical": k}[family]
    return 2 + k + k * d + second


def split_stats(stats, family, n_components, n_features):
    """The windows of one statistics vector by name."""
    k, d = n_components, n_features
    packed = d * (d + 1) // 2
    shapes = {"full": (k, packed), "tied": (packed,), "diag": (k, d), "spherical": (k,)}
    return {
        "log_likelihood": stats[0],
        "weight_sum": stats[1],
        "resp_sum": stats[2 : 2 + k],
        "first": stats[2 + k : 2 + k + k * d].reshape(k, d),
        "second": stats[2 + k + k * d :].reshape(shapes[family]),
    }


def mahalanobis(z, family, means, factors):
    """Squared length of ``F_k (z_i - mean_k)``: (m, K)."""
    out = np.empty((len(z), len(means)))
    for k, mean in enumerate(means):
        centred = z - mean
        if family == "full":
            whitened = centred @ factors[k].T
        elif family == "tied":
            whitened = centred @ factors.T
        else:  # diag: (d,) reciprocal sd, spherical: one number
            whitened = centred * factors[k]
        with np.errstate(over="ignore"):
            out[:, k] = np.fmin(np.sum(whitened**2, axis=1), DISTANCE_CAP)
    return out


def log_sum_exp(log_prob, alive):
    """Row-wise log of the sum, and the responsibilities: (m,), (m, K).

    A lost row belongs to the nearest living component, ties to the first.
    """
    highest = log_prob.max(axis=1)
    resp = np.exp(log_prob - highest[:, None])
    total = resp.sum(axis=1)
    log_total = highest + np.log(total)
    resp /= total[:, None]
    lost = highest < -0.4 * DISTANCE_CAP
    resp[lost] = np.arange(len(alive)) == np.flatnonzero(alive)[0]
    return log_total, resp


def weighted_moments(z, resp, family, means):
    """``resp_sum``, ``first`` and ``second`` of weighted responsibilities, as one flat vector."""
    n_components, d = means.shape
    rows, columns = np.tril_indices(d)
    first, second = [], []
    for k in range(n_components):
        centred = z - means[k]
        weighted = centred * resp[:, k, None]
        first.append(weighted.sum(axis=0))
        if family in ("full", "tied"):
            second.append((weighted.T @ centred)[rows, columns])
        elif family == "diag":
            second.append((weighted * centred).sum(axis=0))
        else:
            second.append((weighted * centred).sum())
    second = np.sum(second, axis=0) if family == "tied" else np.array(second)
    return np.concatenate([resp.sum(axis=0), np.ravel(first), np.ravel(second)])


def mixture_sweep(data, start, stop, family, log_offset, means, factors):
    """Statistics of the E-step for every candidate: (C, S)."""
    z, weight = working_rows(data, start, stop)
    out = []
    for offset_c, means_c, factors_c in zip(log_offset, means, factors, strict=True):
        log_prob = offset_c - mahalanobis(z, family, means_c, factors_c) / 2
        log_total, resp = log_sum_exp(log_prob, offset_c > -np.inf)
        moments = weighted_moments(z, resp * weight[:, None], family, means_c)
        out.append(np.concatenate([[weight @ log_total, weight.sum()], moments]))
    return np.array(out)


def assign_sweep(
    data,
    start,
    stop,
    family,
    source,
    means,
    labels=None,
    responsibilities=None,
    seeds=None,
):
    """Statistics for responsibilities from elsewhere, for every candidate: (C, S)."""
    z, weight = working_rows(data, start, stop)
    n_components = means.shape[1]
    out = []
    for c, means_c in enumerate(means):
        counted, objective = weight, 0.0
        if source == "nearest":
            distance = mahalanobis(z, "spherical", means_c, np.ones(n_components))
            nearest = distance.argmin(axis=1)
            objective = -weight @ distance.min(axis=1)
            resp = np.eye(n_components)[nearest]
        elif source == "labels":
            label = labels[start:stop]
            resp = (label[:, None] == np.arange(n_components)).astype(float)
            counted = np.where(label < 0, 0.0, weight)
        elif source == "given":
            resp = np.asarray(responsibilities[start:stop])
        else:
            draws = [uniforms(seeds[c], row, n_components) for row in range(start, stop)]
            resp = np.reshape(draws, (len(z), n_components))
            resp = resp / resp.sum(axis=1, keepdims=True)
        moments = weighted_moments(z, resp * counted[:, None], family, means_c)
        out.append(np.concatenate([[objective, counted.sum()], moments]))
    return np.array(out)


def mixture_rows(data, start, stop, family, log_offset, means, factors):
    """Per row: log-density, responsibilities, label: (m,), (m, K), (m,)."""
    z, _ = working_rows(data, start, stop)
    log_prob = log_offset - mahalanobis(z, family, means, factors) / 2
    log_total, resp = log_sum_exp(log_prob, log_offset > -np.inf)
    return log_total, resp, resp.argmax(axis=1)


def philox(counter, key):
    """Four random 32-bit words: Philox4x32-10 of Salmon et al. (2011), section 4."""
    x, key, mask = list(counter), list(key), 0xFFFFFFFF
    for _ in range(10):
        a, b = x[0] * 0xD2511F53, x[2] * 0xCD9E8D57
        x = [(b >> 32) ^ x[1] ^ key[0], b & mask, (a >> 32) ^ x[3] ^ key[1], a & mask]
        key = [(key[0] + 0x9E3779B9) & mask, (key[1] + 0xBB67AE85) & mask]
    return x


def uniforms(seed, row, n_components):
    """Uniform draws in (0, 1) of one row; two components share one Philox block."""
    seed, out = int(seed), []
    for k in range(n_components):
        counter = (row & 0xFFFFFFFF, row >> 32, k // 2, 0)
        words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32))
        low, high = words[2 * (k % 2) : 2 * (k % 2) + 2]
        out.append((((high << 32 | low) >> 12) + 0.5) * 2.0**-52)
    return out
