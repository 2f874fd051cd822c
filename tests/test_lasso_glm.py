"""The public interface of the penalised models: paths, choices, second fits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.special import gammaln
from scipy.stats import gamma as gamma_law
from scipy.stats import norm, poisson
from sklearn.linear_model import Lasso, LinearRegression
from sklearn.model_selection import KFold
from test_lasso_sklearn import FAMILIES, problem

from pyestim import LassoGLM, LassoGLMCV, glm_path
from pyestim.estimators.lasso_glm import PathMaker
from pyestim.penalised.criteria import dispersion

pytestmark = pytest.mark.once


@pytest.mark.parametrize("family", FAMILIES)
def test_warm_and_cold_solutions_agree_to_the_gap(family):
    X, y, w = problem(family)
    path = glm_path(X, y, family, n_alphas=8, eps=0.05, sample_weight=w, tol=1e-10)
    assert (path.duality_gap <= 1e-10).all()
    for i in (0, 3, 7):
        cold = LassoGLM(family, alpha=path.alphas[i], tol=1e-10).fit(X, y, sample_weight=w)
        warm = path.at(i)
        # The objectives differ by 1e-10 at most, and curve by more than 0.01: root of the quotient.
        np.testing.assert_allclose(warm.coef_, cold.coef_, atol=1e-4)
        np.testing.assert_allclose(warm.predict_proba(X), cold.predict_proba(X), atol=1e-4) if (
            hasattr(cold, "predict_proba")
        ) else np.testing.assert_allclose(warm.predict(X), cold.predict(X), rtol=1e-3)
        again = LassoGLM(family, alpha=path.alphas[i], tol=1e-10, warm_start=True)
        again.fit(X, y, sample_weight=w).fit(X, y, sample_weight=w)
        np.testing.assert_allclose(again.coef_, cold.coef_, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("standardize", [False, True])
def test_sparse_and_dense_rows_give_one_answer(family, standardize):
    X, y, w = problem(family)
    X = np.where(np.abs(X) > 0.4, X, 0.0)
    model = LassoGLM(family, alpha=0.02, tol=1e-12, standardize=standardize)
    dense = model.fit(X, y, sample_weight=w).coef_.copy()
    for form in (sparse.csc_array, sparse.csr_matrix, sparse.coo_array):
        again = model.fit(form(X), y, sample_weight=w)
        np.testing.assert_allclose(again.coef_, dense, atol=1e-5)  # certified to 1e-12
        assert again.predict(form(X)).shape == (len(X),)
        assert again.sparse_coef_.nnz == np.count_nonzero(again.coef_)
    assert "sparse" in str(model.report_)


@pytest.mark.parametrize("family", FAMILIES)
def test_float32_rows_of_any_order_agree(family):
    X, y, _ = problem(family)
    X = X.astype(np.float32)
    model = LassoGLM(family, alpha=0.02, tol=1e-12)
    expected = model.fit(X.astype(np.float64), y).coef_.copy()
    for rows in (X, np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        # The numbers are the same and sums are double: certified to 1e-12 all the same.
        np.testing.assert_allclose(model.fit(rows, y).coef_, expected, atol=1e-5)
        assert model.coef_.dtype == np.float64


def test_bounds_weights_and_offset():
    X, y, _ = problem("gaussian")
    model = LassoGLM(alpha=0.05, lower=0.0, penalty_weights=[0, 1, 1, 1, np.inf, 1]).fit(X, y)
    assert (model.coef_ >= 0).all()
    assert model.coef_[4] == 0
    assert model.coef_[0] > 0
    # An unpenalised column is orthogonal to the residual.
    residual = y - model.predict(X)
    assert abs(residual @ (X[:, 0] - X[:, 0].mean())) / len(X) < 1e-6
    shifted = LassoGLM(alpha=0.05).fit(X, y, offset=2 * X[:, 1])
    plain = LassoGLM(alpha=0.05).fit(X, y - 2 * X[:, 1])
    np.testing.assert_allclose(shifted.coef_, plain.coef_, atol=1e-12)
    np.testing.assert_allclose(shifted.predict(X, 2 * X[:, 1]) - 2 * X[:, 1], plain.predict(X))


@pytest.mark.parametrize("penalty", ["mcp", "scad"])
def test_concave_penalties_shrink_large_coefficients_less(penalty):
    X, y, _ = problem("gaussian", n=200)
    lasso = LassoGLM(alpha=0.2).fit(X, y)
    concave = LassoGLM(alpha=0.2, penalty=penalty).fit(X, y)
    assert concave.converged_
    assert abs(concave.coef_[0]) > abs(lasso.coef_[0])
    assert np.count_nonzero(concave.coef_) <= np.count_nonzero(lasso.coef_)
    near = LassoGLM(alpha=0.2, penalty=penalty, concavity=1e6).fit(X, y)
    # The bend is 1e-6 of the square of coefficients of at most one.
    np.testing.assert_allclose(near.coef_, lasso.coef_, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_adaptive_penalty_is_a_lasso_with_weights_of_a_first_one(family):
    X, y, _ = problem(family, n=150)
    weights = [0.0, 1.0, 1.0, 1.0, 1.0, np.inf]
    first = glm_path(X, y, family, n_alphas=50, tol=1e-9, penalty_weights=weights)
    at = first.select("bic")
    size = np.linalg.norm(first.coefs[..., at].reshape(-1, X.shape[1]), axis=0)
    size[0] = 1.0
    with np.errstate(divide="ignore"):
        v = np.where(size > 0, weights / size, np.inf)
    common = {"family": family, "alpha": 0.01, "tol": 1e-10}
    ours = LassoGLM(penalty="adaptive", penalty_weights=weights, **common).fit(X, y)
    plain = LassoGLM(penalty_weights=v, **common).fit(X, y)
    # The first fits are certified to 1e-6: weights and results agree to the root of it.
    np.testing.assert_allclose(ours.coef_, plain.coef_, atol=2e-3)
    assert np.atleast_2d(ours.coef_)[:, 0].any()
    assert "adaptive Lasso" in str(ours.report_)


def test_group_penalty_keeps_columns_whole():
    X, y, _ = problem("multinomial", n=120)
    model = LassoGLM("multinomial", alpha=0.1, penalty="group").fit(X, y)
    whole = (model.coef_ != 0).any(axis=0)
    assert 0 < whole.sum() < X.shape[1]
    assert (model.coef_[:, whole] != 0).all()


def test_two_classes_of_a_multinomial_model():
    X, y, _ = problem("binomial")
    # With coefficients +-b/2 the symmetric model charges |b| once, as the binomial one does.
    two = LassoGLM("multinomial", alpha=0.02, tol=1e-12).fit(X, y)
    one = LassoGLM("binomial", alpha=0.02, tol=1e-12).fit(X, y)
    assert two.decision_function(X).shape == (len(X),)
    np.testing.assert_allclose(two.decision_function(X), one.decision_function(X), atol=1e-4)
    np.testing.assert_allclose(two.predict_proba(X), one.predict_proba(X), atol=1e-4)


# -- likelihoods and criteria ----------------------------------------------------------------------


def test_log_likelihoods_are_those_of_scipy():
    X, y, w = problem("gaussian")
    model = LassoGLM(alpha=0.05).fit(X, y, sample_weight=w)
    expected = w @ norm.logpdf(y, model.predict(X), np.sqrt(model.dispersion_))
    assert model.log_likelihood(X, y, w) == pytest.approx(expected, rel=1e-12)
    X, y, w = problem("poisson")
    model = LassoGLM("poisson", alpha=0.05).fit(X, y, sample_weight=w)
    assert model.log_likelihood(X, y, w) == pytest.approx(
        w @ poisson.logpmf(y, model.predict(X)), rel=1e-12
    )
    X, y, w = problem("gamma")
    model = LassoGLM("gamma", alpha=0.05).fit(X, y, sample_weight=w)
    shape = 1 / model.dispersion_
    at = [
        w @ gamma_law.logpdf(y, s, scale=model.predict(X) / s)
        for s in shape * np.array([0.99, 1, 1.01])
    ]
    assert model.log_likelihood(X, y, w) == pytest.approx(at[1], rel=1e-10)
    assert at[1] > max(at[0], at[2])  # the shape is the maximum-likelihood one
    X, y, w = problem("binomial")
    model = LassoGLM("binomial", alpha=0.05).fit(X, y, sample_weight=w)
    chosen = model.predict_log_proba(X)[np.arange(len(y)), (y == "yes").astype(int)]
    assert model.log_likelihood(X, y, w) == pytest.approx(w @ chosen, rel=1e-12)


def test_dispersion_of_gamma_over_many_orders():
    from scipy.special import digamma

    nu = np.logspace(-2, 5, 15)
    # log nu - digamma(nu) near 1/(2 nu) loses |log nu| / (2 nu) units of the last place.
    np.testing.assert_allclose(1 / dispersion("gamma", np.log(nu) - digamma(nu)), nu, rtol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_criteria_of_the_path_are_those_of_the_model(family):
    X, y, w = problem(family)
    path = glm_path(X, y, family, n_alphas=6, eps=0.05, sample_weight=w)
    model = path.at(4)
    assert path.criterion("aic")[4] == pytest.approx(model.aic(X, y, w), rel=1e-9)
    assert path.criterion("bic")[4] == pytest.approx(model.bic(X, y, w), rel=1e-9)
    s, p = path.df[4], X.shape[1]
    extra = 2 * (gammaln(p + 1) - gammaln(s + 1) - gammaln(p - s + 1))
    assert path.criterion("ebic")[4] == pytest.approx(path.criterion("bic")[4] + extra, rel=1e-9)
    for name in ("aic", "bic", "ebic"):
        chosen = LassoGLMCV(family, rule=name, n_alphas=6, eps=0.05).fit(X, y, sample_weight=w)
        assert chosen.alpha_ == path.alphas[path.select(name)]
        assert not hasattr(chosen, "cv_deviance_mean_")


# -- cross-validation ------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_cross_validation_against_a_loop_over_folds(family):
    X, y, w = problem(family)
    folds = list(KFold(4, shuffle=True, random_state=0).split(X))
    model = LassoGLMCV(family, cv=folds, n_alphas=8, eps=0.05, tol=1e-10)
    model.fit(X, y, sample_weight=w)
    weight, curves = [], []
    for train, test in folds:
        fits = [LassoGLM(family, alpha=a, tol=1e-10) for a in model.alphas_]
        fits = [fit.fit(X[train], y[train], sample_weight=w[train]) for fit in fits]
        if family == "cox":
            weight.append(w[test] @ y[test, 1])
            apart = [
                fit.log_likelihood(X, y, w) - fit.log_likelihood(X[train], y[train], w[train])
                for fit in fits
            ]
            curves.append(-2 * np.array(apart) / weight[-1])
        else:
            weight.append(w[test].sum())
            curves.append([fit.deviance(X[test], y[test], w[test]) for fit in fits])
    mean = np.average(curves, axis=0, weights=weight)
    # Coefficients of two fits certified to 1e-10 differ by 1e-4 at most.
    np.testing.assert_allclose(model.cv_deviance_.T, curves, rtol=2e-3)
    np.testing.assert_allclose(model.cv_deviance_mean_, mean, rtol=2e-3)
    spread = np.average((np.array(curves) - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(model.cv_deviance_se_, np.sqrt(spread / 3), rtol=2e-2, atol=1e-4)
    least = np.argmin(model.cv_deviance_mean_)
    assert model.alpha_ == model.alpha_min_ == model.alphas_[least]
    bound = model.cv_deviance_mean_[least] + model.cv_deviance_se_[least]
    assert model.alpha_1se_ == model.alphas_[np.argmax(model.cv_deviance_mean_ <= bound)]
    np.testing.assert_array_equal(np.ravel(model.coef_), np.ravel(model.coef_path_[..., least]))


def test_folds_copy_no_rows(monkeypatch):
    """One path on all rows and one a fold, all of them on the matrix that was given."""
    from pyestim.estimators import _glm_solve as engine

    seen = []
    real = engine.solve_path

    def watched(problem, alphas, **more):
        seen.append(problem.design)
        return real(problem, alphas, **more)

    monkeypatch.setattr(engine, "solve_path", watched)
    X, y, _ = problem("gaussian")
    LassoGLMCV(n_alphas=5).fit(X, y)
    assert len(seen) == 6
    assert all(np.shares_memory(design._parts[0], X) for design in seen)


def test_folds_may_name_rows_twice():
    """A bootstrap as the training part: the row counts as often as it is named."""
    X, y, _ = problem("gaussian")
    twice, rest = np.r_[np.arange(30), np.arange(10)], np.arange(30, len(X))
    alphas = [0.2, 0.1]
    model = LassoGLMCV(alphas=alphas, cv=[(twice, rest), (rest, twice)]).fit(X, y)
    for i, alpha in enumerate(alphas):
        fit = LassoGLM(alpha=alpha).fit(X[twice], y[twice])
        assert model.cv_deviance_[i, 0] == pytest.approx(fit.deviance(X[rest], y[rest]))


def test_given_penalties_are_used_in_falling_order():
    X, y, _ = problem("gaussian")
    model = LassoGLMCV(alphas=[0.01, 0.3, 0.1, 0.1]).fit(X, y)
    np.testing.assert_array_equal(model.alphas_, [0.3, 0.1, 0.01])
    theirs = Lasso(alpha=0.1, tol=1e-14).fit(X, y)
    np.testing.assert_allclose(model.coef_path_[:, 1], theirs.coef_, atol=1e-9)


# -- second fits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_relaxed_fit_is_the_unpenalised_fit_of_the_support(family):
    X, y, w = problem(family, n=150)
    model = LassoGLM(family, alpha=0.08).fit(X, y, sample_weight=w)
    support = np.atleast_2d(model.coef_).any(axis=0)
    assert 0 < support.sum() < X.shape[1]
    relaxed = model.relaxed(X, y, sample_weight=w)
    plain = LassoGLM(family, alpha=0.0, tol=1e-12).fit(X[:, support], y, sample_weight=w)
    assert not np.atleast_2d(relaxed.coef_)[:, ~support].any()
    np.testing.assert_allclose(
        relaxed.linear_predictor(X) - relaxed.linear_predictor(X[:1]),
        plain.linear_predictor(X[:, support]) - plain.linear_predictor(X[:1, support]),
        atol=1e-4,
    )
    assert relaxed.deviance_ratio_ >= model.deviance_ratio_
    assert relaxed.dual_gap_ < 1e-7
    again = LassoGLMCV(family, alphas=[0.08]).fit(X, y, sample_weight=w).relaxed(X, y, w)
    np.testing.assert_allclose(again.coef_, relaxed.coef_, rtol=1e-9)


def test_refit_of_a_path():
    X, y, _ = problem("gaussian", n=30, p=40)
    path = glm_path(X, y, n_alphas=40, eps=1e-3)
    again = path.refit(X, y)
    np.testing.assert_array_equal(again.alphas, path.alphas)
    assert (again.deviance_ratio >= path.deviance_ratio - 1e-12).all()
    i = int(np.argmax(path.df >= 3))
    on = path.coefs[:, i] != 0
    np.testing.assert_allclose(
        again.coefs[on, i], LinearRegression().fit(X[:, on], y).coef_, rtol=1e-9
    )
    assert "have no unpenalised maximum" in str(again.report)
    full = path.df >= len(X) - 1
    np.testing.assert_allclose(again.coefs[:, full], path.coefs[:, full], rtol=1e-12)


# -- survival --------------------------------------------------------------------------------------


@pytest.mark.parametrize("ties", ["breslow", "efron"])
def test_survival_follows_from_the_baseline_hazard(ties):
    X, y, w = problem("cox")
    y[:, 0] = np.ceil(4 * y[:, 0])
    model = LassoGLM("cox", alpha=0.02, ties=ties).fit(X, y, sample_weight=w)
    times = [0.0, *np.unique(y[:, 0]), 1e9]
    survival = model.predict_survival(X, times)
    assert (survival[:, 0] == 1).all()
    assert (np.diff(survival, axis=1) <= 0).all()
    # Expected events of the cumulative hazard are those that were seen.
    at = np.searchsorted(model.baseline_times_, y[:, 0], side="right")
    hazard = np.concatenate([[0], model.baseline_hazard_])[at] * np.exp(model.predict(X))
    if ties == "breslow":
        assert w @ hazard == pytest.approx(w @ y[:, 1], rel=1e-12)


def test_responses_of_survival_in_every_form():
    X, y, _ = problem("cox")
    model = LassoGLM("cox", alpha=0.02).fit(X, y)
    structured = np.zeros(len(y), dtype=[("event", bool), ("time", float)])
    structured["event"], structured["time"] = y[:, 1], y[:, 0]
    again = LassoGLM("cox", alpha=0.02).fit(X, structured)
    np.testing.assert_array_equal(again.coef_, model.coef_)
    assert again.score(X, structured) == model.score(X, y) > 0.5
    all_seen = LassoGLM("cox", alpha=0.02).fit(X, y[:, 0])
    pair = LassoGLM("cox", alpha=0.02).fit(X, np.column_stack([y[:, 0], np.ones(len(y))]))
    np.testing.assert_array_equal(all_seen.coef_, pair.coef_)


@pytest.mark.parametrize("family", FAMILIES)
def test_summary_names_what_is_in_use(family):
    X, y, _ = problem(family)
    model = LassoGLM(family, alpha=0.05).fit(X, y)
    text = str(model.summary())
    assert f"{int(np.atleast_2d(model.coef_).any(axis=0).sum())} of 6 in use" in text
    assert "No standard errors" in text
    assert text.endswith(str(model.report_))
    assert "<table>" in model.summary()._repr_html_()
    empty = LassoGLM(family, alpha=1e3).fit(X, y).summary()
    assert "0 of 6 in use" in str(empty)


def test_reports_tell_the_solver():
    X, y, _ = problem("gaussian")
    text = str(LassoGLM(alpha=0.1).fit(X, y).report_)
    assert "Fit: OK" in text
    assert "homotopy" in text
    html = LassoGLM(alpha=0.1).fit(X, y).report_._repr_html_()
    assert "<table>" in html
    assert PathMaker("gaussian")._name == "glm_path"
