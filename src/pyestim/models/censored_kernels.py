"""Where models of censored responses call the native kernels, as `kernels` does for the others."""

from __future__ import annotations

from pyestim import _core
from pyestim.data.censored import CensoredChunk
from pyestim.engine.stats import Vector


def censored_sweep(
    chunk: CensoredChunk, law: str, coef: Vector, inverse_scale: Vector, shape: Vector, out: Vector
) -> None:
    """Write the statistics of every candidate to ``out`` (C, S); see the native signature."""
    _core.native.censored_sweep(
        *(_core.context(), chunk.rows, chunk.start, chunk.stop, law),
        *(chunk.lower, chunk.upper, chunk.offset, chunk.y_centre, chunk.y_scale),
        *(coef, inverse_scale, shape, out),
    )


def censored_rows(
    chunk: CensoredChunk, law: str, coef: Vector, inverse_scale: Vector, shape: Vector, out: Vector
) -> None:
    """Write log-density, gradient and curvature of every row to ``out`` (m, 6)."""
    _core.native.censored_rows(
        *(_core.context(), chunk.rows, chunk.start, chunk.stop, law),
        *(chunk.lower, chunk.upper, chunk.offset, chunk.y_centre, chunk.y_scale),
        *(coef, inverse_scale, shape, out),
    )
