"""The measured numbers as JSON, as Markdown tables, and as one picture."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from benchmarks import censored, chains, experts, gaps, lasso_report, steps, whole
from benchmarks.text import milliseconds, number, table, verdict

if TYPE_CHECKING:
    from pathlib import Path


def machine_lines(machine: dict[str, Any]) -> str:
    """The machine in two sentences."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"Machine: {machine['processor']}, {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}, {versions}, {', '.join(machine['blas'])}; "
        f"pyestim {machine['pyestim']}, "
        f"{machine['compiler']}, instruction set {machine['instruction_set']}.\n"
        f"Measured rates of one thread: matrix product {machine['dgemm_rate'] / 1e9:.1f} GFLOP/s, "
        f"exponential {machine['exp_rate'] / 1e9:.2f} G/s."
    )


def step_table(records: list[dict[str, Any]], machine: dict[str, Any]) -> str:
    """Milliseconds per EM step and the ratios that the goals speak of."""
    head = [
        "case (rows, columns, components)",
        "scikit-learn 1 thread",
        "scikit-learn best",
        "pyestim 1 thread",
        "pyestim best",
        "ratio, 1 thread each",
        "goal",
        "ratio, best each",
        "two threads",
        "float32",
        "share of peak",
    ]
    rows = []
    for record in records:
        s = steps.summarise(record, machine, "pyestim")
        rows.append(
            [
                record["label"],
                *(
                    milliseconds(s[key])
                    for key in ("sklearn_one", "sklearn_best", "ours_one", "ours_best")
                ),
                f"{number(s['ratio_one'])}x",
                verdict(s["ratio_one"], s["goal"]),
                f"{number(s['ratio_best'])}x",
                f"{s['two_threads']:.2f}x",
                f"{s['float32']:.2f}x",
                f"{100 * s['peak_fraction']:.0f} %",
            ]
        )
    return table(head, rows)


def peer_table(records: list[dict[str, Any]]) -> str:
    """Milliseconds per EM step of every library, at its best thread count."""
    libraries = list(dict.fromkeys(e["library"] for r in records for e in r["times"]))
    head = ["case", *libraries, "objective against scikit-learn"]
    rows = []
    for record in records:
        cells = [record["label"]]
        for library in libraries:
            found = [
                e for e in record["times"] if e["library"] == library and e["dtype"] == "float64"
            ]
            best = min(found, key=lambda entry: entry["seconds"], default=None)
            cells.append(
                f"{milliseconds(best['seconds'])} ({best['threads']} threads)" if best else "-"
            )
        cells.append(
            ", ".join(f"{n}: {v:+.0e}" for n, v in record["agreement"].items() if v != 0.0)
        )
        rows.append(cells)
    return table(head, rows)


def gap_table(records: list[dict[str, Any]]) -> str:
    """Steps and seconds to each gap."""
    head = ["problem", "method (threads)", *(f"to {gap:g}" for gap in gaps.GAPS), "final gap"]
    rows = []
    for record in records:
        for run in record["runs"]:
            cells = [record["label"], f"{run['library']} ({run['threads']})"]
            for gap in gaps.GAPS:
                there = run["reached"][str(gap)]
                cells.append(
                    f"not in {run['steps']} steps, {number(run['seconds'])} s"
                    if there is None
                    else f"{there['steps']} steps, {number(there['seconds'])} s"
                )
            cells.append(f"{max(run['final_gap'], 0.0):.1e}")
            rows.append(cells)
    lines = [table(head, rows), ""]
    for record in records:
        s = gaps.summarise(record)
        for key, what, goal in (
            ("steps_ratio", "plain EM's steps over ours", gaps.STEPS_GOAL),
            ("time_ratio", "scikit-learn's time over ours", gaps.TIME_GOAL),
        ):
            value, bound = s[key] or (math.nan, False)
            text = f"{'at least ' if bound else ''}{number(value)}x"
            lines.append(f"- {record['label']}: {what} {text} ({verdict(value, goal)}).")
    return "\n".join(lines)


