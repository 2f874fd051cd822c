"""`CriterionSearch`: the model of least information criterion among several."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.model_selection import ParameterGrid
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

Array = NDArray[np.float64]
Criterion = str | Callable[[Any, Any, Any], float]


class _Candidate(NamedTuple):
    """One fitted combination of arguments."""

    estimator: Any
    criterion: float
    seconds: float


def _has(name: str) -> Callable[[CriterionSearch], bool]:
    """Whether the estimator, the best one once there is one, has a method of this name."""

    def check(search: CriterionSearch) -> bool:
        getattr(getattr(search, "best_estimator_", search.estimator), name)
        return True

    return check


def _taken(method: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Those of the data given to fit that the criterion reads as well."""
    known = inspect.signature(method).parameters
    if any(known[name].kind is inspect.Parameter.VAR_KEYWORD for name in known):
        return given  # bounds of cells, which say by themselves what they do not know
    return {name: value for name, value in given.items() if name in known}


def _criterion(fitted: Any, criterion: Criterion, X: Any, y: Any, given: dict[str, Any]) -> float:
    if callable(criterion):
        return float(criterion(fitted, X, y))
    method = getattr(fitted, criterion)
    data = (X, y) if "y" in inspect.signature(method).parameters else (X,)
    return float(method(*data, **_taken(method, given)))


def _fit_one(
    estimator: Any,
    arguments: dict[str, Any],
    criterion: Criterion,
    X: Any,
    y: Any,
    given: dict[str, Any],
) -> _Candidate:
    began = perf_counter()
    candidate = clone(estimator).set_params(**arguments)
    data = (X,) if y is None else (X, y)
    try:
        candidate.fit(*data, **given)
        value = _criterion(candidate, criterion, X, y, given)
    except Exception as error:
        error.add_note(f"CriterionSearch: this was the candidate {arguments}.")
        raise
    return _Candidate(candidate, value, perf_counter() - began)


