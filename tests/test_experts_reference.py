"""Mixtures of regressions and of experts that other programs fitted: reference/README.md."""

from __future__ import annotations

import numpy as np
import pytest
from expert_problems import RECORDED, recorded

from pyestim.data.experts import ExpertSource
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_fit import fit_experts

pytestmark = pytest.mark.once

#: The more maxima, the more starts.
N_INIT = {"mixreg_npreg_gaussian_k3": 20}


class Problem:
    """One file: rows, model, what was recorded."""

    def __init__(self, path):
        spec, self.expected, self.tolerances, self.X, y, Z = recorded(path)
        self.sd = y.std()
        self.source = ExpertSource(self.X, y, Z, family=spec["family"], gated=Z is not None)
        gate = "constant" if Z is None else "softmax"
        self.model = build_model(self.source, ExpertOptions(spec["n_components"], gate=gate))

    def regular(self, params, resp_sum):
        """The recorded maxima obey this rule: no tiny scale, no tiny expert."""
        user = self.model.to_user(params, self.source)
        wide = "covariance" not in user or np.sqrt(user["covariance"].min()) >= 0.02 * self.sd
        return wide and resp_sum.min() >= self.X.shape[1] + 2.5


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_fit_reaches_the_recorded_optimum(path, seed):
    problem = Problem(path)
    model, source, expected = problem.model, problem.source, problem.expected
    rng = np.random.RandomState(seed)
    n_init = N_INIT.get(path.stem, 5)
    # Complete to far less than the log-likelihood may miss; the fit that is compared goes on.
    fit = fit_experts(model, source, n_init, rng, tol=1e-10, max_sweeps=3000)

    stats = LocalSweep(model, source)(fit.all_params)
    n = source.n_rows
    found = [
        (report.objective * n, params)
        for report, params, s in zip(fit.all_reports, fit.all_params, stats, strict=True)
        if problem.regular(params, s["resp_sum"])
    ]
    _, params = min(found, key=lambda pair: abs(pair[0] - expected["loglik"]))
    best = fit_experts(model, source, 0, rng, starts=[params], tol=1e-13, max_sweeps=3000)
    allowed = min(1e-6 * abs(expected["loglik"]), problem.tolerances["loglik"]["abs"])
    assert abs(best.objective * n - expected["loglik"]) <= allowed
    assert fit.objective * n >= expected["loglik"] - allowed
    assert model.n_parameters == expected["n_parameters"]
    compare(problem, best.params)


def compare(problem, params):
    """Parameters in the recorded order, posterior and means of the recorded rows."""
    model, source, expected = problem.model, problem.source, problem.expected
    user = model.to_user(params, source)
    got = np.column_stack([user["intercept"][:, 0], user["coef"][:, 0]])
    want = np.array(expected["coef"])
    mean = np.concatenate([[1.0], problem.X.mean(axis=0)])
    order = np.argsort(got @ mean)[np.argsort(np.argsort(want @ mean))]
    limits, error = problem.tolerances["params"], expected["std_errors"]
    close(got[order], want, limits, error["coef"])
    if "covariance" in user:
        sigma = np.sqrt(user["covariance"][order, 0, 0])
        close(sigma, expected["sigma"], limits, np.multiply(error["log_sigma"], sigma))
    gate = np.column_stack([user["gate_intercept"], user["gate_coef"]])[order]
    close((gate - gate[0])[1:], expected["gating_coef"][1:], limits, error["gating"])

    resp, log_pi = (np.empty((source.n_rows, model.n_experts)) for _ in range(2))
    model.rows(params, source.whole, resp=resp, gate=log_pi)
    rows = expected["posterior_rows"]
    posterior = problem.tolerances["posterior"]["abs"]
    np.testing.assert_allclose(resp[rows][:, order], expected["posterior"], atol=posterior)
    np.testing.assert_allclose(
        np.exp(log_pi)[rows][:, order], expected["gating_probabilities"], atol=posterior
    )


def close(got, expected, limits, standard_error):
    """Within the relative tolerance, or a thousandth of a standard error."""
    gap = np.abs(got - np.array(expected))
    allowed = np.maximum(
        limits["rel"] * np.abs(expected), limits["abs_in_std_errors"] * np.abs(standard_error)
    )
    assert np.all(gap <= allowed), f"off by {np.max(gap / allowed):.3g} times what is allowed"


def test_every_file_is_run():
    assert len(RECORDED) == 12
