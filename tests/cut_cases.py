"""Rows of the law suite whose data were cut: truncated mixtures."""

from __future__ import annotations

import numpy as np
from mixture_cases import (
    dense,
    log_densities,
    moved,
    permute,
    place,
    publish,
    second_moments,
)
from scipy.special import logsumexp, ndtr

from pyestim.data.source import ArraySource
from pyestim.models.gates import ConstantGate
from pyestim.models.gaussian import GaussianComponent
from pyestim.models.gaussian_forms import GaussianForm
from pyestim.models.support import Support
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_rows import draw_inside
from pyestim.testing import Case, IndependentRows

NODES, NODE_WEIGHTS = np.polynomial.legendre.leggauss(60)
N_ROWS = 500


class Placed(np.ndarray):
    """Rows that remember how their columns were ordered, shifted and scaled."""

    place = None

    def __array_finalize__(self, other):
        self.place = getattr(other, "place", None)


class RowsInSet(IndependentRows):
    """Rows in any order; a set moves with its columns."""

    def moved(self, X, columns, shift, scale):
        rows = super().moved(X, columns, shift, scale).view(Placed)
        rows.place = (columns, shift, scale)
        return rows


def moved_support(support, place):
    """The set after the columns of the rows were moved."""
    if place is None:
        return support
    columns, shift, scale = place
    pieces = support.intervals
    return Support(
        (support.lower[columns] + shift) * scale,
        (support.upper[columns] + shift) * scale,
        None if pieces is None else (pieces + shift) * scale,
    )


def truncated_mixture(kind, support, n_components):
    def build(X, sample_weight, **options):
        source = ArraySource(np.asarray(X), sample_weight, **options)
        component = GaussianComponent(
            kind, n_components, source.n_features, floor_sd=source.floor_sd
        )
        where = moved_support(support, getattr(X, "place", None))
        model = TruncatedMixture(
            ConstantGate(n_components), component, where.moved(source.centre, source.scale)
        )
        return model, source

    return build


def matrices(kind, params):
    return dense(params.covariances, kind, *params.means.shape)


def box_mass(mean, matrix, lower, upper):
    """Probability of an interval or a rectangle: one integral of conditional probabilities."""
    sd = np.sqrt(matrix[0, 0])
    if len(mean) == 1:
        return ndtr((upper[0] - mean[0]) / sd) - ndtr((lower[0] - mean[0]) / sd)
    half = (upper[0] - lower[0]) / 2
    x = (upper[0] + lower[0]) / 2 + half * NODES
    z = (x - mean[0]) / sd
    slope = matrix[0, 1] / matrix[0, 0]
    rest = np.sqrt(matrix[1, 1] - slope * matrix[0, 1])
    centre = mean[1] + slope * (x - mean[0])
    inner = ndtr((upper[1] - centre) / rest) - ndtr((lower[1] - centre) / rest)
    return half * NODE_WEIGHTS @ (np.exp(-z * z / 2) / np.sqrt(2 * np.pi) / sd * inner)


def log_alpha(kind, model, params):
    """Logarithm of the probability of the set under the mixture."""
    support = model.support
    if support.intervals is None:
        pieces = [(support.lower, support.upper)]
    else:
        pieces = [(piece[:1], piece[1:]) for piece in support.intervals]
    each = zip(params.weights, params.means, matrices(kind, params), strict=True)
    return np.log(sum(w * box_mass(m, c, *piece) for w, m, c in each for piece in pieces))


def log_density(kind):
    def of_rows(model, params, z):
        each = log_densities(params.weights, params.means, matrices(kind, params), z)
        return logsumexp(each, axis=1) - log_alpha(kind, model, params)

    return of_rows


def expected(kind):
    """Complete log-likelihood of the rows inside, minus ``n log alpha``."""

    def value(model, params, stats, new):
        seen, d = stats["resp_sum"], new.means.shape[1]
        total = float(seen @ np.log(new.weights)) - seen.sum() * log_alpha(kind, model, new)
        for k, matrix in enumerate(matrices(kind, new)):
            gap = params.means[k] - new.means[k]
            cross = np.outer(stats["first"][k], gap)
            about = cross + cross.T + seen[k] * np.outer(gap, gap)
            if kind != "tied" or k == 0:  # what is shared counts once
                about = about + second_moments(stats, kind, k, d)
            total -= seen[k] * np.linalg.slogdet(2 * np.pi * matrix)[1] / 2
            total -= np.trace(np.linalg.solve(matrix, about)) / 2
        return total

    return value


