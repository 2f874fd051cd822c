"""Small public data sets that ship with the package (see README.md beside this file)."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_faithful"]


def load_faithful() -> NDArray[np.float64]:
    """Load the eruptions of the Old Faithful geyser.

    272 eruptions in Yellowstone National Park: how long one lasted, and how long the wait for the
    next one was. Short eruptions are followed by short waits, so the data have two groups.

    Returns
    -------
    X : ndarray of shape (272, 2)
        Column 0 is the duration of the eruption, column 1 the waiting time to the next one; both
        in minutes.

    References
    ----------
    Azzalini, A. and Bowman, A. W. (1990). A look at some data on the Old Faithful geyser.
    Applied Statistics 39, 357-365. doi:10.2307/2347385

    Examples
    --------
    >>> from pyestim.datasets import load_faithful
    >>> X = load_faithful()
    >>> X.shape
    (272, 2)
    >>> print(X[0])
    [ 3.6 79. ]
    """
    file = resources.files(__name__).joinpath("faithful.csv")
    with file.open("r", encoding="utf-8") as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=1, dtype=np.float64)
