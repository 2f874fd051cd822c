"""`moe_lasso_path`: Lasso fits of mixtures of experts along penalties, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from pyestim.data.experts import ExpertSource
from pyestim.data.source import ArraySource
from pyestim.estimators._base import Array
from pyestim.estimators.mixture_of_experts import MixtureOfExpertsRegressor
from pyestim.models.expert_fit import LargestPenalties
from pyestim.models.expert_path import grid, solve_both_ways, space_of
from pyestim.models.expert_solution import Solution

#: Noise in the gradients of the gate over that of the experts, in standardised columns.
NOISE_RATIO = 0.5
#: Largest penalty of standardised columns where nothing goes with the response at all.
LEAST_PENALTY = 1e-12
#: Starts of the mixture without slopes.
FLAT_STARTS = 2
CRITERIA = ("bic", "ebic", "aic")


@dataclass(frozen=True)
class ExpertsPath:
    """Penalised mixtures of experts along falling penalties, made by `moe_lasso_path`.

    Attributes
    ----------
    expert_l1, gate_l1 : ndarray of shape (m,)
        Penalties, falling together; those of the gate are zero where it is constant.
    gate_intercept : ndarray of shape (m, k)
    gate_coef : ndarray of shape (m, k, q)
        Zero for the last expert, the reference; no columns for a constant gate.
    expert_intercept : ndarray of shape (m, k)
    expert_coef : ndarray of shape (m, k, p)
    expert_scale : ndarray of shape (m, k)
        Standard deviations of gaussian experts, ones for the others.
    log_likelihood : ndarray of shape (m,)
        Nats, summed over rows, all constants included.
    objective : ndarray of shape (m,)
        Mean log-likelihood less penalties.
    n_parameters : ndarray of shape (m,)
        Free parameters: slopes at zero are not counted.
    n_effective : float
        Sum of the weights.
    n_slopes : int
        Slopes that a penalty acts on, zero or not.
    selection : str
        Criterion that `select` uses when it is asked for none.
    models : tuple of MixtureOfExpertsRegressor
        The fits themselves.
    """

    expert_l1: Array
    gate_l1: Array
    gate_intercept: Array
    gate_coef: Array
    expert_intercept: Array
    expert_coef: Array
    expert_scale: Array
    log_likelihood: Array
    objective: Array
    n_parameters: NDArray[np.int64]
    n_effective: float
    n_slopes: int
    selection: str
    models: tuple[MixtureOfExpertsRegressor, ...] = field(repr=False)

    def __len__(self) -> int:
        return len(self.expert_l1)

    @property
    def n_nonzero(self) -> NDArray[np.int64]:
        """Penalised slopes that are not zero: (m,)."""
        experts = np.count_nonzero(self.expert_coef, axis=(1, 2))
        gate = np.count_nonzero(self.gate_coef, axis=(1, 2)) if self.gate_l1.any() else 0
        return np.asarray(experts + gate, dtype=np.int64)

    @property
    def report(self) -> str:
        """OK, or CHECK with what is wrong at which points."""
        wrong = [i for i, model in enumerate(self.models) if not model.report_.trusted]
        chosen = self.select()
        lines = [
            f"Path: {'CHECK' if wrong else 'OK'}",
            f"  {len(self)} penalties, {self.selection} chooses number {chosen} with "
            f"{self.n_nonzero[chosen]} of {self.n_slopes} slopes",
        ]
        for i in wrong:
            said = self.models[i].report_
            for line in said.diagnosis or (said.outcome.value,):
                lines.append(f"  number {i}: {line}")
        if chosen in (0, len(self) - 1) and len(self) > 1:
            lines.append("  the choice lies at the end of the path: other penalties may be better.")
        return "\n".join(lines)

    def criterion(self, name: str | None = None, *, gamma: float = 1.0) -> Array:
        """Return an information criterion of every fit; smaller is better.

        Parameters
        ----------
        name : {"aic", "bic", "ebic"}, optional
            ``-2 l + 2 k``; ``-2 l + k log n``; the latter plus ``2 gamma log binomial(s, c)`` for c
            of s penalised slopes that are not zero. Default: that of the path.
        gamma : float, default=1.0
            Of the extended criterion; 0 is BIC.

        Returns
        -------
        value : ndarray of shape (m,)

        References
        ----------
        Chen & Chen (2008), Extended Bayesian information criteria for model selection with large
        model spaces. doi:10.1093/biomet/asn034
        """
        name = self.selection if name is None else name
        _check_criterion(name)
        k = self.n_parameters.astype(np.float64)
        if name == "aic":
            return np.asarray(-2.0 * self.log_likelihood + 2.0 * k)
        bic = -2.0 * self.log_likelihood + k * np.log(self.n_effective)
        if name == "bic":
            return np.asarray(bic)
        s, c = self.n_slopes, self.n_nonzero.astype(np.float64)
        return np.asarray(
            bic + 2.0 * gamma * (gammaln(s + 1) - gammaln(c + 1) - gammaln(s - c + 1))
        )

    def select(self, name: str | None = None, *, gamma: float = 1.0) -> int:
        """Return the index of the fit that a criterion prefers: the largest penalty among equals.

        Parameters
        ----------
        name : {"aic", "bic", "ebic"}, optional
            Default: that of the path.
        gamma : float, default=1.0
            Of the extended criterion.

        Returns
        -------
        index : int
        """
        return int(np.argmin(self.criterion(name, gamma=gamma)))

    def at(self, index: int) -> MixtureOfExpertsRegressor:
        """Return one fit, ready to predict.

        Parameters
        ----------
        index : int
            Position in ``expert_l1``, for instance from `select`.

        Returns
        -------
        model : MixtureOfExpertsRegressor
        """
        return self.models[index]

    def supports(self, index: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which slopes of the experts (k, p) and of the gate (k, q) are not zero.

        Parameters
        ----------
        index : int
            Position in ``expert_l1``.

        Returns
        -------
        experts, gate : ndarray of bool
        """
        return self.expert_coef[index] != 0.0, self.gate_coef[index] != 0.0


