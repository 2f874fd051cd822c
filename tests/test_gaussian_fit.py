"""`GaussianMixture.fit`: starts, stops, warm starts, the account of a fit."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
from blobs import assert_same_fit, blobs
from sklearn.exceptions import ConvergenceWarning

from pyestim import GaussianMixture


def test_start_from_labels_and_from_responsibilities_agree():
    X = blobs()
    labels = np.arange(len(X)) % 3
    from_labels = GaussianMixture(3, init_params=labels, accelerate=None).fit(X)
    from_resp = GaussianMixture(3, init_params=np.eye(3)[labels], accelerate=None).fit(X)
    assert_same_fit(from_labels, from_resp, 1e-10)


def test_no_iteration_publishes_the_start():
    X = blobs()
    labels = np.repeat([0, 1, 2], 200)
    mixture = GaussianMixture(3, init_params=labels, max_iter=0).fit(X)
    assert mixture.n_iter_ == 0
    assert mixture.lower_bounds_ == []
    assert not mixture.converged_
    np.testing.assert_allclose(mixture.means_, X.reshape(3, 200, 3).mean(axis=1), rtol=1e-12)
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), rel=1e-12)


def test_more_starts_are_not_worse():
    X = blobs(spread=1.5, k=6)
    arguments = {"init_params": "random", "random_state": 1, "max_iter": 5000}
    one = GaussianMixture(6, **arguments).fit(X)
    many = GaussianMixture(6, n_init=8, **arguments).fit(X)
    assert many.lower_bound_ >= one.lower_bound_ - 1e-9


@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random", "random_from_data"])
def test_a_seed_fixes_the_result(init_params):
    X = blobs()
    first, second = (
        GaussianMixture(3, init_params=init_params, random_state=7).fit(X) for _ in range(2)
    )
    np.testing.assert_array_equal(first.means_, second.means_)


def test_bounds_rise_to_what_is_published():
    mixture = GaussianMixture(3, random_state=0, tol=1e-9, max_iter=500).fit(blobs(spread=1.5))
    bounds = mixture.lower_bounds_
    assert len(bounds) == mixture.n_iter_
    assert all(a <= b for a, b in itertools.pairwise(bounds))
    assert bounds[-1] == mixture.lower_bound_
    assert mixture.lower_bound_ == pytest.approx(mixture.score(blobs(spread=1.5)), abs=1e-12)


def test_unfinished_fit_says_what_to_change():
    X = blobs(spread=1.0)
    with pytest.warns(
        ConvergenceWarning, match=r"max_iter.*after 2 iterations, tol is 1\.0e-09"
    ) as told:
        mixture = GaussianMixture(4, tol=1e-9, max_iter=2, random_state=0).fit(X)
    assert told[0].filename == __file__  # the line of the user, not one of ours
    assert not mixture.converged_
    assert mixture.n_iter_ == 2
    assert "NOT CONVERGED" in str(mixture.report_)


def test_tolerance_bounds_what_is_still_to_come():
    X = blobs(2000, spread=1.0)
    best = GaussianMixture(4, tol=1e-12, max_iter=20_000, random_state=0).fit(X)
    for tol in (1e-5, 1e-7):
        mixture = GaussianMixture(4, tol=tol, max_iter=20_000, random_state=0).fit(X)
        assert best.lower_bound_ - mixture.lower_bound_ < 3 * tol


def test_warm_start_goes_on_where_it_stopped():
    X = blobs(spread=1.0)
    arguments = {"random_state": 0, "accelerate": None, "tol": 1e-8}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        once = GaussianMixture(3, max_iter=6, **arguments).fit(X)
        steps = GaussianMixture(3, max_iter=2, warm_start=True, **arguments)
        for _ in range(3):
            steps.fit(X)
        assert_same_fit(steps, once, 1e-9)
        for _ in range(3000):
            if steps.fit(X).converged_:
                break
    assert steps.converged_
    steps.set_params(n_components=4)
    with pytest.raises(ValueError, match="warm_start=True expects n_components"):
        steps.fit(X)


def test_warm_start_with_other_rows_forgets_the_past():
    mixture = GaussianMixture(3, max_iter=1, warm_start=True, random_state=0, tol=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for _ in range(5):
            mixture.fit(blobs(spread=1.0))
        assert not mixture.fit(blobs(seed=5, spread=1.0)).converged_


def test_report_tells_the_work():
    mixture = GaussianMixture(3, random_state=0).fit(blobs())
    report = mixture.report_
    assert report.sweeps == mixture.n_iter_ + 1 == len(report.trace)
    assert report.objective == mixture.lower_bound_
    assert report.seconds > 0
    assert report.trusted


def test_progress_is_told(capsys, caplog):
    X = blobs(spread=1.5)
    arguments = {"random_state": 0, "tol": 1e-6, "max_iter": 500}
    with caplog.at_level("DEBUG", logger="pyestim"):
        mixture = GaussianMixture(3, verbose=2, verbose_interval=4, **arguments).fit(X)
    lines = capsys.readouterr().out.splitlines()
    told = range(0, mixture.n_iter_ + 1, 4)
    for i, line in zip(told, lines, strict=False):
        assert line.startswith(f"GaussianMixture: iteration {i}, objective ")
    assert len(lines) == len(told) + 1
    assert lines[-1].startswith(f"GaussianMixture: {mixture.n_iter_} iterations, objective ")
    assert lines[-1].endswith(mixture.report_.outcome.value)
    assert [record.getMessage() for record in caplog.records] == lines
    GaussianMixture(3, **arguments).fit(X)
    assert capsys.readouterr().out == ""


def three_groups():
    rng = np.random.RandomState(0)
    return np.concatenate([rng.normal(m, 1, (100, 2)) for m in (0.0, 10.0, 20.0)])


LOST = {
    # The third component starts where no row is.
    "weights_init": np.full(3, 1 / 3),
    "means_init": [[5.0, 5.0], [20.0, 20.0], [5e3, -5e3]],
    "precisions_init": [np.eye(2) / 25] * 3,
}


def test_a_component_without_rows_is_dropped():
    X = three_groups()
    mixture = GaussianMixture(3, on_degenerate="drop", max_iter=1000, **LOST).fit(X)
    assert mixture.report_.events == ("component 2 was dropped.",)
    assert mixture.weights_[2] == 0.0
    assert mixture.n_parameters_ == 11
    two = GaussianMixture(2, means_init=LOST["means_init"][:2], max_iter=1000).fit(X)
    assert mixture.score(X) == pytest.approx(two.score(X), abs=1e-4)
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), abs=1e-12)
    assert set(mixture.predict(X)) == {0, 1}
    assert "2 was dropped" in str(mixture.report_)


def test_a_component_without_rows_is_seeded_again():
    X = three_groups()
    mixture = GaussianMixture(3, on_degenerate="reseed", max_iter=1000, tol=1e-8, **LOST).fit(X)
    assert mixture.report_.events[0] == "component 2 was seeded again."
    good = GaussianMixture(3, random_state=0, max_iter=1000, tol=1e-8).fit(X)
    assert mixture.lower_bound_ == pytest.approx(good.lower_bound_, abs=1e-6)


@pytest.mark.parametrize("policy", ["drop", "reseed", "raise"])
def test_sound_fits_are_left_alone(policy):
    X = blobs()
    plain = GaussianMixture(3, random_state=0).fit(X)
    watched = GaussianMixture(3, random_state=0, on_degenerate=policy).fit(X)
    assert_same_fit(watched, plain, 0)
    assert watched.report_.events == ()


def test_interruption_keeps_the_best(monkeypatch):
    def press_ctrl_c(self, sweep, objectives):
        if sweep == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("pyestim.engine.progress.Talk.__call__", press_ctrl_c)
    X = blobs(spread=1.0)
    with pytest.warns(ConvergenceWarning, match="Interrupted by the user"):
        mixture = GaussianMixture(3, tol=1e-9, random_state=0, verbose=1).fit(X)
    assert mixture.report_.sweeps == 3
    assert not mixture.converged_
    assert mixture.lower_bound_ == pytest.approx(mixture.score(X), abs=1e-12)


def test_a_collapsed_component_is_not_kept_for_its_likelihood():
    X = three_groups()
    X[:6] = 40.0
    start = {"means_init": [[10.0, 10.0], [40.0, 40.0]], "max_iter": 1000}
    spurious = GaussianMixture(2, **start).fit(X)
    dropped = GaussianMixture(2, on_degenerate="drop", **start).fit(X)
    assert spurious.lower_bound_ > dropped.lower_bound_
    assert dropped.weights_.tolist() == [1.0, 0.0]
    np.testing.assert_allclose(dropped.means_[0], X.mean(axis=0), rtol=1e-9)


def test_components_that_collapse_after_another_one_are_seen():
    X = np.concatenate([three_groups(), np.full((5, 2), 60.0)])
    start = {
        "weights_init": [0.6, 0.2, 0.2],
        "means_init": [[10.0, 10.0], [1e4, 1e4], [60.0, 60.0]],  # no rows; copies of one row
        "precisions_init": [np.eye(2) / 25, np.eye(2), np.eye(2)],
    }
    kept = GaussianMixture(3, max_iter=1000, **start).fit(X)
    assert any("component 2 has collapsed" in line for line in kept.report_.diagnosis)
    dropped = GaussianMixture(3, on_degenerate="drop", max_iter=1000, **start).fit(X)
    assert dropped.report_.events == ("component 1 was dropped.", "component 2 was dropped.")
    assert dropped.weights_.tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize("seed", [31, 44, 50, 167])
def test_a_fit_on_the_floor_converges(seed):
    """Where the floor holds a covariance, rounded parameters move the objective by 1e-9."""
    rng = np.random.RandomState(seed)
    X = rng.rand(15, 30)
    weight = rng.randint(0, 5, size=15).astype(float)
    weight[0] = 1
    assert GaussianMixture(random_state=0).fit(X, sample_weight=weight).converged_
