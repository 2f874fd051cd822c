"""Arguments of `GaussianMixture`: what they must be, and the starts that users give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from pyestim.data.source import LARGEST_SPAN, ArraySource
from pyestim.estimators._base import Array, Rule, aligned, integer, number, one_of, shown
from pyestim.models.degenerate import POLICIES
from pyestim.models.gaussian_forms import (
    COVARIANCE_TYPES,
    CovarianceType,
    NotPositiveDefinite,
    covariances_from_precisions,
    form_shape,
)
from pyestim.models.start import METHODS

#: Variances whose products with each other stay within double precision.
LARGEST_VARIANCE = LARGEST_SPAN

_FLAG = one_of(True, False)

RULES: Mapping[str, Rule] = {
    "n_components": integer(1),
    "covariance_type": one_of(*COVARIANCE_TYPES),
    "tol": number(0.0),
    "reg_covar": number(0.0),
    "max_iter": integer(0),
    "n_init": integer(1),
    "init_params": Rule(
        lambda v: v in METHODS if isinstance(v, str) else np.ndim(v) in (1, 2),
        f"one of {', '.join(map(repr, METHODS))}, an array of labels of shape (n,), or an "
        "array of responsibilities of shape (n, k)",
    ),
    "warm_start": _FLAG,
    "verbose": Rule(
        lambda v: isinstance(v, (bool, int, np.integer)) and bool(v >= 0),
        "False, True or an integer",
    ),
    "verbose_interval": integer(1),
    "accelerate": one_of("auto", "squarem", "anderson", None),
    "missing": one_of("error"),
    "on_degenerate": one_of(*POLICIES),
    "noise": one_of(False),
    "prior": one_of(None),
    "fixed": one_of(None),
    "device": one_of(None, "cpu"),
}

#: Tolerance of the sum of weights, and of the symmetry of precisions, that users type in.
ROUNDING = 1e-8


def check_shape(owner: str, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    """Refuse an array of the wrong shape."""
    if array.shape != shape:
        raise ValueError(
            f"{owner}: The parameter '{name}' should have the shape of {shape}, "
            f"but got {array.shape}."
        )


def check_weights(owner: str, weights: Any, k: int) -> Array:
    """Return mixture weights (k,): between 0 and 1, with the sum 1."""
    single = getattr(weights, "dtype", None) == np.float32
    weights = check_array(weights, dtype=np.float64, ensure_2d=False, input_name="weights")
    check_shape(owner, "weights", weights, (k,))
    if np.any(weights < 0.0) or np.any(weights > 1.0):
        raise ValueError(
            f"{owner}: The parameter 'weights' should be in the range [0, 1], but got max value "
            f"{weights.max():.5f}, min value {weights.min():.5f}."
        )
    if abs(weights.sum() - 1.0) > (1e-6 if single else ROUNDING):
        raise ValueError(
            f"{owner}: The parameter 'weights' should be normalized, but got sum(weights) = "
            f"{weights.sum():.5f}. Divide them by their sum."
        )
    return np.asarray(weights, dtype=np.float64)


def check_means(owner: str, means: Any, k: int, d: int) -> Array:
    """Return means (k, d)."""
    means = check_array(means, dtype=np.float64, ensure_2d=False, input_name="means")
    check_shape(owner, "means", means, (k, d))
    return np.asarray(means, dtype=np.float64)


def check_near(owner: str, name: str, means: Array, source: ArraySource) -> None:
    """Refuse a start whose squared distance from the rows no double holds."""
    with np.errstate(over="ignore"):
        distance = np.abs((means - source.centre) * source.scale).max(axis=1)
    if distance.max() > LARGEST_SPAN:
        raise ValueError(
            f"{owner}: {name} must be at most {LARGEST_SPAN:g} times the spread of the rows away "
            f"from them, got {distance.max():.3g} for component {int(distance.argmax())}. "
            "Start nearer to the rows."
        )


def _check_matrices(
    owner: str, name: str, array: Any, covariance_type: CovarianceType, k: int, d: int
) -> Array:
    checked = check_array(array, dtype=np.float64, ensure_2d=False, allow_nd=True, input_name=name)
    label = f"{covariance_type} {name}"
    check_shape(owner, label, checked, form_shape(covariance_type, k, d))
    if covariance_type in ("full", "tied"):
        swapped = np.swapaxes(checked, -1, -2)
        if not np.allclose(checked, swapped, rtol=1e-5, atol=ROUNDING * np.abs(checked).max()):
            raise ValueError(
                f"{owner}: '{label}' should be symmetric, positive-definite, got a matrix that "
                "differs from its transpose."
            )
    return np.asarray(checked, dtype=np.float64)


def _refuse_indefinite(
    owner: str, label: str, covariance_type: str, error: NotPositiveDefinite
) -> ValueError:
    whose = "" if error.component is None else f" of component {error.component}"
    kind = "symmetric, positive-definite" if covariance_type in ("full", "tied") else "positive"
    return ValueError(f"{owner}: '{label}' should be {kind}; that{whose} is not.")


def check_precisions(
    owner: str, precisions: Any, covariance_type: CovarianceType, k: int, d: int
) -> Array:
    """Return the covariances whose inverses ``precisions`` are."""
    checked = _check_matrices(owner, "precision", precisions, covariance_type, k, d)
    try:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            covariances = covariances_from_precisions(checked, covariance_type)
    except NotPositiveDefinite as error:
        label = f"{covariance_type} precision"
        raise _refuse_indefinite(owner, label, covariance_type, error) from None
    largest = np.abs(covariances).max()
    if not largest <= LARGEST_VARIANCE:
        raise ValueError(
            f"{owner}: precisions_init must have inverses of at most {LARGEST_VARIANCE:g}, got "
            f"{largest:g}. Rescale the columns of X and precisions_init."
        )
    return covariances


def check_covariances(
    owner: str, covariances: Any, covariance_type: CovarianceType, k: int, d: int
) -> Array:
    """Return covariances in the shape of their type."""
    return _check_matrices(owner, "covariance", covariances, covariance_type, k, d)


def check_assignment(owner: str, init: Any, n: int, k: int, weight: Array | None) -> NDArray[Any]:
    """Return labels (n,) as int32, or responsibilities (n, k): every component has rows."""
    array = np.asarray(init)
    if array.ndim == 1:
        check_shape(owner, "init_params", array, (n,))
        if array.dtype.kind not in "iu" or np.any(array < 0) or np.any(array >= k):
            raise ValueError(
                f"{owner}: init_params as labels must be integers from 0 to n_components - 1 = "
                f"{k - 1}, got {shown(array)}."
            )
        held = np.bincount(array, weights=weight, minlength=k)
        array = np.ascontiguousarray(array, dtype=np.int32)
    else:
        array = check_array(array, dtype=np.float64, input_name="init_params")
        check_shape(owner, "init_params", array, (n, k))
        if np.any(array < 0) or np.any(np.abs(array.sum(axis=1) - 1.0) > 1e-6):
            raise ValueError(
                f"{owner}: init_params as responsibilities must not be negative and must sum to "
                "one in every row."
            )
        held = array.sum(axis=0) if weight is None else weight @ array
    if np.any(held <= 0):
        raise ValueError(
            f"{owner}: init_params must give every component some rows, got none for component "
            f"{int(np.argmin(held))}."
        )
    return aligned(array)
