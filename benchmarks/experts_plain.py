"""One EM step of softmax-gated Gaussian experts in numpy, as fast as matrix products make it.

The work is that of one step of ours: weighted least squares by normal equations, and one Newton
step of the gate. (`tests/reference/experts_numpy.py` maximises the gate in every step, as R does.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


def em_step(
    columns: Array, y: Array, gate: Array, coef: Array, scale: Array
) -> tuple[Array, Array, Array]:
    """Gate (K, 1 + p), coefficients (K, 1 + p) and standard deviations (K,) after one step.

    ``columns`` (n, 1 + p) begins with ones; rows are read as they are, one matrix product for each
    sum.
    """
    k, d = coef.shape
    logit = columns @ gate.T
    logit -= logit.max(axis=1, keepdims=True)
    share = np.exp(logit)
    share /= share.sum(axis=1, keepdims=True)
    residual = (y[:, None] - columns @ coef.T) / scale
    joint = logit - 0.5 * residual * residual - np.log(scale)
    joint -= joint.max(axis=1, keepdims=True)
    resp = np.exp(joint)
    resp /= resp.sum(axis=1, keepdims=True)
    new, spread = np.empty_like(coef), np.empty_like(scale)
    for j in range(k):
        weighted = columns * resp[:, j, None]
        new[j] = np.linalg.solve(weighted.T @ columns, weighted.T @ y)
        gap = y - columns @ new[j]
        spread[j] = np.sqrt(resp[:, j] @ (gap * gap) / resp[:, j].sum())
    score = ((resp - share)[:, :-1].T @ columns).ravel()
    hessian = np.empty((k - 1, d, k - 1, d))
    for i in range(k - 1):
        for j in range(i + 1):
            curved = share[:, i] * ((i == j) - share[:, j])
            hessian[i, :, j] = hessian[j, :, i] = (columns * curved[:, None]).T @ columns
    step = np.linalg.solve(hessian.reshape(score.size, -1), score)
    gate = gate.copy()
    gate[:-1] += step.reshape(k - 1, d)
    return gate, new, spread
