"""Chains in files: dense and sparse tables, labels, and what is refused."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from scipy.sparse import csr_array

import pyestim
from pyestim import MarkovChain

pytestmark = pytest.mark.once

LABELS = {
    "range": np.arange(4),
    "integers": np.array([2, 3, 5, 10**12]),
    "strings": np.array(["a", "bb", "c", "d"]),
    "dates": np.array(["2020-01-01", "2020-02-01", "2021-01-01", "NaT"], dtype="M8[D]"),
    "durations": np.arange(4).astype("m8[s]"),
    "objects": np.array(["a", "bb", "c", "d"], dtype=object),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chain.npz"


def assert_equal(one, two):
    for name in one._saved_state:
        assert hasattr(one, name) == hasattr(two, name), name
        if not hasattr(one, name):
            continue
        a, b = getattr(one, name), getattr(two, name)
        assert type(a) is type(b), name
        if isinstance(a, csr_array):
            for part in ("data", "indices", "indptr"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
            assert a.shape == b.shape
        elif isinstance(a, np.ndarray):
            np.testing.assert_array_equal(a, b)
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
        else:
            assert a == b, name


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("sparse", ["auto", True])
def test_round_trip(path, labels, order, sparse):
    X = LABELS[labels][np.random.RandomState(0).randint(0, 4, 60)]
    chain = MarkovChain(order=order, sparse=sparse, smoothing="laplace").fit(X)
    chain.save(path)
    again = pyestim.load(path)
    assert again.get_params() == chain.get_params()
    assert_equal(chain, again)
    np.testing.assert_array_equal(again.predict_proba(X), chain.predict_proba(X))


def test_a_chain_without_contexts(path):
    with pytest.warns(UserWarning, match="no transition"):
        chain = MarkovChain(order=3).fit(["a", "b"])
    chain.save(path)
    assert_equal(chain, pyestim.load(path))


def test_not_fitted_and_set_by_hand(path):
    MarkovChain(smoothing=0.5).save(path)
    assert not pyestim.load(path).__sklearn_is_fitted__()
    chain = MarkovChain()
    chain.transition_matrix_ = np.array([[0.25, 0.75], [1.0, 0.0]])
    chain.save(path)
    assert pyestim.load(path).predict([0, 1]).tolist() == [1, 0]


@pytest.fixture
def saved(path):
    MarkovChain(sparse=True, order=2).fit(list("abcabcaabbc")).save(path)
    return path


def part(header, attribute, i):
    """Name of the i-th array of a sparse attribute."""
    return header["state"][attribute]["csr"][i]["array"]


def set_array(arrays, name, value):
    arrays[name] = np.asarray(value)


CHANGES = {
    "indices out of range": lambda h, a: a[part(h, "counts_", 2)].__iadd__(7),
    "negative indices": lambda h, a: a[part(h, "counts_", 2)].__isub__(7),
    "row pointers": lambda h, a: a[part(h, "counts_", 3)].__iadd__(1),
    "shape": lambda h, a: set_array(a, part(h, "counts_", 0), [3]),
    "float shape": lambda h, a: set_array(a, part(h, "counts_", 0), [5.5, 3.0]),
    "enormous shape": lambda h, a: set_array(a, part(h, "counts_", 0), [2**60, 3]),
    "another shape": lambda h, a: set_array(a, part(h, "counts_", 0), [5, 4]),
    "negative": lambda h, a: a[part(h, "transition_matrix_", 1)].__imul__(-1),
    "NaN": lambda h, a: a[part(h, "transition_matrix_", 1)].fill(np.nan),
    "NaN counts": lambda h, a: set_array(a, part(h, "counts_", 1), np.full(7, np.nan)),
    "negative counts": lambda h, a: a[part(h, "counts_", 1)].__imul__(-1),
    "negative starts": lambda h, a: a[h["state"]["start_counts_"]["array"]].__imul__(-1),
    "shape of starts": lambda h, a: set_array(a, h["state"]["start_counts_"]["array"], [1]),
    "no starts": lambda h, a: a.pop(h["state"].pop("start_counts_")["array"]),
    "no parts": lambda h, a: h["state"].update(counts_={"csr": []}),
    "not a list": lambda h, a: h["state"].update(counts_={"csr": 3}),
    "labels": lambda h, a: h["state"].update(states_={"text": ["a", "b"]}),
    "shape of labels": lambda h, a: h["state"]["contexts_"]["shaped"].__setitem__(0, [7, 7]),
    "labels unknown": lambda h, a: h["state"]["states_"].update(text=["a", "b", "z"]),
    "order": lambda h, a: h["params"].update(order=3),
}


@pytest.mark.parametrize("name", CHANGES)
def test_damaged_tables_are_refused(saved, name):
    with np.load(saved) as file:
        arrays = {key: value.copy() for key, value in file.items()}
    header = json.loads(arrays.pop("header").tobytes())
    CHANGES[name](header, arrays)
    if name in ("no parts", "not a list"):
        used = json.dumps(header)
        arrays = {key: value for key, value in arrays.items() if f'"{key}"' in used}
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(saved, header=text, **arrays)
    with pytest.raises(ValueError, match="load: "):
        pyestim.load(saved)


@pytest.mark.parametrize("dates", [["<i8", "a0"], ["M8[D]", "a1"], ["M8[D]"], [3, 4], "M8[D]"])
def test_damaged_dates_are_refused(path, dates):
    MarkovChain().fit(np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]")).save(path)
    with np.load(path) as file:
        arrays = dict(file.items())
    header = json.loads(arrays.pop("header").tobytes())
    if len(dates) == 2 and isinstance(dates[1], str):
        dates = [dates[0], {"array": dates[1]}]
    header["state"]["states_"] = {"dates": dates}
    np.savez(path, header=np.frombuffer(json.dumps(header).encode(), dtype=np.uint8), **arrays)
    with pytest.raises(ValueError, match="load: "):
        pyestim.load(path)


@pytest.mark.parametrize(
    ("X", "kind"),
    [
        (np.array([b"a", b"b"]), r"\|S1: bytes_"),
        (np.array(["a", ("b",)], dtype=object)[1:], "object: tuple"),
    ],
)
def test_labels_of_other_kinds_are_refused(path, X, kind):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        chain = MarkovChain().fit(X)
    message = (
        rf"MarkovChain\.save: expected attribute states_ to hold numbers, .* {kind}\. Turn such"
    )
    with pytest.raises(TypeError, match=message):
        chain.save(path)
