"""Command line of the benchmarks; see README.md beside this file."""

from __future__ import annotations

import argparse
import datetime
from pathlib import Path
from typing import Any

import pyestim
from benchmarks import (
    censored,
    chains,
    compare,
    experts,
    gaps,
    lasso,
    machine,
    report,
    steps,
    whole,
)
from benchmarks.cases import GAP_CASES, KMEANS_CASE, STEP_CASES
from benchmarks.peers import Peer, Pyestim, installed_peers

_GROUPS = ("steps", "gaps", "whole", "chains", "lasso", "experts", "censored")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the rows, few repeats: under two minutes"
    )
    parser.add_argument("--only", choices=_GROUPS, action="append", help="part; repeatable")
    parser.add_argument("--case", action="append", help="name of a step or Lasso case; repeatable")
    parser.add_argument(
        "--base", type=Path, metavar="FOLDER", help="second build, installed with pip --target"
    )
    parser.add_argument("--no-peers", action="store_true", help="only our own builds")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "latest")
    return parser


def run_steps(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time per EM step of every case."""
    peers: list[Peer] = [] if options.no_peers else installed_peers()
    peers.append(Pyestim(pyestim))
    if options.base is not None:
        peers.append(Pyestim(compare.load_build(options.base), "pyestim, base"))
    records = []
    for full_size in STEP_CASES:
        if options.case and full_size.name not in options.case:
            continue
        case = full_size.quick() if options.quick else full_size
        print(f"steps: {case.label}", flush=True)
        records.append(
            steps.measure_case(
                case,
                peers,
                n_steps=2 if options.quick else 3,
                repeats=3 if options.quick else 9,
                budget=3.0 if options.quick else 60.0,
            )
        )
    return records


def run_gaps(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time to the same gap on the overlapping problems."""
    records = []
    for full_size in GAP_CASES:
        case = full_size.quick() if options.quick else full_size
        print(f"gaps: {case.name}, {case.label}", flush=True)
        records.append(gaps.measure_case(case, pyestim, limit=1.0 if options.quick else 240.0))
    return records


def run_whole(options: argparse.Namespace) -> dict[str, Any]:
    """Start, small fit, memory."""
    repeats = 2 if options.quick else 7
    case = KMEANS_CASE.quick() if options.quick else KMEANS_CASE
    print("whole fits: k-means, small fit, memory", flush=True)
    return {
        "lloyd_step": whole.lloyd_step(pyestim, case, repeats=repeats),
        "kmeans_start": whole.kmeans_start(pyestim, case, repeats=repeats),
        "small_fit": whole.small_fit(pyestim, repeats=10 * repeats),
        "memory": [whole.memory(name, n_rows=n) for name, n in whole.memory_sizes(options.quick)],
    }


def run_chains(options: argparse.Namespace) -> dict[str, Any]:
    """Markov chains."""
    return chains.run(pyestim, quick=options.quick)


def main(arguments: list[str] | None = None) -> None:
    """Measure, write the files, print the tables."""
    options = _parser().parse_args(arguments)
    groups = options.only or _GROUPS
    results: dict[str, Any] = {
        "date": datetime.datetime.now(tz=datetime.UTC).isoformat(timespec="seconds"),
        "quick": options.quick,
        "machine": machine.describe(),
    }
    runners = {
        "steps": run_steps,
        "gaps": run_gaps,
        "whole": run_whole,
        "chains": run_chains,
        "lasso": lasso.measure,
        "experts": lambda options: experts.run(pyestim, results["machine"], quick=options.quick),
        "censored": lambda options: censored.run(pyestim, quick=options.quick),
    }
    for group in groups:
        results[group] = runners[group](options)
    print()
    print(report.write(results, options.out))
    print(f"Written: {options.out}")
