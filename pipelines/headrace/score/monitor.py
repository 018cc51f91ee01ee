"""Measure how far scored rows and their predictions drifted from those of training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from headrace.columns.dataset_columns import LABEL
from headrace.columns.histogram import HistogramAxis, axes_from_json, find_with_missing
from headrace.labels.spec import LabelSpec
from headrace.lake.drift import (
    ColumnDrift,
    measure_id_drift,
    measure_missing_drift,
    measure_number_drift,
    measure_unknown_drift,
)
from headrace.recipe import sections as s
from headrace.score.task_results import TaskResults


@dataclass(frozen=True)
class Reference:
    """The reference distributions from training, stored with the model.

    Attributes:
        axes: of the transform's columns.
        counts: column -> train rows in each bin or with each label.
        unknown: column -> values out of the vocabulary, of the train rows.
        missing: raw column -> train rows where it is missing; none of an older Headrace's model.
        rows: train rows.
        prediction_axis: of predictions; None where there was no validation split.
        predictions: validation rows in each bin, or of each class.
    """

    axes: tuple[HistogramAxis, ...]
    counts: Mapping[str, np.ndarray]
    unknown: Mapping[str, int]
    missing: Mapping[str, int]
    rows: int
    prediction_axis: HistogramAxis | None
    predictions: np.ndarray | None

    @staticmethod
    def from_json(plain: Mapping[str, Any]) -> "Reference":
        """Return the reference of a model's `reference.json`, parsed."""
        import json

        predictions = plain.get("predictions")
        axis = axes_from_json(json.dumps([predictions["axis"]]))[0] if predictions else None
        axes = axes_from_json(json.dumps(plain["axes"]))
        return Reference(
            axes=tuple(axis for axis in axes if axis.name != LABEL),
            counts={name: np.array(counts, np.int64) for name, counts in plain["counts"].items()},
            unknown=plain["unknown"],
            missing=plain.get("missing", {}),
            rows=plain.get("rows", 0),
            prediction_axis=axis,
            predictions=np.array(predictions["counts"], np.int64) if predictions else None,
        )


def measure_drift(
    reference: Reference, results: TaskResults, label: LabelSpec, limits: s.Score
) -> tuple[ColumnDrift, ...]:
    """Measure the drift of every column that was scored, and of the predictions.

    Args:
        reference: from training.
        results: of the tasks, added up.
        label: tells numbers from classes.
        limits: largest values that are no drift.
    """
    measured: list[ColumnDrift | None] = []
    for axis in reference.axes:
        before, now = reference.counts.get(axis.name), results.counts.get(axis.name)
        if before is None or now is None:
            continue
        if axis.labels:
            measured.append(measure_id_drift(axis.name, before, now, limits.max_distance))
        else:
            measured.append(measure_number_drift(axis.name, before, now, limits.max_psi))
        if axis.unknown is not None:
            unknown_before = (reference.unknown.get(axis.name, 0), int(before.sum()))
            unknown_now = (results.unknown[axis.name], int(now.sum()))
            measured.append(
                measure_unknown_drift(axis.name, unknown_before, unknown_now, limits.max_unknown)
            )
    measured += measure_missing_drift(
        (reference.missing, reference.rows),
        (results.missing, results.rows),
        limits.max_distance,
        find_with_missing({axis.name: axis.labels for axis in reference.axes}),
    )
    if reference.predictions is not None and results.predictions is not None:
        measure, limit = (
            (measure_id_drift, limits.max_distance)
            if label.classes
            else (measure_number_drift, limits.max_psi)
        )
        measured.append(measure("prediction", reference.predictions, results.predictions, limit))
    return tuple(m for m in measured if m is not None)
