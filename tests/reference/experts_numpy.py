"""Mixtures of experts in plain numpy: the specification of the native sweep, and a whole EM.

Everything is an array over all rows.  ``x1`` (n, 1 + p) and ``z1`` (n, 1 + q) have a column of
ones in front; ``z1`` is None for a constant gate, whose coefficients are log-weights (K, 1).
Coefficients of experts are (K, L, 1 + p) with L linear predictors: one per output (gaussian), one
(poisson, binomial), classes - 1 (multinomial, the last class is the reference).  ``y`` is (n, L),
or (n, 2) successes and failures, or (n, 1) codes of classes.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, gammaln, log_expit, logsumexp


def with_ones(x):
    """A column of ones in front: (n, 1 + p)."""
    return np.column_stack([np.ones(len(x)), x])


def gate_log_prob(z1, gate_coef, n):
    """Log-probabilities of the experts: (n, K)."""
    if z1 is None:
        z1 = np.ones((n, 1))
    return log_softmax(z1 @ gate_coef.T)


def log_softmax(eta):
    return eta - logsumexp(eta, axis=1, keepdims=True)


def class_log_prob(eta):
    """Log-probabilities of all classes from the predictors of all but the last: (n, C)."""
    return log_softmax(np.column_stack([eta, np.zeros(len(eta))]))


def one_hot(y, n_classes):
    return (y[:, :1].astype(int) == np.arange(n_classes)).astype(float)


def log_density(family, y, eta, covariance=None):
    """Log-density of one expert without terms that only depend on y: (n,)."""
    if family == "gaussian":
        gap = y - eta
        maha = np.einsum("ni,ij,nj->n", gap, np.linalg.inv(covariance), gap)
        return -(maha + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2
    if family == "poisson":
        return y[:, 0] * eta[:, 0] - np.exp(eta[:, 0])
    if family == "binomial":
        return y[:, 0] * log_expit(eta[:, 0]) + y[:, 1] * log_expit(-eta[:, 0])
    return (one_hot(y, eta.shape[1] + 1) * class_log_prob(eta)).sum(axis=1)


def log_constant(family, y):
    """What `log_density` leaves out: (n,)."""
    if family == "poisson":
        return -gammaln(y[:, 0] + 1)
    if family == "binomial":
        return gammaln(y.sum(axis=1) + 1) - gammaln(y + 1).sum(axis=1)
    return np.zeros(len(y))


def log_densities(family, x1, y, expert_coef, covariances=None):
    """Log-density of every expert: (n, K)."""
    columns = [
        log_density(family, y, x1 @ coef.T, None if covariances is None else covariances[k])
        for k, coef in enumerate(expert_coef)
    ]
    return np.array(columns).T


def posterior(family, x1, z1, y, gate_coef, expert_coef, covariances=None):
    """Log-likelihood of the rows (n,) and responsibilities (n, K)."""
    joint = gate_log_prob(z1, gate_coef, len(x1)) + log_densities(
        family, x1, y, expert_coef, covariances
    )
    total = logsumexp(joint, axis=1)
    return total, np.exp(joint - total[:, None])


def group_posterior(family, x1, z1, y, groups, gate_coef, expert_coef, covariances=None):
    """Log-likelihood of the groups (G,) and responsibilities of the rows (n, K)."""
    gate = gate_log_prob(z1, gate_coef, len(x1))
    each = log_densities(family, x1, y, expert_coef, covariances)
    totals, resp = [], np.empty(each.shape)
    for name in np.unique(groups):
        rows = np.flatnonzero(groups == name)
        joint = gate[rows[0]] + each[rows].sum(axis=0)
        totals.append(logsumexp(joint))
        resp[rows] = np.exp(joint - totals[-1])
    return np.array(totals), resp


def residual_and_curvature(family, y, eta):
    """Score in the linear predictors (n, L) and their curvature (n, L, L)."""
    if family == "gaussian":
        return y - eta, np.ones((len(y), 1, 1))
    if family == "poisson":
        mu = np.exp(eta)
        return y - mu, mu[:, :, None]
    if family == "binomial":
        mu, trials = expit(eta), y.sum(axis=1, keepdims=True)
        return y[:, :1] - trials * mu, (trials * mu * (1 - mu))[:, :, None]
    mu = np.exp(class_log_prob(eta))[:, :-1]
    curvature = mu[:, :, None] * np.eye(mu.shape[1]) - mu[:, :, None] * mu[:, None, :]
    return one_hot(y, mu.shape[1] + 1)[:, :-1] - mu, curvature


def packed(matrix):
    return matrix[np.tril_indices(len(matrix))]


def statistics(family, x1, z1, y, weight, gate_coef, expert_coef, covariances=None, resp=None):
    """Sums that the native sweep returns, by name; ``resp`` (n, K) replaces the posterior."""
    total, own = posterior(family, x1, z1, y, gate_coef, expert_coef, covariances)
    resp = own if resp is None else resp
    r = resp * weight[:, None]
    found = {"log_likelihood": weight @ total, "weight_sum": weight.sum(), "resp_sum": r.sum(0)}
    score, gram, square = [], [], []
    for k, coef in enumerate(expert_coef):
        residual, curvature = residual_and_curvature(family, y, x1 @ coef.T)
        score.append(np.einsum("n,na,nj->aj", r[:, k], residual, x1))
        blocks = np.einsum("n,nab,ni,nj->aibj", r[:, k], curvature, x1, x1)
        size = blocks.shape[0] * blocks.shape[1]
        gram.append(packed(blocks.reshape(size, size)))
        square.append(packed(np.einsum("n,na,nb->ab", r[:, k], residual, residual)))
    found |= {"expert_score": np.array(score), "expert_gram": np.array(gram)}
    if family == "gaussian":
        found["residual"] = np.array(square)
    if z1 is not None:
        found |= gate_statistics(z1, weight, resp, gate_coef)
    return found


def gate_statistics(z1, weight, resp, gate_coef):
    """Gradient and curvature of the gate's part, for all experts but the last."""
    pi = np.exp(gate_log_prob(z1, gate_coef, len(z1)))[:, :-1]
    score = ((resp[:, :-1] - pi) * weight[:, None]).T @ z1
    spread = pi[:, :, None] * np.eye(pi.shape[1]) - pi[:, :, None] * pi[:, None, :]
    blocks = np.einsum("n,nkl,ni,nj->kilj", weight, spread, z1, z1)
    size = blocks.shape[0] * blocks.shape[1]
    return {"gate_score": score, "gate_curvature": packed(blocks.reshape(size, size))}


