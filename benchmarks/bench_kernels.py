"""The small kernels by themselves: exp and log, precision factors, one Lloyd step, k-means++.

Every number is the best of several repeats, so that a busy machine disturbs little, and libraries
that are compared take turns. Run it with one BLAS thread and OpenBLAS free to choose its kernels:

    env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 python benchmarks/bench_kernels.py
"""

from __future__ import annotations

import argparse
import time
import warnings
from functools import partial

import numpy as np
import threadpoolctl
from scipy.linalg.lapack import dpotrf, dtrtri
from sklearn.cluster import KMeans, kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning

from pyestim._core import native

LEVELS = native.available_levels()


def best(functions, repeats):
    """Least seconds of each function, all taking turns."""
    seconds = [np.inf] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            begin = time.perf_counter()
            function()
            seconds[i] = min(seconds[i], time.perf_counter() - begin)
    return seconds


def exp_log(repeats):
    """Values per second out of the cache, in G/s."""
    print("\nexp and log, G/s, one thread, 4096 values in cache")
    names = ["exp_full", "exp_neg", "log_full", "log_pos"]
    print("| level | " + " | ".join(f"f{b} {n}" for b in (64, 32) for n in names) + " |")
    rng = np.random.default_rng(0)
    for level in LEVELS:
        context, cells = native.Context(level, 1), []
        for dtype in (np.float64, np.float32):
            x = rng.uniform(0.5, 50, size=4096).astype(dtype)
            for name in names:
                function, variant = name.split("_")
                apply = getattr(native, f"apply_{function}")
                inputs, out = -x if name == "exp_neg" else x, np.empty_like(x)
                # The difference of two lengths does not hold what a call costs by itself.
                short, short_out = inputs[:64].copy(), out[:64].copy()
                whole, part = best(
                    [
                        partial(apply, context, inputs, out, variant),
                        partial(apply, context, short, short_out, variant),
                    ],
                    200 * repeats,
                )
                cells.append(f"{(4096 - 64) / (whole - part) * 1e-9:.2f}")
        print(f"| {level} | " + " | ".join(cells) + " |")


def lapack_factors(matrices):
    """What LAPACK does for some matrices."""
    for cov in matrices:
        factor, _ = dpotrf(cov, lower=1, overwrite_a=0)
        dtrtri(factor, lower=1, overwrite_c=1)


def factorise(repeats):
    """Microseconds per matrix: our own code at each level, and LAPACK."""
    print("\nprecision factors, microseconds per matrix (batches of 4)")
    print("| d | " + " | ".join(LEVELS) + " | LAPACK |")
    rng = np.random.default_rng(0)
    for d in (2, 4, 8, 16, 32, 64, 96, 112, 128, 160, 192, 256):
        root = rng.normal(size=(4, d, d))
        cov = root @ root.transpose(0, 2, 1) + np.eye(d)
        column_major = [np.asfortranarray(c) for c in cov]
        factor, log_det = np.empty_like(cov), np.empty(4)
        functions = [
            partial(native.factorise, native.Context(level, 1), cov, factor, log_det)
            for level in LEVELS
        ]
        functions.append(partial(lapack_factors, column_major))
        seconds = best(functions, 20 * repeats if d < 100 else 3 * repeats)
        print(f"| {d} | " + " | ".join(f"{s / 4 * 1e6:.2f}" for s in seconds) + " |")


def sklearn_lloyd(x, centres, max_iter):
    """Fit of scikit-learn that stops after `max_iter` steps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        KMeans(len(centres), init=centres, n_init=1, max_iter=max_iter, tol=0).fit(x)


def lloyd(repeats):
    """One step of Lloyd's algorithm: ours at each level, scikit-learn's as a difference of fits."""
    n, d, k = 1_000_000, 8, 16
    x = np.random.default_rng(0).normal(size=(n, d))
    centres = x[:k].copy()
    functions = []
    for level in LEVELS:
        for dtype in (np.float64, np.float32):
            rows = native.Rows(x.astype(dtype), None, np.zeros(d), np.ones(d))
            out = np.empty((1, 2 + k + k * d))
            context = native.Context(level, 1)
            functions.append(
                partial(native.kmeans_sweep, context, rows, 0, n, centres[None], False, out)
            )
    functions += [partial(sklearn_lloyd, x, centres, 11), partial(sklearn_lloyd, x, centres, 1)]
    seconds = best(functions, repeats)
    peer = (seconds[-2] - seconds[-1]) / 10
    print(f"\none Lloyd step ({n}, {d}, {k}), one thread; scikit-learn {peer * 1e3:.1f} ms")
    for i, level in enumerate(LEVELS):
        f64, f32 = seconds[2 * i : 2 * i + 2]
        print(f"{level}: f64 {f64 * 1e3:.1f} ms, {peer / f64:.2f}x; f32 {f32 * 1e3:.1f} ms")


def plusplus(repeats):
    """Greedy k-means++ on rows in memory."""
    k = 16
    for n in (10_000, 1_000_000):
        x = np.random.default_rng(0).normal(size=(n, 8))
        uniforms = np.random.default_rng(1).uniform(size=(1, k, 2 + int(np.log(k))))
        out = np.empty((1, k), dtype=np.int64)
        functions = [
            partial(native.kmeans_plusplus, native.Context(level, 1), x, None, k, uniforms, out)
            for level in LEVELS
        ]
        functions.append(partial(kmeans_plusplus, x, k, random_state=0))
        *ours, peer = best(functions, repeats)
        print(f"\ngreedy k-means++ ({n}, 8, {k}), one thread; scikit-learn {peer * 1e3:.1f} ms")
        for level, seconds in zip(LEVELS, ours, strict=True):
            print(f"{level}: {seconds * 1e3:.1f} ms, {peer / seconds:.1f}x")


def main():
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    with threadpoolctl.threadpool_limits(1):
        for bench in (exp_log, factorise, lloyd, plusplus):
            bench(repeats)


if __name__ == "__main__":
    main()
