"""Rows of the law suite for responses that are known up to an interval: ``[X | lower | upper]``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pyestim.data.censored import CensoredSource
from pyestim.models.censored_regression import build_regression
from pyestim.testing import Case, RegressionRows

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import slow_censored as slow

N_ROWS, P = 500, 2
TRUTH = {"intercept": np.array([0.5]), "coef": np.array([1.0, -0.7]), "scale": np.array([0.8])}


class LimitedRows(RegressionRows):
    """Rows whose last two columns are the limits of one response."""

    def many(self, X, n):
        """Return copies of the rows with predictors slightly apart and the same limits."""
        rows = super().many(X, n)
        rows[:, P:] = np.resize(X, rows.shape)[:, P:]
        return rows


def cut(y, rng, kinds):
    """Limits of responses: exact, cut at zero, cut at one, between whole numbers, by kind."""
    kind = np.array(kinds)[rng.integers(0, len(kinds), len(y))]
    lower, upper = y.copy(), y.copy()
    for name, low, high in (
        ("left", np.where(y <= 0.0, -np.inf, y), np.maximum(y, 0.0)),
        ("right", np.minimum(y, 1.0), np.where(y >= 1.0, np.inf, y)),
        ("interval", np.floor(y), np.floor(y) + 1.0),
    ):
        lower = np.where(kind == name, low, lower)
        upper = np.where(kind == name, high, upper)
    return np.column_stack([lower, upper])


def draw(law, df, kinds):
    def simulate(rng, n):
        x = rng.normal(size=(n, P)) * [1.0, 2.0] + [0.0, 0.5]
        error = slow.law_of(law, df).rvs(n, random_state=rng)
        y = TRUTH["intercept"] + x @ TRUTH["coef"] + TRUTH["scale"] * error
        return np.column_stack([x, cut(y, rng, kinds)])

    return simulate


def builder(law, df, scale=None):
    def build(X, sample_weight, **chunking):
        limits = (np.ascontiguousarray(X[:, P + i], dtype=np.float64) for i in (0, 1))
        source = CensoredSource(X[:, :P], *limits, sample_weight, **chunking)
        return build_regression(source, law, df, scale)[0], source

    return build


def place(model, source, published):
    coef = published["coef"]
    if "intercept" in published:
        intercept = published["intercept"][0]
    else:
        intercept = published["at_centre"][0] - coef @ source.centre
    return model.from_user(intercept, coef, published["scale"][0], source)


def publish(model, source, params):
    """The height at the centre of the rows instead of the intercept, which may lie far from it."""
    intercept, coef, scale = model.to_user(params, source)
    return {
        "at_centre": np.array([intercept + coef @ source.centre]),
        "coef": coef,
        "scale": np.array([scale]),
    }


def working(source, X):
    x = (X[:, :P] - source.centre) * source.scale
    return np.column_stack([x, (X[:, P:].astype(float) - source.y_centre) * source.y_scale])


def log_density(law, df):
    def of_rows(model, params, z):
        scale = 1.0 / params.inverse_scale
        location = slow.design(z[:, :P]) @ params.coef * scale
        return slow.row_log_likelihood(law, df, z[:, P], z[:, P + 1], location, scale)

    return of_rows


def expected(model, params, stats, new):
    """What has the right gradient at the old parameters."""
    ratio = new.inverse_scale / params.inverse_scale
    value = stats["score"] @ (new.coef - ratio * params.coef)
    return value + stats.number("scale_score") * (ratio - 1.0)


def moved(published, order, shift, scale):
    """The centre moves with the rows: the height there only takes the response's own move."""
    found = {"coef": published["coef"][order[:P]], "scale": published["scale"] * scale}
    if "at_centre" in published:
        found["at_centre"] = (published["at_centre"] + shift) * scale
    else:
        far = shift * published["coef"].sum()
        found["intercept"] = (published["intercept"] + shift - far) * scale
    return found


def limit(X, sample_weight):
    """Without limits, one step of the normal law is least squares with the divisor n."""
    heights = np.nan_to_num(X[:, P:], posinf=0.0, neginf=0.0).max(axis=1)
    rows = np.column_stack([X[:, :P], heights, heights])
    model, source = builder("normal", 4.0)(rows, sample_weight)
    params = place(model, source, TRUTH)
    stats = model.layout.zeros()
    model.accumulate([params], source.whole, stats.vector[None])
    found = model.update(params, stats)
    z = working(source, rows)
    weight = np.ones(len(X)) if sample_weight is None else sample_weight
    root = np.sqrt(weight)[:, None]
    coef = np.linalg.lstsq(root * slow.design(z[:, :P]), root[:, 0] * z[:, P], rcond=None)[0]
    gap = z[:, P] - slow.design(z[:, :P]) @ coef
    scale = np.sqrt(weight @ gap**2 / weight.sum())
    return [
        (found.coef / found.inverse_scale, coef),
        (np.array([1 / found.inverse_scale]), scale[None]),
    ]


def case(
    name,
    law="normal",
    df=4.0,
    weighted=False,
    dtype="float64",
    kinds=("exact", "left", "right", "interval"),
):
    rng = np.random.default_rng(50)
    X = draw(law, df, kinds)(rng, N_ROWS).astype(dtype)
    start = {"intercept": np.array([0.0]), "coef": np.array([0.4, 0.1]), "scale": np.array([1.5])}
    return Case(
        name=f"censored-{name}",
        X=X,
        start=start,
        truth=TRUTH,
        build=builder(law, df),
        place=place,
        publish=publish,
        log_density=log_density(law, df),
        expected=expected,
        permute=lambda published, order: published,
        moved=moved,
        limit=limit,
        simulate=draw(law, df, kinds),
        sample_weight=rng.uniform(0.2, 2.0, N_ROWS) if weighted else None,
        rows=LimitedRows(P, real=True),
        working=working,
    )


CASES = [
    case("normal"),
    case("normal-weights", weighted=True),
    case("normal-float32", dtype="float32"),
    case("normal-intervals", kinds=("interval",)),
    case("logistic", "logistic", weighted=True),
    case("student", "t", df=5.0),
]
