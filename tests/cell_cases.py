"""Rows of the law suite whose cells are censored, missing, or seen inside of boxes only."""

from __future__ import annotations

import numpy as np
from mixture_cases import dense, moved, permute, place, publish, second_moments
from scipy.special import log_ndtr, logsumexp

from pyestim.data.cells import CellSource, CellTable
from pyestim.data.source import ArraySource
from pyestim.models.cells import CellMixture
from pyestim.models.gates import ConstantGate
from pyestim.models.gaussian import GaussianComponent
from pyestim.models.mixture import Mixture
from pyestim.testing import Case, IndependentRows

N_ROWS, K = 600, 2
EXACT, INTERVAL, RIGHT, LEFT, MISSING = range(5)


# A row of a case is [value (d) | width (d) | kind (d)], and the corners [low (d) | high (d)] of its
# box behind: finite numbers, which may be moved. A half-line begins or ends at the value.


class CellRows(IndependentRows):
    """Rows whose blocks of columns move together.

    Parameters
    ----------
    d : int
    """

    def __init__(self, d):
        self.d = d

    def columns(self, rng, d):
        order = rng.permutation(self.d)
        return np.concatenate([order + start for start in range(0, d, self.d)])

    def moved(self, X, columns, shift, scale):
        found = X[:, columns].copy()
        d = self.d
        found[:, d : 2 * d] *= scale
        for block in (slice(0, d), slice(3 * d, None)):
            found[:, block] = (found[:, block] + shift) * scale
        return found.astype(X.dtype)

    def many(self, X, n):
        rows = np.resize(X, (n, X.shape[1]))
        noise = np.random.default_rng(4).normal(scale=1e-3, size=(n, self.d)).astype(X.dtype)
        rows[:, : self.d] += noise
        for start in range(3 * self.d, X.shape[1], self.d):
            rows[:, start : start + self.d] += noise
        return rows


def bounds(X, d):
    """Lower and upper bounds of the cells, and of the boxes or None."""
    value, width, kind = (X[:, i * d : (i + 1) * d] for i in range(3))
    infinite = np.asarray(np.inf, dtype=X.dtype)
    lower = np.where((kind == LEFT) | (kind == MISSING), -infinite, value)
    upper = np.where((kind == RIGHT) | (kind == MISSING), infinite, value)
    upper = np.where(kind == INTERVAL, value + width, upper)
    if X.shape[1] == 3 * d:
        return lower, upper, None, None
    # Rounding of moved numbers must not put a row out of its box.
    low, high = X[:, 3 * d : 4 * d], X[:, 4 * d :]
    return np.maximum(lower, low), np.minimum(upper, high), low, high


def builder(kind, d, k=K):
    def build(X, sample_weight, **options):
        lower, upper, low, high = bounds(X, d)
        table = CellTable(lower, upper, low, high)
        source = CellSource(table, sample_weight, isotropic=kind == "spherical", **options)
        component = GaussianComponent(kind, k, d, floor_sd=source.floor_sd)
        return CellMixture(ConstantGate(k), component), source

    return build


def working(d):
    def of_rows(source, X):
        return [
            None if part is None else (part.astype(float) - source.centre) * source.scale
            for part in bounds(X, d)
        ]

    return of_rows


def log_share(lower, upper, mean, sd):
    """Logarithm of the probability of an interval, by its nearer end."""
    a, b = (lower - mean) / sd, (upper - mean) / sd
    a, b = np.where(a > 0, -b, a), np.where(a > 0, -a, b)
    with np.errstate(all="ignore"):
        return log_ndtr(b) + np.log1p(-np.exp(log_ndtr(a) - log_ndtr(b)))


