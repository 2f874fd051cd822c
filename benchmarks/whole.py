"""Whole fits: the k-means start, a small fit with all defaults, the memory of a large fit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from benchmarks.cases import MEMORY_CASE, SMALL_CASE
from benchmarks.measure import alternate, available_cores, median, pinned, seconds
from benchmarks.peers import Pyestim, ScikitLearn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from benchmarks.cases import Case

KMEANS_STEP_GOAL = 2.5
KMEANS_START_GOAL = 3.0
SMALL_FIT_GOAL = 5.0
MEMORY_GOAL_MB = 64.0


def kmeans_start(module: ModuleType, case: Case, *, repeats: int) -> dict[str, Any]:
    """Time of the whole k-means start of a mixture fit, ours and scikit-learn's.

    It is what a fit of one step with `init_params="kmeans"` takes longer than the same fit from
    given parameters: seeding, Lloyd steps, and the first M-step.
    """
    X = case.data()
    start = case.start(X)
    common = {"covariance_type": case.covariance_type, "max_iter": 1, "random_state": 0}

    def extra(peer: ScikitLearn | Pyestim, estimator: Any, threads: int) -> Callable[[], float]:
        def task() -> float:
            with peer.pinned(threads):
                model = estimator(case.n_components, **common)
                whole = seconds(lambda: model.fit(X), threads)
                return whole - seconds(lambda: peer.fit(X, start, 1), threads)

        return task

    tasks = {}
    for threads in (1, available_cores()):
        ours = Pyestim(module)
        tasks[f"scikit-learn|{threads}"] = extra(ScikitLearn(), GaussianMixture, threads)
        tasks[f"pyestim|{threads}"] = extra(ours, module.GaussianMixture, threads)
    times = {name: median(v) for name, v in alternate(tasks, repeats=repeats, budget=60).items()}
    return {"label": f"({case.n_rows:.0e}, 8, 16)".replace("e+0", "e"), "times": times}


def lloyd_step(module: ModuleType, case: Case, *, repeats: int) -> dict[str, Any]:
    """Time of one Lloyd step: our sweep, and the same number of scikit-learn's iterations."""
    import numpy as np

    X = case.data()
    centres = case.start(X).means
    core = sys.modules[f"{module.__name__}._core"]
    k, d = centres.shape
    rows = core.native.Rows(X, None, np.zeros(d), np.ones(d))
    out = np.empty((1, 2 + k + k * d))

    def sklearn_step(threads: int) -> float:
        def fit(n: int) -> float:
            model = KMeans(k, init=centres, n_init=1, max_iter=n, tol=0, algorithm="lloyd")
            return seconds(lambda: model.fit(X), threads)

        few = fit(1)
        return (fit(6) - few) / 5

    def our_step(threads: int) -> float:
        c = centres[None]
        return seconds(
            lambda: core.native.kmeans_sweep(core.context(), rows, 0, len(X), c, False, out),
            threads,
        )

    tasks = {}
    for threads in (1, available_cores()):
        for name, step in (("scikit-learn", sklearn_step), ("pyestim", our_step)):

            def task(threads: int = threads, step: Callable[[int], float] = step) -> float:
                with pinned(threads, set_num_threads=module.set_num_threads):
                    return step(threads)

            tasks[f"{name}|{threads}"] = task
    times = {name: median(v) for name, v in alternate(tasks, repeats=repeats, budget=60).items()}
    return {"label": f"({case.n_rows:.0e}, 8, 16)".replace("e+0", "e"), "times": times}


def small_fit(module: ModuleType, *, repeats: int) -> dict[str, Any]:
    """Time of a whole small fit with every default."""
    X = SMALL_CASE.data()

    def whole(estimator: Any, threads: int) -> Callable[[], float]:
        def task() -> float:
            with pinned(threads, set_num_threads=module.set_num_threads):
                return seconds(lambda: estimator(3, random_state=0).fit(X), threads)

        return task

    tasks = {}
    for threads in (1, available_cores()):
        tasks[f"scikit-learn|{threads}"] = whole(GaussianMixture, threads)
        tasks[f"pyestim|{threads}"] = whole(module.GaussianMixture, threads)
    times = {name: median(v) for name, v in alternate(tasks, repeats=repeats, budget=20).items()}
    return {"label": "(300, 2, 3)", "times": times}


def memory(library: str, *, n_rows: int) -> dict[str, Any]:
    """Growth of the resident memory during a fit, in a process of its own."""
    root = Path(__file__).resolve().parents[1]
    probe = [sys.executable, "-m", "benchmarks.memory_probe", library, str(n_rows)]
    done = subprocess.run(probe, cwd=root, capture_output=True, text=True, check=False)
    if done.returncode:
        return {"library": library, "n_rows": n_rows, "failed": done.stderr.strip()[-300:]}
    return {"library": library, "n_rows": n_rows, **json.loads(done.stdout)}


def memory_sizes(quick: bool) -> list[tuple[str, int]]:
    """Which libraries to probe at which size; scikit-learn needs gigabytes at the full one."""
    if quick:
        return [("pyestim", MEMORY_CASE.n_rows // 20), ("scikit-learn", MEMORY_CASE.n_rows // 50)]
    return [("pyestim", MEMORY_CASE.n_rows), ("scikit-learn", MEMORY_CASE.n_rows)]
