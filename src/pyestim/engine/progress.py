"""Progress of a fit: to the logger "pyestim" always, to standard output where asked for."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Protocol

from pyestim.engine.drive import Progress
from pyestim.engine.report import Report

logger = logging.getLogger("pyestim")


class Talk:
    """Says how far a fit is, every so many sweeps.

    Parameters
    ----------
    name : str
        What is fitted.
    verbose : int
        0: to the logger only (level DEBUG, the end at INFO); 1: to standard output too; 2 and
        more: with the gain since the last line and the time.
    interval : int
        Sweeps between two lines.
    """

    def __init__(self, name: str, verbose: int, interval: int) -> None:
        self.name = name
        self.verbose = int(verbose)
        self.interval = interval
        self.active = bool(self.verbose) or logger.isEnabledFor(logging.INFO)
        self._began = perf_counter()
        self._last: float | None = None

    def __call__(self, sweep: int, objectives: Sequence[float]) -> bool:
        """Take the number of the sweep and the best objective of every candidate."""
        if not self.active or (sweep - 1) % self.interval:
            return False
        best = max(objectives)
        line = f"{self.name}: iteration {sweep - 1}, objective {best:.10g}"
        if self.verbose > 1:
            gain = "" if self._last is None else f", gain {best - self._last:.3g}"
            line += f"{gain}, {perf_counter() - self._began:.3g} s"
        self._last = best
        self._say(logging.DEBUG, line)
        return False

    def close(self, report: Report) -> None:
        """Say how the fit ended."""
        if self.active:
            end = f"{self.name}: {report.sweeps - 1} iterations, objective {report.objective:.10g}."
            self._say(logging.INFO, f"{end} {report.outcome.value}")

    def _say(self, level: int, line: str) -> None:
        logger.log(level, line)
        if self.verbose:
            sys.stdout.write(f"{line}\n")


class Listener(Progress, Protocol):
    """A listener that may have nothing to do."""

    @property
    def active(self) -> bool:
        """Whether it wants to be told."""
        ...


def together(*listeners: Listener) -> Progress | None:
    """Return one listener that tells all who want to be told; None where nobody does.

    The loop ends where any of them asks for it.
    """
    active = [listener for listener in listeners if listener.active]
    if not active:
        return None

    def tell(sweep: int, objectives: Sequence[float]) -> bool:
        answers = [listener(sweep, objectives) for listener in active]
        return any(answers)

    return tell