def log_densities(weights, means, matrices, lower, upper):
    """Log of weight times density of exact cells times probability of one censored one: (n, k)."""
    state = np.where(lower == upper, 0, np.where(np.isinf(lower) & np.isinf(upper), 2, 1))
    out = np.zeros((len(lower), len(weights)))
    patterns, group = np.unique(state, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = group.reshape(-1) == number
        o, c = np.flatnonzero(pattern == 0), np.flatnonzero(pattern == 1)
        for k, (mean, matrix) in enumerate(zip(means, matrices, strict=True)):
            inverse = np.linalg.inv(matrix[np.ix_(o, o)])
            gap = lower[rows][:, o] - mean[o]
            log_det = np.linalg.slogdet(2 * np.pi * matrix[np.ix_(o, o)])[1]
            total = -(log_det + np.einsum("ni,ij,nj->n", gap, inverse, gap)) / 2
            slope = matrix[np.ix_(c, o)] @ inverse
            rest = matrix[np.ix_(c, c)] - slope @ matrix[np.ix_(o, c)]
            assert np.allclose(rest, np.diag(np.diag(rest))), "one censored cell, or no correlation"
            for i, j in enumerate(c):
                centre = mean[j] + gap @ slope[i]
                sd = np.sqrt(rest[i, i])
                total = total + log_share(lower[rows, j], upper[rows, j], centre, sd)
            out[rows, k] = total + np.log(weights[k])
    return out


def log_density(kind, d):
    def of_rows(model, params, z):
        lower, upper, low, high = z
        given = (params.weights, params.means, dense(params.covariances, kind, K, d))
        found = logsumexp(log_densities(*given, lower, upper), axis=1)
        if low is not None:
            found = found - logsumexp(log_densities(*given, low, high), axis=1)
        return found

    return of_rows


def expected(kind, d):
    """Expected complete log-likelihood from the moments, which may count unseen rows."""

    def value(model, params, stats, new):
        total = stats["resp_sum"] @ np.log(new.weights)
        for k, matrix in enumerate(dense(new.covariances, kind, K, d)):
            step = params.means[k] - new.means[k]
            first, n = stats["first"][k], stats["resp_sum"][k]
            cross = np.outer(first, step)
            square = cross + cross.T + n * np.outer(step, step)
            if kind != "tied" or k == 0:  # what is shared counts once
                square = square + second_moments(stats, kind, k, d)
            log_det = np.linalg.slogdet(2 * np.pi * matrix)[1]
            total -= (n * log_det + np.trace(np.linalg.inv(matrix) @ square)) / 2
        return total

    return value


def moved_cells(kind, d):
    """The columns of a row are blocks of d, which move together."""
    move = moved(kind)
    return lambda published, order, *how: move(published, order[:d], *how)


def limit(kind, d):
    """Exact cells are the ordinary mixture; infinite bounds are columns that are left out."""

    def closed_form(X, sample_weight):
        values = np.ascontiguousarray(X[:, :d])
        table = CellTable(values, values)
        source = CellSource(table, sample_weight, isotropic=kind == "spherical")
        plain = ArraySource(values, sample_weight, isotropic=kind == "spherical")
        found = []
        for class_, rows in ((CellMixture, source), (Mixture, plain)):
            component = GaussianComponent(kind, K, d, floor_sd=rows.floor_sd)
            model = class_(ConstantGate(K), component)
            params = place(model, rows, truth(kind, d))
            out = np.empty((1, model.layout.size))
            model.accumulate([params], rows.whole, out)
            found.append(out)
        assert np.array_equal(*found), "not the bits of the ordinary mixture"
        if d == 1 or kind in ("tied", "spherical"):
            return []
        return [first_column(kind, d, values, sample_weight)]

    return closed_form


def first_column(kind, d, values, sample_weight):
    """Log-likelihood where only the first column is known, and that of the marginal mixture."""
    infinite = np.full_like(values[:, 1:], np.inf)
    lower, upper = (np.column_stack([values[:, :1], side]) for side in (-infinite, infinite))
    # One row is known in every column: a column that is never known is refused.
    lower[0], upper[0] = values[0], values[0]
    weight = np.ones(len(values)) if sample_weight is None else sample_weight
    source = CellSource(CellTable(lower, upper), sample_weight)
    component = GaussianComponent(kind, K, d, floor_sd=source.floor_sd)
    model = CellMixture(ConstantGate(K), component)
    given = truth(kind, d)
    out = np.empty((1, model.layout.size))
    model.accumulate([place(model, source, given)], source.whole, out)
    matrices = dense(given["covariances"], kind, K, d)
    z = values.astype(float)
    one = log_densities(given["weights"], given["means"], matrices, z[:1], z[:1])
    parts = (given["weights"], given["means"][:, :1], matrices[:, :1, :1])
    rest = log_densities(*parts, z[1:, :1], z[1:, :1])
    want = weight[0] * logsumexp(one) + weight[1:] @ logsumexp(rest, axis=1)
    return out[0, 0] + source.log_jacobian * source.weight_sum, want


def truth(kind, d):
    """Two components that overlap a little, in the units of the data."""
    full = np.array([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.2], [-0.2, 1.1]]])[:, :d, :d]
    covariances = {
        "full": full,
        "tied": full[0],
        "diag": np.array([[1.0, 0.8], [0.6, 1.2]])[:, :d],
        "spherical": np.array([1.0, 0.7]),
    }[kind]
    means = np.array([[-1.5, 0.3], [1.5, 1.0]])[:, :d]
    return {"weights": np.array([0.4, 0.6]), "means": means, "covariances": covariances}


