"""Callbacks of scikit-learn (1.9 and later): the only module that knows them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

try:
    from sklearn.callback import CallbackSupportMixin as CallbackSupport
    from sklearn.callback import with_callbacks as _with_callbacks
except ImportError:  # scikit-learn before 1.9
    _with_callbacks = None

    class CallbackSupport:  # type: ignore[no-redef]
        """Nothing: this scikit-learn has no callbacks."""


__all__ = ["WRAPPERS", "CallbackSupport", "FitTasks", "with_callbacks"]

#: Frames that `with_callbacks` puts between the user and a fitting method.
WRAPPERS = 0 if _with_callbacks is None else 1


_Method = TypeVar("_Method", bound=Callable[..., Any])


def with_callbacks(method: _Method) -> _Method:
    """Return a fitting method that tears down the callbacks it set up, whatever happens."""
    return method if _with_callbacks is None else cast(_Method, _with_callbacks(method))


class FitTasks:
    """Tells the callbacks of an estimator about a fit and each of its sweeps.

    Parameters
    ----------
    estimator : Estimator
    X : array-like
        Rows of the fit.
    sample_weight : array-like or None
    max_sweeps : int
        Most passes over the rows.
    """

    def __init__(self, estimator: Any, X: Any, sample_weight: Any, max_sweeps: int) -> None:
        self.estimator = estimator
        self.what = {"X": X, "metadata": {"sample_weight": sample_weight}}
        self.active = hasattr(estimator, "_skl_callbacks") or hasattr(
            estimator, "_parent_callback_ctx"
        )
        if self.active:
            self.root = estimator._init_callback_context(max_subtasks=max_sweeps)
            self.root.call_on_fit_task_begin(estimator=estimator, **self.what)

    def __call__(self, sweep: int, objectives: Sequence[float]) -> bool:
        """Report one sweep; True asks the loop to end."""
        if not self.active:
            return False
        task = self.root.subcontext(task_name="sweep")
        task.call_on_fit_task_begin(estimator=self.estimator, **self.what)
        return bool(task.call_on_fit_task_end(estimator=self.estimator, **self.what))

    def close(self) -> None:
        """Report the end of the fit."""
        if self.active:
            self.root.call_on_fit_task_end(estimator=self.estimator, **self.what)
