"""How sure the estimates of a chain are, and which order it has."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from pyestim.estimators._base import (
    POSITIVE,
    Array,
    Rule,
    integer,
    one_of,
    random_numbers,
    reworded,
    shown,
)
from pyestim.estimators._chain_fit import ChainFitting
from pyestim.estimators._chain_summary import summarise
from pyestim.estimators._summary import Summary
from pyestim.models import chain_inference as inference
from pyestim.models.chain_inference import Intervals
from pyestim.models.chain_orders import OrderTest, order_test

LEVEL = Rule(lambda v: POSITIVE.holds(v) and bool(v < 1), "a number between 0 and 1")
METHOD = one_of("asymptotic", "wald", "dirichlet", "bootstrap")
KIND = one_of("auto", "sequences", "parametric")


class ChainInference(ChainFitting):
    """Standard errors, intervals, tests of the order, a summary."""

    def standard_errors(self) -> Any:
        """Return the asymptotic standard errors of the transition probabilities.

        ``sqrt(p (1 - p) / N)`` for a probability of a row with N transitions.

        Returns
        -------
        errors : ndarray or csr_array, of the shape of ``transition_matrix_``
            Infinite in rows without transitions; those of stored cells of a sparse matrix.

        Raises
        ------
        ValueError
            The chain is reversible: its rows are not independent, `conf_int` by bootstrap is for
            it.

        References
        ----------
        Billingsley (1961), Statistical methods in Markov chains. doi:10.1214/aoms/1177705136

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain().fit([0, 0, 1, 0, 1, 1, 0, 0, 0])
        >>> print(chain.standard_errors().round(3))
        [[0.219 0.219]
         [0.272 0.272]]
        """
        self._independent_rows("standard_errors")
        return inference.standard_errors(self._counts(), self._table())

    def stationary_standard_errors(self) -> Array:
        """Return standard errors of ``stationary_distributions_``, by the delta method.

        Returns
        -------
        errors : ndarray of shape (n_closed, k)
            Infinite where a state of the class was never left.
        """
        self._independent_rows("stationary_standard_errors")
        counts = self._counts()
        if self.order != 1:
            raise ValueError(
                f"{self._name}: stationary_standard_errors expects order=1, got {self.order}. Fit "
                "a chain of order 1."
            )
        return inference.stationary_standard_errors(self._table(), counts.row_sums)

    def conf_int(
        self,
        level: float = 0.95,
        method: str = "asymptotic",
        *,
        X: Any = None,
        lengths: Any = None,
        sample_weight: Any = None,
        prior: float = 0.5,
        kind: str = "auto",
        n_resamples: int = 1000,
        random_state: Any = None,
    ) -> Intervals:
        """Return intervals for every transition probability.

        Parameters
        ----------
        level : float, default=0.95
            Coverage of each interval, one at a time.
        method : {"asymptotic", "wald", "dirichlet", "bootstrap"}
            Wilson's intervals, which do not collapse at a count of zero; the estimate -+ z
            standard errors; quantiles of the Dirichlet posterior; percentiles of resampled fits.
        X, lengths, sample_weight :
            The data of the fit, for the bootstrap only.
        prior : float, default=0.5
            Parameter of the Dirichlet prior; 1/2 is Jeffreys'.
        kind : {"auto", "sequences", "parametric"}
            Bootstrap of whole sequences, of which two must hold a transition; or of paths of the
            fitted chain, as long as the sequences and with their weights. "auto": sequences from
            30 on.
        n_resamples : int, default=1000
            Fits of the bootstrap.
        random_state : int, RandomState or None, default=None
            Seed of the bootstrap; that of the constructor by default.

        Returns
        -------
        intervals : Intervals
            ``lower`` and ``upper``, of the shape of ``transition_matrix_``. Of cells that a sparse
            matrix does not hold ``unseen_upper`` is the upper end; the lower one is taken for zero,
            where Dirichlet intervals of a dense matrix have a tiny positive one.

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> chain = MarkovChain().fit([0, 0, 1, 0, 1, 1, 0, 0, 0])
        >>> print(chain.conf_int(0.9).lower.round(3))
        [[0.272 0.143]
         [0.254 0.078]]
        """
        for name, value, rule in (
            ("level", level, LEVEL),
            ("method", method, METHOD),
            ("prior", prior, POSITIVE),
            ("kind", kind, KIND),
            ("n_resamples", n_resamples, integer(2)),
        ):
            if not rule.holds(value):
                raise ValueError(
                    f"{self._name}: {name} must be {rule.expected}, got {shown(value)}."
                )
        if method == "bootstrap":
            return self._bootstrap(
                self._data(X, lengths, sample_weight), level, kind, n_resamples, random_state
            )
        self._independent_rows(f"conf_int(method={method!r})")
        return inference.intervals(
            self._counts(), self._table(), method=method, level=level, prior=prior
        )

    def order_test(
        self, X: Any, max_order: int = 3, lengths: Any = None, sample_weight: Any = None
    ) -> OrderTest:
        """Compare chains of the orders 0 to ``max_order`` on X.

        Every order is scored on the same rows, those with ``max_order`` known states before them;
        neither the order of this chain nor whether it was fitted matters.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
        max_order : int, default=3
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional

        Returns
        -------
        test : OrderTest
            Log-likelihoods, AIC, BIC and evidence for each order, and likelihood ratio and Pearson
            tests of each one against the next. Print it.

        References
        ----------
        Anderson & Goodman (1957), Statistical inference about Markov chains.
        doi:10.1214/aoms/1177707039

        Examples
        --------
        >>> from pyestim import MarkovChain
        >>> test = MarkovChain().order_test([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1] * 5, max_order=2)
        >>> test.best["bic"]
        2
        """
        if not integer(1).holds(max_order):
            raise ValueError(
                f"{self._name}: max_order must be an integer of at least 1, got {shown(max_order)}."
            )
        highest = clone(self).set_params(
            order=int(max_order), reversible=False, stationary_distribution=None
        )
        highest._check_arguments()
        return order_test(highest._count(X, lengths, sample_weight)[0])

    def summary(self) -> Summary:
        """Return the estimates with their standard errors, as a table in text and in HTML.

        Returns
        -------
        summary : Summary
            Print it, or let a notebook show it.
        """
        self._require_fit()
        counts = self._counts() if hasattr(self, "counts_") else None
        return summarise(self, self._table(), counts)

    def _independent_rows(self, asked: str) -> None:
        self._require_fit()
        if self.reversible:
            raise ValueError(
                f"{self._name}: {asked} expects rows that were estimated independently, got "
                "reversible=True. Use conf_int(method='bootstrap', X=...)."
            )

    def _data(self, X: Any, lengths: Any, sample_weight: Any) -> Any:
        if X is None:
            raise ValueError(
                f"{self._name}: conf_int(method='bootstrap') expects X, the data of the fit, got "
                "None. Pass X and its lengths."
            )
        return self._sequences(X, lengths, sample_weight)

    def _bootstrap(
        self, read: Any, level: float, kind: str, n_resamples: int, random_state: Any
    ) -> Intervals:
        seed = self.random_state if random_state is None else random_state
        try:
            return inference.bootstrap(
                read.codes,
                read.offsets,
                self._table(),
                lambda counts: self._estimated(counts).table,
                weight=read.weight,
                kind=kind,
                level=level,
                n_resamples=int(n_resamples),
                seed=int(random_numbers(seed).randint(0, 2**31 - 1)),
            )
        except ValueError as error:
            raise ValueError(f"{self._name}: conf_int: {reworded(error)}.") from error