class CriterionSearch(MetaEstimatorMixin, BaseEstimator):
    r"""Fit every combination of arguments and keep the one of least information criterion.

    .. math::

        \mathrm{BIC} = -2 \ell + m \log n, \qquad \mathrm{AIC} = -2 \ell + 2 m, \qquad
        \mathrm{ICL} = \mathrm{BIC} + 2 \mathrm{EN},

    with the log-likelihood :math:`\ell`, m free parameters, and the entropy EN of the
    responsibilities: the number of components or experts, the covariance model, the order of a
    chain, without held-out rows. In the place of scikit-learn's `GridSearchCV` where a
    likelihood is at hand.

    Parameters
    ----------
    estimator : estimator
        Any one that has the criterion as a method.
    param_grid : dict of str to sequence, or list of such
        Arguments to try, as in scikit-learn's `GridSearchCV`.
    criterion : {"bic", "aic", "icl"} or callable, default="bic"
        Name of a method of the estimator, or ``criterion(fitted, X, y)``; smaller is better.
    n_jobs : int, default=None
        Candidates fitted at the same time, as in joblib; the kernels use threads by themselves.

    Attributes
    ----------
    best_estimator_ : estimator
        The candidate of least criterion, fitted.
    best_params_ : dict
        Its arguments.
    best_criterion_ : float
        Its criterion.
    best_index_ : int
        Its place in `results_`.
    results_ : dict of str to array of shape (n_candidates,)
        ``params`` (list of dict), ``criterion``, ``rank`` (1 is best), ``fit_time`` (seconds),
        and where the estimator has them ``n_parameters`` and ``converged``; one ``param_<name>``
        for each argument, masked where a candidate leaves it alone. A data frame takes it as it is.
    n_features_in_, feature_names_in_, classes_ :
        Those of the best estimator, where it has them.

    Raises
    ------
    ValueError
        No such criterion; no candidate with a finite criterion. What a candidate's fit raises is
        raised with a note that names the candidate.

    Notes
    -----
    Costs one fit per candidate; fitted candidates hold parameters, not rows. A fit that has not
    converged warns, and is marked in ``results_["converged"]``.

    References
    ----------
    Schwarz (1978), Estimating the dimension of a model. doi:10.1214/aos/1176344136
    Biernacki, Celeux & Govaert (2000), Assessing a mixture model for clustering with the
    integrated completed likelihood. doi:10.1109/34.865189

    Examples
    --------
    >>> from pyestim import CriterionSearch, GaussianMixture
    >>> from pyestim.datasets import load_faithful
    >>> grid = {"n_components": [1, 2, 3], "covariance_type": ["full", "tied"]}
    >>> search = CriterionSearch(GaussianMixture(tol=1e-6, random_state=0), grid)
    >>> search.fit(load_faithful()).best_params_
    {'covariance_type': 'tied', 'n_components': 3}
    """

    best_estimator_: Any
    results_: dict[str, Any]

    def __init__(
        self,
        estimator: Any,
        param_grid: Any,
        *,
        criterion: Criterion = "bic",
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.param_grid = param_grid
        self.criterion = criterion
        self.n_jobs = n_jobs

    def __sklearn_tags__(self) -> Any:
        """Data are what the estimator takes."""
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        for name in ("estimator_type", "classifier_tags", "regressor_tags", "target_tags"):
            setattr(tags, name, getattr(inner, name))
        tags.input_tags = inner.input_tags
        return tags

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Fit every candidate.

        Parameters
        ----------
        X, y :
            Data as the estimator takes them.
        **fit_params :
            Further data of its fit, such as ``sample_weight``, ``Z`` or ``lengths``; the criterion
            gets those that it reads.

        Returns
        -------
        self : CriterionSearch
        """
        if not callable(self.criterion) and not hasattr(self.estimator, str(self.criterion)):
            raise ValueError(
                f"CriterionSearch: criterion must be the name of a method of "
                f"{type(self.estimator).__name__}, such as 'bic', or a function of (fitted, X, y), "
                f"got {self.criterion!r}."
            )
        grid = list(ParameterGrid(self.param_grid))
        # Threads: the kernels let go of the interpreter, and no rows are copied to processes.
        found = Parallel(n_jobs=self.n_jobs, prefer="threads")(
            delayed(_fit_one)(self.estimator, arguments, self.criterion, X, y, fit_params)
            for arguments in grid
        )
        criterion = np.array([candidate.criterion for candidate in found])
        if not np.isfinite(criterion).any():
            raise ValueError(
                f"CriterionSearch: expected a finite criterion of at least one of {len(grid)} "
                f"candidates, got {criterion[:4]}. Look at one fit alone."
            )
        self.best_index_ = int(np.nanargmin(criterion))
        self.best_estimator_ = found[self.best_index_].estimator
        self.best_params_ = grid[self.best_index_]
        self.best_criterion_ = float(criterion[self.best_index_])
        self.results_ = _table(grid, criterion, found)
        return self

    def __getattr__(self, name: str) -> Any:
        # Only what describes the data; everything else of the best fit is asked of itself.
        if name in ("n_features_in_", "feature_names_in_", "classes_"):
            best = self.__dict__.get("best_estimator_")
            if best is not None:
                return getattr(best, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _best(self) -> Any:
        check_is_fitted(self, "best_estimator_")
        return self.best_estimator_

    @available_if(_has("predict"))
    def predict(self, X: Any, **data: Any) -> Any:
        """Call `predict` of the best estimator."""
        return self._best().predict(X, **data)

    @available_if(_has("predict_proba"))
    def predict_proba(self, X: Any, **data: Any) -> Any:
        """Call `predict_proba` of the best estimator."""
        return self._best().predict_proba(X, **data)

    @available_if(_has("score"))
    def score(self, X: Any, y: Any = None, **data: Any) -> float:
        """Call `score` of the best estimator."""
        best = self._best()
        return float(best.score(X, **data) if y is None else best.score(X, y, **data))

    @available_if(_has("score_samples"))
    def score_samples(self, X: Any, *args: Any, **data: Any) -> Any:
        """Call `score_samples` of the best estimator."""
        return self._best().score_samples(X, *args, **data)


def _table(grid: list[dict[str, Any]], criterion: Array, found: list[_Candidate]) -> dict[str, Any]:
    """Candidates side by side; ties in the rank have the better number."""
    # NaN counts as worst.
    height = np.where(np.isnan(criterion), np.inf, criterion)
    table: dict[str, Any] = {"params": grid, "criterion": criterion}
    table["rank"] = 1 + np.array([int(np.sum(height < value)) for value in height])
    table["fit_time"] = np.array([candidate.seconds for candidate in found])
    for name in ("n_parameters", "converged"):
        if all(hasattr(candidate.estimator, f"{name}_") for candidate in found):
            table[name] = np.array([getattr(each.estimator, f"{name}_") for each in found])
    for name in sorted({name for arguments in grid for name in arguments}):
        column = np.ma.MaskedArray(np.empty(len(grid), dtype=object), mask=True)
        for i, arguments in enumerate(grid):
            if name in arguments:
                column[i] = arguments[name]
        table[f"param_{name}"] = column
    return table
