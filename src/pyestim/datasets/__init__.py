"""Small public data sets that ship with the package (see README.md beside this file)."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_faithful", "load_rain"]


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


def load_rain() -> NDArray[np.str_]:
    """Load three classes of daily rainfall on the island of Alofi.

    1096 days in a row from 1 January 1987 on: no rain, 1 to 5 mm, 6 mm and more. Wet days follow
    wet days, so the class of a day tells something about the next one.

    Returns
    -------
    states : ndarray of str of shape (1096,)
        "0", "1-5" or "6+", in millimetres.

    References
    ----------
    Avery, P. J. and Henderson, D. A. (1999). Fitting Markov chain models to discrete state
    series such as DNA sequences. Applied Statistics 48, 53-61. doi:10.1111/1467-9876.00139

    Examples
    --------
    >>> from pyestim.datasets import load_rain
    >>> states = load_rain()
    >>> print(states[:4])
    ['6+' '1-5' '1-5' '1-5']
    """
    file = resources.files(__name__).joinpath("rain.csv")
    with file.open("r", encoding="utf-8") as lines:
        return np.loadtxt(lines, skiprows=1, dtype=np.str_)
