"""Coordinate descent against the first-order conditions, in every form and for every penalty."""

from __future__ import annotations

import numpy as np
import pytest
from reference import slow_lasso as slow
from scipy import sparse
from scipy.optimize import minimize_scalar

from pyestim import _core, _native
from pyestim.data import Design

KINDS = {"l1": (slow.L1, 0.0), "mcp": (slow.MCP, 3.0), "scad": (slow.SCAD, 3.7)}
FORMS = ("F", "C", "reversed", "csc", "csc64", "F32", "C32", "csc32")
TOL, EPOCHS = 1e-11, 20_000


@pytest.fixture(params=_native.available_levels())
def context(request):
    return _native.Context(request.param, 1)


def stored(form, x):
    if form == "reversed":
        return np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    if form.startswith("csc"):
        made = sparse.csc_array(x)
        if form == "csc64":
            made.indices, made.indptr = made.indices.astype(np.int64), made.indptr.astype(np.int64)
        return made
    return np.asarray(x, order=form[0])


class Case:
    """A weighted problem with an offset in every column, and its dense columns."""

    def __init__(self, form, *, n=60, p=25, outputs=1, seed=0, scale=True):
        rng = np.random.default_rng(seed)
        x = (rng.normal(size=(n, p)) + 3) * (rng.uniform(size=(n, p)) < 0.6)
        x[:, 4] = 0.7  # varies not at all
        x[:, 6] = x[:, 5]  # twice the same
        x = x.astype(np.float32 if form.endswith("32") else np.float64)
        self.design = Design(stored(form, x), scale=scale)
        self.columns = slow.standardised(x, scale=scale)[0]
        signal = self.columns[:, :3] @ rng.normal(size=(3, outputs))
        self.y = np.ascontiguousarray((signal + rng.normal(size=(n, outputs)) + 1).T)
        self.d = rng.uniform(size=n)
        self.d[::9] = 0
        self.d /= self.d.sum()
        self.n, self.p, self.outputs = n, p, outputs
        self.l1 = rng.uniform(0.02, 0.1, size=p)
        self.l2 = rng.uniform(0, 0.05, size=p)
        self.l1[8], self.l2[8] = 0, 0  # unpenalised
        self.l1[9] = np.inf  # excluded
        self.start = np.zeros((outputs, p))

    def by_columns(self, context, kind=slow.L1, shape=0.0, bounds=(None, None), *, intercept=True):
        beta, residual = self.start.copy(), self.y - self.start @ self.columns.T
        constant = np.zeros(self.outputs) if intercept else None
        epochs, change = _native.coordinate_descent(
            context,
            self.design.columns,
            np.arange(self.p),
            self.d,
            residual,
            beta,
            constant,
            self.l1,
            self.l2,
            *bounds,
            TOL,
            EPOCHS,
            kind,
            shape,
        )
        assert change <= TOL and epochs < EPOCHS
        fitted = beta @ self.columns.T + (constant[:, None] if intercept else 0)
        # One rounding of n per epoch that moved.
        np.testing.assert_allclose(residual, self.y - fitted, rtol=0, atol=1e-12)
        if intercept:
            assert np.abs(residual @ self.d).max() < 1e-14
        return beta, residual

    def by_gram(self, context, kind=slow.L1, shape=0.0, bounds=(None, None)):
        centred = self.columns - self.d @ self.columns
        gram = np.ascontiguousarray(centred.T @ (self.d[:, None] * centred))
        gram[4] = gram[:, 4] = 0
        linear = np.ascontiguousarray((self.d * self.y) @ centred)
        beta = self.start.copy()
        epochs, change = _native.coordinate_descent_gram(
            context, gram, linear, beta, self.l1, self.l2, *bounds, TOL, EPOCHS, kind, shape
        )
        assert change <= TOL and epochs < EPOCHS
        residual = self.y - beta @ centred.T
        return beta, residual - (residual @ self.d)[:, None]

    def violation(self, beta, residual, kind=slow.L1, shape=0.0, bounds=None):
        return slow.worst_violation(
            self.columns, self.d, residual, beta, self.l1, self.l2, kind, shape, bounds
        )

    #: A pass moves no coordinate by more than TOL, but later ones move the gradient of earlier
    #: ones: by the size of the Gram matrix relative to its diagonal.
    largest = 30 * TOL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("intercept", [True, False])
def test_columns(context, form, kind, intercept):
    case = Case(form)
    beta, residual = case.by_columns(context, *KINDS[kind], intercept=intercept)
    assert case.violation(beta, residual, *KINDS[kind]) < case.largest
    assert beta[0, 4] == beta[0, 9] == 0 and beta[0, 8] != 0
    assert 3 < np.count_nonzero(beta) < case.p


