"""Estimators in one ``.npz`` file without pickle: arrays, and a JSON header that describes them.

Header: ``{"format": "pyestim", "schema": 1, "class": ..., "version": ..., "params": {...},
"state": {...}}``.  A value is plain JSON, or one of the tagged forms of `_encode`.  Reading
builds only the classes listed here, and executes nothing that the file brings along.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import zlib
from functools import partial
from importlib import import_module
from typing import Any
from zipfile import BadZipFile

import numpy as np
from scipy.sparse import csc_array, csr_array

from pyestim._version import __version__
from pyestim.engine.report import Outcome, Report

FORMAT = "pyestim"
SCHEMA = 1
HEADER = "header"
HEADER_KEYS = {"format", "schema", "class", "version", "params", "state"}

#: Classes that a file may name, and where they are.
CLASSES = {
    "CensoredGaussianMixture": "pyestim.estimators.censored_mixture",
    "CensoredRegressor": "pyestim.estimators.censored_regressor",
    "GaussianMixture": "pyestim.estimators.gaussian_mixture",
    "LassoGLM": "pyestim.estimators.lasso_glm",
    "LassoGLMCV": "pyestim.estimators.lasso_glm_cv",
    "MarkovChain": "pyestim.estimators.markov_chain",
    "MixtureOfExpertsClassifier": "pyestim.estimators.mixture_of_experts_classifier",
    "MixtureOfExpertsRegressor": "pyestim.estimators.mixture_of_experts",
    "TruncatedGaussianMixture": "pyestim.estimators.truncated_mixture",
}

#: Records of named fields that a file may hold, by tag, and where they are.
RECORDS = {
    "report": ("pyestim.engine.report", "Report"),
    "glm_report": ("pyestim.estimators._glm_report", "GLMReport"),
    "glm_path": ("pyestim.estimators._glm_path", "GLMPath"),
}
_TAG_OF = {name: tag for tag, (_, name) in RECORDS.items()}

#: Kinds of numpy arrays that go into a file: bool, integers, floats.
ARRAY_KINDS = "biuf"
#: Kinds that go into a file as int64, with their unit.
DATE_KINDS = "mM"
#: Sparse tables that go into a file, by tag.
SPARSE = {"csc": csc_array, "csr": csr_array}

#: What a file that is damaged, foreign or made to annoy may raise while it is read.
UNREADABLE = (
    *(ValueError, KeyError, AttributeError, EOFError, RuntimeError),
    *(BadZipFile, zlib.error),
)

PathLike = str | os.PathLike[str]


def save(estimator: Any, path: PathLike) -> None:
    """Write the parameters and the fitted state of ``estimator`` to ``path``."""
    name = type(estimator).__name__
    if name not in CLASSES:
        raise TypeError(f"save: {name} is not a class that a pyestim file can hold.")
    arrays: dict[str, np.ndarray] = {}
    params = {
        key: _encode(value, arrays, f"parameter {key}", name)
        for key, value in estimator.get_params(deep=False).items()
    }
    state = {
        key: _encode(getattr(estimator, key), arrays, f"attribute {key}", name)
        for key in estimator._saved_state
        if hasattr(estimator, key)
    }
    header = {
        "format": FORMAT,
        "schema": SCHEMA,
        "class": name,
        "version": __version__,
        "params": params,
        "state": state,
    }
    text = np.frombuffer(json.dumps(header, allow_nan=False).encode(), dtype=np.uint8)
    members: dict[str, Any] = {HEADER: text, **arrays}
    with open(path, "wb") as file:
        np.savez(file, **members)  # numbers only: nothing that would be pickled


def load(path: PathLike) -> Any:
    """Read an estimator that `save` wrote; nothing in the file is executed.

    Parameters
    ----------
    path : str or path-like
        File written by the ``save`` method of an estimator.

    Returns
    -------
    estimator
        An instance of the class named in the file, fitted if it was fitted.

    Raises
    ------
    ValueError
        The file is damaged, or holds something that this version does not know.

    Examples
    --------
    >>> import numpy as np, tempfile, pathlib, pyestim
    >>> X = np.random.RandomState(0).normal(size=(100, 2))
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "mixture.npz"
    >>> mixture = pyestim.GaussianMixture(random_state=0).fit(X)
    >>> mixture.save(path)
    >>> bool(np.all(pyestim.load(path).means_ == mixture.means_))
    True
    """
    header, arrays = _read(path)
    name = header["class"]
    if not isinstance(name, str) or name not in CLASSES:
        raise ValueError(f"load: {path}: expected a class among {sorted(CLASSES)}, got {name!r}.")
    cls = getattr(import_module(CLASSES[name]), name)
    reader = _Reader(path, arrays)
    params = reader.table(header["params"], "params", set(cls().get_params(deep=False)))
    state = reader.table(header["state"], "state", set(cls._saved_state))
    reader.refuse_unused()
    estimator = cls(**params)
    for key, value in state.items():
        setattr(estimator, key, value)
    if state:
        try:
            estimator._check_arguments()
            estimator._check_state()
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"load: {path}: inconsistent arrays. {error}") from error
    return estimator


def _read(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    with open(path, "rb") as file:
        try:
            members = np.load(file, allow_pickle=False)
            if not isinstance(members, np.lib.npyio.NpzFile):
                raise ValueError("it is a single array")
            arrays = {key: members[key] for key in members.files}
            header = json.loads(arrays.pop(HEADER).tobytes().decode())
            if not isinstance(header, dict):
                raise ValueError("its header is not a table")
        except UNREADABLE as error:
            raise ValueError(
                f"load: {path}: expected a file written by the save method of a pyestim "
                f"estimator, got something else ({error})."
            ) from error
    if header.get("format") != FORMAT or set(header) != HEADER_KEYS:
        raise ValueError(
            f"load: {path}: expected a header of format {FORMAT!r} with the keys "
            f"{sorted(HEADER_KEYS)}, got format {header.get('format')!r} with {sorted(header)}."
        )
    if header["schema"] != SCHEMA:
        raise ValueError(
            f"load: {path}: expected schema {SCHEMA}, got {header['schema']!r} (written by "
            f"version {header['version']!r}, this is {__version__}). Update pyestim."
        )
    return header, arrays


def _encode(value: Any, arrays: dict[str, np.ndarray], what: str, owner: str) -> Any:
    """``value`` as JSON; arrays go to ``arrays`` and are named in their place."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, np.generic):
        return _encode(value.item(), arrays, what, owner)
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, (list, tuple)):
        tag = "list" if isinstance(value, list) else "tuple"
        return {tag: [_encode(item, arrays, what, owner) for item in value]}
    if dataclasses.is_dataclass(value) and type(value).__name__ in _TAG_OF:
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        if isinstance(value, Report):
            fields["outcome"] = value.outcome.name
        encoded = {k: _encode(v, arrays, what, owner) for k, v in fields.items()}
        return {_TAG_OF[type(value).__name__]: encoded}
    if isinstance(value, dict):
        return {"table": {str(k): _encode(v, arrays, what, owner) for k, v in value.items()}}
    if isinstance(value, (csc_array, csr_array)):
        parts = (np.array(value.shape), value.data, value.indices, value.indptr)
        return {value.format: [_encode(part, arrays, what, owner) for part in parts]}
    if isinstance(value, np.ndarray):
        return _encode_array(value, arrays, what, owner)
    raise TypeError(
        f"{owner}.save: expected {what} to be a number, a string, a list or a numeric array, "
        f"got {type(value).__name__}. Set it to None or to such a value before saving."
    )


