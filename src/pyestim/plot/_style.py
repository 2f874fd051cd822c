"""What all pictures share: axes, colours, and the sentence where matplotlib is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

# Okabe and Ito (2008): distinguishable with every common form of colour blindness.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5D4A9C", "#8C6D46")
INK = "#333333"


def axes_or_new(ax: Axes | None, asked_by: str) -> Axes:
    """Return `ax`, or a new figure's axes; one sentence where matplotlib is missing."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError(
            f"{asked_by}: drawing needs matplotlib, which could not be imported; "
            "install it with `python -m pip install 'pyestim[plot]'`."
        ) from error
    if ax is not None:
        return ax
    _, new = plt.subplots(figsize=(6.4, 4.4), layout="constrained")
    return new


def colours_of(n: int) -> Array:
    """RGB of `n` components, (n, 3); beyond the palette, shades of it."""
    from matplotlib.colors import to_rgb

    base = np.array([to_rgb(colour) for colour in _PALETTE])
    rounds = np.arange(n) // len(base)
    # Every further round of the palette is lighter: still told apart, and no new colour is needed.
    lightness = (0.55 * (1 - 0.5**rounds))[:, None]
    colours: Array = base[np.arange(n) % len(base)] * (1 - lightness) + lightness
    return colours


def tidy(ax: Axes) -> None:
    """Quiet frame and grid, so that the data speak."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color("#999999")
    ax.tick_params(colors=INK)
    ax.grid(visible=True, color="#e6e6e6", linewidth=0.7)
    ax.set_axisbelow(True)


def require_fitted(estimator: Any, attribute: str, asked_by: str) -> None:
    """Refuse an estimator that lacks what a fit would have set."""
    if not hasattr(estimator, attribute):
        raise ValueError(
            f"{asked_by}: expected a fitted estimator with attribute {attribute}, "
            f"got {type(estimator).__name__} without it; call fit(X) first."
        )
