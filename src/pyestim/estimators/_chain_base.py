"""What every answer of a chain needs: its parameters, and sequences read by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import validate_data

from pyestim.estimators._base import Array, Estimator, Rule, integer, number, one_of, shown
from pyestim.estimators._labels import Labels, are_distinct, is_range, placed
from pyestim.estimators._sequences import one_column, row_weights, sequence_offsets
from pyestim.models.chain_prefix import Prefixes
from pyestim.models.chain_smoothing import RULES as SMOOTHING
from pyestim.models.chain_tables import ROW_TOLERANCE, TransitionTable, canonical, fault_of_rows
from pyestim.models.transition_counts import TransitionCounts
from pyestim.models.transition_room import MOST_STATES

_PSEUDO_COUNT = number(0.0)


def _up_to_limit(value: Any) -> bool:
    return integer(1).holds(value) and bool(value <= MOST_STATES)


RULES: dict[str, Rule] = {
    "order": Rule(_up_to_limit, f"{integer(1).expected} and at most 2^30"),
    "smoothing": Rule(
        lambda v: (isinstance(v, str) and v in SMOOTHING) or _PSEUDO_COUNT.holds(v),
        f"a number of at least 0 or one of {', '.join(repr(name) for name in SMOOTHING)}",
    ),
    "n_states": Rule(
        lambda v: v is None or _up_to_limit(v), "None or an integer of at least 1 and at most 2^30"
    ),
    "reversible": one_of(True, False),
    "sparse": one_of("auto", True, False),
}


@dataclass(frozen=True)
class Read:
    """Sequences as codes: rows, where sequences begin, weights."""

    codes: NDArray[Any]
    offsets: NDArray[np.int64]
    weight: Array | None


class ChainBase(Estimator):
    """Parameters of a chain, from a fit or set by hand, and how it reads sequences."""

    order: int
    smoothing: Any
    n_states: int | None
    reversible: bool
    stationary_distribution: Any
    sparse: Any
    random_state: Any
    transition_matrix_: Any
    counts_: Any
    start_counts_: NDArray[Any]

    _rules = RULES
    _needed = ("transition_matrix_",)
    _saved_state = (
        *("transition_matrix_", "unseen_proba_", "contexts_", "start_proba_", "states_"),
        *("counts_", "start_counts_", "converged_", "n_iter_", "lower_bound_", "report_"),
        *("n_features_in_", "feature_names_in_"),
    )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        return tags

    # -- sequences ------------------------------------------------------------------------------

    def _column(self, X: Any, reset: bool) -> NDArray[Any]:
        """The rows of X as a vector; the name of its column is kept, or compared."""
        if hasattr(X, "columns") and len(X.columns) == 1:
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset:
            self.__dict__.pop("feature_names_in_", None)
        rows = one_column(X, self._name)
        if reset:
            self.n_features_in_ = 1
        return rows

    def _sequences(self, X: Any, lengths: Any, sample_weight: Any = None) -> Read:
        """X by the states of the chain."""
        self._require_fit()
        rows = self._column(X, reset=False)
        offsets, weight = self._split(len(rows), lengths, sample_weight)
        # A fit leaves out states that occur in rows of weight zero only.
        ignored = None if weight is None else weight == 0.0
        return Read(placed(rows, self._states, self._name, ignored), offsets, weight)

    def _read(self, codes: NDArray[Any], lengths: Any, sample_weight: Any) -> Read:
        return Read(codes, *self._split(len(codes), lengths, sample_weight))

    def _split(
        self, n: int, lengths: Any, sample_weight: Any
    ) -> tuple[NDArray[np.int64], Array | None]:
        """Where sequences begin, and the weights of the rows."""
        offsets = sequence_offsets(lengths, n, self._name)
        if sample_weight is not None:
            sample_weight = self._numbers(sample_weight, "sample_weight")
            sample_weight = sample_weight if sample_weight.ndim else float(sample_weight)
        weight = self._weights(row_weights(sample_weight, n, offsets), n)
        if offsets is None:
            offsets = np.array([0, n], dtype=np.int64)
        return offsets, weight

    def _refuse_lengths_as_y(self, X: Any, y: Any) -> None:
        """The second argument is y, as everywhere in scikit-learn, where hmmlearn has lengths."""
        countable = hasattr(X, "__len__") and not issparse(X) and getattr(X, "ndim", 1) > 0
        if np.ndim(y) == 1 and countable and len(y) != len(X):
            raise ValueError(
                f"{self._name}: y is ignored and expected to be None or to have the {len(X)} rows "
                f"of X, got {len(y)} values. Pass the lengths of sequences by name: lengths=..."
            )

    def _state_codes(self, labels: Any, what: str) -> NDArray[np.int64]:
        """Codes of labels that an argument names, at least one."""
        self._require_fit()
        given = labels if np.ndim(labels) == 1 else [labels]
        states = self._states
        try:
            codes = placed(one_column(given, what), states, what)
            known = bool(codes.min() >= 0)
        except (ValueError, TypeError):
            known = False
        if not known:
            first = ", ".join(str(label) for label in states[:6].tolist())
            more = "" if len(states) <= 6 else f", ... ({len(states)} of them)"
            raise ValueError(
                f"{self._name}: {what} must be one or more of the states in states_, {first}"
                f"{more}, got {shown(np.asarray(labels, dtype=object).tolist())}."
            )
        return codes.astype(np.int64)

    # -- parameters -----------------------------------------------------------------------------

    @property
    def _states(self) -> Labels:
        k = self._n_columns
        states = np.asarray(getattr(self, "states_", np.arange(k)))
        if states.shape != (k,):
            raise ValueError(
                f"{self._name}: states_ must name the {k} columns of transition_matrix_, got "
                f"{shown(states)}."
            )
        if not are_distinct(states):
            raise ValueError(
                f"{self._name}: states_ must hold {k} different labels, one for each column of "
                f"transition_matrix_, got {shown(states.tolist())}."
            )
        return states

    @property
    def _n_columns(self) -> int:
        return int(self._matrix().shape[1])

    def _matrix(self) -> Any:
        """The transition matrix as float64, dense or CSR with sorted columns."""
        matrix: Any = self.transition_matrix_
        if issparse(matrix):
            matrix = canonical(matrix)
        else:
            matrix = self._numbers(matrix, "transition_matrix_")
        if matrix.ndim != 2 or matrix.shape[1] == 0:
            raise ValueError(
                f"{self._name}: transition_matrix_ must have rows and columns, got shape "
                f"{matrix.shape}."
            )
        return matrix

    def _numbers(self, value: Any, what: str) -> Array:
        """What an argument or attribute holds, as float64."""
        try:
            if np.iscomplexobj(value):
                raise TypeError("they are complex")
            return np.asarray(value, dtype=np.float64)
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{self._name}: {what} must hold numbers, got {shown(value)} ({error})."
            ) from error

    @property
    def n_parameters_(self) -> int:
        """Free parameters: ``k^m (k - 1)``, fewer for a reversible chain."""
        self._require_fit()
        k = self._n_columns
        if not self.reversible:
            return int(k**self.order * (k - 1))
        pairs = k * (k - 1) // 2
        return pairs if self.stationary_distribution is not None else pairs + k - 1

    @property
    def n_transitions_(self) -> Any:
        """Weight of the transitions that were counted: a whole number without weights."""
        return self._counts().total

    def _counts(self) -> TransitionCounts:
        """What was counted; an error where the parameters were set by hand."""
        self._require_fit()
        if not hasattr(self, "counts_"):
            raise AttributeError(
                f"{self._name}: counts_ expected, which only a fit leaves; the parameters were "
                "set by hand. Call fit first."
            )
        return TransitionCounts(
            order=self.order,
            n_states=len(self._states),
            contexts=self._context_codes(),
            table=self.counts_,
            starts=self.start_counts_,
        )

    def _context_codes(self) -> NDArray[np.int64] | None:
        contexts = getattr(self, "contexts_", None)
        if contexts is None:
            return None
        contexts = np.asarray(contexts)
        states = self._states
        if is_range(states):
            return contexts.astype(np.int64)
        flat = placed(contexts.reshape(-1), states, f"{self._name}: contexts_")
        return flat.astype(np.int64).reshape(contexts.shape)

    def _table(self) -> TransitionTable:
        """Checked transition probabilities, made anew so that attributes set by hand count."""
        self._require_fit()
        matrix, contexts = self._matrix(), self._context_codes()
        unseen = None
        if issparse(matrix):
            unseen = self._numbers(getattr(self, "unseen_proba_", 0.0), "unseen_proba_")
            if unseen.shape not in ((), matrix.shape[:1]):
                raise ValueError(
                    f"{self._name}: unseen_proba_ must hold one probability for each of the "
                    f"{matrix.shape[0]} rows of transition_matrix_, got {shown(unseen)}."
                )
            unseen = np.broadcast_to(unseen, matrix.shape[:1])
        self._check_shape(matrix, contexts)
        fault = fault_of_rows(matrix, unseen)
        if fault is not None:
            raise ValueError(f"{self._name}: transition_matrix_ {fault}.")
        return TransitionTable(matrix, unseen, contexts)

    def _check_shape(self, matrix: Any, contexts: NDArray[np.int64] | None) -> None:
        expected = (*matrix.shape[:1], matrix.shape[1] if self.order == 1 else self.order)
        given = matrix.shape if contexts is None else contexts.shape
        named = (contexts is None) == (self.order == 1)
        square = self.order > 1 or matrix.shape[0] == matrix.shape[1]
        if named and square and given == expected:
            self._check_contexts(contexts)
            return
        rows = "k" if self.order == 1 else f"R, with contexts_ of shape (R, {self.order})"
        got = "none" if contexts is None else str(contexts.shape)
        raise ValueError(
            f"{self._name}: transition_matrix_ of order {self.order} must have the shape "
            f"(rows, k) with rows = {rows}, got {matrix.shape} and contexts_ of shape {got}."
        )

    def _check_contexts(self, contexts: NDArray[np.int64] | None) -> None:
        if contexts is None or len(contexts) < 2:
            return
        step = np.diff(contexts, axis=0)
        first = (step != 0).argmax(axis=1)
        falls = np.take_along_axis(step, first[:, None], axis=1)[:, 0] <= 0
        if falls.any():
            row = int(falls.argmax())
            raise ValueError(
                f"{self._name}: contexts_ must hold different contexts in the order of states_, "
                f"got another order in the rows {row} and {row + 1}. Sort them together with the "
                "rows of transition_matrix_."
            )

    def _start(self) -> Array:
        """Distribution of the first state: uniform where none was given."""
        k = len(self._states)
        if not hasattr(self, "start_proba_"):
            return np.full(k, 1.0 / k)
        start = self._numbers(self.start_proba_, "start_proba_")
        if start.shape != (k,) or not (start >= 0).all() or abs(start.sum() - 1) > ROW_TOLERANCE:
            raise ValueError(
                f"{self._name}: start_proba_ must hold {k} probabilities with the sum 1, got "
                f"{shown(start)} with the sum {start.sum():.9g}."
            )
        return start

    def _prefixes(self) -> Prefixes:
        table = self._table()
        return Prefixes(table, self._start(), self._row_weights(table))

    def _row_weights(self, table: TransitionTable) -> Array:
        """How often each row of the table was seen; once where it was set by hand."""
        if not hasattr(self, "counts_"):
            return np.ones(table.n_rows)
        return np.asarray(self._counts().row_sums, dtype=np.float64)

    def _check_state(self) -> None:
        """Raise `ValueError` where the attributes do not fit together."""
        self._table()
        self._start()
        if not hasattr(self, "counts_"):
            return
        k, shape = self._n_columns, np.shape(self.transition_matrix_)
        starts: Any = getattr(self, "start_counts_", None)
        for name, value, wanted in (
            ("counts_", self.counts_, shape),
            ("start_counts_", starts, (k,)),
        ):
            cells = value.data if issparse(value) else np.asarray(value)
            if np.shape(value) != wanted or cells.dtype.kind not in "iuf":
                raise ValueError(
                    f"{self._name}: {name} must hold numbers, of the shape {wanted} that fits to "
                    f"transition_matrix_, got {shown(value)}."
                )
            if not ((cells >= 0) & (cells < np.inf)).all():
                raise ValueError(
                    f"{self._name}: {name} must hold finite numbers, none negative, got "
                    f"{shown(cells[~((cells >= 0) & (cells < np.inf))][:3].tolist())}."
                )
