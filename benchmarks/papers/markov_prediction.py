"""Risk of predicting the next state of a Markov chain, beside the rates of the theory.

`python -m benchmarks.papers.markov_prediction [--quick]`
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.papers.tables import COLOURS, INK, markdown, options, panels, with_error, write
from benchmarks.papers.two_states import worst_risks
from pyestim.models.chain_risk import simulate_risk

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES: dict[str, Any] = {"add 1": 1.0, "add 1/2": 0.5, "adaptive": "adaptive"}
#: (lengths, paths per chain of the grid) for two states.
TWO_STATES = {
    False: ((10**2, 10**3, 10**4, 10**5, 10**6, 10**8), 40_000),
    True: ((10**2, 10**4), 1_000),
}
#: (numbers of states, lengths, paths) of the chains with a sticky state.
STICKY = {False: ((3, 5, 10), (100, 1000, 5000), 20_000), True: ((3,), (100, 400), 400)}
#: What an earlier, independent simulation found (adaptive: 1 / log n, else 1/2).
KNOWN = {
    10**2: (1.56, 1.27, 1.58),
    10**3: (2.39, 1.58, 1.92),
    10**4: (3.28, 1.92, 2.17),
    10**5: (4.07, 2.29, 2.35),
    10**6: (4.99, 2.75, 2.52),
    10**8: (6.67, 3.60, 2.73),
}


def sticky(k: int, n: int) -> np.ndarray:
    """State 0 is left with 1/n for one of the others, which are left for it with 1/n."""
    matrix = np.full((k, k), (1 - 1 / n) / (k - 1))
    matrix[:, 0] = 1 / n
    matrix[0] = 1 / (n * (k - 1))
    matrix[0, 0] = 1 - 1 / n
    return matrix


def two_states(quick: bool, seed: int) -> tuple[str, dict[int, tuple[np.ndarray, np.ndarray]]]:
    """Worst risk over two-state chains: table, and values by length."""
    lengths, size = TWO_STATES[quick]
    found = {n: worst_risks(n, list(RULES.values()), size, seed) for n in lengths}
    rows = [
        [
            f"{n:.0e}",
            *(with_error(r, e) for r, e in zip(*found[n], strict=True)),
            *(f"{value:.2f}" for value in KNOWN[n]),
            f"{math.log(n):.2f}",
            f"{math.log(math.log(n)):.2f}",
        ]
        for n in lengths
    ]
    header = ["n", *RULES, *(f"{name}, known" for name in RULES), "log n", "log log n"]
    return markdown(header, rows), found


def more_states(quick: bool, seed: int) -> tuple[str, dict[tuple[str, int, int], Any]]:
    """Chains with a sticky state and, as a contrast, independent uniform states."""
    states, lengths, paths = STICKY[quick]
    found: dict[tuple[str, int, int], Any] = {}
    rows = []
    for k in states:
        for n in lengths:
            for name, matrix in (("sticky", sticky(k, n)), ("uniform", np.full((k, k), 1 / k))):
                found[name, k, n] = simulate_risk(
                    list(RULES.values()), matrix, n, n_repeats=paths, seed=seed
                )
            cells = [
                with_error(n * risk.risk, n * risk.standard_error)
                for name in ("sticky", "uniform")
                for risk in found[name, k, n]
            ]
            rate = f"{k * k * math.log(n / k**2):.1f}"
            rows.append([k, n, *cells, rate, f"{k * (k - 1) / 2:.1f}"])
    header = [
        "k",
        "n",
        *(f"sticky, {name}" for name in RULES),
        *(f"uniform, {name}" for name in RULES),
    ]
    return markdown([*header, "k² log(n/k²)", "k(k-1)/2"], rows), found


def picture(two: dict[int, Any], more: dict[tuple[str, int, int], Any]) -> Any:
    """Left: two states. Right: more states, scaled by k squared."""
    figure, (left, right) = panels(2)
    n = np.array(sorted(two))
    for i, (name, colour) in enumerate(zip(RULES, COLOURS, strict=False)):
        risk, error = (np.array([two[m][part][i] for m in n]) for part in (0, 1))
        left.errorbar(n, risk, 2 * error, color=colour, marker="o", markersize=4, label=name)
    fine = np.geomspace(n[0], n[-1], 50)
    left.plot(fine, np.log(np.log(fine)), color=INK, linestyle=":", label="log log n")
    left.plot(fine, np.log(fine) / 2.6, color=INK, linestyle="--", label="log n / 2.6")
    left.set(xscale="log", xlabel="n", ylabel="n × risk", title="Two states, worst chain")
    left.legend(frameon=False, fontsize=8)
    for k, colour in zip(sorted({key[1] for key in more}), COLOURS, strict=False):
        lengths = np.array(sorted({key[2] for key in more}))
        for name, style in (("sticky", "-"), ("uniform", "--")):
            risks = [more[name, k, m][0] for m in lengths]
            right.errorbar(
                lengths,
                [m * r.risk / k**2 for m, r in zip(lengths, risks, strict=True)],
                [2 * m * r.standard_error / k**2 for m, r in zip(lengths, risks, strict=True)],
                color=colour,
                linestyle=style,
                marker="o",
                markersize=4,
                label=f"k = {k}, {name}",
            )
    fine = np.geomspace(100, lengths[-1], 50)
    right.plot(fine, np.log(fine) / 9, color=INK, linestyle=":", label="log n / 9")
    right.set(xscale="log", xlabel="n", ylabel="n × risk / k²", title="More states, add 1")
    right.set_ylim(top=1.4)
    right.legend(frameon=False, fontsize=8, ncols=2, loc="upper left")
    return figure


TEXT = """# Predicting the next state

n × risk, the Kullback-Leibler loss of the row of the last state, ± one standard error.

## Two states

The worst chain of the grid a, b in {grid} that leaves its states
with probabilities a/n and b/n, stationary start, {size} paths per chain and last state. "known":
an earlier, independent simulation (standard errors .01 to .05). The largest of noisy values is
biased upwards, by up to two standard errors.

{two}

Adding a constant costs a multiple of log n, the adaptive rule one of log log n, the minimax rate
for k = 2 (Falahatgar et al., 2016; Hao, Orlitsky and Pichapati, 2018). It overtakes "add 1/2" only
near n = 1e6.

## More states

"sticky": state 0 is left with probability 1/n for one of the other k - 1, which are uniform among
themselves and return with 1/n. "uniform": independent uniform states. {paths} paths, stationary
start.

{more}

For k >= 3 the minimax rate is (k²/n) log(n/k²) (Han, Jana and Wu, 2021), which supersedes the upper
bound k² log log n / n of 2018. On the sticky chains n × risk grows with n; on uniform ones
(reversible, with a spectral gap) it stays at about k (k - 1) / 2.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both experiments and write `markov_prediction.md` and `.png`."""
    given = options("Risk of predicting the next state.", arguments)
    two_table, two = two_states(given.quick, given.seed)
    more_table, more = more_states(given.quick, given.seed)
    text = TEXT.format(
        grid="{.3, 1, 2, 4, 8, 16, 32, 64}",
        size=TWO_STATES[given.quick][1],
        paths=STICKY[given.quick][2],
        two=two_table,
        more=more_table,
    )
    write(given.out, "markov_prediction", text, picture(two, more))


if __name__ == "__main__":
    main()
