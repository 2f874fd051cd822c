"""Families by name."""

from __future__ import annotations

from typing import Any

from pyestim.penalised.datafit import Binomial, Datafit, Gamma, Gaussian, Poisson
from pyestim.penalised.datafit_cox import Cox
from pyestim.penalised.datafit_multinomial import Multinomial

FAMILIES: dict[str, Any] = {
    family.name: family for family in (Gaussian, Binomial, Poisson, Gamma, Multinomial, Cox)
}


def make_datafit(family: str, y: Any, weight: Any = None, **options: Any) -> Datafit:
    """Mean loss of a family.

    Parameters
    ----------
    family : {"gaussian", "binomial", "poisson", "gamma", "multinomial", "cox"}
    y : array
        (n,); class numbers (n,) or shares (n, K) for multinomial; times and events (n, 2) for cox.
    weight : array of shape (n,), optional
        Weights of the rows.
    **options : dict
        ``ties`` for cox, ``n_classes`` for multinomial.
    """
    if family not in FAMILIES:
        raise ValueError(f"family: expected one of {sorted(FAMILIES)}, got {family!r}; pick one.")
    datafit: Datafit = FAMILIES[family](y, weight, **options)
    return datafit
