"""How large tables of transitions may be: what is dense, and what fits in memory."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = [
    "DENSE_CELLS",
    "DENSE_STATES",
    "LARGEST_KEY",
    "MOST_STATES",
    "check_limits",
    "check_room",
    "memory_bytes",
]

#: "auto" is dense up to so many states (order 1), or cells (higher orders).
DENSE_STATES = 3000
DENSE_CELLS = 10_000_000
#: States and order are at most this; the native core numbers states in 32 bits.
MOST_STATES = 1 << 30
#: Keys of a context and a target are below this, or contexts are renumbered.
LARGEST_KEY = 2**63

#: Tables that are there at once: while counting the counts and the statistics that they go into,
#: while estimating the counts, the probabilities, and a table on the way from one to the other.
DENSE_COPIES = 3
#: Vectors over the states: starts and their distribution, rows of a sparse table twice.
STATE_VECTORS = 4
#: So many bytes are there anywhere.
LITTLE = 1 << 28


def check_limits(n_states: int, order: int) -> None:
    """Refuse more states, or a longer past, than can be numbered."""
    for name, value in (("n_states", n_states), ("order", order)):
        if not 1 <= value <= MOST_STATES:
            raise ValueError(
                f"count_transitions: {name} must be an integer from 1 to 2^30, got {value}."
            )


def check_room(n_rows: int, n_states: int, order: int, *, dense: bool) -> None:
    """Refuse tables that this process has no room for.

    Parameters
    ----------
    n_rows, n_states, order : int
    dense : bool
        Whether the cells are stored, or only vectors over the states.
    """
    table, vectors = n_rows * n_states * 8, STATE_VECTORS * n_states * 8
    need = vectors + (DENSE_COPIES * table if dense else 0)
    if need <= LITTLE or need <= (have := memory_bytes()):
        return
    what = f"for {n_states} states (order {order})"
    limit = f"more than the {have / 1e9:.3g} GB that this process may use"
    if not dense:
        raise MemoryError(
            f"counts {what} take {need / 1e9:.3g} GB, {limit}; number the states without gaps."
        )
    raise MemoryError(
        f"a dense table of transitions {what} takes {table / 1e9:.3g} GB, and {DENSE_COPIES} of "
        f"them are needed at once, {need / 1e9:.3g} GB in all: {limit}. sparse=True or 'auto' "
        "keeps only what occurs."
    )


def memory_bytes(proc: Path = Path("/proc"), groups: Path = Path("/sys/fs/cgroup")) -> int:
    """Memory of the machine, or of the control group of this process where that is less.

    Parameters
    ----------
    proc, groups : Path
        Where the kernel tells about this process, and about the groups.
    """
    return min([_physical_bytes(), *_group_limits(proc, groups)])


def _physical_bytes() -> int:
    """Memory of the machine; where it does not tell, what a process can address."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**47


def _group_limits(proc: Path, groups: Path) -> list[int]:
    """Limits of the group of this process and of those around it, both kinds of hierarchies."""
    limits = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            root, name = groups, "memory.max"
        elif "memory" in controllers.split(","):
            root, name = groups / "memory", "memory.limit_in_bytes"
        else:
            continue
        # Inside a container the path may be one that only the host sees; the root is ours then.
        inner = root / path.strip("/")
        for folder in [inner, *(p for p in inner.parents if root in (p, *p.parents))]:
            text = _text(folder / name).strip()
            if text.isdigit():  # "max" is no limit
                limits.append(int(text))
    return limits


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, ValueError):
        return ""
