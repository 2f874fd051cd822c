"""Numbers, verdicts and tables as text."""

from __future__ import annotations

import math

_SIGNIFICANT = 3


def number(value: float | None, unit: str = "") -> str:
    """Three significant digits, never in exponent form."""
    if value is None or math.isnan(value):
        return "-"
    if value == 0:
        return f"0{unit}"
    digits = max(0, _SIGNIFICANT - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}{unit}"


def milliseconds(value: float) -> str:
    """Seconds as milliseconds."""
    return number(1e3 * value)


def verdict(value: float | None, goal: float | None) -> str:
    """Goal and whether it was met."""
    if goal is None:
        return "no goal at this level"
    if value is None or math.isnan(value):
        return f"goal {goal:g}: not measured"
    return f"goal {goal:g}: " + ("met" if value >= goal else "**missed**")


def table(head: list[str], rows: list[list[str]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
