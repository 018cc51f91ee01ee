"""Judge a registered model: exact metrics, slices, plots, a verdict; and promote what passed."""

from pipelines.evaluate.promote import Promoted, promote, rollback
from pipelines.evaluate.run import Evaluated, evaluate

__all__ = ["Evaluated", "Promoted", "evaluate", "promote", "rollback"]
