"""The rows of the law suite: a model, data, and formulas that share no code with it."""

from __future__ import annotations

from itertools import product

import cell_cases
import chain_cases
import cut_cases
import expert_cases
import limited_cases
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

from pyestim.data.source import ArraySource
from pyestim.models.gates import ConstantGate
from pyestim.models.gaussian import GaussianComponent
from pyestim.models.mixture import Mixture
from pyestim.testing import Case

N_ROWS, N_FEATURES, N_COMPONENTS = 700, 3, 3
TYPES = ("full", "tied", "diag", "spherical")


def truth(kind):
    """Parameters with components that overlap a little."""
    rng = np.random.default_rng(10)
    roots = np.eye(N_FEATURES) + 0.25 * rng.normal(size=(N_COMPONENTS, N_FEATURES, N_FEATURES))
    covariances = {
        "full": roots @ roots.transpose(0, 2, 1),
        "tied": roots[0] @ roots[0].T,
        "diag": rng.uniform(0.5, 2.0, (N_COMPONENTS, N_FEATURES)),
        "spherical": rng.uniform(0.5, 2.0, N_COMPONENTS),
    }[kind]
    means = 2.5 * np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, 1.0]])
    return {"weights": np.array([0.5, 0.3, 0.2]), "means": means, "covariances": covariances}


def matrices(covariances, kind):
    return dense(covariances, kind, N_COMPONENTS, N_FEATURES)


def draw(kind):
    def simulate(rng, n):
        given = truth(kind)
        labels = rng.choice(N_COMPONENTS, n, p=given["weights"])
        roots = np.linalg.cholesky(matrices(given["covariances"], kind))
        z = rng.normal(size=(n, N_FEATURES))
        return given["means"][labels] + np.einsum("nij,nj->ni", roots[labels], z)

    return simulate


def gaussian_mixture(kind, n_components=N_COMPONENTS):
    def build(X, sample_weight, **options):
        source = ArraySource(X, sample_weight, isotropic=kind == "spherical", **options)
        component = GaussianComponent(
            kind, n_components, source.n_features, floor_sd=source.floor_sd
        )
        return Mixture(ConstantGate(n_components), component), source

    return build


def log_density(kind):
    def of_rows(model, params, z):
        each = log_densities(params.weights, params.means, matrices(params.covariances, kind), z)
        top = each.max(axis=1)
        return top + np.log(np.exp(each - top[:, None]).sum(axis=1))

    return of_rows


def expected(kind):
    """``sum_k N_k log w_k - (N_k log|2 pi S_k| + tr S_k^-1 M_k) / 2``, M_k about the new mean."""

    def value(model, params, stats, new):
        resp_sum = stats["resp_sum"]
        total = float(resp_sum @ np.log(new.weights))
        own = matrices(new.covariances, kind)
        for k, matrix in enumerate(own):
            gap = params.means[k] - new.means[k]
            cross = np.outer(stats["first"][k], gap)
            about = cross + cross.T + resp_sum[k] * np.outer(gap, gap)
            if kind != "tied":
                about = about + second_moments(stats, kind, k, N_FEATURES)
            total -= resp_sum[k] * np.linalg.slogdet(2 * np.pi * matrix)[1] / 2
            total -= np.trace(np.linalg.inv(matrix) @ about) / 2
        if kind == "tied":
            total -= (
                np.trace(np.linalg.inv(own[0]) @ second_moments(stats, kind, 0, N_FEATURES)) / 2
            )
        return total

    return value


def limit(kind):
    """One component is the weighted mean and covariance, whatever the start."""

    def closed_form(X, sample_weight):
        model, source = gaussian_mixture(kind, 1)(X, sample_weight)
        d = X.shape[1]
        shape = {"full": (1, d, d), "tied": (d, d), "diag": (1, d), "spherical": (1,)}[kind]
        wide = np.broadcast_to(np.eye(d), shape) if kind in ("full", "tied") else np.ones(shape)
        start = {"weights": np.ones(1), "means": np.zeros((1, d)), "covariances": wide}
        params = place(model, source, start)
        out = np.empty((1, model.layout.size))
        model.accumulate([params], source.whole, out)
        found = publish(
            model, source, model.update(params, model.layout.zeros() + _stats(model, out))
        )
        rows = X.astype(np.float64)
        mean = np.average(rows, axis=0, weights=sample_weight)
        matrix = np.cov(rows.T, bias=True, aweights=sample_weight)
        want = {
            "full": matrix[None],
            "tied": matrix,
            "diag": np.diag(matrix)[None],
            "spherical": np.array([np.trace(matrix) / d]),
        }[kind]
        return [(found["means"][0], mean), (found["covariances"], want)]

    return closed_form


def _stats(model, out):
    stats = model.layout.zeros()
    stats.vector[:] = out[0]
    return stats


def gaussian_case(kind, weighted, dtype):
    rng = np.random.default_rng(20)
    X = draw(kind)(rng, N_ROWS).astype(dtype)
    given = truth(kind)
    start = {
        "weights": np.full(N_COMPONENTS, 1 / N_COMPONENTS),
        "means": given["means"] * 0.7 + 0.3,
        "covariances": 1.5 * given["covariances"],
    }
    return Case(
        name=f"{kind}-{'weights' if weighted else 'plain'}-{dtype}",
        X=X,
        start=start,
        truth=given,
        build=gaussian_mixture(kind),
        place=place,
        publish=publish,
        log_density=log_density(kind),
        expected=expected(kind),
        permute=permute(kind),
        moved=moved(kind),
        limit=limit(kind),
        simulate=draw(kind),
        n_components=N_COMPONENTS,
        sample_weight=rng.uniform(0.2, 2.0, N_ROWS) if weighted else None,
    )


CASES = [
    gaussian_case(kind, weighted, dtype)
    for kind, weighted, dtype in product(TYPES, (False, True), ("float64", "float32"))
]
for other in (chain_cases, expert_cases, cut_cases, limited_cases, cell_cases):
    CASES += other.CASES
