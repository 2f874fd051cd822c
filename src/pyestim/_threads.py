"""How many threads the native core may use: environment, cgroup quota, threadpoolctl.

This module knows no native code; `pyestim._core` hands it the context.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache

import joblib
import threadpoolctl

VARIABLE = "PYESTIM_NUM_THREADS"


def parse_positive(name: str, text: str) -> int:
    """Read a positive integer from the environment variable `name`."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise ValueError(
            f"{name} must be a positive integer, got {text!r}; unset it for the default."
        )
    return value


def available_cores() -> int:
    """Cores that this process may use: affinity mask, cgroup quota, ``LOKY_MAX_CPU_COUNT``."""
    return max(1, int(joblib.cpu_count()))


def default_num_threads(environ: Mapping[str, str] = os.environ) -> int:
    """``PYESTIM_NUM_THREADS``, else every available core, at most ``OMP_NUM_THREADS``.

    joblib tells its worker processes through ``OMP_NUM_THREADS`` how many cores are theirs;
    scikit-learn's own threads obey it as well.
    """
    own = environ.get(VARIABLE, "").strip()
    if own:
        return parse_positive(VARIABLE, own)
    cores = available_cores()
    shared = environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return min(cores, int(shared)) if shared.isdecimal() and int(shared) > 0 else cores


def register_controller(
    get: Callable[[], int], set_: Callable[[int], None], version: str, symbol: str
) -> None:
    """Let ``threadpoolctl`` see and limit our threads (needs threadpoolctl 3.2)."""
    register = getattr(threadpoolctl, "register", None)
    if register is None:
        return

    class PyestimController(threadpoolctl.LibController):  # type: ignore[misc]
        """Threads of the native core of pyestim."""

        user_api = "pyestim"
        internal_api = "pyestim"
        filename_prefixes = ("_native",)
        check_symbols = (symbol,)  # other packages may have a library of that name

        def get_num_threads(self) -> int:
            return get()

        def set_num_threads(self, num_threads: int) -> None:
            set_(num_threads)

        def get_version(self) -> str:
            return version

    register(PyestimController)


@cache
def _blas_libraries() -> threadpoolctl.ThreadpoolController:
    return threadpoolctl.ThreadpoolController().select(user_api="blas")


class _SingleThreadedBlas:
    """Counts who needs BLAS to be single-threaded: the first sets the limit, the last lifts it.

    The limit holds for the whole process, so overlapping fits must not restore each other's.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._limits = contextlib.ExitStack()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._limits.enter_context(_blas_libraries().limit(limits=1))
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._limits.close()


single_threaded_blas = _SingleThreadedBlas()