def draw(kind, d, boxed):
    """Rows of the mixture, some of their cells censored by limits of their own."""

    def simulate(rng, n):
        given = truth(kind, d)
        size = 6 * n if boxed else n
        labels = (rng.random(size) > given["weights"][0]).astype(int)
        roots = np.linalg.cholesky(dense(given["covariances"], kind, K, d))
        z = given["means"][labels] + np.einsum(
            "nij,nj->ni", roots[labels], rng.normal(size=(size, d))
        )
        low, high = -1.0 - rng.integers(0, 2, (size, 1)), np.full((size, d), 2.5)
        low = np.broadcast_to(low, (size, d)).astype(float)
        if boxed:
            seen = np.flatnonzero(((z > low) & (z < high)).all(axis=1))[:n]
            z, low, high = z[seen], low[seen], high[seen]
        X = censor(z, rng, one_per_row=kind in ("full", "tied"))
        return np.column_stack([X, low, high]) if boxed else X

    return simulate


def censor(z, rng, one_per_row):
    """[value | width | kind] of exact rows."""
    n, d = z.shape
    kind = rng.choice(5, p=[0.5, 0.2, 0.1, 0.1, 0.1], size=(n, d))
    if d == 1:
        kind[kind == MISSING] = EXACT
    if one_per_row:  # the others are exact or missing
        others = np.arange(d) != rng.integers(0, d, (n, 1))
        kind[others & (kind != MISSING)] = EXACT
    threshold = rng.normal(size=(n, d))
    right, left = (kind == RIGHT) & (z > threshold), (kind == LEFT) & (z < threshold)
    kind[((kind == RIGHT) & ~right) | ((kind == LEFT) & ~left)] = EXACT
    start = np.floor(2.0 * z) / 2.0
    value = np.where(right | left, threshold, np.where(kind == INTERVAL, start, z))
    return np.column_stack([value, np.where(kind == INTERVAL, 0.5, 0.0), kind])


def cell_case(name, kind, d, weighted=False, dtype="float64", boxed=False):
    rng = np.random.default_rng(60)
    given = truth(kind, d)
    start = {
        "weights": np.array([0.5, 0.5]),
        "means": given["means"] * 0.8 + 0.1,
        "covariances": 1.3 * given["covariances"],
    }
    return Case(
        name=f"cells-{name}",
        X=draw(kind, d, boxed)(rng, N_ROWS).astype(dtype),
        start=start,
        truth=given,
        build=builder(kind, d),
        place=place,
        publish=publish,
        log_density=log_density(kind, d),
        expected=expected(kind, d),
        permute=permute(kind),
        moved=moved_cells(kind, d),
        limit=limit(kind, d),
        simulate=draw(kind, d, boxed),
        n_components=K,
        sample_weight=rng.uniform(0.2, 2.0, N_ROWS) if weighted else None,
        rows=CellRows(d),
        working=working(d),
    )


CASES = [
    cell_case("line", "full", 1),
    cell_case("line-weights-float32", "tied", 1, weighted=True, dtype="float32"),
    cell_case("line-boxed", "diag", 1, weighted=True, boxed=True),
    cell_case("diag", "diag", 2, weighted=True),
    cell_case("spherical-boxed", "spherical", 2, boxed=True),
    cell_case("full", "full", 2),
    cell_case("full-weights-float32", "full", 2, weighted=True, dtype="float32"),
    cell_case("tied", "tied", 2, weighted=True),
]
