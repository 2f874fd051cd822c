"""Penalised fits against glmnet and direct optimisation, through the public interface."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import logsumexp

from pyestim import LassoGLM, glm_path

REFERENCE = Path(__file__).parent / "reference"
FILES = sorted((REFERENCE / "lasso").glob("*.json"))
#: Relative duality gap that is asked for: with it coefficients move by less than 1e-6 of their
#: scale, since the loss of every case curves by more than 1e-2 along the support.
TOL = 1e-14


def columns_of(path):
    with path.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def load(file):
    """Data and cases of one reference file."""
    content = json.loads(file.read_text())
    data = content["data"]
    columns = columns_of(REFERENCE / data["csv"])
    X = np.column_stack([columns[name].astype(float) for name in data["features"]])
    response = [columns[name] for name in data["response"]]
    if len(response) == 2:
        y = np.column_stack([part.astype(float) for part in response])
    else:
        y = response[0] if "classes" in data else response[0].astype(float)
    extra = {name: columns[name].astype(float) for name in data.get("extra", [])}
    return X, y, extra, content


CASES = [
    pytest.param(file, case, id=case["id"])
    for file in FILES
    for case in json.loads(file.read_text())["cases"]
]


def arguments(case, y, weight):
    """Our penalty of the recorded one: penalties of one point are alpha, l1_ratio and weights.

    For the Gaussian family glmnet divides the ridge part by the standard deviation of y.
    """
    spec, path = case["spec"], case["expected"]["path"]
    lam = np.array([point["lambda"] for point in path])
    share = spec["alpha_glmnet"]
    ridge = 1 - share
    if spec["family"] == "gaussian" and ridge:
        ridge /= np.sqrt(np.cov(y, aweights=weight, ddof=0))
    return lam * (share + ridge), {
        "family": spec["family"],
        "l1_ratio": share / (share + ridge),
        "penalty": "group" if spec["grouped"] else "l1",
        "penalty_weights": spec["penalty_factor"],
        "fit_intercept": spec["intercept"],
        "standardize": spec["standardize"],
        "tol": TOL,
    }


def loss(family, y, eta, weight):
    """Negative log-likelihood per unit weight, written down once more, row by row."""
    w = np.ones(len(eta)) if weight is None else weight
    w = w / w.sum()
    if family == "gaussian":
        return w @ (y - eta) ** 2 / 2
    if family == "binomial":
        return w @ (np.logaddexp(0, eta) - y * eta)
    if family == "poisson":
        return w @ (np.exp(eta) - y * eta)
    if family == "multinomial":
        codes = np.unique(y, return_inverse=True)[1]
        return w @ (logsumexp(eta, axis=1) - eta[np.arange(len(y)), codes])
    total = 0.0
    for i in np.flatnonzero(y[:, 1] == 1):  # Breslow
        total += w[i] * (logsumexp(eta[y[:, 0] >= y[i, 0]]) - eta[i])
    return total


def objective(spec, point, y, X, coef, intercept, extra):
    coef = np.atleast_2d(coef)
    eta = X @ coef.T + intercept
    eta = eta if spec["family"] == "multinomial" else eta[:, 0] + extra.get("offset", 0.0)
    l1, l2 = np.array(point["l1_weights"]), np.array(point["l2_weights"])
    sizes = np.linalg.norm(coef, axis=0) if spec["grouped"] else np.abs(coef).sum(axis=0)
    penalty = l1 @ sizes + l2 @ (coef**2).sum(axis=0) / 2
    return loss(spec["family"], y, eta, extra.get("weight")) + penalty


def assert_point(case, point, X, y, coef, intercept, extra, tolerances):
    spec = case["spec"]
    sd = np.array(spec["column_sd_used_by_standardize"])
    value = objective(spec, point, y, X, coef, intercept, extra)
    # Never above the recorded one by more than 1e-9 of it.
    assert value - point["objective"] <= 1e-9 * abs(point["objective"])
    scale = np.std(y) if spec["family"] == "gaussian" else 1.0
    expected = np.array(point["coef"])
    tolerance = tolerances["coef"]["abs"] * scale / sd + tolerances["coef"]["rel"] * abs(expected)
    assert (abs(coef - expected) <= tolerance).all()
    large = abs(expected * sd) > 1e-4
    assert (coef[large] != 0).all()
    assert (abs(coef * sd)[expected == 0] < 1e-4).all()
    if spec["intercept"]:
        wanted = np.array(point["intercept"])
        shift = np.mean(wanted) - np.mean(intercept) if wanted.ndim else 0.0
        # A coefficient's error moves the intercept by the mean of its column.
        slack = scale * (1e-6 + np.abs(X.mean(axis=0)) @ np.atleast_2d(tolerance).max(axis=0))
        np.testing.assert_allclose(intercept + shift, wanted, atol=slack, rtol=1e-5)


@pytest.mark.parametrize(("file", "case"), CASES)
def test_path(file, case):
    X, y, extra, content = load(file)
    alphas, how = arguments(case, y, extra.get("weight"))
    path = glm_path(
        X, y, alphas=alphas, sample_weight=extra.get("weight"), offset=extra.get("offset"), **how
    )
    assert (path.duality_gap <= TOL).all()
    for i, point in enumerate(case["expected"]["path"]):
        coef, intercept = path.coefs[..., i], path.intercepts[..., i]
        assert_point(case, point, X, y, coef, intercept, extra, content["tolerances"])
        recorded = point["dev_ratio_glmnet"]
        # glmnet's deviance of a Cox model has another saturated one where events are tied.
        assert path.deviance_ratio[i] == pytest.approx(recorded, abs=1e-6)


@pytest.mark.parametrize(("file", "case"), CASES)
def test_single_fit(file, case):
    X, y, extra, content = load(file)
    alphas, how = arguments(case, y, extra.get("weight"))
    model = LassoGLM(alpha=alphas[-1], **how)
    model.fit(X, y, sample_weight=extra.get("weight"), offset=extra.get("offset"))
    assert model.converged_
    point = case["expected"]["path"][-1]
    tolerances = content["tolerances"]
    coef, intercept = model.coef_, model.intercept_
    if case["spec"]["family"] == "binomial":
        coef, intercept = coef[0], intercept[0]
    assert_point(case, point, X, y, coef, intercept, extra, tolerances)
