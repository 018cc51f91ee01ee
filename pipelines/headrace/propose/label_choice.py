"""Choose the column that is the label: the one that `--label` names, or those most likely meant.

The label that a column becomes is left to `label`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from headrace.propose.columns import Column
from headrace.propose.label import MAX_CLASSES, LabelProposal, propose_label
from headrace.propose.names import is_nameable
from headrace.propose.option_error import OptionError
from headrace.propose.yaml_text import describe_value
from headrace.recipe.problems import suggest_nearest
from headrace.schema import ColumnType

_MAX_LIKELY = 3
_LABEL_NAMES = frozenset({
    "label", "target", "y", "class", "outcome", "result", "response", "churn", "churned", "fraud",
    "is_fraud", "default", "clicked", "click", "converted", "conversion", "survived", "price",
    "amount", "sales", "revenue", "rating", "score", "delay", "duration",
})  # fmt: skip


def get_label_column(
    name: str, columns: Mapping[str, Column], unusable: Mapping[str, str]
) -> Column:
    """Return the column that `--label` names.

    Raises:
        OptionError: there is no such column, or it cannot be predicted.
    """
    if name in unusable or (name in columns and not is_nameable(name)):
        raise OptionError(f"--label {name}: the column cannot be a label; it is {unusable[name]}")
    if name not in columns:
        raise OptionError(
            f"--label {name}: there is no such column; {suggest_nearest(name, list(columns))}"
        )
    column = columns[name]
    where = f"--label {name}"
    if column.type is ColumnType.TIMESTAMP:
        raise OptionError(
            f"{where}: the column is a time, which cannot be a label; choose a number, a condition "
            "or a class, for example a duration"
        )
    if column.type.value.startswith("list"):
        raise OptionError(
            f"{where}: the column is a list, which init proposes no label for; leave out --label, "
            "and if a row has any number of labels, write label.kind: multi_label in the recipe"
        )
    if not column.present_count:
        raise OptionError(f"{where}: all {column.rows:,} sampled values are null")
    if column.distinct_count == 1:
        raise OptionError(
            f"{where}: all {column.present_count:,} sampled values that are not null are "
            f"{describe_value(column.value_counts[0][0])}; there is nothing to learn"
        )
    return column


def list_likely_labels(columns: Iterable[Column]) -> list[LabelProposal]:
    """Propose the labels that are most likely meant, the likeliest column first."""
    possible = []
    for column in columns:
        if column.present_count and column.distinct_count > 1 and _is_likely_label(column):
            with suppress(OptionError):
                possible.append(propose_label(column))
    by_name = [label for label in possible if label.column.lower() in _LABEL_NAMES]
    conditions = [label for label in possible if label.kind == "binary"]
    ordered = {label.column: label for label in [*by_name, *conditions, *possible[::-1]]}
    return list(ordered.values())[:_MAX_LIKELY]


def _is_likely_label(column: Column) -> bool:
    """Return whether a column may be a label by its type, and is neither a key nor free text."""
    if column.type is ColumnType.STRING:
        return column.distinct_count <= MAX_CLASSES
    if column.type is ColumnType.INTEGER:
        return not column.is_unique
    return column.type in (ColumnType.REAL, ColumnType.BOOLEAN)
