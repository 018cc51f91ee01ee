"""Find columns that may leak the label, because they become known together with it.

There are three signs: a column explains nearly all of the label by itself, it is null where the
label is null, or it differs from another column by the label. Each is a figure of the sample, and
a good feature may have it; whether a column is known at the time of prediction, only people know.
What is near certain is found in `label_copies`.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from headrace.columns.values import RawKind
from headrace.evaluate.leakage import measure_feature_strengths
from headrace.labels.curves import SortedScores, compute_roc_auc
from headrace.propose.columns import Column
from headrace.propose.label import LabelProposal
from headrace.propose.roles import Role
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.source.types import RAW_KINDS
from headrace.transform.arrow import ArrowTransform, read_columns, stack_inputs
from headrace.transform.fit import FitInputs
from headrace.transform.spec import TransformSpec
from headrace.transform.summaries import LABEL_KEY

# From here on a column is suspicious. `headrace evaluate` measures the same and finds it so from
# 0.95 on, for regressions from 0.995.
LEAK_STRENGTH = 0.9
# Rows that it is measured on.
_MAX_ROWS = 20_000
# Rows without a label, and the share of them without the column, from which on nulls are a sign;
# the share has to be this many times that of the rows with a label.
_MIN_NULLS, _MIN_NULL_SHARE, _MIN_NULL_RATIO = 20, 0.5, 50
# Numbers and times whose differences are tried, and how much more of the label than the column
# itself a difference has to explain.
_MAX_PAIRED, _MIN_GAIN = 30, 0.1
# Strength from which on the label of a regression is a difference, and not only like one.
_EXACT_STRENGTH = 0.9999
_FEATURES_ADAPTER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, s.Feature])
_DERIVATIONS_ADAPTER: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, s.Derivation])


def find_null_together(columns: Sequence[Column], label: LabelProposal) -> dict[str, str]:
    """Find columns that are null where the label is.

    Returns:
        Column -> why it is suspicious; empty where most columns are null there: then the rows are
        empty, and the columns are not late.
    """
    unlabelled = label.missing_mask
    rows = int(unlabelled.sum())
    if rows < _MIN_NULLS or rows == len(unlabelled):
        return {}
    reasons = {}
    for column in columns:
        nulls = int(column.missing_mask[unlabelled].sum())
        other_nulls = int(column.missing_mask[~unlabelled].sum())
        share, other_share = nulls / rows, other_nulls / (len(unlabelled) - rows)
        if share >= _MIN_NULL_SHARE and share > _MIN_NULL_RATIO * other_share:
            reasons[column.name] = (
                f"null in {nulls:,} of {rows:,} sampled rows where {label.column} is, and in "
                f"{other_nulls:,} others"
            )
    return reasons if 2 * len(reasons) <= len(columns) else {}


def measure_strengths(
    columns: Mapping[str, Column], roles: Sequence[Role], label: LabelProposal
) -> dict[str, float]:
    """Measure how much of the label each feature explains by itself (`evaluate.leakage`).

    The features are measured as they are proposed, fitted on the sample.

    Returns:
        Feature -> strength, 0 to 1; empty where rows are too few to tell.
    """
    rows = np.flatnonzero(~label.missing_mask)[:_MAX_ROWS]
    features = {entry.name: dict(entry.settings) for role in roles for entry in role.features}
    if not features:
        return {}
    derive = {entry.name: dict(entry.settings) for role in roles for entry in role.derive}
    raw: dict[str, RawKind] = {
        role.column: RAW_KINDS[columns[role.column].type] for role in roles if role.features
    }
    fit_inputs = FitInputs(
        raw,
        _DERIVATIONS_ADAPTER.validate_python(derive),
        _FEATURES_ADAPTER.validate_python(features),
        s.Label(expression="label", kind=label.kind),
    )
    positions = pa.array(rows)
    table = pa.table({name: columns[name].values.take(positions) for name in raw})
    labels = label.values.take(positions)
    values = read_columns(table, raw, fit_inputs.list_derived_columns())
    statistics = {
        key: one.summarize(values) for key, one in fit_inputs.collect_summary_requests().items()
    }
    statistics[LABEL_KEY] = fit_inputs.summarize_labels(labels)
    spec = fit_inputs.fit_spec(statistics, set(raw))
    inputs = stack_inputs(ArrowTransform(spec)(table), spec)
    strengths = measure_feature_strengths(inputs, _encode_labels(labels, spec), spec, s.Leakage())
    return {item.feature: item.strength for item in strengths}


def _encode_labels(labels: pa.Array, spec: TransformSpec) -> np.ndarray:
    if spec.label.kind != "classes":
        return labels.to_numpy(zero_copy_only=False).astype(np.float64)
    positions = {name: position for position, name in enumerate(spec.label.classes)}
    return np.array([positions[text] for text in labels.to_pylist()], np.int64)


@dataclass(frozen=True)
class Difference:
    """A column that the label is the difference from another one, nearly.

    Attributes:
        other: the column that is subtracted.
        strength: how much of the label the difference explains, 0 to 1.
    """

    other: str
    strength: float

    @property
    def is_exact(self) -> bool:
        """Return whether it explains all but what rounding leaves."""
        return self.strength >= _EXACT_STRENGTH


def find_differences(columns: Sequence[Column], label: LabelProposal) -> dict[str, Difference]:
    """Find numbers and times that differ from another column by the label.

    Returns:
        Column -> the difference; of the two it is the one that the other is subtracted from: an
        arrival, not a departure.
    """
    if label.kind == "classes":
        return {}
    rows = np.flatnonzero(~label.missing_mask)[:_MAX_ROWS]
    truth = label.values.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    types = (ColumnType.INTEGER, ColumnType.REAL, ColumnType.TIMESTAMP)
    candidates = [c for c in columns if c.type in types and c.distinct_count > 2][:_MAX_PAIRED]
    numbers = {c.name: c.numbers[rows] for c in candidates}
    alone = {name: _measure_either_way(x, truth, label.kind) for name, x in numbers.items()}
    differences: dict[str, Difference] = {}
    for first, second in itertools.permutations(candidates, 2):
        if (first.type is ColumnType.TIMESTAMP) != (second.type is ColumnType.TIMESTAMP):
            continue
        if first.name in differences and differences[first.name].is_exact:
            continue
        strength = _measure_strength(numbers[first.name] - numbers[second.name], truth, label.kind)
        best = max(alone[first.name], alone[second.name])
        if strength < LEAK_STRENGTH or strength <= best + _MIN_GAIN:
            continue
        if first.name not in differences or strength > differences[first.name].strength:
            differences[first.name] = Difference(second.name, strength)
    return differences


def _measure_either_way(x: np.ndarray, truth: np.ndarray, kind: str) -> float:
    return max(_measure_strength(x, truth, kind), _measure_strength(-x, truth, kind))


def _measure_strength(difference: np.ndarray, truth: np.ndarray, kind: str) -> float:
    """Measure how much of the label a number that rises with it explains: R² of a line, or
    2 AUC - 1."""
    present = np.isfinite(difference)
    if present.sum() < 100 or present.mean() < 0.5:
        return 0.0
    x, y = difference[present], truth[present]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    if kind == "regression":
        correlation = float(np.corrcoef(x, y)[0, 1])
        return correlation**2 if correlation > 0 else 0.0
    ranked = SortedScores.from_rows((y > 0.5).astype(np.int64), x)
    return 2 * compute_roc_auc(*ranked.sum_positive_weights(np.ones(len(y)))) - 1
