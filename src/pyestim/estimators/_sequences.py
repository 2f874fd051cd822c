"""Sequences of states as they come: one column, the lengths of the sequences, their weights."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from pyestim.estimators._base import shown
from pyestim.estimators._labels import is_missing, is_missing_kind

ADVICE = "Join the sequences to one array and pass their lengths."


def one_column(X: Any, owner: str) -> NDArray[Any]:
    """X as a vector of whatever it holds: from (n,), (n, 1), a series or a frame of one column.

    Raises
    ------
    ValueError
        X has another shape, no rows, or holds what cannot be a label.
    """
    rows = _as_array(X, owner)
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim == 2 and rows.shape[1] == 0:
        raise ValueError(
            f"{owner}: found array with 0 feature(s) (shape={rows.shape}) while a minimum of 1 is "
            "required: one column of states."
        )
    if rows.ndim != 1:
        raise ValueError(
            f"{owner}: X must be one column of states, of shape (n,) or (n, 1), got shape "
            f"{rows.shape}. {ADVICE}"
        )
    if len(rows) == 0:
        raise ValueError(
            f"{owner}: X must hold at least one row, got 0 sample(s). Pass some states."
        )
    if rows.dtype.kind == "O":
        rows = _numbers_or_objects(rows)
    elif rows.dtype.kind == "T":
        rows = rows.astype(object)
    if rows.dtype.kind == "c":
        raise ValueError(
            f"{owner}: Complex data not supported: X must hold whole numbers or labels, got "
            f"{rows.dtype}. Number the states, or name them by strings."
        )
    if rows.dtype.kind == "V":
        raise ValueError(
            f"{owner}: X must hold whole numbers or labels that can be sorted, got "
            f"{rows.dtype}. Number the states, or name them by strings."
        )
    return rows


def _as_array(X: Any, owner: str) -> NDArray[Any]:
    """X as an array; the masked cells of a masked one are None."""
    if issparse(X):
        raise TypeError(
            f"{owner}: X must be a dense column of states, got a sparse matrix; sparse data are "
            "not supported. Pass X.toarray()."
        )
    if isinstance(X, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(X)
        X = X.data.astype(object)
        X[mask] = None
    try:
        rows = X if type(X) is np.ndarray else np.asarray(X)
    except ValueError as error:  # lists of different lengths
        raise ValueError(
            f"{owner}: X must be one column of states, of shape (n,) or (n, 1), got {shown(X)} "
            f"({error}). {ADVICE}"
        ) from error
    if rows.dtype.kind in "US" and not hasattr(X, "dtype"):
        return _texts_or_objects(X, rows)
    return rows


def _texts_or_objects(X: Any, rows: NDArray[Any]) -> NDArray[Any]:
    """A list of strings as they are; of anything else as objects, which numpy turned to text."""
    objects = np.asarray(X, dtype=object)
    kind = str if rows.dtype.kind == "U" else bytes
    fine = all(issubclass(found, kind) for found in set(map(type, objects.flat)))
    return rows if fine and objects.shape == rows.shape else objects


def _numbers_or_objects(rows: NDArray[Any]) -> NDArray[Any]:
    """Objects that are all numbers or missing, as an array of numbers; others as they are."""
    kinds = {type(value) for value in rows}
    if kinds and all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return rows.astype(bool)
    numeric = (int, float, np.integer, np.floating)
    plain = {k for k in kinds if issubclass(k, numeric) and not issubclass(k, (bool, np.bool_))}
    rest = kinds - plain
    if not plain or not all(is_missing_kind(kind) for kind in rest):
        return rows
    if any(issubclass(kind, (float, np.floating)) for kind in plain):
        fraction = any(not is_missing(value) and value % 1 != 0 for value in rows)
        if fraction:  # or infinite
            return np.array([np.nan if is_missing(value) else value for value in rows], dtype=float)
    try:
        # Not by way of floats: they skip some of the integers above 2^53.
        whole = [-1 if is_missing(value) else int(value) for value in rows]
        return np.array(whole, dtype=np.int64)
    except OverflowError:
        return rows


def sequence_offsets(lengths: Any, n: int, owner: str) -> NDArray[np.int64] | None:
    """Rows where sequences begin, and n: (n_sequences + 1,); None for one sequence.

    Raises
    ------
    ValueError
        The lengths are not integers of at least zero that sum to the rows of X.
    """
    if lengths is None:
        return None
    given = np.atleast_1d(np.asarray(lengths))
    if given.ndim != 1 or given.dtype.kind not in "iu" or (len(given) and given.min() < 0):
        raise ValueError(
            f"{owner}: lengths must be a vector of integers of at least 0, the rows of each "
            f"sequence, got {shown(lengths)}."
        )
    if len(given) and given.max() > n:  # before a sum that might wrap
        raise ValueError(
            f"{owner}: lengths must sum to the {n} rows of X, got {given.max()} for a single "
            "sequence."
        )
    offsets = np.concatenate(([0], np.cumsum(given, dtype=np.int64)))
    if offsets[-1] != n:
        raise ValueError(
            f"{owner}: lengths must sum to the {n} rows of X, got a sum of {offsets[-1]} over "
            f"{len(given)} sequences."
        )
    return offsets


def row_weights(sample_weight: Any, n: int, offsets: NDArray[np.int64] | None) -> Any:
    """Weights of rows from those of sequences: one for each row, or as they came."""
    if sample_weight is None or offsets is None or isinstance(sample_weight, Real):
        return sample_weight
    given = np.asarray(sample_weight)
    if given.shape == (len(offsets) - 1,) != (n,):
        return np.repeat(given, np.diff(offsets))
    return sample_weight
