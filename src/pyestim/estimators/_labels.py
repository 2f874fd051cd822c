"""Labels of states as codes, and back.

A code is the place of a label among the sorted labels; negative means missing.  Plain integer
arrays are their own codes and are never copied or even read here, beyond a look at the first
rows: their range is checked where they are counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim.estimators._base import aligned

Array = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]
Labels = NDArray[Any]

#: Rows that tell how many states an integer array has, before all of it is read.
HEAD_ROWS = 65_536
#: Tables of at most this many states are counted first and compressed afterwards.
GUESSED_STATES = 3_000
#: Largest label that a table of all labels is made for.
LARGEST_LABEL = 2**24
#: Rows are turned into codes in blocks of this many.
BLOCK_ROWS = 65_536
#: The first whole number that int64 does not hold.
LARGEST_INTEGER = 2**63
#: From here on floats skip whole numbers, so that two labels may have become one.
LARGEST_FLOAT = 2**53


@dataclass(frozen=True)
class Coded:
    """Rows as codes; ``labels`` are their names, None where they are their own."""

    codes: Codes
    n_states: int
    labels: Labels | None


def is_missing_kind(kind: type) -> bool:
    """Whether values of this type stand for a missing value, whatever they are."""
    return kind is type(None) or kind.__name__ in ("NAType", "NaTType")


def is_missing(value: Any) -> bool:
    """Whether a label is None, NaN or a missing value of a data frame."""
    if is_missing_kind(type(value)):
        return True
    return isinstance(value, (float, np.floating)) and bool(value != value)


# -- labels that are yet to be found -----------------------------------------------------------


def coded(rows: NDArray[Any], n_states: int | None, owner: str) -> Coded:
    """Codes of rows whose labels are yet to be found.

    With ``n_states`` given the rows must be integers, and they are their own codes.  Without it
    the codes of an integer array may reach beyond the ``n_states`` of the result, which is a
    guess from the first rows: `recoded` is for that case.
    """
    kind = rows.dtype.kind
    if n_states is not None:
        return Coded(_as_integers(rows, owner, n_states), n_states, None)
    if kind in "iuf":
        whole = _as_integers(rows, owner, None)
        head = whole[:HEAD_ROWS]
        k = max(int(head.max()) + 1, 1)
        few = k <= GUESSED_STATES or (k <= LARGEST_LABEL and _distinct(head, k) > k // 4)
        return Coded(whole, k, None) if few else recoded(whole)
    if kind == "b":
        return _compressed(rows.view(np.uint8), np.array([False, True]), 2)
    if kind == "O":
        return _coded_objects(rows, owner)
    return _coded_by_sorting(rows)


def recoded(codes: Codes) -> Coded:
    """Codes of an integer array by its distinct values: for large labels, and wrong guesses."""
    largest = max(int(codes.max()), 0)
    if largest < LARGEST_LABEL:
        return _compressed(codes, None, largest + 1)
    present = codes >= 0
    labels, inverse = np.unique(codes[present], return_inverse=True)
    out = np.full(len(codes), -1, dtype=_code_type(len(labels)))
    out[present] = inverse
    return Coded(out, len(labels), labels.astype(np.int64))


def seen_states(codes: Codes, k: int, weight: Array | None = None) -> NDArray[np.bool_]:
    """Which of ``k`` states occur, in a row of positive weight: (k,)."""
    seen = np.zeros(k + 1, dtype=bool)
    for start in range(0, len(codes), BLOCK_ROWS):
        block = codes[start : start + BLOCK_ROWS]
        if weight is not None:
            block = block[weight[start : start + BLOCK_ROWS] > 0.0]
        seen[np.where(block < 0, k, block).astype(np.intp)] = True
    return seen[:k]


def _distinct(head: Codes, k: int) -> int:
    return int(np.count_nonzero(seen_states(head, k)))


def _compressed(codes: Codes, labels: Labels | None, k: int) -> Coded:
    """Codes below ``k`` without those that never occur."""
    seen = np.flatnonzero(seen_states(codes, k))
    names = seen if labels is None else labels[seen]
    if len(seen) == k:
        return Coded(codes, k, None if labels is None else names)
    place = np.full(k + 1, -1, dtype=_code_type(len(seen)))
    place[seen] = np.arange(len(seen))
    return Coded(_looked_up(codes, place), len(seen), names)


def _looked_up(codes: Codes, place: Codes) -> Codes:
    """``place[codes]``: its last entry is for negative codes, the one before for too large ones."""
    out = np.empty(len(codes), dtype=place.dtype)
    last = len(place) - 1
    for start in range(0, len(codes), BLOCK_ROWS):
        index = codes[start : start + BLOCK_ROWS].astype(np.intp)
        np.minimum(index, last - 1, out=index)
        index[index < 0] = last
        np.take(place, index, out=out[start : start + BLOCK_ROWS])
    return out


def _code_type(k: int) -> Any:
    return np.int8 if k <= 2**7 else np.int16 if k <= 2**15 else np.int32


def _coded_by_sorting(rows: NDArray[Any]) -> Coded:
    """Strings, bytes and dates."""
    missing = np.isnat(rows) if rows.dtype.kind in "mM" else np.zeros(len(rows), dtype=bool)
    labels, inverse = np.unique(rows[~missing], return_inverse=True)
    codes = np.full(len(rows), -1, dtype=_code_type(len(labels)))
    codes[~missing] = inverse
    return Coded(codes, len(labels), labels)


def _coded_objects(rows: NDArray[Any], owner: str) -> Coded:
    number: dict[Any, int] = {}
    try:
        codes = np.fromiter(
            (-1 if is_missing(v) else number.setdefault(v, len(number)) for v in rows),
            dtype=np.int32,
            count=len(rows),
        )
        labels = sorted(number)
    except TypeError as error:
        raise TypeError(
            f"{owner}: X must hold labels of one kind that can be hashed and sorted, got "
            f"{', '.join(sorted({type(v).__name__ for v in rows}))} ({error}). Turn them into "
            "strings or whole numbers."
        ) from error
    place = np.full(len(labels) + 1, -1, dtype=_code_type(len(labels)))
    place[[number[label] for label in labels]] = np.arange(len(labels))
    return Coded(_looked_up(codes, place), len(labels), object_array(labels))


def union_of(one: Labels, two: Labels) -> Labels:
    """Sorted union of labels; `TypeError` where they are of kinds that numpy would convert."""
    numeric = [labels.dtype.kind in "biu" for labels in (one, two)]
    kinds = {labels.dtype.kind for labels in (one, two)}
    if "O" in kinds:
        return object_array(sorted({*one.tolist(), *two.tolist()}))
    if len(kinds) > 1 and not all(numeric):
        raise TypeError("numbers, strings and dates do not mix")
    return np.unique(np.concatenate([one, two]))


def object_array(labels: list[Any]) -> Labels:
    """Labels as a vector of objects, also where they are tuples."""
    out = np.empty(len(labels), dtype=object)
    out[:] = labels
    return out


def _as_integers(rows: NDArray[Any], owner: str, n_states: int | None) -> Codes:
    """Integers as they are (no copy), whole floats as int64 with -1 for NaN."""
    kind = rows.dtype.kind
    if kind == "b":
        return np.ascontiguousarray(rows).view(np.uint8)
    if kind in "iu":
        native = rows if rows.dtype.isnative else rows.astype(rows.dtype.newbyteorder("="))
        if native.dtype == np.uint64:
            native = _signed(native, owner)
        return aligned(np.ascontiguousarray(native))
    if kind == "f":
        return _whole(rows, owner)
    raise ValueError(
        f"{owner}: n_states={n_states} expects X to hold whole numbers from 0 to "
        f"{(n_states or 1) - 1}, got {rows.dtype}. Leave n_states out to have labels numbered."
    )


def _signed(rows: NDArray[np.uint64], owner: str) -> Codes:
    if int(rows.max()) >= LARGEST_INTEGER:
        row = int(rows.argmax())
        raise ValueError(
            f"{owner}: X must hold whole numbers below 2**63, got {rows[row]} in row {row}. "
            "Turn them into strings to use them as labels."
        )
    return rows.view(np.int64) if rows.flags.c_contiguous else rows.astype(np.int64)


def _whole(rows: NDArray[Any], owner: str) -> Codes:
    out = np.empty(len(rows), dtype=np.int64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        block = block.astype(np.result_type(block, np.float64))
        filled = np.where(np.isnan(block), -1.0, block)
        bad = (filled != np.floor(filled)) | (np.abs(filled) >= LARGEST_FLOAT)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            _refuse_float(block[row], start + row, owner)
        out[start : start + BLOCK_ROWS] = filled
    return out


def _refuse_float(value: Any, row: int, owner: str) -> None:
    if value == np.floor(value) and np.isfinite(value):
        raise ValueError(
            f"{owner}: X must hold whole numbers below 2**53 where it holds floats, which skip "
            f"some of the larger ones, got {value} in row {row}. Pass integers, with None where a "
            "state is missing."
        )
    raise ValueError(
        f"{owner}: X must hold whole numbers, or NaN where a state is missing, got {value} in row "
        f"{row}. Cut continuous values into states first, for instance with numpy.digitize."
    )


# -- labels that are known ---------------------------------------------------------------------


def placed(
    rows: NDArray[Any], states: Labels, owner: str, ignored: NDArray[np.bool_] | None = None
) -> Codes:
    """Codes of rows among ``states``, the labels of a chain: (n,), -1 where missing.

    Unknown labels of the rows that are ``ignored`` count as missing.

    Raises
    ------
    ValueError
        A row holds a label that the chain does not know.
    """
    kinds = rows.dtype.kind, states.dtype.kind
    if kinds[0] in "biuf" and kinds[1] in "biu":
        codes = _as_integers(rows, owner, None)
        if is_range(states):
            if int(codes.max()) < len(states):
                return codes
            out = np.where(codes >= len(states), -1, codes.astype(np.int64))
        else:
            out = _placed_integers(codes, states.astype(np.int64))
        present = codes >= 0
    elif kinds[0] == kinds[1] and kinds[0] in "USmM":
        out = _placed_in_order(rows, states)
        present = ~np.isnat(rows) if kinds[0] in "mM" else np.ones(len(rows), dtype=bool)
    else:
        number = {label: i for i, label in enumerate(states.tolist())}
        values = rows.tolist()
        out = np.array([number.get(v, -1) if _hashable(v) else -1 for v in values], dtype=np.int32)
        present = np.array([not is_missing(v) for v in values])
    unknown = (out < 0) & present
    if ignored is not None:
        unknown &= ~ignored
    if unknown.any():
        _refuse_unknown(rows, int(unknown.argmax()), states, owner)
    return out


def is_range(states: Labels) -> bool:
    """Whether the labels are 0, 1, ..., so that integers are their own codes."""
    k = len(states)
    if states.dtype.kind not in "iu" or states[-1] != k - 1:
        return False  # without a look at all of them, as nearly always
    return bool(np.array_equal(states, np.arange(k)))


def are_distinct(states: Labels) -> bool:
    """Whether no label is there twice."""
    if states.dtype.kind == "O":
        return len(set(states.tolist())) == len(states)
    return bool((states[1:] > states[:-1]).all()) or len(np.unique(states)) == len(states)


def _hashable(value: Any) -> bool:
    return getattr(type(value), "__hash__", None) is not None


def _placed_integers(codes: Codes, states: NDArray[np.int64]) -> Codes:
    """Places of integers among the states, -1 where they are not among them."""
    largest = int(states.max())
    if largest >= LARGEST_LABEL or states.min() < 0:
        return _placed_in_order(codes, states)
    # Two places more than there are labels: too large, and missing.
    place = np.full(largest + 3, -1, dtype=_code_type(len(states)))
    place[states] = np.arange(len(states))
    return _looked_up(codes, place)


def _placed_in_order(rows: NDArray[Any], states: Labels) -> Codes:
    """Places of labels among the states, -1 where they are not among them."""
    # Set by hand, the states may have any order.
    order = np.argsort(states, kind="stable")
    states = states[order]
    out = np.empty(len(rows), dtype=np.int32)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = rows[start : start + BLOCK_ROWS]
        place = np.minimum(np.searchsorted(states, block), len(states) - 1)
        out[start : start + BLOCK_ROWS] = np.where(states[place] == block, order[place], -1)
    return out


def _refuse_unknown(rows: NDArray[Any], row: int, states: Labels, owner: str) -> None:
    names = ", ".join(str(label) for label in states[:6].tolist())
    more = "" if len(states) <= 6 else f", ... ({len(states)} of them)"
    raise ValueError(
        f"{owner}: X must hold the states of the chain, {names}{more}, got "
        f"{rows[row : row + 1].tolist()[0]!r} in row {row}. Fit on data in which every state "
        "occurs, or mark the row as missing."
    )
