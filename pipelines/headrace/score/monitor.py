"""Whether what is scored, and what comes out, is like what the model was trained and judged on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.lake.drift import ColumnDrift, id_drift, number_drift, unknown_drift
from headrace.lake.histogram import Axis, axes_from_json
from headrace.recipe import sections as s
from headrace.score.predicting import Found
from headrace.transform.spec import LabelSpec

_LABEL = "label"


@dataclass(frozen=True)
class Reference:
    """What is known from training; kept with the model.

    Attributes:
        axes: of the transform's columns.
        counts: column -> train rows in each bin or with each label.
        unknown: column -> values out of the vocabulary, of the train rows.
        prediction_axis: of predictions; None where there was no validation split.
        predictions: validation rows in each bin, or of each class.
    """

    axes: tuple[Axis, ...]
    counts: Mapping[str, np.ndarray]
    unknown: Mapping[str, int]
    prediction_axis: Axis | None
    predictions: np.ndarray | None

    @staticmethod
    def of(plain: Mapping[str, Any]) -> "Reference":
        """From the model's `reference.json`."""
        import json

        predictions = plain.get("predictions")
        axis = axes_from_json(json.dumps([predictions["axis"]]))[0] if predictions else None
        axes = axes_from_json(json.dumps(plain["axes"]))
        return Reference(
            axes=tuple(axis for axis in axes if axis.name != _LABEL),
            counts={name: np.array(counts, np.int64) for name, counts in plain["counts"].items()},
            unknown=plain["unknown"],
            prediction_axis=axis,
            predictions=np.array(predictions["counts"], np.int64) if predictions else None,
        )


def drift_of(
    reference: Reference, found: Found, label: LabelSpec, limits: s.Score
) -> tuple[ColumnDrift, ...]:
    """Every measure of every column that was scored, and of the predictions.

    Args:
        reference: from training.
        found: of the tasks.
        label: tells numbers from classes.
        limits: largest values.
    """
    measured: list[ColumnDrift | None] = []
    for axis in reference.axes:
        before, now = reference.counts.get(axis.name), found.counts.get(axis.name)
        if before is None or now is None:
            continue
        if axis.labels:
            measured.append(id_drift(axis.name, before, now, limits.max_distance))
        else:
            measured.append(number_drift(axis.name, before, now, limits.max_psi))
        if axis.unknown is not None:
            one = (reference.unknown.get(axis.name, 0), int(before.sum()))
            other = (found.unknown[axis.name], int(now.sum()))
            measured.append(unknown_drift(axis.name, one, other, limits.max_unknown))
    if reference.predictions is not None and found.predictions is not None:
        measure, limit = (
            (id_drift, limits.max_distance) if label.classes else (number_drift, limits.max_psi)
        )
        measured.append(measure("prediction", reference.predictions, found.predictions, limit))
    return tuple(m for m in measured if m is not None)
