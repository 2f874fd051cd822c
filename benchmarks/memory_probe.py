"""Resident memory of one fit: `python -m benchmarks.memory_probe LIBRARY N_ROWS`, prints JSON."""

from __future__ import annotations

import json
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.cases import MEMORY_CASE

if TYPE_CHECKING:
    from benchmarks.peers import Array

_ROWS = 1_000_000  # generated at a time, so that making the data leaves no high-water mark
_STEPS = 3


def _status_megabytes(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def _estimator(library: str) -> Any:
    if library == "pyestim":
        from pyestim import GaussianMixture
    else:
        from sklearn.mixture import GaussianMixture
    return GaussianMixture


def _data(n_rows: int) -> Array:
    X = np.empty((n_rows, MEMORY_CASE.n_features))
    for begin in range(0, n_rows, _ROWS):
        rows = min(_ROWS, n_rows - begin)
        X[begin : begin + rows] = replace(MEMORY_CASE, n_rows=rows).data()
    return X


def main(library: str, n_rows: int) -> dict[str, float]:
    """Fit with the default k-means start; returns megabytes of data and of growth."""
    warnings.simplefilter("ignore")
    X = _data(n_rows)
    estimator = _estimator(library)
    # Code pages, thread stacks and buffers of the libraries are there before the measurement.
    estimator(MEMORY_CASE.n_components, max_iter=_STEPS, random_state=0).fit(X[:20_000])
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forget the high-water mark
    before = _status_megabytes("VmRSS:")
    estimator(MEMORY_CASE.n_components, max_iter=_STEPS, random_state=0).fit(X)
    return {"data_mb": X.nbytes / 2**20, "growth_mb": _status_megabytes("VmHWM:") - before}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
