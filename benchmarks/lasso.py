"""Time of whole Lasso paths to a like duality gap, every library in processes of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.lasso_cases import LASSO_CASES
from benchmarks.lasso_peers import TOLERANCES, installed
from benchmarks.measure import available_cores

if TYPE_CHECKING:
    from benchmarks.lasso_cases import LassoCase

GAP = 1e-6  # relative to the loss of the zero model
NEAR = 10.0  # a peer that stops within this factor of the gap still counts as the fastest
TWO_THREADS_GOAL = 1.5
TWO_THREADS_CASES = ("wide", "sparse")


def _run(case: LassoCase, library: str, tol: float, threads: int, quick: bool, limit: float) -> Any:
    """One path in a new process; a sentence where that fails."""
    command = [sys.executable, "-m", "benchmarks.lasso_worker", case.name, library]
    command += [str(tol), str(threads), "quick" if quick else "full"]
    root = Path(__file__).resolve().parents[1]
    record = {"library": library, "tol": tol, "threads": threads}
    try:
        done = subprocess.run(
            command, cwd=root, capture_output=True, text=True, timeout=limit, check=False
        )
    except subprocess.TimeoutExpired:
        return record | {"failed": f"not within {limit:g} s"}
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return record | {"failed": last[:120]}
    return record | json.loads(done.stdout.strip().splitlines()[-1])


def measure_case(case: LassoCase, libraries: list[str], *, quick: bool, limit: float) -> Any:
    """Runs of every library, from its loose tolerance until a gap of `GAP` is reached.

    Quick: one tolerance each. A library that ran into the limit is not run at a tighter one.
    """
    runs: list[dict[str, Any]] = []
    for library in libraries:
        tolerances = TOLERANCES[library]
        for tol in tolerances[-1:] if quick else tolerances:
            run = _run(case, library, tol, 1, quick, limit)
            runs.append(run)
            if "failed" in run or run["gap"] <= GAP:
                break
    if "pyestim" in libraries and not quick and available_cores() > 1:
        runs.append(_run(case, "pyestim", TOLERANCES["pyestim"][-1], 2, quick, limit))
    shown = case.quick() if quick else case
    return {"name": case.name, "label": shown.label, "goal": case.goal, "runs": runs}


def measure(options: Any) -> list[dict[str, Any]]:
    """All cases."""
    peers = ["scikit-learn"] if options.quick else installed()
    libraries = ["pyestim", *([] if options.no_peers else peers)]
    records = []
    for case in LASSO_CASES:
        if options.case and case.name not in options.case:
            continue
        print(f"lasso: {case.label}", flush=True)
        limit = 5.0 if options.quick else 180.0
        records.append(measure_case(case, libraries, quick=options.quick, limit=limit))
    return records


def fastest(runs: list[dict[str, Any]], gap: float) -> dict[str, Any] | None:
    """Fastest peer among those whose gap is at most this."""
    peers = [r for r in runs if r["library"] != "pyestim" and r.get("gap", inf) <= gap]
    return min(peers, key=lambda run: run["seconds"], default=None)


def summarise(record: dict[str, Any]) -> dict[str, Any]:
    """Our time at the gap, the peers' ratios at it and at loose gaps, the second thread's gain."""
    ours = [r for r in record["runs"] if r["library"] == "pyestim" and "seconds" in r]
    one = [r for r in ours if r["threads"] == 1]
    tight = min((r for r in one if r["gap"] <= GAP), key=lambda r: r["seconds"], default=None)
    two = next((r for r in ours if r["threads"] == 2 and r["gap"] <= GAP), None)
    exact, near = (fastest(record["runs"], GAP * factor) for factor in (1.0, NEAR))
    loose = fastest(record["runs"], 1.0)
    best = min(one, key=lambda r: r["seconds"], default=None)

    def ratio(peer: Any, own: Any) -> float | None:
        return peer["seconds"] / own["seconds"] if peer and own else None

    return {
        "ours": tight,
        "peer": exact,
        "ratio": ratio(exact, tight),
        "near": near,
        "near_ratio": ratio(near, tight),
        "loose": loose,
        "loose_ratio": ratio(loose, best),
        "two_threads": ratio(tight, two),
    }
