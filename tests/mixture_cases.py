"""What rows of the law suite about Gaussian mixtures share, whatever is known of their data."""

from __future__ import annotations

import numpy as np


def place(model, source, published):
    return model.from_user(*published.values(), source.centre, source.scale)


def publish(model, source, params):
    names = ("weights", "means", "covariances")
    return dict(zip(names, model.to_user(params, source.centre, source.scale), strict=True))


def dense(values, kind, k, d):
    """Covariance matrices of the components: (k, d, d)."""
    if kind == "full":
        return values
    if kind == "tied":
        return np.array([values] * k)
    return np.array([np.eye(d) * value for value in values])


def log_densities(weights, means, matrices, z):
    """Log of ``w_k N(z; mu_k, Sigma_k)``: (n, k)."""
    columns = []
    for w, mean, matrix in zip(weights, means, matrices, strict=True):
        gap = z - mean
        maha = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(matrix), gap)
        log_det = np.linalg.slogdet(2 * np.pi * matrix)[1]
        columns.append(np.log(w) - (log_det + maha) / 2)
    return np.array(columns).T


def second_moments(stats, kind, k, d):
    """Second moments about the old mean of component k: (d, d), what the type can tell."""
    second = stats["second"]
    if kind in ("full", "tied"):
        matrix = np.zeros((d, d))
        matrix[np.tril_indices(d)] = second[k] if kind == "full" else second
        return matrix + np.tril(matrix, -1).T
    if kind == "diag":
        return np.diag(second[k])
    return np.eye(d) * second[k] / d


def permute(kind):
    def components(published, order):
        cov = published["covariances"]
        return {
            "weights": published["weights"][order],
            "means": published["means"][order],
            "covariances": cov if kind == "tied" else cov[order],
        }

    return components


def moved(kind):
    def columns(published, order, shift, scale):
        cov = published["covariances"]
        if kind in ("full", "tied"):
            cov = cov[..., order, :][..., order]
        elif kind == "diag":
            cov = cov[:, order]
        return {
            "weights": published["weights"],
            "means": (published["means"][:, order] + shift) * scale,
            "covariances": cov * scale**2,
        }

    return columns
