"""Errors of truncated mixtures against n: likelihood, moments, and the fit that ignores the cut.

`python -m benchmarks.papers.truncated_error [--quick]`
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import wasserstein_distance

from benchmarks.papers.tables import COLOURS, INK, markdown, options, panels, write
from pyestim import GaussianMixture, TruncatedGaussianMixture

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Mixtures of components with the standard deviation one: means and weights.
TRUE = {
    2: (np.array([-1.5, 1.5]), np.array([0.4, 0.6])),
    3: (np.array([-3.0, 0.0, 3.0]), np.array([0.3, 0.4, 0.3])),
}
#: Sets by how much of the line they show.
SETS = {
    2: {"wide": (-2.0, 3.0), "narrow": (-1.5, 1.5)},
    3: {"wide": (-3.5, 4.0), "narrow": (-2.5, 2.5)},
}
#: Lengths of the samples and repetitions: full size, and for a quick look.
SIZES = {False: (np.geomspace(1e3, 1e5, 5).astype(int), 20), True: (np.array([500, 2000]), 2)}
METHODS = {"em": "likelihood", "moments": "moments", "naive": "the cut ignored"}
QUARTILES = (25, 50, 75)


def draw(rng: np.random.Generator, k: int, ends: tuple[float, float], n: int) -> np.ndarray:
    """Rows (n, 1) of the mixture that fell into the set."""
    means, weights = TRUE[k]
    rows = np.empty(0)
    while len(rows) < n:
        label = rng.choice(k, 2 * n, p=weights)
        x = means[label] + rng.normal(size=2 * n)
        rows = np.append(rows, x[(x >= ends[0]) & (x <= ends[1])])
    return rows[:n, None]


def fitted(method: str, k: int, ends: tuple[float, float], X: np.ndarray) -> Any:
    """A mixture with one shared variance; moments know that it is one."""
    if method == "naive":
        model = GaussianMixture(k, covariance_type="tied", tol=1e-6, max_iter=500, random_state=0)
    elif method == "moments":
        bounds = {"lower": ends[0], "upper": ends[1]}
        model = TruncatedGaussianMixture(k, method="moments", known_sd=1.0, **bounds)
    else:
        bounds = {"lower": ends[0], "upper": ends[1]}
        model = TruncatedGaussianMixture(k, covariance_type="tied", random_state=0, **bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # short samples of narrow sets hardly determine anything
        return model.fit(X)


def error(model: Any, k: int) -> float:
    """Wasserstein distance between the laws of the means."""
    means, weights = TRUE[k]
    return float(wasserstein_distance(model.means_[:, 0], means, model.weights_, weights))


def experiment(quick: bool, seed: int) -> dict[tuple[int, str, str], np.ndarray]:
    """Errors (sizes, repetitions) by number of components, set and method."""
    sizes, times = SIZES[quick]
    found = {
        (k, name, method): np.empty((len(sizes), times))
        for k in TRUE
        for name in SETS[k]
        for method in METHODS
    }
    for (k, name, method), errors in found.items():
        for i, n in enumerate(sizes):
            for j in range(times):
                rng = np.random.default_rng([seed, k, len(name), int(n), j])
                X = draw(rng, k, SETS[k][name], int(n))
                errors[i, j] = error(fitted(method, k, SETS[k][name], X), k)
    return found


def exponent(sizes: np.ndarray, errors: np.ndarray) -> str:
    """Slope of the logarithm of the median error against log n."""
    slope = np.polyfit(np.log(sizes), np.log(np.median(errors, axis=1)), 1)[0]
    return f"{slope:.2f}"


def table(found: dict[tuple[int, str, str], np.ndarray], sizes: np.ndarray) -> str:
    """Median errors by n, and the exponents."""
    shown = range(0, len(sizes), max(1, len(sizes) // 2))
    rows = []
    for (k, name, method), errors in found.items():
        low, high = SETS[k][name]
        medians = np.median(errors, axis=1)
        cells = [f"{medians[i]:.3g}" for i in shown]
        where = f"{name}: [{low:g}, {high:g}]"
        rows.append([str(k), where, METHODS[method], *cells, exponent(sizes, errors)])
    header = ["k", "set", "method", *(f"n = {sizes[i]}" for i in shown), "exponent"]
    return markdown(header, rows)


def picture(found: dict[tuple[int, str, str], np.ndarray], sizes: np.ndarray) -> Any:
    """One panel for each number of components; solid lines are the wide sets."""
    figure, axes = panels(len(TRUE))
    for ax, k in zip(axes, TRUE, strict=True):
        for (components, name, method), errors in found.items():
            if components != k:
                continue
            colour = COLOURS[list(METHODS).index(method)]
            low, middle, high = np.percentile(errors, QUARTILES, axis=1)
            style = "-" if name == "wide" else "--"
            label = METHODS[method] if name == "wide" else None
            ax.plot(sizes, middle, style, color=colour, marker="o", markersize=4, label=label)
            ax.fill_between(sizes, low, high, color=colour, alpha=0.12, linewidth=0)
        start = np.median(found[k, "wide", "em"][0])
        ax.plot(sizes, start * np.sqrt(sizes[0] / sizes), color=INK, linewidth=0.8, linestyle=":")
        ax.set(xscale="log", yscale="log", xlabel="n", title=f"{k} components")
        ax.legend(frameon=False, fontsize=8)
    axes[0].set_ylabel("error of the law of the means (W1)")
    return figure


TEXT = """# Truncated mixtures: error against n

Mixtures of normal laws with standard deviation one, means {means2} and {means3}; rows outside
the set are never seen. Wasserstein distance between the estimated and the true law of the means,
medians of {times} samples. Likelihood (one shared variance, estimated), the method of moments
(variance known), and the mixture that ignores the cut. Dashed: the narrow sets. Dotted: n^(-1/2).

{table}
The likelihood falls like n^(-1/2) where the set shows the components, later where it is narrow.
The mixture that ignores the cut converges to something else: its error stays. The method of
moments (Tai and Aragam, 2023) needs n of the order (1/error)^O(k): polynomials that undo the cut
have enormous variances, and regularising them leaves a bias that falls slowly.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiment and write `truncated_error.md` and `.png`."""
    given = options("Errors of truncated mixtures.", arguments)
    sizes, times = SIZES[given.quick]
    found = experiment(given.quick, given.seed)
    text = TEXT.format(
        means2=", ".join(f"{m:g}" for m in TRUE[2][0]),
        means3=", ".join(f"{m:g}" for m in TRUE[3][0]),
        times=times,
        table=table(found, sizes),
    )
    write(given.out, "truncated_error", text, picture(found, sizes))


if __name__ == "__main__":
    main()