def _encode_array(value: np.ndarray, arrays: dict[str, np.ndarray], what: str, owner: str) -> Any:
    if value.dtype.kind in ARRAY_KINDS:
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if value.dtype.kind in DATE_KINDS:
        unit = value.dtype.newbyteorder("=").str
        whole = np.ascontiguousarray(value, dtype=unit).view(np.int64)
        return {"dates": [unit, _encode_array(whole, arrays, what, owner)]}
    if value.dtype.kind in "OU" and all(isinstance(item, str) for item in value.flat):
        strings = {"strings" if value.dtype.kind == "O" else "text": value.ravel().tolist()}
        return strings if value.ndim == 1 else {"shaped": [list(value.shape), strings]}
    raise TypeError(
        f"{owner}.save: expected {what} to hold numbers, dates or strings, got an array of "
        f"{value.dtype}: {_kinds(value)}. Turn such labels into strings before the fit."
    )


def _kinds(value: np.ndarray) -> str:
    return ", ".join(sorted({type(item).__name__ for item in value.flat}))


class _Reader:
    """Decodes values, keeping account of the arrays that were asked for."""

    def __init__(self, path: PathLike, arrays: dict[str, np.ndarray]) -> None:
        self.path = path
        self.arrays = arrays
        self.used: set[str] = set()

    def table(self, table: Any, what: str, known: set[str]) -> dict[str, Any]:
        """Every entry of ``table``, all of whose names must be known."""
        if not isinstance(table, dict) or not set(table) <= known:
            unknown = sorted(set(table) - known) if isinstance(table, dict) else table
            raise ValueError(
                f"load: {self.path}: expected the known {what} of the class, got {unknown} beside "
                f"them. The file was written by another version; update pyestim."
            )
        return {key: self.value(entry) for key, entry in table.items()}

    def value(self, entry: Any) -> Any:
        """Inverse of `_encode`."""
        if entry is None or isinstance(entry, (bool, int, float, str)):
            return entry
        if isinstance(entry, dict) and len(entry) == 1:
            ((tag, content),) = entry.items()
            decode: Any = None
            if tag in RECORDS:
                decode = partial(self.record, tag)
            elif tag in SPARSE:
                decode = partial(self.sparse, tag)
            elif tag in _TAGS:
                decode = getattr(self, f"_{tag}")
            if decode is not None:
                try:
                    return decode(content)
                except (TypeError, KeyError, AttributeError) as error:
                    raise ValueError(f"load: {self.path}: damaged entry {entry!r}.") from error
        raise ValueError(f"load: {self.path}: unknown kind of entry {entry!r}; update pyestim.")

    def refuse_unused(self) -> None:
        """Every array in the file must have been asked for."""
        extra = set(self.arrays) - self.used
        if extra:
            raise ValueError(f"load: {self.path}: arrays that nothing refers to: {sorted(extra)}.")

    def _float(self, content: str) -> float:
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]

    def _list(self, content: list[Any]) -> list[Any]:
        return [self.value(item) for item in content]

    def _tuple(self, content: list[Any]) -> tuple[Any, ...]:
        return tuple(self.value(item) for item in content)

    def _strings(self, content: list[str]) -> np.ndarray:
        return np.array([str(item) for item in content], dtype=object)

    def _text(self, content: list[str]) -> np.ndarray:
        return np.array([str(item) for item in content], dtype=np.str_)

    def _shaped(self, content: list[Any]) -> np.ndarray:
        try:
            shape, flat = content
            return np.asarray(self.value(flat)).reshape(shape)
        except ValueError as error:
            raise TypeError(content) from error

    def _dates(self, content: list[Any]) -> np.ndarray:
        if len(content) != 2:
            raise TypeError(content)
        kind, values = np.dtype(content[0]), self.value(content[1])
        if kind.kind not in DATE_KINDS or values.dtype != np.int64:
            raise TypeError(content)
        return np.asarray(values.astype(kind))

    def _array(self, content: str) -> np.ndarray:
        array = self.arrays[content]
        if array.dtype.kind not in ARRAY_KINDS:
            raise TypeError(content)
        self.used.add(content)
        return array

    def _table(self, content: dict[str, Any]) -> dict[str, Any]:
        return {key: self.value(item) for key, item in content.items()}

    def sparse(self, tag: str, content: list[Any]) -> Any:
        """Build a table of `SPARSE` from its parts."""
        try:
            shape, data, indices, indptr = (self.value(part) for part in content)
            table = SPARSE[tag]((data, indices, indptr), shape=tuple(shape.tolist()))
            table.check_format(full_check=True)
        except ValueError as error:
            raise TypeError(content) from error
        return table

    def record(self, tag: str, content: dict[str, Any]) -> Any:
        """Build a record of `RECORDS` from its fields."""
        fields = self._table(content)
        if tag == "report":
            fields["outcome"] = Outcome[fields["outcome"]]
        module, name = RECORDS[tag]
        return getattr(import_module(module), name)(**fields)


_TAGS = {"float", "list", "tuple", "strings", "text", "shaped", "dates", "array", "table"}
