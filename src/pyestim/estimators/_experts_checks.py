"""Arguments and responses of the mixtures of experts: what they must be, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from pyestim.estimators._base import Array, Rule, integer, number, one_of
from pyestim.models.expert_build import ExpertOptions

REGRESSION_FAMILIES = ("gaussian", "poisson", "binomial")

_FLAG = one_of(True, False)
#: Beyond it means and their squares leave the range of a double.
LARGEST_COUNT = 1e100

RULES: Mapping[str, Rule] = {
    "n_experts": integer(1),
    "family": one_of(*REGRESSION_FAMILIES),
    "gate": one_of("softmax", "constant"),
    "expert_l1": number(0.0),
    "gate_l1": number(0.0),
    "expert_l2": number(0.0),
    "gate_l2": number(0.0),
    "standardize": _FLAG,
    "share_scale": _FLAG,
    "tol": number(0.0),
    "max_iter": integer(0),
    "n_init": integer(1),
    "accelerate": one_of("auto", "squarem", "anderson", None),
    "warm_start": _FLAG,
    "device": one_of(None, "cpu"),
}


def check_response(owner: str, family: str, X: Any, y: Any) -> Array:
    """Return the response of a regression: (n,), or (n, m) of several outputs or of trials."""
    if y is None:
        raise ValueError(
            f"{owner} requires y to be passed, but the target y is None: expected a response "
            f"for each row of X."
        )
    checked: Array = check_array(y, dtype=np.float64, ensure_2d=False, input_name="y")
    several = checked.ndim == 2 and family in ("gaussian", "binomial")
    if not several:
        checked = column_or_1d(checked, warn=True)
    check_consistent_length(X, checked)
    if family == "poisson":
        wrong = (checked < 0) | (checked > LARGEST_COUNT)
        _refuse(
            owner, family, checked, wrong, f"counts of at least 0 and at most {LARGEST_COUNT:g}"
        )
    elif family == "binomial" and not several:
        _refuse(
            owner,
            family,
            checked,
            ~np.isin(checked, (0.0, 1.0)),
            "0 or 1, or the two columns successes and failures",
        )
    elif family == "binomial":
        if checked.shape[1] != 2:
            raise ValueError(
                f"{owner}: family='binomial' expects y to be 0 or 1, or the two columns successes "
                f"and failures, got {checked.shape[1]} columns."
            )
        wrong = (checked < 0) | (checked > LARGEST_COUNT)
        expected = f"successes and failures of at least 0 and at most {LARGEST_COUNT:g}"
        _refuse(owner, family, checked, wrong, expected)
    return checked


def _refuse(owner: str, family: str, y: Array, wrong: NDArray[np.bool_], expected: str) -> None:
    if wrong.any():
        row = int(np.flatnonzero(wrong.reshape(len(y), -1).any(axis=1))[0])
        raise ValueError(
            f"{owner}: family={family!r} expects y to hold {expected}, got {y[row]} in row {row}."
        )


def check_outputs(owner: str, y: Array, outputs: tuple[int, ...]) -> None:
    """Refuse responses of another number of outputs than the fit had."""
    if y.shape[1:] != outputs:
        raise ValueError(
            f"{owner}: y must have the outputs of the fit, shape {(len(y), *outputs)}, got shape "
            f"{y.shape}."
        )


def check_penalties(owner: str, options: ExpertOptions, n_outputs: int) -> None:
    """Refuse penalties of several gaussian outputs, whose unit is not one number."""
    if n_outputs > 1 and max(options.expert_l1, options.expert_l2) > 0:
        raise ValueError(
            f"{owner}: penalties of experts need one output, got {n_outputs}. Fit the outputs "
            "one by one, or set expert_l1=0 and expert_l2=0."
        )


def shares(trials: Array, weight: Array | None) -> tuple[Array, Array]:
    """Shares of successes, and the weights of rows that count as often as they have trials."""
    total = trials.sum(axis=1)
    return trials[:, 0] / np.maximum(total, 1e-300), total if weight is None else total * weight


def check_groups(owner: str, groups: Any, n: int) -> NDArray[Any] | None:
    """Return the groups as one label for each row."""
    if groups is None:
        return None
    labels = np.asarray(groups)
    if labels.shape != (n,):
        raise ValueError(
            f"{owner}: groups must have one label for each row of X, shape ({n},), got shape "
            f"{labels.shape}."
        )
    if labels.dtype.kind == "f" and np.isnan(labels).any():
        raise ValueError(f"{owner}: groups must not hold NaN; give each row the label of a group.")
    if labels.dtype.kind == "O":
        labels = _sortable(owner, labels)
    return labels


def _sortable(owner: str, labels: NDArray[Any]) -> NDArray[Any]:
    """Labels that can be sorted; missing ones and mixtures of types cannot."""
    kinds = {type(label).__name__ for label in labels}
    try:
        np.unique(labels)
        missing = any(label is None or label != label for label in labels)
    except TypeError:
        missing = True
    if missing:
        raise ValueError(
            f"{owner}: groups must hold labels of one type, none of them missing, got "
            f"{', '.join(sorted(kinds))}. Give each row the label of a group."
        )
    return labels
