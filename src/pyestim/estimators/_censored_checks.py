"""Arguments, responses and limits of censored regressions: what they must be, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from pyestim.data.censored import CensoredSource
from pyestim.estimators._base import POSITIVE, Array, Rule, integer, number, one_of
from pyestim.models.error_laws import LAWS

_FLAG = one_of(True, False)
_DF = number(0.1)

RULES: Mapping[str, Rule] = {
    "distribution": one_of(*LAWS),
    "df": Rule(lambda v: v is None or _DF.holds(v), "None or a finite number of at least 0.1"),
    "scale": Rule(lambda v: v is None or POSITIVE.holds(v), "None or a number above 0"),
    "fit_intercept": _FLAG,
    "tol": number(0.0),
    "max_iter": integer(0),
    "warm_start": _FLAG,
}


class Responses(NamedTuple):
    """Limits of every response: (n,) each, one array where all are exact."""

    lower: Array
    upper: Array


def check_responses(owner: str, y: Any, lower: Any, upper: Any, n: int | None) -> Responses:
    """Return the limits of the responses, or raise.

    With y, `lower` and `upper` are limits of what can be seen: responses at or beyond them are
    known to lie there. Without y, they are the limits of each response.
    """
    if y is not None:
        exact = _response(y, n)
        if lower is None and upper is None:
            return Responses(exact, exact)
        n = len(exact)
        low, high = check_limits(owner, lower, upper, n)
        below, above = exact <= low, exact >= high
        return Responses(
            np.where(below, -np.inf, np.where(above, high, exact)),
            np.where(below, low, np.where(above, np.inf, exact)),
        )
    if lower is None or upper is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: expected a response for "
            "each row, or both lower and upper, the limits of each response (-inf and inf where "
            "there is none)."
        )
    return check_limits(
        owner, lower, upper, max(np.size(lower), np.size(upper)) if n is None else n
    )


def check_limits(owner: str, lower: Any, upper: Any, n: int) -> Responses:
    """Return limits (n,) from numbers, one for each row, or None."""
    low = _limits(owner, "lower", lower, n, -np.inf)
    high = _limits(owner, "upper", upper, n, np.inf)
    _refuse_crossed(owner, low, high)
    return Responses(low, high)


def _response(y: Any, n: int | None) -> Array:
    checked: Array = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    checked = np.ascontiguousarray(column_or_1d(checked, warn=True))
    if n is not None:
        check_consistent_length(np.empty(n), checked)
    return checked


def _limits(owner: str, name: str, values: Any, n: int, absent: float) -> Array:
    """Limits (n,) from a number, one for each row, or None."""
    if values is None:
        return np.full(n, absent)
    found = np.asarray(values)
    if found.dtype.kind == "c":
        raise ValueError(f"{owner}: {name} must hold real numbers, got complex ones.")
    found = found.astype(np.float64)
    if found.ndim == 0:
        found = np.full(n, float(found))
    if found.shape == (n, 1):
        found = found[:, 0]
    if found.shape != (n,):
        raise ValueError(
            f"{owner}: {name} must be a number or have the shape ({n},), one limit for each row, "
            f"got {found.shape}."
        )
    wrong = np.isnan(found) | (found == -absent)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{owner}: {name} must hold numbers, or {absent} where there is no limit, got "
            f"{found[row]} in row {row}."
        )
    return np.ascontiguousarray(found)


def _refuse_crossed(owner: str, lower: Array, upper: Array) -> None:
    wrong = np.flatnonzero(lower > upper)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(
            f"{owner}: lower must not be above upper, got lower={lower[row]:g} and "
            f"upper={upper[row]:g} in row {row}. Exchange them, or remove the row."
        )


def check_offset(owner: str, offset: Any, n: int) -> Array | None:
    """Return the offsets (n,)."""
    if offset is None:
        return None
    checked: Array = check_array(offset, dtype=np.float64, ensure_2d=False, input_name="offset")
    if checked.shape != (n,):
        raise ValueError(
            f"{owner}: offset must have the shape ({n},), one number for each row, got "
            f"{checked.shape}."
        )
    return np.ascontiguousarray(checked)


def check_sides(owner: str, source: CensoredSource) -> None:
    """Refuse rows that are all censored on one side: the likelihood has no maximum."""
    for side, count, far in (
        ("right", source.n_right, "plus"),
        ("left", source.n_left, "minus"),
    ):
        if source.intercept and count == source.n_effective:
            raise ValueError(
                f"{owner}: all {count} rows are {side}-censored, and the likelihood has no "
                f"maximum: it grows as the intercept goes to {far} infinity. Expected at least one "
                "response that is exact, in an interval or censored on the other side."
            )


def exact_rows(responses: Responses) -> NDArray[np.bool_]:
    """Rows whose response is known."""
    return np.asarray(responses.lower == responses.upper)
