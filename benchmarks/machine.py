"""The machine: its name, and the rates of arithmetic that it reaches at its best."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
from pathlib import Path

import numpy as np
import threadpoolctl

from benchmarks.measure import available_cores, pinned, seconds


def processor_name() -> str:
    """Model name of the processor, with family and model where the system tells them."""
    if platform.system() != "Linux":
        return platform.processor() or platform.machine()
    facts: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name", platform.machine())
    if "cpu family" in facts:
        name += f" (family {facts['cpu family']}, model {facts['model']})"
    return name


def dgemm_rate() -> float:
    """Additions and multiplications per second of one thread's matrix product, measured."""
    n = 1024
    rng = np.random.default_rng(0)
    a, b, out = rng.standard_normal((n, n)), rng.standard_normal((n, n)), np.empty((n, n))
    with pinned(1):
        best = min(seconds(lambda: np.matmul(a, b, out=out)) for _ in range(8))
    return 2.0 * n**3 / best


def exp_rate() -> float:
    """Exponentials per second of one thread: the better of numpy and our own, in cache."""
    x = -np.random.default_rng(0).uniform(0, 30, 4096)
    out = np.empty_like(x)
    many = range(200)
    candidates = [lambda: [np.exp(x, out=out) for _ in many]]
    native = _own_exp()
    if native is not None:
        candidates.append(lambda: [native(x, out) for _ in many])
    best = min(seconds(task) for task in candidates for _ in range(5))
    return len(x) * len(many) / best


def _own_exp():  # type: ignore[no-untyped-def]
    """Return our exp over an array, where this build has it."""
    try:
        core = importlib.import_module("pyestim._core")
        native, context = core.native, core.context()
        native.apply_exp(context, np.zeros(1), np.empty(1), "neg")
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return lambda x, out: native.apply_exp(context, x, out, "neg")


def describe() -> dict[str, object]:
    """Everything that a reader needs to judge the numbers."""
    from pyestim import build_info

    versions = {}
    for name in ("numpy", "scipy", "scikit-learn", "gmmx", "gmr", "jax"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    build = build_info()
    return {
        "processor": processor_name(),
        "cores": available_cores(),
        "load_before": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
        "pyestim": build["version"],
        "instruction_set": build["instruction_set"],
        "compiler": build["compiler"],
        "dgemm_rate": dgemm_rate(),
        "exp_rate": exp_rate(),
        "blas": sorted(
            {
                f"{info['internal_api']} {info['version']} ({info['architecture']} kernels)"
                for info in threadpoolctl.threadpool_info()
                if info["user_api"] == "blas"
            }
        ),
    }
