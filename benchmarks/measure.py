"""Timing: pinned threads, alternating repeats, medians."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
import warnings
from typing import TYPE_CHECKING

import threadpoolctl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def pinned(threads: int, *, set_num_threads: Callable[[int], None] | None = None) -> Iterator[None]:
    """Limit BLAS, OpenMP and, where given, a library's own pool to `threads`."""
    with threadpoolctl.threadpool_limits(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not converged: that is how the steps are counted
        if set_num_threads is not None:
            set_num_threads(threads)
        yield


def clock_of(threads: int | None) -> Callable[[], float]:
    """Clock for work on this many threads; `seconds` says why."""
    return time.process_time if threads == 1 else time.perf_counter


def seconds(task: Callable[[], object], threads: int | None = None) -> float:
    """Seconds of one call: processor time where it has one thread, else by the wall clock.

    The processor time of one thread is its wall time on a quiet machine, and other users of a
    busy one hardly change it. Of several threads it would count the work, not the wait.
    """
    clock = clock_of(threads)
    begin = clock()
    task()
    return clock() - begin


def alternate(
    tasks: dict[str, Callable[[], float]], *, repeats: int, budget: float
) -> dict[str, list[float]]:
    """Call the tasks in turn, so that noise of the machine meets all of them alike.

    Parameters
    ----------
    tasks : dict of callables
        Each returns the seconds it wants counted.
    repeats : int
        Rounds, at most.
    budget : float
        Seconds for all rounds together; a round that began is finished, one is made in any case.

    Returns
    -------
    times : dict of lists
        Seconds of each round for each task, without a first round that warms up.
    """
    for task in tasks.values():
        task()
    times: dict[str, list[float]] = {name: [] for name in tasks}
    begin = time.perf_counter()
    for round_number in range(repeats):
        if round_number >= 1 and time.perf_counter() - begin > budget:
            break
        for name, task in tasks.items():
            times[name].append(task())
    return times


def median(values: list[float]) -> float:
    """Median: a few disturbed repeats do not move it."""
    return statistics.median(values)


def relative_spread(values: list[float]) -> float:
    """Half the interquartile range relative to the median: how far to trust the median."""
    if len(values) < 4:
        return (max(values) - min(values)) / 2 / median(values)
    low, _, high = statistics.quantiles(values, n=4)
    return (high - low) / 2 / median(values)
