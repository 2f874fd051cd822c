"""Markov chains: transitions counted by us, by a plain loop in C, and by deeptime.

Every task goes from states in memory to a table of its own, the memory of the table included. The
loop in C is compiled when it is needed; without a compiler, or without deeptime, its column is
empty.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measure import alternate, available_cores, median, pinned, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

C_LOOP = """
#include <stdint.h>
#define COUNT(Int)                                                                  \\
  void count_##Int(const Int* x, int64_t n, int64_t k, int64_t* counts) {           \\
    for (int64_t i = 1; i < n; ++i) ++counts[(int64_t)x[i - 1] * k + (int64_t)x[i]]; \\
  }
COUNT(int8_t)
COUNT(int32_t)
"""
#: Nanoseconds per transition on one thread that the design asks for, by (states, type).
GOALS = {(5, "int8"): 0.12, (10, "int32"): 0.30, (100, "int32"): 0.30, (1000, "int32"): 0.75}
#: And of chains that repeat themselves, up to 100 states.
STICKY_GOAL = 0.40


@dataclass(frozen=True)
class Counting:
    """A chain: its probability to stay; without one a random walk."""

    n_states: int
    stay: float | None
    dtype: str = "int32"
    n_rows: int = 20_000_000

    @property
    def label(self) -> str:
        """Name of the case in tables."""
        kind = {None: "random walk", 0.0: "uniform"}.get(self.stay, f"stays with {self.stay}")
        return f"{self.n_states} states, {self.dtype}, {kind}"

    @property
    def goal(self) -> float | None:
        """Nanoseconds per transition on one thread."""
        if self.stay == 0.0:
            return GOALS.get((self.n_states, self.dtype))
        return STICKY_GOAL if self.n_states <= 100 and self.dtype == "int32" else None

    def quick(self) -> Counting:
        """Return the same chain with a tenth of the rows."""
        return replace(self, n_rows=self.n_rows // 10)

    def data(self) -> np.ndarray:
        """States of the chain; the same ones every time."""
        rng = np.random.default_rng(0)
        if self.stay is None:
            steps = rng.integers(-1, 2, size=self.n_rows, dtype=np.int8)
            states = np.cumsum(steps, dtype=np.int64) % self.n_states
        else:
            states = rng.integers(0, self.n_states, size=self.n_rows)
            moves = np.where(rng.random(self.n_rows) < self.stay, 0, np.arange(self.n_rows))
            states = states[np.maximum.accumulate(moves)]
        return states.astype(self.dtype)


COUNTING_CASES = [
    Counting(n_states, stay, dtype)
    for n_states, dtype in ((5, "int8"), *((k, "int32") for k in (5, 10, 100, 1000, 10_000)))
    for stay in (0.0, 0.6, 0.99, 0.999, None)
]


@functools.cache
def c_library() -> ctypes.CDLL | None:
    """Compile the loop with the system's compiler; None where there is none."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    folder = Path(tempfile.mkdtemp())
    (folder / "count.c").write_text(C_LOOP, encoding="utf-8")
    command = [compiler, "-O3", "-shared", "-fPIC", "count.c", "-o", "count.so"]
    subprocess.run(command, cwd=folder, check=True)
    library = ctypes.CDLL(str(folder / "count.so"))
    shutil.rmtree(folder, ignore_errors=True)
    return library


def c_loop(states: np.ndarray, n_states: int, table: np.ndarray | None = None) -> np.ndarray:
    """Count in C, into a new table or one that was used before."""
    library = c_library()
    assert library is not None
    table = np.zeros((n_states, n_states), dtype=np.int64) if table is None else table
    size = ctypes.c_int64
    library[f"count_{states.dtype.name}_t"](
        ctypes.c_void_p(states.ctypes.data),
        size(len(states)),
        size(n_states),
        ctypes.c_void_p(table.ctypes.data),
    )
    return table


def deeptime_counts(states: np.ndarray, n_states: int) -> Any:
    """Count with deeptime; sparse where we do the same."""
    from deeptime.markov.tools.estimation import count_matrix

    return count_matrix(states.astype(np.int32, copy=False), 1, sparse_return=n_states > 3000)


def counting_tasks(
    module: ModuleType, case: Counting, states: np.ndarray
) -> dict[str, tuple[int, Callable[[], Any]]]:
    """Every way to count, with its number of threads."""
    from pyestim.models.transition_counts import count_transitions

    k = case.n_states
    tasks: dict[str, tuple[int, Callable[[], Any]]] = {}
    if c_library() is not None:
        tasks["C loop"] = 1, lambda: c_loop(states, k)
        used = c_loop(states, k)
        tasks["C loop, used table"] = 1, lambda: c_loop(states, k, used)
    tasks["pyestim|1"] = 1, lambda: count_transitions(states, k)
    if available_cores() > 1:
        tasks["pyestim|2"] = 2, lambda: count_transitions(states, k)
    if importlib.util.find_spec("deeptime") is not None:
        tasks["deeptime"] = 1, lambda: deeptime_counts(states, k)
    return tasks


def measure_counting(
    module: ModuleType, case: Counting, *, repeats: int, budget: float
) -> dict[str, Any]:
    """Nanoseconds per transition of every way to count."""
    states = case.data()

    def timed(threads: int, task: Callable[[], Any]) -> Callable[[], float]:
        def run() -> float:
            with pinned(threads, set_num_threads=module.set_num_threads):
                return seconds(task, threads)

        return run

    tasks = {
        name: timed(threads, task)
        for name, (threads, task) in counting_tasks(module, case, states).items()
    }
    times = alternate(tasks, repeats=repeats, budget=budget)
    return {
        "label": case.label,
        "goal": case.goal,
        "ns": {name: 1e9 * median(t) / case.n_rows for name, t in times.items()},
    }


def run(module: ModuleType, *, quick: bool) -> dict[str, Any]:
    """Measure everything about chains; a further part adds its key here."""
    counting = []
    for full_size in COUNTING_CASES:
        case = full_size.quick() if quick else full_size
        print(f"chains, counting: {case.label}", flush=True)
        counting.append(
            measure_counting(module, case, repeats=3 if quick else 9, budget=0.5 if quick else 10.0)
        )
    return {"counting": counting}


def counting_rows(records: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of counting."""
    columns = ["C loop", "C loop, used table", "deeptime", "pyestim|1", "pyestim|2"]
    titles = [*columns[:3], "pyestim", "pyestim, 2 threads"]
    rows = []
    for record in records:
        ns = record["ns"]
        ours, plain, both = ns["pyestim|1"], ns.get("C loop"), ns.get("pyestim|2")
        goal = record["goal"]
        met = "" if goal is None else f"{goal:g}: " + ("met" if ours <= goal else "**missed**")
        rows.append(
            [
                record["label"],
                *(f"{ns[name]:.3g}" if name in ns else "-" for name in columns),
                "-" if plain is None else f"{plain / ours:.2f}x",
                "-" if both is None else f"{ours / both:.2f}x",
                met,
            ]
        )
    return ["chain", *titles, "C loop / ours", "second thread", "goal"], rows