@pytest.mark.parametrize("kind", KINDS)
def test_gram_and_columns_agree(context, kind):
    case = Case("F")
    beta, residual = case.by_gram(context, *KINDS[kind])
    assert case.violation(beta, residual, *KINDS[kind]) < case.largest
    other, _ = case.by_columns(context, *KINDS[kind])
    if kind == "l1":  # two equal columns share their effect as they like
        merged = [np.delete(b, [5, 6], axis=1) for b in (beta, other)]
        np.testing.assert_allclose(*merged, atol=1e-8)


@pytest.mark.parametrize("form", ["F", "C", "csc", "F32"])
@pytest.mark.parametrize("kind", ["l1", "mcp", "scad"])
def test_bounds(context, form, kind):
    case = Case(form)
    free, _ = case.by_columns(context)
    lower, upper = np.full(case.p, -np.inf), np.full(case.p, np.inf)
    lower[:12] = 0
    upper[6:] = np.maximum(0.3 * np.abs(free[0, 6:]), 0.01)
    lower[6:] = np.minimum(lower[6:], -0.01)
    bounds = lower, upper
    for beta, residual in (
        case.by_columns(context, *KINDS[kind], bounds=bounds),
        case.by_gram(context, *KINDS[kind], bounds=bounds),
    ):
        assert np.all(beta >= lower) and np.all(beta <= upper)
        assert case.violation(beta, residual, *KINDS[kind], bounds) < case.largest
        assert np.any((beta[0] == upper) & (beta[0] != 0))


@pytest.mark.parametrize("form", ["F", "C", "csc", "csc32"])
@pytest.mark.parametrize("kind", [slow.GROUP, slow.L1])
def test_several_outputs(context, form, kind):
    case = Case(form, outputs=3)
    for beta, residual in (case.by_columns(context, kind), case.by_gram(context, kind)):
        assert case.violation(beta, residual, kind) < case.largest
        zero = beta == 0
        if kind == slow.GROUP:
            assert np.array_equal(zero.all(axis=0), zero.any(axis=0))
        assert 0 < np.count_nonzero(zero) < zero.size


@pytest.mark.parametrize("form", ["F", "csc"])
def test_a_warm_start_changes_nothing_but_the_passes(context, form):
    case = Case(form)
    case.l2 += 0.01  # so that the two equal columns have one solution
    cold, _ = case.by_columns(context)
    case.start = cold + np.random.default_rng(1).normal(size=cold.shape) * (cold != 0)
    warm, residual = case.by_columns(context)
    np.testing.assert_allclose(warm, cold, atol=1e-8)
    assert case.violation(warm, residual) < case.largest


def test_chosen_columns_and_rows_stored(context):
    case = Case("C")
    chosen = np.array([7, 0, 8, 3])
    columns, place = case.design.working_set(chosen)
    found = []
    for c, p in ((columns, place), (case.design.columns, chosen)):
        beta, residual, constant = np.zeros(4), case.y[0].copy(), np.zeros(1)
        _native.coordinate_descent(
            context, c, p, case.d, residual, beta, constant, case.l1[:4], case.l2[:4],
            None, None, TOL, EPOCHS,
        )  # fmt: skip
        found.append(np.concatenate([beta, constant, residual]))
    np.testing.assert_allclose(*found, rtol=0, atol=1e-13)


def test_extrapolation_saves_most_passes():
    # Correlated columns.
    rng = np.random.default_rng(0)
    x = np.asfortranarray(rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 60)))
    design, y = Design(x), rng.normal(size=100) + x[:, 0]
    w, l1 = np.full(100, 0.01), np.full(60, 0.001)
    gram, linear = design.gram(w, np.arange(60)), design.dot(w * (y - y.mean()))

    def passes(at_once):
        beta, done, change = np.zeros(60), 0, np.inf
        while change > 1e-12:
            epochs, change = _native.coordinate_descent_gram(
                _core.context(), gram, linear, beta, l1, 0 * l1, None, None, 1e-12, at_once
            )
            done += epochs
        return beta, done

    beta, done = passes(100_000)
    residual = y - y.mean() - design.times(beta)
    worst = slow.worst_violation(x - x.mean(axis=0), w, residual[None], beta[None], l1, 0 * l1)
    assert worst < 1e-10
    # Five passes at a time leave nothing to extrapolate.
    assert done < passes(5)[1] / 3


