"""Cut data: whole fits to the same objective gap, and a step against the step without limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.censored_direct import DirectTobit
from benchmarks.measure import alternate, available_cores, clock_of, median, pinned, seconds
from benchmarks.text import milliseconds, number, table, verdict
from benchmarks.truncated_direct import DirectTruncated

if TYPE_CHECKING:
    from types import ModuleType

    from numpy.typing import NDArray

    Array = NDArray[np.float64]

GAP = 1e-9  # of the mean log-likelihood
TRUNCATED_GOAL = 20.0  # L-BFGS-B's time to the gap over ours
TOBIT_GOAL = 1.0  # seconds, at most
_STEPS = 5


@dataclass(frozen=True)
class TruncatedCase:
    """Two components in one column, of which rows between two limits are seen."""

    name: str
    distance: float  # between the means, in standard deviations
    weight: float
    limits: tuple[float, float]
    n_rows: int = 100_000

    def data(self) -> tuple[Array, dict[str, Array]]:
        """Rows, and a start off the truth."""
        rng = np.random.default_rng(0)
        n = 4 * self.n_rows
        low = rng.random(n) < self.weight
        x = rng.normal(size=n) + np.where(low, -0.5, 0.5) * self.distance
        x = x[(x > self.limits[0]) & (x < self.limits[1])][: self.n_rows]
        far = 0.75 * self.distance
        start = {"weights": np.full(2, 0.5), "means": np.array([-far, far]), "sds": np.ones(2)}
        return x, start


TRUNCATED = (
    TruncatedCase("apart", 4.0, 0.5, (-2.5, 4.0)),
    TruncatedCase("overlapping", 2.0, 0.4, (-1.5, 3.0)),
)


@dataclass(frozen=True)
class CellCase:
    """Normal components, some of whose cells are known by bounds only."""

    name: str
    n_rows: int
    n_columns: int
    n_components: int
    share: float  # of the cells
    kinds: tuple[str, ...]
    goal: float  # our step over the step on exact rows, at most

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        return (
            f"{self.n_rows} rows, {self.n_columns} columns, {self.n_components} components, "
            f"{100 * self.share:g} % of the cells {' or '.join(self.kinds)}-censored"
        )

    def data(self) -> tuple[Array, Array, Array, dict[str, Array]]:
        """Exact rows, their bounds, and a start."""
        rng = np.random.default_rng(0)
        shape = (self.n_rows, self.n_columns)
        means = 2.0 * rng.normal(size=(self.n_components, self.n_columns))
        X = means[rng.integers(self.n_components, size=self.n_rows)] + rng.normal(size=shape)
        lower, upper = X.copy(), X.copy()
        cut = np.where(rng.random(shape) < self.share, rng.integers(len(self.kinds), size=shape), 9)
        for i, kind in enumerate(self.kinds):
            chosen = cut == i
            # Limits are known before the value: the ends of a grid of one standard deviation.
            cell = np.floor(X[chosen])
            lower[chosen] = -np.inf if kind == "left" else cell
            upper[chosen] = np.inf if kind == "right" else cell + 1.0
        start = {"means": means + rng.normal(0, 0.3, means.shape)}
        return X, lower, upper, start


CELLS = (
    CellCase("column", 1_000_000, 1, 2, 0.5, ("interval",), 8.0),
    CellCase("diagonal", 100_000, 5, 4, 0.2, ("left", "right", "interval"), 6.0),
)


@dataclass(frozen=True)
class TobitCase:
    """A linear model whose responses are cut at zero; about a third of them are."""

    n_rows: int = 1_000_000
    n_columns: int = 10

    def data(self) -> tuple[Array, Array]:
        """Predictors and responses."""
        rng = np.random.default_rng(0)
        X = rng.normal(size=(self.n_rows, self.n_columns))
        latent = 1.0 + X @ np.linspace(-1.0, 1.0, self.n_columns) + rng.normal(size=self.n_rows)
        return X, np.maximum(latent, 0.0)


def _whole_fit(
    module: ModuleType, ours: Any, reached: Any, direct: Any, *, repeats: int, limit: float
) -> dict[str, Any]:
    """Seconds of our fit, and of L-BFGS-B until it is within `GAP`, in turn on one thread."""
    clocks: list[list[float]] = []

    def theirs() -> float:
        direct.values, direct.seconds = [], []
        direct.run(limit, clock_of(1))
        clocks.append(direct.seconds)
        return float(direct.seconds[-1])

    with pinned(1, set_num_threads=module.set_num_threads):
        tasks = {"ours": lambda: seconds(ours, 1), "direct": theirs}
        times = alternate(tasks, repeats=repeats, budget=limit)
        value = reached()
    best = max(value, *direct.values)
    # Every run takes the same steps; one that was cut off may have taken fewer.
    within = [i for i, v in enumerate(direct.values) if best - v <= GAP]
    there = [clock[within[0]] for clock in clocks if within and len(clock) > within[0]]
    return {
        "ours": median(times["ours"]),
        "our_gap": best - value,
        "direct": median(there) if there else None,
        "direct_gap": best - max(direct.values),
        "direct_seconds": median(times["direct"]),
        "evaluations": len(direct.values),
    }


def measure_truncated(
    module: ModuleType, case: TruncatedCase, *, repeats: int, limit: float
) -> dict[str, Any]:
    """A whole fit from one start until the mean log-likelihood is within `GAP` of the best."""
    x, start = case.data()
    model = module.TruncatedGaussianMixture(
        2,
        lower=case.limits[0],
        upper=case.limits[1],
        tol=GAP / 10,
        weights_init=start["weights"],
        means_init=start["means"][:, None],
        precisions_init=(1 / start["sds"] ** 2)[:, None, None],
    )
    rows = x[:, None]
    found = _whole_fit(
        module,
        lambda: model.fit(rows),
        lambda: model.score(rows),
        DirectTruncated(x, case.limits, *start.values()),
        repeats=repeats,
        limit=limit,
    )
    label = f"{len(x)} rows, components {case.name}, {100 * model.missing_mass_:.0f} % never seen"
    return {"label": label, "sweeps": model.n_iter_ + 1, **found}


def measure_tobit(
    module: ModuleType, case: TobitCase, *, repeats: int, limit: float
) -> dict[str, Any]:
    """A Tobit regression with every default."""
    X, y = case.data()
    model = module.CensoredRegressor()
    found = _whole_fit(
        module,
        lambda: model.fit(X, y, lower=0.0),
        lambda: model.log_likelihood(X, y, lower=0.0) / len(y),
        DirectTobit(X, y, 0.0),
        repeats=repeats,
        limit=limit,
    )
    label = f"{case.n_rows} rows, {case.n_columns} predictors, {100 * np.mean(y == 0):.0f} % at 0"
    return {"label": label, "sweeps": model.n_iter_, **found}


def _mixture(estimator: Any, case: CellCase, start: dict[str, Array], steps: int) -> Any:
    return estimator(
        case.n_components,
        covariance_type="diag",
        tol=0.0,
        max_iter=steps,
        accelerate=None,
        weights_init=np.full(case.n_components, 1 / case.n_components),
        means_init=start["means"],
        precisions_init=np.ones_like(start["means"]),
    )


def measure_cells(
    module: ModuleType, case: CellCase, *, repeats: int, budget: float
) -> dict[str, Any]:
    """One EM step on exact rows, on the same rows as cells, and on censored cells.

    The time of a fit of many steps less that of one: the rows are read and sorted in both.
    """
    X, lower, upper, start = case.data()
    plain, censored = module.GaussianMixture, module.CensoredGaussianMixture

    def step(estimator: Any, threads: int, **rows: Array) -> float:
        found = []
        for steps in (1, 1 + _STEPS):
            model = _mixture(estimator, case, start, steps)
            with pinned(threads, set_num_threads=module.set_num_threads):
                found.append(seconds(lambda model=model: model.fit(**rows), threads))
        return (found[1] - found[0]) / _STEPS

    tasks = {
        "uncensored|1": lambda: step(plain, 1, X=X),
        "exact cells|1": lambda: step(censored, 1, X=X),
        "censored|1": lambda: step(censored, 1, lower=lower, upper=upper),
    }
    if available_cores() > 1:
        tasks["censored|2"] = lambda: step(censored, 2, lower=lower, upper=upper)
    times = alternate(tasks, repeats=repeats, budget=budget)
    medians = {name: median(values) for name, values in times.items()}
    return {"label": case.label, "goal": case.goal, "times": medians}


def run(module: ModuleType, *, quick: bool) -> dict[str, Any]:
    """Measure everything about cut data."""
    print("censored: whole fits, steps", flush=True)
    repeats, limit = (2, 2.0) if quick else (7, 60.0)
    tenth = 10 if quick else 1
    tobit = TobitCase(n_rows=TobitCase.n_rows // tenth)
    return {
        "truncated": [
            measure_truncated(
                module, replace(case, n_rows=case.n_rows // tenth), repeats=repeats, limit=limit
            )
            for case in TRUNCATED
        ],
        "cells": [
            measure_cells(
                module, replace(case, n_rows=case.n_rows // tenth), repeats=repeats, budget=limit
            )
            for case in CELLS
        ],
        "tobit": measure_tobit(module, tobit, repeats=repeats, limit=limit),
    }


def lines(results: dict[str, Any]) -> str:
    """Tables and verdicts."""
    text = []
    for what, record in (
        *(("Truncated mixture", record) for record in results["truncated"]),
        ("Tobit regression", results["tobit"]),
    ):
        theirs = record["direct"] or record["direct_seconds"]
        gain = theirs / record["ours"]
        judged = verdict(gain, TRUNCATED_GOAL)
        if what == "Tobit regression":
            judged = f"seconds of ours, {_at_most(record['ours'], TOBIT_GOAL)}"
        text.append(
            f"- {what} to a gap of {GAP:g}, {record['label']}: ours {milliseconds(record['ours'])} "
            f"ms in {record['sweeps']} passes (gap {record['our_gap']:.1e}), L-BFGS-B "
            f"{milliseconds(theirs)} ms in {record['evaluations']} evaluations (gap "
            f"{record['direct_gap']:.1e}): {'' if record['direct'] else 'at least '}"
            f"{number(gain)}x ({judged})."
        )
    rows = []
    for record in results["cells"]:
        times = record["times"]
        one, two = times["censored|1"], times.get("censored|2")
        ratios = [times[name] / times["uncensored|1"] for name in ("exact cells|1", "censored|1")]
        rows.append(
            [
                record["label"],
                milliseconds(times["uncensored|1"]),
                f"{number(ratios[0])}x",
                milliseconds(one),
                f"{number(ratios[1])}x ({_at_most(ratios[1], record['goal'])})",
                "-" if two is None else f"{number(one / two)}x",
            ]
        )
    head = [
        "one step, ms",
        "exact rows",
        "the same as cells",
        "censored",
        "over exact rows",
        "two threads",
    ]
    return "\n".join([*text, "", table(head, rows)])


def _at_most(value: float, goal: float) -> str:
    return f"goal at most {goal:g}: {'met' if value <= goal else '**missed**'}"
