"""Where rows come from."""

from pyestim.data.source import ArraySource, Chunk

__all__ = ["ArraySource", "Chunk"]
