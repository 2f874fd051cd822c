"""Where rows and columns come from."""

from pyestim.data.design import Design
from pyestim.data.experts import ExpertChunk, ExpertSource
from pyestim.data.sequences import SequenceChunk, SequenceSource
from pyestim.data.source import ArraySource, Chunk

__all__ = [
    "ArraySource",
    "Chunk",
    "Design",
    "ExpertChunk",
    "ExpertSource",
    "SequenceChunk",
    "SequenceSource",
]
