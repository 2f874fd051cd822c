"""Reference cases of the penalised likelihood (tests/reference/lasso) as problems."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from pyestim.data.design import Design
from pyestim.penalised.families import make_datafit
from pyestim.penalised.penalty import ElasticNet, GroupL1
from pyestim.penalised.problem import Problem

FOLDER = Path(__file__).parent / "reference"


def cases(*names):
    """Pairs (file, case) of the files whose names begin so."""
    for file in sorted((FOLDER / "lasso").glob("*.json")):
        if file.stem.startswith(names):
            content = json.loads(file.read_text())
            yield from ((content, case) for case in content["cases"])


def columns_of(content):
    """Columns of the data by name, as text."""
    with (FOLDER / content["data"]["csv"]).open() as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def response(content, columns):
    """Responses as the families take them."""
    names = content["data"]["response"]
    if "classes" in content["data"]:
        classes = content["data"]["classes"]
        return np.array([classes.index(label) for label in columns[names[0]]])
    numbers = np.array([columns[name] for name in names], dtype=float).T
    return numbers if len(names) > 1 else numbers[:, 0]


def problem_of(content, case):
    """Problem whose penalties are the lambdas of the case, on the scale of X."""
    columns, spec = columns_of(content), case["spec"]
    X = np.array([columns[name] for name in content["data"]["features"]], dtype=float).T
    extra = content["data"]["extra"]
    weight = np.array(columns["weight"], dtype=float) if "weight" in extra else None
    offset = np.array(columns["offset"], dtype=float) if "offset" in extra else None
    first = case["expected"]["path"][0]
    return Problem(
        Design(X, weight, centre=spec["intercept"] or spec["family"] == "cox"),
        make_datafit(spec["family"], response(content, columns), weight),
        np.array(first["l1_weights"]) / first["lambda"],
        np.array(first["l2_weights"]) / first["lambda"],
        fit_intercept=spec["intercept"],
        offset=offset,
        penalty=GroupL1() if spec["grouped"] else ElasticNet(),
    )
