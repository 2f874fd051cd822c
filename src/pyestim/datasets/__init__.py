"""Small public data sets that ship with the package (see README.md beside this file)."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_faithful", "load_rain", "load_tones"]


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


def load_tones() -> NDArray[np.float64]:
    """Load how a trained musician tuned tones to an octave.

    150 trials: a tone was played whose overtones were stretched by a known ratio (2 is harmonic),
    and a second one was to be tuned to the octave above. In some trials the musician tuned to the
    octave, in others to the stretched overtone: two regressions, mixed.

    Returns
    -------
    trials : ndarray of shape (150, 2)
        Column 0 is the stretching ratio, column 1 the ratio that was tuned.

    References
    ----------
    Cohen, E. A. (1984). Some effects of inharmonic partials on interval perception. Music
    Perception 1, 323-349. doi:10.2307/40285264
    De Veaux, R. D. (1989). Mixtures of linear regressions. Computational Statistics & Data
    Analysis 8, 227-245. doi:10.1016/0167-9473(89)90043-1

    Examples
    --------
    >>> from pyestim.datasets import load_tones
    >>> trials = load_tones()
    >>> print(trials[0])
    [1.35  1.461]
    """
    file = resources.files(__name__).joinpath("tones.csv")
    with file.open("r", encoding="utf-8") as lines:
        return np.loadtxt(lines, delimiter=",", skiprows=1, dtype=np.float64)
