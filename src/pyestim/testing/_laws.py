"""The laws that every model obeys, as functions that check one case."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from math import sqrt
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.source import LEAF_ROWS
from pyestim.engine.drive import maximise
from pyestim.engine.model import Model
from pyestim.engine.stats import Stats, Vector
from pyestim.engine.stop import Stop, rounding_floor
from pyestim.engine.sweep import LocalSweep
from pyestim.testing._case import Case, Published

P = TypeVar("P")

#: Updates after which two ways to the same parameters are compared.
N_UPDATES = 5
#: Rounding of a sum of n terms is a random walk of n steps; this many standard deviations.
WALK = 50.0
#: Standard deviations that a sum of squared standard normal numbers may be above its mean.
CHI_SQUARE_SD = 6.0


def check_model(case: Case[Any]) -> None:
    """Check all laws.

    Parameters
    ----------
    case : Case

    Raises
    ------
    AssertionError
        With the name of the law and of the case.
    """
    for name, law in LAWS.items():
        try:
            law(case)
        except AssertionError as failure:
            raise AssertionError(f"{case.name} breaks the law '{name}': {failure}") from failure


# -- the laws ------------------------------------------------------------------------------


def merge(case: Case[Any]) -> None:
    """Statistics of A and B together are the sum of those of A and of B."""
    model, source = case.build(case.X, case.sample_weight)
    params = [case.place(model, source, case.start)]
    whole = source.whole
    cut = len(case.X) // 3
    parts = [
        _statistics(model, params, replace(whole, start=a, stop=b))
        for a, b in ((0, cut), (cut, len(case.X)))
    ]
    together = _statistics(model, params, whole)
    _close_stats((parts[0] + parts[1]), together, source, len(case.X))
    _close_stats(together - parts[1], parts[0], source, len(case.X))
    _close_stats(2.0 * together, together + together, source, len(case.X))


def chunk(case: Case[Any]) -> None:
    """Any chunking gives the same statistics; powers of two of leaves the same bits."""
    X, weight = _many_rows(case)
    model, source = case.build(X, weight)
    params = [case.place(model, source, case.start)]
    whole = LocalSweep(model, source)(params)[0]
    for leaves in (1, 2, 4):
        cut = LocalSweep(model, case.build(X, weight, chunk_rows=leaves * LEAF_ROWS)[1])
        _same_bits(cut(params)[0].vector, whole.vector, f"chunks of {leaves} leaves")
    cut = LocalSweep(model, case.build(X, weight, chunk_rows=3 * LEAF_ROWS)[1])
    _close_stats(cut(params)[0], whole, source, len(X))


def worker(case: Case[Any]) -> None:
    """The number of threads, and of candidates, does not change a bit."""
    X, weight = _many_rows(case)
    model, source = case.build(X, weight)
    params = [case.place(model, source, case.start)]
    before = _core.get_num_threads()
    found = []
    try:
        for n_threads in (1, 2, 7):
            _core.set_num_threads(n_threads)
            found.append(LocalSweep(model, source)(params)[0].vector)
    finally:
        _core.set_num_threads(before)
    for other in found[1:]:
        _same_bits(other, found[0], "threads")
    for candidate in LocalSweep(model, source)([*params, *params, *params]):
        _same_bits(candidate.vector, found[0], "candidates")


def ascent(case: Case[Any]) -> None:
    """An update never lowers the objective."""
    model, source = case.build(case.X, case.sample_weight)
    sweep = LocalSweep(model, source)
    params, last = case.place(model, source, case.start), -np.inf
    for _ in range(25):
        stats = sweep([params])[0]
        value = model.objective(params, stats) / source.weight_sum
        slack = 2.0 * rounding_floor(value, source.mean_eps)  # both values round
        assert value >= last - slack, f"fell by {last - value:.3g}"
        params, last = model.update(params, stats), value


def fisher(case: Case[Any]) -> None:
    """Gradient from the statistics is that of the objective, both by independent formulas."""
    model, source = case.build(case.X, case.sample_weight)
    params = case.place(model, source, case.start)
    stats = LocalSweep(model, source)([params])[0]
    value = model.objective(params, stats)
    slow = _slow_objective(case, model, source, params)
    allowed = WALK * source.eps * sqrt(len(case.X)) * source.weight_sum
    assert abs(value - slow) <= allowed * max(1.0, abs(slow) / source.weight_sum), "objective"
    rng = np.random.default_rng(0)
    here = model.pack(params)
    for _ in range(4):
        way = rng.standard_normal(len(here))
        way /= np.linalg.norm(way)
        got = _slope(lambda v: _expected(case, model, params, stats, model.unpack(v)), here, way)
        want = _slope(lambda v: _slow_objective(case, model, source, model.unpack(v)), here, way)
        # Central differences: the square of the step, and rounding over the step.
        size = max(abs(want), source.weight_sum)
        assert abs(got - want) <= (1e-8 + WALK * source.eps) * size, f"slope {got}, not {want}"


def weights(case: Case[Any]) -> None:
    """A weight of three is the row three times, a weight of zero is its absence."""
    rng = np.random.default_rng(1)
    times = case.rows.multiplicities(rng, len(case.X))
    counted = _published_after(case, case.X, case.base_weight() * times)
    repeated = case.rows.repeated(times)
    plain = None if case.sample_weight is None else case.sample_weight[repeated]
    _close_published(counted, _published_after(case, case.X[repeated], plain), _rounding(case))


def symmetry(case: Case[Any]) -> None:
    """Order of rows and components, and order, origin and unit of columns, do not matter."""
    rng = np.random.default_rng(2)
    plain = _published_after(case, case.X, case.sample_weight)
    rows = case.rows.permutation(rng, len(case.X))
    weight = None if case.sample_weight is None else case.sample_weight[rows]
    _close_published(_published_after(case, case.X[rows], weight), plain, _rounding(case))
    order = np.roll(np.arange(case.n_components), 1)
    X = case.X if case.relabel is None else case.relabel(case.X, order)
    turned = _published_after(case, X, case.sample_weight, start=case.permute(case.start, order))
    _close_published(turned, case.permute(plain, order), _rounding(case))
    if not case.rows.numeric:
        return
    columns = case.rows.columns(rng, case.X.shape[1])
    single = case.X.dtype == np.float32
    for shift, scale in ((0.0, 4.0),) if single else ((1e3, 4.0), (-1e3, 1e-5)):
        X = case.rows.moved(case.X, columns, shift, scale)
        start = case.moved(case.start, columns, shift, scale)
        moved = _published_after(case, X, case.sample_weight, start=start)
        loss = float(np.finfo(float).eps) * abs(shift)  # digits of X that the shift costs
        expected = case.moved(plain, columns, shift, scale)
        _close_published(moved, expected, _rounding(case) + WALK * WALK * loss)


def round_trip(case: Case[Any]) -> None:
    """Packing, pickling and what comes back."""
    model, source = case.build(case.X, case.sample_weight)
    params = case.place(model, source, case.start)
    stats = LocalSweep(model, source)([params])[0]
    vector = model.pack(params)
    back = model.unpack(vector)
    tolerance = 1e4 * float(np.finfo(float).eps)
    _close(model.pack(back), vector, tolerance, "pack")
    _close_published(
        case.publish(model, source, back), case.publish(model, source, params), tolerance
    )
    other, again, kept = pickle.loads(pickle.dumps((model, params, stats)))
    same = other.pack(other.update(again, kept))
    _same_bits(same, model.pack(model.update(params, stats)), "pickle")
    assert other.layout == model.layout, "layout"


def limits(case: Case[Any]) -> None:
    """Where the model has a closed form, it is reached."""
    for found, expected in case.limit(case.X, case.sample_weight):
        _close(found, expected, _rounding(case), "closed form")


def dtype(case: Case[Any]) -> None:
    """Single precision is near double precision on the same numbers, far from the origin too.

    States are the same in any width.
    """
    if not case.rows.numeric:
        return _widths(case)
    columns = np.arange(case.X.shape[1])
    for shift in (0.0, 1e3):
        rows = case.rows.moved(case.X, columns, shift, 1.0).astype(np.float32)
        start = case.moved(case.start, columns, shift, 1.0)
        low, high = (
            _published_after(case, X, case.sample_weight, start=start)
            for X in (rows, rows.astype(np.float64))
        )
        size = max(float(np.ptp(rows, axis=0).max()), 1.0)
        for name, array in high.items():
            gap = float(np.abs(low[name] - array).max())
            allowed = WALK * float(np.finfo(np.float32).eps) * size**2
            assert gap <= allowed, f"{name} off by {gap:.3g} at the shift {shift:g}"


def recovery(case: Case[Any]) -> None:
    """Estimates from simulated rows are within the standard errors of the truth."""
    rng = np.random.default_rng(3)
    X = case.simulate(rng, 4000).astype(case.X.dtype)
    model, source = case.build(X, None)
    truth = case.place(model, source, case.truth)
    fit = maximise(model, LocalSweep(model, source), [truth], stop=Stop(1e-9), max_sweeps=2000)
    z = case.working(source, X)
    here = model.pack(fit.params)
    scores = np.array(
        [
            _slope(lambda v: case.log_density(model, model.unpack(v), z), here, way)
            for way in np.eye(len(here))
        ]
    )
    gap = scores.T @ (model.pack(truth) - here)
    distance, size = float(gap @ gap), len(here)
    assert distance <= size + CHI_SQUARE_SD * sqrt(2.0 * size), f"{distance:.3g} for {size}"


def certificate(case: Case[Any]) -> None:
    """At the reported maximum the gradient of an independent objective vanishes."""
    model, source = case.build(case.X, case.sample_weight)
    sweep = LocalSweep(model, source)
    start = case.place(model, source, case.start)
    fit = maximise(model, sweep, [start], stop=Stop(1e-14), max_sweeps=5000)
    assert fit.report.converged, fit.report.outcome
    here = model.pack(fit.params)
    slopes = [
        _slope(lambda v: _slow_objective(case, model, source, model.unpack(v)), here, way)
        for way in np.eye(len(here))
    ]
    # A gain of one rounding error per row is a slope of its square root.
    allowed = 10.0 * sqrt(rounding_floor(fit.objective, source.eps)) * source.weight_sum
    assert np.abs(slopes).max() <= allowed, f"slope {np.abs(slopes).max():.3g} > {allowed:.3g}"


_BASIC = (merge, chunk, worker, ascent, fisher, weights)
_WHOLE = (symmetry, round_trip, limits, dtype, recovery, certificate)
LAWS: dict[str, Callable[[Case[Any]], None]] = {law.__name__: law for law in (*_BASIC, *_WHOLE)}


# -- helpers -------------------------------------------------------------------------------


def _statistics(model: Model[P], params: list[P], piece: Any) -> Stats:
    out = np.empty((len(params), model.layout.size))
    model.accumulate(params, piece, out)
    return Stats(model.layout, out[0])


def _widths(case: Case[Any]) -> None:
    """Statistics of integers do not depend on their type."""
    found = []
    for kind in (case.X.dtype, np.int8, np.int16, np.int32, np.int64):
        model, source = case.build(case.X.astype(kind), case.sample_weight)
        params = case.place(model, source, case.start)
        found.append(LocalSweep(model, source)([params])[0].vector)
    for other in found[1:]:
        _same_bits(other, found[0], "widths")


def _many_rows(case: Case[Any]) -> tuple[NDArray[Any], Vector | None]:
    """Rows enough for several leaves and threads."""
    n = 9 * LEAF_ROWS + 123
    weight = None if case.sample_weight is None else np.resize(case.sample_weight, n)
    return case.rows.many(case.X, n), weight


def _published_after(
    case: Case[Any],
    X: NDArray[Any],
    weight: Vector | None,
    start: Published | None = None,
) -> Published:
    """Parameters after a few updates."""
    model, source = case.build(X, weight)
    sweep = LocalSweep(model, source)
    params = case.place(model, source, case.start if start is None else start)
    for _ in range(N_UPDATES):
        params = model.update(params, sweep([params])[0])
    return case.publish(model, source, params)


def _slow_objective(case: Case[Any], model: Model[P], source: Any, params: P) -> float:
    each = case.log_density(model, params, case.working(source, case.X))
    weight = case.base_weight()
    return float(weight @ each) - float(weight.sum()) * case.penalty(model, params)


def _expected(case: Case[Any], model: Model[P], params: P, stats: Stats, new: P) -> float:
    value = case.expected(model, params, stats, new)
    return value - float(case.base_weight().sum()) * case.penalty(model, new)


def _slope(function: Callable[[Vector], Any], here: Vector, way: Vector) -> Any:
    """Derivative along ``way`` by central differences of fourth order."""
    step = 1e-3
    ahead, further = (function(here + m * step * way) for m in (1.0, 2.0))
    behind, farther = (function(here - m * step * way) for m in (1.0, 2.0))
    return (8.0 * (ahead - behind) - (further - farther)) / (12.0 * step)


def _rounding(case: Case[Any]) -> float:
    """Relative error of parameters after a few updates."""
    single = case.X.dtype == np.float32
    eps = float(np.finfo(np.float32 if single else np.float64).eps)
    return WALK * eps * (1.0 if single else sqrt(len(case.X)))


def _close_stats(found: Stats, expected: Stats, source: Any, n: int) -> None:
    tolerance = WALK * source.eps * (sqrt(n) if source.eps < 1e-10 else 1.0)
    for name, window in expected.items():
        size = max(float(np.abs(window).max()), source.weight_sum)
        gap = float(np.abs(found[name] - window).max())
        assert gap <= tolerance * size, f"{name} off by {gap:.3g}"


def _close_published(found: Published, expected: Published, tolerance: float) -> None:
    for name, array in expected.items():
        _close(found[name], array, tolerance, name)


def _close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape, f"{what} has the shape {found.shape}"
    size = max(float(np.abs(expected).max()), float(np.finfo(float).tiny))
    gap = float(np.abs(found - expected).max())
    assert gap <= tolerance * size, f"{what} off by {gap / size:.3g}, allowed {tolerance:.3g}"


def _same_bits(found: Vector, expected: Vector, what: str) -> None:
    assert np.array_equal(found, expected), f"{what} change the bits"