@pytest.mark.parametrize("kind", [slow.L1, slow.GROUP, slow.MCP])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_few_active_coordinates_among_many(context, kind, outputs):
    # Many passes over less than half of the coordinates: their products are copied.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 60))
    columns = x - x.mean(axis=0)
    y = np.ascontiguousarray((rng.normal(size=(100, outputs)) + x[:, :1]).T)
    y -= y.mean(axis=1, keepdims=True)
    w, l1, l2 = np.full(100, 0.01), np.full(60, 0.05 * outputs), np.full(60, 1e-4)
    gram, linear = columns.T @ (0.01 * columns), np.ascontiguousarray(0.01 * y @ columns)
    # Twice: the second time from a start that is not zero.
    beta, shape = np.zeros((outputs, 60)), 50.0 if kind == slow.MCP else 0.0
    for _ in range(2):
        epochs, change = _native.coordinate_descent_gram(
            context, gram, linear, beta, l1, l2, None, None, 1e-12, 50_000, kind, shape
        )
        assert change <= 1e-12
        residual = y - beta @ columns.T
        assert slow.worst_violation(columns, w, residual, beta, l1, l2, kind, shape) < 1e-10
        beta[:, 7] += 0.3
    assert epochs > 20 and 0 < np.count_nonzero(beta.any(axis=0)) <= 30


@pytest.mark.parametrize("max_epochs", [1, 2, 7, 50])
def test_the_objective_never_rises(max_epochs):
    case = Case("F", p=25)
    case.l1[:] = 0.001
    last = np.inf
    beta, residual, constant = np.zeros(25), case.y[0].copy(), np.zeros(1)
    for _ in range(10):
        epochs, change = _native.coordinate_descent(
            _core.context(), case.design.columns, np.arange(25), case.d, residual, beta, constant,
            case.l1, case.l2, None, None, 1e-14, max_epochs,
        )  # fmt: skip
        value = slow.objective(case.d, residual[None], beta[None], case.l1, case.l2)
        assert value <= last * (1 + 1e-14)
        assert epochs == max_epochs or change <= 1e-14
        last = value


@pytest.mark.parametrize("form", ["F", "C", "csc"])
def test_one_row_and_nothing_to_choose(form):
    for n, p in ((1, 3), (4, 0)):
        x = np.arange(n * p, dtype=np.float64).reshape(n, p) + 1
        design = Design(stored(form, x))
        beta, residual, constant = np.zeros(p), np.arange(n) + 2.0, np.zeros(1)
        epochs, change = _native.coordinate_descent(
            _core.context(), design.columns, np.arange(p), np.full(n, 1 / n), residual, beta,
            constant, np.full(p, 0.1), np.zeros(p), None, None, 1e-9, 100,
        )  # fmt: skip
        assert (epochs, change) == (1, 0)
        assert np.array_equal(beta, np.zeros(p)) and constant[0] == np.mean(np.arange(n) + 2.0)
        assert np.abs(residual.mean()) < 1e-15
    empty = np.zeros(0)
    assert _native.coordinate_descent_gram(
        _core.context(), np.zeros((0, 0)), empty, empty.copy(), empty, empty, None, None, 0.0, 5
    ) == (1, 0)


def test_rows_without_weight_do_not_count(context):
    case = Case("F")
    beta, _ = case.by_columns(context)
    case.y[:, case.d == 0] = 1e9
    beta2, residual, constant = np.zeros(case.p), case.y[0].copy(), np.zeros(1)
    _native.coordinate_descent(
        context, case.design.columns, np.arange(case.p), case.d, residual, beta2, constant,
        case.l1, case.l2, None, None, TOL, EPOCHS,
    )  # fmt: skip
    np.testing.assert_allclose(np.delete(beta2, [5, 6]), np.delete(beta[0], [5, 6]), atol=1e-9)
    # All of them: nothing moves, nothing is NaN.
    residual, beta2 = case.y[0].copy(), np.zeros(case.p)
    _native.coordinate_descent(
        context, case.design.columns, np.arange(case.p), 0 * case.d, residual, beta2, constant,
        case.l1, case.l2, None, None, TOL, EPOCHS,
    )  # fmt: skip
    assert np.array_equal(beta2, np.zeros(case.p)) and np.isfinite(residual).all()


# -- penalties -------------------------------------------------------------------------------------


def native_prox(context, kind, shape, h, z, l1, l2, lower, upper):
    z = np.atleast_2d(z)
    m = len(z)
    full = [np.full(m, float(a)) for a in (h, l1, l2, lower, upper)]
    out, value = np.empty_like(z), np.empty(m)
    _native.penalty_prox(context, kind, shape, full[0], z, *full[1:], out, value)
    return out, value


