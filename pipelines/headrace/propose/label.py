"""What can be predicted of a column, and how a recipe says so.

Two values make a condition; some texts or whole numbers make classes, rare ones together; other
numbers are regressed on. Of texts that are all different nothing is to be learnt as classes; a
condition on them is proposed then.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.columns import Column
from headrace.propose.names import in_sql, sql_text, usable
from headrace.propose.option_error import OptionError
from headrace.propose.yaml_text import shown
from headrace.recipe.problems import nearest
from headrace.schema import ColumnType

LabelKind = Literal["binary", "classes", "regression"]
_MOST_CLASSES = 50
# Whole numbers up to which they are classes; beyond, they are amounts.
_MOST_NUMBERED = 20
# Rows of the sample that a class of its own needs: so many, or of few rows this share, and two.
_CLASS_ROWS, _CLASS_SHARE = 20, 0.02
# Share of rows of the rarer class below which classes are weighed.
_RARE = 0.1
_OTHER = "(other)"
_MOST_LIKELY = 3
# Words for what a condition asks about.
_POSITIVE = frozenset({
    "true", "yes", "y", "t", "1", "positive", "pos", "success", "succeeded", "churned", "fraud",
    "failed", "late", "bad", "defect", "spam", "clicked", "converted", "won", "died",
})  # fmt: skip
_NUMBERS = (ColumnType.INTEGER, ColumnType.REAL)


@dataclass(frozen=True)
class LabelProposal:
    """A label.

    Attributes:
        column: that is predicted.
        expression: Spark SQL.
        kind: of the label.
        settings: further keys of the recipe's section.
        values: of the sampled rows: float64, or of classes texts; null where there is no label.
        why: for people.
    """

    column: str
    expression: str
    kind: LabelKind
    values: pa.Array
    settings: Mapping[str, Any] = field(default_factory=dict)
    why: tuple[str, ...] = ()

    @property
    def section(self) -> dict[str, Any]:
        """The recipe's section."""
        return {"expression": self.expression, "kind": self.kind, **self.settings}

    @property
    def missing(self) -> np.ndarray:
        """Bool (rows,)."""
        return self.values.is_null().to_numpy(zero_copy_only=False)

    @property
    def codes(self) -> np.ndarray:
        """int64 (rows,) that tell labels apart; -1 where there is none. Numbers are halved."""
        if self.kind == "regression":
            numbers = pc.fill_null(self.values, float("nan")).to_numpy(zero_copy_only=False)
            codes = (numbers > np.nanmedian(numbers)).astype(np.int64)
        else:
            codes = pc.fill_null(self.values.dictionary_encode().indices, -1).to_numpy()
        return np.where(self.missing, -1, codes)


def label_column(name: str, columns: Mapping[str, Column], unusable: Mapping[str, str]) -> Column:
    """The column that was asked for.

    Raises:
        OptionError: there is none of that name, or nothing can be predicted of it.
    """
    if name in unusable or (name in columns and not usable(name)):
        raise OptionError(f"--label {name}: the column cannot be a label; it is {unusable[name]}")
    if name not in columns:
        raise OptionError(
            f"--label {name}: there is no such column; {nearest(name, list(columns))}"
        )
    column = columns[name]
    where = f"--label {name}"
    if column.type is ColumnType.TIMESTAMP:
        raise OptionError(
            f"{where}: the column is a time, which is no label; choose a number, a condition or a "
            "class, for example a duration"
        )
    if column.type.value.startswith("list"):
        raise OptionError(
            f"{where}: the column is a list, which init proposes no label for; leave --label out, "
            "and where a row has any number of labels write label.kind: multi_label in the recipe"
        )
    if not column.there:
        raise OptionError(f"{where}: all {column.rows:,} sampled values are null")
    if column.distinct == 1:
        raise OptionError(
            f"{where}: all {column.there:,} sampled values that are there are "
            f"{shown(column.counts[0][0])}; there is nothing to learn"
        )
    return column


