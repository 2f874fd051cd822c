"""The data of every benchmark, seeds included, and the start that all libraries share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class Start:
    """Parameters that a fit begins with; `precisions` have scikit-learn's shape of the type."""

    covariance_type: str
    weights: Array
    means: Array
    precisions: Array

    @property
    def covariances(self) -> Array:
        """Covariances in scikit-learn's shape of the type."""
        if self.covariance_type in ("diag", "spherical"):
            return 1 / self.precisions
        return np.linalg.inv(self.precisions)


@dataclass(frozen=True)
class Case:
    """A mixture problem: sizes, how far apart the means lie, and the seed.

    `spread` is the standard deviation of each coordinate of the means; the components have
    standard deviations of about one.
    """

    name: str
    covariance_type: str
    n_rows: int
    n_features: int
    n_components: int
    spread: float
    seed: int
    quick_rows: int = 0  # of a quick look; 0: a tenth

    @property
    def label(self) -> str:
        """Type and sizes, as the tables show them."""
        return (
            f"{self.covariance_type} ({self.n_rows:.0e}, {self.n_features}, {self.n_components})"
        ).replace("e+0", "e")

    def quick(self) -> Case:
        """Return the same problem with fewer rows."""
        return replace(self, n_rows=self.quick_rows or self.n_rows // 10)

    def data(self) -> Array:
        """Rows drawn from the mixture, (n_rows, n_features), C order."""
        rng = np.random.default_rng(self.seed)
        k, d = self.n_components, self.n_features
        means = self.spread * rng.standard_normal((k, d))
        factors = self._factors(rng)
        labels = rng.integers(k, size=self.n_rows)
        X = rng.standard_normal((self.n_rows, d))
        for component in range(k):
            rows = labels == component
            X[rows] = X[rows] @ factors[component].T + means[component]
        return X

    def _factors(self, rng: np.random.Generator) -> Array:
        """Factors A of the components, covariance A A', (n_components, d, d)."""
        k, d = self.n_components, self.n_features
        kind = self.covariance_type
        if kind == "full":
            return np.eye(d) + 0.5 * rng.standard_normal((k, d, d)) / np.sqrt(d)
        if kind == "tied":
            factor = np.eye(d) + 0.5 * rng.standard_normal((d, d)) / np.sqrt(d)
            return np.broadcast_to(factor, (k, d, d))
        sd = rng.uniform(0.7, 1.4, size=(k, d) if kind == "diag" else (k, 1))
        return sd[:, :, None] * np.eye(d)

    def start(self, X: Array) -> Start:
        """Rows of the data as means, the covariance of the data for each component.

        Every component then answers for every row in the first steps, so no library can skip
        work that a wide start needs.
        """
        k, d = self.n_components, self.n_features
        rng = np.random.default_rng(self.seed + 1)
        means = X[rng.choice(len(X), size=k, replace=False)]
        covariance = np.cov(X, rowvar=False).reshape(d, d)
        precisions = {
            "full": np.broadcast_to(np.linalg.inv(covariance), (k, d, d)).copy(),
            "tied": np.linalg.inv(covariance),
            "diag": np.broadcast_to(1 / np.diag(covariance), (k, d)).copy(),
            "spherical": np.full(k, d / np.trace(covariance)),
        }[self.covariance_type]
        return Start(self.covariance_type, np.full(k, 1 / k), means, precisions)

    def operations(self) -> tuple[float, float]:
        """Least additions and multiplications, and exponentials, of one EM step.

        Per row and component: 2 d^2 + 7 d for full (triangular product and moments, d (d + 1)
        each, the rest linear), 8 d for diag, 4 d for tied and spherical, and one exponential.
        """
        d = self.n_features
        each = {"full": 2 * d * d + 7 * d, "diag": 8 * d, "tied": 4 * d, "spherical": 4 * d}
        pairs = float(self.n_rows * self.n_components)
        return pairs * each[self.covariance_type], pairs


def _spread(n_features: int) -> float:
    """Means about three standard deviations apart, in any dimension."""
    return 3 / float(np.sqrt(2 * n_features))


# One EM step each: time per step, all libraries from one start.
STEP_CASES = (
    Case("full-small-d", "full", 1_000_000, 2, 5, _spread(2), 11),
    Case("full-medium-d", "full", 100_000, 16, 16, _spread(16), 12, quick_rows=20_000),
    Case("full-large-d", "full", 100_000, 64, 32, _spread(64), 13, quick_rows=5_000),
    Case("diag", "diag", 200_000, 32, 64, _spread(32), 14),
    Case("tied", "tied", 1_000_000, 8, 8, _spread(8), 15),
    Case("spherical", "spherical", 1_000_000, 16, 16, _spread(16), 16),
)

# Strongly overlapping components: EM crawls, and stops early where it looks at single steps.
# Seeds 0 to 7 were tried: of those whose way is free of long plateaus, these are slowest for EM.
GAP_CASES = (
    Case("overlap-1.2", "full", 100_000, 4, 8, 1.2, 5),
    Case("overlap-0.7", "full", 100_000, 4, 8, 0.7, 1),
)

# The k-means start, a whole small fit, and the memory of a large one.
KMEANS_CASE = Case("kmeans", "spherical", 1_000_000, 8, 16, _spread(8), 31)
SMALL_CASE = Case("small", "full", 300, 2, 3, 2.0, 32)
MEMORY_CASE = Case("memory", "full", 10_000_000, 4, 10, 1.5, 33)


def kmeans_start(case: Case, X: Array) -> Start:
    """One M-step on the labels of scikit-learn's k-means: the usual start of a real fit."""
    from sklearn.cluster import KMeans

    k, d = case.n_components, case.n_features
    labels = KMeans(k, n_init=1, random_state=case.seed).fit_predict(X)
    counts = np.bincount(labels, minlength=k)
    means = np.array([X[labels == component].mean(axis=0) for component in range(k)])
    covariances = np.array(
        [np.cov(X[labels == component], rowvar=False, bias=True) for component in range(k)]
    ).reshape(k, d, d)
    return Start("full", counts / len(X), means, np.linalg.inv(covariances))
