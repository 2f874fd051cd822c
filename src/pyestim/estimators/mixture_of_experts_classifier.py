"""`MixtureOfExpertsClassifier`: validates, chooses, publishes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, check_consistent_length, column_or_1d

from pyestim.estimators._base import Array, random_numbers, shown
from pyestim.estimators._callbacks import with_callbacks
from pyestim.estimators._experts_inference import ExpertsInference
from pyestim.models.expert_build import ExpertOptions
from pyestim.models.expert_rows import PublishedExperts


class MixtureOfExpertsClassifier(ClassifierMixin, ExpertsInference):
    r"""Mixture of logistic experts, fitted by maximum likelihood.

    .. math::

        P(y = c \mid x, z) = \sum_k \pi_k(z) f_k(c \mid x), \qquad
        \pi_k(z) = \frac{\exp(g_{k0} + g_k^\top z)}{\sum_l \exp(g_{l0} + g_l^\top z)},

    where :math:`f_k` is a logistic regression on x, multinomial for more than two classes.

    Parameters
    ----------
    n_experts : int, default=2
        Number of experts k.
    gate : {"softmax", "constant"}, default="softmax"
        Whether the experts' probabilities depend on covariates, or are the same for all rows. With
        a constant gate, one row for each x and two classes the experts cannot be identified; give
        ``groups``.
    expert_l1, expert_l2 : float, default=0.0 and 1e-8
        Penalties ``l1 sum |b_j| + l2 sum (s_j b_j)^2 / 2`` on the slopes of each expert, per unit
        weight, with s_j the standard deviation of column j. Intercepts are not penalised. The
        small ridge keeps an expert finite that separates its classes without error.
    gate_l1, gate_l2 : float, default=0.0 and 1e-8
        The same for the slopes of the gate.
    standardize : bool, default=False
        ``l1 sum |s_j b_j|`` in the place of ``l1 sum |b_j|``: units do not matter to the Lasso.
    tol, max_iter, n_init, random_state, accelerate, warm_start, device :
        As in `MixtureOfExpertsRegressor`.

    Attributes
    ----------
    classes_ : ndarray of shape (C,)
        Labels, sorted.
    gate_intercept_, gate_coef_ : ndarray of shape (k,) and (k, q)
        Logits relative to the last expert. No columns for a constant gate.
    expert_intercept_ : ndarray of shape (k,), or (k, C) for more than two classes
        Of the second class against the first one; of each class against the last one.
    expert_coef_ : ndarray of shape (k, p), or (k, C, p)
        Experts are sorted by their linear predictor at the mean of X; under ``gate_l1`` the
        last, the reference, stays last.
    weights_, converged_, n_iter_, lower_bound_, n_parameters_, report_, n_gate_features_in_ :
        As in `MixtureOfExpertsRegressor`.
    n_features_in_, feature_names_in_ :
        Number of columns of X; their names if it is a data frame.

    See Also
    --------
    MixtureOfExpertsRegressor : Numbers and counts.

    Notes
    -----
    The costs are those of `MixtureOfExpertsRegressor`; C classes take ``k (C p)^2 / 2``
    multiplications per row in the place of ``k p^2 / 2``.

    Where gate and experts separate the classes without error, their coefficients grow until the
    small ridges stop them: ridges of 1e-3 make such fits short and their probabilities modest.

    The number of experts: fit several and keep the one of least `bic` or `icl`.

    References
    ----------
    Jordan & Jacobs (1994), Hierarchical mixtures of experts and the EM algorithm.
    doi:10.1162/neco.1994.6.2.181

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import MixtureOfExpertsClassifier
    >>> rng = np.random.RandomState(0)
    >>> X = rng.uniform(-1, 1, size=(600, 2))
    >>> same = (X[:, 0] > 0) == (X[:, 1] > 0)
    >>> y = np.where(same != (rng.uniform(size=600) < 0.1), "same", "other")
    >>> model = MixtureOfExpertsClassifier(2, gate_l2=1e-3, random_state=0).fit(X, y)
    >>> print(round(model.score(X, y), 1))
    0.9
    """

    _saved_state = (
        *("classes_", "gate_intercept_", "gate_coef_", "expert_intercept_", "expert_coef_"),
        *("weights_", "converged_", "n_iter_", "lower_bound_", "n_parameters_", "report_"),
        *("n_gate_features_in_", "own_gate_columns_", "n_features_in_", "feature_names_in_"),
    )
    _needed = (*ExpertsInference._needed, "classes_")

    classes_: NDArray[Any]

    def __init__(
        self,
        n_experts: int = 2,
        *,
        gate: str = "softmax",
        expert_l1: float = 0.0,
        gate_l1: float = 0.0,
        expert_l2: float = 1e-8,
        gate_l2: float = 1e-8,
        standardize: bool = False,
        tol: float = 1e-6,
        max_iter: int = 500,
        n_init: int = 5,
        random_state: Any = None,
        accelerate: str | None = "auto",
        warm_start: bool = False,
        device: str | None = None,
    ) -> None:
        self.n_experts = n_experts
        self.gate = gate
        self.expert_l1 = expert_l1
        self.gate_l1 = gate_l1
        self.expert_l2 = expert_l2
        self.gate_l2 = gate_l2
        self.standardize = standardize
        self.tol = tol
        self.max_iter = max_iter
        self.n_init = n_init
        self.random_state = random_state
        self.accelerate = accelerate
        self.warm_start = warm_start
        self.device = device

    @property
    def _kernel_family(self) -> str:
        return "binomial" if len(self.classes_) == 2 else "multinomial"

    def _options(self) -> ExpertOptions:
        return replace(super()._options(), n_classes=len(self.classes_))

    def _response(self, X: Any, y: Any, weight: Array | None, *, reset: bool) -> Array:
        """Codes of the labels; (n, 2) indicators of the second and the first of two classes."""
        if y is None:
            raise ValueError(
                f"{self._name} requires y to be passed, but the target y is None: expected a "
                "label for each row of X."
            )
        labels = column_or_1d(y, warn=True)
        check_array(labels, dtype=None, ensure_2d=False, input_name="y")
        check_consistent_length(X, labels)
        check_classification_targets(labels)
        seen = labels if weight is None else labels[weight > 0.0]
        if reset:
            self.classes_ = np.unique(seen)
            if len(self.classes_) < 2:
                raise ValueError(
                    f"{self._name}: y must hold at least two classes, got one class, "
                    f"{shown(self.classes_[0])}: there is nothing to tell apart."
                )
        elif not np.isin(seen, self.classes_).all():
            unknown = seen[~np.isin(seen, self.classes_)][0]
            raise ValueError(
                f"{self._name}: y must hold the labels of the fit, {shown(list(self.classes_))}, "
                f"got {shown(unknown)}."
            )
        codes = np.searchsorted(self.classes_, labels)
        codes = np.minimum(codes, len(self.classes_) - 1).astype(np.float64)
        return np.column_stack([codes, 1.0 - codes]) if len(self.classes_) == 2 else codes

    @with_callbacks
    def fit(
        self, X: Any, y: Any, Z: Any = None, sample_weight: Any = None, groups: Any = None
    ) -> Self:
        """Estimate gate and experts.

        Parameters
        ----------
        X : array-like of shape (n, p)
            Predictors, float32 or float64 in any order; not copied.
        y : array-like of shape (n,)
            Labels.
        Z : array-like of shape (n, q), optional
            Covariates of the gate; X by default.
        sample_weight : array-like of shape (n,), optional
            Number of times that each row counts: 3 is the row three times, 0 is its absence.
        groups : array-like of shape (n,), optional
            Rows with the same label belong to one expert together; weights and covariates of the
            gate must not vary within a group.

        Returns
        -------
        self : MixtureOfExpertsClassifier

        Raises
        ------
        ValueError
            Bad arguments or data, with a sentence that says which and what to do.

        Warns
        -----
        ConvergenceWarning
            The iteration limit came first; the message says what to change.
        """
        self._fit(X, y, Z, sample_weight, groups)
        return self

    def _publish_parameters(self, found: dict[str, Array]) -> None:
        self.gate_intercept_, self.gate_coef_ = found["gate_intercept"], found["gate_coef"]
        intercept, coef = found["intercept"], found["coef"]
        if len(self.classes_) == 2:
            self.expert_intercept_, self.expert_coef_ = intercept[:, 0], coef[:, 0]
            return
        self.expert_intercept_ = np.pad(intercept, ((0, 0), (0, 1)))
        self.expert_coef_ = np.pad(coef, ((0, 0), (0, 1), (0, 0)))

    def _published(self) -> PublishedExperts:
        intercept, coef = np.asarray(self.expert_intercept_), np.asarray(self.expert_coef_)
        if len(self.classes_) == 2:
            intercept, coef = intercept[:, None], coef[:, None]
        else:  # a common constant of all classes changes nothing
            intercept = intercept[:, :-1] - intercept[:, -1:]
            coef = coef[:, :-1] - coef[:, -1:]
        return PublishedExperts(
            self._kernel_family,
            np.asarray(self.gate_intercept_, dtype=np.float64),
            np.asarray(self.gate_coef_, dtype=np.float64),
            intercept,
            coef,
        )

    def _shaped(self, values: Array) -> Array:
        if len(self.classes_) == 2:
            return np.asarray(values[:, 0])
        return np.pad(values, ((0, 0), (0, 1), *[(0, 0)] * (values.ndim - 2)))

    def _output(self, number: int) -> str:
        return str(self.classes_[number])

    # -- prediction -------------------------------------------------------------------------------

    def predict_proba(self, X: Any, Z: Any = None) -> Array:
        """Return the probability of each class, ``sum_k pi_k(z) f_k(c | x)``.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        proba : ndarray of shape (n, C)
            In the order of ``classes_``; rows sum to one.
        """
        experts, rows, gate_rows = self._asked(X, Z)
        gate = experts.gate(rows, gate_rows)
        proba = np.einsum("nk,nkc->nc", gate, self._by_class(experts.means(rows, gate_rows)))
        return np.asarray(proba / proba.sum(axis=1, keepdims=True))

    def _by_class(self, means: Array) -> Array:
        if len(self.classes_) > 2:
            return means
        return np.concatenate([1.0 - means, means], axis=2)

    def predict_expert(self, X: Any, Z: Any = None) -> Array:
        """Return the probability of each class under each expert.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`; they do not matter here.

        Returns
        -------
        proba : ndarray of shape (n, k, C)
        """
        experts, rows, gate_rows = self._asked(X, Z)
        return self._by_class(experts.means(rows, gate_rows))

    def predict(self, X: Any, Z: Any = None) -> NDArray[Any]:
        """Return the most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        labels : ndarray of shape (n,)
        """
        best = np.argmax(self.predict_proba(X, Z), axis=1)
        return np.asarray(self.classes_[best])

    def _most_probable(self, X: Any, Z: Any) -> NDArray[Any]:
        return self.predict(X, Z)

    def score(self, X: Any, y: Any, sample_weight: Any = None, Z: Any = None) -> float:
        """Return the share of labels that are predicted right.

        Parameters
        ----------
        X : array-like of shape (n, p)
        y : array-like of shape (n,)
        sample_weight : array-like of shape (n,), optional
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        score : float
        """
        return float(accuracy_score(y, self.predict(X, Z), sample_weight=sample_weight))

    def sample(self, X: Any, Z: Any = None) -> tuple[NDArray[Any], NDArray[np.intp]]:
        """Draw a label for every row.

        Parameters
        ----------
        X : array-like of shape (n, p)
        Z : array-like of shape (n, q), optional
            Covariates of the gate, where it had its own in `fit`.

        Returns
        -------
        y : ndarray of shape (n,)
        expert : ndarray of shape (n,)
            The expert that each label was drawn from.
        """
        experts, rows, gate_rows = self._asked(X, Z)
        codes, label = experts.draw(rows, gate_rows, random_numbers(self.random_state))
        return np.asarray(self.classes_[codes.astype(np.intp)]), label
