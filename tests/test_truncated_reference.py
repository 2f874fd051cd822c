"""Truncated laws and mixtures that other programs fitted: reference/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pyestim import TruncatedGaussianMixture

pytestmark = pytest.mark.once

HERE = Path(__file__).parent / "reference"


def truncated_cases():
    for kind in ("mix", "one", "box"):
        for path in sorted((HERE / "censored").glob(f"{kind}_*.json")):
            file = json.loads(path.read_text())
            for case in file["cases"]:
                if case["spec"]["kind"] == "truncated":
                    yield pytest.param(file, case, id=case["id"])


CASES = list(truncated_cases())


def fitted(file, case):
    """The rows inside the set, and the mixture that was fitted to them."""
    spec, columns = case["spec"], file["data"]["columns"]
    table = np.genfromtxt(HERE / file["data"]["csv"], delimiter=",", names=True, deletechars="")
    X = np.column_stack([table[name] for name in columns])
    lower, upper = np.array(spec["lower"], float), np.array(spec["upper"], float)
    X = X[((lower < X) & (upper > X)).all(axis=1)]
    assert len(X) == spec["n_used"]
    mixture = TruncatedGaussianMixture(
        spec.get("n_components", 1),
        lower=lower,
        upper=upper,
        covariance_type="tied" if spec.get("shared_sd") else "full",
        tol=1e-12,
        random_state=0,
    )
    return X, mixture.fit(X)


def recorded(expected):
    """Weights, means (k, d) and covariances (k, d, d) by increasing first mean."""
    if "mean" in expected:
        return np.ones(1), np.array([[expected["mean"]]]), np.array([[[expected["sd"] ** 2]]])
    means = np.array(expected["means"], float)
    means = means.reshape(len(means), -1)
    if "sds" in expected:
        return expected["weights"], means, np.square(expected["sds"])[:, None, None]
    return expected["weights"], means, np.array(expected["covariances"])


def close(got, want, limits, unit=1.0):
    gap = np.abs(np.asarray(got) - np.asarray(want))
    allowed = np.maximum(limits["rel"] * np.abs(want), limits.get("abs_in_sd", 0.0) * unit)
    assert (gap <= allowed).all(), f"off by {np.max(gap / allowed):.3g} times what is allowed"


@pytest.mark.parametrize(("file", "case"), CASES)
def test_fit_reaches_the_recorded_optimum(file, case):
    X, mixture = fitted(file, case)
    expected, tolerances = case["expected"], file["tolerances"]
    log_likelihood = mixture.log_likelihood(X)
    assert log_likelihood >= expected["loglik"] - 1e-8 * abs(expected["loglik"])
    assert abs(log_likelihood - expected["loglik"]) <= tolerances["loglik"]["abs"]
    assert mixture.lower_bound_ * len(X) == pytest.approx(log_likelihood, rel=1e-12)

    weights, means, covariances = recorded(expected)
    k, d = means.shape
    order = np.argsort(mixture.means_[:, 0])
    want = np.argsort(means[:, 0])
    sd = np.sqrt(np.diagonal(covariances, axis1=1, axis2=2))[want]
    got = np.broadcast_to(mixture.covariances_, (k, d, d))[order]
    limits = tolerances["params"]
    close(mixture.weights_[order], np.array(weights)[want], limits, 1.0)
    close(mixture.means_[order], means[want], limits, sd)
    close(got, covariances[want], limits, sd[:, :, None] * sd[:, None, :])

    inside = expected.get("prob_inside", expected.get("prob_in_box"))
    assert abs(1.0 - mixture.missing_mass_ - inside) <= tolerances["probabilities"]["abs"]
    if "n_parameters" in expected:
        assert mixture.n_parameters_ == expected["n_parameters"]
        assert mixture.bic(X) == pytest.approx(expected["bic"], abs=1e-5)
    if "posterior_points" in expected:
        posterior = mixture.predict_proba(np.array(expected["posterior_points"])[:, None])
        recorded_posterior = expected["posterior_of_exact_value"]
        np.testing.assert_allclose(posterior[:, order], recorded_posterior, atol=1e-6)
    if "std_errors_(mean,log_sd)" in expected:
        errors = mixture.standard_errors(X)
        log_sd = errors.covariances[0, 0, 0] / (2.0 * mixture.covariances_[0, 0, 0])
        got = [errors.means[0, 0], log_sd]
        close(got, expected["std_errors_(mean,log_sd)"], tolerances["std_errors"])


def test_every_truncated_case_is_run():
    assert len(CASES) == 12
