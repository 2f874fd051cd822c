"""One picture of the results: speed per step, and the way to the optimum."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks import steps

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_OURS, _THEIRS, _OTHER, _INK = "#0072B2", "#D55E00", "#999999", "#333333"
_COLOURS = {
    "pyestim": _OURS,
    "pyestim, plain EM": "#56B4E9",
    "scikit-learn": _THEIRS,
    "scipy L-BFGS-B": "#009E73",
}
_FLOOR = 1e-10  # gaps below it are rounding


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw what was measured into a file."""
    problems = results.get("gaps", [])
    peers = {e["library"] for r in results.get("steps", []) for e in r["times"]}
    ratios = "scikit-learn" in peers
    panels = ratios + len(problems)
    if panels == 0:
        return
    with mpl.rc_context({"font.size": 10}):
        figure = Figure(figsize=(5.6 * panels, 4.3), layout="constrained", dpi=110)
        axes = iter(np.atleast_1d(figure.subplots(1, panels)))
        if ratios:
            _draw_ratios(next(axes), results)
        for problem in problems:
            _draw_gaps(next(axes), problem)
        figure.suptitle(
            f"{results['machine']['processor']}, instruction set "
            f"{results['machine']['instruction_set']}",
            fontsize=9,
            color=_INK,
        )
        figure.savefig(path)


def _tidy(ax: Axes) -> None:
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)


def _draw_ratios(ax: Axes, results: dict[str, Any]) -> None:
    records = results["steps"]
    summaries = [steps.summarise(r, results["machine"], "pyestim") for r in records]
    place = np.arange(len(records))[::-1]
    for key, shift, colour, name in (
        ("ratio_one", 0.19, _OURS, "one thread each"),
        ("ratio_best", -0.19, "#56B4E9", "best thread count each"),
    ):
        values = [s[key] for s in summaries]
        ax.barh(place + shift, values, 0.36, color=colour, label=name)
        for y, value in zip(place + shift, values, strict=True):
            ax.text(value * 1.04, y, f"{value:.0f}x", va="center", fontsize=8, color=_INK)
    if all(s["goal"] for s in summaries):
        goals = [s["goal"] for s in summaries]
        ax.vlines(goals, place - 0.4, place + 0.4, color=_THEIRS, lw=1.5, label="goal")
    ax.set_yticks(place, [r["label"] for r in records])
    ax.set_xscale("log")
    ax.set_xlim(0.9, 2.2 * max(s["ratio_one"] for s in summaries))
    ax.axvline(1, color=_OTHER, lw=1)
    ax.set_title("One EM step: scikit-learn's time over ours", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    _tidy(ax)
    ax.grid(visible=False, axis="y")


def _draw_gaps(ax: Axes, problem: dict[str, Any]) -> None:
    for run in problem["runs"]:
        missing = np.maximum(run["missing"], _FLOOR)
        label = f"{run['library']} ({run['threads']} threads)"
        ax.plot(run["at"], missing, color=_COLOURS[run["library"]], lw=1.6, label=label)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("seconds")
    ax.set_ylabel("missing to the best known, nats per row")
    ax.set_title(problem["label"], fontsize=10)
    ax.legend(frameon=False, fontsize=8)
    _tidy(ax)