def propose_label(column: Column) -> LabelProposal:
    """The label that a column makes; see `label_column` for what it has to be.

    Raises:
        OptionError: too few of its values come more than once.
    """
    if column.type is ColumnType.BOOLEAN:
        return _weighed(column, in_sql(column.name), "binary", _float(column), ())
    if column.distinct == 2:
        return _one_of_two(column)
    if column.type is ColumnType.STRING:
        return _classes(column, in_sql(column.name), column.values)
    if _is_numbered(column):
        cast = in_sql(column.name)
        if column.type is ColumnType.REAL:
            cast = f"try_cast({cast} AS bigint)"
        whole = pc.cast(column.values, pa.int64(), safe=False)
        return _classes(column, cast, pc.cast(whole, pa.string()))
    low, middle, high = column.quantiles(0, 0.5, 1)
    why = f"{column.distinct:,} different numbers from {low:g} to {high:g}, median {middle:g}"
    return LabelProposal(
        column.name,
        in_sql(column.name),
        "regression",
        _finite(column),
        {"standardize": True},
        (why,),
    )


def _is_numbered(column: Column) -> bool:
    """Whether the numbers stand for classes: few of them, whole, each in many rows."""
    if column.distinct > _MOST_NUMBERED or column.there < _CLASS_ROWS * column.distinct / 2:
        return False
    numbers = column.numbers[~column.missing]
    return bool(np.all(numbers == np.floor(numbers)) and np.all(np.abs(numbers) < 2**53))


def _one_of_two(column: Column) -> LabelProposal:
    values = [value for value, _ in column.counts]
    named = [v for v in values if str(v).strip().lower() in _POSITIVE]
    if column.type in _NUMBERS:
        wanted: Any = max(values)  # type: ignore[type-var]
    else:
        wanted = named[0] if len(named) == 1 else values[1]
    return _is_value(column, wanted)


def _is_value(column: Column, wanted: Any) -> LabelProposal:
    text = sql_text(wanted) if isinstance(wanted, str) else repr(wanted)
    name = in_sql(column.name)
    if column.nulls > column.values.null_count:  # to Spark NaN is a number like others
        name = f"nullif({name}, double('NaN'))"
    hits = pc.equal(column.present, pa.scalar(wanted, column.values.type))
    places = np.full(column.rows, np.nan)
    places[~column.missing] = pc.cast(hits, pa.float64()).to_numpy()
    values = pa.array(places, pa.float64(), mask=column.missing)
    return _weighed(column, f"{name} = {text}", "binary", values, ())


def _classes(column: Column, expression: str, texts: pa.Array) -> LabelProposal:
    counted = Counter(texts.drop_null().to_pylist())
    needed = max(2, min(_CLASS_ROWS, round(_CLASS_SHARE * column.there)))
    often = [text for text, count in counted.most_common(_MOST_CLASSES) if count >= needed]
    rare = sum(counted.values()) - sum(counted[text] for text in often)
    if not rare:
        return _weighed(column, expression, "classes", texts, ())
    if not often:
        return _condition(column)
    rest = f"{len(counted) - len(often):,} other values"
    if len(often) == 1:
        if rare < needed:
            raise OptionError(
                f"--label {column.name}: nearly all values are {shown(often[0])}; {rest} come in "
                f"{rare:,} of {column.there:,} sampled rows together, too few to learn from"
            )
        return _is_value(column, column.counts[0][0])
    named = ", ".join(sql_text(t) if column.type is ColumnType.STRING else t for t in sorted(often))
    cast = expression if column.type is ColumnType.STRING else f"cast({expression} AS string)"
    cases = f"WHEN {expression} IN ({named}) THEN {cast}"
    known = pc.is_in(texts, pa.array(often))
    if rare >= needed:
        cases += f" WHEN {expression} IS NOT NULL THEN {sql_text(_OTHER)}"
        others = pc.if_else(pc.is_valid(texts), _OTHER, pa.scalar(None, pa.string()))
        fate = f"are {_OTHER}"
    else:
        others = pa.scalar(None, pa.string())
        fate = "are filtered"
    why = f"{rest}, in {rare:,} of {column.there:,} sampled rows together, {fate}"
    values = pc.if_else(known, texts, others)
    return _weighed(column, f"CASE {cases} END", "classes", values, (why,))


