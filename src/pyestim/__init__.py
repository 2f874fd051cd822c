"""Fast maximum-likelihood estimation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyestim._core import build_info, get_num_threads, set_num_threads
from pyestim._version import __version__
from pyestim.estimators._glm_gram import gram_path
from pyestim.estimators._glm_path import GLMPath, glm_path
from pyestim.estimators.gaussian_mixture import GaussianMixture
from pyestim.estimators.lasso_glm import LassoGLM
from pyestim.estimators.lasso_glm_cv import LassoGLMCV
from pyestim.estimators.markov_chain import MarkovChain
from pyestim.estimators.persistence import load

if TYPE_CHECKING:
    from pyestim import datasets, plot

__all__ = [
    "GLMPath",
    "GaussianMixture",
    "LassoGLM",
    "LassoGLMCV",
    "MarkovChain",
    "__version__",
    "build_info",
    "datasets",
    "get_num_threads",
    "glm_path",
    "gram_path",
    "load",
    "plot",
    "set_num_threads",
]

#: Sub-modules that are imported when they are first asked for.
_LAZY = ("datasets", "plot")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return import_module(f"pyestim.{name}")
    raise AttributeError(f"module 'pyestim' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
