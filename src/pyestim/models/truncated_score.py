"""Gradient of a truncated mixture from its statistics, and the information by its differences."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pyestim.engine.stats import Stats, Vector
from pyestim.engine.sweep import Sweep
from pyestim.models.knowledge import UNKNOWN, Knowledge, judged
from pyestim.models.mixture import MixtureParams
from pyestim.models.packing import unpacked
from pyestim.models.truncated import TruncatedMixture, TruncatedParams, times, wall_force

#: Step of the central differences: their error is its square, and rounding over it.
STEP = 1e-4
#: The same where probabilities have errors, which may jump.
WIDE_STEP = 1e-2


def gradient(model: TruncatedMixture, params: MixtureParams, stats: Stats) -> Vector:
    """Derivative of the objective by the coordinates of `pack`: (P,).

    By Fisher's identity it needs the statistics alone.
    """
    assert isinstance(params, TruncatedParams)
    seen, inside = stats["resp_sum"], params.inside
    total = stats.number("weight_sum")
    gate = seen - total * params.shares
    whole = model.dense(params.component)
    first, second = stats["first"], -times(seen, whole)
    if inside is not None:
        # Moments of the rows without those that the components have inside the set.
        pull = total * params.shares - wall_force(inside, total)
        first = first - pull[:, None] * inside.first
        second -= times(pull, inside.second - whole)
    if model.component.family == "diag" or (first.shape[1] == 1 and len(params.factors) > 1):
        # The logarithm of a standard deviation is its own factor.
        variance = whole.reshape(first.shape)
        along = first / variance
        spread = (second.reshape(first.shape) + stats["second"]) / variance
    else:
        along, spread = _of_matrices(model, params, first, second, unpacked(stats["second"]))
    return np.concatenate([gate, along.ravel(), spread.ravel()])


def _of_matrices(
    model: TruncatedMixture, params: TruncatedParams, first: Vector, second: Vector, rows: Vector
) -> tuple[Vector, Vector]:
    """Derivatives by the means, and by the factors with logarithms on their diagonals."""
    structure = model.component.structure
    values = params.covariances
    if structure.pooled:
        second, values = second.sum(axis=0, keepdims=True), values[None]
        rows = rows[None]
    lower = np.linalg.cholesky(values)
    along = np.linalg.solve(values, first[..., None] if len(values) > 1 else first.T[None])
    along = along[..., 0] if len(values) > 1 else along[0].T
    # With the derivative P / 2 by a covariance L L', that by L is P L.
    left = np.linalg.solve(values, second + rows)
    slope = np.linalg.solve(lower, left.transpose(0, 2, 1)).transpose(0, 2, 1)
    rows_of, columns = np.tril_indices(lower.shape[-1])
    each = np.flatnonzero(rows_of == columns)
    packed = slope[:, rows_of, columns]
    packed[:, each] *= lower[:, rows_of, columns][:, each]
    return np.asarray(along), packed


def tangent(model: TruncatedMixture) -> Vector:
    """Orthonormal directions (P, P - 1) of the coordinates of `pack` that change the mixture.

    Logits that move together change nothing.
    """
    k, size = model.n_components, model.n_coordinates
    basis = np.eye(size)
    basis[:k, 0] = 1.0
    return np.linalg.qr(basis)[0][:, 1:]


def hessian(
    model: TruncatedMixture,
    sweep: Sweep[MixtureParams],
    params: MixtureParams,
    slope: Vector | None = None,
) -> Vector:
    """Second derivative of the objective in the coordinates of `tangent`, in one pass.

    Central differences of the gradient; one-sided ones from the gradient here, ``slope`` in the
    same coordinates, where that is given: half the work, and an error of `STEP`.  Raises
    `Infeasible` where there is no neighbour.
    """
    here, ways = model.pack(params), tangent(model)
    inside = params.inside if isinstance(params, TruncatedParams) else None
    length = WIDE_STEP if inside is not None and inside.error > 0.0 else STEP
    signs = (1.0, -1.0) if slope is None else (1.0,)
    near = [model.unpack(here + sign * length * way) for sign in signs for way in ways.T]
    pairs = zip(near, sweep(near), strict=True)
    slopes = np.array([gradient(model, point, stats) for point, stats in pairs]) @ ways
    size = ways.shape[1]
    other = slopes[size:] if slope is None else slope
    found = (slopes[:size] - other) / (length * len(signs))
    return np.asarray(0.5 * (found + found.T))


def knowledge(model: TruncatedMixture, params: MixtureParams, information: Vector) -> Knowledge:
    """Judge an information matrix in the coordinates of `tangent`."""
    floored = params.component.covariance.n_floored
    if floored is not None and floored[params.weights > 0.0].any():
        return UNKNOWN  # the floor holds the parameters, and the objective has a slope there
    means = slice(model.n_components, model.n_components + params.means.size)
    whole = model.dense(params.component)
    own = whole if whole.ndim == 2 else np.diagonal(whole, axis1=1, axis2=2)
    alive = np.repeat(params.weights > 0.0, params.means.shape[1])
    return judged(information, tangent(model)[means][alive], np.sqrt(own.ravel()[alive]))


def standard_errors(
    model: TruncatedMixture,
    sweep: Sweep[MixtureParams],
    params: MixtureParams,
    publish: Callable[[MixtureParams], Vector],
) -> Vector:
    """Standard errors of what ``publish`` makes of parameters.

    By the delta method; NaN where the information is not positive definite.
    """
    information = -hessian(model, sweep, params)
    here, ways = model.pack(params), tangent(model)
    ends = [
        [publish(model.unpack(here + sign * STEP * way)) for way in ways.T] for sign in (1.0, -1.0)
    ]
    slopes = (np.array(ends[0]) - np.array(ends[1])) / (2.0 * STEP)
    try:
        root = np.linalg.cholesky(information)
    except np.linalg.LinAlgError:
        return np.full(slopes.shape[1], np.nan)
    half = np.linalg.solve(root, slopes)
    return np.asarray(np.sqrt(np.einsum("ij,ij->j", half, half)))
