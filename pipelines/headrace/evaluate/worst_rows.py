"""Find the test rows that the model is most wrong about, and their raw values.

Which rows they are is decided by the loss that labels of this kind are trained with, row by row.
What may be shown of them is what lies beside the rows of the dataset: the raw columns that features
read, and those of `dataset.keep`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.evaluate.class_names import describe_class
from headrace.evaluate.importance import Importance
from headrace.labels.kind import Form
from headrace.labels.spec import LabelSpec
from headrace.lake.build import Build
from headrace.number_text import format_number, format_share
from headrace.recipe import sections as s

_MOST_COLUMNS = 8  # raw columns beside a row, those of the key not counted
_MOST_NAMES = 5  # labels of several that are named


@dataclass(frozen=True)
class WorstRows:
    """The rows of the test split that the model is most wrong about, the worst first.

    Attributes:
        positions: among the predicted rows.
        losses: of each.
        truths, predictions: in words.
        columns: raw column -> value of each row as text; None where it is missing.
    """

    positions: Sequence[int] = ()
    losses: Sequence[float] = ()
    truths: Sequence[str] = ()
    predictions: Sequence[str] = ()
    columns: Mapping[str, Sequence[str | None]] | None = None


def find_worst_rows(
    rows: Mapping[str, np.ndarray], label: LabelSpec, names: Sequence[str], most: int
) -> WorstRows:
    """Find the rows of the highest loss.

    Args:
        rows: labels and outputs, see `predictions.PredictedRows`.
        label: what labels mean.
        names: of classes, see `class_names`.
        most: rows to find; those without weight, or without a finite loss, are left out.
    """
    kind = label.definition
    truth, output = rows["label"], rows[kind.output]
    losses = np.asarray(kind.compute_own_losses(output, truth), np.float64)
    if losses.ndim == 2:
        losses = losses.mean(axis=1)
    if kind.form is Form.NUMBER:
        losses = np.abs(kind.convert_output(output, label) - kind.convert_output(truth, label))
    usable = np.isfinite(losses)
    if "sample_weight" in rows:
        usable &= rows["sample_weight"] > 0
    ranked = np.where(usable, losses, -np.inf)
    most = min(most, int(usable.sum()))
    # Not a full sort: there may be millions of rows. Ties are in the order of the rows.
    if 0 < most < len(ranked):
        limit = np.partition(ranked, len(ranked) - most)[len(ranked) - most]
        found = np.flatnonzero(ranked >= limit)
    else:
        found = np.flatnonzero(usable)
    positions = found[np.argsort(-ranked[found], kind="stable")][:most]
    return WorstRows(
        positions=positions.tolist(),
        losses=losses[positions].tolist(),
        truths=[_describe_truth(truth[n], label, names) for n in positions],
        predictions=[_describe_output(output[n], label, names) for n in positions],
    )


def choose_columns(
    build: Build, slices: Sequence[s.Slice], importances: Sequence[Importance]
) -> list[str]:
    """Return the raw columns that are shown beside a row: of the key, of slices, of the features
    that matter most, then any others; only those whose values lie beside the rows."""
    kept = [name for name in build.stored if name in build.kept]
    key = [name for name in build.key_types if name in build.stored]
    wanted = dict.fromkeys(
        [
            *(name for item in slices for name in item.columns),
            *(item.feature for item in importances),
            *kept,
            *build.stored,
        ]
    )
    shown = [name for name in wanted if name in build.stored and name not in key]
    return [*key, *shown[:_MOST_COLUMNS]]


def format_values(values: pa.Array | pa.ChunkedArray) -> list[str | None]:
    """Return raw values as texts; None where one is missing."""
    return [None if value is None else _format_value(value) for value in values.to_pylist()]


def _format_value(value: Any) -> str:
    return format_number(value, 6) if isinstance(value, float) else str(value)


def _describe_truth(truth: Any, label: LabelSpec, names: Sequence[str]) -> str:
    kind = label.definition
    if np.ndim(truth):
        return _name_labels(np.flatnonzero(truth > 0), label)
    if kind.form is Form.NUMBER:
        return format_number(float(kind.convert_output(truth, label)), 5)
    return describe_class(names, int(truth))


def _describe_output(output: Any, label: LabelSpec, names: Sequence[str]) -> str:
    kind = label.definition
    if kind.form is Form.NUMBER:
        return format_number(float(kind.convert_output(output, label)), 5)
    if kind.form is Form.CLASS:
        best = int(np.argmax(output))
        return f"{describe_class(names, best)} ({format_share(float(output[best]))})"
    if np.ndim(output):
        return _name_labels(np.argsort(-output, kind="stable")[:_MOST_NAMES], label, output)
    return f"{describe_class(names, 1)}: {format_share(float(output))}"


def _name_labels(positions: np.ndarray, label: LabelSpec, output: np.ndarray | None = None) -> str:
    if not len(positions):
        return "none"
    shown = [
        label.classes[n] + (f" ({format_share(float(output[n]))})" if output is not None else "")
        for n in positions[:_MOST_NAMES]
    ]
    left = len(positions) - len(shown)
    return ", ".join(shown) + (f" and {left} more" if left else "")
