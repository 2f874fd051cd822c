"""`MarkovChain`: validates, chooses, publishes; the mathematics is in the layers below."""

from __future__ import annotations

from time import perf_counter
from typing import Any, Self

from pyestim.estimators._chain_count import NoState
from pyestim.estimators._chain_inference import ChainInference
from pyestim.estimators._chain_predict import ChainPrediction
from pyestim.estimators._chain_risk import ChainRisk
from pyestim.estimators._chain_sample import ChainSampling
from pyestim.estimators._chain_structure import ChainStructure


class MarkovChain(ChainInference, ChainPrediction, ChainSampling, ChainStructure, ChainRisk):
    """Markov chain on states or labels, of any order.

    ``p(x_t | x_1 .. x_(t-1)) = P[x_(t-1), x_t]``: the transition matrix P from counted
    transitions, by maximum likelihood or by a rule that is optimal for a stated loss.

    Parameters
    ----------
    order : int, default=1
        How many of the latest states the next one depends on.
    smoothing : str or float, default="mle"
        Rule for the probabilities: relative frequencies; a number is added to every count
        ("laplace": 1, "krichevsky-trofimov": 1/2); "minimax-l2", "minimax-kl",
        "minimax-chi-square", "minimax-hellinger" and "minimax-alpha" for estimation under that
        loss, that of "minimax-alpha" of order 1/2 (a number a / 2 is the rule for the order a);
        "adaptive" for prediction. A row that was never seen is uniform under every rule.
    n_states : int, optional
        The states are 0 .. n_states - 1. By default they are the labels that occur.
    reversible : bool, default=False
        Maximise over chains that satisfy detailed balance. From a state that was never left the
        chain then returns by the flow by which it arrives.
    stationary_distribution : array-like of shape (k,), optional
        Held fixed; needs ``reversible=True``. The chain stays in a state that does not occur.
    sparse : {"auto", True, False}, default="auto"
        Whether the tables hold only what occurred; "auto": above 3000 states.
    random_state : int, RandomState or None, default=None
        Seed of `sample` and of the bootstrap.

    Attributes
    ----------
    transition_matrix_ : ndarray or csr_array of shape (k, k), or (R, k)
        Row i is the distribution of the state after ``states_[i]``; of a higher order, after
        ``contexts_[i]``. May be set by hand, with ``start_proba_`` and ``states_``, whose labels
        then may have any order.
    unseen_proba_ : ndarray of shape (k,) or (R,)
        Only beside a sparse matrix: probability of every cell of a row that it does not hold.
    contexts_ : ndarray of shape (R, order)
        Only for orders above 1: the pasts that were seen, as labels, in the order of states.
    start_proba_ : ndarray of shape (k,)
        Relative frequencies of the first states of the sequences.
    counts_ : ndarray or csr_array, of the shape of ``transition_matrix_``
        Transitions that were counted: int64, or float64 with weights.
    start_counts_ : ndarray of shape (k,)
        Sequences that begin in each state.
    states_ : ndarray of shape (k,)
        Labels of the states, sorted.
    communicating_classes_ : tuple of ndarray
        Labels of the states that can reach one another; ``class_is_closed_`` says which of these
        classes the chain never leaves, ``class_periods_`` their periods.
    stationary_distribution_ : ndarray of shape (k,)
        Computed when asked, like all that follows from the matrix; an error that names
        ``stationary_distributions_``, of shape (n_closed, k), if several classes are closed.
    n_transitions_ : int or float
        Sum of ``counts_``.
    n_parameters_ : int
        Free parameters.
    lower_bound_ : float
        Mean log-likelihood per transition (nats), given the first states.
    n_iter_, converged_, report_ :
        Account of the fit; print ``report_``.
    n_features_in_ : int
        1.

    Raises
    ------
    ValueError, TypeError
        From ``fit``: bad arguments or data, with a sentence that says which and what to do.

    Notes
    -----
    Integer states are read once, as they are, and not copied: below a nanosecond per row. Labels
    are numbered first. Memory besides X: the table of counts, k^2 numbers, or what occurs.

    References
    ----------
    Anderson & Goodman (1957), Statistical inference about Markov chains.
    doi:10.1214/aoms/1177707039

    Examples
    --------
    >>> from pyestim import MarkovChain
    >>> chain = MarkovChain().fit(["sun", "sun", "rain", "sun", "sun", "sun", "rain", "rain"])
    >>> print(chain.states_)
    ['rain' 'sun']
    >>> print(chain.transition_matrix_)
    [[0.5 0.5]
     [0.4 0.6]]
    """

    def __init__(
        self,
        *,
        order: int = 1,
        smoothing: Any = "mle",
        n_states: int | None = None,
        reversible: bool = False,
        stationary_distribution: Any = None,
        sparse: Any = "auto",
        random_state: Any = None,
    ) -> None:
        self.order = order
        self.smoothing = smoothing
        self.n_states = n_states
        self.reversible = reversible
        self.stationary_distribution = stationary_distribution
        self.sparse = sparse
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, lengths: Any = None, sample_weight: Any = None) -> Self:
        """Estimate the chain.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
            States, one sequence after the other: integers, floats that are whole numbers, or
            labels that can be sorted. A negative number, NaN or None is a missing state: no
            transition leads to it or from it.
        y : ignored
        lengths : array-like of int of shape (n_sequences,), optional
            Rows of each sequence; by default all rows are one sequence.
        sample_weight : array-like of shape (n,) or (n_sequences,), optional
            Weight of the transition into each row, or of each sequence: how often it counts.

        Returns
        -------
        self : MarkovChain

        Warns
        -----
        UserWarning
            There is no transition to count.
        """
        began = perf_counter()
        self._check_arguments()
        self._refuse_lengths_as_y(X, y)
        counts, states, where = self._count(X, lengths, sample_weight)
        self._estimate(counts, states, began, where)
        return self

    def partial_fit(
        self, X: Any, y: Any = None, lengths: Any = None, sample_weight: Any = None
    ) -> Self:
        """Count further sequences and estimate the chain from all that were counted so far.

        No transition leads from one call to the next. States may be new. Whole counts add up to
        exactly those of one `fit`. A call with missing rows only counts nothing.

        Parameters
        ----------
        X : array-like of shape (n,) or (n, 1)
        y : ignored
        lengths : array-like of int of shape (n_sequences,), optional
        sample_weight : array-like of shape (n,) or (n_sequences,), optional

        Returns
        -------
        self : MarkovChain
        """
        began = perf_counter()
        self._check_arguments()
        self._refuse_lengths_as_y(X, y)
        old = None
        if hasattr(self, "counts_"):
            self._check_state()
            old = self._counts(), self._states
        try:
            counts, states, where = self._count(X, lengths, sample_weight)
        except NoState:
            if old is None:
                raise
            counts, states, where = *old, "nothing to count"
        else:
            if old is not None:
                counts, states = self._merged(counts, states, *old)
        self._estimate(counts, states, began, where)
        return self
