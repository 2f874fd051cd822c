"""Gaussian mixtures in their public form: the arrays that scikit-learn users know.

``covariances`` and its relatives have one shape per covariance type::

    full (k, d, d)      tied (d, d)      diag (k, d)      spherical (k,)

``precisions_cholesky`` is a matrix ``U`` with ``U U' = Sigma^-1`` (upper triangular when it comes
from here), for diag and spherical the reciprocal standard deviation.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

Array = NDArray[np.float64]
CovarianceType = Literal["full", "tied", "diag", "spherical"]

COVARIANCE_TYPES: tuple[CovarianceType, ...] = ("full", "tied", "diag", "spherical")


class GaussianForm(NamedTuple):
    """A Gaussian mixture as plain arrays."""

    weights: Array  # (k,)
    means: Array  # (k, d)
    covariances: Array  # by covariance type
    covariance_type: CovarianceType


class NotPositiveDefinite(ValueError):
    """Component ``component`` (None: the shared one) has no Cholesky factor."""

    def __init__(self, component: int | None) -> None:
        self.component = component
        whose = "The shared covariance" if component is None else f"Covariance {component}"
        super().__init__(f"{whose} is not positive definite.")


def form_shape(covariance_type: CovarianceType, k: int, d: int) -> tuple[int, ...]:
    """Shape of ``covariances`` for ``k`` components in ``d`` dimensions."""
    shapes: dict[CovarianceType, tuple[int, ...]] = {
        "full": (k, d, d),
        "tied": (d, d),
        "diag": (k, d),
        "spherical": (k,),
    }
    return shapes[covariance_type]


def n_parameters(covariance_type: CovarianceType, k: int, d: int) -> int:
    """Free parameters: k - 1 weights, k d means and the covariances."""
    covariance = {
        "full": k * d * (d + 1) // 2,
        "tied": d * (d + 1) // 2,
        "diag": k * d,
        "spherical": k,
    }
    return k - 1 + k * d + covariance[covariance_type]


def dense_covariances(form: GaussianForm) -> Array:
    """Every component's covariance as a matrix: (k, d, d)."""
    k, d = form.means.shape
    cov = form.covariances
    if form.covariance_type == "full":
        return cov
    if form.covariance_type == "tied":
        return np.broadcast_to(cov, (k, d, d))
    if form.covariance_type == "diag":
        return cov[:, :, None] * np.eye(d)
    return cov[:, None, None] * np.eye(d)


def variances(form: GaussianForm) -> Array:
    """Every component's variances: (k, d)."""
    k, d = form.means.shape
    cov = form.covariances
    if form.covariance_type == "full":
        return np.diagonal(cov, axis1=1, axis2=2)
    if form.covariance_type == "tied":
        return np.broadcast_to(np.diagonal(cov), (k, d))
    if form.covariance_type == "diag":
        return cov
    return np.broadcast_to(cov[:, None], (k, d))


def _upper_of_inverse(cov: Array, component: int | None) -> Array:
    """Upper triangular ``U`` with ``U U' = cov^-1``, from ``cov = L L'`` as ``L^-T``."""
    # A power of two per row keeps squares of 1e-200 or 1e200 in range, and loses nothing.
    sd = np.sqrt(np.maximum(np.diagonal(cov), 0.0))
    if not (np.all(np.isfinite(sd)) and np.all(sd > 0)):
        raise NotPositiveDefinite(component)
    scale = np.exp2(-np.round(np.log2(sd)))
    try:
        chol = np.linalg.cholesky(cov * scale[:, None] * scale)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite(component) from None
    inverse = linalg.solve_triangular(chol, np.diag(scale), lower=True, check_finite=False)
    return np.ascontiguousarray(inverse.T)


def precisions_cholesky(covariances: Array, covariance_type: CovarianceType) -> Array:
    """Factor of the inverse covariances; raises `NotPositiveDefinite` where there is none."""
    if covariance_type == "full":
        return np.stack([_upper_of_inverse(cov, k) for k, cov in enumerate(covariances)])
    if covariance_type == "tied":
        return _upper_of_inverse(covariances, None)
    bad = ~(np.isfinite(covariances) & (covariances > 0))
    if np.any(bad):
        raise NotPositiveDefinite(int(np.argwhere(bad)[0, 0]))
    return 1.0 / np.sqrt(covariances)


def precisions(factor: Array, covariance_type: CovarianceType) -> Array:
    """Inverse covariances from their factor."""
    if covariance_type in ("full", "tied"):
        return factor @ np.swapaxes(factor, -1, -2)
    return factor**2


def covariances_from_precisions(prec: Array, covariance_type: CovarianceType) -> Array:
    """Covariances from precisions: the same map both ways."""
    factor = precisions_cholesky(prec, covariance_type)
    return precisions(factor, covariance_type)


