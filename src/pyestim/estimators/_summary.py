"""Estimates as a table, in text and in HTML."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from pyestim.engine.report import Report
from pyestim.models.gaussian_forms import GaussianForm, variances

#: Columns that fit on a line of text.
MOST_COLUMNS = 6

NO_ERRORS = "Standard errors: not part of this version; the table holds point estimates only."


@dataclass(frozen=True)
class Summary:
    """Table of estimates: prints as text, shows as HTML in a notebook.

    Attributes
    ----------
    title : str
        What was fitted.
    facts : tuple of (str, str)
        Name and value of what describes the whole fit.
    header : tuple of str
        Names of the columns of the table.
    rows : tuple of tuple of str
        One row per component.
    notes : tuple of str
        What the reader should know besides.
    report : Report or GLMReport, optional
        Account of the fit; None for parameters that were given.
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    report: Any = None

    def __str__(self) -> str:
        width = max(len(name) for name, _ in self.facts)
        lines = [self.title, ""]
        lines += [f"{name:<{width}}  {value}" for name, value in self.facts]
        lines.append("")
        table = (self.header, *self.rows)
        widths = [max(len(row[j]) for row in table) for j in range(len(self.header))]
        lines += [
            "  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in table
        ]
        lines += ["", *self.notes]
        if self.report is not None:
            lines += ["", str(self.report)]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        facts = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self.facts
        )
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self.notes)
        report = "" if self.report is None else self.report._repr_html_()
        return (
            f"<h4>{escape(self.title)}</h4><table>{facts}</table>"
            f"<table><tr>{head}</tr>{body}</table>{notes}{report}"
        )


def summarise(
    form: GaussianForm,
    names: Any,
    n_parameters: int,
    report: Report | None,
    *,
    title: str,
    errors: str,
) -> Summary:
    """Weights, means and standard deviations of every component; ``errors`` is the last note."""
    k, d = form.means.shape
    columns = [f"x{j}" for j in range(d)] if names is None else [str(name) for name in names]
    shown = columns[:MOST_COLUMNS]
    sd = np.sqrt(variances(form))
    header = ("component", "weight", *(f"mean {c}" for c in shown), *(f"sd {c}" for c in shown))
    rows = tuple(
        (
            str(i),
            _number(form.weights[i]),
            *(_number(value) for value in form.means[i, :MOST_COLUMNS]),
            *(_number(value) for value in sd[i, :MOST_COLUMNS]),
        )
        for i in range(k)
    )
    notes = [errors]
    if d > MOST_COLUMNS:
        notes.insert(0, f"The first {MOST_COLUMNS} of {d} columns; all are in means_.")
    facts = [
        ("components", str(k)),
        ("columns", str(d)),
        ("covariance type", form.covariance_type),
        ("free parameters", str(n_parameters)),
    ]
    if report is not None:
        facts.append(("mean log-likelihood", f"{report.objective:.8g} nats per row"))
    return Summary(title, tuple(facts), header, rows, tuple(notes), report)


def _number(value: float) -> str:
    return f"{value:.5g}"
