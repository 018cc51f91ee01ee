"""Columns that probably become known together with the label, and so are no features.

Three signs: they say nearly all of the label by themselves, they are null where it is null, or two
of them differ by it. Each is a figure of the sample; whether a column is known at the moment of
prediction, only people know.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from headrace.evaluate.curves import Ranked, roc_auc
from headrace.evaluate.leakage import strengths
from headrace.propose.columns import Column
from headrace.propose.label import LabelProposal
from headrace.propose.roles import Role
from headrace.recipe import sections as s
from headrace.schema import ColumnType
from headrace.source.types import RAW_KIND
from headrace.transform.arrow import ArrowTransform, read_columns, stacked_inputs
from headrace.transform.fit import Unfitted
from headrace.transform.spec import RawKind, TransformSpec
from headrace.transform.variables import LABEL

# What `headrace evaluate` measures and finds suspicious from 0.95 on, of regressions from 0.995.
LIMIT = 0.9
# Rows on which it is measured.
_ROWS = 20_000
# Rows without a label, and the share of them without the column, from which on that is a sign; it
# has to be so many times as frequent as with a label.
_NULLS, _NULL_SHARE, _TIMES = 20, 0.5, 50
# Numbers and times of which differences are tried, and what a difference says more than a column.
_MOST_PAIRED, _BY_THE_OTHER = 30, 0.1
_FEATURES: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, s.Feature])
_DERIVED: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, s.Derivation])


def null_together(columns: Sequence[Column], label: LabelProposal) -> dict[str, str]:
    """Column -> why it is suspicious, for columns that are null where the label is.

    None where most columns are: then rows are empty, and not the columns late.
    """
    without = label.missing
    rows = int(without.sum())
    if rows < _NULLS or rows == len(without):
        return {}
    found = {}
    for column in columns:
        nulls = int(column.missing[without].sum())
        others = int(column.missing[~without].sum())
        share, other_share = nulls / rows, others / (len(without) - rows)
        if share >= _NULL_SHARE and share > _TIMES * other_share:
            found[column.name] = (
                f"null in {nulls:,} of {rows:,} sampled rows where {label.column} is, and in "
                f"{others:,} others"
            )
    return found if 2 * len(found) <= len(columns) else {}


def says_alone(
    columns: Mapping[str, Column], roles: Sequence[Role], label: LabelProposal
) -> dict[str, float]:
    """Feature -> how much of the label it says by itself, 0 to 1; see `evaluate.leakage`.

    Measured with the features as they are proposed, fitted on the sample. Empty where rows are too
    few to say.
    """
    rows = np.flatnonzero(~label.missing)[:_ROWS]
    features = {line.name: dict(line.settings) for role in roles for line in role.features}
    if not features:
        return {}
    derive = {line.name: dict(line.settings) for role in roles for line in role.derive}
    raw: dict[str, RawKind] = {
        role.column: RAW_KIND[columns[role.column].type] for role in roles if role.features
    }
    unfitted = Unfitted(
        raw,
        _DERIVED.validate_python(derive),
        _FEATURES.validate_python(features),
        s.Label(expression="label", kind=label.kind),
    )
    taken = pa.array(rows)
    table = pa.table({name: columns[name].values.take(taken) for name in raw})
    labels = label.values.take(taken)
    values = read_columns(table, raw, unfitted.derived())
    statistics = {key: one.of(values) for key, one in unfitted.variables().items()}
    statistics[LABEL] = unfitted.label_of(labels)
    spec = unfitted.fitted(statistics, set(raw))
    inputs = stacked_inputs(ArrowTransform(spec)(table), spec)
    found = strengths(inputs, _truth(labels, spec), spec, s.Leakage())
    return {item.feature: item.strength for item in found}


def _truth(labels: pa.Array, spec: TransformSpec) -> np.ndarray:
    if spec.label.kind != "classes":
        return labels.to_numpy(zero_copy_only=False).astype(np.float64)
    place = {name: position for position, name in enumerate(spec.label.classes)}
    return np.array([place[text] for text in labels.to_pylist()], np.int64)


def differences(columns: Sequence[Column], label: LabelProposal) -> dict[str, str]:
    """Column -> why it is suspicious, for numbers and times that differ from another by the label.

    Of the two it is the one that the other is taken from: an arrival, not a departure.
    """
    if label.kind == "classes":
        return {}
    rows = np.flatnonzero(~label.missing)[:_ROWS]
    truth = label.values.take(pa.array(rows)).to_numpy(zero_copy_only=False)
    kinds = (ColumnType.INTEGER, ColumnType.REAL, ColumnType.TIMESTAMP)
    tried = [c for c in columns if c.type in kinds and c.distinct > 2][:_MOST_PAIRED]
    found = {}
    for first, second in itertools.permutations(tried, 2):
        if (first.type is ColumnType.TIMESTAMP) != (second.type is ColumnType.TIMESTAMP):
            continue
        if first.name in found:
            continue
        strength = _strength(first.numbers[rows] - second.numbers[rows], truth, label.kind)
        alone = _strength(first.numbers[rows], truth, label.kind)
        if strength >= LIMIT and strength > alone + _BY_THE_OTHER:
            found[first.name] = (
                f"minus {second.name} it says {strength:.0%} of {label.column} in the sample"
            )
    return found


def _strength(difference: np.ndarray, truth: np.ndarray, kind: str) -> float:
    """Of a number that rises with the label: R² of a line, or 2 AUC - 1."""
    there = np.isfinite(difference)
    if there.sum() < 100 or there.mean() < 0.5:
        return 0.0
    x, y = difference[there], truth[there]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    if kind == "regression":
        correlation = float(np.corrcoef(x, y)[0, 1])
        return correlation**2 if correlation > 0 else 0.0
    ranked = Ranked.of((y > 0.5).astype(np.int64), x)
    return 2 * roc_auc(*ranked.counts(np.ones(len(y)))) - 1
