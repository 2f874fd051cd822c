"""Fast maximum-likelihood estimation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pyestim._core import build_info, get_num_threads, set_num_threads
from pyestim._version import __version__

if TYPE_CHECKING:
    from pyestim import datasets, metrics, plot
    from pyestim.estimators._experts_path import ExpertsPath, moe_lasso_path
    from pyestim.estimators._glm_gram import gram_path
    from pyestim.estimators._glm_path import GLMPath, glm_path
    from pyestim.estimators.censored_mixture import CensoredGaussianMixture
    from pyestim.estimators.censored_regressor import CensoredRegressor
    from pyestim.estimators.criterion_search import CriterionSearch
    from pyestim.estimators.gaussian_mixture import GaussianMixture
    from pyestim.estimators.lasso_glm import LassoGLM
    from pyestim.estimators.lasso_glm_cv import LassoGLMCV
    from pyestim.estimators.markov_chain import MarkovChain
    from pyestim.estimators.mixture_of_experts import MixtureOfExpertsRegressor
    from pyestim.estimators.mixture_of_experts_classifier import MixtureOfExpertsClassifier
    from pyestim.estimators.persistence import load
    from pyestim.estimators.truncated_mixture import TruncatedGaussianMixture

__all__ = [
    "CensoredGaussianMixture",
    "CensoredRegressor",
    "CriterionSearch",
    "ExpertsPath",
    "GLMPath",
    "GaussianMixture",
    "LassoGLM",
    "LassoGLMCV",
    "MarkovChain",
    "MixtureOfExpertsClassifier",
    "MixtureOfExpertsRegressor",
    "TruncatedGaussianMixture",
    "__version__",
    "build_info",
    "datasets",
    "get_num_threads",
    "glm_path",
    "gram_path",
    "load",
    "metrics",
    "moe_lasso_path",
    "plot",
    "set_num_threads",
]

#: Where public names live. They are imported when they are first asked for: who fits one family
#: does not wait for the others, nor for what scikit-learn imports for them.
_PLACES = {
    "CensoredGaussianMixture": "estimators.censored_mixture",
    "CensoredRegressor": "estimators.censored_regressor",
    "CriterionSearch": "estimators.criterion_search",
    "ExpertsPath": "estimators._experts_path",
    "GLMPath": "estimators._glm_path",
    "GaussianMixture": "estimators.gaussian_mixture",
    "LassoGLM": "estimators.lasso_glm",
    "LassoGLMCV": "estimators.lasso_glm_cv",
    "MarkovChain": "estimators.markov_chain",
    "MixtureOfExpertsClassifier": "estimators.mixture_of_experts_classifier",
    "MixtureOfExpertsRegressor": "estimators.mixture_of_experts",
    "TruncatedGaussianMixture": "estimators.truncated_mixture",
    "glm_path": "estimators._glm_path",
    "gram_path": "estimators._glm_gram",
    "load": "estimators.persistence",
    "moe_lasso_path": "estimators._experts_path",
}
_MODULES = ("datasets", "metrics", "plot")


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"pyestim.{name}")
    if name not in _PLACES:
        raise AttributeError(f"module 'pyestim' has no attribute {name!r}")
    value = getattr(import_module(f"pyestim.{_PLACES[name]}"), name)
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_MODULES})
