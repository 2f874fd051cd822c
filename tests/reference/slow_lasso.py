"""Coordinate descent and penalties in plain numpy, on a dense float64 copy of everything.

The specification of the native column engine: obvious, slow, and without anything of the package.
"""

from __future__ import annotations

import numpy as np

L1, MCP, SCAD, GROUP = range(4)


def standardised(X, weight=None, *, centre=True, scale=False):
    """Columns, means and standard deviations; a constant column becomes exactly zero."""
    X = np.asarray(X, dtype=np.float64)
    share = np.full(len(X), 1 / len(X)) if weight is None else weight / np.sum(weight)
    counted = X[share > 0]
    constant = (counted == counted[0]).all(axis=0)
    mean = np.where(constant, counted[0], share @ X)
    sd = np.where(constant, 0.0, np.sqrt(share @ (X - mean) ** 2))
    columns = X - mean if centre else X
    return columns / np.where(scale & ~constant, sd, 1.0), mean, sd


def penalty(kind, shape, b, l1, l2):
    """Penalty of one coefficient, or of a group of them."""
    size = np.linalg.norm(b)
    ridge = l2 * size**2 / 2 if size > 0 else 0.0
    if size == 0 or kind in (L1, GROUP):
        return (l1 * size if size > 0 else 0.0) + ridge
    if kind == MCP:
        flat = size * l1 - size**2 / (2 * shape) if size <= shape * l1 else shape * l1**2 / 2
    elif size <= l1:
        flat = l1 * size
    elif size <= shape * l1:
        flat = (2 * shape * l1 * size - size**2 - l1**2) / (2 * (shape - 1))
    else:
        flat = l1**2 * (shape + 1) / 2
    return flat + ridge


def slope(kind, shape, size, l1):
    """Derivative of the penalty without its ridge at ``size > 0``."""
    if kind == MCP:
        return max(l1 - size / shape, 0.0)
    if kind == SCAD:
        return l1 if size <= l1 else max(shape * l1 - size, 0.0) / (shape - 1)
    return l1


def violation(kind, shape, gradient, b, l1, l2, lower=-np.inf, upper=np.inf):
    """Distance of minus the gradient of the loss from the subdifferential of the penalty."""
    size = np.linalg.norm(b)
    if size == 0:
        outward = np.where(np.asarray(lower) == 0, np.minimum(gradient, 0.0), gradient)
        outward = np.where(np.asarray(upper) == 0, np.maximum(outward, 0.0), outward)
        return max(np.linalg.norm(outward) - l1, 0.0)
    total = gradient + (slope(kind, shape, size, l1) / size + l2) * b
    if kind != GROUP and np.any(b <= lower):
        return max(-float(total[0]), 0.0)
    if kind != GROUP and np.any(b >= upper):
        return max(float(total[0]), 0.0)
    return float(np.linalg.norm(total))


def worst_violation(columns, d, residual, beta, l1, l2, kind=L1, shape=0.0, bounds=None):
    """Largest violation of the first-order conditions; beta (K, p), residual (K, n)."""
    gradient = -(d * residual) @ columns
    lower, upper = (
        bounds if bounds is not None else (np.full_like(l1, -np.inf), np.full_like(l1, np.inf))
    )
    found = [0.0]
    for j in range(columns.shape[1]):
        parts = [slice(None)] if kind == GROUP else [slice(k, k + 1) for k in range(len(beta))]
        found += [
            violation(
                kind, shape, gradient[part, j], beta[part, j], l1[j], l2[j], lower[j], upper[j]
            )
            for part in parts
            if np.isfinite(l1[j] + l2[j])
        ]
    return max(found)


def objective(d, residual, beta, l1, l2, kind=L1, shape=0.0):
    """``sum d r^2 / 2 + penalty``; beta (K, p), residual (K, n)."""
    value = (d * residual**2).sum() / 2
    for j in range(beta.shape[1]):
        blocks = [beta[:, j]] if kind == GROUP else beta[:, j]
        value += sum(penalty(kind, shape, b, l1[j], l2[j]) for b in blocks)
    return value