def whole_lines(results: dict[str, Any]) -> str:
    """K-means start, small fit, memory: one line each."""
    lines = []
    for key, what, goal in (
        ("lloyd_step", "k-means, one Lloyd step", whole.KMEANS_STEP_GOAL),
        ("kmeans_start", "k-means, the whole start", whole.KMEANS_START_GOAL),
        ("small_fit", "a whole small fit, every default", whole.SMALL_FIT_GOAL),
    ):
        record = results[key]
        times = record["times"]
        one = times["scikit-learn|1"] / times["pyestim|1"]
        best = {
            name: min(v for k, v in times.items() if k.startswith(f"{name}|"))
            for name in ("scikit-learn", "pyestim")
        }
        lines.append(
            f"- {what} {record['label']}, one thread each: "
            f"scikit-learn {milliseconds(times['scikit-learn|1'])} ms, "
            f"pyestim {milliseconds(times['pyestim|1'])} ms, {number(one)}x "
            f"({verdict(one, goal)}); best thread count each: "
            f"{number(best['scikit-learn'] / best['pyestim'])}x."
        )
    for record in results["memory"]:
        size = f"{record['library']}, {record['n_rows']:.0e} rows".replace("e+0", "e")
        if "failed" in record:
            lines.append(f"- memory of a fit, {size}: failed ({record['failed']}).")
            continue
        judged = ""
        if record["library"] == "pyestim":
            met = record["growth_mb"] < whole.MEMORY_GOAL_MB
            goal = f"goal below {whole.MEMORY_GOAL_MB:g}"
            judged = f" ({goal}: {'met' if met else '**missed**'})"
        lines.append(
            f"- memory of a fit, {size}, 4 columns, 10 components: "
            f"{record['growth_mb']:.0f} MB beyond the data's {record['data_mb']:.0f} MB{judged}."
        )
    return "\n".join(lines)


def compare_table(records: list[dict[str, Any]]) -> str:
    """Base over head: above one, head is faster."""
    rows = []
    for record in records:
        times = {
            (e["library"], e["threads"], e["dtype"]): e
            for e in record["times"]
            if e["library"].startswith("pyestim")
        }
        for (library, threads, dtype), base in times.items():
            if library != "pyestim, base":
                continue
            head = times[("pyestim", threads, dtype)]
            ratio = base["seconds"] / head["seconds"]
            noise = math.hypot(base["spread"], head["spread"])
            rows.append(
                [
                    record["label"],
                    f"{threads}",
                    dtype,
                    milliseconds(base["seconds"]),
                    milliseconds(head["seconds"]),
                    f"{ratio:.3f} (noise {noise:.3f})",
                ]
            )
    return table(["case", "threads", "dtype", "base", "head", "base / head"], rows)


def markdown(results: dict[str, Any]) -> str:
    """All tables that the results have numbers for."""
    parts = [machine_lines(results["machine"])]
    if results.get("quick"):
        parts.append("Quick look: fewer rows and repeats than the goals speak of.")
    if "steps" in results:
        records = results["steps"]
        parts += [
            "## One EM step, milliseconds",
            step_table(records, results["machine"]),
            "### Every library at its best thread count, milliseconds",
            peer_table(records),
        ]
        if any(e["library"] == "pyestim, base" for r in records for e in r["times"]):
            parts += ["### Base against head, milliseconds", compare_table(records)]
    if "gaps" in results:
        parts += ["## To the same objective on overlapping components", gap_table(results["gaps"])]
    if "lasso" in results:
        parts += ["## Lasso paths, seconds", lasso_report.tables(results["lasso"])]
    if "experts" in results:
        parts += ["## Mixtures of experts", experts.lines(results["experts"])]
    if "censored" in results:
        parts += ["## Censored and truncated data", censored.lines(results["censored"])]
    if "whole" in results:
        parts += ["## Whole fits", whole_lines(results["whole"])]
    if "chains" in results:
        parts += [
            "## Markov chains",
            "### Counting, nanoseconds per transition",
            table(*chains.counting_rows(results["chains"]["counting"])),
        ]
    return "\n\n".join(parts) + "\n"


def write(results: dict[str, Any], folder: Path) -> str:
    """Write results.json, results.md and, where matplotlib is there, results.png."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(text, encoding="utf-8")
    try:
        from benchmarks.picture import draw
    except ImportError:
        return text + "\nNo picture: matplotlib is not installed.\n"
    draw(results, folder / "results.png")
    return text
