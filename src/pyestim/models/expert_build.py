"""Models of experts for given rows: boxes, units of penalties, floors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.data.source import ArraySource
from pyestim.engine.stats import Stats, Vector, merge_tree
from pyestim.models.expert_gates import SoftmaxGate, WeightsGate
from pyestim.models.expert_penalty import Penalty, make_penalty
from pyestim.models.experts import ExpertMixture, ExpertParams
from pyestim.models.experts_gaussian import GaussianExperts
from pyestim.models.experts_glm import LinearExperts
from pyestim.models.monotone import solve_normal
from pyestim.models.packing import unpacked

#: The residual scale of one regression is at least this share of the spread of the responses:
#: where one regression fits without residual, there is no other unit.
LEAST_RESIDUAL = 1e-4
#: Rows that are looked at to see whether one regression only joins the dots.
DISTINCT_ROWS = 20_000


@dataclass(frozen=True)
class ExpertOptions:
    """What a mixture of experts is, apart from its data.

    Attributes
    ----------
    n_experts : int
    gate : {"softmax", "constant"}
    expert_l1, gate_l1, expert_l2, gate_l2 : float
        Penalties per unit weight: ``sum_j |b_j|`` in the units of the data, and ``sum_j (s_j
        b_j)^2 / 2`` with ``s_j`` the standard deviation of a column, so that a ridge that is
        small in one unit is small in all; gaussian experts: of ``b / sigma``.
    standardize : bool
        ``s_j`` in both.
    share_scale : bool
        One residual covariance for all gaussian experts.
    n_classes : int
        Multinomial experts.
    """

    n_experts: int
    gate: str = "softmax"
    expert_l1: float = 0.0
    gate_l1: float = 0.0
    expert_l2: float = 0.0
    gate_l2: float = 0.0
    standardize: bool = False
    share_scale: bool = False
    n_classes: int = 2


def build_model(
    source: ExpertSource,
    options: ExpertOptions,
    *,
    like: ExpertMixture | None = None,
    floor_sd: Vector | None = None,
) -> ExpertMixture:
    """Return the mixture of experts for these rows.

    Parameters
    ----------
    source : ExpertSource
    options : ExpertOptions
    like : ExpertMixture, optional
        A model for the same rows that differs in its penalties or number of experts: what was
        measured for it need not be measured again.
    floor_sd : ndarray of shape (m,), optional
        Residual scale that floors are relative to; by default that of one regression.
    """
    return ExpertMixture(
        _gate(source, options, like),
        _experts(source, options, like, floor_sd),
        grouped=source.groups is not None,
        row_weight=source.weight_sum / source.n_effective,
    )


def penalty_unit(columns: ArraySource, standardize: bool) -> Vector:
    """Slope in the units of a penalty over the slope in working coordinates: (p,)."""
    return columns.column_sd if standardize else columns.scale


def _gate(
    source: ExpertSource, options: ExpertOptions, like: ExpertMixture | None
) -> WeightsGate | SoftmaxGate:
    if options.gate == "constant":
        return WeightsGate(options.n_experts, grouped=source.groups is not None)
    z = source.z
    second = like.gate.second if like is not None else None
    return SoftmaxGate(
        options.n_experts,
        z.column_min,
        z.column_max,
        penalty=_penalty(z, options, options.gate_l1, options.gate_l2),
        second=second_moments(source) if second is None else second,
    )


def _experts(
    source: ExpertSource,
    options: ExpertOptions,
    like: ExpertMixture | None,
    floor_sd: Vector | None,
) -> GaussianExperts | LinearExperts:
    x = source.x
    penalty = _penalty(x, options, options.expert_l1, options.expert_l2)
    if source.family != "gaussian":
        return LinearExperts(
            source.family,
            options.n_experts,
            x.column_min,
            x.column_max,
            n_classes=options.n_classes,
            penalty=penalty,
        )
    if like is not None and isinstance(like.experts, GaussianExperts):
        floor_sd = like.experts.structure.floor_sd
    elif floor_sd is None:
        floor_sd = residual_scale(source)
    return GaussianExperts(
        options.n_experts,
        x.n_features,
        len(source.y_scale),
        floor_sd=floor_sd,
        share_scale=options.share_scale,
        penalty=penalty,
    )


def _penalty(columns: ArraySource, options: ExpertOptions, l1: float, l2: float) -> Penalty:
    unit = penalty_unit(columns, options.standardize)
    return make_penalty(unit, columns.column_sd, l1, l2)


# -- one regression on all rows -------------------------------------------------------------------


def residual_scale(source: ExpertSource) -> Vector:
    """Residual standard deviations of one regression on all rows, in working coordinates: (m,)."""
    spread = source.output_sd
    if source.n_effective <= 1 + source.x.n_features:
        return spread
    stats = _one_regression(source, source.x.rows, source.x.n_features)
    score = stats["expert_score"][0]
    step = solve_normal(unpacked(stats["expert_gram"][0]), score.T)
    rest = (unpacked(stats["residual"][0]) - score @ step).diagonal()
    variance = np.maximum(rest / stats.number("weight_sum"), 0.0)
    residual = np.sqrt(variance)
    least = LEAST_RESIDUAL * spread
    if np.any(residual < least) and _n_distinct(source.x) <= 1 + source.x.n_features:
        return spread
    return np.asarray(np.maximum(residual, least))


def _n_distinct(columns: ArraySource) -> int:
    """Distinct rows, among some: a repeated row is no further evidence about a residual."""
    rows, _ = columns.take(columns.spread_indices(DISTINCT_ROWS))
    return len(np.unique(rows, axis=0))


def second_moments(source: ExpertSource) -> Vector:
    """``sum w z z'`` of the rows of the gate with a one in front: (1 + q, 1 + q)."""
    stats = _one_regression(source, source.gate_rows, source.z.n_features)
    return unpacked(stats["expert_gram"][0])


def _one_regression(source: ExpertSource, rows: Any, n_columns: int) -> Stats:
    """Statistics of one gaussian expert on ``rows`` that predicts zero."""
    m = len(source.y_scale)
    model = ExpertMixture(WeightsGate(1), GaussianExperts(1, n_columns, m))
    zero = model.experts.params(np.zeros((1, m, 1 + n_columns)), np.eye(m)[None])
    params = [ExpertParams(model.gate.start(np.ones(1)), zero)]
    parts = []
    for chunk in source.chunks():
        out = np.empty((1, model.layout.size))
        model.sweep(params, replace(chunk, rows=rows), out)
        parts.append(out)
    return Stats(model.layout, merge_tree(parts)[0])
