"""Mixtures of experts' rows of the law suite: ``[X | y]`` in one matrix, the gate reads X."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from pyestim.data.experts import ExpertSource
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.testing import Case, RegressionRows

sys.path.insert(0, str(Path(__file__).parent / "reference"))

import experts_numpy as slow

N_ROWS, P, K, N_CLASSES = 600, 2, 3, 3
N_RESPONSES = {"gaussian": 1, "poisson": 1, "binomial": 2, "multinomial": 1}


def truth(family, gate, share_scale):
    """Experts that overlap a little, in the units of the data."""
    coef = np.array([[[1.0, -0.5]], [[-0.7, 0.6]], [[0.4, 0.9]]])
    intercept = np.array([[0.5], [-0.5], [1.2]])
    if family == "multinomial":
        coef = np.concatenate([coef, -0.8 * coef[::-1]], axis=1)
        intercept = np.concatenate([intercept, intercept[::-1]], axis=1)
    if family in ("gaussian", "binomial"):
        coef, intercept = 2.0 * coef, 2.0 * intercept
    softmax = gate == "softmax"
    steep = 4.0 if family == "multinomial" else 1.0  # one code says little about its expert
    found = {
        "gate_intercept": np.array([0.3, -0.2, 0.0]),
        "gate_coef": steep * np.array([[1.0, 0.5], [-0.8, 0.9], [0.0, 0.0]])
        if softmax
        else np.zeros((K, 0)),
        "intercept": intercept,
        "coef": coef,
    }
    if family == "gaussian":
        sigma = np.full(K, 0.6) if share_scale else np.array([0.5, 0.7, 0.9])
        found["covariance"] = (sigma**2)[:, None, None]
    return found


def draw(family, gate, share_scale):
    def simulate(rng, n):
        given = truth(family, gate, share_scale)
        x = rng.normal(size=(n, P)) * [1.0, 0.8]
        z1 = slow.with_ones(x)[:, : 1 + given["gate_coef"].shape[1]]
        gate_coef = np.column_stack([given["gate_intercept"], given["gate_coef"]])
        pi = np.exp(slow.log_softmax(z1 @ gate_coef.T))
        label = (rng.random((n, 1)) > np.cumsum(pi, axis=1)[:, :-1]).sum(axis=1)
        eta = np.einsum("nj,nlj->nl", x, given["coef"][label]) + given["intercept"][label]
        return np.column_stack([x, respond(family, rng, eta, label, given)])

    return simulate


def respond(family, rng, eta, label, given):
    """Responses (n, r) of rows whose experts' predictors are eta (n, L)."""
    if family == "gaussian":
        return eta + np.sqrt(given["covariance"][label, :, 0]) * rng.normal(size=eta.shape)
    if family == "poisson":
        return rng.poisson(np.exp(eta)).astype(float)
    if family == "binomial":
        trials = rng.integers(4, 12, eta.shape)
        wins = rng.binomial(trials, 1 / (1 + np.exp(-eta)))
        return np.column_stack([wins, trials - wins]).astype(float)
    chance = np.exp(slow.class_log_prob(eta))
    return (rng.random((len(eta), 1)) > np.cumsum(chance, axis=1)[:, :-1]).sum(1, keepdims=True)


def builder(family, options):
    def build(X, sample_weight, **chunking):
        source = ExpertSource(
            X[:, :P],
            X[:, P:],
            sample_weight=sample_weight,
            family=family,
            gated=options.gate == "softmax",
            **chunking,
        )
        return build_model(source, options), source

    return build


def place(model, source, published):
    return model.from_user(published, source)


def publish(model, source, params):
    """Heights at the centre of the rows instead of intercepts, which may lie far away from it."""
    found = model.to_user(params, source)
    centre = source.x.centre
    found["at_centre"] = found.pop("intercept") + found["coef"] @ centre
    gate = found.pop("gate_intercept")
    found["gate_at_centre"] = gate + found["gate_coef"] @ centre if model.gate.gated else gate
    return {name: array for name, array in found.items() if array.size}


def working(source, X):
    x, y, _, _ = source.take(np.arange(len(X)))
    return np.column_stack([x, y])


def log_density(family, gated):
    def of_rows(model, params, z):
        x1 = slow.with_ones(z[:, :P])
        z1 = x1 if gated else None
        covariances = model.experts.covariances(params.experts)
        given = (params.gate.coef, params.experts.coef, covariances)
        return slow.posterior(family, x1, z1, z[:, P:], *given)[0]

    return of_rows


def symmetric(packed):
    order = int(np.sqrt(2 * len(packed)))
    matrix = np.zeros((order, order))
    matrix[np.tril_indices(order)] = packed
    return matrix + np.tril(matrix, -1).T


def expected(family, gated):
    """What has the right gradient at the old parameters; exact for gaussian experts."""

    def value(model, params, stats, new):
        if gated:
            total = (stats["gate_score"] * (new.gate.coef - params.gate.coef)[:-1]).sum()
        else:
            total = stats["resp_sum"] @ new.gate.coef[:, 0]
        step = new.experts.coef - params.experts.coef
        if family != "gaussian":
            return total + (stats["expert_score"] * step).sum()
        covariances = model.experts.covariances(new.experts)
        for k, (d, covariance) in enumerate(zip(step, covariances, strict=True)):
            cross = stats["expert_score"][k] @ d.T
            square = symmetric(stats["residual"][k]) - cross - cross.T
            square = square + d @ symmetric(stats["expert_gram"][k]) @ d.T
            log_det = np.linalg.slogdet(2 * np.pi * covariance)[1]
            total -= stats["resp_sum"][k] * log_det / 2
            total -= np.trace(np.linalg.inv(covariance) @ square) / 2
        return total

    return value


