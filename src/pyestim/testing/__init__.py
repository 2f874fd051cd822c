"""The laws that every model obeys.

A case is a model with rows, a start and a few formulas that are independent of the code under
test.  `check_model` runs all laws; `LAWS` has them one by one, for a table of tests.
"""

from __future__ import annotations

from pyestim.testing._case import Case, EqualSequences, IndependentRows, RegressionRows
from pyestim.testing._laws import LAWS, check_model

__all__ = ["LAWS", "Case", "EqualSequences", "IndependentRows", "RegressionRows", "check_model"]
