"""Chunks of sequences carry the rows that they depend on."""

from __future__ import annotations

import numpy as np
import pytest

from pyestim.data.sequences import SequenceSource

pytestmark = pytest.mark.once

CODES = np.arange(20, dtype=np.int16)
OFFSETS = np.array([0, 3, 3, 10, 17, 20])


@pytest.mark.parametrize("chunk_rows", [1, 4, 7, 19, 20, 100])
def test_chunks_own_every_row_once_and_copy_nothing(chunk_rows):
    weight = np.linspace(1, 2, len(CODES))
    source = SequenceSource(CODES, offsets=OFFSETS, weight=weight, chunk_rows=chunk_rows)
    owned = []
    for chunk in source.chunks():
        assert chunk.codes is CODES
        assert chunk.offsets is OFFSETS
        assert chunk.stop - chunk.start == min(chunk_rows, len(CODES) - chunk.start)
        owned.extend(chunk.codes[chunk.start : chunk.stop])
    assert np.array_equal(owned, CODES)


def test_one_sequence_without_weights():
    source = SequenceSource(CODES)
    (chunk,) = source.chunks()
    assert (chunk.start, chunk.stop, chunk.weight) == (0, 20, None)
    assert chunk.offsets.tolist() == [0, 20]
    assert source.weight_sum == 20.0
    assert source.backend.endswith("int16 states")


def test_weights_are_checked():
    with pytest.raises(ValueError, match="MarkovChain: sample_weight must not be negative"):
        SequenceSource(CODES, weight=np.full(20, -1.0), owner="MarkovChain")
