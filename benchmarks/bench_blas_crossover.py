"""Where BLAS would do a full-covariance sweep faster than our kernels.

BLAS would need, per component and row, one triangular product (``dtrmm``) for the E-step and one
rank-k update (``dsyrk``) for the M-step; its time here is the time of these two calls alone, on
blocks of 384 rows that lie ready in its layout. Ours is the whole sweep: reading, E-step,
log-sum-exp, M-step. One thread each, turn by turn; lower quartiles of the
processor time, because a shared machine would otherwise measure its other users.

    env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 python benchmarks/bench_blas_crossover.py
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import threadpoolctl
from scipy.linalg import blas

sys.path.insert(0, str(Path(__file__).parent))
from bench_sweep import native_step
from cases import Start

FEATURES = (64, 96, 128, 192, 256, 384, 512, 768, 1024)
N_COMPONENTS = 4
BLOCK = 384


def ours(d, rng):
    """Return a function doing one sweep, and the number of its (row, component) pairs."""
    n_rows = 4096 if d <= 256 else 1024
    X = rng.standard_normal((n_rows, d))
    precisions = np.broadcast_to(np.eye(d), (N_COMPONENTS, d, d))
    means = 0.1 * rng.standard_normal((N_COMPONENTS, d))
    start = Start("full", np.full(N_COMPONENTS, 1 / N_COMPONENTS), means, precisions)
    return native_step(start, X, None, 1), n_rows * N_COMPONENTS


def theirs(d, rng):
    """Return functions doing one triangular product and one rank-k update of a block."""
    rows = np.asfortranarray(rng.standard_normal((d, BLOCK)))
    factor = np.asfortranarray(np.triu(rng.standard_normal((d, d))) / d + np.eye(d))
    scatter = np.zeros((d, d), order="F")

    def product():
        rows[:] = 1.0
        blas.dtrmm(1.0, factor, rows, trans_a=1, overwrite_b=1)

    def update():
        blas.dsyrk(1.0, rows, beta=1.0, c=scatter, lower=1, overwrite_c=1)

    return product, update


def nanoseconds(functions, repeats):
    """Lower quartile of the time of each function, taking turns."""
    times = np.empty((repeats, len(functions)))
    for repeat in range(repeats):
        for i, function in enumerate(functions):
            begin = time.thread_time()
            function()
            times[repeat, i] = time.thread_time() - begin
    return 1e9 * np.quantile(times, 0.25, axis=0)


def main():
    """Print nanoseconds per row and component."""
    rng = np.random.default_rng(5)
    print("| d | sweep | dtrmm | dsyrk | BLAS / ours | sweep, GFLOP/s |")
    print("|---|---|---|---|---|---|")
    with threadpoolctl.threadpool_limits(1):
        for d in FEATURES:
            step, pairs = ours(d, rng)
            sweep, product, update = nanoseconds([step, *theirs(d, rng)], 15 if d < 500 else 7)
            sweep, product, update = sweep / pairs, product / BLOCK, update / BLOCK
            print(
                f"| {d} | {sweep:.0f} | {product:.0f} | {update:.0f} "
                f"| {(product + update) / sweep:.2f} | {2 * d * (d + 1) / sweep:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
