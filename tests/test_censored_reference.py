"""Censored regressions that R's survreg fitted: reference/README.md."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pyestim import CensoredRegressor

pytestmark = pytest.mark.once

HERE = Path(__file__).parent / "reference"
FILES = sorted((HERE / "censored").glob("cens_*.json"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_survreg(path):
    file = json.loads(path.read_text())
    (case,), limits = file["cases"], file["tolerances"]
    expected = case["expected"]
    table = np.genfromtxt(HERE / file["data"]["csv"], delimiter=",", names=True, deletechars="")
    X = np.column_stack([np.ones(len(table)), *(table[c] for c in case["spec"]["covariates"])])
    X = X[:, 1:] if X.shape[1] > 1 else None
    data = {"lower": table["lower"], "upper": table["upper"]}
    model = CensoredRegressor().fit(X, **data)
    assert model.report_.trusted
    counts = (model.n_exact_, model.n_left_, model.n_right_, model.n_interval_)
    assert counts == tuple(case["spec"][f"n_{k}"] for k in ("exact", "left", "right", "interval"))
    log_likelihood = model.log_likelihood(X, **data)
    assert log_likelihood >= expected["loglik"] - 1e-8 * abs(expected["loglik"])
    allowed = limits["loglik"]["abs"] + limits["loglik"]["rel"] * abs(expected["loglik"])
    assert abs(log_likelihood - expected["loglik"]) <= allowed
    np.testing.assert_allclose(log_likelihood / len(table), model.lower_bound_, rtol=1e-12)
    found = np.concatenate([[model.intercept_], model.coef_, [model.scale_]])
    want = np.array([expected["intercept"], *expected["coef"], expected["scale"]])
    np.testing.assert_allclose(found, want, rtol=limits["params"]["rel"])
    errors = model.standard_errors()
    found = [errors.intercept, *errors.coef, errors.log_scale]
    want = expected["std_errors_(coef,log_scale)"]
    np.testing.assert_allclose(found, want, rtol=limits["std_errors"]["rel"])
    want = np.array(expected["covariance_of_(coef,log_scale)"])
    size = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    assert np.abs((model.covariance_ - want) / size).max() <= 2 * limits["std_errors"]["rel"]


def test_all_references_are_here():
    assert len(FILES) == 7