@pytest.mark.parametrize("shape", [1.5, 2.1, 3.0, 3.7, 50.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lower", "upper"), [(-np.inf, np.inf), (0, np.inf), (-0.4, 0.9)])
def test_prox_is_the_minimum(context, kind, shape, lower, upper):
    code = KINDS[kind][0]
    if code == slow.SCAD and shape <= 2:
        pytest.skip("SCAD needs a parameter above 2")
    rng = np.random.default_rng(0)
    grid = np.clip(np.linspace(-4, 4, 4001), lower, upper)
    # Curvatures below and above those of the penalty: convex and not.
    for h, l1, l2 in ((1, 0.5, 0), (0.1, 0.5, 0), (0.3, 1, 0.2), (2, 0.3, 0.1), (1, 0, 0)):
        z = rng.normal(size=(200, 1)) * 1.5 * h
        out, value = native_prox(context, code, shape, h, z, l1, l2, lower, upper)
        assert np.all((out >= lower) & (out <= upper))
        charge = np.array([slow.penalty(code, shape, np.array([b]), l1, l2) for b in grid])
        for zi, b, v in zip(z[:, 0], out[:, 0], value, strict=True):
            assert v == pytest.approx(slow.penalty(code, shape, np.array([b]), l1, l2), abs=1e-15)
            at = h * b * b / 2 - zi * b + v
            best = np.min(h * grid**2 / 2 - zi * grid + charge)
            # The grid only bounds the minimum from above.
            assert at <= best + 1e-14


def test_prox_of_a_group(context):
    z = np.random.default_rng(0).normal(size=(50, 3))
    out, value = native_prox(context, slow.GROUP, 0.0, 0.7, z, 1.2, 0.3, -np.inf, np.inf)
    for zi, b, v in zip(z, out, value, strict=True):
        assert v == pytest.approx(slow.penalty(slow.GROUP, 0, b, 1.2, 0.3), abs=1e-15)
        assert slow.violation(slow.GROUP, 0, 0.7 * b - zi, b, 1.2, 0.3) < 1e-14
        if np.linalg.norm(zi) > 1.2:
            length = minimize_scalar(
                lambda t, z=zi: 0.35 * t**2 - t * np.linalg.norm(z) + 1.2 * t + 0.15 * t**2,
                bounds=(0, 5),
                method="bounded",
            ).x
            assert np.linalg.norm(b) == pytest.approx(length, abs=1e-5)


def test_an_infinite_weight_keeps_zero(context):
    for kind, shape in KINDS.values():
        out, value = native_prox(context, kind, shape, 1, [[5.0]], np.inf, 0, -np.inf, np.inf)
        assert out[0, 0] == value[0] == 0
    out, _ = native_prox(context, slow.L1, 0, 1, [[5.0]], 0, np.inf, -np.inf, np.inf)
    assert out[0, 0] == 0


BAD = [
    ({"penalty": 4}, r"penalty must be 0 \(l1\), 1 \(mcp\), 2 \(scad\) or 3 \(group\), got 4"),
    ({"penalty": 1, "parameter": 1.0}, "parameter must be more than 1"),
    ({"penalty": 2, "parameter": 2.0}, "parameter must be more than 2"),
    ({"penalty": 3, "lower": np.zeros(2)}, "lower, upper must be None"),
    ({"tol": -1.0}, "tol must not be negative"),
    ({"tol": np.nan}, "tol must not be negative"),
    ({"max_epochs": 0}, "max_epochs must be at least 1"),
    ({"linear": np.zeros(3)}, r"linear must have shape \(2,\), got \(3,\)"),
    ({"l1": np.zeros(3)}, r"l1 must have shape \(2,\), got \(3,\)"),
    ({"gram": np.zeros((2, 3))}, r"gram must have shape \(2, 2\), got \(2, 3\)"),
]


@pytest.mark.parametrize(("changed", "sentence"), BAD)
def test_bad_arguments(changed, sentence):
    arguments = {
        "gram": np.eye(2),
        "linear": np.ones(2),
        "beta": np.zeros(2),
        "l1": np.zeros(2),
        "l2": np.zeros(2),
        "lower": None,
        "upper": None,
        "tol": 1e-9,
        "max_epochs": 10,
    }
    with pytest.raises(ValueError, match=f"coordinate_descent_gram: {sentence}"):
        _native.coordinate_descent_gram(_core.context(), **{**arguments, **changed})
