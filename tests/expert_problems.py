"""Problems for the tests of mixtures of experts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from expert_cases import draw

from pyestim.data.experts import ExpertSource
from pyestim.engine.stop import rounding_floor
from pyestim.engine.sweep import LocalSweep
from pyestim.models.expert_build import ExpertOptions, build_model
from pyestim.models.expert_start import make_starts

REFERENCE = Path(__file__).parent / "reference"
#: Mixtures that other programs fitted: reference/README.md.
RECORDED = sorted((REFERENCE / "mixreg").glob("*.json"))
P, K = 2, 3
FAMILIES = ("gaussian", "poisson", "binomial", "multinomial")


def rows(family="gaussian", n=300, gate="softmax", n_noise=0, seed=0):
    """Predictors, some of them without effect, and responses."""
    rng = np.random.default_rng(seed)
    both = draw(family, gate, False)(rng, n)
    noise = rng.normal(size=(n, n_noise))
    return np.column_stack([both[:, :P], noise]), both[:, P:]


def problem(family="gaussian", *, n=300, n_noise=0, sample_weight=None, groups=None, **options):
    """A source and the model for it."""
    options = ExpertOptions(options.pop("n_experts", K), n_classes=3, **options)
    X, y = rows(family, n, options.gate, n_noise)
    source = ExpertSource(
        X, y, None, sample_weight, groups, family=family, gated=options.gate == "softmax"
    )
    return source, build_model(source, options), options


class Recorded(NamedTuple):
    """What one file of `RECORDED` holds, and its rows."""

    spec: dict
    expected: dict
    tolerances: dict
    X: np.ndarray
    y: np.ndarray
    Z: np.ndarray | None


def recorded(path):
    file = json.loads(path.read_text())
    (case,) = file["cases"]
    spec = case["spec"]
    csv = REFERENCE / file["data"]["csv"]
    table = np.genfromtxt(csv, delimiter=",", names=True, deletechars="")
    y = table["y"]
    if spec["family"] == "binomial":
        y = np.column_stack([y, table["trials"] - y])
    X = np.column_stack([table[name] for name in spec["covariates"][1:]])
    gating = spec["gating_covariates"][1:]
    Z = np.column_stack([table[name] for name in gating]) if gating else None
    return Recorded(spec, case["expected"], file["tolerances"], X, y, Z)


def start(model, source, seed=0):
    return make_starts(model, source, 1, np.random.RandomState(seed))[0]


def climb(model, source, params, n_steps):
    """Objectives per unit weight along plain steps."""
    sweep, found = LocalSweep(model, source), []
    for _ in range(n_steps):
        stats = sweep([params])[0]
        found.append(model.objective(params, stats) / source.weight_sum)
        params = model.update(params, stats)
    return np.array(found), params


def assert_ascends(values, eps):
    slack = [2.0 * rounding_floor(value, eps) for value in values[1:]]
    assert np.all(np.diff(values) >= -np.array(slack)), np.diff(values).min()
