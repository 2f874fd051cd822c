"""Native core: kernels for every instruction set, threads, and the checks in front of them.

Outputs are float64, C-contiguous, allocated by the caller and overwritten. C candidates, K
components, d features, S statistics of one candidate. ``start, stop`` are rows.
"""

from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

_Float64: TypeAlias = NDArray[np.float64]

BLAS_ROUTINES: tuple[str, ...]
LIBRARY_SYMBOL: str

def available_levels() -> list[str]: ...
def build_info() -> dict[str, Any]: ...

@final
class Context:
    def __init__(self, level: str | None, n_threads: int, n_cores: int = 0) -> None: ...
    @property
    def level(self) -> str: ...
    @property
    def vector_bytes(self) -> int: ...
    @property
    def n_threads(self) -> int: ...
    @n_threads.setter
    def n_threads(self, n_threads: int) -> None: ...
    @property
    def n_cores(self) -> int: ...
    def bind_blas(self, capsules: dict[str, Any], source: str) -> None: ...
    @property
    def blas(self) -> dict[str, Any] | None: ...

@final
class Rows:
    def __init__(
        self,
        X: NDArray[np.float32] | _Float64,
        sample_weight: _Float64 | None,
        centre: _Float64,
        scale: _Float64,
    ) -> None: ...
    @property
    def n_rows(self) -> int: ...
    @property
    def n_features(self) -> int: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...

def mixture_sweep(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    family: str,
    log_offset: _Float64,
    means: _Float64,
    factors: _Float64,
    accurate: bool,
    out: _Float64,
) -> None: ...
def mixture_rows(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    family: str,
    log_offset: _Float64,
    means: _Float64,
    factors: _Float64,
    accurate: bool,
    log_prob: _Float64 | None = None,
    resp: _Float64 | None = None,
    labels: NDArray[np.int64] | None = None,
    log_resp: bool = False,
) -> None: ...
def assign_sweep(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    family: str,
    source: str,
    means: _Float64,
    labels: NDArray[np.int32] | None = None,
    responsibilities: _Float64 | None = None,
    seeds: NDArray[np.uint64] | None = None,
    accurate: bool = False,
    out: _Float64 = ...,  # no default in truth
) -> None: ...
def kmeans_sweep(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    centres: _Float64,
    accurate: bool,
    out: _Float64,
) -> None: ...
def kmeans_plusplus(
    ctx: Context,
    Z: _Float64,
    weight: _Float64 | None,
    n_clusters: int,
    uniforms: _Float64,
    out_index: NDArray[np.int64],
) -> None: ...
def column_moments(ctx: Context, rows: Rows, start: int, stop: int, out: _Float64) -> None: ...
def factorise(
    ctx: Context, cov: _Float64, out_factor: _Float64, out_log_det: _Float64
) -> NDArray[np.int64]: ...
def apply_exp(
    ctx: Context,
    x: NDArray[np.floating[Any]],
    out: NDArray[np.floating[Any]],
    variant: str = "full",
) -> None: ...
def apply_log(
    ctx: Context,
    x: NDArray[np.floating[Any]],
    out: NDArray[np.floating[Any]],
    variant: str = "full",
) -> None: ...
def count_transitions(
    ctx: Context,
    codes: NDArray[np.integer[Any]],
    start: int,
    stop: int,
    n_states: int,
    offsets: NDArray[np.int64] | None,
    weight: _Float64 | None,
    out: NDArray[np.int64] | _Float64,
    order: int = 1,
) -> int: ...
def transition_cells(
    ctx: Context,
    codes: NDArray[np.integer[Any]],
    start: int,
    stop: int,
    n_states: int,
    offsets: NDArray[np.int64] | None,
    cells: NDArray[np.int64],
    counts: NDArray[np.int64],
    order: int = 1,
) -> tuple[int, int]: ...
def merge_cells(
    ctx: Context,
    cells_a: NDArray[np.int64],
    counts_a: NDArray[np.int64],
    cells_b: NDArray[np.int64],
    counts_b: NDArray[np.int64],
    cells: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> int: ...
def alias_dense(
    ctx: Context,
    probability: _Float64,
    hot: NDArray[np.uint32],
    threshold: NDArray[np.uint64],
) -> None: ...
def alias_sparse(
    ctx: Context,
    probability: _Float64,
    unseen: _Float64,
    n_states: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    places: NDArray[np.uint64],
) -> None: ...
def walk_dense(
    ctx: Context,
    n_states: int,
    hot: NDArray[np.uint32],
    threshold: NDArray[np.uint64],
    order: int,
    contexts: NDArray[np.int32] | None,
    successor: NDArray[np.int64] | None,
    start: _Float64 | None,
    initial: NDArray[np.int32] | None,
    offsets: NDArray[np.int64],
    first_sequence: int,
    seed: int,
    out: NDArray[np.int32],
) -> None: ...
def walk_sparse(
    ctx: Context,
    n_states: int,
    indptr: NDArray[np.int64],
    indices: NDArray[np.int32],
    places: NDArray[np.uint64],
    order: int,
    contexts: NDArray[np.int32] | None,
    successor: NDArray[np.int64] | None,
    start: _Float64 | None,
    initial: NDArray[np.int32] | None,
    offsets: NDArray[np.int64],
    first_sequence: int,
    seed: int,
    out: NDArray[np.int32],
) -> None: ...
def pair_sums(
    ctx: Context,
    formula: str,
    forward: _Float64,
    backward: _Float64,
    values: _Float64,
    sums: _Float64,
    weights: _Float64,
) -> None: ...
