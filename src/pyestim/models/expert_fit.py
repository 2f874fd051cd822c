"""A whole fit of a mixture of experts, and the penalties above which no slope is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.stats import Vector
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model, penalty_unit
from pyestim.models.expert_start import make_starts
from pyestim.models.experts import ExpertMixture, ExpertParams

#: A penalty of standardised columns under which every slope is zero, and no scale overflows.
PROHIBITIVE = 1e30
#: The point without slopes is fitted to this gain per unit weight.
FLAT_TOL = 1e-12


def fit_experts(
    model: ExpertMixture,
    source: ExpertSource,
    n_init: int,
    rng: np.random.RandomState,
    *,
    starts: Sequence[ExpertParams] = (),
    tol: float = 1e-6,
    accelerate: str | None = "auto",
    max_sweeps: int = 500,
    progress: Progress | None = None,
) -> Fit[ExpertParams]:
    """Fit from several starts, which share every pass over the rows.

    Parameters
    ----------
    model : ExpertMixture
    source : ExpertSource
    n_init : int
        Starts that are looked for; none if zero.
    rng : numpy.random.RandomState
    starts : sequence of ExpertParams
        Further starts, in working coordinates.
    tol : float
        Bound on the estimated remaining gain of the objective per unit weight.
    accelerate, max_sweeps, progress
        As for `maximise`.

    Returns
    -------
    Fit
        Objectives are those of the data: per unit weight, all constants included.
    """
    found = make_starts(model, source, n_init, rng) if n_init else []
    return maximise(
        model,
        LocalSweep(model, source),
        [*starts, *found],
        stop=Stop(tol),
        accelerate=accelerate,
        max_sweeps=max_sweeps,
        progress=progress,
        offset=source.offset,
    )


@dataclass(frozen=True)
class LargestPenalties:
    """Where a path begins.

    Attributes
    ----------
    expert_l1, gate_l1 : float
        Least penalties for which the mixture without slopes is stationary.
    params : ExpertParams
        That mixture.
    """

    expert_l1: float
    gate_l1: float
    params: ExpertParams


def largest_penalties(
    source: ExpertSource, options: ExpertOptions, n_init: int, rng: np.random.RandomState
) -> LargestPenalties:
    """Fit the mixture without slopes and find the penalties that keep it.

    With responsibilities r, gate probabilities pi and residuals e at that mixture, a slope j of
    expert k stays zero as long as ``|sum r e x_j| / sigma_k`` (other families than the gaussian:
    without sigma) is at most ``W l1 v_j``; one of the gate, ``|sum w (r_k - pi_k) z_j|``.

    Slopes that are not penalised, by a weight of zero, are fitted.

    Parameters
    ----------
    source : ExpertSource
    options : ExpertOptions
        The penalties in it do not matter, but for the weights.
    n_init : int
    rng : numpy.random.RandomState
    """
    prohibitive = replace(options, expert_l1=PROHIBITIVE, gate_l1=PROHIBITIVE, standardize=True)
    flat = build_model(source, prohibitive)
    fit = fit_experts(flat, source, n_init, rng, tol=FLAT_TOL, max_sweeps=2000)
    stats, weight = fit.stats, fit.stats.number("weight_sum")
    slope = np.abs(stats["expert_score"][..., 1:]) / weight
    covariances = flat.experts.covariances(fit.params.experts)
    if covariances is not None:
        slope = slope / np.sqrt(covariances[:, :1])
    unit = penalty_unit(source.x, options.standardize)
    expert_l1 = largest_of(slope, unit, options.expert_weights)
    gate_l1 = 0.0
    if flat.gate.gated:
        slope = np.abs(stats["gate_score"][:, 1:]) / weight
        unit = penalty_unit(source.z, options.standardize)
        gate_l1 = largest_of(slope, unit, options.gate_weights)
    return LargestPenalties(expert_l1, gate_l1, fit.params)


def largest_of(slope: Vector, unit: Vector, weights: Vector | None = None) -> float:
    """Least penalty that none of these gradients (..., p), without sign, exceeds."""
    weights = np.ones(len(unit)) if weights is None else weights
    kept = weights > 0.0
    return float((slope[..., kept] / (unit * weights)[kept]).max(initial=0.0))
