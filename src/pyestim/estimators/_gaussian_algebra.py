"""What can be derived from a Gaussian mixture without rows: marginals, conditionals, samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_array

from pyestim.estimators._base import Array, random_numbers, shown
from pyestim.estimators._gaussian_arrays import GaussianArrays
from pyestim.estimators._gaussian_checks import (
    RULES,
    check_covariances,
    check_means,
    check_weights,
)
from pyestim.estimators._summary import NO_ERRORS, Summary
from pyestim.models import gaussian_forms as forms
from pyestim.models.gaussian_forms import GaussianForm

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture as ScikitLearnMixture

#: Constructor arguments that scikit-learn's class has too.
SHARED_ARGUMENTS = (
    "n_components",
    "covariance_type",
    "tol",
    "reg_covar",
    "max_iter",
    "n_init",
    "weights_init",
    "means_init",
    "precisions_init",
    "random_state",
    "warm_start",
    "verbose",
    "verbose_interval",
)


class GaussianAlgebra(GaussianArrays):
    """A mixture as arrays, and new mixtures made of it."""

    @classmethod
    def from_params(
        cls,
        weights: Any,
        means: Any,
        covariances: Any,
        *,
        covariance_type: str = "full",
        **arguments: Any,
    ) -> Self:
        """Build a mixture from known parameters, ready to predict, score and sample.

        Parameters
        ----------
        weights : array-like of shape (k,)
            Not negative, with the sum 1.
        means : array-like of shape (k, d)
        covariances : array-like
            (k, d, d), (d, d), (k, d) or (k,) for ``"full"``, ``"tied"``, ``"diag"``,
            ``"spherical"``; positive definite.
        covariance_type : {"full", "tied", "diag", "spherical"}
            How to read ``covariances``.
        **arguments
            Further arguments of the constructor, such as ``random_state``.

        Returns
        -------
        mixture : GaussianMixture
            There is no ``report_``, since nothing was fitted.

        Raises
        ------
        ValueError
            Shapes do not fit together, or a covariance is not positive definite.

        Examples
        --------
        >>> from pyestim import GaussianMixture
        >>> coin = GaussianMixture.from_params([0.3, 0.7], [[0.0], [3.0]], [[[1.0]], [[0.5]]])
        >>> print(coin.predict([[-1.0], [2.0]]))
        [0 1]
        """
        owner = cls.__name__
        if not RULES["covariance_type"].holds(covariance_type):
            expected = RULES["covariance_type"].expected
            raise ValueError(
                f"{owner}: covariance_type must be {expected}, got {shown(covariance_type)}."
            )
        means = check_array(means, dtype=np.float64, input_name="means")
        k, d = means.shape
        weights = check_weights(owner, weights, k)
        covariances = check_covariances(owner, covariances, covariance_type, k, d)  # type: ignore[arg-type]
        mixture = cls(k, covariance_type=covariance_type, **arguments)
        form = GaussianForm(weights, check_means(owner, means, k, d), covariances, covariance_type)  # type: ignore[arg-type]
        mixture._set_form(form)
        return mixture

    def _derived(self, form: GaussianForm, columns: NDArray[np.intp]) -> Self:
        arguments = {"covariance_type": form.covariance_type, "random_state": self.random_state}
        mixture = type(self)(len(form.weights), **arguments)
        mixture._set_form(form)
        names = getattr(self, "feature_names_in_", None)
        if names is not None:
            mixture.feature_names_in_ = np.asarray(names)[columns]
        return mixture

    def marginal(self, features: Any) -> Self:
        """Return the mixture of some of the columns.

        Parameters
        ----------
        features : array-like
            Distinct column numbers, a boolean mask, or column names; their order is kept.

        Returns
        -------
        mixture : GaussianMixture

        Examples
        --------
        >>> from pyestim import GaussianMixture
        >>> pair = GaussianMixture.from_params(
        ...     [0.3, 0.7], [[0, 0], [1, 2]], [[[1, 0.5], [0.5, 2]], [[1, 0], [0, 1]]]
        ... )
        >>> print(pair.marginal([1]).means_.ravel())
        [0. 2.]
        """
        form = self._form()
        columns = self._columns(features)
        return self._derived(forms.marginal(form, columns), columns)

    def condition(self, features: Any, values: Any) -> Self:
        """Return the mixture of the other columns, given the values of these.

        Component ``k`` has the mean ``mu_b + S_ba S_aa^-1 (x_a - mu_a)`` and the covariance
        ``S_bb - S_ba S_aa^-1 S_ab``; its weight is proportional to ``w_k N(x_a; mu_a, S_aa)``.

        Parameters
        ----------
        features : array-like
            Distinct column numbers, a boolean mask, or column names: what is known.
        values : array-like of shape (len(features),)
            Their values, in the unit of X.

        Returns
        -------
        mixture : GaussianMixture
            Of the other columns, in their order.

        Examples
        --------
        >>> from pyestim import GaussianMixture
        >>> pair = GaussianMixture.from_params(
        ...     [0.3, 0.7], [[0, 0], [1, 2]], [[[1, 0.5], [0.5, 2]], [[1, 0], [0, 1]]]
        ... )
        >>> given = pair.condition([0], [2.0])
        >>> print(given.weights_.round(6), given.means_.ravel())
        [0.087281 0.912719] [1. 2.]
        """
        form = self._form()
        columns = self._columns(features)
        d = form.means.shape[1]
        if len(columns) == d:
            raise ValueError(
                f"{self._name}: features must leave at least one of the {d} columns, got all."
            )
        values = check_array(
            np.atleast_1d(values), dtype=np.float64, ensure_2d=False, input_name="values"
        )
        if values.shape != (len(columns),):
            raise ValueError(
                f"{self._name}: values must have the shape ({len(columns)},), one for each of the "
                f"features, got {values.shape}."
            )
        rest = np.setdiff1d(np.arange(d), columns)
        return self._derived(forms.condition(form, columns, values), rest)

    def sample(self, n_samples: int = 1) -> tuple[Array, NDArray[np.int64]]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int
            Number of rows, at least one.

        Returns
        -------
        X : ndarray of shape (n_samples, d)
            In the order of the components.
        y : ndarray of shape (n_samples,)
            Component of each row.
        """
        form = self._form()
        n_samples = self._n_draws(n_samples)
        return forms.draw(form, n_samples, random_numbers(self.random_state))

    def to_sklearn(self) -> ScikitLearnMixture:
        """Return scikit-learn's own mixture with the same parameters.

        Returns
        -------
        mixture : sklearn.mixture.GaussianMixture
            Fitted; arguments that scikit-learn does not know are left out.
        """
        from sklearn.mixture import GaussianMixture as ScikitLearnMixture

        form = self._form()
        arguments = {name: getattr(self, name) for name in SHARED_ARGUMENTS}
        init = self.get_params(deep=False)["init_params"]
        mixture = ScikitLearnMixture(
            **arguments, init_params=init if isinstance(init, str) else "kmeans"
        )
        mixture.weights_, mixture.means_, mixture.covariances_, _ = (
            part.copy() if isinstance(part, np.ndarray) else part for part in form
        )
        mixture.precisions_cholesky_ = np.array(self.precisions_cholesky_)
        mixture.precisions_ = forms.precisions(mixture.precisions_cholesky_, form.covariance_type)
        mixture.n_features_in_ = form.means.shape[1]
        mixture.converged_ = getattr(self, "converged_", True)
        for name in ("feature_names_in_", "n_iter_", "lower_bound_", "lower_bounds_"):
            if hasattr(self, name):
                setattr(mixture, name, getattr(self, name))
        return mixture

    def summary(self) -> Summary:
        """Return the estimates of every component as text and HTML.

        Returns
        -------
        summary : Summary
            Weights, means and standard deviations (unit of X) and the account of the fit. Standard
            errors are not part of this version.
        """
        return self._summary("Gaussian mixture", NO_ERRORS)
