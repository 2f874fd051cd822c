"""The column kernels by themselves: products with columns, Gram matrices, epochs of descent.

Every number is the best of several repeats, so that a busy machine disturbs little. Run it with one
BLAS thread and OpenBLAS free to choose its kernels:

    env -u OPENBLAS_CORETYPE OMP_NUM_THREADS=1 python benchmarks/bench_columns.py

``--cpu`` counts processor time instead of seconds: what remains comparable where others compute on
the same cores (one thread only).
"""

from __future__ import annotations

import argparse
import time
from functools import partial

import numpy as np
from scipy import sparse

from pyestim import _core, set_num_threads
from pyestim._core import native
from pyestim.data import Design

N, P = 1000, 10_000


class Timer:
    """Least milliseconds of several repeats, for each number of threads."""

    def __init__(self, repeats, cpu):
        self.repeats, self.clock = repeats, time.process_time if cpu else time.perf_counter
        self.threads = (1,) if cpu else (1, 2)

    def __call__(self, function):
        """Milliseconds of a call."""
        best = np.inf
        for _ in range(self.repeats):
            begin = self.clock()
            function()
            best = min(best, self.clock() - begin)
        return best * 1e3

    def ours(self, function):
        """The same as a cell: for one thread and for two."""
        cells = []
        for n_threads in self.threads:
            set_num_threads(n_threads)
            cells.append(f"{self(function):.2f}")
        set_num_threads(1)
        return " / ".join(cells)


def products(timer):
    """X'r, X'R and X beta of dense matrices."""
    print("\nms, one / two threads, then numpy on one: X'r | X'R, R of 8 columns | X beta")
    rng = np.random.default_rng(0)
    for n, p in ((N, P), (100_000, 100)):
        for dtype in (np.float64, np.float32):
            for order in "FC":
                x = np.asarray(rng.standard_normal((n, p)), dtype=dtype, order=order)
                r, R, beta = (rng.standard_normal(size) for size in (n, (n, 8), p))
                design = Design(x)
                cells = [f"{n} x {p} {np.dtype(dtype)} {order}"]
                for mine, theirs in (
                    (partial(design.dot, r), partial(np.matmul, x.T, r.astype(dtype))),
                    (partial(design.dot, R), partial(np.matmul, x.T, R.astype(dtype))),
                    (partial(design.times, beta), partial(np.matmul, x, beta.astype(dtype))),
                ):
                    cells.append(f"{timer.ours(mine)}; {timer(theirs):.2f}")
                print("| " + " | ".join(cells) + " |", flush=True)


def sparse_products(timer):
    """The same for compressed columns, against scipy."""
    print("\nms, CSC 1e4 x 1e5, density 1e-3: X'r | X beta | Gram of 1000 columns")
    rng = np.random.default_rng(0)
    x = sparse.random_array((10_000, 100_000), density=1e-3, format="csc", rng=rng)
    design, r, beta = Design(x), rng.standard_normal(10_000), rng.standard_normal(100_000)
    chosen = np.sort(rng.choice(100_000, 1000, replace=False))
    mine = [partial(design.dot, r), partial(design.times, beta)]
    theirs = [lambda: x.T @ r, lambda: x @ beta]
    cells = [f"{timer.ours(a)}; {timer(b):.2f}" for a, b in zip(mine, theirs, strict=True)]
    cells.append(timer.ours(partial(design.gram, design.weight, chosen)))
    print("| " + " | ".join(cells) + " |", flush=True)


def grams(timer):
    """Gram matrices of working sets, and the new rows where a set grows."""
    print("\nms, Gram of 1000 columns of 1000 x 10000 | 20 more columns | numpy, with its copy")
    rng = np.random.default_rng(0)
    x = np.asfortranarray(rng.standard_normal((N, P)))
    some = np.sort(rng.choice(P, 1000, replace=False))
    for name, matrix in (("F", x), ("C", np.ascontiguousarray(x)), ("F32", x.astype(np.float32))):
        design = Design(matrix)
        whole = timer.ours(partial(design.gram, design.weight, some))
        grown = timer.ours(partial(design.gram, design.weight, some[:20], some))
        numpy = timer(lambda matrix=matrix: (z := matrix[:, some]).T @ z)
        print(f"| {name} | {whole} | {grown} | {numpy:.1f} |", flush=True)


def epochs(timer):
    """Microseconds of one pass over all coordinates, most of which move."""
    print("\nus per epoch, n = 1000: columns | Gram | residual")
    rng = np.random.default_rng(0)
    context, many = _core.context(), 21
    for m in (200, 1000, 1800):
        x = np.asfortranarray(rng.standard_normal((N, m)))
        design, y = Design(x), x @ rng.standard_normal(m) + rng.standard_normal(N)
        gram, linear = design.gram(design.weight, np.arange(m)), design.dot(design.weight * y)
        l1, l2 = np.full(m, 0.01), np.zeros(m)

        def on_gram(n_epochs, gram=gram, linear=linear, l1=l1, l2=l2, m=m):
            beta = np.zeros(m)
            native.coordinate_descent_gram(
                context, gram, linear, beta, l1, l2, None, None, 0.0, n_epochs
            )

        def on_columns(n_epochs, design=design, y=y, l1=l1, l2=l2, m=m):
            native.coordinate_descent(
                context, design.columns, np.arange(m), design.weight, y - y.mean(), np.zeros(m),
                np.zeros(1), l1, l2, None, None, 0.0, n_epochs,
            )  # fmt: skip

        cells = [
            (timer(partial(descend, many)) - timer(partial(descend, 1))) / (many - 1) * 1e3
            for descend in (on_gram, on_columns)
        ]
        print(f"| {m} | {cells[0]:.1f} | {cells[1]:.1f} |", flush=True)


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--cpu", action="store_true")
    options = parser.parse_args()
    timer = Timer(options.repeats, options.cpu)
    set_num_threads(1)
    for table in (products, sparse_products, grams, epochs):
        table(timer)


if __name__ == "__main__":
    main()
