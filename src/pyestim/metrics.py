"""Distances between a fitted and a true model that do not depend on the order of their parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

Vector = NDArray[np.float64]

__all__ = ["voronoi_loss"]

#: Smallest order at which the polynomial system of m merged experts has no nontrivial solution.
#: For four and more it is known to be seven at least, and seven is used.
ORDERS = {1: 1, 2: 4, 3: 6}
LARGEST_ORDER = 7
NAMES = ("gate_intercept", "gate_coef", "expert_coef", "expert_intercept", "expert_scale")
#: Times that the cells may be drawn anew after the gates were aligned.
MAX_ROUNDS = 20


@dataclass(frozen=True)
class Experts:
    """Parameters of softmax-gated linear Gaussian experts, one row each.

    Attributes
    ----------
    mass : ndarray of shape (K,)
        Exponentials of the gates' intercepts, the largest one.
    gate : ndarray of shape (K, q)
        Slopes of the gates.
    slope, level, variance : ndarrays of shape (K, p), (K,), (K,)
        Of the experts.
    """

    mass: Vector
    gate: Vector
    slope: Vector
    level: Vector
    variance: Vector

    @property
    def own(self) -> Vector:
        """What is an expert's own, whatever the reference of the gates: (K, p + 2)."""
        return np.column_stack([self.slope, self.level, self.variance])


def voronoi_loss(fitted: Any, true: Any, kind: str = "exact") -> float:
    r"""Distance of a fitted mixture of experts from the true one, blind to order and reference.

    Every fitted expert belongs to the cell of the nearest true one. With masses
    :math:`e^{b_i}` of the gates, relative to the largest of a model, slopes :math:`u_i` of the
    gates and experts
    :math:`\eta_i = (a_i, c_i, \sigma_i^2)`, for ``kind="exact"``

    .. math::

        \min_{s > 0,\, t} \sum_j \Big| s \sum_{i \in A_j} e^{b_i} - e^{b^*_j} \Big|
        + s \sum_j \sum_{i \in A_j} e^{b_i} \lVert (u_i - u^*_j - t,\; \eta_i - \eta^*_j) \rVert .

    For ``kind="over"`` a cell of :math:`m > 1` fitted experts contributes
    :math:`\lVert (u_i - u^*_j - t, c_i - c^*_j) \rVert^{\bar r}
    + \lVert (a_i - a^*_j, \sigma_i^2 - \sigma_j^{*2}) \rVert^{\bar r / 2}` in the place of the
    norm, with :math:`\bar r(2) = 4`, :math:`\bar r(3) = 6`, and 7 from four experts on, where only
    :math:`\bar r \ge 7` is known. Both are of order :math:`\sqrt{\log n / n}` for maximum
    likelihood; so parameters of an expert that the fit shares among several converge as slowly as
    :math:`n^{-1/(2 \bar r)}`.

    The gates are known up to a common shift :math:`(\log s, t)` only, which is applied to the
    fitted ones: the loss does not depend on the reference of the fit. (In the paper the true gates
    are shifted; the two differ by the factor :math:`s`, which tends to one.)

    Parameters
    ----------
    fitted, true : MixtureOfExpertsRegressor or mapping
        With ``gate_intercept`` (K,), ``gate_coef`` (K, q), ``expert_coef`` (K, p),
        ``expert_intercept`` (K,), ``expert_scale`` (K,) as keys, or as attributes that end
        with an underscore. Scales are standard deviations in the units of y, slopes in those of y
        and z per unit of x.
    kind : {"exact", "over"}
        Whether the number of experts is the true one, or may be larger.

    Returns
    -------
    loss : float
        Zero if and only if the two are the same model.

    Raises
    ------
    ValueError
        For arrays whose shapes do not agree, experts that are not Gaussian with one output, or an
        unknown ``kind``.

    Notes
    -----
    O(K K* (p + q)) for the cells and a convex minimisation over the q shifts.

    References
    ----------
    H. Nguyen, T. Nguyen, N. Ho (2023). Demystifying softmax gating function in Gaussian mixture of
    experts. *Advances in Neural Information Processing Systems* 36.

    Examples
    --------
    >>> from pyestim.metrics import voronoi_loss
    >>> true = dict(gate_intercept=[-8, 0], gate_coef=[[25], [0]], expert_coef=[[-20], [20]],
    ...             expert_intercept=[15, -5], expert_scale=[0.3, 0.4])
    >>> other = {name: value[::-1] for name, value in true.items()}
    >>> voronoi_loss(other, true)
    0.0
    >>> other["expert_intercept"] = [-5.1, 15]
    >>> round(voronoi_loss(other, true), 3)
    0.1
    """
    if kind not in ("exact", "over"):
        raise ValueError(f"voronoi_loss: kind must be 'exact' or 'over', got {kind!r}.")
    mine, theirs = experts_of(fitted, "fitted"), experts_of(true, "true")
    for name in ("gate", "slope"):
        found, wanted = getattr(mine, name).shape[1], getattr(theirs, name).shape[1]
        if found != wanted:
            raise ValueError(
                f"voronoi_loss: fitted and true must have the same columns, got {found} and "
                f"{wanted} of the {'gate' if name == 'gate' else 'experts'}."
            )
    over = kind == "over"
    cells = nearest(mine.own, theirs.own)
    best, shift = loss_of(mine, theirs, cells, over)
    for _ in range(MAX_ROUNDS):
        aligned = np.hstack([mine.gate - shift, mine.own])
        moved = nearest(aligned, np.hstack([theirs.gate, theirs.own]))
        if np.array_equal(moved, cells):
            break
        cells = moved
        reached, shift = loss_of(mine, theirs, cells, over)
        best = min(best, reached)
    return best


