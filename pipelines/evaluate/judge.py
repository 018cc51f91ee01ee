"""Metrics and plots of gathered predictions; the one place that tells the label's kinds apart."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from pipelines.evaluate.metrics import (
    binary_metrics,
    classes_metrics,
    in_own_unit,
    regression_metrics,
)
from pipelines.evaluate.plots import binary_plots, classes_plots, regression_plots
from pipelines.transform.spec import LabelSpec


def judge(
    found: Mapping[str, np.ndarray], label: LabelSpec, threshold: float
) -> tuple[dict[str, float], dict[str, Figure]]:
    """Metrics, and figures by file name.

    Args:
        found: as `predict_batches` returns it, of all ranks: the model's output, `label`, and
            `baseline` where the dataset has one.
        label: what they mean.
        threshold: of a binary label, the probability from which a row counts as positive.

    Raises:
        ModelError: a prediction is not finite, or there is no row.
    """
    if label.kind == "classes":
        probabilities = found["probabilities"]
        metrics = classes_metrics(found["label"], probabilities)
        return metrics, classes_plots(found["label"], probabilities, label.classes)
    if label.kind == "regression":
        truth, predicted = (in_own_unit(found[name], label) for name in ("label", "value"))
        metrics = regression_metrics(truth, predicted, found.get("baseline"))
        return metrics, regression_plots(truth, predicted)
    metrics = binary_metrics(found["label"], found["probability"], threshold)
    return metrics, binary_plots(found["label"], found["probability"], threshold)
