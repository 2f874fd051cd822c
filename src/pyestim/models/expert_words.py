"""What is wrong with fitted experts, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pyestim.engine.stats import Stats, Vector
from pyestim.models.expert_gates import SoftmaxGate
from pyestim.models.experts_glm import LinearExperts
from pyestim.models.monotone import n_redundant, solve_normal
from pyestim.models.packing import unpacked

if TYPE_CHECKING:
    from pyestim.models.experts import ExpertMixture, ExpertParams

#: A gate (or a binomial expert) that is this sure of every row, summed over rows, separates them.
SEPARATED = 1e-2
#: Under a ridge it stops short of that: where its doubt is this share of an expert's rows, and ...
NEARLY_SEPARATED = 1e-2
#: ... one more Newton step without the ridge would lengthen its slopes by this share.
HELD_BY_RIDGE = 0.05


def sentences(model: ExpertMixture, params: ExpertParams, stats: Stats) -> tuple[str, ...]:
    """Name what the likelihood cannot tell, or what grows without bound."""
    return (
        *_few_rows(model, params, stats),
        *_floors(model, params, stats),
        *_gate(model, params, stats),
    )


def _few_rows(model: ExpertMixture, params: ExpertParams, stats: Stats) -> list[str]:
    lines = []
    # Where every row is certain there is no curvature, whatever the columns.
    silent = {*_certain(model, stats)}
    penalised = model.experts.penalised
    total = stats.number("weight_sum") / model.row_weight
    for k, weight in enumerate(stats["resp_sum"]):
        rows = weight / model.row_weight
        slopes = params.experts.coef[k, :, 1:].any(axis=0)
        needed = 1 + (int(slopes.sum()) if penalised else len(slopes))
        if rows < needed:
            lines.append(
                f"expert {k} holds {rows:.3g} of {total:.6g} rows, fewer than its {needed} "
                "coefficients need."
            )
        elif penalised or k in silent:
            continue
        elif (redundant := n_redundant(unpacked(stats["expert_gram"][k]))) > 0:
            lines.append(
                f"{redundant} predictor(s) of expert {k} are constant or linear combinations of "
                "the others on its rows: the coefficients of least norm were chosen."
            )
    return lines


def _floors(model: ExpertMixture, params: ExpertParams, stats: Stats) -> list[str]:
    low = model.experts.on_floor(params.experts)
    lines = [
        f"expert {k} fits its {stats['resp_sum'][k] / model.row_weight:.3g} rows without residual:"
        " its scale sits on the floor, a thousandth of the residual scale of one regression."
        for k in np.flatnonzero(low & (stats["resp_sum"] >= model.row_weight))
    ]
    lines += [
        f"expert {k} predicts its rows without error: its coefficients grow without bound; a "
        "penalty (expert_l2) keeps them finite."
        for k in _certain(model, stats)
    ]
    return lines


def _certain(model: ExpertMixture, stats: Stats) -> list[int]:
    """Experts of counts or classes that are sure of the response of all of their rows."""
    if not isinstance(model.experts, LinearExperts):
        return []
    size = 1 + model.experts.n_predictors
    held = stats["resp_sum"] >= size * model.row_weight
    curvatures = [unpacked(packed).diagonal()[::size] for packed in stats["expert_gram"]]
    information = np.sum(curvatures, axis=1)
    return [int(k) for k in np.flatnonzero(held & (information < SEPARATED * model.row_weight))]


def _gate(model: ExpertMixture, params: ExpertParams, stats: Stats) -> list[str]:
    gate = model.gate
    if not isinstance(gate, SoftmaxGate) or model.n_experts < 2:
        return []
    size = 1 + gate.n_covariates
    doubt: Vector = unpacked(stats["gate_curvature"]).diagonal()[::size]
    resp_sum = stats["resp_sum"][:-1]
    held = resp_sum >= model.row_weight
    sure = held & (doubt < SEPARATED * model.row_weight)
    told = _named(
        sure,
        "without error: its coefficients grow without bound; a penalty (gate_l2) keeps them "
        "finite.",
    )
    if gate.sparse or not np.any(gate.ridge):
        return told
    ridged = held & ~sure & (doubt < NEARLY_SEPARATED * resp_sum)
    ridged &= _more_without_ridge(gate, params.gate.coef[:-1], stats) > HELD_BY_RIDGE
    return told + _named(
        ridged, "nearly without error: its coefficients are as large as the ridge gate_l2 allows."
    )


def _more_without_ridge(gate: SoftmaxGate, coef: Vector, stats: Stats) -> Vector:
    """Share that the next step without the ridge would add to each expert's slopes: (K - 1,)."""
    score = stats["gate_score"].reshape(-1, 1)
    step = solve_normal(unpacked(stats["gate_curvature"]), score).reshape(coef.shape)
    size = np.abs(coef[:, 1:]).max(axis=1)
    more = np.abs(step[:, 1:]).max(axis=1)
    return np.asarray(np.divide(more, size, out=np.zeros_like(size), where=size > 0.0))


def _named(experts: NDArray[np.bool_], how: str) -> list[str]:
    if not experts.any():
        return []
    named = ", ".join(str(k) for k in np.flatnonzero(experts))
    return [f"the gate separates expert {named} from the others {how}"]
