"""Pictures of fitted estimators, each `from_estimator(...)` and `.plot(ax=None)`.

matplotlib is optional: it is imported when a display is drawn, never before.
"""

from __future__ import annotations

from pyestim.plot._convergence import ConvergenceDisplay
from pyestim.plot._experts import ExpertsDisplay
from pyestim.plot._mixture import MixtureDisplay
from pyestim.plot._path import PathDisplay
from pyestim.plot._selection import SelectionDisplay
from pyestim.plot._transitions import TransitionDisplay
from pyestim.plot._truncation import TruncationDisplay

__all__ = [
    "ConvergenceDisplay",
    "ExpertsDisplay",
    "MixtureDisplay",
    "PathDisplay",
    "SelectionDisplay",
    "TransitionDisplay",
    "TruncationDisplay",
]
