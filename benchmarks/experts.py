"""Mixtures of experts: one step, and a whole fit to the same objective gap."""

from __future__ import annotations

import importlib.util
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.experts_direct import DirectExperts
from benchmarks.experts_plain import em_step
from benchmarks.measure import alternate, available_cores, clock_of, median, pinned, seconds
from benchmarks.text import milliseconds, number, table, verdict

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

STEP_GOAL = 25.0  # the plain numpy step of tests/reference over ours
FIT_GOAL = 15.0  # L-BFGS-B's time to the gap over ours
FLOOR_GOAL = 3.0  # our step over its arithmetic and exponentials, at most
THREADS_GOAL = 1.8
GAP = 1e-8  # of the mean log-likelihood
#: Milliseconds per EM step of R's packages on 2e4 rows, measured beforehand (flexmix 2.3-18 with a
#: gate on 3 covariates, mixtools 2.0.0 with constant weights).
R_MILLISECONDS = {"flexmix 2.3-18": 154.0, "mixtools 2.0.0": 300.0}
R_ROWS, R_GATE_COLUMNS, R_GOAL = 20_000, 3, 100.0
_STEPS = 5


@dataclass(frozen=True)
class ExpertsCase:
    """Gaussian experts whose gate reads the same columns."""

    n_rows: int = 100_000
    n_columns: int = 10
    n_experts: int = 4

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return f"{self.n_rows} rows, {self.n_columns} predictors, {self.n_experts} experts"

    def data(self) -> tuple[Array, Array, dict[str, Array]]:
        """Predictors, responses, and a start: the truth with errors of a third."""
        rng = np.random.default_rng(0)
        p, k = self.n_columns, self.n_experts
        X = rng.normal(size=(self.n_rows, p))
        gate = rng.normal(size=(k, 1 + p))
        gate -= gate[-1]
        coef = 2.0 * rng.normal(size=(k, 1 + p))
        logit = gate[:, 0] + X @ gate[:, 1:].T
        label = (logit + rng.gumbel(size=logit.shape)).argmax(axis=1)
        y = coef[label, 0] + np.einsum("ij,ij->i", X, coef[label, 1:]) + rng.normal(size=len(X))
        start = {
            "gate": gate * (1 + rng.uniform(-0.3, 0.3, gate.shape)),
            "coef": coef * (1 + rng.uniform(-0.3, 0.3, coef.shape)),
            "scale": np.full(k, 1.5),
        }
        return X, y, start

    def floor(self, machine: dict[str, Any]) -> float:
        """Seconds of the least arithmetic of a step, at the rates that the machine reaches."""
        columns, k = 1 + self.n_columns, self.n_experts
        triangle = columns * (columns + 1) / 2
        predictors = (2 * k - 1) * columns
        sums = k * (triangle + columns + 1) + (k - 1) * columns + k * (k - 1) / 2 * triangle
        arithmetic = 2 * (predictors + sums) / machine["dgemm_rate"]
        return self.n_rows * (arithmetic + 2 * k / machine["exp_rate"])


