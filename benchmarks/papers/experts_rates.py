"""Voronoi losses of mixtures of experts against n, beside the exponents of the theory.

`python -m benchmarks.papers.experts_rates [--quick]`
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.papers.tables import COLOURS, INK, markdown, options, panels, write
from pyestim import MixtureOfExpertsRegressor
from pyestim.metrics import voronoi_loss

if TYPE_CHECKING:
    from collections.abc import Sequence

TRUE = {
    "gate_intercept": np.array([-8.0, 0.0]),
    "gate_coef": np.array([[25.0], [0.0]]),
    "expert_coef": np.array([[-20.0], [20.0]]),
    "expert_intercept": np.array([15.0, -5.0]),
    "expert_scale": np.array([0.3, 0.4]),
}
#: Lengths of the samples and repetitions: full size, and for a quick look.
SIZES = {False: (np.geomspace(200, 1e5, 9).astype(int), 40), True: (np.array([300, 2000]), 2)}
MODELS = {"exact": 2, "over": 3}
#: Relative size of the errors of the starts.
START_ERROR = 0.05
#: By how much the two copies of a true expert differ where the fit has one too many.
COPY_ERROR = 0.2
QUARTILES = (25, 50, 75)


def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Equally spaced predictors on [0, 1], and responses of the true mixture."""
    x = np.linspace(0, 1, n)
    logit = TRUE["gate_intercept"] + np.outer(x, TRUE["gate_coef"][:, 0])
    share = np.exp(logit - logit.max(axis=1, keepdims=True))
    share /= share.sum(axis=1, keepdims=True)
    label = (rng.uniform(size=n) > share[:, 0]).astype(int)
    mean = TRUE["expert_intercept"][label] + TRUE["expert_coef"][label, 0] * x
    return x[:, None], mean + TRUE["expert_scale"][label] * rng.normal(size=n)


def started(rng: np.random.Generator, n_experts: int) -> MixtureOfExpertsRegressor:
    """Model that begins near the truth; a third expert is a copy of one of the two."""
    model = MixtureOfExpertsRegressor(
        n_experts, gate_l2=0.0, tol=1e-9, max_iter=5000, warm_start=True
    )
    of = np.append(np.arange(2), rng.integers(0, 2, n_experts - 2))
    copied = np.bincount(of)[of] > 1
    for name, value in TRUE.items():
        size = np.where(copied, COPY_ERROR, START_ERROR)
        size = size.reshape(-1, *[1] * (value.ndim - 1))
        noise = 1 + size * rng.uniform(-1, 1, value[of].shape)
        setattr(model, f"{name}_", value[of] * noise)
    model.gate_intercept_ = model.gate_intercept_ - np.where(copied, np.log(2), 0.0)
    return model


def errors(model: MixtureOfExpertsRegressor) -> tuple[float, float]:
    """Largest errors of intercept, and of slope and variance, where two experts share a true one.

    The first should fall like n^(-1/8), the second like n^(-1/4).
    """
    own = [model.expert_coef_[:, 0], model.expert_intercept_, model.expert_scale_**2]
    true = [TRUE["expert_coef"][:, 0], TRUE["expert_intercept"], TRUE["expert_scale"] ** 2]
    gaps = np.array([np.subtract.outer(a, b) for a, b in zip(own, true, strict=True)])
    cell = np.argmin((gaps**2).sum(axis=0), axis=1)
    shared = np.flatnonzero(np.bincount(cell, minlength=2)[cell] > 1)
    chosen = np.abs(gaps[:, shared, cell[shared]])
    if not len(shared):
        return np.nan, np.nan
    return float(chosen[1].max()), float(np.hypot(chosen[0], chosen[2]).max())


