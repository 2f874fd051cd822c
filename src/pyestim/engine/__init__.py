"""Iterate, stop, accelerate, report: everything that knows neither a model nor the data."""

from pyestim.engine.drive import Fit, Progress, maximise
from pyestim.engine.model import Capability, Model, require
from pyestim.engine.report import Outcome, Report
from pyestim.engine.stats import Layout, Stats
from pyestim.engine.stop import Stop
from pyestim.engine.sweep import LocalSweep, Sweep

__all__ = [
    "Capability",
    "Fit",
    "Layout",
    "LocalSweep",
    "Model",
    "Outcome",
    "Progress",
    "Report",
    "Stats",
    "Stop",
    "Sweep",
    "maximise",
    "require",
]
