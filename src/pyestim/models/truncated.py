"""Gaussian mixtures whose rows are seen only inside a known set.

With ``alpha = sum_k w_k Z_k`` the probability of the set, the log-likelihood of n rows is that of
the mixture minus ``n log alpha``.  Responsibilities are those of the mixture, so that the sweep
over the rows is the same.  In the shares of the components *inside* the set,
``p_k = w_k Z_k / alpha``, the complete likelihood falls apart: ``p_k = N_k / n``, and each normal
law is fitted to its rows as a truncated one.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import numpy as np

from pyestim.engine.model import Infeasible
from pyestim.engine.stats import Stats, Vector
from pyestim.models.gates import ConstantGate, ConstantGateParams
from pyestim.models.gaussian import GaussianComponent, GaussianParams
from pyestim.models.mixture import Mixture, MixtureParams
from pyestim.models.packing import unpacked
from pyestim.models.support import Inside, Support

#: No component is to have less of its probability inside the set: below it the objective pays
#: ``WALL / 2 log(LEAST_MASS / Z_k)^2`` for each row. Likelihoods that grow forever as a component
#: leaves the set gain less than one nat per row for each factor e of its probability, so that
#: the wall holds them near this mass.
LEAST_MASS = 1e-3
WALL = 1.0
#: A step that does not pay is shortened so many times by this factor.
MOST_SHORTER, SHORTER = 12, 0.25
#: No first shorter step is below this share of the full one: its inverse is a number.
SHORTEST = 1e-30
#: A fall of the expected log-likelihood per unit weight that is rounding.
ROUNDING = 1e-14


@dataclass(frozen=True, slots=True)
class TruncatedParams(MixtureParams):
    """Parameters of a mixture, and what of it lies inside the set.

    Attributes
    ----------
    inside : Inside or None
        None where the set is everything.
    log_alpha : float
        Logarithm of the probability of the set.
    """

    inside: Inside | None
    log_alpha: float

    @property
    def shares(self) -> Vector:
        """Shares of the components inside the set: (K,)."""
        if self.inside is None:
            return self.weights
        return np.asarray(self.weights * np.exp(self.inside.log_mass - self.log_alpha))


class TruncatedMixture(Mixture):
    """A mixture of Gaussians whose rows are seen only inside a set.

    Parameters
    ----------
    gate : ConstantGate
    component : GaussianComponent
        With the covariance structure full, tied or diag.
    support : Support
        In working coordinates.
    on_degenerate, row_weight
        As for `Mixture`.
    """

    name = "truncated Gaussian mixture"

    def __init__(
        self,
        gate: ConstantGate,
        component: GaussianComponent,
        support: Support,
        *,
        on_degenerate: str = "regularize",
        row_weight: float = 1.0,
    ) -> None:
        super().__init__(gate, component, on_degenerate=on_degenerate, row_weight=row_weight)
        self.support = support

    @property
    def n_coordinates(self) -> int:
        """Length of what `pack` returns: one logit more than there are free weights."""
        return self.n_parameters + 1

    def assemble(self, gate: ConstantGateParams, component: GaussianParams) -> TruncatedParams:
        """Return the parameters of the mixture from those of its factors."""
        log_offset = component.log_norm + gate.log_weights
        if self.support.everything:
            return TruncatedParams(gate, component, log_offset, None, 0.0)
        inside = self._inside(component)
        log_alpha = _log_sum(gate.log_weights + inside.log_mass)
        return TruncatedParams(gate, component, log_offset, inside, log_alpha)

    def dense(self, component: GaussianParams) -> Vector:
        """Covariances of every component: matrices (K, d, d), for diag variances (K, d)."""
        values = component.covariance.values
        structure = self.component.structure
        return np.array(structure.expand(values)) if structure.pooled else values

    def _inside(self, component: GaussianParams) -> Inside:
        inside = self.support.inside(component.means, self.dense(component))
        if not (np.isfinite(inside.log_mass).all() and np.isfinite(inside.second).all()):
            raise Infeasible("a component has no probability inside the set")
        return inside

    def objective(self, params: MixtureParams, stats: Stats) -> float:
        """Log-likelihood given the set, minus the wall."""
        assert isinstance(params, TruncatedParams)
        whole = stats.number("log_likelihood")
        if params.inside is None:
            return whole
        return whole - stats.number("weight_sum") * (params.log_alpha + _wall(params.inside))

    # -- the step -------------------------------------------------------------------------------

    def update(self, params: MixtureParams, stats: Stats) -> TruncatedParams:
        """One step on the truncated components and their shares, which never lowers the objective.

        The moments of the whole component move by what the rows' moments differ from those of the
        component inside the set (Lee and Scott 2012).  Where that lowers the expected complete
        log-likelihood, they move by ``Z_k`` times as much, which is the EM algorithm that completes
        the rows by those outside; where the wall or the variance floor stop that too, by less.
        """
        assert isinstance(params, TruncatedParams)
        if params.inside is None:
            gate = self.gate.update(params.gate, stats)
            new = self.component.update(params.component, stats["resp_sum"], stats)
            return self.assemble(gate, new)
        before = self.expected(params, params, stats)
        slack = ROUNDING * max(abs(before), stats.number("weight_sum"))
        length = np.ones(self.n_components)
        for attempt in range(MOST_SHORTER):
            found = self._moved(params, stats, length)
            if found is not None and self.expected(params, found, stats) >= before - slack:
                return found
            mass = np.maximum(params.inside.log_mass, log(SHORTEST))
            length = np.exp(mass) if attempt == 0 else length * SHORTER
        return self._weighted(params.component, params.inside, stats)

    def _moved(
        self, params: TruncatedParams, stats: Stats, length: Vector
    ) -> TruncatedParams | None:
        """Components after a step of this length (K,) in their moments, or None."""
        try:
            component = self.component.update(
                params.component, *self._targets(params, stats, length)
            )
            return self._weighted(component, self._inside(component), stats)
        except Infeasible:
            return None

    def _targets(
        self, params: TruncatedParams, stats: Stats, length: Vector
    ) -> tuple[Vector, Stats]:
        """Counts and statistics whose exact M-step is the step of this length (K,)."""
        inside = params.inside
        assert inside is not None
        counts = stats["resp_sum"] / length
        seen = stats["resp_sum"]
        pull = seen - wall_force(inside, stats.number("weight_sum"))
        target = Stats(stats.layout, stats.vector.copy())
        target["first"][...] -= pull[:, None] * inside.first
        whole = self.dense(params.component)
        more = times(counts, whole) - times(seen, whole) + times(pull, whole - inside.second)
        target["second"][...] += self._packed(more)
        return counts, target

    def _packed(self, second: Vector) -> Vector:
        """Second moments (K, ...) as the statistics hold them."""
        structure = self.component.structure
        if structure.family == "diag":
            return second
        if structure.pooled:
            second = second.sum(axis=0)
        if second.shape[-1] == 1:
            return second[..., 0]
        rows, columns = np.tril_indices(second.shape[-1])
        return np.asarray(second[..., rows, columns])

    def _weighted(self, component: GaussianParams, inside: Inside, stats: Stats) -> TruncatedParams:
        """Weights in proportion to ``N_k / Z_k``: the exact maximum given the components."""
        resp_sum = stats["resp_sum"]
        with np.errstate(divide="ignore"):
            log_ratio = np.log(resp_sum) - inside.log_mass
        gate = self.gate.params(np.exp(log_ratio - log_ratio.max()))
        log_alpha = _log_sum(gate.log_weights + inside.log_mass)
        log_offset = component.log_norm + gate.log_weights
        return TruncatedParams(gate, component, log_offset, inside, log_alpha)

    def expected(self, params: TruncatedParams, new: TruncatedParams, stats: Stats) -> float:
        """Expected complete log-likelihood of ``new`` given the statistics of ``params``.

        Up to a constant. It bounds the change of the objective from below.
        """
        assert new.inside is not None
        resp_sum = stats["resp_sum"]
        alive = resp_sum > 0.0
        share = new.gate.log_weights[alive] - new.log_alpha
        total = float(resp_sum[alive] @ (share + new.component.log_norm[alive]))
        total -= stats.number("weight_sum") * _wall(new.inside)
        gap = params.means - new.means
        cross = stats["first"][:, :, None] * gap[:, None, :]
        factors = new.component.covariance.factors
        if self.component.family == "diag":
            about = stats["second"] + 2.0 * stats["first"] * gap + resp_sum[:, None] * gap * gap
            return total - 0.5 * float((about * factors * factors).sum())
        about = cross + cross.transpose(0, 2, 1)
        about += resp_sum[:, None, None] * gap[:, :, None] * gap[:, None, :]
        second = unpacked(stats["second"])
        if self.component.structure.pooled:
            about = about.sum(axis=0)
        turned = factors @ (about + second)
        return total - 0.5 * float((turned * factors).sum())

    # -- words ----------------------------------------------------------------------------------

    def diagnose(self, params: MixtureParams, stats: Stats) -> tuple[str, ...]:
        """Sentences that name degenerate components and those that left the set."""
        assert isinstance(params, TruncatedParams)
        lines = super().diagnose(params, stats)
        if params.inside is None:
            return lines
        for k in np.flatnonzero(_below(params.inside) > 0.0):
            mass = np.exp(params.inside.log_mass[k])
            lines += (
                f"component {k} has left the set: {mass:.2g} of its probability is inside, and the "
                f"bound {LEAST_MASS:g} keeps it from moving on. Its parameters are not determined "
                "by the rows; use fewer components, tied covariances or a larger set.",
            )
        return lines


def _below(inside: Inside) -> Vector:
    """How far below the least mass each component is, in logarithms: (K,)."""
    return np.asarray(np.maximum(log(LEAST_MASS) - inside.log_mass, 0.0))


def wall_force(inside: Inside, total: float) -> Vector:
    """Derivative of the wall's part of the objective by the logarithm of each mass: (K,)."""
    return WALL * total * _below(inside)


def _wall(inside: Inside) -> float:
    """What the objective pays for each row."""
    below = _below(inside)
    with np.errstate(over="ignore"):  # infinite, and not to be kept
        return 0.5 * WALL * float(below @ below)


def _log_sum(terms: Vector) -> float:
    top = float(terms.max())
    return top + log(float(np.exp(terms - top).sum()))


def times(weight: Vector, second: Vector) -> Vector:
    """Second moments (K, ...) of every component, each times its weight (K,)."""
    return weight.reshape(-1, *[1] * (second.ndim - 1)) * second
