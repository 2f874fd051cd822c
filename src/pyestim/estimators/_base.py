"""What every estimator shares: arguments, sample matrices, weights, files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, validate_data

from pyestim.estimators import persistence

Array = NDArray[np.float64]

#: Types of rows that the native core reads.
ROW_TYPES = (np.float64, np.float32)


class Rule(NamedTuple):
    """What a constructor argument must be, as a test and in words."""

    holds: Callable[[Any], bool]
    expected: str


def _is_number(value: Any, kind: type) -> bool:
    if type(value) is int or (type(value) is float and kind is Real):
        return True  # nearly always, and ten times as quick to ask
    return isinstance(value, kind) and not isinstance(value, (bool, np.bool_))


def integer(least: int) -> Rule:
    """Return the rule of an integer that is at least ``least``."""
    return Rule(
        lambda v: _is_number(v, Integral) and bool(v >= least), f"an integer of at least {least}"
    )


def number(least: float) -> Rule:
    """Return the rule of a finite number that is at least ``least``."""
    return Rule(
        lambda v: _is_number(v, Real) and bool(least <= v < float("inf")),
        f"a finite number of at least {least:g}",
    )


#: A finite number above zero.
POSITIVE = Rule(lambda v: number(0.0).holds(v) and bool(v > 0), "a number above 0")


def one_of(*choices: Any) -> Rule:
    """Return the rule of a value among ``choices``."""
    names = ", ".join(repr(choice) for choice in choices)
    return Rule(
        lambda v: (v is None or isinstance(v, (str, bool, np.bool_))) and v in choices,
        names if len(choices) == 1 else f"one of {names}",
    )


def _is_plain(X: Any, least: int) -> bool:
    """Whether X is an array that scikit-learn's `check_array` would return as it is.

    Asking this takes a fiftieth of the time of asking scikit-learn, a tenth of a small fit.
    """
    if type(X) is not np.ndarray or X.dtype not in ROW_TYPES or X.ndim != 2:
        return False
    if X.shape[0] < max(least, 1) or X.shape[1] < 1:
        return False
    with np.errstate(all="ignore"):
        return bool(np.isfinite(X.sum(dtype=np.float64)))


def aligned(array: NDArray[Any]) -> NDArray[Any]:
    """Return the array, or a copy where its numbers lie across the boundaries of the memory."""
    return array if array.flags.aligned else array.copy()


def random_numbers(seed: Any) -> np.random.RandomState:
    """Return the generator that ``random_state`` stands for; quicker than scikit-learn's."""
    if isinstance(seed, (int, np.integer)) and 0 <= int(seed) < 2**32:
        # Seeding a Mersenne twister takes as long as a small fit.
        return np.random.RandomState(np.random.PCG64(int(seed)))
    rng: np.random.RandomState = check_random_state(seed)
    return rng


def normal_reach(owner: str, level: Any) -> Array:
    """Ends of the interval that holds ``level`` of the standard normal law: (2,)."""
    if not (isinstance(level, Real) and 0.0 < float(level) < 1.0):
        raise ValueError(
            f"{owner}: level must be a number between 0 and 1, got {shown(level)}. Give the "
            "coverage of the intervals, such as 0.95."
        )
    reach = float(ndtri(0.5 + 0.5 * float(level)))
    return np.array([-reach, reach])


