"""The native core: the one context of this process, and the public functions that look at it."""

from __future__ import annotations

import operator
import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import scipy

from pyestim import _native as native
from pyestim._threads import (
    available_cores,
    default_num_threads,
    register_controller,
    single_threaded_blas,
)
from pyestim._version import __version__

__all__ = [
    "backend",
    "blas_in_lanes",
    "build_info",
    "context",
    "get_num_threads",
    "native",
    "set_num_threads",
    "single_threaded_blas",
]

LEVEL_VARIABLE = "PYESTIM_ISA"
#: Kernels do smaller matrices by themselves; what they leave to BLAS is larger than this.
BLAS_FROM = 112


def _chosen_level() -> str | None:
    level = os.environ.get(LEVEL_VARIABLE, "").strip()
    known = native.available_levels()
    if level and level not in known:
        compiled = native.build_info()["compiled_levels"]
        reason = (
            "this processor or operating system does not support it"
            if level in compiled
            else "this build has no such level"
        )
        raise ValueError(
            f"{LEVEL_VARIABLE} must be one of {', '.join(known)}, got {level!r}: {reason}; "
            "unset it for the best level."
        )
    return level or None


def _blas_capsules() -> dict[str, Any] | None:
    """Entries of SciPy's BLAS and LAPACK, or None where this SciPy does not export them."""
    try:
        from scipy.linalg import cython_blas, cython_lapack

        exported = {**cython_lapack.__pyx_capi__, **cython_blas.__pyx_capi__}
        return {name: exported[name] for name in native.BLAS_ROUTINES}
    except (ImportError, AttributeError, KeyError):
        return None


def _create_context() -> native.Context:
    ctx = native.Context(_chosen_level(), default_num_threads(), available_cores())
    capsules = _blas_capsules()
    if capsules is not None:
        ctx.bind_blas(capsules, f"scipy {scipy.__version__}")
    return ctx


_context = _create_context()


def context() -> native.Context:
    """Return the context that every sweep of this process uses."""
    return _context


def backend() -> str:
    """Return where sweeps are computed, for reports."""
    n = _context.n_threads
    return f"cpu, {_context.level}, {n} thread{'s' if n > 1 else ''}"


def blas_in_lanes(order: int) -> AbstractContextManager[None]:
    """Return what to hold while kernels may call BLAS on matrices of this order from many threads.

    Each of our threads is to run its own BLAS call: the library's threads would only queue up.
    """
    return single_threaded_blas() if order >= BLAS_FROM else nullcontext()


def get_num_threads() -> int:
    """Return how many threads a fit may use."""
    return _context.n_threads


def set_num_threads(n: int | None) -> None:
    """Set how many threads a fit may use; results are the same bits for any number.

    Parameters
    ----------
    n : int or None
        At least 1. None restores the default: the environment variable ``PYESTIM_NUM_THREADS``,
        else the cores that this process may use.
    """
    if n is None:
        _context.n_threads = default_num_threads()
        return
    try:
        value = operator.index(n)
    except TypeError:
        raise TypeError(f"set_num_threads: n must be an integer or None, got {n!r}.") from None
    if value < 1:
        raise ValueError(f"set_num_threads: n must be at least 1, got {value}.")
    _context.n_threads = value


def build_info() -> dict[str, Any]:
    """Return the version, the instruction set in use, threads, BLAS and GPU support.

    Returns
    -------
    dict
        ``version``; ``instruction_set`` in use, ``instruction_sets`` that this machine runs;
        ``vector_bytes``; ``threads``; ``blas`` (None or where it comes from and the width of its
        integers); ``cuda`` (None: this build has no device code); ``compiler``.
    """
    facts = native.build_info()
    return {
        "version": __version__,
        "instruction_set": _context.level,
        "instruction_sets": native.available_levels(),
        "vector_bytes": _context.vector_bytes,
        "threads": _context.n_threads,
        "cores": _context.n_cores,
        "blas": _context.blas,
        "cuda": None,
        "compiler": facts["compiler"],
    }


register_controller(get_num_threads, set_num_threads, __version__, native.LIBRARY_SYMBOL)
