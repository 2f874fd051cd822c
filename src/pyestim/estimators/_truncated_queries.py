"""What a fitted truncated mixture answers: densities, rows, standard errors, a table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyestim.data.source import ArraySource
from pyestim.engine.sweep import LocalSweep
from pyestim.estimators import _truncated_checks as checks
from pyestim.estimators._base import Array, random_numbers
from pyestim.estimators._gaussian_starts import GaussianStarts
from pyestim.estimators._summary import Summary
from pyestim.models import gaussian_forms as forms
from pyestim.models.mixture import MixtureParams
from pyestim.models.row_outputs import RowOutputs
from pyestim.models.support import Support
from pyestim.models.truncated import TruncatedMixture
from pyestim.models.truncated_rows import TruncatedRowOutputs, draw_inside, inside_of, log_mass
from pyestim.models.truncated_score import standard_errors


class TruncatedErrors(NamedTuple):
    """Standard errors in the shapes of the attributes that they belong to.

    Attributes
    ----------
    weights, means, covariances : ndarray
    missing_mass : float
    """

    weights: Array
    means: Array
    covariances: Array
    missing_mass: float


class TruncatedQueries(GaussianStarts):
    """Densities given the set, rows of either kind, standard errors."""

    support_: Array
    information_condition_: float

    def _support(self) -> Support:
        bounds = np.asarray(self.support_, dtype=np.float64)
        d = np.asarray(self.means_).shape[-1]
        if bounds.ndim != 2 or bounds.shape[1] != 2 or (d > 1 and len(bounds) != d):
            raise ValueError(
                f"{self._name}: support_ must be intervals of the shape (m, 2), or the ends of "
                f"each column ({d}, 2), got the shape {bounds.shape}."
            )
        if not (bounds[:, 0] < bounds[:, 1]).all() or (
            d == 1 and not (bounds[1:, 0] > bounds[:-1, 1]).all()
        ):
            raise ValueError(
                f"{self._name}: support_ must have lower ends below upper ones, and intervals in "
                "order and apart."
            )
        return checks.from_published(bounds, d)

    @property
    def inside_mass_(self) -> Array:
        """Probability of the set under each component: (k,)."""
        return np.exp(inside_of(self._form(), self._support()).log_mass)

    @property
    def inside_error_(self) -> float:
        """Largest estimated relative error of `inside_mass_`; zero where it is exact."""
        return inside_of(self._form(), self._support()).error

    @property
    def missing_mass_(self) -> float:
        """Estimated share of the whole that lies outside the set."""
        if self._support().everything:
            return 0.0
        return max(0.0, -float(np.expm1(self._log_alpha())))

    def _log_alpha(self) -> float:
        form = self._form()
        return log_mass(form, inside_of(form, self._support()))

    def _row_outputs(self) -> RowOutputs:
        support = self._support()
        if support.everything:
            return self._whole_outputs()
        return TruncatedRowOutputs(*self._factored(), support, self._log_alpha())

    def _whole_outputs(self) -> RowOutputs:
        """Rows under the whole mixture."""
        return super()._row_outputs()

    def density(self, X: Any, *, conditional: bool = True) -> Array:
        """Return the density of each row.

        Parameters
        ----------
        X : array-like of shape (n, d)
        conditional : bool
            True: given the set, zero outside. False: of the whole mixture, anywhere.

        Returns
        -------
        density : ndarray of shape (n,)
            Per unit of volume of X.
        """
        if conditional:
            return np.exp(self.score_samples(X))
        _, rows, _ = self._asked(X)
        return np.exp(self._whole_outputs().log_prob(rows))

    def sample(self, n_samples: int = 1, *, uncut: bool = False) -> tuple[Array, NDArray[np.int64]]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int
            Number of rows, at least one.
        uncut : bool
            False: rows inside the set. True: rows of the whole mixture.

        Returns
        -------
        X : ndarray of shape (n_samples, d)
            In the order of the components.
        y : ndarray of shape (n_samples,)
            Component of each row.

        Raises
        ------
        ValueError
            A component with full covariance has hardly any probability inside.
        """
        form = self._form()
        n_samples = self._n_draws(n_samples)
        rng, support = random_numbers(self.random_state), self._support()
        if uncut or support.everything:
            return forms.draw(form, n_samples, rng)
        return draw_inside(form, support, n_samples, rng)

    def standard_errors(self, X: Any, sample_weight: Any = None) -> TruncatedErrors:
        """Return standard errors of all parameters, from the observed information.

        The information is the negative second derivative of the log-likelihood, by central
        differences of its analytic gradient; errors of the published parameters by the delta
        method. Valid for large n at a regular maximum. Weights count repeated rows.

        Parameters
        ----------
        X : array-like of shape (n, d)
            The rows of the fit.
        sample_weight : array-like of shape (n,), optional

        Returns
        -------
        errors : TruncatedErrors
            NaN where the information is not positive definite.
        """
        _, rows, weight = self._asked(X, sample_weight)
        support = self._support()
        checks.refuse_outside(self._name, support, rows, weight)
        source = self._source(rows, weight)
        model = self._model(source, support)
        params = self._warm(model, source)

        def flat(point: MixtureParams) -> Array:
            parts = model.to_user(point, source.centre, source.scale)
            log_alpha = getattr(point, "log_alpha", 0.0)
            return np.concatenate([*(part.ravel() for part in parts), [-np.expm1(log_alpha)]])

        found = standard_errors(model, LocalSweep(model, source), params, flat)
        k, size = len(self.weights_), self.means_.size
        covariances = found[k + size : -1].reshape(self.covariances_.shape)
        means = found[k : k + size].reshape(self.means_.shape)
        return TruncatedErrors(found[:k], means, covariances, float(found[-1]))

    def _model(self, source: ArraySource, support: Support) -> TruncatedMixture:
        where = support.moved(source.centre, source.scale)
        return self._assembled(TruncatedMixture, source, where)

    def summary(self) -> Summary:
        """Return the estimates of every component as text and HTML.

        Returns
        -------
        summary : Summary
            Weights, means and standard deviations of the whole mixture (unit of X), the share that
            is not seen, and the account of the fit; `standard_errors` has the errors.
        """
        errors = "Standard errors: standard_errors(X) with the rows of the fit."
        table = self._summary("Truncated Gaussian mixture", errors)
        facts = (*table.facts, ("never seen", f"{self.missing_mass_:.4g} of the whole"))
        return replace(table, facts=facts)
