"""Time of one EM step: every library from the same start, for the same number of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import alternate, available_cores, median, relative_spread, seconds
from benchmarks.objective import mean_log_likelihood
from benchmarks.peers import Pyestim

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.cases import Case, Start
    from benchmarks.peers import Array, Peer

# scikit-learn's time over ours, one thread each, at AVX-512; half of it at AVX2.
GOALS = {
    "full-small-d": 60.0,
    "full-medium-d": 12.0,
    "full-large-d": 7.0,
    "diag": 7.0,
    "tied": 45.0,
    "spherical": 15.0,
}
GOAL_SHARE = {"v4": 1.0, "v3": 0.5}


def _step_seconds(peer: Peer, threads: int, X: Array, start: Start, n: int) -> Callable[[], float]:
    """Return a task: time of `n` further steps, divided by `n`.

    The difference between a fit of one step and one of `n + 1` leaves out what a fit does once:
    checks, the final evaluation, the choice of working coordinates.
    """

    def task() -> float:
        with peer.pinned(threads):
            one = seconds(lambda: peer.fit(X, start, 1), threads)
            more = seconds(lambda: peer.fit(X, start, n + 1), threads)
        return (more - one) / n

    return task


def measure_case(
    case: Case, peers: list[Peer], *, n_steps: int, repeats: int, budget: float
) -> dict[str, Any]:
    """Step times of all libraries on one case, alternating.

    Returns
    -------
    record : dict
        ``times``: one entry per library, thread count and dtype, with median seconds and spread;
        ``agreement``: the objective after the steps, each library minus the first.
    """
    cores = available_cores()
    X = case.data()
    start = case.start(X)
    variants: dict[str, tuple[Peer, int, Array]] = {}
    for peer in peers:
        if not peer.can(case):
            continue
        for threads in peer.thread_counts(cores):
            variants[f"{peer.name}|{threads}|float64"] = (peer, threads, X)
        if isinstance(peer, Pyestim):
            variants[f"{peer.name}|1|float32"] = (peer, 1, X.astype("float32"))
    tasks = {
        name: _step_seconds(peer, threads, rows, start, n_steps)
        for name, (peer, threads, rows) in variants.items()
    }
    measured = alternate(tasks, repeats=repeats, budget=budget)
    times = []
    for name, values in measured.items():
        library, threads_text, dtype = name.split("|")
        times.append(
            {
                "library": library,
                "threads": int(threads_text),
                "dtype": dtype,
                "seconds": median(values),
                "fastest": min(values),
                "spread": relative_spread(values),
                "repeats": len(values),
            }
        )
    return {
        "case": case.name,
        "label": case.label,
        "n_rows": case.n_rows,
        "n_features": case.n_features,
        "n_components": case.n_components,
        "covariance_type": case.covariance_type,
        "operations": case.operations(),
        "times": times,
        "agreement": _agreement(case, peers, X, start, n_steps),
    }


def _agreement(
    case: Case, peers: list[Peer], X: Array, start: Start, n_steps: int
) -> dict[str, float]:
    """Objective of each library's parameters after the steps, minus the first library's."""
    values = {}
    for peer in peers:
        if peer.can(case):
            with peer.pinned(available_cores()):
                fit = peer.fit(X, start, n_steps)
            try:
                values[peer.name] = mean_log_likelihood(
                    X, fit.weights, fit.means, fit.covariances, case.covariance_type
                )
            except np.linalg.LinAlgError:  # a library without a floor let a component collapse
                values[peer.name] = float("nan")
    first = next(iter(values.values()))
    return {name: value - first for name, value in values.items()}


def summarise(record: dict[str, Any], machine: dict[str, Any], ours: str) -> dict[str, Any]:
    """Ratios that the goals speak of, for one case."""

    def find(library: str, threads: int | None = None, dtype: str = "float64") -> float:
        found = [
            entry["seconds"]
            for entry in record["times"]
            if entry["library"] == library
            and entry["dtype"] == dtype
            and threads in (None, entry["threads"])
        ]
        return min(found, default=float("nan"))

    flops, exponentials = record["operations"]
    floor = flops / machine["dgemm_rate"] + exponentials / machine["exp_rate"]
    one = find(ours, 1)
    share = GOAL_SHARE.get(machine["instruction_set"])
    return {
        "sklearn_one": find("scikit-learn", 1),
        "sklearn_best": find("scikit-learn"),
        "ours_one": one,
        "ours_best": find(ours),
        "ratio_one": find("scikit-learn", 1) / one,
        "goal": GOALS[record["case"]] * share if share else None,
        "ratio_best": find("scikit-learn") / find(ours),
        "two_threads": one / find(ours, 2),
        "float32": one / find(ours, 1, "float32"),
        "peak_fraction": floor / one,
    }
