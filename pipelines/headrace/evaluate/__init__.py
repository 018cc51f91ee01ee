"""Judge a registered model: exact metrics, slices, plots, a verdict; and promote what passed."""

from headrace.evaluate.promote import Promoted, promote, rollback
from headrace.evaluate.run import Evaluated, evaluate

__all__ = ["Evaluated", "Promoted", "evaluate", "promote", "rollback"]
