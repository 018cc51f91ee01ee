"""Propose a label from a column: the expression, the kind, and weights of rare classes.

A column of two values becomes a condition; a few texts or whole numbers become classes, with rare
ones together; other numbers become a regression. Texts that are all different would teach nothing
as classes: a condition on them is proposed instead. Which column is the label is left to
`label_choice`.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import OptionError
from headrace.number_text import format_share
from headrace.propose.columns import Column
from headrace.propose.names import quote_sql_column, quote_sql_text
from headrace.propose.yaml_text import describe_value
from headrace.schema import ColumnType

ProposedKind = Literal["binary", "classes", "regression"]
MAX_CLASSES = 50
# Up to this many distinct integers are treated as classes; more as quantities.
_MAX_NUMBERED = 20
# Fewest sampled rows of a separate class: this many, or this share of a small sample, at least 2.
_MIN_CLASS_ROWS, _MIN_CLASS_SHARE = 20, 0.02
# Share of rows of the rarer class below which classes are weighted.
_MIN_UNWEIGHTED_SHARE = 0.1
_OTHER = "(other)"
# Words for the value that a condition asks for.
_POSITIVE_WORDS = frozenset({
    "true", "yes", "y", "t", "1", "positive", "pos", "success", "succeeded", "churned", "fraud",
    "failed", "late", "bad", "defect", "spam", "clicked", "converted", "won", "died",
})  # fmt: skip
_NUMBER_TYPES = (ColumnType.INTEGER, ColumnType.REAL)


@dataclass(frozen=True)
class LabelProposal:
    """A proposed label.

    Attributes:
        column: the column that is predicted.
        expression: the label in Spark SQL.
        kind: the label's kind.
        settings: further keys of the recipe's section.
        values: labels of the sampled rows: float64, or texts of classes; null where there is none.
        reasons: comments for the recipe's reader.
    """

    column: str
    expression: str
    kind: ProposedKind
    values: pa.Array
    settings: Mapping[str, Any] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()

    @property
    def section(self) -> dict[str, Any]:
        """Return the recipe's section `label`."""
        return {"expression": self.expression, "kind": self.kind, **self.settings}

    @property
    def missing_mask(self) -> np.ndarray:
        """Return bool (rows,): whether a row has no label."""
        return self.values.is_null().to_numpy(zero_copy_only=False)

    @property
    def codes(self) -> np.ndarray:
        """Return int64 (rows,): a code per label, or per half of numbers; -1 where it is null."""
        if self.kind == "regression":
            numbers = pc.fill_null(self.values, float("nan")).to_numpy(zero_copy_only=False)
            codes = (numbers > np.nanmedian(numbers)).astype(np.int64)
        else:
            codes = pc.fill_null(self.values.dictionary_encode().indices, -1).to_numpy()
        return np.where(self.missing_mask, -1, codes)


def propose_label(column: Column) -> LabelProposal:
    """Propose a label from a column; `label_choice.get_label_column` checks that it can be one.

    Raises:
        OptionError: too few of its values occur more than once.
    """
    if column.type is ColumnType.BOOLEAN:
        return _build_weighted_label(
            column, quote_sql_column(column.name), "binary", _cast_to_float(column), ()
        )
    if column.distinct_count == 2:
        return _propose_one_of_two(column)
    if column.type is ColumnType.STRING:
        return _propose_classes(column, quote_sql_column(column.name), column.values)
    if _has_class_numbers(column):
        cast = quote_sql_column(column.name)
        if column.type is ColumnType.REAL:
            cast = f"try_cast({cast} AS bigint)"
        whole = pc.cast(column.values, pa.int64(), safe=False)
        return _propose_classes(column, cast, pc.cast(whole, pa.string()))
    low, middle, high = column.compute_quantiles(0, 0.5, 1)
    reason = (
        f"{column.distinct_count:,} different numbers from {low:g} to {high:g}, median {middle:g}"
    )
    return LabelProposal(
        column.name,
        quote_sql_column(column.name),
        "regression",
        _mask_nonfinite(column),
        {"standardize": True},
        (reason,),
    )


def _has_class_numbers(column: Column) -> bool:
    """Return whether the numbers are codes of classes: few, whole, and each in many rows."""
    if (
        column.distinct_count > _MAX_NUMBERED
        or column.present_count < _MIN_CLASS_ROWS * column.distinct_count / 2
    ):
        return False
    numbers = column.numbers[~column.missing_mask]
    return bool(np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) < 2**53))


def _propose_one_of_two(column: Column) -> LabelProposal:
    values = [value for value, _ in column.value_counts]
    positive_values = [v for v in values if str(v).strip().lower() in _POSITIVE_WORDS]
    if column.type in _NUMBER_TYPES:
        positive: Any = max(values)  # type: ignore[type-var]
    else:
        positive = positive_values[0] if len(positive_values) == 1 else values[1]
    return _propose_equality(column, positive)


def _propose_equality(column: Column, positive: Any) -> LabelProposal:
    text = quote_sql_text(positive) if isinstance(positive, str) else repr(positive)
    name = quote_sql_column(column.name)
    if column.null_count > column.values.null_count:  # to Spark NaN is a number like others
        name = f"nullif({name}, double('NaN'))"
    hits = pc.equal(column.present_values, pa.scalar(positive, column.values.type))
    labels = np.full(column.rows, np.nan)
    labels[~column.missing_mask] = pc.cast(hits, pa.float64()).to_numpy()
    values = pa.array(labels, pa.float64(), mask=column.missing_mask)
    return _build_weighted_label(column, f"{name} = {text}", "binary", values, ())


