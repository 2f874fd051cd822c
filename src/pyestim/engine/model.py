"""What a model is to the engine, and what it can do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, TypeVar

from pyestim.engine.stats import Layout, Stats, Vector

P = TypeVar("P")


class Infeasible(ArithmeticError):
    """A vector of coordinates has no parameters: the extrapolation went too far."""


class Capability(str, Enum):
    """What a model or a sweep can do; the value says it to the user."""

    WEIGHTS = "weighted rows"
    FLOAT32 = "arithmetic in single precision"
    STREAM = "rows that arrive in blocks"
    ACCELERATE = "unconstrained coordinates for acceleration"
    REPAIR = "replacing degenerate parts during a fit"
    NEWTON = "directions of Newton's method"


class Model(Protocol[P]):
    """Hyper-parameters and mathematics: no data, no loop over rows, immutable.

    ``P`` is a frozen dataclass of float64 arrays.
    """

    @property
    def name(self) -> str:
        """How messages call the model."""
        ...

    @property
    def layout(self) -> Layout:
        """Names and shapes of the statistics."""
        ...

    @property
    def halo(self) -> int:
        """Rows of context that a chunk needs from its predecessor."""
        ...

    @property
    def supports(self) -> frozenset[Capability]:
        """What the model can do."""
        ...

    def accumulate(self, params: Sequence[P], chunk: Any, out: Vector) -> None:
        """Write the statistics of the rows of ``chunk``, one row of ``out`` per candidate."""
        ...

    def update(self, params: P, stats: Stats) -> P:
        """Better parameters: an exact maximum or one step that never lowers the objective."""
        ...

    def objective(self, params: P, stats: Stats) -> float:
        """Log-likelihood minus penalty: a sum over the rows."""
        ...

    def pack(self, params: P) -> Vector:
        """Parameters in coordinates that accept any value."""
        ...

    def unpack(self, vector: Vector) -> P:
        """Inverse of `pack`; raises `Infeasible` where there is none."""
        ...

    def diagnose(self, params: P, stats: Stats) -> tuple[str, ...]:
        """Sentences about what is wrong with the parameters; empty when nothing is."""
        ...


class RepairableModel(Model[P], Protocol[P]):
    """A model with `Capability.REPAIR`."""

    def needs_repair(self, params: P, stats: Stats, n_before: int) -> bool:
        """Whether parts are degenerate and can be replaced."""
        ...

    def repair(self, params: P, stats: Stats, sweep: Any, n_before: int) -> tuple[P, str]:
        """Replace degenerate parts and say so; asked only where `needs_repair` holds.

        The driver forgets what it knew about the candidate after a repair, since the objective
        of the repaired parameters is not comparable.
        """
        ...


@dataclass(frozen=True)
class Direction:
    """Where Newton's method goes from evaluated parameters.

    Attributes
    ----------
    step : ndarray
        Whole step, in coordinates of the model's choice.
    slope : float
        Derivative of the objective along the step, per unit weight.
    concave : bool
        Whether the curvature was that of a maximum, so that half the slope estimates the gain
        that is left.
    longest : float
        Multiple of the step that may be taken at most.
    """

    step: Vector
    slope: float
    concave: bool
    longest: float = 1.0


class NewtonModel(Model[P], Protocol[P]):
    """A model with `Capability.NEWTON`."""

    def newton(self, params: P, stats: Stats) -> Direction:
        """Return the direction from the statistics that ``params`` left."""
        ...

    def moved(self, params: P, direction: Direction, length: float) -> P:
        """Return the parameters after ``length`` times the step."""
        ...


def require(
    subject: Any, capability: Capability, *, asked_by: str, alternative: str | None = None
) -> None:
    """Refuse work that ``subject`` (a model) cannot do, before any of it is done.

    Parameters
    ----------
    subject : Model
        Anything with ``name`` and ``supports``.
    capability : Capability
    asked_by : str
        Who wants it: a method or an argument.
    alternative : str, optional
        What to do instead.
    """
    if capability in subject.supports:
        return
    others = ", ".join(sorted(c.value for c in subject.supports)) or "nothing beyond plain sweeps"
    advice = alternative or f"It supports: {others}."
    raise ValueError(f"{asked_by}: {subject.name} does not support {capability.value}. {advice}")
