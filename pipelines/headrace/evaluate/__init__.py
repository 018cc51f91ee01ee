"""Evaluate a registered model: metrics, slices, plots, gates and a verdict; and promote it."""

from headrace.evaluate.promote import Promoted, promote, roll_back
from headrace.evaluate.run import Evaluated, evaluate

__all__ = ["Evaluated", "Promoted", "evaluate", "promote", "roll_back"]
