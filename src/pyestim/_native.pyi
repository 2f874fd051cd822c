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

class Cells:
    def __init__(
        self,
        pattern: NDArray[np.int32],
        pattern_start: NDArray[np.int64],
        state: NDArray[np.int8],
        cell_start: NDArray[np.int64],
        lower: _Float64,
        upper: _Float64,
        width: _Float64,
    ) -> None: ...

def cells_sweep(
    ctx: Context,
    rows: Rows,
    cells: Cells,
    boxes: Cells | None,
    box: NDArray[np.int64] | None,
    start: int,
    stop: int,
    family: str,
    log_offset: _Float64,
    means: _Float64,
    factors: _Float64,
    out: _Float64,
) -> None: ...
def cells_rows(
    ctx: Context,
    rows: Rows,
    cells: Cells,
    start: int,
    stop: int,
    family: str,
    log_offset: _Float64,
    means: _Float64,
    factors: _Float64,
    log_prob: _Float64 | None = None,
    resp: _Float64 | None = None,
    labels: NDArray[np.int64] | None = None,
    expected: _Float64 | None = None,
) -> None: ...
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
def experts_sweep(
    ctx: Context,
    rows: Rows,
    gate_rows: Rows | None,
    responses: Rows,
    start: int,
    stop: int,
    family: str,
    gate_coef: _Float64,
    expert_coef: _Float64,
    factor: _Float64 | None,
    log_norm: _Float64 | None,
    source: str = "posterior",
    labels: NDArray[np.int32] | None = None,
    responsibilities: _Float64 | None = None,
    gram: bool = True,
    curvature: bool = True,
    out: _Float64 = ...,  # no default in truth
) -> None:
    """Statistics of mixtures of experts over rows start..stop, one row of out per candidate.

    Arithmetic is in double precision for rows of any dtype.

    family: "gaussian", "poisson", "binomial" (successes, failures), "multinomial" (codes).
    gate_coef (C, K, 1 + q): intercept first, the last expert is the reference and only its
    intercept is read (zero); an intercept of minus infinity drops an expert. gate_rows None: a
    constant gate, q = 0. Its own weights, where it has some, count in the gate's statistics.
    expert_coef (C, K, L, 1 + p); factor (C, K, m, m) and log_norm (C, K): gaussian, needed for
    the source "posterior" only. source: "posterior", "given", "labels".

    Statistics: log_likelihood (0 unless "posterior"), weight_sum, resp_sum (K), expert_score
    (K, L, 1 + p), expert_gram (K, triangle) unless gram is False, residual (K, tri(m)) gaussian,
    gate_score (K - 1, 1 + q) and, unless curvature is False, gate_curvature with gate_rows.
    """

def censored_sweep(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    law: str,
    lower: _Float64,
    upper: _Float64,
    offset: _Float64 | None,
    y_centre: float,
    y_scale: float,
    coef: _Float64,
    inverse_scale: _Float64,
    shape: _Float64,
    out: _Float64,
) -> None:
    """Statistics of linear models of censored responses, one row of out per candidate.

    law: "normal", "logistic", "t". Rows are exact where lower (n,) equals upper (n,); infinite
    limits are none. Working responses are (y - offset - y_centre) * y_scale. coef (C, 1 + p), in
    units of the scale, intercept first; inverse_scale (C,); shape (C, any): numbers of the law.

    Rows leave derivatives of their log-likelihood l by a and k, which move a standardised response
    z to k z - a: changes of the linear predictor in units of the scale, and of the inverse scale at
    the same location. Statistics: log_likelihood, weight_sum, sum l_k, sum l_kk, sum l_a x~
    (1 + p), sum l_ak x~ (1 + p), sum l_aa x~ x~' (triangle).
    """

def censored_rows(
    ctx: Context,
    rows: Rows,
    start: int,
    stop: int,
    law: str,
    lower: _Float64,
    upper: _Float64,
    offset: _Float64 | None,
    y_centre: float,
    y_scale: float,
    coef: _Float64,
    inverse_scale: _Float64,
    shape: _Float64,
    out: _Float64,
) -> None:
    """Outputs (m, 6) of each row under one model: l, l_a, l_k, l_aa, l_ak, l_kk."""

def experts_rows(
    ctx: Context,
    rows: Rows,
    gate_rows: Rows | None,
    responses: Rows | None,
    start: int,
    stop: int,
    family: str,
    gate_coef: _Float64,
    expert_coef: _Float64,
    factor: _Float64 | None,
    log_norm: _Float64 | None,
    log_prob: _Float64 | None = None,
    resp: _Float64 | None = None,
    log_density: _Float64 | None = None,
    gate: _Float64 | None = None,
    predictors: _Float64 | None = None,
) -> None:
    """Outputs of each row of start..stop under one candidate (C = 1 in the parameters).

    log_prob (m,), resp (m, K), log_density (m, K) of each expert alone, gate (m, K) log-weights,
    predictors (m, K, L). responses None: only gate and predictors can be asked for.
    """

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
def erfcx_apply(ctx: Context, x: _Float64) -> _Float64: ...
def log_ndtr_apply(ctx: Context, x: _Float64) -> _Float64: ...
def inverse_mills_apply(ctx: Context, x: _Float64) -> _Float64: ...
def interval_apply(
    ctx: Context, a: _Float64, b: _Float64, width: _Float64 | None = None
) -> tuple[_Float64, _Float64, _Float64]:
    """Log-probability, mean and variance of N(0, 1) inside intervals."""