def _propose_classes(column: Column, expression: str, texts: pa.Array) -> LabelProposal:
    counts = Counter(texts.drop_null().to_pylist())
    min_rows = max(2, min(_MIN_CLASS_ROWS, round(_MIN_CLASS_SHARE * column.present_count)))
    frequent = [text for text, count in counts.most_common(MAX_CLASSES) if count >= min_rows]
    rare_rows = sum(counts.values()) - sum(counts[text] for text in frequent)
    if not rare_rows:
        return _build_weighted_label(column, expression, "classes", texts, ())
    if not frequent:
        return _propose_condition(column)
    others = f"{len(counts) - len(frequent):,} other values"
    if len(frequent) == 1:
        if rare_rows < min_rows:
            raise OptionError(
                f"--label {column.name}: nearly all values are {describe_value(frequent[0])}; "
                f"{others} occur in {rare_rows:,} of {column.present_count:,} sampled rows "
                "together, too few to learn from"
            )
        return _propose_equality(column, column.value_counts[0][0])
    listed = ", ".join(
        quote_sql_text(t) if column.type is ColumnType.STRING else t for t in sorted(frequent)
    )
    cast = expression if column.type is ColumnType.STRING else f"cast({expression} AS string)"
    cases = f"WHEN {expression} IN ({listed}) THEN {cast}"
    is_frequent = pc.is_in(texts, pa.array(frequent))
    if rare_rows >= min_rows:
        cases += f" WHEN {expression} IS NOT NULL THEN {quote_sql_text(_OTHER)}"
        rare_label = pc.if_else(pc.is_valid(texts), _OTHER, pa.scalar(None, pa.string()))
        treatment = f"are {_OTHER}"
    else:
        rare_label = pa.scalar(None, pa.string())
        treatment = "are filtered"
    rows = f"{rare_rows:,} of {column.present_count:,} sampled rows"
    reason = f"{others}, in {rows} together, {treatment}"
    values = pc.if_else(is_frequent, texts, rare_label)
    return _build_weighted_label(column, f"CASE {cases} END", "classes", values, (reason,))


def _propose_condition(column: Column) -> LabelProposal:
    """Propose a condition on texts that hardly ever repeat: a word in them, or their sort order."""
    texts, rows = column.present_values.to_pylist(), column.values.to_pylist()
    words = Counter(word for text in texts for word in set(text.split(" ")) if word.isalpha())
    shares = {word: count / len(texts) for word, count in words.items()}
    word = min(sorted(shares), key=lambda w: abs(shares[w] - 0.5), default="")
    name = quote_sql_column(column.name)
    if word and 0.2 <= shares[word] <= 0.8:
        expression = f"array_contains(split({name}, ' '), {quote_sql_text(word)})"
        hits = pa.array(
            [None if t is None else word in t.split(" ") for t in column.values.to_pylist()]
        )
    else:
        # Spark compares texts by their bytes.
        middle = sorted(texts, key=str.encode)[(len(texts) - 1) // 2]
        expression = f"{name} > {quote_sql_text(middle)}"
        hits = pa.array([None if t is None else t.encode() > middle.encode() for t in rows])
    reason = (
        f"{column.distinct_count:,} different texts in {column.present_count:,} sampled rows: as "
        "classes there would be nothing to learn. This condition is an example; write the one that "
        "you mean"
    )
    labels = pc.cast(hits, pa.float64())
    return _build_weighted_label(column, expression, "binary", labels, (reason,))


def _build_weighted_label(
    column: Column, expression: str, kind: ProposedKind, values: pa.Array, reasons: tuple[str, ...]
) -> LabelProposal:
    """Build the label, with the shares of its classes, and class weights where one is rare.

    Raises:
        OptionError: a condition is true, or false, in less than two rows.
    """
    counts = Counter(values.drop_null().to_pylist())
    total = sum(counts.values())
    if kind == "binary":
        true = counts[1.0]
        summary = f"true in {true:,} of {total:,} sampled rows ({format_share(true / total)})"
        rarest = min(true, total - true) / total
        if min(true, total - true) < 2:
            raise OptionError(
                f"--label {column.name}: {expression} is {summary}, which is too few of one "
                "kind to learn from"
            )
    else:
        shares = ", ".join(
            f"{describe_value(v)} {format_share(n / total)}" for v, n in counts.most_common(5)
        )
        more = len(counts) - 5
        summary = f"{len(counts)} classes: {shares}" + (f", {more} more" if more > 0 else "")
        rarest = min(counts.values()) / total * len(counts) / 2  # 0.5 where all are as frequent
    if rarest >= _MIN_UNWEIGHTED_SHARE:
        return LabelProposal(column.name, expression, kind, values, {}, (summary, *reasons))
    weights = (
        "class_weight: rare classes count for more in training, and predicted probabilities are no "
        "longer calibrated"
    )
    settings = {"class_weight": "balanced"}
    reasons = (summary, *reasons, weights)
    return LabelProposal(column.name, expression, kind, values, settings, reasons)


def _cast_to_float(column: Column) -> pa.Array:
    return pc.cast(column.values, pa.float64(), safe=False)


def _mask_nonfinite(column: Column) -> pa.Array:
    return pa.array(column.numbers, pa.float64(), mask=column.missing_mask)
