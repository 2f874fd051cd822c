"""One file without pickle: what goes in comes out, and nothing else is accepted."""

from __future__ import annotations

import io
import json
import zipfile

import numpy as np
import pytest
from blobs import ESTIMATED, TYPES, blobs

import pyestim
from pyestim import GaussianMixture


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mixture.npz"


@pytest.fixture
def saved(path):
    GaussianMixture(2, random_state=0).fit(blobs()).save(path)
    return path


def rewrite(path, change):
    """Read the members of a file, let ``change`` work on header and arrays, write them."""
    with np.load(path) as file:
        arrays = dict(file)
    header = json.loads(arrays.pop("header").tobytes())
    change(header, arrays)
    text = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    np.savez(path, header=text, **arrays)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_round_trip(path, covariance_type):
    X = blobs()
    mixture = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(X)
    mixture.save(path)
    again = pyestim.load(path)
    assert type(again) is GaussianMixture
    assert again.get_params() == mixture.get_params()
    for name in ESTIMATED:
        np.testing.assert_array_equal(getattr(again, name), getattr(mixture, name))
    for name in ("converged_", "n_iter_", "lower_bound_", "lower_bounds_", "n_features_in_"):
        assert getattr(again, name) == getattr(mixture, name)
        assert type(getattr(again, name)) is type(getattr(mixture, name))
    assert again.report_ == mixture.report_
    np.testing.assert_array_equal(again.predict_proba(X), mixture.predict_proba(X))


def test_arguments_of_every_kind(path):
    arguments = {
        "weights_init": [0.5, 0.5],
        "means_init": np.zeros((2, 3)) + np.arange(2)[:, None],
        "init_params": np.arange(600) % 2,
        "accelerate": None,
        "tol": np.float64(1e-4),
        "max_iter": np.int64(500),
        "random_state": 3,
    }
    mixture = GaussianMixture(2, **arguments).fit(blobs())
    mixture.save(path)
    again = pyestim.load(path)
    for name, value in arguments.items():
        np.testing.assert_array_equal(getattr(again, name), value)
    assert again.weights_init == [0.5, 0.5]
    np.testing.assert_array_equal(again.fit(blobs()).means_, mixture.means_)


def test_not_fitted(path):
    GaussianMixture(4).save(path)
    again = pyestim.load(path)
    assert again.n_components == 4
    assert not again.__sklearn_is_fitted__()


def test_given_parameters(path):
    GaussianMixture.from_params([1.0], [[2.0]], [[[4.0]]]).save(str(path))
    assert pyestim.load(str(path)).score([[2.0]]) == pytest.approx(-np.log(8 * np.pi) / 2)


def test_names_of_columns(path):
    pandas = pytest.importorskip("pandas")
    GaussianMixture(2).fit(pandas.DataFrame(blobs(), columns=["a", "b", "ä"])).save(path)
    again = pyestim.load(path)
    assert again.feature_names_in_.tolist() == ["a", "b", "ä"]
    assert again.marginal(["ä"]).n_features_in_ == 1


def test_not_finite_numbers(path):
    mixture = GaussianMixture.from_params([1.0], [[2.0]], [[[4.0]]])
    mixture.lower_bound_ = -np.inf
    mixture.save(path)
    assert pyestim.load(path).lower_bound_ == -np.inf


def test_random_generators_have_no_plain_form(path):
    mixture = GaussianMixture(2, random_state=np.random.RandomState(0)).fit(blobs())
    with pytest.raises(TypeError, match=r"parameter random_state .* got RandomState\. Set it"):
        mixture.save(path)
    assert not path.exists()


def test_other_classes_are_not_saved(path):
    class Mine(GaussianMixture):
        pass

    with pytest.raises(TypeError, match="Mine is not a class"):
        Mine().save(path)