def box_moments(
    ctx: Context,
    means: _Float64,
    covariances: _Float64,
    lower: _Float64,
    upper: _Float64,
) -> tuple[_Float64, _Float64, _Float64, _Float64, NDArray[np.int64]]:
    """Log-probabilities, means, covariances, relative errors and a status per box."""

def homotopy_path(
    ctx: Context,
    gram: _Float64,
    inverse: _Float64,
    state: _Float64,
    column: NDArray[np.int64],
    m: int,
    n_active: int,
    alpha_from: float,
    alpha_to: float,
    max_kinks: int,
) -> tuple[int, int, int, float, float]: ...
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

# -- columns and coordinate descent ----------------------------------------------------------------

_Chosen: TypeAlias = NDArray[np.int64]

@final
class Columns:
    """Columns in coordinates ``(x - centre) * factor``; sparse where ``entry_row`` is given."""

    def __init__(
        self,
        X: NDArray[np.float32] | _Float64,
        entry_row: NDArray[np.signedinteger[Any]] | None,
        starts: NDArray[np.signedinteger[Any]] | None,
        n: int,
        centre: _Float64,
        factor: _Float64,
    ) -> None: ...
    @property
    def shape(self) -> tuple[int, int]: ...

def column_dots(
    ctx: Context, columns: Columns, vectors: _Float64, chosen: _Chosen | None, out: _Float64
) -> None:
    """``out[k, c] = sum_i vectors[k, i] x[i, c]``."""

def column_squares(
    ctx: Context, columns: Columns, vectors: _Float64, chosen: _Chosen | None, out: _Float64
) -> None:
    """``out[k, c] = sum_i vectors[k, i] x[i, c]**2``."""

def column_times(
    ctx: Context, columns: Columns, beta: _Float64, chosen: _Chosen | None, out: _Float64
) -> None:
    """``out[k, i] = sum_c x[i, c] beta[k, c]``."""

def column_gram(
    ctx: Context,
    columns: Columns,
    row_weights: _Float64,
    left: _Chosen,
    right: _Chosen | None,
    out: _Float64,
) -> None:
    """``out[a, b] = sum_i row_weights[i] x[i, a] x[i, b]``; ``right`` None: symmetric."""

def coordinate_descent_gram(
    ctx: Context,
    gram: _Float64,
    linear: _Float64,
    beta: _Float64,
    l1: _Float64,
    l2: _Float64,
    lower: _Float64 | None,
    upper: _Float64 | None,
    tol: float,
    max_epochs: int,
    penalty: int = 0,
    parameter: float = 0.0,
) -> tuple[int, float]:
    """Minimise ``beta' gram beta / 2 - linear' beta + penalty``; ``beta`` in and out.

    penalty: 0 elastic net, 1 MCP, 2 SCAD with their parameter, 3 the K coefficients of a
    coordinate as one group.

    ``linear`` and ``beta`` are (m,) or (K, m). Returns the passes made and the largest change of
    a gradient, ``h_j |change of beta_j|``, in the last pass over all coordinates: at most ``tol``
    where it converged.
    """

def coordinate_descent(
    ctx: Context,
    columns: Columns,
    chosen: _Chosen,
    row_weights: _Float64,
    residual: _Float64,
    beta: _Float64,
    intercept: _Float64 | None,
    l1: _Float64,
    l2: _Float64,
    lower: _Float64 | None,
    upper: _Float64 | None,
    tol: float,
    max_epochs: int,
    penalty: int = 0,
    parameter: float = 0.0,
) -> tuple[int, float]:
    """Minimise ``sum_i row_weights_i residual_i**2 / 2 + penalty`` over ``beta`` and intercept.

    ``residual`` (n,) or (K, n), ``beta`` (m,) or (K, m) and ``intercept`` (K,) go in and out
    together: the residual falls by what the fit gains. Returns as `coordinate_descent_gram`.
    """

def lasso_steps(
    ctx: Context,
    gram: _Float64,
    score: _Float64,
    old: _Float64,
    l1: _Float64,
    l2: _Float64,
    weight: float,
    tol: float,
    max_epochs: int,
    coef: _Float64,
    gain: _Float64 | None = None,
    scale: _Float64 | None = None,
    square: _Float64 | None = None,
    count: _Float64 | None = None,
    floor: float = 0.0,
    alternations: int = 0,
    scale_tol: float = 0.0,
) -> None:
    """Write penalised steps from ``old`` (B, m) to ``coef``, one of each problem.

    The minimum of ``d' gram d / 2 - score' d + weight * (scale sum l1 |b| + sum l2 b^2 / 2)``,
    d = b - old, gram packed (B, m (m + 1) / 2).

    ``gain`` (B, 2) receives ``score' d`` less the rise of the penalty, and ``d' gram d``.
    ``scale`` (B,), in and out, is improved in turn with the slopes, ``alternations`` times or
    until it changes by ``scale_tol`` of itself: it solves ``count s^2 - weight (sum l1 |b|) s -
    (squares at b + weight sum l2 b^2) = 0`` and stays above ``floor``; ``square``: at old.
    """

def penalty_prox(
    ctx: Context,
    penalty: int,
    parameter: float,
    h: _Float64,
    z: _Float64,
    l1: _Float64,
    l2: _Float64,
    lower: _Float64,
    upper: _Float64,
    out: _Float64,
    value: _Float64,
) -> None:
    """Write ``argmin_b h b**2 / 2 - z b + penalty(b)`` of each row of ``z`` (m, group)."""
