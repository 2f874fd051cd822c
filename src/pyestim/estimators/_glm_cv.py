"""Held-out deviance of a path: folds, weights, and the rules that choose a penalty."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv
from sklearn.utils.parallel import Parallel, delayed

from pyestim.estimators import _glm_solve as engine
from pyestim.estimators._base import Array
from pyestim.estimators._glm_base import PenalisedGLM, Training, make_datafit
from pyestim.estimators._glm_path import GLMPath

Rows = NDArray[np.intp]


class Curve(NamedTuple):
    """Held-out deviance per unit weight.

    Attributes
    ----------
    by_fold : ndarray of shape (n_folds, n_alphas)
    weight : ndarray of shape (n_folds,)
        Weight of the rows (Cox: of the events) that each fold holds out.
    mean, se : ndarray of shape (n_alphas,)
    """

    by_fold: Array
    weight: Array
    mean: Array
    se: Array


def folds_of(model: Any, data: Training, cv: Any, groups: Any) -> list[tuple[Rows, Rows]]:
    """Return the folds as scikit-learn makes them: stratified by class for classifiers."""
    labels = data.response.y
    try:
        splitter = check_cv(cv, labels, classifier=data.response.classes is not None)
        parts = list(splitter.split(np.zeros((len(labels), 1)), labels, groups))
    except ValueError as error:
        raise ValueError(f"{model._name}: cv={cv!r} does not fit the data: {error}") from error
    rows = np.arange(len(labels))
    return [(rows[train], rows[test]) for train, test in parts]


def held_out(
    model: PenalisedGLM, data: Training, folds: list[tuple[Rows, Rows]], alphas: Array, n_jobs: Any
) -> Curve:
    """Return the held-out deviance of each penalty.

    Every fold is one warm-started path; the rows that it holds out have a weight of zero, which is
    absence and takes no copy of X. The weights of the rows count in the fit and in the deviance.
    The native code releases the interpreter, so that threads suffice.
    """
    results = Parallel(n_jobs=n_jobs, prefer="threads")(
        delayed(_one_fold)(model, data, train, test, alphas, number)
        for number, (train, test) in enumerate(folds)
    )
    by_fold = np.array([deviance for deviance, _ in results])
    weight = np.array([weight for _, weight in results])
    used = weight > 0
    if used.sum() < 2:
        raise ValueError(
            f"{model._name}: expected at least two folds that hold out rows of positive weight "
            f"(Cox: events), got {int(used.sum())}. Use fewer folds or more rows."
        )
    share = weight[used] / weight[used].sum()
    mean = share @ by_fold[used]
    se = np.sqrt(share @ (by_fold[used] - mean) ** 2 / (used.sum() - 1))
    return Curve(by_fold, weight, mean, se)


def _one_fold(
    model: PenalisedGLM, data: Training, train: Rows, test: Rows, alphas: Array, number: int
) -> tuple[Array, float]:
    """Deviance of each penalty on the rows held out, and their weight."""
    try:
        seen = _complete(data.only(train), data)
        path = engine.solve(model, seen, model._problem(seen), alphas)
        if len(path) < len(alphas):
            raise ValueError(path.report.outcome)
    except ValueError as error:
        raise ValueError(f"fold {number} cannot be fitted. {error}") from error
    used = np.unique(path.sparse_coefs.indices % path.n_features)
    apart = data.part(test, used)
    if apart.n_effective <= 0:
        return np.zeros(len(alphas)), 0.0
    if model.family == "cox":
        eta = predictors(path, data.part(np.arange(data.X.shape[0]), used), used)
        return _partial_likelihood_apart(model, data, seen, eta), apart.n_effective
    eta = predictors(path, apart, used)
    datafit = make_datafit(model._name, model.family, model.ties, apart)
    losses = np.array([datafit.value(eta[..., i]) for i in range(len(path))])
    return 2.0 * (losses - datafit.saturated), apart.weight_sum


def _complete(seen: Training, data: Training) -> Training:
    """Training rows of a fold, which must show every class that the data shows."""
    classes = data.response.classes
    if classes is not None:
        present = seen.response.y if seen.weight is None else seen.response.y[seen.weight > 0]
        missing = np.setdiff1d(np.arange(len(classes)), present)
        if len(missing):
            raise ValueError(
                f"Its training rows lack the class {classes[missing[0]]!r}: expected every class "
                f"in every fold. Use fewer folds, or join rare classes."
            )
    return seen


def _partial_likelihood_apart(
    model: PenalisedGLM, data: Training, seen: Training, eta: Array
) -> Array:
    """What the rows held out add to the partial likelihood of all rows, by weight of their events.

    Alone they would have other risk sets. Verweij & van Houwelingen (1993),
    doi:10.1002/sim.4780122407
    """
    total = np.zeros(eta.shape[1])
    for rows, sign in ((data, 1.0), (seen, -1.0)):
        datafit = make_datafit(model._name, model.family, model.ties, rows)
        losses = np.array([datafit.value(column) for column in eta.T])
        total += sign * rows.weight_sum * losses
    return 2.0 * total / (data.n_effective - seen.n_effective)


def predictors(path: GLMPath, data: Training, used: Rows) -> Array:
    """Linear predictors (n, n_alphas) or (n, K, n_alphas) of data with the columns in use only."""
    p, outputs = path.n_features, path.intercepts.shape[:-1]
    X = data.X
    eta = np.empty((X.shape[0], *outputs, len(path)))
    for k in range(len(path.intercepts) if outputs else 1):
        coef = path.sparse_coefs[k * p + used].toarray()
        part = eta[:, k] if outputs else eta
        part[...] = X @ coef + (path.intercepts[k] if outputs else path.intercepts)
    return eta if data.offset is None else eta + data.offset[..., None]


def choose(curve: Curve, noise: float) -> tuple[int, int]:
    """Return the indices of the rules "min" and "1se".

    "min": the lowest mean, and of those that differ by less than ``noise`` the largest penalty.
    "1se": the largest penalty whose mean is within one standard error of it.
    """
    lowest = int(np.argmin(curve.mean))
    least = int(np.argmax(curve.mean <= curve.mean[lowest] + noise))
    within = curve.mean <= curve.mean[least] + curve.se[least]
    return least, min(int(np.argmax(within)), least)
