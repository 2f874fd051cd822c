"""Account of a penalised fit."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape


@dataclass(frozen=True)
class GLMReport:
    """What was minimised, by which solver, and how far the result is from the minimum at most.

    Attributes
    ----------
    outcome : str
        Sentence for the user.
    converged : bool
        Whether every published point meets tol.
    problem : str
        Family, penalty and size.
    solver : str
        Names of the solvers that made the points.
    gap : float
        Largest relative duality gap: what the objective can still fall at most, in units of the
        loss of the null model above the saturated one.
    tol : float
        Bound that was asked for.
    n_iter : int
        Iterations of all points.
    n_points : int
        Penalties solved for.
    seconds : float
        Wall time of the solver.
    notes : tuple of str
        What the reader should know besides.
    """

    outcome: str
    converged: bool
    problem: str
    solver: str
    gap: float
    tol: float
    n_iter: int
    n_points: int
    seconds: float
    notes: tuple[str, ...] = ()

    def _lines(self) -> list[tuple[str, str]]:
        points = "1 penalty" if self.n_points == 1 else f"{self.n_points} penalties"
        lines = [
            ("outcome", self.outcome),
            ("problem", self.problem),
            ("solver", self.solver),
            ("remaining", f"at most {self.gap:.1e} of the null model's loss, tol {self.tol:.1e}"),
            ("work", f"{points}, {self.n_iter} iterations in {1e3 * self.seconds:.3g} ms"),
        ]
        return lines + [("note", note) for note in self.notes]

    def __str__(self) -> str:
        body = "\n".join(f"  {name:<10} {text}" for name, text in self._lines())
        return f"Fit: {'OK' if self.converged else 'NOT CONVERGED'}\n{body}"

    def _repr_html_(self) -> str:
        colour = "#1a7f37" if self.converged else "#cf222e"
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th>"
            f"<td style='text-align:left'>{escape(text)}</td></tr>"
            for name, text in self._lines()
        )
        verdict = "OK" if self.converged else "NOT CONVERGED"
        title = f"<strong style='color:{colour}'>Fit: {verdict}</strong>"
        return f"<div>{title}<table>{rows}</table></div>"
