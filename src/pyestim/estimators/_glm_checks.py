"""Arguments and responses of the penalised models: what they must be, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from pyestim.estimators._base import Array, Rule, integer, number, one_of, shown

FAMILIES = ("gaussian", "binomial", "poisson", "gamma", "multinomial", "cox")
CLASSIFIERS = ("binomial", "multinomial")
PENALTIES = ("l1", "adaptive", "mcp", "scad", "group")
CRITERIA = ("aic", "bic", "ebic")
RULES_OF_CV = ("min", "1se", *CRITERIA)

#: A response within the range, for rows of weight zero: they are absent.
_HARMLESS = {"poisson": 1.0, "gamma": 1.0}

#: The square of a larger linear predictor would overflow.
LARGEST_OFFSET = 1e150

_FLAG = one_of(True, False)
_UNIT = Rule(
    lambda v: bool(number(0.0).holds(v) and v <= 1), "a number from 0 (ridge) to 1 (Lasso)"
)

RULES: Mapping[str, Rule] = {
    "family": one_of(*FAMILIES),
    "alpha": number(0.0),
    "l1_ratio": _UNIT,
    "penalty": one_of(*PENALTIES),
    "fit_intercept": _FLAG,
    "standardize": _FLAG,
    "tol": Rule(lambda v: number(0.0).holds(v) and v > 0, "a finite number above 0"),
    "max_iter": integer(1),
    "warm_start": _FLAG,
    "ties": one_of("breslow", "efron"),
    "n_alphas": integer(1),
    "eps": Rule(lambda v: bool(number(0.0).holds(v) and 0 < v < 1), "a number between 0 and 1"),
    "rule": one_of(*RULES_OF_CV),
    "n_jobs": Rule(
        lambda v: v is None or (isinstance(v, (int, np.integer)) and v != 0),
        "None or an integer that is not zero",
    ),
}


class Response(NamedTuple):
    """A checked response.

    Attributes
    ----------
    y : ndarray of shape (n,)
        Values, codes of classes, or times.
    event : ndarray of shape (n,), or None
        Cox: 1.0 where the event was seen, 0.0 where the row is censored.
    classes : ndarray, or None
        Labels of the codes.
    """

    y: Array
    event: Array | None = None
    classes: NDArray[Any] | None = None

    def rows(self, chosen: NDArray[Any]) -> Response:
        """Return the response of some rows."""
        event = None if self.event is None else self.event[chosen]
        return Response(self.y[chosen], event, self.classes)


def check_response(
    owner: str, family: str, X: Any, y: Any, weight: Array | None, classes: Any = None
) -> Response:
    """Return the response in the form that the family takes; rows of weight zero are absent.

    ``classes`` are the labels of a fit, for rows that need not show all of them.
    """
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: expected a response "
            f"for each row of X."
        )
    if family == "cox":
        response = _survival(owner, y, weight)
    elif family in CLASSIFIERS:
        response = _labels(owner, family, y, weight, classes)
    else:
        response = Response(_numbers(y))
    check_consistent_length(X, response.y)
    if weight is not None and family in _HARMLESS:
        response = response._replace(y=np.where(weight > 0, response.y, _HARMLESS[family]))
    return response


def _numbers(y: Any) -> Array:
    flat = column_or_1d(y, warn=True)
    checked: Array = check_array(flat, dtype=np.float64, ensure_2d=False, input_name="y")
    return checked


def _labels(owner: str, family: str, y: Any, weight: Array | None, classes: Any) -> Response:
    flat = column_or_1d(y, warn=True)
    check_array(flat, dtype=None, ensure_2d=False, input_name="y")
    check_classification_targets(flat)
    present = flat if weight is None or len(weight) != len(flat) else flat[weight > 0]
    if classes is None:
        classes = np.unique(present)
        _check_number_of_classes(owner, family, flat, classes)
    elif not np.isin(present, classes).all():
        unknown = present[~np.isin(present, classes)][0]
        raise ValueError(
            f"{owner}: y must hold the labels of the fit, {shown(list(classes))}, got "
            f"{shown(unknown)}."
        )
    codes = np.searchsorted(classes, flat).clip(max=len(classes) - 1)
    return Response(codes.astype(np.float64), None, classes)


def _check_number_of_classes(owner: str, family: str, y: Any, classes: NDArray[Any]) -> None:
    if family == "binomial" and len(classes) > 2:
        raise ValueError(
            f"{owner}: Only binary classification is supported. The type of the target is "
            f"{type_of_target(y)}: family='binomial' expects two labels, got {len(classes)}. "
            f"Use family='multinomial'."
        )
    if len(classes) < 2:
        raise ValueError(
            f"{owner}: family={family!r} expects at least two classes in the rows of positive "
            f"weight, got one class, {shown(classes[0])}: the likelihood then has no maximum. "
            f"Give rows of another class."
        )


def _survival(owner: str, y: Any, weight: Array | None) -> Response:
    """Times and events: (n, 2), a structured array, or (n,) times of which none is censored."""
    array = np.asarray(y)
    if array.dtype.names is not None:
        time, event = _fields(owner, array)
    elif array.ndim == 2 and array.shape[1] == 2:
        pair = check_array(y, dtype=np.float64, input_name="y")
        time, event = pair[:, 0].copy(), pair[:, 1].copy()
    elif array.ndim == 2 and array.shape[1] != 1:
        raise ValueError(
            f"{owner}: family='cox' expects y with the columns time and event, got "
            f"{array.shape[1]} columns. Give np.column_stack([time, event])."
        )
    else:
        time = _numbers(y)
        event = np.ones(len(time))
    wrong = ~np.isin(event, (0.0, 1.0))
    if wrong.any():
        raise ValueError(
            f"{owner}: events must be 1 (seen) or 0 (censored), got {event[wrong][0]:g} in row "
            f"{int(np.flatnonzero(wrong)[0])}. The columns of y are time and event, in this order."
        )
    if not (event if weight is None or len(weight) != len(event) else event * weight).any():
        raise ValueError(
            f"{owner}: family='cox' expects at least one event in the rows of positive weight, "
            f"got none: censored rows alone say nothing about the hazard. Events are 1, "
            f"censored rows 0."
        )
    return Response(time, event)


def _fields(owner: str, array: NDArray[Any]) -> tuple[Array, Array]:
    """Time and event of a structured array: the boolean field is the event."""
    names = array.dtype.names or ()
    flags = [name for name in names if array.dtype[name].kind == "b"]
    flags = flags or [name for name in names if name.lower() in ("event", "status")]
    if len(names) != 2 or len(flags) != 1 or array.ndim != 1:
        raise ValueError(
            f"{owner}: a structured y must have two fields, a time and a boolean event, got "
            f"the fields {names}."
        )
    other = next(name for name in names if name != flags[0])
    time: Array = check_array(array[other], dtype=np.float64, ensure_2d=False, input_name="y")
    return time, array[flags[0]].astype(np.float64)


def check_offset(owner: str, offset: Any, n: int, outputs: int = 1) -> Array | None:
    """Return the offset, a known part of the linear predictor: (n,), or (n, K) for K classes."""
    if offset is None:
        return None
    array: Array = check_array(offset, dtype=np.float64, ensure_2d=False, input_name="offset")
    if np.abs(array).max(initial=0.0) > LARGEST_OFFSET:
        raise ValueError(
            f"{owner}: offset must not exceed {LARGEST_OFFSET:g}, whose square overflows, got "
            f"{np.abs(array).max():g}. It is on the scale of the linear predictor."
        )
    shape = (n,) if outputs == 1 else (n, outputs)
    if array.shape != shape:
        raise ValueError(
            f"{owner}: offset must have the shape {shape}, on the scale of the linear predictor, "
            f"got {array.shape}."
        )
    return array


def check_penalty_weights(owner: str, value: Any, p: int) -> Array:
    """Return v (p,): 0 leaves a coefficient unpenalised, infinity excludes it."""
    if value is None:
        return np.ones(p)
    v = _vector(owner, "penalty_weights", value, p)
    if np.isnan(v).any() or (v < 0).any():
        worst = v[np.isnan(v) | (v < 0)][0]
        raise ValueError(
            f"{owner}: penalty_weights must not be negative, got {worst:g}. 0 leaves a "
            f"coefficient unpenalised, infinity excludes it."
        )
    return v


def check_bounds(owner: str, lower: Any, upper: Any, p: int) -> tuple[Array, Array] | None:
    """Return lower and upper bounds (p,) with zero between them, or None where there are none."""
    if lower is None and upper is None:
        return None
    low = np.full(p, -np.inf) if lower is None else _vector(owner, "lower", lower, p)
    high = np.full(p, np.inf) if upper is None else _vector(owner, "upper", upper, p)
    wrong = ~((low <= 0) & (high >= 0))
    if wrong.any():
        j = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{owner}: expected lower <= 0 <= upper for every coefficient, got "
            f"[{low[j]:g}, {high[j]:g}] for column {j}: a penalised coefficient must be able to "
            f"be zero. Move the known part of the effect into offset."
        )
    return (low, high) if np.isfinite(low).any() or np.isfinite(high).any() else None


def _vector(owner: str, name: str, value: Any, p: int) -> Array:
    try:
        v = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{owner}: {name} must be a number or an array of {p} numbers, got {shown(value)}."
        ) from error
    if v.ndim == 0:
        return np.full(p, float(v))
    if v.shape != (p,):
        raise ValueError(
            f"{owner}: {name} must have the shape ({p},), one number for each column of X, got "
            f"{v.shape}."
        )
    return v.copy()


def check_concavity(owner: str, penalty: str, value: Any) -> None:
    """Refuse a shape for which the penalty is no penalty: at most 1 for MCP, 2 for SCAD."""
    least = 1.0 if penalty == "mcp" else 2.0
    if value is not None and not (number(least).holds(value) and value > least):
        raise ValueError(
            f"{owner}: concavity must be None or a number above {least:g} for "
            f"penalty={penalty!r}, got {shown(value)}."
        )


def check_alphas(owner: str, alphas: Any) -> Array | None:
    """Return penalties in falling order, or None for a grid from the data."""
    if alphas is None:
        return None
    try:
        given = np.atleast_1d(np.asarray(alphas, dtype=np.float64))
    except (TypeError, ValueError):
        given = np.array([np.nan])
    if given.ndim != 1 or len(given) == 0 or not (np.isfinite(given) & (given >= 0)).all():
        raise ValueError(
            f"{owner}: alphas must be finite penalties of at least 0, got {shown(alphas)}. "
            f"None lets the data choose the grid."
        )
    return np.unique(given)[::-1]
