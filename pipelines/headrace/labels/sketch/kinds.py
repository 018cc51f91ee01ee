"""List the kinds of label whose metrics a sketch has; others are computed from all rows."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from headrace.labels.kind import FittedLabel
from headrace.labels.sketch.binary import BinarySketch
from headrace.labels.sketch.binned_curves import Bounded
from headrace.labels.sketch.number import CountSketch, NumberSketch
from headrace.labels.sketch.row_sketch import RowQuantities, Sketch


class SketchedKind(Protocol):
    """The metrics of a kind of label, from what rows add up to."""

    def describe_rows(
        self, rows: Mapping[str, np.ndarray], label: FittedLabel, threshold: float
    ) -> RowQuantities:
        """Return what rows add; see `LabelKind.make_scorer` for the arguments.

        Raises:
            ModelError: a prediction is not finite.
        """

    def measure_metrics(self, sketch: Sketch) -> dict[str, Bounded]:
        """Return the metrics of all rows: those of the kind's scorer, and how far off they are."""

    def measure_draws(self, sketch: Sketch) -> dict[str, np.ndarray]:
        """Return the metrics of all rows in few bins, and of every draw, (1 + draws,); NaN where
        they are not defined."""

    def count_outcomes(self, sketch: Sketch) -> dict[str, float]:
        """Return what the kind's scorer counts."""


SKETCHES: Mapping[str, SketchedKind] = {
    "binary": BinarySketch(),
    "regression": NumberSketch(),
    "count": CountSketch(),
}
"""Kind of label -> its metrics of many rows."""


def find_sketch(label: FittedLabel) -> SketchedKind | None:
    """Return what sketches the rows of a label; None where all rows are needed.

    These are labels of several classes, several labels a row, lists, and losses under `train.loss`.
    """
    if label.loss is not None or label.cutoffs:
        return None
    return SKETCHES.get(label.kind)
