"""Tables, pictures and options that the reproductions share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

RESULTS = Path(__file__).parent / "results"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
INK = "#333333"


def options(about: str, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Command line of a reproduction."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--quick", action="store_true", help="few repetitions, some seconds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for tables and pictures")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def markdown(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def with_error(value: float, error: float) -> str:
    """Value and standard error with as many digits as the error allows."""
    digits = 2 if error >= 0.01 else 3
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def panels(n: int, width: float = 5.2) -> tuple[Any, list[Axes]]:
    """Figure with panels side by side, without a window."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n, 3.9), layout="constrained")
    axes = list(figure.subplots(1, n, squeeze=False)[0])
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", color="#dddddd", linewidth=0.6)
    return figure, axes


def write(folder: Path, name: str, text: str, figure: Any) -> None:
    """Write NAME.md and NAME.png and print the text."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    figure.savefig(folder / f"{name}.png", dpi=110)
    print(text)
