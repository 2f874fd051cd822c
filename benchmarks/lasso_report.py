"""Tables of the Lasso paths."""

from __future__ import annotations

from typing import Any

from benchmarks import lasso
from benchmarks.text import number, table, verdict


def _cell(run: dict[str, Any] | None) -> str:
    if run is None:
        return "-"
    return f"{run['library']} {number(run['seconds'])} s at {run['gap']:.0e}"


def _ratio(value: float | None, goal: float) -> str:
    return "-" if value is None else f"{number(value)}x ({verdict(value, goal)})"


def goals(records: list[dict[str, Any]]) -> str:
    """Ours against the fastest peer at a like gap, and at any."""
    rows = []
    for record in records:
        s = lasso.summarise(record)
        two = lasso.TWO_THREADS_GOAL if record["name"] in lasso.TWO_THREADS_CASES else 1.0
        rows.append(
            [
                record["label"],
                _cell(s["ours"]),
                _cell(s["peer"]),
                _ratio(s["ratio"], record["goal"]),
                _cell(s["near"]),
                _ratio(s["near_ratio"], record["goal"]),
                _cell(s["loose"]),
                _ratio(s["loose_ratio"], 1.0),
                _ratio(s["two_threads"], two),
            ]
        )
    head = [
        "path of 100 penalties",
        "pyestim, gap below 1e-6",
        "fastest peer below 1e-6",
        "ratio",
        f"fastest peer below {lasso.GAP * lasso.NEAR:.0e}",
        "ratio",
        "fastest peer at any gap",
        "ratio",
        "two threads",
    ]
    return table(head, rows)


def all_runs(records: list[dict[str, Any]]) -> str:
    """Every run: seconds, worst and median gap, or why there are none."""
    rows = []
    for record in records:
        for run in record["runs"]:
            name = f"{run['library']} ({run['threads']})"
            cells = [record["label"], name, f"{run['tol']:.0e}"]
            if "failed" in run:
                rows.append([*cells, run["failed"], "-", "-"])
            else:
                gaps = [f"{run['gap']:.1e}", f"{run['median_gap']:.1e}"]
                rows.append([*cells, number(run["seconds"]), *gaps])
    head = ["problem", "library (threads)", "tolerance", "seconds", "worst gap", "median gap"]
    return table(head, rows)


def tables(records: list[dict[str, Any]]) -> str:
    """Both tables."""
    return "\n\n".join([goals(records), "### Every run", all_runs(records)])