def _condition(column: Column) -> LabelProposal:
    """Of texts that hardly ever come twice: if a word is in them, or in which half they are."""
    texts, rows = column.present.to_pylist(), column.values.to_pylist()
    words = Counter(word for text in texts for word in set(text.split(" ")) if word.isalpha())
    shares = {word: count / len(texts) for word, count in words.items()}
    word = min(sorted(shares), key=lambda w: abs(shares[w] - 0.5), default="")
    name = in_sql(column.name)
    if word and 0.2 <= shares[word] <= 0.8:
        expression = f"array_contains(split({name}, ' '), {sql_text(word)})"
        hits = pa.array(
            [None if t is None else word in t.split(" ") for t in column.values.to_pylist()]
        )
    else:
        # As Spark compares: by bytes.
        middle = sorted(texts, key=str.encode)[(len(texts) - 1) // 2]
        expression = f"{name} > {sql_text(middle)}"
        hits = pa.array([None if t is None else t.encode() > middle.encode() for t in rows])
    why = (
        f"{column.distinct:,} different texts in {column.there:,} sampled rows: as classes there "
        "would be nothing to learn. This condition is an example; write the one that you mean"
    )
    return _weighed(column, expression, "binary", pc.cast(hits, pa.float64()), (why,))


def _weighed(
    column: Column, expression: str, kind: LabelKind, values: pa.Array, why: tuple[str, ...]
) -> LabelProposal:
    """With the shares of the classes, and weights where one of them is rare.

    Raises:
        OptionError: a condition has less than two rows on one side.
    """
    counts = Counter(values.drop_null().to_pylist())
    total = sum(counts.values())
    if kind == "binary":
        true = counts[1.0]
        told = f"true in {true:,} of {total:,} sampled rows ({true / total:.1%})"
        rarest = min(true, total - true) / total
        if min(true, total - true) < 2:
            raise OptionError(
                f"--label {column.name}: {expression} is {told}, which is too few of one kind to "
                "learn from"
            )
    else:
        named = ", ".join(f"{shown(v)} {n / total:.1%}" for v, n in counts.most_common(5))
        more = len(counts) - 5
        told = f"{len(counts)} classes: {named}" + (f", {more} more" if more > 0 else "")
        rarest = min(counts.values()) / total * len(counts) / 2  # 0.5 where all are as frequent
    if rarest >= _RARE:
        return LabelProposal(column.name, expression, kind, values, {}, (told, *why))
    weights = "class_weight: rare classes count for more in training, and probabilities shift"
    settings = {"class_weight": "balanced"}
    return LabelProposal(column.name, expression, kind, values, settings, (told, *why, weights))


def likely_labels(columns: Iterable[Column]) -> list[LabelProposal]:
    """What somebody most likely wants to predict, the likeliest column first."""
    possible = []
    for column in columns:
        if column.there and column.distinct > 1 and _is_likely(column):
            with suppress(OptionError):
                possible.append(propose_label(column))
    named = [label for label in possible if label.column.lower() in _LABEL_NAMES]
    conditions = [label for label in possible if label.kind == "binary"]
    ordered = {label.column: label for label in [*named, *conditions, *possible[::-1]]}
    return list(ordered.values())[:_MOST_LIKELY]


def _is_likely(column: Column) -> bool:
    """Neither a key nor a text of one's own."""
    if column.type is ColumnType.STRING:
        return column.distinct <= _MOST_CLASSES
    if column.type is ColumnType.INTEGER:
        return not column.unique
    return column.type in (ColumnType.REAL, ColumnType.BOOLEAN)


_LABEL_NAMES = frozenset({
    "label", "target", "y", "class", "outcome", "result", "response", "churn", "churned", "fraud",
    "is_fraud", "default", "clicked", "click", "converted", "conversion", "survived", "price",
    "amount", "sales", "revenue", "rating", "score", "delay", "duration",
})  # fmt: skip


def _float(column: Column) -> pa.Array:
    return pc.cast(column.values, pa.float64(), safe=False)


def _finite(column: Column) -> pa.Array:
    return pa.array(column.numbers, pa.float64(), mask=column.missing)
