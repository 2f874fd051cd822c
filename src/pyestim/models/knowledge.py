"""How well rows determine the parameters of a mixture, by its observed information."""

from __future__ import annotations

from math import isinf
from typing import NamedTuple

import numpy as np

from pyestim.engine.stats import Vector

#: Condition of the information beyond which parameters are called not identified: standard errors
#: are then a thousand times those with the other parameters known.
WORST_CONDITION = 1e6
#: Standard error of a mean, in standard deviations of its component, that is no knowledge.
LARGEST_ERROR = 1.0


class Knowledge(NamedTuple):
    """How well rows determine the parameters.

    Attributes
    ----------
    condition : float
        Of the information, each parameter in the unit that makes its own one; infinite where it
        is not positive definite.
    vaguest : float
        Largest standard error of a mean, in standard deviations of its component.
    """

    condition: float
    vaguest: float

    @property
    def evidence(self) -> str:
        """What shows that the parameters are not known; empty where they are."""
        if isinf(self.condition):
            return "their information is not positive definite"
        parts = []
        if self.vaguest > LARGEST_ERROR:
            parts.append(
                f"a mean has a standard error of {self.vaguest:.2g} standard deviations of its "
                "component"
            )
        if self.condition > WORST_CONDITION:
            parts.append(f"the condition of the information is {self.condition:.2g}")
        return ", and ".join(parts)


#: Where the information was not formed.
UNKNOWN = Knowledge(float("nan"), float("nan"))
#: Where there is no positive definite information.
NOTHING = Knowledge(float("inf"), float("inf"))


def judged(information: Vector, means: Vector, sd: Vector) -> Knowledge:
    """Judge an information matrix.

    Parameters
    ----------
    information : ndarray of shape (P, P)
    means : ndarray of shape (m, P)
        How the means depend on the coordinates of the information.
    sd : ndarray of shape (m,)
        Standard deviations of their components.
    """
    own_curvature = np.diagonal(information)
    if not (np.isfinite(information).all() and own_curvature.min() > 0.0):
        return NOTHING
    unit = np.sqrt(own_curvature)
    values, axes = np.linalg.eigh(information / unit / unit[:, None])
    if not values[0] > 0.0:
        return NOTHING
    turned = (means / unit) @ axes
    error = np.sqrt((turned * turned / values).sum(axis=1)) / sd
    return Knowledge(float(values[-1] / values[0]), float(error.max()))
