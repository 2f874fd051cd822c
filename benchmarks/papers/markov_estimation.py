"""Risk of estimating transition probabilities, beside the constants of the theory.

`python -m benchmarks.papers.markov_estimation [--quick]`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.papers.tables import COLOURS, INK, markdown, options, panels, with_error, write
from pyestim.models.chain_risk import simulate_risk
from pyestim.models.divergences import DIVERGENCES

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES: dict[str, Any] = {
    "mle": "mle",
    "add 1/2": 0.5,
    "add 1": 1.0,
    "add √N/k": "minimax-l2",
    "minimax-kl": "minimax-kl",
}
DELTA = 0.05
LOSSES = ("l2", "kl", "chi-square", "hellinger")
#: (lengths, paths) for five states.
FIVE = {False: ((1000, 5000, 20_000), 8_000), True: ((1000,), 100)}
#: (numbers of states, length, paths) with delta = 1/(4k).
MORE = {False: ((3, 5, 10, 20), 20_000, 4_000), True: ((3, 5), 2000, 60)}
#: What an earlier, independent simulation found at n = 5000 and 20000, by loss.
KNOWN = {
    5000: {
        "l2": (0.765, 0.751, 0.738, 0.703),
        "kl": (2.02, 1.96, 1.92, 1.88),
        "chi-square": (4.22, 4.05, 3.92, 3.74),
        "hellinger": (1.00, 0.97, 0.96, 0.95),
    },
    20_000: {
        "l2": (0.785, 0.781, 0.778, 0.764),
        "kl": (2.05, 2.04, 2.02, 2.07),
        "chi-square": (4.15, 4.11, 4.08, 4.12),
        "hellinger": (1.02, 1.01, 1.01, 1.04),
    },
}


def rare(k: int, delta: float) -> np.ndarray:
    """Every state moves to state 0 with probability delta, and evenly to the others."""
    matrix = np.full((k, k), (1 - delta) / (k - 1))
    matrix[:, 0] = delta
    return matrix


def limit(loss: str, k: int, row: np.ndarray, rule: str) -> float:
    """Limit of n delta risk of the row of state 0, as of n delta independent draws.

    A constant gives (k - 1) f''(1) / 2, and 1 - sum p^2 for squares. √N/k adds a bias (1/k - p) /
    √N.
    """
    if loss == "l2":
        return 1 - 1 / k if rule == "add √N/k" else 1 - float((row**2).sum())
    freedom = k - 2 + float((1 / (k * k * row)).sum()) if rule == "add √N/k" else k - 1
    return (DIVERGENCES[loss].curvature or 0.0) * freedom / 2


def five_states(quick: bool, seed: int) -> tuple[str, dict[tuple[str, int], Any]]:
    """Row of the rare state for every loss: table, and risks by loss and length."""
    lengths, paths = FIVE[quick]
    matrix = rare(5, DELTA)
    found, rows = {}, []
    for loss in LOSSES:
        for n in lengths:
            found[loss, n] = simulate_risk(
                list(RULES.values()), matrix, n, loss=loss, n_repeats=paths, seed=seed
            )
            scale = n * DELTA
            cells = []
            for i, risk in enumerate(found[loss, n]):
                value, error = scale * risk.row_risks[0], scale * risk.row_standard_errors[0]
                known = KNOWN.get(n, {}).get(loss, ())
                text = with_error(value, error) if np.isfinite(value) else "∞"
                cells.append(f"{text} ({known[i]})" if i < len(known) else text)
            rows.append([loss, n, *cells])
        limits = [f"{limit(loss, 5, matrix[0], name):.2f}" for name in RULES]
        rows.append([loss, "limit", *limits])
    return markdown(["loss", "n", *RULES], rows), found


def number_of_states(quick: bool, seed: int) -> tuple[str, dict[int, Any]]:
    """Constant c of the Kullback-Leibler risk c / (2 n delta) against k - 2 and k - 1."""
    states, n, paths = MORE[quick]
    found, rows = {}, []
    for k in states:
        delta = 1 / (4 * k)
        found[k] = simulate_risk(
            list(RULES.values())[1:], rare(k, delta), n, loss="kl", n_repeats=paths, seed=seed
        )
        scale = 2 * n * delta
        cells = [
            with_error(scale * r.row_risks[0], scale * r.row_standard_errors[0]) for r in found[k]
        ]
        rows.append([k, *cells, k - 2, k - 1])
    header = ["k", *list(RULES)[1:], "k - 2", "k - 1"]
    return markdown(header, rows), found


def picture(five: dict[tuple[str, int], Any], states: dict[int, Any], quick: bool) -> Any:
    """One panel for each loss by length, and the constant by number of states."""
    figure, axes = panels(len(LOSSES) + 1, 3.0)
    lengths, _ = FIVE[quick]
    row = rare(5, DELTA)[0]
    for ax, loss in zip(axes, LOSSES, strict=False):
        for i, (name, colour) in enumerate(zip(RULES, COLOURS, strict=True)):
            values = [m * DELTA * five[loss, m][i].row_risks[0] for m in lengths]
            ax.plot(lengths, values, color=colour, marker="o", markersize=4, label=name)
        ax.axhline(limit(loss, 5, row, "add 1"), color=INK, linewidth=0.8)
        ax.axhline(limit(loss, 5, row, "add √N/k"), color=COLOURS[3], linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="n", title=loss)
    axes[0].set_ylabel("n δ × risk, k = 5, δ = 0.05")
    axes[0].legend(frameon=False, fontsize=8)
    ax, k = axes[-1], np.array(sorted(states))
    _, n, _ = MORE[quick]
    for i, (name, colour) in enumerate(zip(list(RULES)[1:], COLOURS[1:], strict=True)):
        values = [2 * n / (4 * m) * states[m][i].row_risks[0] / (m - 1) for m in k]
        ax.plot(k, values, color=colour, marker="o", markersize=4, label=name)
    ax.plot(k, (k - 2) / (k - 1), color=INK, linestyle=":", label="(k - 2) / (k - 1)")
    ax.axhline(1.0, color=INK, linewidth=0.8)
    ax.set(xlabel="k", ylabel="2 n δ × risk / (k - 1)", title=f"kl, δ = 1/(4k), n = {n}", xticks=k)
    ax.legend(frameon=False, fontsize=8)
    return figure


TEXT = """# Estimating transition probabilities

