"""One EM step of the kernels against one of scikit-learn, from the same start.

One thread is timed by the processor time of the process, so that other users of the machine count
little; the gain of two threads is the ratio of wall times and needs a quiet machine. Every number
is a median, all variants taking turns. With one BLAS thread and OpenBLAS free to choose kernels:

    env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 python benchmarks/bench_sweep.py
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import threadpoolctl
from sklearn.mixture import GaussianMixture

sys.path.insert(0, str(Path(__file__).parent))
from cases import STEP_CASES

from pyestim._core import native


def log_offset(start, factors):
    """Log-weight and normalising constant of each component."""
    d = start.means.shape[1]
    if start.covariance_type in ("full", "tied"):
        log_det = np.log(np.diagonal(factors, axis1=-2, axis2=-1)).sum(axis=-1)
    elif start.covariance_type == "diag":
        log_det = np.log(factors).sum(axis=-1)
    else:
        log_det = d * np.log(factors)
    return np.log(start.weights) + log_det - d / 2 * np.log(2 * np.pi)


def native_factors(start):
    """Square roots of the precisions in the shapes of the kernels."""
    if start.covariance_type in ("full", "tied"):
        return np.linalg.inv(np.linalg.cholesky(start.covariances))
    return np.sqrt(start.precisions)


def native_step(start, X, level, n_threads, accurate=False):
    """Return a function that sweeps `X` once."""
    k, d = start.means.shape
    centre = np.median(X[: min(len(X), 4096)], axis=0).astype(float)
    context = native.Context(level, n_threads)
    rows = native.Rows(X, None, centre, np.ones(d))
    factors = native_factors(start)
    offset = log_offset(start, factors)[None]
    triangle = d * (d + 1) // 2
    second = {"full": k * triangle, "tied": triangle, "diag": k * d, "spherical": k}
    out = np.empty((1, 2 + k + k * d + second[start.covariance_type]))
    means, factors = (start.means - centre)[None].copy(), np.ascontiguousarray(factors)[None]

    def step():
        native.mixture_sweep(
            context,
            rows,
            0,
            len(X),
            start.covariance_type,
            offset,
            means,
            factors,
            accurate,
            out,
        )
        return out[0]

    return step


def sklearn_step(start, X):
    """Return a function that does one EM step of scikit-learn."""
    model = GaussianMixture(len(start.weights), covariance_type=start.covariance_type)
    model.weights_, model.means_ = start.weights, start.means
    factors = native_factors(start)
    full = start.covariance_type in ("full", "tied")
    model.precisions_cholesky_ = np.swapaxes(factors, -1, -2) if full else factors
    kept = {name: value for name, value in vars(model).items() if name.endswith("_")}

    def step():
        vars(model).update(kept)
        log_prob, log_resp = model._e_step(X)
        model._m_step(X, log_resp)
        return log_prob

    return step


def medians(steps, repeats):
    """Median processor and wall seconds of each function, all taking turns: name -> (2,)."""
    seconds = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            begin = time.process_time(), time.perf_counter()
            step()
            end = time.process_time(), time.perf_counter()
            seconds[name].append(np.subtract(end, begin))
    return {name: np.median(times, axis=0) for name, times in seconds.items()}


def bench(case, levels, repeats, with_sklearn):
    """Processor and wall seconds of every variant of one case."""
    X = case.data()
    start = case.start(X)
    X32 = X.astype(np.float32)
    steps = {}
    for level in levels:
        for n_threads in (1, 2):
            steps[level, "f64", n_threads] = native_step(start, X, level, n_threads)
            steps[level, "f32", n_threads] = native_step(start, X32, level, n_threads)
    with threadpoolctl.threadpool_limits(1):
        times = medians(steps, repeats)
        if with_sklearn:
            times |= medians({"sklearn": sklearn_step(start, X)}, max(3, repeats // 3))
    return times


def main():
    """Print one line per case and level."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--levels", nargs="*", default=native.available_levels())
    parser.add_argument("--only", default="", help="cases whose label contains this")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--no-sklearn", action="store_true")
    options = parser.parse_args()
    print(
        "| case | level | f64 ms | f32 ms | f64/f32 | scikit-learn ms | ratio "
        "| 2 threads f64 | 2 threads f32 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for case in STEP_CASES:
        if options.only not in case.label:
            continue
        times = bench(case, options.levels, options.repeats, not options.no_sklearn)
        peer = times.get("sklearn", (np.nan, np.nan))[0]
        for level in options.levels:
            double, single = times[level, "f64", 1], times[level, "f32", 1]
            gains = [
                times[level, dtype, 1][1] / times[level, dtype, 2][1] for dtype in ("f64", "f32")
            ]
            print(
                f"| {case.label} | {level} | {double[0] * 1e3:.2f} | {single[0] * 1e3:.2f} "
                f"| {double[0] / single[0]:.2f} | {peer * 1e3:.0f} | {peer / double[0]:.1f} "
                f"| {gains[0]:.2f} | {gains[1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