def experts_of(source: Any, name: str) -> Experts:
    """Read the parameters of a mapping or an estimator."""
    if isinstance(source, Mapping):
        missing = [key for key in NAMES if key not in source]
        values = [source.get(key) for key in NAMES]
    else:
        missing = [f"{key}_" for key in NAMES if not hasattr(source, f"{key}_")]
        values = [getattr(source, f"{key}_", None) for key in NAMES]
    if missing:
        raise ValueError(
            f"voronoi_loss: {name} must be a fitted MixtureOfExpertsRegressor or a mapping with "
            f"{', '.join(NAMES)}; {', '.join(missing)} is missing."
        )
    intercept, gate, slope, level, scale = (np.asarray(value, dtype=np.float64) for value in values)
    k = intercept.size
    wanted = ((k,), (k, *gate.shape[1:]), (k, *slope.shape[1:]), (k,), (k,))
    for key, value, shape in zip(
        NAMES, (intercept, gate, slope, level, scale), wanted, strict=True
    ):
        if value.shape != shape or value.ndim != (2 if key.endswith("coef") else 1):
            raise ValueError(
                f"voronoi_loss: {key} of {name} must have {k} rows, one of each expert, "
                f"got shape {value.shape}."
            )
        if not np.isfinite(value).all():
            raise ValueError(f"voronoi_loss: {key} of {name} must be finite.")
    return Experts(np.exp(intercept - intercept.max()), gate, slope, level, scale**2)


def nearest(points: Vector, centres: Vector) -> NDArray[np.intp]:
    """Number of the nearest centre of each point, ties to the first."""
    return np.asarray(np.argmin(cdist(points, centres), axis=1))


def loss_of(
    mine: Experts, theirs: Experts, cells: NDArray[np.intp], over: bool
) -> tuple[float, Vector]:
    """Loss for given cells, and the shift of the gates' slopes that it takes."""
    gate = mine.gate - theirs.gate[cells]
    size = np.bincount(cells, minlength=len(theirs.mass))[cells]
    others = np.column_stack(
        [mine.slope - theirs.slope[cells], mine.variance - theirs.variance[cells]]
    )
    merged = (size > 1) & over
    # Squares of what the shift does not touch, and the power of the norm that it is part of.
    beside = (mine.level - theirs.level[cells]) ** 2
    apart = np.where(merged, [ORDERS.get(int(m), LARGEST_ORDER) for m in size], 1.0)
    fixed = np.where(merged, np.linalg.norm(others, axis=1) ** (apart / 2.0), 0.0)
    beside += np.where(merged, 0.0, np.sum(others * others, axis=1))

    def distance(shift: Vector) -> tuple[float, Vector]:
        gap = gate - shift
        square = np.sum(gap * gap, axis=1) + beside
        power = square ** (apart / 2.0)
        slope = np.divide(apart * power, square, out=np.zeros_like(square), where=square > 0)
        return float(mine.mass @ (power + fixed)), -(mine.mass * slope) @ gap

    shift, rest = aligned_shift(distance, gate, mine.mass)
    mass = np.bincount(cells, weights=mine.mass, minlength=len(theirs.mass))
    # In the factor s the loss is convex and piecewise linear: its minimum is at a kink.
    kinks = np.append(theirs.mass[mass > 0] / mass[mass > 0], 0.0)
    values = np.abs(kinks[:, None] * mass - theirs.mass).sum(axis=1) + kinks * rest
    return float(values.min()), shift


def aligned_shift(distance: Any, gate: Vector, mass: Vector) -> tuple[Vector, float]:
    """Shift (q,) that minimises a convex distance, and the minimum."""
    # The minimum is often at the shift of one expert, where the norm may have a kink.
    starts = [*gate, np.average(gate, axis=0, weights=mass)]
    values = [distance(start)[0] for start in starts]
    best = int(np.argmin(values))
    shift, value = starts[best], values[best]
    if not gate.shape[1] or value == 0.0:
        return shift, value
    limits = {"ftol": 1e-15, "gtol": 1e-12 * value}
    found = minimize(distance, shift, jac=True, method="L-BFGS-B", options=limits)
    return (found.x, float(found.fun)) if found.fun < value else (shift, value)