Chains whose states all move to state 0 with probability δ, and evenly to the others. The row of the
rare state, of which a path of n states shows about n δ transitions, is the one that the theory
calls worst. ± one standard error.

## Five states, δ = 0.05

n δ × risk of that row, {five_paths} paths; in brackets an earlier, independent simulation.
"limit": n to infinity.

{five}

The theory (Hao, Orlitsky and Pichapati, 2018) puts n δ × minimax risk between f''(1)/2 times k - 2
and k - 1, and for squares between 1 - 1/(k-1) and 1 - 1/k. Constants reach the upper value for
every f-divergence. √N/k is for squares only: its bias is as large as the standard error, and for
f-divergences its limit lies above that of the constants wherever the row is not uniform.

## Number of states

2 n δ × Kullback-Leibler risk of the same row, δ = 1/(4k), n = {n}, {more_paths} paths.

{more}"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both experiments and write `markov_estimation.md` and `.png`."""
    given = options("Risk of estimating transition probabilities.", arguments)
    five_table, five = five_states(given.quick, given.seed)
    more_table, states = number_of_states(given.quick, given.seed)
    _, n, more_paths = MORE[given.quick]
    text = TEXT.format(
        five_paths=FIVE[given.quick][1],
        five=five_table,
        n=n,
        more_paths=more_paths,
        more=more_table,
    )
    write(given.out, "markov_estimation", text, picture(five, states, given.quick))


if __name__ == "__main__":
    main()
