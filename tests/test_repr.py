"""What the user reads: golden text of estimators, summaries and tables."""

from __future__ import annotations

import doctest
import importlib
import inspect

import numpy as np
import pytest
from blobs import blobs

import pyestim
from pyestim import GaussianMixture, GLMPath, LassoGLM, LassoGLMCV

DOCUMENTED = (
    "pyestim.estimators.gaussian_mixture",
    "pyestim.estimators._gaussian_algebra",
    "pyestim.estimators._density",
    "pyestim.estimators._base",
    "pyestim.estimators.lasso_glm",
    "pyestim.estimators.lasso_glm_cv",
    "pyestim.estimators.persistence",
)


@pytest.fixture
def known():
    return GaussianMixture.from_params(
        [0.3, 0.7], [[0, 0], [1, 2]], [[[1, 0.5], [0.5, 2]], np.eye(2)], random_state=0
    )


def test_estimator_shows_what_differs_from_the_defaults():
    assert repr(GaussianMixture()) == "GaussianMixture()"
    assert repr(GaussianMixture(3, tol=1e-6)) == "GaussianMixture(n_components=3, tol=1e-06)"


def test_summary(known):
    assert (
        str(known.summary())
        == """\
Gaussian mixture

components       2
columns          2
covariance type  full
free parameters  11

component  weight  mean x0  mean x1  sd x0   sd x1
        0     0.3        0        0      1  1.4142
        1     0.7        1        2      1       1

Standard errors: not part of this version; the table holds point estimates only."""
    )


def test_summary_of_many_columns():
    mixture = GaussianMixture.from_params([1.0], [np.arange(9.0)], [np.eye(9)])
    text = str(mixture.summary())
    assert "The first 6 of 9 columns; all are in means_." in text
    assert "mean x5" in text
    assert "mean x6" not in text


def test_summary_of_a_fit_tells_whether_to_trust_it():
    mixture = GaussianMixture(3, random_state=0).fit(blobs())
    text = str(mixture.summary())
    assert f"mean log-likelihood  {mixture.lower_bound_:.8g} nats per row" in text
    assert text.endswith(str(mixture.report_))
    assert "Fit: OK" in text


def test_summary_in_html(known):
    html = known.summary()._repr_html_()
    assert html.count("<tr>") == 4 + 1 + 2
    assert "<th>mean x1</th>" in html
    assert "<td>1.4142</td>" in html
    fitted = GaussianMixture(1).fit(blobs())
    assert fitted.report_._repr_html_() in fitted.summary()._repr_html_()


def test_names_of_columns_are_escaped():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(blobs(), columns=["<b>", "b", "c"])
    summary = GaussianMixture(1).fit(frame).summary()
    assert "mean <b>" in str(summary)
    assert "mean &lt;b&gt;" in summary._repr_html_()


@pytest.mark.parametrize("name", DOCUMENTED)
def test_examples_of_docstrings(name):
    failures, attempts = doctest.testmod(importlib.import_module(name))
    assert failures == 0
    assert attempts > 0 or name.endswith(("_density", "_base"))


PUBLIC = [
    name
    for name in dir(GaussianMixture)
    if not name.startswith("_") and not name.startswith(("set_", "get_"))
]


@pytest.mark.parametrize("name", PUBLIC)
def test_public_methods_are_documented(name):
    assert getattr(GaussianMixture, name).__doc__.strip()


@pytest.mark.parametrize("cls", [LassoGLM, LassoGLMCV, GLMPath])
def test_public_methods_of_penalised_models_are_documented(cls):
    methods = [n for n in dir(cls) if not n.startswith(("_", "set_", "get_"))]
    lacking = [n for n in methods if not (inspect.getattr_static(cls, n).__doc__ or "").strip()]
    assert lacking == []


def test_public_names():
    assert set(pyestim.__all__) <= set(dir(pyestim))
    for name in pyestim.__all__:
        if name != "plot":  # needs matplotlib
            assert getattr(pyestim, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = pyestim.nothing
