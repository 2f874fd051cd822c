"""Anderson mixing: the combination of past points whose plain steps cancel best."""

from __future__ import annotations

import numpy as np

from pyestim.engine.stats import Vector

#: Past steps that are combined.
ORDER = 10
#: Tikhonov term relative to the largest eigenvalue of the Gram matrix of normalised columns.
RIDGE = 1e-10


class History:
    """Points and where a plain step takes them, as flat vectors.

    Parameters
    ----------
    order : int
        Number of differences that are kept.

    Attributes
    ----------
    lengths : list of float
        Lengths of all steps so far.
    """

    def __init__(self, order: int = ORDER) -> None:
        self.order = order
        self.images: list[Vector] = []
        self.steps: list[Vector] = []
        self.lengths: list[float] = []

    def push(self, point: Vector, image: Vector) -> float:
        """Add a point and its image; return the length of the step between them."""
        keep = min(self.order, (len(point) + 1) // 2)
        self.images = [*self.images[-keep:], image]
        self.steps = [*self.steps[-keep:], image - point]
        self.lengths.append(float(np.linalg.norm(self.steps[-1])))
        return self.lengths[-1]

    @property
    def shortest(self) -> float:
        """Length of the shortest step before the last one; infinite while there is none."""
        return min(self.lengths[:-1], default=float("inf"))

    def mix(self) -> Vector:
        """Image of the point whose step, linearly interpolated, is shortest."""
        steps = np.diff(self.steps, axis=0)
        images = np.diff(self.images, axis=0)
        size = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        size[size == 0.0] = 1.0
        steps /= size[:, None]
        gram = steps @ steps.T
        gram[np.diag_indices_from(gram)] += RIDGE * len(gram)
        weight = np.linalg.solve(gram, steps @ self.steps[-1]) / size
        return np.asarray(self.images[-1] - weight @ images)
