"""The table of a chain: probabilities with standard errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import issparse

from pyestim.estimators._summary import MOST_COLUMNS, Summary
from pyestim.models.chain_inference import standard_errors
from pyestim.models.chain_tables import TransitionTable
from pyestim.models.transition_counts import TransitionCounts

#: Rows of the table that are shown.
MOST_ROWS = 20


def summarise(chain: Any, table: TransitionTable, counts: TransitionCounts | None) -> Summary:
    """Probabilities of the next state after each state or context."""
    states = [str(state) for state in chain._states.tolist()]
    shown = states[:MOST_COLUMNS]
    rows = np.arange(min(table.n_rows, MOST_ROWS))
    values = table.rows(rows)[:, :MOST_COLUMNS]
    errors = _errors(table, rows, counts, chain.reversible)
    sums = None if counts is None else counts.row_sums
    body = tuple(
        (
            _context(table, states, i),
            "" if sums is None else f"{sums[i]:.8g}",
            *(_cell(values[i, j], errors, i, j) for j in range(len(shown))),
        )
        for i in rows.tolist()
    )
    title = f"Markov chain of order {table.order}"
    header = ("from", "transitions", *(f"to {state}" for state in shown))
    report = getattr(chain, "report_", None)
    return Summary(title, _facts(chain, table, counts), header, body, _notes(table, errors), report)


def _context(table: TransitionTable, states: list[str], row: int) -> str:
    if table.contexts is None:
        return states[row]
    return " ".join(states[code] for code in table.contexts[row])


def _errors(table: TransitionTable, rows: Any, counts: Any, reversible: bool) -> Any:
    """Standard errors of what is shown: (rows, columns), or None where there are none."""
    if counts is None or reversible:
        return None
    errors = standard_errors(counts, table)
    if issparse(errors):
        return errors[rows].toarray()[:, :MOST_COLUMNS]
    return errors[rows, :MOST_COLUMNS]


def _cell(value: float, errors: Any, i: int, j: int) -> str:
    if errors is None or not np.isfinite(errors[i, j]):
        return f"{value:.4g}"
    return f"{value:.4f} ({errors[i, j]:.4f})"


def _facts(
    chain: Any, table: TransitionTable, counts: TransitionCounts | None
) -> tuple[tuple[str, str], ...]:
    rule = "reversible maximum likelihood" if chain.reversible else str(chain.smoothing)
    facts = [("states", str(table.n_states)), ("smoothing", rule)]
    if counts is not None:
        facts += [
            ("transitions", f"{counts.total:.12g}"),
            ("sequences", f"{counts.starts.sum():.12g}"),
        ]
    facts.append(("free parameters", str(chain.n_parameters_)))
    if hasattr(chain, "lower_bound_"):
        facts.append(("mean log-likelihood", f"{chain.lower_bound_:.8g} nats per transition"))
    return tuple(facts)


def _notes(table: TransitionTable, errors: Any) -> tuple[str, ...]:
    notes = []
    if table.n_rows > MOST_ROWS or table.n_states > MOST_COLUMNS:
        notes.append(
            f"The first {min(table.n_rows, MOST_ROWS)} of {table.n_rows} rows and "
            f"{min(table.n_states, MOST_COLUMNS)} of {table.n_states} columns; all are in "
            "transition_matrix_."
        )
    if errors is None:
        notes.append("No standard errors: they need counts and independent rows (see conf_int).")
    else:
        notes.append("Standard errors in brackets: sqrt(p (1 - p) / transitions of the row).")
    return tuple(notes)
