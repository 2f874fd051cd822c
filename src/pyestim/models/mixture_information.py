"""Observed information of Gaussian mixtures: central differences of the score.

By Fisher's identity the statistics of one sweep hold the score of the likelihood, whatever rows
left them: exact, censored, or seen inside of boxes. Its derivatives are differences between
candidates, which share the passes over the rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pyestim.engine.stats import Stats, Vector
from pyestim.engine.sweep import LocalSweep
from pyestim.models.knowledge import UNKNOWN, Knowledge, judged
from pyestim.models.mixture import Mixture, MixtureParams
from pyestim.models.packing import unpacked

#: Step of the differences, in standard deviations of a component and their squares.
STEP = 1e-4
#: Candidates of one pass, whose statistics should stay in cache.
BATCH = 32
#: An eigenvalue of the scaled information below this share of a row is rounding.
FLAT = 1e-7
#: Most parameters for which a fit asks how well it knows them: it costs twice as many evaluations.
MOST_PARAMETERS = 40


class Entries:
    """Free parameters in working coordinates: logits, means, entries of the covariances.

    Logits are relative to that of the last component.

    Parameters
    ----------
    model : Mixture
    params : MixtureParams
        Of the fit.
    """

    def __init__(self, model: Mixture, params: MixtureParams) -> None:
        self.model = model
        self.k, self.d = params.means.shape
        self.lower = np.tril_indices(self.d)
        self.matrices = model.component.structure.name in ("full", "tied")
        self.vector = self.join(params)

    def join(self, params: MixtureParams) -> Vector:
        """Return the parameters as one vector: (P,)."""
        logits = params.gate.log_weights[:-1] - params.gate.log_weights[-1]
        values = params.covariances
        if self.matrices:
            values = values[..., self.lower[0], self.lower[1]]
        return np.concatenate([logits, params.means.ravel(), values.ravel()])

    def params(self, vector: Vector) -> MixtureParams:
        """Inverse of `join`."""
        cuts = [self.k - 1, self.k - 1 + self.k * self.d]
        logits, means, values = np.split(vector, cuts)
        weights = np.exp(np.append(logits, 0.0) - max(logits.max(initial=0.0), 0.0))
        shape = self.model.component.windows["second"]
        values = values.reshape(shape)
        if self.matrices:
            values = unpacked(values)
        return self.model.params(weights, means.reshape(self.k, self.d), values)

    def score(self, params: MixtureParams, stats: Stats) -> Vector:
        """Gradient of the log-likelihood: (P,)."""
        counts, first, second = stats["resp_sum"], stats["first"], stats["second"]
        logits = (counts - counts.sum() * params.weights)[:-1]
        values = params.covariances
        if self.matrices:
            inverse = np.linalg.inv(values)
            means = (inverse @ first[..., None])[..., 0]
            number = counts[:, None, None] if inverse.ndim == 3 else counts.sum()
            bent = 0.5 * (inverse @ unpacked(second) @ inverse - number * inverse)
            # An entry off the diagonal stands for two.
            bent = (bent * (2.0 - np.eye(self.d)))[..., self.lower[0], self.lower[1]]
        else:
            spread = values if values.ndim == 2 else values[:, None]
            means = first / spread
            number = counts[:, None] if values.ndim == 2 else counts * self.d
            bent = 0.5 * (second / values - number) / values
        return np.concatenate([logits, means.ravel(), bent.ravel()])

    def units(self, params: MixtureParams) -> Vector:
        """Standard deviations for means, their products for covariances: (P,)."""
        structure = self.model.component.structure
        sd = np.sqrt(np.diagonal(structure.expand(params.covariances), axis1=1, axis2=2))
        values = params.covariances
        if self.matrices:
            own = sd if values.ndim == 3 else sd[:1]
            values = own[:, self.lower[0]] * own[:, self.lower[1]]
        return np.concatenate([np.ones(self.k - 1), sd.ravel(), values.ravel()])


def information(
    model: Mixture, source: Any, params: MixtureParams
) -> tuple[Entries, Vector, Vector]:
    """Entries of the parameters, their units, and the observed information (P, P) in these."""
    here, sweep = Entries(model, params), LocalSweep(model, source)
    unit = here.units(params)
    points = [
        here.params(here.vector + sign * step)
        for step in np.diag(STEP * unit)
        for sign in (1.0, -1.0)
    ]
    scores = np.empty((len(points), len(unit)))
    for begin in range(0, len(points), BATCH):
        batch = points[begin : begin + BATCH]
        for i, (point, stats) in enumerate(zip(batch, sweep(batch), strict=True), begin):
            scores[i] = here.score(point, stats) * unit
    found = (scores[1::2] - scores[::2]) / (2.0 * STEP)
    return here, unit, 0.5 * (found + found.T)


def knowledge(model: Mixture, source: Any, params: MixtureParams, share: float = 1.0) -> Knowledge:
    """How well the rows determine the parameters; ``share`` of them are those of the source."""
    if not params.weights.all() or model.n_parameters > MOST_PARAMETERS:
        return UNKNOWN
    here, unit, found = information(model, source, params)
    means = np.eye(len(unit))[here.k - 1 : here.k - 1 + here.k * here.d]
    return judged(found / share, means, np.ones(len(means)))


def covariance_of_estimates(
    model: Mixture, source: Any, params: MixtureParams
) -> tuple[Entries, Vector]:
    """Entries of the parameters, and the inverse (P, P) of their observed information.

    Parameters
    ----------
    model : Mixture
    source : ArraySource
        Of the class that the model reads.
    params : MixtureParams
        At a maximum. Directions in which the likelihood is flat, or not concave, get NaN.
    """
    here, unit, found = information(model, source, params)
    values, vectors = np.linalg.eigh(found / source.weight_sum)
    flat = values <= FLAT
    inverse = (vectors / np.where(flat, np.inf, values * source.weight_sum)) @ vectors.T
    lost = np.any(np.abs(vectors[:, flat]) > 1e-6, axis=1)
    inverse[lost] = inverse[:, lost] = np.nan
    return here, inverse * np.multiply.outer(unit, unit)


def standard_errors(
    model: Mixture, source: Any, params: MixtureParams
) -> tuple[Vector, Vector, Vector]:
    """Standard errors of what `Mixture.to_user` returns, in its shapes; by the delta method."""
    here, covariance = covariance_of_estimates(model, source, params)
    k, d = here.k, here.d
    variances = np.diagonal(covariance)
    weights = params.weights
    slope = (np.diag(weights) - np.multiply.outer(weights, weights))[:, :-1]
    logits = covariance[: k - 1, : k - 1]
    of_weights = np.sqrt(np.einsum("ij,jl,il->i", slope, logits, slope))
    means = np.sqrt(variances[k - 1 : k - 1 + k * d]).reshape(k, d)
    values = np.sqrt(variances[k - 1 + k * d :]).reshape(model.component.windows["second"])
    if here.matrices:
        values = unpacked(values)
    values = model.component.structure.rescale(values, 1.0 / source.scale)
    return of_weights, means / source.scale, values
