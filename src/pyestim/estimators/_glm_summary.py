"""Table of a penalised fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.estimators._summary import Summary

#: Rows of the table; the largest coefficients come first.
MOST_ROWS = 20

NO_ERRORS = (
    "No standard errors: the penalty biases the coefficients, and the same rows chose the columns. "
    "See debiased (gaussian) and relaxed."
)


def summarise(model: Any) -> Summary:
    """Coefficients that are not zero, largest first."""
    coef = np.atleast_2d(model.coef_)
    names = getattr(model, "feature_names_in_", None)
    k, j = np.nonzero(coef)
    order = np.argsort(-np.abs(coef[k, j]), kind="stable")
    several = model.family == "multinomial"
    rows = [
        (
            *((str(model.classes_[k[i]]),) if several else ()),
            f"x{j[i]}" if names is None else str(names[j[i]]),
            f"{coef[k[i], j[i]]:.5g}",
        )
        for i in order[:MOST_ROWS]
    ]
    intercept = ", ".join(f"{value:.5g}" for value in np.atleast_1d(model.intercept_))
    facts = (
        ("family", model.family),
        ("penalty", f"{float(getattr(model, 'alpha_', getattr(model, 'alpha', 0.0))):.5g}"),
        ("columns", f"{int(coef.any(axis=0).sum())} of {coef.shape[1]} in use"),
        ("intercept", intercept),
        ("deviance explained", f"{model.deviance_ratio_:.4f}"),
    )
    notes = [NO_ERRORS]
    if len(order) > MOST_ROWS:
        notes.insert(0, f"The largest {MOST_ROWS} of {len(order)} coefficients; all are in coef_.")
    header = (*(("class",) if several else ()), "column", "coefficient")
    title = "Penalised generalised linear model"
    return Summary(title, facts, header, tuple(rows), tuple(notes), model.report_)