def limit(kind, start):
    """Without bounds, and with bounds far from everything, it is the mixture that is not cut."""

    def closed_form(X, sample_weight):
        d, k = X.shape[1], len(start["weights"])
        none, far = np.full(d, np.inf), np.full(d, 1e6)
        found = []
        for edge in (none, far):
            pieces = np.array([[-edge[0], edge[0]]]) if d == 1 else None
            model, source = truncated_mixture(kind, Support(-edge, edge, pieces), k)(
                X, sample_weight
            )
            params = place(model, source, start)
            stats = model.layout.zeros()
            out = stats.vector[None]
            model.accumulate([params], source.whole, out)
            stats.vector[:] = out[0]
            found.append(publish(model, source, model.update(params, stats)))
        gate = model.gate.update(params.gate, stats)
        component = model.component.update(params.component, stats["resp_sum"], stats)
        plain = publish(model, source, model.assemble(gate, component))
        return [(one[name], plain[name]) for one in found for name in plain]

    return closed_form


def simulate(kind, support, truth):
    def draw(rng, n):
        form = GaussianForm(truth["weights"], truth["means"], truth["covariances"], kind)
        return draw_inside(form, support, n, rng)[0]

    return draw


def truncated_case(name, kind, support, truth, weighted=False, dtype="float64"):
    rng = np.random.default_rng(30)
    start = {
        "weights": np.full(len(truth["weights"]), 1 / len(truth["weights"])),
        "means": truth["means"] * 0.9 + 0.1,
        "covariances": 1.3 * truth["covariances"],
    }
    return Case(
        name=f"truncated-{name}-{'weights' if weighted else 'plain'}-{dtype}",
        X=simulate(kind, support, truth)(rng, N_ROWS).astype(dtype),
        start=start,
        truth=truth,
        build=truncated_mixture(kind, support, len(truth["weights"])),
        place=place,
        publish=publish,
        log_density=log_density(kind),
        expected=expected(kind),
        permute=permute(kind),
        moved=moved(kind),
        limit=limit(kind, start),
        simulate=simulate(kind, support, truth),
        n_components=len(truth["weights"]),
        sample_weight=rng.uniform(0.2, 2.0, N_ROWS) if weighted else None,
        rows=RowsInSet(),
    )


LINE = {
    "weights": np.array([0.4, 0.6]),
    "means": np.array([[-2.0], [2.0]]),
    "covariances": np.array([[[1.0]], [[0.5]]]),
}
PLANE = {
    "weights": np.array([0.5, 0.5]),
    "means": np.array([[-1.5, 0.0], [1.5, 1.0]]),
    "covariances": np.array([[[1.0, 0.4], [0.4, 0.8]], [[0.7, -0.3], [-0.3, 1.0]]]),
}
INTERVAL = Support(np.array([-2.5]), np.array([2.5]), np.array([[-2.5, 2.5]]))
UNION = Support(
    np.array([-np.inf]), np.array([2.5]), np.array([[-np.inf, -1.0], [0.5, 1.5], [1.8, 2.5]])
)
BOX = Support(np.array([-2.0, -1.0]), np.array([2.5, 2.0]))

CASES = [
    truncated_case("interval", "full", INTERVAL, LINE, weighted=True),
    truncated_case("interval", "full", INTERVAL, LINE, dtype="float32"),
    truncated_case("union", "diag", UNION, {**LINE, "covariances": np.array([[1.0], [0.5]])}),
    truncated_case("box-full", "full", BOX, PLANE),
    truncated_case(
        "box-diag", "diag", BOX, {**PLANE, "covariances": np.array([[1.0, 0.8], [0.7, 1.0]])}
    ),
    truncated_case(
        "box-tied", "tied", BOX, {**PLANE, "covariances": PLANE["covariances"][0]}, weighted=True
    ),
]
