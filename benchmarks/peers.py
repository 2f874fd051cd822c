"""The libraries, each behind the same two calls: fit from a start, and which cases it can do."""

from __future__ import annotations

import contextlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from benchmarks.measure import pinned

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import ModuleType

    from numpy.typing import NDArray

    from benchmarks.cases import Case, Start

    Array = NDArray[np.float64]


# Everybody's default. Ours bounds eigenvalues from below where others add it to the diagonal.
REG_COVAR = 1e-6


@dataclass
class Fitted:
    """Parameters in scikit-learn's shapes, and the objective after each step where it is told."""

    weights: Array
    means: Array
    covariances: Array
    trace: list[float] = field(default_factory=list)


class Peer(Protocol):
    """A library that can run a given number of EM steps from a given start."""

    name: str

    def thread_counts(self, cores: int) -> tuple[int, ...]:
        """Thread counts worth measuring; empty where the library cannot be pinned."""

    def can(self, case: Case) -> bool:
        """Whether the library has this covariance type, at this size."""

    def pinned(self, threads: int) -> AbstractContextManager[None]:
        """Limit the library to `threads` threads."""

    def fit(self, X: Array, start: Start, n_steps: int) -> Fitted:
        """Run `n_steps` EM steps from `start`, without stopping earlier."""


class ScikitLearn:
    """sklearn.mixture.GaussianMixture."""

    name = "scikit-learn"

    def __init__(self, *, reg_covar: float = REG_COVAR) -> None:
        self.reg_covar = reg_covar

    def thread_counts(self, cores: int) -> tuple[int, ...]:
        """Its BLAS may use several."""
        return (1, cores) if cores > 1 else (1,)

    def can(self, case: Case) -> bool:
        """Every type of these benchmarks."""
        return True

    def pinned(self, threads: int) -> AbstractContextManager[None]:
        """Limit BLAS and OpenMP."""
        return pinned(threads)

    def fit(self, X: Array, start: Start, n_steps: int, tol: float = 0.0) -> Fitted:
        """Run it; `tol=0` never stops early."""
        from sklearn.mixture import GaussianMixture

        model = GaussianMixture(
            len(start.weights),
            covariance_type=start.covariance_type,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=start.precisions,
            reg_covar=self.reg_covar,
            tol=tol,
            max_iter=n_steps,
        ).fit(X)
        trace = list(getattr(model, "lower_bounds_", []))
        return Fitted(model.weights_, model.means_, model.covariances_, trace)


class Pyestim:
    """pyestim.GaussianMixture of one build."""

    def __init__(
        self,
        module: ModuleType,
        name: str = "pyestim",
        *,
        accelerate: str | None = None,
        reg_covar: float = REG_COVAR,
    ) -> None:
        self.module = module
        self.name = name
        self.accelerate = accelerate
        self.reg_covar = reg_covar

    def thread_counts(self, cores: int) -> tuple[int, ...]:
        """One, and all."""
        return (1, cores) if cores > 1 else (1,)

    def can(self, case: Case) -> bool:
        """Every type of these benchmarks."""
        return True

    def pinned(self, threads: int) -> AbstractContextManager[None]:
        """Limit our pool, and BLAS."""
        return pinned(threads, set_num_threads=self.module.set_num_threads)

    def fit(self, X: Array, start: Start, n_steps: int, tol: float = 0.0) -> Fitted:
        """Run it; `tol=0` never stops early."""
        model = self.module.GaussianMixture(
            len(start.weights),
            covariance_type=start.covariance_type,
            weights_init=start.weights,
            means_init=start.means,
            precisions_init=start.precisions,
            reg_covar=self.reg_covar,
            tol=tol,
            max_iter=n_steps,
            accelerate=self.accelerate,
        ).fit(X)
        trace = [float(value) for value in model.lower_bounds_]
        return Fitted(model.weights_, model.means_, model.covariances_, trace)


class Gmmx:
    """gmmx: EM compiled by JAX, float32 only; its threads cannot be limited inside the process."""

    name = "gmmx (JAX, float32)"
    _limit = 2e9  # bytes of its largest temporary

    def thread_counts(self, cores: int) -> tuple[int, ...]:
        """All cores only."""
        return (cores,)

    def can(self, case: Case) -> bool:
        """Full and diag, where its arrays fit."""
        # It materialises (n, k, d) arrays for diag and (n, k, d, d) for full.
        power = {"full": 2, "diag": 1}.get(case.covariance_type)
        if power is None:
            return False
        return 4.0 * case.n_rows * case.n_components * case.n_features**power < self._limit

    def pinned(self, threads: int) -> AbstractContextManager[None]:
        """Nothing to limit."""
        return contextlib.nullcontext()

    def fit(self, X: Array, start: Start, n_steps: int) -> Fitted:
        """Run it; `tol=0` never stops early."""
        import jax.numpy
        from gmmx import EMFitter, GaussianMixtureModelJax

        single = np.float32
        model = GaussianMixtureModelJax.from_squeezed(
            means=start.means.astype(single),
            covariances=start.covariances.astype(single),
            weights=start.weights.astype(single),
            covariance_type=start.covariance_type,
        )
        rows = jax.numpy.asarray(X, dtype=single)
        fitted = EMFitter(max_iter=n_steps, tol=0.0, reg_covar=REG_COVAR).fit(rows, model).gmm
        return Fitted(
            np.asarray(fitted.weights_numpy, dtype=np.float64),
            np.asarray(fitted.means_numpy, dtype=np.float64),
            np.asarray(fitted.covariances.values_numpy, dtype=np.float64),
        )


class Gmr:
    """gmr: EM in numpy, full covariances only."""

    name = "gmr"

    def thread_counts(self, cores: int) -> tuple[int, ...]:
        """Its BLAS may use several."""
        return (1, cores) if cores > 1 else (1,)

    def can(self, case: Case) -> bool:
        """Full covariances."""
        return case.covariance_type == "full"

    def pinned(self, threads: int) -> AbstractContextManager[None]:
        """Limit BLAS."""
        return pinned(threads)

    def fit(self, X: Array, start: Start, n_steps: int) -> Fitted:
        """Run it; `R_diff=0` never stops early."""
        from gmr import GMM

        model = GMM(
            len(start.weights),
            priors=start.weights.copy(),
            means=start.means.copy(),
            covariances=start.covariances.copy(),
        )
        model.from_samples(X, R_diff=0.0, n_iter=n_steps)
        return Fitted(np.asarray(model.priors), np.asarray(model.means), model.covariances)


def installed_peers() -> list[Peer]:
    """scikit-learn, and every further library that can be imported here."""
    peers: list[Peer] = [ScikitLearn()]
    further: tuple[tuple[str, Any], ...] = (("gmmx", Gmmx), ("gmr", Gmr))
    peers += [peer() for module, peer in further if importlib.util.find_spec(module)]
    return peers
