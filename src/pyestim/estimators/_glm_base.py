"""What the penalised models share: tags, checked data, the problem that the engine solves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.utils import ClassifierTags, RegressorTags
from sklearn.utils.validation import validate_data

from pyestim.data.design import Design, check_sparse
from pyestim.estimators import _glm_checks as checks
from pyestim.estimators._base import ROW_TYPES, Array, Estimator, shown
from pyestim.penalised import families
from pyestim.penalised import penalty as penalties
from pyestim.penalised.adaptive import adapted
from pyestim.penalised.datafit import Datafit
from pyestim.penalised.problem import Problem


class Training(NamedTuple):
    """Checked data of a fit.

    Attributes
    ----------
    X : ndarray or sparse matrix of shape (n, p)
    response : Response
    weight : ndarray of shape (n,), or None
    offset : ndarray of shape (n,) or (n, K), or None
    """

    X: Any
    response: checks.Response
    weight: Array | None
    offset: Array | None

    @property
    def weight_sum(self) -> float:
        """Number of rows, repetitions counted."""
        return float(len(self.response.y) if self.weight is None else self.weight.sum())

    @property
    def n_effective(self) -> float:
        """Number of independent pieces of information: rows, or events of survival times."""
        event = self.response.event
        if event is None:
            return self.weight_sum
        return float(event.sum() if self.weight is None else self.weight @ event)

    def only(self, chosen: NDArray[np.intp]) -> Training:
        """Return the same rows of which only some count, as often as they are named: no copy."""
        times = np.bincount(chosen, minlength=self.X.shape[0]).astype(np.float64)
        return self._replace(weight=times if self.weight is None else times * self.weight)

    def part(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Training:
        """Return a copy of some rows and columns."""
        if sparse.issparse(self.X):
            X = self.X.tocsc()[:, columns].tocsr()[rows]
        else:
            X = self.X[np.ix_(rows, columns)]
        parts = (None if a is None else a[rows] for a in (self.weight, self.offset))
        return Training(X, self.response.rows(rows), *parts)


def make_datafit(owner: str, family: str, ties: str, data: Training) -> Datafit:
    """Return the loss of the rows; what it refuses is told in the name of the estimator."""
    y, event, classes = data.response
    options: dict[str, Any] = {}
    if family == "cox":
        assert event is not None
        y, options = np.column_stack([y, event]), {"ties": ties}
    elif family == "multinomial":
        assert classes is not None
        options = {"n_classes": len(classes)}
    try:
        return families.make_datafit(family, y, data.weight, **options)
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from error


class PenalisedGLM(Estimator):
    """Base of the penalised models: arguments in common, data, and the problem of the engine.

    A sub-class has the attributes ``family``, ``l1_ratio``, ``penalty``, ``concavity``,
    ``penalty_weights``, ``fit_intercept``, ``standardize``, ``lower``, ``upper``, ``ties``,
    ``tol``, ``max_iter``.
    """

    _rules = checks.RULES

    family: str
    l1_ratio: float
    penalty: str
    concavity: float | None
    penalty_weights: Any
    fit_intercept: bool
    standardize: bool
    lower: Any
    upper: Any
    ties: str
    tol: float
    max_iter: int

    def __sklearn_tags__(self) -> Any:
        """Classifier for the families of labels, regressor for the others; sparse rows are read."""
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        if self.family in checks.CLASSIFIERS:
            tags.estimator_type = "classifier"
            tags.classifier_tags = ClassifierTags(multi_class=self.family == "multinomial")
        else:
            tags.estimator_type = "regressor"
            tags.regressor_tags = RegressorTags()
            tags.target_tags.positive_only = self.family in ("poisson", "gamma", "cox")
        return tags

    def _check_arguments(self) -> None:
        for name, rule in self._rules.items():
            if hasattr(self, name) and not rule.holds(getattr(self, name)):
                got = shown(getattr(self, name))
                raise ValueError(f"{self._name}: {name} must be {rule.expected}, got {got}.")
        if self.penalty == "group" and self.family != "multinomial":
            raise ValueError(
                f"{self._name}: penalty='group' joins the coefficients of one column over the "
                f"classes of family='multinomial', got family={self.family!r}. Use penalty='l1'."
            )
        if self.penalty == "group" and not (self.lower is None and self.upper is None):
            raise ValueError(
                f"{self._name}: penalty='group' takes no bounds, got lower={shown(self.lower)} "
                f"and upper={shown(self.upper)}. Set both to None, or use penalty='l1'."
            )
        if self.penalty in ("mcp", "scad"):
            checks.check_concavity(self._name, self.penalty, self.concavity)

    @property
    def _has_intercept(self) -> bool:
        """A partial likelihood does not know the intercept."""
        return bool(self.fit_intercept) and self.family != "cox"

    def _rows(self, X: Any, *, reset: bool) -> Any:
        """X as it is where it can be read: dense float32 or float64, or compressed columns."""
        # A data frame has this accessor where all of its columns are sparse.
        if not (sparse.issparse(X) or hasattr(X, "sparse")):
            return self._sample_matrix(X, reset=reset)
        if sparse.issparse(X):
            check_sparse(X, self._name)
        return validate_data(
            self,
            X,
            reset=reset,
            dtype=ROW_TYPES,
            accept_sparse=("csc", "csr"),
            accept_large_sparse=True,
        )

    def _training(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> Training:
        """Check the arguments and the data of a fit."""
        self._check_arguments()
        return self._checked(self._rows(X, reset=True), y, sample_weight, offset)

    def _training_again(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> Training:
        """Check the data of a fit when they are shown for the second time."""
        return self._checked(self._rows(X, reset=False), y, sample_weight, offset)

    def _checked(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> Training:
        n = X.shape[0]
        weight = self._weights(sample_weight, n)
        response = checks.check_response(self._name, self.family, X, y, weight)
        classes = response.classes if self.family == "multinomial" else None
        outputs = 1 if classes is None else len(classes)
        offset = checks.check_offset(self._name, offset, n, outputs)
        return Training(X, response, weight, offset)

    def _formula(self) -> Any:
        """Penalty as the engine knows it."""
        if self.penalty == "group":
            return penalties.GroupL1()
        if self.penalty in ("mcp", "scad"):
            cls = penalties.MCP if self.penalty == "mcp" else penalties.SCAD
            return cls() if self.concavity is None else cls(parameter=float(self.concavity))
        return penalties.L1() if self.l1_ratio == 1 else penalties.ElasticNet()

    def _problem(self, data: Training) -> Problem:
        """Return the problem at a penalty of one, in the units of the columns of the design."""
        datafit = make_datafit(self._name, self.family, self.ties, data)
        p = data.X.shape[1]
        v = checks.check_penalty_weights(self._name, self.penalty_weights, p)
        bounds = checks.check_bounds(self._name, self.lower, self.upper, p)
        # The partial likelihood takes any constant: centred columns keep the exponents small.
        centre = self._has_intercept or self.family == "cox"
        design = Design(data.X, data.weight, centre=centre, scale=bool(self.standardize))
        lower, upper = bounds if bounds is not None else (None, None)
        out = np.isinf(v)
        l1, l2 = (np.where(out, 0.0, v) * share for share in (self.l1_ratio, 1.0 - self.l1_ratio))
        l1[out] = np.inf
        problem = Problem(
            design=design,
            datafit=datafit,
            l1=l1,
            l2=l2,
            lower=None if lower is None else lower * design.scale,
            upper=None if upper is None else upper * design.scale,
            fit_intercept=self._has_intercept,
            offset=data.offset,
            penalty=self._formula(),
        )
        if self.penalty != "adaptive":
            return problem
        try:
            return adapted(problem, data.weight_sum, data.n_effective, int(self.max_iter))
        except ValueError as error:
            raise ValueError(f"{self._name}: {error}") from error
