"""Simulation of chains and reversible estimates, against deeptime and a plain numpy loop.

One thread, timed by the processor time of the process, so that other users of the machine count
little. Every number is a median, all variants taking turns. deeptime is optional:

    env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OMP_NUM_THREADS=1 python benchmarks/bench_chains.py
"""

from __future__ import annotations

import importlib.util
import time
import warnings

import numpy as np

import pyestim
from pyestim.models.chain_reversible import reversible_mle
from pyestim.models.chain_simulate import ChainSampler, simulate

#: On metastable chains deeptime's iteration would not end within minutes.
MOST_ITERATIONS = 1000
HAS_DEEPTIME = importlib.util.find_spec("deeptime") is not None


def medians(variants, repeats):
    """Median processor time of every variant in seconds, and what it returned last."""
    times = {name: [] for name in variants}
    results = {}
    for _ in range(repeats):
        for name, run in variants.items():
            begin = time.process_time()
            results[name] = run()
            times[name].append(time.process_time() - begin)
    return {name: float(np.median(values)) for name, values in times.items()}, results


def numpy_walk(P, n):
    """Walk n steps in Python, a binary search per step."""
    cumulated, uniform, state = P.cumsum(axis=1), np.random.default_rng(0).random(n), 0
    for u in uniform:
        state = cumulated[state].searchsorted(u)
    return state


def simulation():
    """Nanoseconds per step of one long sequence."""
    print("| states | build, ms | ours | deeptime | numpy loop |\n| --- | --- | --- | --- | --- |")
    for k in (10, 100, 1000):
        P, start = np.random.default_rng(0).dirichlet(np.ones(k), size=k), np.full(k, 1 / k)
        sampler, n, few = ChainSampler(P), 4_000_000, 20_000
        variants = {
            "build": lambda P=P: ChainSampler(P),
            "ours": lambda s=sampler, start=start, n=n: s.simulate(start, n, 0),
            "loop": lambda P=P, few=few: numpy_walk(P, few),
        }
        if HAS_DEEPTIME:
            from deeptime.markov.msm import MarkovStateModel

            model = MarkovStateModel(P, stationary_distribution=start)
            variants["deeptime"] = lambda m=model, few=few: m.simulate(few, start=0)
        seconds, _ = medians(variants, 3)
        peer = f"{seconds['deeptime'] / few * 1e9:.0f}" if HAS_DEEPTIME else "-"
        print(
            f"| {k} | {seconds['build'] * 1e3:.1f} | {seconds['ours'] / n * 1e9:.1f} | {peer} "
            f"| {seconds['loop'] / few * 1e9:.0f} |"
        )


def counts_of(P, n):
    """Count the transitions of a trajectory of n steps."""
    k = len(P)
    x = simulate(P, np.full(k, 1 / k), n, 1).astype(np.int64)
    return np.bincount(x[:-1] * k + x[1:], minlength=k * k).reshape(k, k).astype(float)


def count_cases():
    """Yield names and counts."""
    rng = np.random.default_rng(0)
    for k in (100, 1000):
        yield f"random, k = {k}", counts_of(rng.dirichlet(np.ones(k), size=k), 10 * k * k)
    weights = rng.random((1000, 1000))
    weights += weights.T
    block = np.arange(1000) // 250
    weights *= np.where(block[:, None] == block, 1, 1e-5)
    P = weights / weights.sum(axis=1, keepdims=True)
    yield "four metastable sets, k = 1000", counts_of(P, 4_000_000)
    yield "unbalanced (Poisson), k = 1000", rng.poisson(3, size=(1000, 1000)).astype(float)
    line = np.diag(np.full(100, 0.2)) + np.diag(np.full(99, 0.4), 1) + np.diag(np.full(99, 0.4), -1)
    yield "line, k = 100", counts_of(line / line.sum(axis=1, keepdims=True), 1_000_000)


def reversible():
    """Milliseconds per fit; deeptime to 1e-12 in its own measure, or MOST_ITERATIONS."""
    print("\n| counts | ours, ms | deeptime, ms | ratio | largest difference |")
    print("| --- | --- | --- | --- | --- |")
    for name, counts in count_cases():
        variants = {"ours": lambda c=counts: reversible_mle(c)}
        if HAS_DEEPTIME:
            from deeptime.markov.tools.estimation import transition_matrix

            variants["deeptime"] = lambda c=counts: transition_matrix(
                c, reversible=True, maxerr=1e-12, maxiter=MOST_ITERATIONS
            )
        seconds, results = medians(variants, 3)
        ours = seconds["ours"]
        if HAS_DEEPTIME:
            gap = np.abs(results["ours"].transition - results["deeptime"]).max()
            peer = seconds["deeptime"]
            rest = f"{peer * 1e3:.1f} | {peer / ours:.1f} | {gap:.0e}"
        else:
            rest = "- | - | -"
        print(f"| {name} | {ours * 1e3:.1f} | {rest} |")


if __name__ == "__main__":
    pyestim.set_num_threads(1)
    warnings.simplefilter("ignore")  # deeptime's, where it has not converged
    simulation()
    reversible()
