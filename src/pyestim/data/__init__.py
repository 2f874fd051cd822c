"""Where rows come from."""

from pyestim.data.sequences import SequenceChunk, SequenceSource
from pyestim.data.source import ArraySource, Chunk

__all__ = ["ArraySource", "Chunk", "SequenceChunk", "SequenceSource"]