def experiment(quick: bool, seed: int) -> dict[str, Any]:
    """Losses (sizes, repetitions) of both models, and errors of shared experts."""
    sizes, times = SIZES[quick]
    found = {name: np.empty((len(sizes), times)) for name in (*MODELS, "level", "slope")}
    for i, n in enumerate(sizes):
        for j in range(times):
            rng = np.random.default_rng([seed, int(n), j])
            X, y = draw(rng, int(n))
            for kind, n_experts in MODELS.items():
                model = started(rng, n_experts)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # the flat likelihood of one too many
                    model.fit(X, y)
                found[kind][i, j] = voronoi_loss(model, TRUE, kind)
            found["level"][i, j], found["slope"][i, j] = errors(model)
    return {"sizes": sizes, **found}


def exponent(sizes: np.ndarray, values: np.ndarray) -> tuple[float, float]:
    """Slope of the logarithm of the median against log n, and its standard error."""
    x, y = np.log(sizes), np.log(np.nanmedian(values, axis=1))
    if len(x) < 3:
        return float(np.polyfit(x, y, 1)[0]), float("inf")
    (slope, _), covariance = np.polyfit(x, y, 1, cov=True)
    return float(slope), float(np.sqrt(covariance[0, 0]))


ROWS = {
    "exact": ("two experts, loss", -1 / 2),
    "over": ("three experts, loss", -1 / 2),
    "level": ("three experts, intercept of a shared one", -1 / 8),
    "slope": ("three experts, slope and variance of a shared one", -1 / 4),
}


def table(found: dict[str, Any]) -> str:
    """Medians by n, and the exponents."""
    sizes = found["sizes"]
    shown = sizes[:: max(1, len(sizes) // 4)]
    rows = []
    for name, (label, theory) in ROWS.items():
        medians = np.nanmedian(found[name], axis=1)
        slope, error = exponent(sizes, found[name])
        spread = f" ± {error:.2f}" if np.isfinite(error) else ""
        cells = [f"{medians[sizes == n][0]:.3g}" for n in shown]
        rows.append([label, *cells, f"{slope:.2f}{spread}", f"{theory:.3g}"])
    return markdown(["median of", *(f"n = {n}" for n in shown), "exponent", "theory"], rows)


def picture(found: dict[str, Any]) -> Any:
    """Losses on the left, errors of shared experts on the right."""
    figure, axes = panels(2)
    sizes = found["sizes"]
    for ax, names in zip(axes, (("exact", "over"), ("level", "slope")), strict=True):
        for name, colour in zip(names, COLOURS, strict=False):
            low, middle, high = np.nanpercentile(found[name], QUARTILES, axis=1)
            label, theory = ROWS[name]
            ax.plot(sizes, middle, color=colour, marker="o", markersize=4, label=label)
            ax.fill_between(sizes, low, high, color=colour, alpha=0.15, linewidth=0)
            line = middle[-1] * (sizes / sizes[-1]) ** theory
            ax.plot(sizes, line, color=INK, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel="n")
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("Voronoi loss: median, quartiles")
    axes[1].set_ylabel("error of a shared expert")
    return figure


TEXT = """# How fast mixtures of experts are learnt

Two true experts on [0, 1], gates (-8, 25) and (0, 0), slopes -20 and 20, intercepts 15 and -5,
standard deviations 0.3 and 0.4; equally spaced predictors, {times} samples of each size, fits that
begin near the truth. Dotted: the theory's exponent through the last point.

{table}
The theory (Nguyen, Nguyen and Ho, 2023) bounds both losses by sqrt(log n / n). Where three experts
are fitted, two of them share a true one, and the loss counts their distances with powers (4 for
gate and intercept, 2 for slope and variance): the parameters themselves may converge no faster than
n^(-1/8) and n^(-1/4). These are rates of the worst case; on a given mixture errors may fall faster.
A loss of one, the most there is, means that the third expert fits a few rows of its own: up to some
thousand rows that is the likelier maximum.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiment and write `experts_rates.md` and `.png`."""
    given = options("Voronoi losses of mixtures of experts.", arguments)
    found = experiment(given.quick, given.seed)
    text = TEXT.format(times=SIZES[given.quick][1], table=table(found))
    write(given.out, "experts_rates", text, picture(found))


if __name__ == "__main__":
    main()
