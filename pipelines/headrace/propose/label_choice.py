"""Choose the column that is the label: the one that `--label` names, or those most likely meant.

The label that a column becomes is left to `label`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from headrace.errors import OptionError
from headrace.propose.columns import Column
from headrace.propose.label import MAX_CLASSES, LabelProposal, propose_label
from headrace.propose.names import is_nameable, split_words
from headrace.propose.roles import is_code, is_row_number
from headrace.propose.yaml_text import describe_value
from headrace.recipe.problems import suggest_nearest
from headrace.schema import ColumnType

_MAX_LIKELY = 3
# Up to this many texts are classes that somebody may want to predict.
_MAX_LIKELY_TEXTS, _MAX_LIKELY_NUMBERS = 20, 10
_MAX_COMMON_SHARE = 0.98
_LABEL_NAMES = frozenset({
    "label", "labels", "target", "y", "class", "classes", "outcome", "response", "ground_truth",
})  # fmt: skip
# Words in names of what is often predicted; the first ones of text of few values.
_CLASS_WORDS = frozenset({
    "species", "diagnosis", "category", "kind", "grade", "quality", "status", "sentiment", "digit",
    "variety", "verdict", "result", "type", "segment", "intent", "topic", "disease",
})  # fmt: skip
_GOAL_WORDS = frozenset({
    "churn", "churned", "fraud", "fraudulent", "default", "defaulted", "clicked", "click",
    "converted", "conversion", "survived", "survival", "attrition", "spam", "passed", "failed",
    "approved", "cancelled", "canceled", "died", "readmitted", "won", "sold", "affair", "affairs",
})  # fmt: skip
_AMOUNT_WORDS = frozenset({
    "price", "amount", "sales", "revenue", "rating", "score", "delay", "duration", "demand",
    "income", "cost", "spend", "consumption", "count", "yield", "progression", "expenditure",
    "mpg", "value",
})  # fmt: skip
# Words of what is known of a row before, and hardly ever predicted.
_GIVEN_WORDS = frozenset({
    "country", "state", "city", "region", "county", "island", "sex", "gender", "race", "religion",
    "month", "day", "year", "hour", "week", "weekday", "date", "time", "zone", "tz", "tzone",
    "timezone", "name", "origin", "location", "site", "store", "id", "code", "age", "lat", "lon",
    "latitude", "longitude", "zip", "zipcode", "dst", "currency", "unit", "split", "fold",
    "index", "rownames",
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


def list_likely_labels(columns: Iterable[Column], table_rows: int) -> list[LabelProposal]:
    """Propose the labels that are most likely meant, the likeliest column first.

    Args:
        columns: of the sample, in the table's order.
        table_rows: rows of the whole table.
    """
    every = list(columns)
    scores = {
        column.name: _score_column(column, position, len(every))
        for position, column in enumerate(every)
        if _is_likely_label(column) and not is_row_number(column, table_rows)
    }
    likely: list[LabelProposal] = []
    by_name = {column.name: column for column in every}
    for name in sorted(scores, key=lambda name: -scores[name]):
        if len(likely) == _MAX_LIKELY:
            break
        with suppress(OptionError):
            likely.append(propose_label(by_name[name]))
    return likely


def _score_column(column: Column, position: int, count: int) -> float:
    """Return how likely it is that a column is the label: by its name, its values, its place."""
    words = {*split_words(column.name)}
    name = "_".join(split_words(column.name))
    score = _score_values(column, position, count)
    if name in _LABEL_NAMES:
        score += 100
    elif words & {"label", "target", "outcome"}:
        score += 60
    elif words & _GOAL_WORDS:
        score += 50
    elif words & _CLASS_WORDS and column.distinct_count <= _MAX_LIKELY_TEXTS:
        score += 25
    elif words & _AMOUNT_WORDS:
        score += 20
    if words & _GIVEN_WORDS:
        score -= 40
    if column.value_counts[0][1] > _MAX_COMMON_SHARE * column.present_count:
        score -= 30  # nearly a constant
    if position == count - 1:
        score += 15  # by custom the label is the last column, or the first
    elif position == 0:
        score += 5
    return score


def _score_values(column: Column, position: int, count: int) -> float:
    if column.type is ColumnType.BOOLEAN or column.distinct_count == 2:
        return 25
    if column.type is ColumnType.STRING:
        return 30 if column.distinct_count <= _MAX_LIKELY_TEXTS else 0
    is_few = column.type is ColumnType.INTEGER and column.distinct_count <= _MAX_LIKELY_NUMBERS
    if is_few and position >= count - 2:
        return 20
    return 10 + 5 * position / max(1, count)


def _is_likely_label(column: Column) -> bool:
    """Return whether a column may be a label by its type, and is no constant, key or free text."""
    if not column.present_count or column.distinct_count < 2:
        return False
    if column.type is ColumnType.STRING:
        return column.distinct_count <= min(MAX_CLASSES, column.present_count // 2)
    if column.type is ColumnType.INTEGER:
        return not (column.is_unique and is_code(column))
    return column.type in (ColumnType.REAL, ColumnType.BOOLEAN)
