"""Where penalised experts are fitted: all columns, or those of many that may matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.data.experts import ExpertSource
from pyestim.engine.drive import Fit
from pyestim.engine.secant import Secants
from pyestim.engine.stats import Layout, Shape, Stats, Vector
from pyestim.models import kernels
from pyestim.models.expert_build import ExpertOptions, build_model, penalty_unit
from pyestim.models.expert_fit import (
    FLAT_TOL,
    PROHIBITIVE,
    LargestPenalties,
    fit_experts,
    largest_of,
    largest_penalties,
    slope_gradients,
)
from pyestim.models.expert_gates import GateParams
from pyestim.models.expert_groups import group_posterior
from pyestim.models.expert_solution import Effort, RecallingSweep, Solution, at, run
from pyestim.models.expert_start import make_starts
from pyestim.models.experts import ExpertMixture, ExpertParams

Columns = NDArray[np.intp]

#: From so many penalised columns on, products of all of them are not formed.
WIDE = 2000
#: A slope of zero may have a gradient this much above its penalty: what that loses is of the
#: order of its square.
GRADIENT_SLACK = 1e-3
#: Columns that join at once, and rounds in which they may.
LEAST_JOINING, MOST_ROUNDS = 20, 50
#: Tolerance of a fit that need not be exact.
ROUGH_TOL = 1e-3
#: Share of the penalty under which starts are looked for, lest they lose what few columns tell.
START_SHARE = 0.1
#: Columns on which starts are looked for where there are many.
START_COLUMNS = 12


def is_wide(source: ExpertSource, options: ExpertOptions) -> bool:
    """Whether a Lasso penalty acts on more columns than products are formed of."""
    experts = options.expert_l1 > 0.0 and source.x.n_features > WIDE
    gate = options.gate != "constant" and options.gate_l1 > 0.0 and source.z.n_features > WIDE
    return experts or gate


class WholeSpace:
    """All columns at once."""

    def __init__(self, source: ExpertSource, options: ExpertOptions, effort: Effort) -> None:
        self.source, self.options, self.effort = source, options, effort
        self._like = build_model(source, options)
        self._columns = np.arange(source.x.n_features), np.arange(source.z.n_features)

    def largest(self, n_init: int) -> LargestPenalties:
        """Penalties above which no slope is left."""
        return largest_penalties(self.source, self.options, n_init, self.effort.rng)

    def starts(self, penalties: tuple[float, float], n_init: int) -> list[ExpertParams]:
        """Starts at one penalty."""
        model = self._model(penalties)
        return make_starts(model, self.source, n_init, self.effort.rng)

    def solve(self, penalties: tuple[float, float], starts: Sequence[ExpertParams]) -> Solution:
        """Fit at one penalty, from the best of these starts on."""
        model = self._model(penalties)
        fit = run(model, self.source, starts, self.effort)
        return self._solution(model, fit, Secants(model.kinks))

    def follow(
        self, penalties: tuple[float, float], before: Solution, *, rough: bool = False
    ) -> Solution:
        """Fit at one penalty from the solution at another, with what that one has learned."""
        model = self._model(penalties)
        secants = before.secants.copy() if before.secants is not None else Secants(model.kinks)
        tol = max(self.effort.tol, ROUGH_TOL) if rough else self.effort.tol
        effort = replace(self.effort, accelerate=secants, tol=tol)
        sweep = RecallingSweep(model, self.source, before.fit)
        fit = run(model, self.source, [before.fit.params], effort, sweep=sweep)
        return self._solution(model, fit, secants)

    def _solution(self, model: ExpertMixture, fit: Fit[ExpertParams], secants: Secants) -> Solution:
        return Solution(
            model, self.source, fit, *self._columns, fit.params, secants, secants.on_branch
        )

    def _model(self, penalties: tuple[float, float]) -> ExpertMixture:
        return build_model(self.source, at(self.options, penalties), like=self._like)


class WideSpace:
    """Working sets: a fit on some columns, whose gradient on the others says which must join.

    The fit on a working set is that of all columns with zeros elsewhere, so that each of its steps
    raises the penalised likelihood of the whole, and columns that join, at zero, leave it as it
    is. It ends where no column left out has a gradient above its penalty: those are the conditions
    of the whole problem.

    Parameters
    ----------
    source : ExpertSource
        All columns.
    options : ExpertOptions
    effort : Effort
    """

    def __init__(self, source: ExpertSource, options: ExpertOptions, effort: Effort) -> None:
        self.source, self.options, self.effort = source, options, effort
        p, q = source.x.n_features, source.z.n_features
        self._every = np.arange(p), np.arange(q)
        self._free = options.expert_l1 == 0.0, options.gate != "constant" and options.gate_l1 == 0.0
        self._unit = (
            penalty_unit(source.x, options.standardize),
            penalty_unit(source.z, options.standardize),
        )
        self._kept: tuple[Columns, Columns, ExpertSource] | None = None

    # -- what a path asks for ---------------------------------------------------------------------

    def largest(self, n_init: int) -> LargestPenalties:
        """Penalties above which no slope is left."""
        x, z = self._with_free(np.zeros(1, dtype=np.intp), np.zeros(1, dtype=np.intp))
        sub = self._source(x, z)
        options = replace(at(self.options, (PROHIBITIVE, PROHIBITIVE)), standardize=True)
        model = build_model(sub, options, floor_sd=self.source.output_sd)
        fit = fit_experts(
            model, sub, n_init, self.effort.rng, tol=FLAT_TOL, max_sweeps=self.effort.max_sweeps
        )
        params = self._whole(fit.params, x, z)
        gradients = self._gradients(model, sub, fit.params, params)
        experts, gate = (largest_of(*pair) for pair in zip(gradients, self._unit, strict=True))
        return LargestPenalties(experts, gate, params)

    def starts(self, penalties: tuple[float, float], n_init: int) -> list[ExpertParams]:
        """Starts on the columns that go with the response, its sign left aside, most."""
        most = min(START_COLUMNS, max(2, self.source.n_effective // 10))
        first = np.sort(np.argsort(-self._scores(), kind="stable")[:most])
        z = first if self.source.z is self.source.x else self._every[1][:most]
        x, z = self._with_free(first, z)
        sub = self._source(x, z)
        penalties = START_SHARE * penalties[0], START_SHARE * penalties[1]
        found = make_starts(self._model(sub, penalties), sub, n_init, self.effort.rng)
        fit = run(self._model(sub, penalties), sub, found, self.effort)
        return [self._whole(fit.params, x, z)]

    def solve(self, penalties: tuple[float, float], starts: Sequence[ExpertParams]) -> Solution:
        """Fit at one penalty, from the best of these starts on."""
        found = [self._grow(penalties, start) for start in starts]
        return max(found, key=lambda one: one.objective)

    def follow(
        self, penalties: tuple[float, float], before: Solution, *, rough: bool = False
    ) -> Solution:
        """Fit at one penalty from the solution at another; what it gains by less is no saving."""
        return self.solve(penalties, [before.params])

    # -- working sets -----------------------------------------------------------------------------

    def _grow(self, penalties: tuple[float, float], params: ExpertParams) -> Solution:
        x, z = self._support(params)
        for _ in range(MOST_ROUNDS):
            x, z = self._with_free(x, z)
            sub = self._source(x, z)
            model = self._model(sub, penalties)
            fit = run(model, sub, [self._part(params, x, z)], self.effort)
            params = self._whole(fit.params, x, z)
            slopes = self._gradients(model, sub, fit.params, params)
            joining = [
                self._joining(slope, unit, l1, have)
                for slope, unit, l1, have in zip(slopes, self._unit, penalties, (x, z), strict=True)
            ]
            if not (len(joining[0]) or len(joining[1])):
                break
            x, z = np.union1d(x, joining[0]), np.union1d(z, joining[1])
        return Solution(model, sub, fit, x, z, params)

    def _joining(self, slope: Vector, unit: Vector, l1: float, have: Columns) -> Columns:
        """Columns whose gradient exceeds their penalty most."""
        if not slope.size:
            return np.zeros(0, dtype=np.intp)
        excess = slope.max(axis=0) / unit - l1 * (1.0 + GRADIENT_SLACK)
        excess[have] = -1.0
        most = max(LEAST_JOINING, len(have))
        order = np.argsort(-excess, kind="stable")[:most]
        return np.asarray(order[excess[order] > 0.0])

    def _support(self, params: ExpertParams) -> tuple[Columns, Columns]:
        x = np.flatnonzero(params.experts.coef[..., 1:].any(axis=(0, 1)))
        z = np.flatnonzero(params.gate.coef[:, 1:].any(axis=0))
        zero = np.zeros(1, dtype=np.intp)
        return (x if len(x) else zero), (z if len(z) else zero)

    def _with_free(self, x: Columns, z: Columns) -> tuple[Columns, Columns]:
        """Columns that no penalty acts on always belong."""
        every = self._every
        return (every[0] if self._free[0] else x), (every[1] if self._free[1] else z)

    def _source(self, x: Columns, z: Columns) -> ExpertSource:
        if self._kept is not None and all(
            np.array_equal(a, b) for a, b in zip(self._kept[:2], (x, z), strict=True)
        ):
            return self._kept[2]
        sub = self.source.columns(x, z)
        self._kept = x, z, sub
        return sub

    def _model(self, sub: ExpertSource, penalties: tuple[float, float]) -> ExpertMixture:
        return build_model(sub, at(self.options, penalties), floor_sd=self.source.output_sd)

    def _gradients(
        self, model: ExpertMixture, sub: ExpertSource, part: ExpertParams, params: ExpertParams
    ) -> tuple[Vector, Vector]:
        """Gradients of all slopes, in the working set or not."""
        stats = self._scores_of_rows(model, sub, part, params)
        return slope_gradients(model, params, stats)

    def _scores_of_rows(
        self, model: ExpertMixture, sub: ExpertSource, part: ExpertParams, params: ExpertParams
    ) -> Stats:
        """One pass over all columns that sums scores alone."""
        k, p, q = model.n_experts, self.source.x.n_features, self.source.z.n_features
        n_linear = model.experts.n_linear
        windows: dict[str, Shape] = {"log_likelihood": (), "weight_sum": (), "resp_sum": (k,)}
        windows["expert_score"] = (k, n_linear, 1 + p)
        if self.source.family == "gaussian":
            windows["residual"] = (k, n_linear * (n_linear + 1) // 2)
        if model.gate.gated:
            windows["gate_score"] = (k - 1, 1 + q)
        layout = Layout(windows)
        out = np.empty((1, layout.size))
        elsewhere: dict[str, Any] = {}
        chunk, groups = self.source.whole, self.source.groups
        if groups is not None:
            resp = group_posterior(model, part, sub.whole, groups)[1]
            elsewhere = {"source": "given", "responsibilities": resp[groups.code]}
        if not model.gate.gated:
            chunk = replace(chunk, gate_rows=None)
        kernels.experts_sweep(
            chunk, model.arrays([params]), out, gram=False, curvature=False, **elsewhere
        )
        return Stats(layout, out[0])

    # -- parameters of all columns and of some ----------------------------------------------------

    def _whole(self, part: ExpertParams, x: Columns, z: Columns) -> ExpertParams:
        p, q = self.source.x.n_features, self.source.z.n_features
        experts = replace(part.experts, coef=_spread(part.experts.coef, x, p))
        gate = part.gate
        if self.options.gate != "constant":
            gate = GateParams(_spread(part.gate.coef, z, q))
        return ExpertParams(gate, experts)

    def _part(self, params: ExpertParams, x: Columns, z: Columns) -> ExpertParams:
        experts = replace(params.experts, coef=_some(params.experts.coef, x))
        gate = params.gate
        if self.options.gate != "constant":
            gate = GateParams(_some(params.gate.coef, z))
        return ExpertParams(gate, experts)

    def _scores(self) -> Vector:
        """How far a column goes with the response: linearly, or its square with the square."""
        weight = self.source.sample_weight
        weight = np.ones(self.source.n_rows) if weight is None else weight
        rows = np.flatnonzero(weight > 0.0)
        heights = self.source.heights[rows]
        found = [
            _correlations(self.source.x, rows, height, weight[rows], square)
            for height in heights.T
            for square in (False, True)
        ]
        return np.asarray(np.max(found, axis=0))


def _spread(coef: Vector, columns: Columns, n_columns: int) -> Vector:
    out = np.zeros((*coef.shape[:-1], 1 + n_columns))
    out[..., 0] = coef[..., 0]
    out[..., 1 + columns] = coef[..., 1:]
    return out


def _some(coef: Vector, columns: Columns) -> Vector:
    return np.ascontiguousarray(coef[..., np.concatenate([[0], 1 + columns])])


def _correlations(
    columns: Any, rows: Columns, values: Vector, weight: Vector, square: bool
) -> Vector:
    """Absolute correlations of all columns, or of their squares, with values of some rows."""
    total = weight.sum()
    y = values - weight @ values / total
    y = np.square(y) if square else y
    y = weight * (y - weight @ y / total)
    size = np.sqrt(y @ y) or 1.0
    found = np.zeros(columns.n_features)
    for start in range(0, columns.n_features, 256):
        block = columns.working_columns(slice(start, start + 256), rows)
        block = block - weight @ block / total
        block = np.square(block) if square else block
        block = block - weight @ block / total
        norm = np.sqrt(np.einsum("ij,ij->j", block, block))
        found[start : start + 256] = np.abs(y @ block) / (size * np.where(norm > 0, norm, np.inf))
    return found