def penalty(options):
    """Elastic net of ``slope sd(x) / sigma``."""

    def value(model, params):
        unit = model.sd_of_columns
        scale = np.sqrt(model.experts.covariances(params.experts)[:, :, 0])
        phi = params.experts.coef[:, 0, 1:] * unit / scale
        return options.expert_l1 * np.abs(phi).sum() + options.expert_l2 * (phi**2).sum() / 2

    return value


def permute(published, order):
    found = {name: array[order] for name, array in published.items()}
    for name in ("gate_intercept", "gate_coef", "gate_at_centre"):
        if name in found:
            found[name] = found[name] - found[name][-1]
    return found


def moved(real):
    def columns(published, order, shift, scale):
        order = order[:P]
        height = scale if real else 1.0
        found = dict(published)
        found["coef"] = published["coef"][..., order] * (height / scale)
        if "covariance" in found:
            found["covariance"] = published["covariance"] * height**2
        if "gate_coef" in found and published["gate_coef"].size:
            found["gate_coef"] = published["gate_coef"][:, order] / scale
        offset = shift if real else 0.0
        if "at_centre" in found:
            found["at_centre"] = (published["at_centre"] + offset) * height
            return found
        far = shift * published["coef"].sum(axis=-1)
        found["intercept"] = (published["intercept"] - far + offset) * height
        gate_far = shift * published["gate_coef"].sum(axis=-1)
        found["gate_intercept"] = published["gate_intercept"] - gate_far
        return found

    return columns


def limit(family):
    """One expert is least squares, or the generalised linear model."""

    def closed_form(X, sample_weight):
        model, source = builder(family, ExpertOptions(1, gate="constant", n_classes=N_CLASSES))(
            X, sample_weight
        )
        n_linear = model.experts.n_linear
        start = {
            "gate_intercept": np.zeros(1),
            "gate_coef": np.zeros((1, 0)),
            "intercept": np.zeros((1, n_linear)),
            "coef": np.zeros((1, n_linear, P)),
            "covariance": np.ones((1, 1, 1)),
        }
        params = place(model, source, start)
        stats = model.layout.zeros()
        for _ in range(1 if family == "gaussian" else 25):
            model.accumulate([params], source.whole, stats.vector[None])
            params = model.update(params, stats)
        rows = working(source, X)
        weight = np.ones(len(X)) if sample_weight is None else sample_weight
        x1, y = slow.with_ones(rows[:, :P]), rows[:, P:]
        coef = np.zeros((n_linear, 1 + P))
        coef = slow.expert_step(family, x1, y, weight, coef, tol=1e-28)
        found = [(params.experts.coef[0], coef)]
        if family == "gaussian":
            gap = y - x1 @ coef.T
            covariance = (gap.T * weight) @ gap / weight.sum()
            found.append((model.experts.covariances(params.experts)[0], covariance))
        return found

    return closed_form


def expert_case(name, family="gaussian", weighted=False, dtype="float64", **options):
    options = ExpertOptions(K, n_classes=N_CLASSES, **options)
    gated = options.gate == "softmax"
    rng = np.random.default_rng(40)
    given = (family, options.gate, options.share_scale)
    X = draw(*given)(rng, N_ROWS).astype(dtype)
    start = truth(*given)
    start = {key: 0.7 * array for key, array in start.items()}
    build = builder(family, options)
    penalised = options.expert_l1 > 0.0

    def measured(X, sample_weight, **chunking):
        model, source = build(X, sample_weight, **chunking)
        model.sd_of_columns = source.x.column_sd
        return model, source

    return Case(
        name=f"experts-{name}",
        X=X,
        start=start,
        truth=truth(*given),
        build=measured if penalised else build,
        place=place,
        publish=publish,
        log_density=log_density(family, gated),
        expected=expected(family, gated),
        permute=permute,
        moved=moved(family == "gaussian"),
        limit=limit(family),
        simulate=draw(*given),
        n_components=K,
        sample_weight=rng.uniform(0.2, 2.0, N_ROWS) if weighted else None,
        rows=RegressionRows(P, real=family == "gaussian"),
        working=working,
        **({"penalty": penalty(options)} if penalised else {}),
    )


CASES = [
    expert_case("gaussian"),
    expert_case("gaussian-weights", weighted=True),
    expert_case("gaussian-float32", dtype="float32"),
    expert_case("gaussian-constant", gate="constant"),
    expert_case("gaussian-shared", weighted=True, share_scale=True),
    expert_case("gaussian-penalised", expert_l1=1e-3, expert_l2=1e-3, standardize=True),
    expert_case("poisson", "poisson"),
    expert_case("poisson-constant-weights", "poisson", weighted=True, gate="constant"),
    expert_case("binomial", "binomial", weighted=True),
    expert_case("multinomial", "multinomial"),
]