CHANGES = {
    "format": (lambda h, a: h.update(format="other"), "format"),
    "schema": (lambda h, a: h.update(schema=2), "expected schema 1, got 2"),
    "schema kind": (lambda h, a: h.update(schema="1"), "expected schema 1"),
    "class": (lambda h, a: h.update({"class": "os.system"}), "expected a class among"),
    "class kind": (lambda h, a: h.update({"class": ["GaussianMixture"]}), "expected a class among"),
    "more keys": (lambda h, a: h.update(extra=1), "keys"),
    "fewer keys": (lambda h, a: h.pop("state"), "keys"),
    "argument": (lambda h, a: h["params"].update(secret=1), "known params"),
    "attribute": (lambda h, a: h["state"].update(__class__="x"), "known state"),
    "params kind": (lambda h, a: h.update(params=[1]), "known params"),
    "tag": (lambda h, a: h["params"].update(tol={"eval": "1"}), "unknown kind of entry"),
    "tag to a method": (lambda h, a: h["params"].update(tol={"_list": []}), "unknown kind"),
    "float": (lambda h, a: h["params"].update(tol={"float": "1e400"}), "damaged entry"),
    "outcome": (lambda h, a: h["state"]["report_"]["report"].update(outcome="FINE"), "damaged"),
    "report": (lambda h, a: h["state"]["report_"]["report"].pop("trace"), "damaged"),
    "lost array": (lambda h, a: a.pop("a0"), "damaged"),
    "text array": (lambda h, a: a.update(a0=np.array(["x"])), "damaged"),
    "more arrays": (lambda h, a: a.update(other=np.ones(2)), "nothing refers to: .'other'"),
    "shape": (lambda h, a: a.update(a0=np.ones(3)), "inconsistent arrays"),
    "NaN": (lambda h, a: a.update(a0=np.full(2, np.nan)), "inconsistent arrays"),
    "type": (lambda h, a: h["params"].update(covariance_type="x"), "covariance_type must be one"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_not_known_is_refused(saved, name):
    change, message = CHANGES[name]
    rewrite(saved, change)
    with pytest.raises(ValueError, match=f"load: .*{message}"):
        pyestim.load(saved)


def test_pickles_are_not_read(saved):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file was executed",))

    rewrite(saved, lambda header, arrays: arrays.update(a0=np.array([Trap()], dtype=object)))
    with pytest.raises(ValueError, match="expected a file written by the save method"):
        pyestim.load(saved)


def array_file(path):
    np.save(path.with_suffix(""), np.ones(3))
    path.with_suffix(".npy").rename(path)


def empty_archive(path):
    with zipfile.ZipFile(path, "w"):
        pass


def archive_of_text(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header", "{}")


OTHER_FILES = {
    "text": lambda path: path.write_text("weights: 1"),
    "empty": lambda path: path.write_bytes(b""),
    "one array": array_file,
    "no header": lambda path: np.savez(path, a0=np.ones(2)),
    "header is not JSON": lambda path: np.savez(path, header=np.zeros(4, dtype=np.uint8)),
    "header is a list": lambda path: np.savez(path, header=np.frombuffer(b"[1]", dtype=np.uint8)),
    "empty archive": empty_archive,
    "no arrays": archive_of_text,
    "deep": lambda path: np.savez(path, header=np.frombuffer(b"[" * 100_000, dtype=np.uint8)),
}


@pytest.mark.parametrize("kind", OTHER_FILES)
def test_other_files_are_refused(path, kind):
    OTHER_FILES[kind](path)
    with pytest.raises(ValueError, match=r"load: .*expected a file written by the save method"):
        pyestim.load(path)


def test_cut_files_are_refused(saved):
    whole = saved.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 1):
        saved.write_bytes(whole[:length])
        with pytest.raises(ValueError, match="expected a file written by the save method"):
            pyestim.load(saved)


def test_missing_file(path):
    with pytest.raises(FileNotFoundError):
        pyestim.load(path)


def test_the_file_is_an_ordinary_archive_of_arrays(saved):
    with zipfile.ZipFile(io.BytesIO(saved.read_bytes())) as archive:
        assert all(name.endswith(".npy") for name in archive.namelist())
    with np.load(saved, allow_pickle=False) as file:
        header = json.loads(file["header"].tobytes())
    assert header["class"] == "GaussianMixture"
    assert header["version"] == pyestim.__version__