def moe_lasso_path(
    X: Any,
    y: Any,
    n_experts: int = 2,
    *,
    Z: Any = None,
    family: str = "gaussian",
    gate: str = "softmax",
    n_penalties: int = 30,
    eps: float | None = None,
    gate_ratio: float | None = None,
    criterion: str = "bic",
    gate_l2: float = 1e-8,
    standardize: bool = False,
    share_scale: bool = False,
    tol: float = 1e-6,
    max_iter: int = 500,
    n_init: int = 5,
    random_state: Any = None,
    sample_weight: Any = None,
    groups: Any = None,
) -> ExpertsPath:
    """Fit a mixture of experts with a Lasso penalty along a sequence of penalties.

    The objective at each point is that of `MixtureOfExpertsRegressor` with ``expert_l1`` and
    ``gate_l1``, which fall together from the least ones that hold all slopes at zero.

    Parameters
    ----------
    X : array-like of shape (n, p)
        Predictors. Above 2000 penalised columns, products of all columns are never formed.
    y : array-like of shape (n,)
        Numbers, counts or labels as in `MixtureOfExpertsRegressor.fit`; one output.
    n_experts : int, default=2
    Z : array-like of shape (n, q), optional
        Covariates of the gate; X by default.
    family, gate, gate_l2, standardize, share_scale, max_iter :
        As in `MixtureOfExpertsRegressor`.
    n_penalties : int, default=30
    eps : float, optional
        Smallest penalty over the largest; 0.01 where p < n, else 0.05.
    gate_ratio : float, optional
        ``gate_l1 = gate_ratio * expert_l1``, positive. Default: the ratio of their largest values,
        but not less than a half in the units of the columns' standard deviations, the ratio of
        the noise in their gradients: without slopes the experts may be so alike that the gate's
        largest value says nothing.
    criterion : {"bic", "ebic", "aic"}, default="bic"
        What the path's `select` uses.
    tol : float, default=1e-6
        As in `MixtureOfExpertsRegressor`, at every penalty.
    n_init : int, default=5
        Starts of the second path.
    random_state : int, RandomState or None, default=None
    sample_weight : array-like of shape (n,), optional
        Number of times that each row counts.
    groups : array-like of shape (n,), optional
        Rows with the same label belong to one expert together.

    Returns
    -------
    path : ExpertsPath

    See Also
    --------
    MixtureOfExpertsRegressor : One fit.

    Notes
    -----
    The likelihood has several maxima. Each point is reached twice: from the mixture without slopes
    downwards, each fit beginning at the one before, and from many starts, at the smallest penalty
    (with many columns, at a middle one), back to the largest; the better objective is kept. So
    slopes may be left even at the largest penalty.

    The Lasso penalty of the gate depends on which expert is its reference; along one way the
    reference stays, and it is the last one in what is published.

    References
    ----------
    Staedler, Buehlmann & van de Geer (2010), l1-penalization for mixture regression models.
    doi:10.1007/s11749-010-0197-z
    Chamroukhi & Huynh (2019), Regularized maximum likelihood estimation and feature selection in
    mixtures-of-experts models.

    Examples
    --------
    >>> import numpy as np
    >>> from pyestim import moe_lasso_path
    >>> rng = np.random.RandomState(0)
    >>> X = rng.normal(size=(400, 6))
    >>> first = rng.uniform(size=400) < 1 / (1 + np.exp(-2 * X[:, 0]))
    >>> y = np.where(first, 3 * X[:, 1], -3 * X[:, 2]) + 0.5 * rng.normal(size=400)
    >>> path = moe_lasso_path(X, y, random_state=0)
    >>> experts, gate = path.supports(path.select())
    >>> print(experts[:, 1:3].any(axis=0), gate[0, 0])
    [ True  True] True
    """
    shared: dict[str, Any] = {
        "n_experts": n_experts,
        "family": family,
        "gate": gate,
        "gate_l2": gate_l2,
        "standardize": standardize,
        "share_scale": share_scale,
        "tol": tol,
        "max_iter": max_iter,
        "n_init": n_init,
        "random_state": random_state,
    }
    _check_path(n_penalties, eps, gate_ratio, criterion)
    # Any positive penalty: which it is comes from the data.
    first = MixtureOfExpertsRegressor(**shared, expert_l1=1.0, gate_l1=float(gate == "softmax"))
    first._check_arguments()
    data = first._training(X, y, Z, sample_weight, groups, reset=True)
    source = first._source(data)
    first._check_number_of_experts(source)
    space = space_of(source, first._options(), first._effort())
    # The second path makes up for what few starts of the mixture without slopes may miss.
    largest = space.largest(min(int(n_init), FLAT_STARTS))
    least = LEAST_PENALTY * (1.0 if standardize else _typical_sd(source.x))
    if gate_ratio is None and gate == "softmax":
        gate_ratio = _ratio(largest, source, standardize, least)
    top = _top(largest, gate_ratio, least)
    if eps is None:
        eps = 0.01 if source.x.n_features < source.n_effective else 0.05
    penalties = [
        (float(one), float(one * (gate_ratio or 0.0))) for one in grid(top, int(n_penalties), eps)
    ]
    found = solve_both_ways(space, penalties, largest.params, int(n_init))
    return _published(first, shared, source, penalties, found, criterion)


