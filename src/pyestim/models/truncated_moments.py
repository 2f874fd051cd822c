"""The method of moments for truncated mixtures of one column with one shared variance.

For functions ``g_j`` on the set S with ``int_S g_j(x) phi(x - mu) dx = mu^j`` the mean of
``g_j(X)`` over the rows is ``sum_i w_i mu_i^j / alpha``: the moments of the law of the means.
Exact solutions have enormous variances, so that ``g_j`` is the polynomial that trades its error
on a grid of means against its variance.  The moments are then moved to the nearest ones that a
law on an interval can have, and Gauss quadrature gives its k atoms and weights.

References
----------
Tai & Aragam (2023), Learning mixtures of Gaussians with censored data. arXiv:2305.04127
Wu & Yang (2020), Optimal estimation of Gaussian mixtures via denoised method of moments.
doi:10.1214/19-AOS1873
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from time import perf_counter

import numpy as np
from scipy.linalg import eigh_tridiagonal
from scipy.optimize import minimize_scalar, nnls

from pyestim.data.source import ArraySource
from pyestim.engine.drive import Fit
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Vector
from pyestim.engine.sweep import LocalSweep
from pyestim.models.knowledge import UNKNOWN
from pyestim.models.mixture import MixtureParams
from pyestim.models.support import Support
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_fit import TruncatedFit
from pyestim.models.truncated_newton import Options

#: Double precision has no more moments than these many components need.
MOST_COMPONENTS = 6
#: Polynomials of the test functions, and weight of their variance against their bias.
N_POLYNOMIALS, RIDGE = 20, 3.0
#: Means where the test functions are judged, and atoms of the laws that are compared.
N_GRID = 201
#: Nodes of the quadrature over each interval.
NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(60)
#: Share of the standard deviation of the rows in which the shared one is looked for.
SMALLEST_SD, LARGEST_SD = 0.05, 1.5
#: Rows whose polynomials are held at once.
BLOCK_ROWS = 1 << 16
#: Variance of a moment below which its weight grows no more.
SMALLEST_VARIANCE = 1e-10
#: A squared length of an orthogonal polynomial, relative to the first, that is rounding.
SMALLEST_NORM = 1e-12


@dataclass(frozen=True)
class _Rows:
    """What the rows leave: means and second moments of polynomials, and the set they fill.

    Attributes
    ----------
    centre, half : float
        Polynomials are those of Legendre in ``(x - centre) / half``, from -1 to 1 over the rows.
    pieces : ndarray of shape (m, 2)
        The set between the smallest and the largest row.
    mean : ndarray of shape (L,)
    second : ndarray of shape (L, L)
    n : float
    """

    centre: float
    half: float
    pieces: Vector
    mean: Vector
    second: Vector
    n: float


def fit_moments(
    model: TruncatedMixture,
    source: ArraySource,
    sweep: LocalSweep[MixtureParams],
    known_sd: float | None,
    options: Options,
) -> TruncatedFit:
    """Estimate by moments; the shared standard deviation is that of the largest likelihood.

    Parameters
    ----------
    model : TruncatedMixture
        Of one column and at most `MOST_COMPONENTS` components.
    source : ArraySource
    sweep : LocalSweep
    known_sd : float, optional
        In working coordinates.
    options : Options
    """
    began = perf_counter()
    rows = _gathered(source, model.support)
    trace: list[float] = []

    def tried(sd: float) -> float:
        params = _estimated(model, rows, sd)
        value = model.objective(params, sweep([params])[0]) / sweep.weight_sum
        trace.append(value + options.offset)
        return -value if np.isfinite(value) else float("inf")

    if known_sd is None:
        spread = float(source.column_sd[0])
        ends = log(SMALLEST_SD * spread), log(LARGEST_SD * spread)
        found = minimize_scalar(
            lambda t: tried(exp(t)), bounds=ends, method="bounded", options={"xatol": 1e-3}
        )
        known_sd = exp(float(found.x))
    params = _estimated(model, rows, known_sd)
    stats = sweep([params])[0]
    objective = model.objective(params, stats) / sweep.weight_sum + options.offset
    report = Report(
        outcome=Outcome.EXACT,
        objective=objective,
        trace=(*trace, objective),
        sweeps=len(trace) + 1,
        seconds=perf_counter() - began,
        backend=sweep.backend,
        accelerator="moments",
        diagnosis=model.diagnose(params, stats),
    )
    fit = Fit(params, stats, objective, report, (report,), (params,), 0)
    return TruncatedFit(fit, UNKNOWN)


def _gathered(source: ArraySource, support: Support) -> _Rows:
    low, high = float(source.column_min[0]), float(source.column_max[0])
    centre, half = (low + high) / 2, max((high - low) / 2, 1e-300)
    assert support.intervals is not None
    pieces = np.clip(support.intervals, low, high)
    mean, second = np.zeros(N_POLYNOMIALS), np.zeros((N_POLYNOMIALS, N_POLYNOMIALS))
    for start in range(0, source.n_rows, BLOCK_ROWS):
        z, weight = source.take(np.arange(start, min(start + BLOCK_ROWS, source.n_rows)))
        inside = weight > 0.0  # rows without weight may lie anywhere
        values = _polynomials((z[inside, 0] - centre) / half)
        mean += weight[inside] @ values
        second += (values.T * weight[inside]) @ values
    n = source.weight_sum
    kept = pieces[pieces[:, 0] < pieces[:, 1]]
    return _Rows(centre, half, kept, mean / n, second / n, n)


def _polynomials(t: Vector) -> Vector:
    """Legendre polynomials, one column each."""
    return np.asarray(np.polynomial.legendre.legvander(t, N_POLYNOMIALS - 1))


def _estimated(model: TruncatedMixture, rows: _Rows, sd: float) -> MixtureParams:
    """Mixture with this standard deviation whose means have the estimated moments."""
    k = model.n_components
    moments, covariance = _moments(rows, sd, 2 * k - 1)
    atoms, weights = gauss_quadrature(_projected(moments, covariance), k)
    means = rows.centre + rows.half * atoms
    full = np.full((k, 1, 1), sd * sd)
    values = model.component.structure.restrict(full, np.ones(k))
    return model.params(weights, means[:, None], values)


def _moments(rows: _Rows, sd: float, order: int) -> tuple[Vector, Vector]:
    """Moments 1 to ``order`` of the law of the means, and their covariances.

    Means lie between the smallest and the largest row: the wider the range, the larger the error.
    """
    grid = np.linspace(-1.0, 1.0, N_GRID)
    images = _images(rows, sd, grid)  # (G, L)
    targets = np.vander(grid, order + 1, increasing=True)
    gram = images.T @ images / N_GRID + RIDGE / rows.n * rows.second
    tests = np.linalg.lstsq(gram, images.T @ targets / N_GRID, rcond=1e-14)[0]  # (L, order + 1)
    raw = rows.mean @ tests
    if not raw[0] > 0.0:  # the set has no probability at this standard deviation
        raw = np.append(1.0, np.zeros(order))
    ratio = raw[1:] / raw[0]
    spread = tests.T @ (rows.second - np.outer(rows.mean, rows.mean)) @ tests / rows.n
    turn = np.column_stack([-ratio, np.eye(order)]) / raw[0]
    return np.asarray(ratio), np.asarray(turn @ spread @ turn.T)


def _images(rows: _Rows, sd: float, means: Vector) -> Vector:
    """Integrals over the set of polynomials times normal densities at the means (G,): (G, L)."""
    total = np.zeros((len(means), N_POLYNOMIALS))
    unit = sd / rows.half
    for low, high in (rows.pieces - rows.centre) / rows.half:
        n_panels = int(np.ceil((high - low) / (4.0 * unit)))
        edges = np.linspace(low, high, min(max(n_panels, 1), 50) + 1)
        half = np.diff(edges) / 2
        t = ((edges[:-1] + half)[:, None] + half[:, None] * NODES).ravel()
        weight = (half[:, None] * NODE_WEIGHTS).ravel()
        gap = (t - means[:, None]) / unit
        total += (np.exp(-0.5 * gap * gap) * weight / unit) @ _polynomials(t)
    return np.asarray(total / np.sqrt(2.0 * np.pi))


def _projected(moments: Vector, covariance: Vector) -> Vector:
    """Moments 0, 1, ... of the nearest law on [-1, 1], in the metric of the covariance."""
    order = len(moments)
    scale = SMALLEST_VARIANCE + 1e-9 * float(np.trace(covariance))
    root = np.linalg.cholesky(0.5 * (covariance + covariance.T) + scale * np.eye(order))
    atoms = np.vander(np.linspace(-1.0, 1.0, N_GRID), order + 1, increasing=True).T
    whitened = np.linalg.solve(root, np.column_stack([atoms[1:], moments]))
    heavy = 1e3 * float(np.abs(whitened).max())  # the sum of the weights is one
    table = np.vstack([np.full(N_GRID, heavy), whitened[:, :-1]])
    weights = nnls(table, np.append(heavy, whitened[:, -1]), maxiter=20 * N_GRID)[0]
    return np.asarray(atoms @ weights / weights.sum())


def gauss_quadrature(moments: Vector, k: int) -> tuple[Vector, Vector]:
    """Atoms and weights (k,) of a law with the moments ``m_0 .. m_(2k - 1)``.

    A law with fewer atoms gives the others the weight zero.
    """
    alpha, beta, before, now = [], [], np.zeros(1), np.ones(1)
    norm_before = 1.0
    for _ in range(k):
        norm = _product(now, now, moments)
        if norm <= SMALLEST_NORM * moments[0]:
            break
        shift = _product(np.append(0.0, now), now, moments) / norm
        alpha.append(shift)
        beta.append(norm / norm_before)
        longer = np.append(0.0, now)
        longer[: len(now)] -= shift * now
        longer[: len(before)] -= (beta[-1] if len(beta) > 1 else 0.0) * before
        before, now, norm_before = now, longer, norm
    nodes, vectors = eigh_tridiagonal(np.array(alpha), np.sqrt(beta[1:]))
    missing = k - len(nodes)
    weights = np.append(vectors[0] ** 2, np.zeros(missing))
    return np.append(nodes, np.full(missing, nodes.mean())), weights


def _product(p: Vector, q: Vector, moments: Vector) -> float:
    """Mean of the product of two polynomials."""
    both = np.convolve(p, q)
    return float(both @ moments[: len(both)])
