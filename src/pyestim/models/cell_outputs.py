"""What a Gaussian mixture says about rows whose cells are partly known."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pyestim import _core
from pyestim.data.cells import CellChunk, CellTable
from pyestim.models.gaussian_forms import Array
from pyestim.models.kernels import cells_rows
from pyestim.models.row_outputs import RowOutputs


class CellOutputs(RowOutputs):
    """Evaluates a mixture on the rows of a `CellTable`; the arguments are those of `RowOutputs`."""

    def log_prob_of(self, table: CellTable) -> Array:
        """Log of the density of what is exact and the probability of the rest: (n,).

        Where a row is seen inside of its box only, given that.
        """
        if table.plain:
            return self.log_prob(table.lower)
        out = self._sorted_log_prob(table)
        if table.boxes is not None and table.box is not None:
            # Rows number their boxes as these are sorted; the last one: no box.
            seen = np.append(self._sorted_log_prob(table.boxes), 0.0)
            out -= seen[table.box]
        return table.put_back(out)

    def _sorted_log_prob(self, table: CellTable) -> Array:
        """Log-likelihoods of the rows in the order of the table, seen wherever they are."""
        out = np.empty(len(table))
        self._cells(table, log_prob=out)
        return np.asarray(out + table.exact @ np.log(self.scale))

    def resp_of(self, table: CellTable, out: Array) -> Array:
        """Responsibilities (n, k), written to ``out``."""
        if table.plain:
            return self.resp(table.lower, out)
        found = out if table.order is None else np.empty_like(out)
        self._cells(table, resp=found)
        if table.order is not None:
            out[table.order] = found
        return out

    def labels_of(self, table: CellTable) -> NDArray[np.int64]:
        """Most probable component of every row: (n,)."""
        if table.plain:
            return self.labels(table.lower)
        out = np.empty(len(table), dtype=np.int64)
        self._cells(table, labels=out)
        return table.put_back(out)

    def expected(self, table: CellTable) -> Array:
        """Cells as they are where exact, their means given what is known of their row: (n, d)."""
        if table.all_exact:
            return table.put_back(np.array(table.lower, dtype=np.float64))
        out = np.empty((len(table), table.n_features))
        self._cells(table, expected=out)
        out = out / self.scale + self.centre
        out = np.clip(out, table.lower, table.upper)  # rounding
        return table.put_back(np.where(table.exact, table.lower, out))

    def log_likelihood_of(self, table: CellTable, sample_weight: Array | None) -> float:
        """Weighted sum of the log-densities."""
        each = self.log_prob_of(table)
        return math.fsum(each if sample_weight is None else each * sample_weight)

    def entropy_of(self, table: CellTable, sample_weight: Array | None, *, hard: bool) -> float:
        """As `entropy`."""
        resp = self.resp_of(table, np.empty((len(table), self.n_components)))
        if hard:
            doubt = -np.log(resp.max(axis=1))
        else:
            doubt = -(resp * np.log(np.maximum(resp, np.finfo(float).tiny))).sum(axis=1)
        return float(doubt.sum() if sample_weight is None else doubt @ sample_weight)

    def _cells(self, table: CellTable, **outputs: Any) -> None:
        filled = np.where(table.exact, table.lower, 0.0)
        rows = _core.native.Rows(filled, None, self.centre, self.scale)
        cells = table.native(self.centre, self.scale)
        chunk = CellChunk(rows, 0, len(table), True, cells)
        # Working coordinates: a probability has no unit, so the kernel wants their determinants.
        log_offset = self.log_offset - np.log(self.scale).sum()
        cells_rows(chunk, self.family, log_offset, self.means, self.factors, **outputs)