# -- EM as R does it: every M-step is solved by its own inner loop --------------------------------


def allow_rounding(value):
    """A little less than a value: a step near the maximum is no loss because of its rounding."""
    return value - 1e-13 * abs(value)


def gate_step(z1, weight, resp, gate_coef, max_newton=25, tol=1e-10):
    """Maximise ``sum w resp log pi`` by Newton steps that are halved until they ascend."""
    if z1 is None:
        return np.log((resp * weight[:, None]).sum(axis=0) / weight.sum())[:, None]

    def value(coef):
        return weight @ (resp * gate_log_prob(z1, coef, len(z1))).sum(axis=1)

    shape = gate_coef[:-1].shape
    for _ in range(max_newton):
        pi = np.exp(gate_log_prob(z1, gate_coef, len(z1)))[:, :-1]
        score = ((resp[:, :-1] - pi) * weight[:, None]).T @ z1
        blocks = np.empty((*shape, *shape))
        for k, own in enumerate(pi.T):
            for other, its in enumerate(pi.T):
                blocks[k, :, other] = (z1.T * (weight * own * ((k == other) - its))) @ z1
        hessian = blocks.reshape(score.size, score.size)
        step = np.zeros(gate_coef.shape)
        step[:-1] = np.linalg.lstsq(hessian, score.ravel(), rcond=1e-12)[0].reshape(shape)
        gain = float((score * step[:-1]).sum())
        size, before = 1.0, allow_rounding(value(gate_coef))
        while size > 1e-6 and value(gate_coef + size * step) < before:
            size /= 2
        gate_coef = gate_coef + size * step
        if gain < tol * weight.sum():
            break
    return gate_coef


def expert_step(family, x1, y, r, coef, max_newton=25, tol=1e-10):
    """Weighted least squares, or Fisher scoring with step halving: coefficients (L, 1 + p)."""
    if family == "gaussian":
        root = np.sqrt(r)[:, None]
        return np.linalg.lstsq(x1 * root, y * root, rcond=None)[0].T
    for _ in range(max_newton):
        residual, curvature = residual_and_curvature(family, y, x1 @ coef.T)
        score = np.einsum("n,na,nj->aj", r, residual, x1).ravel()
        blocks = np.einsum("n,nab,ni,nj->aibj", r, curvature, x1, x1)
        hessian = blocks.reshape(score.size, score.size)
        step = np.linalg.lstsq(hessian, score, rcond=1e-12)[0]
        size = 1.0
        before = allow_rounding(r @ log_density(family, y, x1 @ coef.T))
        change = step.reshape(coef.shape)
        while size > 1e-6 and r @ log_density(family, y, x1 @ (coef + size * change).T) < before:
            size /= 2
        coef = coef + size * change
        if score @ step < tol * max(r.sum(), 1e-300):
            break
    return coef


def em_step(
    family,
    x1,
    z1,
    y,
    weight,
    gate_coef,
    expert_coef,
    covariances=None,
    *,
    groups=None,
    share_scale=False,
):
    """One EM step: parameters after it and the log-likelihood before it, constants left out."""
    given = (gate_coef, expert_coef, covariances)
    if groups is None:
        total, resp = posterior(family, x1, z1, y, *given)
        value, once = weight @ total, weight
    else:
        total, resp = group_posterior(family, x1, z1, y, groups, *given)
        first = np.unique(groups, return_index=True)[1]
        once = np.zeros(len(x1))
        once[first] = weight[first]
        value = weight[first] @ total
    r = resp * weight[:, None]
    coef = np.array([expert_step(family, x1, y, r[:, k], c) for k, c in enumerate(expert_coef)])
    if family == "gaussian":
        gaps = [y - x1 @ c.T for c in coef]
        squares = np.array([(gap.T * r[:, k]) @ gap for k, gap in enumerate(gaps)])
        counts = r.sum(axis=0)
        covariances = squares / counts[:, None, None]
        if share_scale:
            covariances = np.array([squares.sum(axis=0) / counts.sum()] * len(coef))
    return (gate_step(z1, once, resp, gate_coef), coef, covariances), value
