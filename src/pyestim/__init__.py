"""Fast maximum-likelihood estimation."""

from __future__ import annotations

from pyestim._version import __version__

__all__ = ["__version__"]
