"""Every law for every row of the table of cases."""

from __future__ import annotations

import pytest
from cases import CASES

from pyestim.testing import LAWS, check_model

#: Statistics of many rows, which the other laws compare with formulas at every instruction set.
ONCE = {"recovery"}


@pytest.mark.parametrize(
    "law", [pytest.param(law, marks=pytest.mark.once) if law in ONCE else law for law in LAWS]
)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_law(case, law):
    LAWS[law](case)


def test_check_model_names_law_and_case(monkeypatch):
    case = CASES[0]
    model_of = case.build

    class Broken:
        """An update that walks downhill."""

        def __init__(self, model):
            self._model = model

        def __getattr__(self, name):
            return getattr(self._model, name)

        def update(self, params, stats):
            new = self._model.update(params, stats)
            return self._model.params(params.weights, 2 * params.means - new.means, new.covariances)

    def build(X, sample_weight, **options):
        model, source = model_of(X, sample_weight, **options)
        return Broken(model), source

    object.__setattr__(case, "build", build)
    try:
        with pytest.raises(AssertionError, match="full-plain-float64 breaks the law 'ascent'"):
            check_model(case)
    finally:
        object.__setattr__(case, "build", model_of)
