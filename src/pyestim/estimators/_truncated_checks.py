"""Arguments of `TruncatedGaussianMixture`: sets, and the rows that must lie in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators._base import POSITIVE, Array, Rule, one_of, shown
from pyestim.estimators._gaussian_checks import RULES as GAUSSIAN_RULES
from pyestim.models.support import Support
from pyestim.models.truncated_moments import MOST_COMPONENTS

METHODS = ("em", "moments")
SHARED = (
    *("n_components", "tol", "reg_covar", "max_iter", "n_init", "init_params", "warm_start"),
    *("verbose", "verbose_interval", "accelerate", "on_degenerate", "device"),
)

RULES: Mapping[str, Rule] = {
    **{name: GAUSSIAN_RULES[name] for name in SHARED},
    "covariance_type": one_of("full", "tied", "diag"),
    "method": one_of(*METHODS),
    "known_sd": Rule(
        lambda v: v is None or (POSITIVE.holds(v) and bool(v < float("inf"))),
        "None or a finite number above 0",
    ),
}


def make_support(owner: str, support: Any, lower: Any, upper: Any, d: int) -> Support:
    """Return the set of the arguments, with intervals in order and apart from each other."""
    if support is None:
        low = _limits(owner, "lower", lower, -np.inf, d)
        high = _limits(owner, "upper", upper, np.inf, d)
        _refuse_empty_box(owner, low, high)
        pieces = np.column_stack([low, high]) if d == 1 else None
        return Support(low, high, pieces)
    if lower is not None or upper is not None:
        raise ValueError(
            f"{owner}: expected either support or lower and upper, got both. A union of intervals "
            "is support=((a, b), (c, d), ...), a box lower= and upper=."
        )
    if d != 1:
        raise ValueError(
            f"{owner}: support is a union of intervals and expects one column, got {d}. "
            "Give a box by lower and upper."
        )
    pieces = _merged(owner, _intervals(owner, support))
    return Support(pieces[:1, 0], pieces[-1:, 1], pieces)


def from_published(bounds: Array, d: int) -> Support:
    """Return the set of the attribute ``support_``."""
    if d == 1:
        return Support(bounds[:1, 0], bounds[-1:, 1], bounds)
    return Support(bounds[:, 0].copy(), bounds[:, 1].copy())


def published(support: Support) -> Array:
    """Intervals (m, 2), or the lower and upper ends of each column (d, 2)."""
    if support.intervals is not None:
        return support.intervals.copy()
    return np.column_stack([support.lower, support.upper])


def _limits(owner: str, name: str, value: Any, default: float, d: int) -> Array:
    if value is None:
        return np.full(d, default)
    try:
        limits = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{owner}: {name} must be a number or {d} numbers, got {shown(value)}."
        ) from error
    if limits.shape not in ((), (d,)):
        raise ValueError(
            f"{owner}: {name} must be a number or have the shape ({d},), one limit for each column "
            f"of X, got the shape {limits.shape}."
        )
    if np.isnan(limits).any():
        raise ValueError(
            f"{owner}: {name} must not be NaN, got {shown(value)}. No limit is "
            f"{'-' if default < 0 else ''}numpy.inf."
        )
    return np.array(np.broadcast_to(limits, d))


def _refuse_empty_box(owner: str, low: Array, high: Array) -> None:
    bad = ~(low < high)
    if bad.any():
        j = int(np.flatnonzero(bad)[0])
        why = "is empty" if low[j] > high[j] or np.isinf(low[j]) else "has the measure zero"
        raise ValueError(
            f"{owner}: lower must be below upper, got lower = {low[j]:g} and upper = {high[j]:g} "
            f"in column {j}: the set {why}."
        )


def _intervals(owner: str, support: Any) -> Array:
    expected = "support must be pairs of numbers ((a, b), (c, d), ...) with a < b"
    try:
        pieces = np.asarray(support, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{owner}: {expected}, got {shown(support)}.") from error
    if pieces.shape == (2,):
        pieces = pieces[None]
    if pieces.ndim != 2 or pieces.shape[1] != 2 or not len(pieces):
        raise ValueError(f"{owner}: {expected}, got {shown(support)}.")
    if np.isnan(pieces).any():
        raise ValueError(f"{owner}: {expected}, got NaN. No limit is -numpy.inf or numpy.inf.")
    wrong = pieces[:, 0] > pieces[:, 1]
    if wrong.any():
        low, high = pieces[wrong][0]
        raise ValueError(
            f"{owner}: {expected}, got the interval ({low:g}, {high:g}), which is empty."
        )
    return pieces


def _merged(owner: str, pieces: Array) -> Array:
    """Intervals in increasing order; those that overlap or touch become one."""
    pieces = pieces[pieces[:, 0] < pieces[:, 1]]  # single points have no probability
    if not len(pieces):
        raise ValueError(
            f"{owner}: support has the measure zero: no interval is longer than a point. "
            "Expected at least one (a, b) with a < b."
        )
    pieces = pieces[np.argsort(pieces[:, 0], kind="stable")]
    reach = np.maximum.accumulate(pieces[:, 1])
    first = np.flatnonzero(np.append(True, pieces[1:, 0] > reach[:-1]))
    last = np.append(first[1:], len(pieces)) - 1
    return np.column_stack([pieces[first, 0], reach[last]])


def refuse_known_sd(owner: str, method: str, known_sd: float | None) -> None:
    """Only the method of moments holds a standard deviation."""
    if method != "moments" and known_sd is not None:
        raise ValueError(
            f'{owner}: known_sd is held by method="moments" only, got {known_sd:g} with '
            f'method="{method}", which estimates every covariance. Set known_sd=None, or '
            'method="moments".'
        )


def refuse_moments(owner: str, d: int, k: int) -> None:
    """The method of moments is for one column and few components."""
    if d != 1:
        raise ValueError(f'{owner}: method="moments" expects one column, got {d}. Use "em".')
    if k > MOST_COMPONENTS:
        raise ValueError(
            f'{owner}: method="moments" expects n_components of at most {MOST_COMPONENTS}, got '
            f'{k}: higher moments have no digits in double precision. Use "em".'
        )


def refuse_outside(owner: str, support: Support, X: NDArray[Any], weight: Array | None) -> None:
    """Every row that counts must lie in the set."""
    if support.everything:
        return
    outside = ~support.contains(X)
    if weight is not None:
        outside &= weight > 0.0
    n_outside = int(np.count_nonzero(outside))
    if n_outside:
        row = int(outside.argmax())
        raise ValueError(
            f"{owner}: expected every row of X inside the set, got {n_outside} of {len(X)} rows "
            f"outside it, the first of them row {row}: {np.array2string(X[row], precision=6)}. "
            "Drop them, widen the set, or, if rows outside are seen as a count, fit a censored "
            "mixture."
        )
