"""Groups of rows with one latent class: log-densities are added over a group, then normalised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from pyestim.data.experts import ExpertChunk, Groups
from pyestim.engine.stats import Vector

if TYPE_CHECKING:
    from pyestim.models.experts import ExpertMixture, ExpertParams


def group_posterior(
    model: ExpertMixture, params: ExpertParams, chunk: ExpertChunk, groups: Groups
) -> tuple[Vector, Vector]:
    """Log-likelihood (G,) and responsibilities (G, K) of the groups."""
    n, k = chunk.stop - chunk.start, model.n_experts
    log_density, gate = np.empty((n, k)), np.empty((n, k))
    model.rows(params, chunk, log_density=log_density, gate=gate)
    return joined(log_density, gate[groups.first], groups.code)


def joined(log_density: Vector, gate: Vector, code: NDArray[np.intp]) -> tuple[Vector, Vector]:
    """Log-likelihood (G,) and responsibilities (G, K) from rows (n, K) and gates (G, K)."""
    joint = gate.copy()
    for column, each in zip(joint.T, log_density.T, strict=True):
        column += np.bincount(code, weights=each, minlength=len(joint))
    total = logsumexp(joint, axis=1)
    return total, np.exp(joint - total[:, None])


def grouped_sweep(
    model: ExpertMixture, params: ExpertParams, chunk: ExpertChunk, out: Vector
) -> None:
    """Write the statistics of one candidate (S,): every group counts once for the gate.

    The rows of the gate carry the weight of a group on its first row alone, so that the sweep
    itself counts them so.
    """
    groups = chunk.groups
    if groups is None:
        raise ValueError(f"{model.name}: the model has groups, but the rows have none.")
    total, resp = group_posterior(model, params, chunk, groups)
    bounds = model.layout.bounds
    shared = np.empty((1, bounds["group_sum"][0]))
    model.sweep([params], chunk, shared, source="given", responsibilities=resp[groups.code])
    out[: shared.shape[1]] = shared[0]
    present = groups.weight > 0.0
    weight = groups.weight[present]
    out[bounds["log_likelihood"][0]] = weight @ total[present]
    out[bounds["group_sum"][0] :] = weight @ resp[present]
