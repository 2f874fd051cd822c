"""What the rule of a chain loses on average, by simulation."""

from __future__ import annotations

from typing import Any

from pyestim.estimators._base import (
    POSITIVE,
    Rule,
    integer,
    one_of,
    random_numbers,
    reworded,
    shown,
)
from pyestim.estimators._chain_base import RULES, ChainBase
from pyestim.models import chain_risk as risk
from pyestim.models.chain_risk import Risk


class ChainRisk(ChainBase):
    """Simulated risk of the smoothing rules."""

    def simulate_risk(
        self,
        n: int,
        transition_matrix: Any = None,
        *,
        smoothing: Any = None,
        loss: str = risk.PREDICTION,
        alpha: float = 0.5,
        n_repeats: int = 1000,
        start: Any = "stationary",
        random_state: Any = None,
    ) -> Risk | list[Risk]:
        """Return the expected loss of a smoothing rule on paths of a known chain.

        Parameters
        ----------
        n : int
            Rows of each simulated path.
        transition_matrix : array-like of shape (k, k), optional
            The true chain; by default the one of this estimator, which must be of order 1.
        smoothing : str, float or list of these, optional
            Rules to compare on the same paths; that of the estimator by default.
        loss : str, default="prediction-kl"
            What a forecast of the next state loses, ``sum p log(p / q)`` for the row of the last
            state; or "kl", "chi-square", "hellinger", "alpha", "l2": the largest divergence of a
            row of the estimate.
        alpha : float, default=0.5
            Order of the loss "alpha", above 0, and the one that "minimax-alpha" is meant for here.
            In a fit that rule has the order 1/2; a number ``alpha / 2`` is the rule for others.
        n_repeats : int, default=1000
            Paths.
        start : "stationary" or array-like of shape (k,)
            Distribution of the first state.
        random_state : int, RandomState or None, default=None
            Seed; that of the constructor by default.

        Returns
        -------
        risk : Risk, or list of Risk for a list of rules
            Mean loss with its standard error. Print it.

        References
        ----------
        Hao, Orlitsky & Pichapati (2018), On learning Markov chains. arXiv:1810.11754
        Han, Jana & Wu (2021), Optimal prediction of Markov chains with and without spectral gap.
        arXiv:2106.13947

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain(smoothing="laplace", random_state=0)
        >>> found = chain.simulate_risk(100, [[0.9, 0.1], [0.2, 0.8]], n_repeats=200)
        >>> 0.005 < found.risk < 0.02
        True
        """
        rules = [self.smoothing if smoothing is None else smoothing]
        several = isinstance(rules[0], (list, tuple))
        rules = list(rules[0]) if several else rules
        checks: list[tuple[str, Any, Rule]] = [
            ("n", n, integer(2)),
            ("n_repeats", n_repeats, integer(2)),
            ("alpha", alpha, POSITIVE),
            ("smoothing", rules, Rule(bool, "at least one rule")),
        ]
        checks += [("loss", loss, one_of(*risk.LOSSES))]
        checks += [("smoothing", rule, RULES["smoothing"]) for rule in rules]
        for name, value, expected in checks:
            if not expected.holds(value):
                raise ValueError(
                    f"{self._name}: {name} must be {expected.expected}, got {shown(value)}."
                )
        seed = self.random_state if random_state is None else random_state
        truth = self._true_chain(transition_matrix)
        try:
            found = risk.simulate_risk(
                rules,
                truth,
                int(n),
                loss=loss,
                n_repeats=int(n_repeats),
                alpha=float(alpha),
                start=start if isinstance(start, str) else self._numbers(start, "start"),
                seed=int(random_numbers(seed).randint(0, 2**31 - 1)),
            )
        except ValueError as error:
            raise ValueError(f"{self._name}: simulate_risk: {reworded(error)}.") from error
        answer: Risk | list[Risk] = found if several else found[0]
        return answer

    def _true_chain(self, transition_matrix: Any) -> Any:
        if transition_matrix is not None:
            return self._numbers(transition_matrix, "transition_matrix")
        table = self._table()
        if table.order != 1:
            raise ValueError(
                f"{self._name}: simulate_risk expects a chain of order 1, got order {table.order}. "
                "Pass transition_matrix."
            )
        return table
