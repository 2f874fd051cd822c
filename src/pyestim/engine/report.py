"""What happened in a fit, told so that one glance says whether to trust it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from html import escape


class Outcome(str, Enum):
    """How a fit ended; the value is the sentence for the user."""

    EXACT = "Closed form: the estimate is exact, in one pass over the rows."
    CONVERGED = "Estimated remaining gain of the objective fell below tol."
    ROUNDING = "Objective no longer changes beyond rounding: this is as far as the arithmetic goes."
    MAX_SWEEPS = "Iteration limit reached before tol; raise max_iter or relax tol."
    INTERRUPTED = "Interrupted by the user; these are the best parameters evaluated so far."
    NOT_FINITE = "The objective stopped being finite; look at the data and at the start."

    @property
    def converged(self) -> bool:
        """Whether the stopping criterion held."""
        return self in (Outcome.EXACT, Outcome.CONVERGED, Outcome.ROUNDING)


@dataclass(frozen=True)
class Report:
    """Account of one fit.

    Attributes
    ----------
    outcome : Outcome
        Why it ended; its value is a sentence.
    objective : float
        Best evaluated objective per unit weight (nats).
    trace : tuple of float
        Objective per unit weight after every sweep, that of the start first: of the parameters
        where the path stands, which an accelerated step that was taken back leaves as they were.
    sweeps : int
        Passes over the rows that this candidate took part in, the start included.
    seconds : float
        Wall time of the loop, shared by all candidates.
    backend : str
        Where and how the arithmetic was done.
    accelerator : str
        "em", or the name of the acceleration.
    accepted, rejected : int
        Accelerated steps that were kept and that were taken back.
    remaining : float
        Last estimate of the gain per unit weight that was still to come.
    diagnosis : tuple of str
        What is wrong with the parameters; empty when nothing is.
    events : tuple of str
        What was repaired on the way.
    """

    outcome: Outcome
    objective: float
    trace: tuple[float, ...]
    sweeps: int
    seconds: float
    backend: str = ""
    accelerator: str = "em"
    accepted: int = 0
    rejected: int = 0
    remaining: float = float("inf")
    diagnosis: tuple[str, ...] = field(default=())
    events: tuple[str, ...] = field(default=())

    @property
    def converged(self) -> bool:
        """Whether the stopping criterion held."""
        return self.outcome.converged

    @property
    def trusted(self) -> bool:
        """Whether the fit converged and nothing is wrong with its parameters."""
        return self.converged and not self.diagnosis

    def with_diagnosis(self, lines: tuple[str, ...]) -> Report:
        """Return the same report with more lines of diagnosis."""
        return replace(self, diagnosis=(*self.diagnosis, *lines))

    def _verdict(self) -> str:
        if self.trusted:
            return "OK"
        return "CHECK" if self.converged else "NOT CONVERGED"

    def _lines(self) -> list[tuple[str, str]]:
        steps = f"{self.sweeps} sweeps in {_seconds(self.seconds)}"
        if self.accepted or self.rejected:
            steps += (
                f", {self.accelerator}: {self.accepted} accelerated steps kept, "
                f"{self.rejected} taken back"
            )
        lines = [
            ("outcome", self.outcome.value),
            ("objective", f"{self.objective:.10g} per unit weight"),
            ("remaining", f"about {self.remaining:.1e} per unit weight"),
            ("work", steps),
        ]
        if self.backend:
            lines.append(("backend", self.backend))
        lines += [("repaired", line) for line in self.events]
        lines += [("diagnosis", line) for line in self.diagnosis]
        return lines

    def __str__(self) -> str:
        body = "\n".join(f"  {name:<10} {text}" for name, text in self._lines())
        return f"Fit: {self._verdict()}\n{body}"

    def _repr_html_(self) -> str:
        colour = "#1a7f37" if self.trusted else "#9a6700" if self.converged else "#cf222e"
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        return (
            f"<div><strong style='color:{colour}'>Fit: {self._verdict()}</strong>"
            f"<table>{rows}</table></div>"
        )


def _seconds(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1.0 else f"{seconds:.3g} s"