def _top(largest: LargestPenalties, ratio: float | None, least: float) -> float:
    """Penalty of the experts from which on, with the gate's, no slope is left."""
    expert = max(largest.expert_l1, least)
    return expert if ratio is None else max(expert, largest.gate_l1 / ratio)


def _ratio(
    largest: LargestPenalties, source: ExpertSource, standardize: bool, least: float
) -> float:
    """Penalty of the gate over that of the experts."""
    noise = NOISE_RATIO
    if not standardize:
        noise *= _typical_sd(source.z) / _typical_sd(source.x)
    return max(largest.gate_l1 / max(largest.expert_l1, least), noise)


def _typical_sd(columns: ArraySource) -> float:
    """Median standard deviation of the columns that vary, in the units of the data."""
    sd = columns.column_sd / columns.scale
    return float(np.median(sd[sd > 0.0])) if (sd > 0.0).any() else 1.0


def _published(
    first: MixtureOfExpertsRegressor,
    shared: dict[str, Any],
    source: ExpertSource,
    penalties: Sequence[tuple[float, float]],
    found: Sequence[Solution],
    criterion: str,
) -> ExpertsPath:
    # What checking the data said about its columns.
    seen = first.__dict__.keys() - first.get_params().keys()
    models = []
    for (expert_l1, gate_l1), one in zip(penalties, found, strict=True):
        model = MixtureOfExpertsRegressor(**shared, expert_l1=expert_l1, gate_l1=gate_l1)
        model.__dict__.update({name: first.__dict__[name] for name in seen})
        model._publish(one.model, source, one.fit, one)
        models.append(model)
    weight = source.weight_sum
    log_likelihood = [weight * (one.objective + one.model.penalty(one.fit.params)) for one in found]
    k, q = first.n_experts, first.n_gate_features_in_
    arrays = {
        name: np.array([getattr(model, f"{name}_") for model in models])
        for name in ("gate_intercept", "gate_coef", "expert_intercept", "expert_coef")
    }
    return ExpertsPath(
        expert_l1=np.array([a for a, _ in penalties]),
        gate_l1=np.array([b for _, b in penalties]),
        **arrays,
        expert_scale=np.array([model.expert_scale_ for model in models]),
        log_likelihood=np.array(log_likelihood),
        objective=np.array([one.objective for one in found]),
        n_parameters=np.array([model.n_parameters_ for model in models], dtype=np.int64),
        n_effective=weight,
        n_slopes=k * source.x.n_features + (k - 1) * q,
        selection=criterion,
        models=tuple(models),
    )


def _check_criterion(name: str) -> None:
    if name not in CRITERIA:
        raise ValueError(f"ExpertsPath: criterion must be one of {CRITERIA}, got {name!r}.")


def _check_path(
    n_penalties: Any, eps: float | None, gate_ratio: float | None, criterion: str
) -> None:
    _check_criterion(criterion)
    if int(n_penalties) != n_penalties or n_penalties < 1:
        raise ValueError(f"moe_lasso_path: n_penalties must be at least 1, got {n_penalties!r}.")
    if eps is not None and not 0.0 < eps < 1.0:
        raise ValueError(f"moe_lasso_path: eps must lie between 0 and 1, got {eps!r}.")
    if gate_ratio is not None and not 0.0 < gate_ratio < np.inf:
        raise ValueError(f"moe_lasso_path: gate_ratio must be positive, got {gate_ratio!r}.")
