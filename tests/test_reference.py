"""Maximum-likelihood fits made by other programs: tests/reference/README.md says how."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.exceptions import ConvergenceWarning

from pyestim import GaussianMixture

HERE = Path(__file__).parent / "reference"

#: mclust's letters -> our names.  In one dimension every "variable" model is the same one.
COVARIANCE_TYPES = {
    "VVV": ("full",),
    "EEE": ("tied",),
    "VVI": ("diag",),
    "VII": ("spherical",),
}
ONE_DIMENSION = {"EII": ("tied",), "VII": ("full", "diag", "spherical")}


@functools.cache
def read_file(path):
    return json.loads(path.read_text())


@functools.cache
def read_columns(csv, columns):
    table = np.genfromtxt(HERE / csv, delimiter=",", names=True, deletechars="", dtype=None)
    X = np.column_stack([table[name] for name in columns]).astype(float)
    X.setflags(write=False)
    return X


def sample_weight(spec, n):
    text = spec.get("sample_weight")
    if text is None:
        return None
    if text.startswith("w_i = i mod 4"):
        return np.arange(n) % 4.0
    assert text.startswith("w_i = 0.5 + 0.5 * (i mod 4)")
    return 0.5 + 0.5 * (np.arange(n) % 4)


def expressible():
    for path in sorted((HERE / "gmm").glob("*.json")):
        file = read_file(path)
        table = ONE_DIMENSION if len(file["data"]["columns"]) == 1 else COVARIANCE_TYPES
        for i, case in enumerate(file["cases"]):
            for covariance_type in table.get(case["spec"]["covariance_model"], ()):
                yield pytest.param(path, i, covariance_type, id=f"{case['id']}-{covariance_type}")


CASES = list(expressible())


def start(path, i, covariance_type, accelerate):
    """The rows, their weights, the case, and a mixture that starts from its labels."""
    file = read_file(path)
    case = file["cases"][i]
    X = read_columns(file["data"]["csv"], tuple(file["data"]["columns"]))
    mixture = GaussianMixture(
        case["spec"]["n_components"],
        covariance_type=covariance_type,
        init_params=np.array(file["start_labels"]),
        tol=1e-14,
        max_iter=20_000,
        accelerate=accelerate,
    )
    return X, sample_weight(case["spec"], len(X)), case, file["tolerances"], mixture


def dense_covariances(mixture):
    k, d = mixture.means_.shape
    cov = mixture.covariances_
    return {
        "full": lambda: cov,
        "tied": lambda: np.broadcast_to(cov, (k, d, d)),
        "diag": lambda: cov[:, :, None] * np.eye(d),
        "spherical": lambda: cov[:, None, None] * np.eye(d),
    }[mixture.covariance_type]()


def close(got, expected, tolerance):
    gap = np.abs(np.asarray(got) - expected)
    allowed = np.maximum(tolerance.get("abs", 0.0), tolerance.get("rel", 0.0) * np.abs(expected))
    assert np.all(gap <= allowed), f"off by {gap.max():.3g}, allowed {allowed.min():.3g}"


def close_params(got, expected, unit, tolerance, unfinished):
    """Within the tolerance, or within what the missing log-likelihood explains."""
    gap = np.abs(np.asarray(got) - expected)
    allowed = np.maximum(
        tolerance["rel"] * np.abs(expected),
        np.maximum(tolerance["abs_in_sd"], unfinished) * unit,
    )
    assert np.all(gap <= allowed), f"off by {np.max(gap / allowed):.3g} times what is allowed"


@pytest.mark.parametrize(("path", "i", "covariance_type"), CASES)
def test_fit_reaches_the_recorded_optimum(path, i, covariance_type):
    X, weight, case, tolerances, mixture = start(path, i, covariance_type, "auto")
    expected = case["expected"]
    mixture.fit(X, sample_weight=weight)

    log_likelihood = mixture.log_likelihood(X, sample_weight=weight)
    close(log_likelihood, expected["loglik"], tolerances["loglik"])
    close(mixture.bic(X, sample_weight=weight), expected["bic"], tolerances["bic"])
    close(mixture.aic(X, sample_weight=weight), expected["aic"], tolerances["bic"])
    close(
        mixture.icl(X, sample_weight=weight),
        expected["bic"] + 2 * expected["posterior_entropy"],
        {"abs": 1e-4},
    )
    assert mixture.n_parameters_ == expected["n_parameters"]
    total = len(X) if weight is None else weight.sum()
    close(mixture.lower_bound_ * total, expected["loglik"], tolerances["loglik"])

    # The rounding of a sum of n terms bounds how well the missing gain is known.
    missing = max(expected["loglik"] - log_likelihood, 1e-14 * abs(expected["loglik"]))
    unfinished = np.sqrt(2 * missing / abs(case["verified"]["hessian_largest_eigenvalue"]))
    sd = X.std(axis=0)
    means = np.array(expected["means"])
    order = linear_sum_assignment(
        (((means[:, None] - mixture.means_) / sd) ** 2).sum(axis=2),
    )[1]
    limits = tolerances["params"]
    close_params(mixture.weights_[order], expected["weights"], 1.0, limits, unfinished)
    close_params(mixture.means_[order], means, sd, limits, unfinished)
    covariances = np.reshape(expected["covariances"], (len(means), len(sd), len(sd)))
    close_params(
        dense_covariances(mixture)[order], covariances, np.outer(sd, sd), limits, unfinished
    )

    rows = expected["posterior_rows"]
    posterior = mixture.predict_proba(X)[rows][:, order]
    close(posterior, expected["posterior"], {"abs": max(1e-6, unfinished)})
    log_density = mixture.score_samples(np.array(expected["density_points"]))
    close(log_density, expected["log_density"], {"abs": max(1e-6, unfinished)})
    if "map_counts" in expected:
        counts = np.bincount(mixture.predict(X), minlength=len(means))
        assert counts[order].tolist() == expected["map_counts"]


@pytest.mark.parametrize(("path", "i", "covariance_type"), CASES)
def test_plain_em_takes_the_recorded_steps(path, i, covariance_type):
    X, weight, case, tolerances, mixture = start(path, i, covariance_type, None)
    trace = case["expected"]["em_trace"]
    mixture.set_params(max_iter=max(trace["iteration"]), tol=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(X, sample_weight=weight)
    total = len(X) if weight is None else weight.sum()
    steps = mixture.report_.trace
    # A fit that no longer changes ends by itself.
    got = [steps[min(i, len(steps) - 1)] * total for i in trace["iteration"]]
    close(got, trace["loglik"], tolerances["em_trace"])


def test_every_expressible_case_is_run():
    # 17 full, 20 tied, 17 diag, 17 spherical; in one dimension 11 tied and 3 x 11 variable.
    assert len(CASES) == 17 + 20 + 17 + 17 + 11 + 3 * 11
