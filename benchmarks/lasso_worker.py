"""One path of one library in a process of its own: ours at its first call, others after a tiny one.

`python -m benchmarks.lasso_worker CASE LIBRARY TOLERANCE THREADS QUICK` prints JSON.
"""

from __future__ import annotations

import json
import sys
import warnings

import numpy as np

from benchmarks import lasso_peers
from benchmarks.lasso_cases import LASSO_CASES, LassoCase, relative_gaps
from benchmarks.measure import pinned, seconds


def main(name: str, library: str, tol: float, threads: int, quick: bool) -> dict[str, object]:
    """Seconds and gaps of the path."""
    case = next(case for case in LASSO_CASES if case.name == name)
    case = case.quick() if quick else case
    solve = lasso_peers.pyestim if library == "pyestim" else lasso_peers.LASSO_PEERS[library]
    X, y = case.data()
    alphas = case.alphas(X, y)
    if library == "pyestim":
        import pyestim.penalised.path  # noqa: F401
    else:
        tiny = LassoCase("tiny", 30, 20, 3, density=case.density, family=case.family)
        small, response = tiny.data()
        if case.density < 1:
            small = X[:30, :20].tocsc()
        solve(tiny, small, response, tiny.alphas(small, response)[1::30], tol, threads)
    found: list[np.ndarray] = []
    with pinned(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spent = seconds(lambda: found.append(solve(case, X, y, alphas, tol, threads)), threads)
    coefs = np.asarray(found[0])
    gaps = relative_gaps(case, X, y, alphas[: coefs.shape[1]], coefs)
    return {
        "seconds": spent,
        "points": int(coefs.shape[1]),
        "gap": float(gaps.max()),
        "median_gap": float(np.median(gaps)),
        "support": int(np.count_nonzero(coefs[:, -1])),
    }


if __name__ == "__main__":
    case_name, library_name, tolerance, n_threads, is_quick = sys.argv[1:]
    result = main(case_name, library_name, float(tolerance), int(n_threads), is_quick == "quick")
    print(json.dumps(result))
