"""Stationary laws and spectra of large sparse chains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import block_diag, csr_array, diags_array, eye_array, kron

from pyestim.models import chain_sparse
from pyestim.models.chain_passage import (
    hitting_times,
)
from pyestim.models.chain_structure import (
    communicating_classes,
    stationary,
    timescales,
)
from pyestim.models.chain_tables import TransitionTable

pytestmark = pytest.mark.once

EPS = np.finfo(float).eps


def lattice(m):
    """Walk on an m by m lattice: periodic, stationary in proportion to the number of neighbours."""
    path = diags_array([np.ones(m - 1), np.ones(m - 1)], offsets=[-1, 1])
    links = csr_array(kron(eye_array(m), path) + kron(path, eye_array(m)))
    degree = links.sum(axis=1)
    return csr_array(diags_array(1 / degree) @ links), degree / degree.sum()


def test_large_slow_chain_by_factorisation():
    matrix, law = lattice(60)
    # The relaxation time is about 2 m^2; times the rounding unit, and room for the sums.
    np.testing.assert_allclose(stationary(matrix)[0], law, rtol=100 * 2 * 60**2 * EPS)
    assert communicating_classes(matrix).periods.tolist() == [2]


def test_large_fast_chain_by_steps():
    rng = np.random.default_rng(0)
    k = 3000
    target = np.concatenate([rng.integers(0, k, 12 * k), (np.arange(k) + 1) % k])
    links = csr_array((np.ones(13 * k), (np.tile(np.arange(k), 13), target)), shape=(k, k))
    matrix = csr_array(diags_array(1 / links.sum(axis=1)) @ links)
    law = stationary(matrix)[0]
    np.testing.assert_allclose(law @ matrix, law, rtol=1e-13)
    rest = rng.random(k) / k * 0.2
    scale = 1 - rest * (k - np.diff(matrix.indptr))
    table = TransitionTable(csr_array(diags_array(scale) @ matrix), rest)
    law = stationary(table)[0]
    np.testing.assert_allclose(law @ table.dense(), law, rtol=1e-13)


@pytest.mark.parametrize("full", [False, True])
def test_factorisation_against_elimination(full, monkeypatch):
    """The same chain through both; relaxation time below 1e3."""
    rng = np.random.default_rng(4)
    matrix, _ = lattice(15)
    rest = rng.random(225) / 225 * 0.01 if full else None
    if full:
        scale = 1 - rest * (225 - np.diff(matrix.indptr))
        matrix = csr_array(diags_array(scale) @ matrix)
    form = TransitionTable(matrix, rest) if full else matrix
    dense = form.dense() if full else form.toarray()
    target = rng.permutation(225)[:3]
    expected = stationary(dense)[0], hitting_times(dense, target)
    monkeypatch.setattr(chain_sparse, "MAX_STEPS", 2)
    for module in ("chain_structure", "chain_passage"):
        monkeypatch.setattr(f"pyestim.models.{module}.DENSE_STATES", 10)
    np.testing.assert_allclose(stationary(form)[0], expected[0], rtol=1e3 * 100 * EPS)
    np.testing.assert_allclose(hitting_times(form, target), expected[1], rtol=1e3 * 100 * EPS)


def test_nearly_decoupled_sparse_chain_falls_back_to_elimination(monkeypatch):
    rng = np.random.default_rng(2)
    k = 60
    up = rng.uniform(0.02, 0.9, k - 1)
    down = 0.95 - up
    matrix = diags_array([down, up], offsets=[-1, 1]).toarray() / 2
    np.fill_diagonal(matrix, 1 - matrix.sum(axis=1))
    log = np.concatenate([[0.0], np.cumsum(np.log(up) - np.log(down))])
    law = np.exp(log - log.max())
    law /= law.sum()
    monkeypatch.setattr(chain_sparse, "MAX_STEPS", 2)
    monkeypatch.setattr("pyestim.models.chain_structure.DENSE_STATES", 10)
    got = stationary(csr_array(matrix))[0]
    assert np.abs(got - law).sum() < 10 * chain_sparse.MAX_ERROR
    monkeypatch.setattr(chain_sparse, "MAX_ERROR", 0.0)
    np.testing.assert_allclose(stationary(csr_array(matrix))[0], law, rtol=1e-12)
    monkeypatch.setattr(chain_sparse, "MOST_DENSE_STATES", 59)
    with pytest.raises(ArithmeticError, match="nearly decoupled"):
        stationary(csr_array(matrix))


def test_large_spectrum_by_iteration(monkeypatch):
    monkeypatch.setattr("pyestim.models.chain_structure.DENSE_STATES", 10)
    matrix = block_diag([lattice(12)[0], np.array([[0.9, 0.1], [0.2, 0.8]])], format="csr")
    # Two closed classes, one of period two: moduli 1, 1, 1, the first of which is left out.
    scales = timescales(csr_array(matrix), 4)
    assert np.isinf(scales[:2]).all() and np.isfinite(scales[2:]).all()
    dense = timescales(matrix.toarray()[:144, :144], 3)
    np.testing.assert_allclose(scales[2:], dense[1:], rtol=1e-6)


SLOW = np.array([[1 - 1e-11, 1e-11, 0], [1e-11, 0.5, 0.5 - 1e-11], [0, 0.5, 0.5]])


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_few_timescales_are_the_first_of_all(form):
    # Further closed classes and a cycle before the slow one: as many infinite scales.
    cycle = np.array([[0.0, 1.0], [1.0, 0.0]])
    for matrix in (SLOW, block_diag([cycle, SLOW, np.eye(2)]).toarray()):
        whole = timescales(form(matrix))
        assert np.isfinite(whole).sum() == 2
        slowest = whole[np.isfinite(whole)][0]
        np.testing.assert_allclose(slowest, 2 / 3e-11, rtol=1e-4)
        for n in range(1, len(whole) + 1):
            assert timescales(form(matrix), n).tolist() == whole[:n].tolist()
