"""Statistics of mixtures of experts by their formulas: one array per symbol, no care for speed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FAMILIES = ("gaussian", "poisson", "binomial", "multinomial")


@dataclass
class Problem:
    """Rows, and parameters of C candidates, in working coordinates where centre is 0, scale 1."""

    family: str
    x: np.ndarray
    z: np.ndarray | None  # None: constant gate
    y: np.ndarray
    weight: np.ndarray | None
    gate_coef: np.ndarray
    expert_coef: np.ndarray
    factor: np.ndarray | None = None
    log_norm: np.ndarray | None = None

    @property
    def w(self):
        return np.ones(len(self.x)) if self.weight is None else self.weight


def with_one(x):
    return np.column_stack([np.ones(len(x)), x])


def log_softmax(lines):
    return lines - np.logaddexp.reduce(lines, axis=-1, keepdims=True)


def log_gate(p, c=0):
    coef = p.gate_coef[c]
    features = np.ones((len(p.x), 1)) if p.z is None else with_one(p.z)
    intercepts, slopes = coef[:, 0], coef[:, 1:].copy()
    slopes[-1] = 0.0  # the reference
    return log_softmax(features[:, 1:] @ slopes.T + intercepts)


def predictors(p, c=0):
    """(n, K, L)."""
    return np.einsum("ij,klj->ikl", with_one(p.x), p.expert_coef[c])


def experts(p, c=0):
    """Log-densities (n, K), residuals (n, K, L), curvatures (n, K, L, L)."""
    eta, y = predictors(p, c), p.y[:, None, :]
    if p.family == "gaussian":
        residual = y - eta
        curvature = np.ones((*eta.shape[:2], 1, 1))
        if p.factor is None:
            return np.zeros(eta.shape[:2]), residual, curvature
        white = np.einsum("kab,ikb->ika", p.factor[c], residual)
        return p.log_norm[c] - 0.5 * (white**2).sum(axis=-1), residual, curvature
    if p.family == "poisson":
        mean = np.exp(eta)
        return (y * eta - mean)[..., 0], y - mean, mean[..., None]
    if p.family == "binomial":
        success, failure = y[..., :1], y[..., 1:]
        mean, rest = 1.0 / (1.0 + np.exp(-eta)), 1.0 / (1.0 + np.exp(eta))
        density = -(success * np.logaddexp(0, -eta) + failure * np.logaddexp(0, eta))
        curvature = ((success + failure) * mean * rest)[..., None]
        return density[..., 0], success * rest - failure * mean, curvature
    lines = log_softmax(np.concatenate([eta, np.zeros_like(eta[..., :1])], axis=-1))
    code = np.broadcast_to(y.astype(int), (*eta.shape[:2], 1))
    density = np.take_along_axis(lines, code, axis=-1)[..., 0]
    n_predictors = eta.shape[-1]
    mean = np.exp(lines[..., :-1])
    residual = (y == np.arange(n_predictors)) - mean
    curvature = mean[..., None] * (np.eye(n_predictors) - mean[..., None, :])
    return density, residual, curvature


def triangle(matrix):
    """Packed lower triangles of the last two axes."""
    rows, cols = np.tril_indices(matrix.shape[-1])
    return matrix[..., rows, cols]


def block_matrix(weights, features):
    """Sum over rows of the Kronecker product of weights (n, L, L) and x x'."""
    blocks = np.einsum("iab,ij,ik->ajbk", weights, features, features)
    size = blocks.shape[0] * blocks.shape[1]
    return blocks.reshape(size, size)


def posterior(p, c=0):
    """Log-likelihoods of the rows and responsibilities."""
    joint = experts(p, c)[0] + log_gate(p, c)
    log_prob = np.logaddexp.reduce(joint, axis=1)
    return log_prob, np.exp(joint - log_prob[:, None])


def statistics(p, c=0, *, resp=None, gram=True, curvature=True, gate_weight=None):
    """Windows of one candidate, in the order of the kernels. Rows of weight 0 are absent."""
    log_prob, tau = (np.zeros(len(p.x)), resp) if resp is not None else posterior(p, c)
    _, residual, h = experts(p, c)
    r, x = p.w[:, None] * tau, with_one(p.x)
    windows = {
        "log_likelihood": (p.w * log_prob).sum(),
        "weight_sum": p.w.sum(),
        "resp_sum": r.sum(axis=0),
        "expert_score": np.einsum("ik,ikl,ij->klj", r, residual, x),
    }
    if gram:
        grams = [block_matrix(r[:, k, None, None] * h[:, k], x) for k in range(r.shape[1])]
        windows["expert_gram"] = triangle(np.array(grams))
    if p.family == "gaussian":
        windows["residual"] = triangle(np.einsum("ik,ika,ikb->kab", r, residual, residual))
    if p.z is not None:
        windows |= gate_statistics(
            p, c, tau, curvature, p.w if gate_weight is None else gate_weight
        )
    return windows


def gate_statistics(p, c, tau, curvature, weight):
    z, share = with_one(p.z), np.exp(log_gate(p, c))
    windows = {"gate_score": (weight[:, None] * (tau - share))[:, :-1].T @ z}
    if curvature:
        pi = share[:, :-1]
        blocks = weight[:, None, None] * pi[:, :, None] * (np.eye(pi.shape[1]) - pi[:, None, :])
        windows["gate_curvature"] = triangle(block_matrix(blocks, z))
    return windows


def split(vector, windows):
    """Cut a vector of statistics like ``windows``."""
    sizes = [np.size(value) for value in windows.values()]
    assert len(vector) == sum(sizes)
    pieces = np.split(vector, np.cumsum(sizes)[:-1])
    return {
        name: a.reshape(np.shape(windows[name])) for name, a in zip(windows, pieces, strict=True)
    }


def scales(p, c, windows):
    """What each window could be as a sum of absolute values: errors are relative to it."""
    _, residual, h = experts(p, c)
    here = p.w > 0
    x, e = np.abs(with_one(p.x))[here].max(), np.abs(residual[here]).max()
    z = 1.0 if p.z is None else np.abs(with_one(p.z))[here].max()
    total = p.w.sum()
    sizes = {
        "log_likelihood": total * max(1.0, np.abs(experts(p, c)[0][here]).max()),
        "expert_score": total * e * x,
        "expert_gram": total * np.abs(h[here]).max() * x * x,
        "residual": total * e * e,
        "gate_score": total * z,
        "gate_curvature": total * z * z,
    }
    return {name: sizes.get(name, total) for name in windows}
