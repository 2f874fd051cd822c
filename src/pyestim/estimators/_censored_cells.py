"""Cells of rows as users give them: values, bounds, censored samples of SciPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import CensoredData
from sklearn.utils.validation import check_array, validate_data

from pyestim.data.cells import CellTable
from pyestim.estimators._base import ROW_TYPES, Array, Estimator


class CellReader(Estimator):
    """Reads ``X``, ``lower``, ``upper`` and the sets where rows are seen."""

    def _table(
        self,
        X: Any,
        lower: Any,
        upper: Any,
        trunc_lower: Any = None,
        trunc_upper: Any = None,
        *,
        reset: bool = False,
        least: int = 1,
    ) -> CellTable:
        """Cells of the rows, sorted by pattern."""
        low, high = self._bounds(X, lower, upper, reset=reset, least=least)
        if trunc_lower is None and trunc_upper is None:
            return CellTable(low, high, owner=self._name)
        ends = (
            self._limits("trunc_lower", trunc_lower, -np.inf, low.shape),
            self._limits("trunc_upper", trunc_upper, np.inf, low.shape),
        )
        return CellTable(low, high, *ends, owner=self._name)

    def _bounds(
        self, X: Any, lower: Any, upper: Any, *, reset: bool, least: int
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Lower and upper bounds of the cells: (n, d) each."""
        if isinstance(X, CensoredData):
            if lower is not None or upper is not None:
                raise ValueError(
                    f"{self._name}: lower and upper must be None beside a scipy CensoredData, "
                    "which has bounds of its own."
                )
            X, (lower, upper) = None, bounds_of(X)
        if X is None and (lower is None or upper is None):
            raise ValueError(
                f"{self._name}: expected X, or both lower and upper, got no X and "
                f"{'no lower' if lower is None else 'no upper'}. This estimator requires rows."
            )
        rows = None
        if X is not None:
            rows = self._sample_matrix(X, reset=reset, least=least)
        low = rows if lower is None else self._bound("lower", lower, reset and X is None, least)
        high = rows if upper is None else self._bound("upper", upper, False, least)
        assert low is not None and high is not None
        for name, bound in (("X", rows), ("upper", high)):
            if bound is not None and bound.shape != low.shape:
                raise ValueError(
                    f"{self._name}: lower and {name} must have the same shape, got {low.shape} and "
                    f"{bound.shape}."
                )
        if rows is not None and (lower is not None or upper is not None):
            self._refuse_outside(rows, low, high)
        both = np.result_type(low.dtype, high.dtype)
        return low.astype(both, copy=False), high.astype(both, copy=False)

    def _bound(self, name: str, bound: Any, reset: bool, least: int) -> NDArray[Any]:
        """One bound of the cells, infinite ones allowed: (n, d)."""
        if np.ndim(bound) == 1:
            bound = np.asarray(bound)[:, None]
        found = validate_data(
            self,
            bound,
            reset=reset,
            dtype=ROW_TYPES,
            ensure_all_finite=False,
            ensure_min_samples=max(least, 1),
        )
        return np.asarray(found)

    def _refuse_outside(self, rows: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> None:
        outside = (rows < low) | (rows > high)
        if outside.any():
            row, column = np.argwhere(outside)[0]
            raise ValueError(
                f"{self._name}: X must lie within lower and upper, got {rows[row, column]:g} "
                f"outside of [{low[row, column]:g}, {high[row, column]:g}] in row {row}, column "
                f"{column}. A bound that is not given is X itself."
            )

    def _limits(
        self, name: str, limits: Any, default: float, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Limits of the sets where rows are seen, for every row: (n, d)."""
        if limits is None:
            return np.broadcast_to(default, shape)
        found = (
            check_array(
                limits,
                dtype=np.float64,
                ensure_2d=False,
                ensure_all_finite=False,
                input_name=name,
                ensure_min_samples=0,
            )
            if np.ndim(limits)
            else np.asarray(limits, dtype=np.float64)
        )
        if found.ndim == 1 and shape[1] == 1 and len(found) == shape[0]:
            found = found[:, None]
        try:
            return np.broadcast_to(found, shape)
        except ValueError:
            raise ValueError(
                f"{self._name}: {name} must be a number, one per column ({shape[1]},), or one per "
                f"row and column {shape}, got the shape {found.shape}."
            ) from None


def bounds_of(sample: CensoredData) -> tuple[Array, Array]:
    """Bounds (n, 1) of a censored sample: exact cells, left-, right-, interval-censored ones."""
    exact, left, right = sample._uncensored, sample._left, sample._right
    interval = np.reshape(sample._interval, (-1, 2))
    lower = [exact, np.full(len(left), -np.inf), right, interval[:, 0]]
    upper = [exact, left, np.full(len(right), np.inf), interval[:, 1]]
    low, high = (np.concatenate(parts).astype(np.float64) for parts in (lower, upper))
    return low[:, None], high[:, None]