def plain_numpy() -> Any:
    """The plain numpy version that the tests compare with; its gate is maximised in every step."""
    file = Path(__file__).resolve().parents[1] / "tests" / "reference" / "experts_numpy.py"
    spec = importlib.util.spec_from_file_location("experts_numpy", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def started(module: ModuleType, start: dict[str, Array], **arguments: Any) -> Any:
    """Our estimator at the start."""
    model = module.MixtureOfExpertsRegressor(
        len(start["coef"]), gate_l2=0.0, warm_start=True, **arguments
    )
    model.gate_intercept_, model.gate_coef_ = start["gate"][:, 0], start["gate"][:, 1:]
    model.expert_intercept_, model.expert_coef_ = start["coef"][:, 0], start["coef"][:, 1:]
    model.expert_scale_ = start["scale"]
    return model


def _step_seconds(
    module: ModuleType, data: Any, threads: int, gate_columns: int | None = None
) -> float:
    """Seconds of one plain step: of a fit of many less that of one, so that set-up drops out.

    The gate reads all columns, so many of the first ones, or none: then it is constant.
    """
    X, y, start = data
    arguments: dict[str, Any] = {"tol": 0.0, "accelerate": None}
    own = ()
    if gate_columns is not None:
        start = {**start, "gate": start["gate"][:, : 1 + gate_columns]}
        own = (np.ascontiguousarray(X[:, :gate_columns]),) if gate_columns else ()
        arguments["gate"] = "softmax" if gate_columns else "constant"
    with pinned(threads, set_num_threads=module.set_num_threads):
        times = []
        for steps in (1, 1 + _STEPS):
            model = started(module, start, max_iter=steps, **arguments)
            times.append(seconds(lambda model=model: model.fit(X, y, *own), threads))
    return (times[1] - times[0]) / _STEPS


def measure_step(
    module: ModuleType, case: ExpertsCase, machine: dict[str, Any], *, repeats: int, budget: float
) -> dict[str, Any]:
    """One EM step of ours and of plain numpy."""
    data = case.data()
    X, y, start = data

    reference = plain_numpy().em_step
    columns = np.column_stack([np.ones(len(X)), X])
    ones, response = np.ones(len(y)), y[:, None]
    given = (start["gate"], start["coef"][:, None], start["scale"][:, None, None] ** 2)

    def plain() -> float:
        with pinned(1):
            return seconds(
                lambda: reference("gaussian", columns, columns, response, ones, *given), 1
            )

    def lean() -> float:
        with pinned(1):
            return seconds(
                lambda: em_step(columns, y, start["gate"], start["coef"], start["scale"]), 1
            )

    tasks = {
        "plain numpy|1": plain,
        "lean numpy|1": lean,
        "pyestim|1": lambda: _step_seconds(module, data, 1),
    }
    if available_cores() > 1:
        tasks["pyestim|2"] = lambda: _step_seconds(module, data, 2)
    times = alternate(tasks, repeats=repeats, budget=budget)
    return {
        "label": case.label,
        "times": {name: median(values) for name, values in times.items()},
        "floor": case.floor(machine),
    }


def measure_fit(module: ModuleType, case: ExpertsCase, *, limit: float) -> dict[str, Any]:
    """Seconds until the mean log-likelihood is within `GAP` of the best known, one thread each."""
    X, y, start = case.data()
    with pinned(1, set_num_threads=module.set_num_threads):
        model = started(module, start, tol=GAP / 10)
        ours = seconds(lambda: model.fit(X, y), 1)
        direct = DirectExperts(X, y, start["gate"], start["coef"], start["scale"])
        direct.run(limit, clock_of(1))
    reached = model.log_likelihood(X, y) / len(y)
    best = max(reached, *direct.values)
    within = [t for v, t in zip(direct.values, direct.seconds, strict=True) if best - v <= GAP]
    return {
        "label": case.label,
        "ours": ours,
        "our_gap": best - reached,
        "sweeps": model.n_iter_ + 1,
        "direct": within[0] if within else None,
        "direct_gap": best - max(direct.values),
        "direct_seconds": direct.seconds[-1],
        "evaluations": len(direct.values),
    }


def measure_r(module: ModuleType, *, repeats: int, budget: float) -> dict[str, float]:
    """Our step at the size of the figures of R, with their gate."""
    case = ExpertsCase(n_rows=R_ROWS)
    data = case.data()
    times = alternate(
        {
            "flexmix 2.3-18": lambda: _step_seconds(module, data, 1, R_GATE_COLUMNS),
            "mixtools 2.0.0": lambda: _step_seconds(module, data, 1, 0),
        },
        repeats=repeats,
        budget=budget,
    )
    return {name: median(values) for name, values in times.items()}


def run(module: ModuleType, machine: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    """Measure everything about experts."""
    case = ExpertsCase()
    case = replace(case, n_rows=case.n_rows // 10) if quick else case
    print(f"experts: {case.label}", flush=True)
    repeats, budget = (2, 1.0) if quick else (9, 60.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: that is how the steps are counted
        return {
            "step": measure_step(module, case, machine, repeats=repeats, budget=budget),
            "fit": measure_fit(module, case, limit=3.0 if quick else 120.0),
            "r": measure_r(module, repeats=repeats, budget=budget),
        }


def lines(results: dict[str, Any]) -> str:
    """Tables and verdicts."""
    step, fit = results["step"], results["fit"]
    times, ours = step["times"], step["times"]["pyestim|1"]
    ratio, floor = times["plain numpy|1"] / ours, ours / step["floor"]
    two = ours / times["pyestim|2"] if "pyestim|2" in times else None
    lean = times["lean numpy|1"] / ours
    rows = [
        [
            "numpy, the gate maximised in every step, as R does",
            milliseconds(times["plain numpy|1"]),
            f"{number(ratio)}x ({verdict(ratio, STEP_GOAL)})",
        ],
        [
            "numpy, the work of one step of ours",
            milliseconds(times["lean numpy|1"]),
            f"{number(lean)}x",
        ],
        ["pyestim", milliseconds(ours), ""],
        ["floor of the arithmetic", milliseconds(step["floor"]), _below(floor, FLOOR_GOAL)],
        [
            "pyestim, two threads",
            "-" if two is None else milliseconds(times["pyestim|2"]),
            f"{number(two)}x ({verdict(two, THREADS_GOAL)})",
        ],
    ]
    text = [table([f"one step, {step['label']}", "ms", ""], rows), ""]
    for name, theirs in R_MILLISECONDS.items():
        mine = 1e3 * results["r"][name]
        text.append(
            f"- {name} on {R_ROWS} rows takes {theirs:g} ms per step (measured elsewhere), ours "
            f"{number(mine)} ms, {number(theirs / mine)}x ({verdict(theirs / mine, R_GOAL)})."
        )
    direct = fit["direct"]
    gain = (direct or fit["direct_seconds"]) / fit["ours"]
    bound = "" if direct else "at least "
    text.append(
        f"- Whole fit to a gap of {GAP:g}, {fit['label']}: ours {number(fit['ours'])} s in "
        f"{fit['sweeps']} sweeps (gap {fit['our_gap']:.1e}), L-BFGS-B "
        f"{number(direct or fit['direct_seconds'])} s in {fit['evaluations']} evaluations (gap "
        f"{fit['direct_gap']:.1e}): {bound}{number(gain)}x ({verdict(gain, FIT_GOAL)})."
    )
    return "\n".join(text)


def _below(value: float, goal: float) -> str:
    return (
        f"ours {number(value)}x of it (goal {goal:g}: {'met' if value <= goal else '**missed**'})"
    )
