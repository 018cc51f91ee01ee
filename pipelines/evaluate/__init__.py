"""Judge a registered model on the test split: exact metrics, plots, all of it in its MLflow run."""

from pipelines.evaluate.run import Evaluated, evaluate

__all__ = ["Evaluated", "evaluate"]
