"""A whole fit of a mixture of experts, and the penalties above which no slope is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.engine.accelerate import Method
from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.stats import Stats, Vector
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
    accelerate: str | Method | None = "auto",
    max_sweeps: int = 500,
    progress: Progress | None = None,
    sweep: LocalSweep[ExpertParams] | None = None,
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
    sweep : LocalSweep, optional
        Of the model over the source.

    Returns
    -------
    Fit
        Objectives are those of the data: per unit weight, all constants included.
    """
    found = make_starts(model, source, n_init, rng) if n_init else []
    return maximise(
        model,
        sweep or LocalSweep(model, source),
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

    Parameters
    ----------
    source : ExpertSource
    options : ExpertOptions
        The penalties in it do not matter.
    n_init : int
    rng : numpy.random.RandomState
    """
    prohibitive = replace(options, expert_l1=PROHIBITIVE, gate_l1=PROHIBITIVE, standardize=True)
    flat = build_model(source, prohibitive)
    fit = fit_experts(flat, source, n_init, rng, tol=FLAT_TOL, max_sweeps=2000)
    experts, gate = slope_gradients(flat, fit.params, fit.stats)
    return LargestPenalties(
        largest_of(experts, penalty_unit(source.x, options.standardize)),
        largest_of(gate, penalty_unit(source.z, options.standardize)),
        fit.params,
    )


def slope_gradients(
    model: ExpertMixture, params: ExpertParams, stats: Stats
) -> tuple[Vector, Vector]:
    """Sizes of the gradients that l1 penalties weigh against: (K L, p), and the gate's (., q).

    Per unit weight; of gaussian experts with respect to ``slope / sigma``. Without a gate that
    reads covariates the second has no rows.
    """
    weight = stats.number("weight_sum")
    experts = np.abs(stats["expert_score"][..., 1:]) / weight
    covariances = model.experts.covariances(params.experts)
    if covariances is not None:
        experts = experts / np.sqrt(covariances[:, :1])
    gate = np.zeros((0, 1))
    if model.gate.gated:
        gate = np.abs(stats["gate_score"][:, 1:]) / weight
    return experts.reshape(-1, experts.shape[-1]), gate


def largest_of(gradients: Vector, unit: Vector) -> float:
    """Least penalty that none of these gradients (., p), without sign, exceeds."""
    return float((gradients / unit).max(initial=0.0))
