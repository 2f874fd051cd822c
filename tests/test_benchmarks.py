"""The benchmark harness measures what it says; no time is asserted anywhere."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from interpreter import run_python
from scipy.stats import multivariate_normal

import pyestim
from benchmarks import chains, compare, gaps, main, measure, report, steps, text, whole
from benchmarks.cases import GAP_CASES, STEP_CASES, Case, kmeans_start
from benchmarks.direct import DirectFit
from benchmarks.objective import mean_log_likelihood
from benchmarks.peers import Pyestim, ScikitLearn, installed_peers

pytestmark = pytest.mark.once

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "system": "Linux x86_64",
    "python": "3.11",
    "versions": {"numpy": "2.0"},
    "pyestim": "0.1.0",
    "compiler": "a compiler",
    "instruction_set": "v3",
    "blas": ["openblas 0.3"],
    "dgemm_rate": 4e10,
    "exp_rate": 1e9,
}
TYPES = ["full", "tied", "diag", "spherical"]


def small(covariance_type: str) -> Case:
    """Small case; named like one with a goal, since tables look the goal up."""
    name = {"full": "full-small-d"}.get(covariance_type, covariance_type)
    return Case(name, covariance_type, 600, 2, 3, 2.0, 5)


def test_the_cases_are_those_of_the_goals():
    sizes = {(c.covariance_type, c.n_rows, c.n_features, c.n_components) for c in STEP_CASES}
    assert sizes == {
        ("full", 1_000_000, 2, 5),
        ("full", 100_000, 16, 16),
        ("full", 100_000, 64, 32),
        ("diag", 200_000, 32, 64),
        ("tied", 1_000_000, 8, 8),
        ("spherical", 1_000_000, 16, 16),
    }
    assert {c.name for c in STEP_CASES} == set(steps.GOALS)
    assert [(c.spread, c.n_rows, c.n_features, c.n_components) for c in GAP_CASES] == [
        (1.2, 100_000, 4, 8),
        (0.7, 100_000, 4, 8),
    ]


@pytest.mark.parametrize("covariance_type", TYPES)
def test_data_and_start_are_reproducible(covariance_type):
    case = small(covariance_type)
    X = case.data()
    np.testing.assert_array_equal(X, case.data())
    first, second = case.start(X), case.start(X)
    np.testing.assert_array_equal(first.means, second.means)
    # The start must be what every library takes: scikit-learn refuses a wrong shape.
    fit = ScikitLearn().fit(X, first, 1000, tol=1e-2)
    assert fit.covariances.shape == first.covariances.shape


@pytest.mark.parametrize("covariance_type", TYPES)
def test_the_judge_agrees_with_scipy(covariance_type):
    case = small(covariance_type)
    X = case.data()
    start = case.start(X)
    covariances = {
        "full": lambda c: c,
        "tied": lambda c: [c] * 3,
        "diag": lambda c: [np.diag(row) for row in c],
        "spherical": lambda c: [value * np.eye(2) for value in c],
    }[covariance_type](start.covariances)
    density = sum(
        weight * multivariate_normal(mean, covariance).pdf(X)
        for weight, mean, covariance in zip(start.weights, start.means, covariances, strict=True)
    )
    judged = mean_log_likelihood(X, start.weights, start.means, start.covariances, covariance_type)
    assert judged == pytest.approx(np.log(density).mean(), rel=1e-12)


def test_direct_maximisation_has_the_right_gradient_and_climbs():
    case = small("full")
    X = case.data()
    direct = DirectFit(X, kmeans_start(case, X))
    value, gradient = direct.evaluate(direct.x0)
    step = 1e-6
    differences = [
        (direct.evaluate(direct.x0 + step * unit)[0] - direct.evaluate(direct.x0 - step * unit)[0])
        / (2 * step)
        for unit in np.eye(len(direct.x0))
    ]
    # Central differences: rounding eps / step of a value of a few nats.
    np.testing.assert_allclose(gradient, differences, atol=1e-8)
    direct.run(max_seconds=5.0)
    assert max(direct.values) > -value
    assert len(direct.values) == len(direct.seconds)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_steps_are_measured_and_libraries_agree(covariance_type):
    peers = [ScikitLearn(), Pyestim(pyestim)]
    record = steps.measure_case(small(covariance_type), peers, n_steps=2, repeats=1, budget=1.0)
    assert record["agreement"]["scikit-learn"] == 0
    # scikit-learn adds 1e-6 to variances of about one, which changes log densities by as much.
    assert abs(record["agreement"]["pyestim"]) < 1e-5
    variants = {(e["library"], e["threads"], e["dtype"]) for e in record["times"]}
    assert {("scikit-learn", 1, "float64"), ("pyestim", 1, "float32")} <= variants


@pytest.fixture(scope="module")
def gap_record():
    return gaps.measure_case(Case("overlap", "full", 2000, 2, 3, 1.2, 21), pyestim, limit=1.0)


def test_gaps_are_measured_from_the_best_known(gap_record):
    runs = {run["library"]: run for run in gap_record["runs"]}
    assert set(runs) == {"pyestim", "pyestim, plain EM", "scikit-learn", "scipy L-BFGS-B"}
    assert min(run["final_gap"] for run in runs.values()) == 0
    for run in runs.values():
        assert len(run["at"]) == len(run["missing"]) == run["steps"]
        reached = run["reached"]["0.0001"]
        if reached is not None:
            assert run["missing"][reached["steps"] - 1] <= 1e-4
    assert set(gaps.summarise(gap_record)) == {"steps_ratio", "time_ratio"}


def test_reports_tell_misses(gap_record, tmp_path):
    times = [
        {"library": name, "threads": t, "dtype": dtype, "seconds": s, "spread": 0.0}
        for name, t, dtype, s in (
            ("scikit-learn", 1, "float64", 0.2),
            ("scikit-learn", 2, "float64", 0.1),
            ("pyestim", 1, "float64", 0.01),
            ("pyestim", 2, "float64", 0.005),
            ("pyestim", 1, "float32", 0.006),
            ("pyestim, base", 1, "float64", 0.011),
        )
    ]
    record = {
        "case": "full-small-d",
        "label": "full (1e6, 2, 5)",
        "operations": [1e8, 5e6],
        "times": times,
        "agreement": {"scikit-learn": 0.0, "pyestim": 1e-7},
    }
    half = {f"{name}|{t}": 1.0 / t for name in ("scikit-learn", "pyestim") for t in (1, 2)}
    timed = {"label": "(1, 1, 1)", "times": half}
    results = {
        "machine": MACHINE,
        "quick": True,
        "steps": [record],
        "gaps": [gap_record],
        "whole": {
            **dict.fromkeys(("lloyd_step", "kmeans_start", "small_fit"), timed),
            "memory": [
                {"library": "pyestim", "n_rows": 10, "data_mb": 1.0, "growth_mb": 99.0},
                {"library": "scikit-learn", "n_rows": 10, "failed": "no memory"},
            ],
        },
    }
    summary = steps.summarise(record, MACHINE, "pyestim")
    assert summary["ratio_one"] == pytest.approx(20)
    assert summary["goal"] == 30  # half of 60 at v3
    assert summary["two_threads"] == pytest.approx(2)
    assert summary["peak_fraction"] == pytest.approx((1e8 / 4e10 + 5e6 / 1e9) / 0.01)
    text = report.write(results, tmp_path)
    assert "goal 30: **missed**" in text
    assert "goal below 64: **missed**" in text
    assert "1.100 (noise 0.000)" in text
    assert json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))["quick"]
    assert (tmp_path / "results.md").read_text(encoding="utf-8") == text
    pytest.importorskip("matplotlib", reason="the picture needs the extra 'plot'")
    assert (tmp_path / "results.png").stat().st_size > 0


def test_numbers_have_three_digits():
    shown = [text.number(value) for value in (1234.0, 56.78, 0.012345, 0.0, float("nan"), None)]
    assert shown == ["1234", "56.8", "0.0123", "0", "-", "-"]


def test_repeats_alternate():
    calls = []
    tasks = {name: lambda name=name: calls.append(name) or 1.0 for name in "ab"}
    times = measure.alternate(tasks, repeats=3, budget=10.0)
    assert calls == ["a", "b"] * 4  # the first round warms up
    assert times == {"a": [1.0] * 3, "b": [1.0] * 3}


def test_every_installed_peer_fits():
    case = small("full")
    X = case.data()
    start = case.start(X)
    values = []
    for peer in installed_peers():
        with peer.pinned(1):
            fit = peer.fit(X, start, 5)
        values.append(mean_log_likelihood(X, fit.weights, fit.means, fit.covariances, "full"))
    # One of them computes in float32.
    np.testing.assert_allclose(values, values[0], rtol=1e-5)


SECOND_BUILD = """
import sys
from pathlib import Path
import numpy as np
sys.path.append({root!r})
import pyestim
from benchmarks import compare
folder = Path({folder!r})
other = compare.load_build(folder)
assert sys.modules["pyestim"] is pyestim
assert Path(other.__file__).parent == folder / "pyestim"
assert other.GaussianMixture is not pyestim.GaussianMixture
X = np.random.default_rng(0).standard_normal((300, 2))
first, second = (m.GaussianMixture(3, random_state=0).fit(X).means_ for m in (pyestim, other))
print(np.array_equal(first, second))
"""


def test_a_second_build_lives_beside_the_first(tmp_path):
    shutil.copytree(Path(pyestim.__file__).parent, tmp_path / "pyestim")
    root = Path(compare.__file__).resolve().parents[1]
    # In an interpreter of its own: what is loaded twice here would stay loaded for other tests.
    printed = run_python(SECOND_BUILD.format(root=str(root), folder=str(tmp_path)))
    assert printed.split() == ["True"]


def test_a_folder_without_a_build_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected pyestim installed in"):
        compare.load_build(tmp_path)


def test_whole_fits_are_timed():
    case = Case("kmeans", "spherical", 3000, 8, 16, 0.75, 31)
    for result in (
        whole.small_fit(pyestim, repeats=1),
        whole.lloyd_step(pyestim, case, repeats=1),
        whole.kmeans_start(pyestim, case, repeats=1),
    ):
        assert {"scikit-learn|1", "pyestim|1"} <= set(result["times"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process from /proc")
def test_memory_is_read_in_a_process_of_its_own():
    result = whole.memory("pyestim", n_rows=30_000)
    assert "failed" not in result
    assert result["data_mb"] == pytest.approx(30_000 * 4 * 8 / 2**20)


def test_command_line_writes_its_files(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(main, "STEP_CASES", (small("tied"),))
    monkeypatch.setattr(main.machine, "describe", lambda: MACHINE)
    main.main(["--quick", "--only", "steps", "--no-peers", "--out", str(tmp_path)])
    assert (tmp_path / "results.json").exists()
    assert "One EM step" in capsys.readouterr().out


def test_every_way_to_count_gives_the_same_table():
    case = chains.Counting(5, 0.6, "int8", 2000)
    tables = {
        name: task()
        for name, (_, task) in chains.counting_tasks(pyestim, case, case.data()).items()
        if name != "C loop, used table"
    }
    want = tables["pyestim|1"].table
    for table in tables.values():
        np.testing.assert_array_equal(getattr(table, "table", table), want)
    record = chains.measure_counting(pyestim, case, repeats=1, budget=0.1)
    head, (row,) = chains.counting_rows([{**record, "goal": 0.0}])
    assert len(head) == len(row) and row[-1] == "0: **missed**"
