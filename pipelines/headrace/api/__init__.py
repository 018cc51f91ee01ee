"""Offer what a notebook needs: open datasets, run the stages of a recipe, see what came of it.

`import headrace` brings `headrace.open` and `headrace.run`, and imports nothing of this until one
of them is used. Engines are imported by the method that needs them.
"""

from headrace.api.dataset import Dataset
from headrace.api.html import Report
from headrace.api.ledger import RowLedger
from headrace.api.model import Model
from headrace.api.open_dataset import open_dataset as open
from headrace.api.result import RunResult
from headrace.api.run_stages import run_stages as run

__all__ = ["Dataset", "Model", "Report", "RowLedger", "RunResult", "open", "run"]
