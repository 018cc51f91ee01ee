"""Find columns that are the label once more: copies, and columns that are named as its results.

These are near certain in the sample, so they are kept from the features. What merely explains much
of the label is a suspicion (`leaks`): the best feature does so, too.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.number_text import format_share
from headrace.propose.columns import Column
from headrace.propose.label import LabelProposal
from headrace.propose.names import split_words
from headrace.propose.roles import is_calendar, is_row_number
from headrace.propose.yaml_text import describe_value
from headrace.schema import ColumnType

# Rows of the rarer kind of label, and different numbers, from which on a copy is no chance.
_MIN_CLASS_ROWS, _MIN_NUMBERS = 5, 20
# Rank correlation of a copy that was rounded.
_COPY_CORRELATION = 0.9999
_SCALARS = frozenset({
    ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN, ColumnType.STRING,
})  # fmt: skip
# Words that name a result, beside the label's own: churn_reason, predicted_price.
_RESULT_WORDS = frozenset({
    "reason", "cause", "result", "outcome", "predicted", "prediction", "pred", "forecast",
    "estimated", "estimate", "actual", "final", "prob", "probability", "score", "status", "flag",
    "date", "time", "at", "encoded", "code", "id", "name", "category", "bucket", "bin", "band",
    "log", "scaled", "normalized", "rank", "per",
})  # fmt: skip
# Strength from which on such a name is believed.
_MIN_NAMED_STRENGTH = 0.5
_GENERIC_WORDS = frozenset({
    "is", "has", "was", "did", "label", "target", "class", "value", "total", "y", "n", "the", "of",
    "time", "date", "delay", "count", "amount", "number", "type", "status", "code", "id", "name",
})  # fmt: skip


def find_copies(columns: Sequence[Column], label: LabelProposal, table_rows: int) -> dict[str, str]:
    """Find columns of which the label can be told without an error in the sample.

    Args:
        columns: of the features.
        label: what is predicted.
        table_rows: rows of the whole table.

    Returns:
        Column -> why it is a copy.
    """
    reasons = {}
    for column in columns:
        if column.type not in _SCALARS or is_row_number(column, table_rows):
            continue
        reason = (
            _find_monotone_copy(column, label)
            if label.kind == "regression"
            else _find_class_copy(column, label)
        )
        if reason:
            reasons[column.name] = reason
    return reasons


def _find_monotone_copy(column: Column, label: LabelProposal) -> str:
    """Return why numbers rise or fall with the label, without an exception; empty if not."""
    if column.type is ColumnType.STRING or is_calendar(column):  # what grows is no copy of the time
        return ""
    labels = pc.fill_null(label.values, float("nan")).to_numpy(zero_copy_only=False)
    numbers = column.numbers
    both = np.isfinite(numbers) & np.isfinite(labels)
    if both.sum() < 0.9 * np.isfinite(labels).sum():
        return ""
    x, y = numbers[both], labels[both]
    from scipy.stats import rankdata  # it takes a second, which not every command has to pay

    fewer = min(len(np.unique(x)), len(np.unique(y)))
    if fewer < _MIN_NUMBERS or 2 * fewer < max(len(np.unique(x)), len(np.unique(y))):
        return ""
    correlation = float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])
    if abs(correlation) < _COPY_CORRELATION:
        return ""
    direction = "rises" if correlation > 0 else "falls"
    return f"{direction} with {label.column} in all sampled rows: a copy of it, in other units"


def _find_class_copy(column: Column, label: LabelProposal) -> str:
    """Return why the label follows from a column's value, and the value from the label."""
    codes = label.codes
    has_label = codes >= 0
    labels = codes[has_label]
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.min() < _MIN_CLASS_ROWS:
        return ""
    encoded = column.values.filter(pa.array(has_label)).dictionary_encode()
    indices = encoded.indices
    values = np.asarray(indices.fill_null(pa.scalar(-1, indices.type)), np.int64) + 1
    pairs = np.unique(np.stack([values, labels]), axis=1)
    value_count = len(np.unique(values))
    if value_count == pairs.shape[1] == len(counts):
        return f"each of its {value_count} values occurs with one value of {label.column} alone"
    if len(counts) > 2:
        return ""
    for kind in np.unique(labels):
        (own,) = np.nonzero(pairs[1] == kind)
        others = set(pairs[0][pairs[1] != kind].tolist())
        if len(own) == 1 and int(pairs[0][own[0]]) not in others:
            position = int(pairs[0][own[0]]) - 1
            value = (
                describe_value(encoded.dictionary[position].as_py()) if position >= 0 else "null"
            )
            rows = f"{int((labels == kind).sum()):,} sampled rows"
            return f"{value} in all {rows} of one label, and in no other row"
    return ""


def find_named_results(
    columns: Sequence[Column],
    label: LabelProposal,
    strengths: Mapping[str, float],
    null_together: Mapping[str, str],
) -> dict[str, str]:
    """Find columns whose names say that they are known with the label, and whose values agree.

    Args:
        columns: of the features.
        label: what is predicted.
        strengths: column -> share of the label that it explains.
        null_together: column -> why, of those that are null where the label is.

    Returns:
        Column -> why it is a result.
    """
    own = {_stem(word) for word in split_words(label.column)}
    specific = own - _GENERIC_WORDS
    reasons = {}
    for column in columns:
        words = split_words(column.name)
        stems = {_stem(word) for word in words}
        if specific and specific & stems and column.name in null_together:
            reasons[column.name] = null_together[column.name]
        elif specific and own <= stems and _RESULT_WORDS & {*words}:
            strength = strengths.get(column.name, 0.0)
            if strength >= _MIN_NAMED_STRENGTH:
                reasons[column.name] = (
                    f"named as a result of {label.column}, of which it explains "
                    f"{format_share(strength)}"
                )
    return reasons


def _stem(word: str) -> str:
    """Return the word without the ending of a participle or a plural: churned -> churn."""
    for ending in ("ing", "ed", "s"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending)
    return word
