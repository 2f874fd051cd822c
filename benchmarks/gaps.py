"""Time to the same objective gap on strongly overlapping components."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import kmeans_start
from benchmarks.direct import DirectFit
from benchmarks.measure import available_cores, clock_of, median, pinned, seconds
from benchmarks.objective import mean_log_likelihood
from benchmarks.peers import Pyestim, ScikitLearn

if TYPE_CHECKING:
    from types import ModuleType

    from benchmarks.cases import Case, Start
    from benchmarks.peers import Array, Peer

GAPS = (1e-4, 1e-6, 1e-8)
STEPS_GOAL = 3.0  # plain EM's steps over ours
TIME_GOAL = 25.0  # scikit-learn's time over ours
_TOL = 1e-10  # ours: bound on the estimated remaining gain, well below the finest gap


def _best_threads(peer: Peer, X: Array, start: Start) -> tuple[int, float]:
    """Thread count with the fastest step, and its seconds."""
    rates = {}
    for threads in peer.thread_counts(available_cores()):
        with peer.pinned(threads):
            peer.fit(X, start, 1)
            one = median([seconds(lambda: peer.fit(X, start, 1), threads) for _ in range(3)])
            more = median([seconds(lambda: peer.fit(X, start, 4), threads) for _ in range(3)])
        rates[threads] = max((more - one) / 3, 1e-9)
    threads = min(rates, key=lambda count: rates[count])
    return threads, rates[threads]


def _run(peer: ScikitLearn | Pyestim, X: Array, start: Start, limit: float, tol: float) -> dict:
    """Fit until the library stops by itself or the time is up; a point of the trace per step."""
    threads, each = _best_threads(peer, X, start)
    steps = int(np.clip(limit / each, 10, 100_000))
    with peer.pinned(threads):
        fits: list[Any] = []
        spent = seconds(lambda: fits.append(peer.fit(X, start, steps, tol=tol)), threads)
    fit = fits[0]
    count = len(fit.trace)
    return {
        "library": peer.name,
        "threads": threads,
        "steps": count,
        "seconds": spent,
        "trace": fit.trace,
        "at": [spent * (i + 1) / count for i in range(count)],
        "final": mean_log_likelihood(X, fit.weights, fit.means, fit.covariances, "full"),
    }


def _run_direct(X: Array, start: Start, limit: float) -> dict[str, Any]:
    direct = DirectFit(X, start)
    rates = {}
    for threads in dict.fromkeys((1, available_cores())):
        with pinned(threads):
            rates[threads] = seconds(lambda: direct.evaluate(direct.x0), threads)
    threads = min(rates, key=lambda count: rates[count])
    with pinned(threads):
        direct.run(limit, clock_of(threads))
    return {
        "library": "scipy L-BFGS-B",
        "threads": threads,
        "steps": len(direct.values),
        "seconds": direct.seconds[-1],
        "trace": direct.values,
        "at": direct.seconds,
        "final": max(direct.values),
    }


def measure_case(case: Case, module: ModuleType, *, limit: float) -> dict[str, Any]:
    """Traces of every method from the same k-means start, and when each gap was reached.

    `limit` bounds the seconds of each method. The best known value is the best that any of the
    methods reached here.
    """
    X = case.data()
    start = kmeans_start(case, X)
    runs = [
        _run(Pyestim(module, accelerate="auto", reg_covar=0.0), X, start, limit, _TOL),
        _run(
            Pyestim(module, "pyestim, plain EM", accelerate=None, reg_covar=0.0),
            X,
            start,
            limit,
            _TOL,
        ),
        _run(ScikitLearn(reg_covar=0.0), X, start, limit, 0.0),
        _run_direct(X, start, limit),
    ]
    best = max(run["final"] for run in runs)
    for run in runs:
        missing = best - np.maximum.accumulate(run["trace"])
        run["missing"] = missing.tolist()
        run["final_gap"] = best - run["final"]
        run["reached"] = {}
        for gap in GAPS:
            there = np.flatnonzero(missing <= gap)
            step = int(there[0]) if len(there) else None
            run["reached"][str(gap)] = (
                None if step is None else {"steps": step + 1, "seconds": run["at"][step]}
            )
    return {"case": case.name, "label": f"{case.label}, spread {case.spread}", "runs": runs}


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    """Steps and time ratios at the finest gap; None where a method did not reach it."""
    runs = {run["library"]: run for run in record["runs"]}
    finest = str(GAPS[-1])
    ours = runs["pyestim"]["reached"][finest]
    plain = runs["pyestim, plain EM"]
    sklearn = runs["scikit-learn"]

    def ratio(run: dict[str, Any], key: str) -> tuple[float, bool] | None:
        """Ratio to ours, and whether it is only a lower bound (the other did not get there)."""
        if ours is None:
            return None
        there = run["reached"][finest]
        value = run[key] if there is None else there[key]
        return value / ours[key], there is None

    return {"steps_ratio": ratio(plain, "steps"), "time_ratio": ratio(sklearn, "seconds")}