class Estimator(BaseEstimator):
    """Base of all estimators: validates, publishes, saves.

    Sub-classes state ``_rules`` (constructor arguments), ``_saved_state`` (fitted attributes that
    go into a file, in order) and ``_needed`` (those without which nothing can be predicted).
    """

    _rules: Mapping[str, Rule] = {}
    _saved_state: tuple[str, ...] = ()
    _needed: tuple[str, ...] = ()

    def _check_arguments(self) -> None:
        for name, rule in self._rules.items():
            value = getattr(self, name)
            if not rule.holds(value):
                raise ValueError(
                    f"{self._name}: {name} must be {rule.expected}, got {shown(value)}."
                )

    @property
    def _name(self) -> str:
        return type(self).__name__

    def _sample_matrix(self, X: Any, *, reset: bool, least: int = 1) -> NDArray[Any]:
        """X as float32 or float64, without a copy where it is already one of them."""
        if _is_plain(X, least) and self._takes_plain(X.shape[1], reset):
            return aligned(X)
        checked = validate_data(
            self, X, reset=reset, dtype=ROW_TYPES, ensure_min_samples=max(least, 1)
        )
        return aligned(np.asarray(checked))

    def _takes_plain(self, n_features: int, reset: bool) -> bool:
        """Keep account of the columns of a plain array as `validate_data` does.

        False where that has something to say: to a wrong number, to names that are missing.
        """
        if reset:
            self.n_features_in_ = n_features
            self.__dict__.pop("feature_names_in_", None)
            return True
        known = getattr(self, "n_features_in_", n_features)
        return bool(n_features == known) and not hasattr(self, "feature_names_in_")

    def _weights(self, sample_weight: Any, n: int) -> Array | None:
        """Weights of the rows (n,): not negative, finite, not all zero."""
        if sample_weight is None:
            return None
        if isinstance(sample_weight, Real):
            sample_weight = np.full(n, float(sample_weight))
        weight: Array = check_array(
            sample_weight, dtype=np.float64, ensure_2d=False, input_name="sample_weight"
        )
        if weight.shape != (n,):
            raise ValueError(
                f"{self._name}: sample_weight must have the shape ({n},), one weight for each "
                f"row of X, got {weight.shape}."
            )
        lowest = weight.min()
        if lowest < 0:
            raise ValueError(
                f"{self._name}: sample_weight must not be negative, got {lowest:g} in row "
                f"{int(weight.argmin())}. A weight is the number of times that a row counts."
            )
        if not weight.any():
            raise ValueError(
                f"{self._name}: sample_weight must not be zero for every row: no row is left."
            )
        return aligned(np.ascontiguousarray(weight))

    def _columns(self, features: Any) -> NDArray[np.intp]:
        """Numbers of the columns that ``features`` names: indices, a mask, or column names."""
        d = self.n_features_in_
        chosen = np.atleast_1d(np.asarray(features))
        if chosen.dtype.kind in "OUT":
            chosen = self._named_columns(chosen)
        if chosen.dtype.kind == "b" and chosen.shape == (d,):
            chosen = np.flatnonzero(chosen)
        fine = chosen.ndim == 1 and chosen.dtype.kind in "iu" and len(chosen) > 0
        if fine and np.all((chosen >= -d) & (chosen < d)):
            columns: NDArray[np.intp] = chosen.astype(np.intp) % d
            if len(np.unique(columns)) == len(columns):
                return columns
        raise ValueError(
            f"{self._name}: features must be distinct column numbers below {d}, a boolean mask of "
            f"length {d} or column names seen in fit, got {shown(features)}."
        )

    def _named_columns(self, chosen: NDArray[Any]) -> NDArray[Any]:
        known = list(getattr(self, "feature_names_in_", ()))
        if not all(name in known for name in chosen):
            return chosen
        return np.array([known.index(name) for name in chosen])

    def _result(self, out: Array | None, shape: tuple[int, ...]) -> Array:
        """``out`` where a caller gave one that holds the result, a new array otherwise."""
        if out is None:
            return np.empty(shape)
        if (
            isinstance(out, np.ndarray)
            and out.shape == shape
            and out.dtype == np.float64
            and out.flags.c_contiguous
            and out.flags.aligned
            and out.flags.writeable
        ):
            return out
        raise ValueError(
            f"{self._name}: out must be a writable C-contiguous float64 array of shape {shape}, "
            f"got {describe(out)}."
        )

    def __sklearn_is_fitted__(self) -> bool:
        """Whether the fitted attributes are there, from a fit or set by hand."""
        return all(hasattr(self, name) for name in self._needed)

    def _require_fit(self) -> None:
        if not self.__sklearn_is_fitted__():
            raise NotFittedError(
                f"This {self._name} instance is not fitted yet. Call 'fit' with appropriate "
                "arguments before using this estimator."
            )

    def save(self, path: persistence.PathLike) -> None:
        """Write parameters and fitted state to one ``.npz`` file without pickle.

        Parameters
        ----------
        path : str or path-like
            File to write; an existing one is replaced.

        Raises
        ------
        TypeError
            A parameter is an object that has no plain form, such as a random generator.

        See Also
        --------
        pyestim.load : Read the file.
        """
        persistence.save(self, path)


def shown(value: Any) -> str:
    """Short form of a value for a message."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    text = repr(value.item() if isinstance(value, np.generic) else value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def reworded(error: Exception) -> str:
    """Message of a layer below, for a sentence that has its own beginning and end."""
    return str(error).removeprefix("simulate: ").rstrip(".")


def describe(array: Any) -> str:
    """What an argument is, where an array was expected."""
    if not isinstance(array, np.ndarray):
        return type(array).__name__
    order = "C-contiguous" if array.flags.c_contiguous else "not C-contiguous"
    write = "" if array.flags.writeable else ", read-only"
    return f"{array.dtype} of shape {array.shape}, {order}{write}"