def whitening_factors(factor: Array, covariance_type: CovarianceType) -> tuple[Array, Array]:
    """Lower triangular ``F`` with ``F' F`` the precision, and ``log|det F|`` per component.

    A factor that was set by hand need not be triangular: any ``U`` with ``U U'`` the precision
    is as good, and ``F`` is the lower factor of its QL decomposition.
    """
    if covariance_type in ("diag", "spherical"):
        whitening = np.abs(factor)
        with np.errstate(divide="ignore"):
            return whitening, np.log(whitening)
    stack = np.swapaxes(factor, -1, -2)
    if np.any(np.triu(stack, 1)):
        # QL of A: reverse the columns, QR, reverse rows and columns of R.
        upper: Array = np.linalg.qr(stack[..., ::-1], mode="r")  # type: ignore[assignment]
        stack = upper[..., ::-1, ::-1]
    with np.errstate(divide="ignore"):
        log_det = np.log(np.abs(np.diagonal(stack, axis1=-2, axis2=-1))).sum(axis=-1)
    return np.ascontiguousarray(stack), log_det


def marginal(form: GaussianForm, features: NDArray[np.intp]) -> GaussianForm:
    """The mixture of the chosen columns."""
    cov = form.covariances
    if form.covariance_type in ("full", "tied"):
        cov = cov[..., features[:, None], features]
    elif form.covariance_type == "diag":
        cov = cov[:, features]
    return form._replace(means=form.means[:, features], covariances=cov)


def condition(form: GaussianForm, features: NDArray[np.intp], values: Array) -> GaussianForm:
    """The mixture of the other columns, given ``values`` of these.

    ``mu_b + S_ba S_aa^-1 (x_a - mu_a)`` and ``S_bb - S_ba S_aa^-1 S_ab``; weights
    ``w_k N(x_a; mu_a, S_aa)``, normalised in logarithms.
    """
    given = marginal(form, features)
    rest = np.setdiff1d(np.arange(form.means.shape[1]), features)
    wanted = marginal(form, rest)
    factor = precisions_cholesky(given.covariances, form.covariance_type)
    whitening, log_det = whitening_factors(factor, form.covariance_type)
    gap = values - given.means  # (k, a)
    means, cov = wanted.means, wanted.covariances
    if form.covariance_type in ("full", "tied"):
        whitened = np.squeeze(whitening @ gap[:, :, None], axis=2)
        cross = form.covariances[..., features[:, None], rest]  # (k, a, b) or (a, b)
        whitened_cross = whitening @ cross
        means = means + np.squeeze(whitened[:, None, :] @ whitened_cross, axis=1)
        cov = cov - np.swapaxes(whitened_cross, -1, -2) @ whitened_cross
    else:
        scale = whitening if form.covariance_type == "diag" else whitening[:, None]
        whitened = gap * scale
        log_det = log_det.sum(axis=1) if log_det.ndim == 2 else log_det * len(features)
    with np.errstate(divide="ignore", over="ignore"):
        log_weights = np.log(form.weights) + log_det - (whitened**2).sum(axis=1) / 2
    if not np.isfinite(log_weights.max()):  # squares overflow: the nearest component has it all
        distance = np.linalg.norm(whitened / np.abs(whitened).max(), axis=1)
        distance[form.weights == 0.0] = np.inf
        log_weights = np.where(distance == distance.min(), 0.0, -np.inf)
    weights = np.exp(log_weights - log_weights.max())
    return form._replace(weights=weights / weights.sum(), means=means, covariances=cov)


def moments(form: GaussianForm) -> tuple[Array, Array]:
    """Mean (d,) and covariance (d, d) of the whole mixture."""
    mean = form.weights @ form.means
    gap = form.means - mean
    within = np.einsum("k,kij->ij", form.weights, dense_covariances(form))
    return mean, within + np.einsum("k,ki,kj->ij", form.weights, gap, gap)


def _root(cov: Array) -> Array:
    """Any ``A`` with ``A A' = cov``, for a covariance that may be singular."""
    try:
        return np.asarray(np.linalg.cholesky(cov))
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cov)
        return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))


def draw(form: GaussianForm, n: int, rng: Any) -> tuple[Array, NDArray[np.int64]]:
    """``n`` rows and their components, in the order of the components."""
    counts = rng.multinomial(n, form.weights / form.weights.sum())
    labels = np.repeat(np.arange(len(counts)), counts)
    rows = rng.standard_normal((n, form.means.shape[1]))
    if form.covariance_type in ("full", "tied"):
        bounds = np.concatenate([[0], np.cumsum(counts)])
        shared = _root(form.covariances) if form.covariance_type == "tied" else None
        for k in np.flatnonzero(counts):
            root = _root(form.covariances[k]) if shared is None else shared
            rows[bounds[k] : bounds[k + 1]] @= root.T
    else:
        rows *= np.sqrt(variances(form))[labels]
    rows += form.means[labels]
    return rows, labels
