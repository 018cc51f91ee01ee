"""What texts say: whole numbers, numbers, truth values, moments; what casts in Spark, and no more.

CSV and JSON files have texts alone, and Parquet has moments and numbers in texts, too. What is
found here is declared in the recipe (`source.tables.….columns`); a value that does not cast then
sends its row to quarantine, so that only few may be of another kind.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import PLAIN
from headrace.recipe.times import micros_of
from headrace.schema import ColumnType

IS_INTEGER = r"[+-]?\d{1,18}"
IS_REAL = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?|inf|infinity|nan)"
IS_BOOLEAN = r"true|false|yes|no|t|f|y|n"
IS_DATE = r"\d{4}-\d{2}-\d{2}"
# A date is wanted: Spark takes 10:30 for a time of today.
IS_TIME = IS_DATE + r"(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
# 00501 is a code, not five hundred and one.
_CODE = r"[+-]?0\d+"
# Share of values that may be of another kind than the rest.
_TOLERATED = 0.01
# Dates and numbers as people write them in some countries, which do not cast.
_FOREIGN = {
    r"\d{1,2}[./]\d{1,2}[./]\d{2,4}(?: .*)?": "a date or time that is not written as 2024-01-31",
    r"[+-]?\d{1,3}(?:\.\d{3})*,\d+": "a number with a decimal comma",
    r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?": "a number with commas between thousands",
}


@dataclass(frozen=True)
class Told:
    """What the texts of a column say.

    Attributes:
        type: in the words of the column contract; STRING where they are nothing but texts.
        declared: the recipe's word for it; empty where nothing is to be declared.
        values: as `PLAIN` has the type; null where a text does not cast.
        bad: texts that do not cast.
        example: one of them.
        foreign: what most of them are, if they are texts only because of how they are written.
    """

    type: ColumnType
    declared: str
    values: pa.Array
    bad: int = 0
    example: str = ""
    foreign: str = ""


def told(texts: pa.Array, *, whole_numbers: bool) -> Told:
    """What a column of texts says.

    Args:
        texts: string; null is missing.
        whole_numbers: also declare whole numbers and truth values; in Parquet somebody who had them
            chose texts for codes.
    """
    distinct = texts.unique().drop_null()
    if not len(distinct):
        return Told(ColumnType.STRING, "", texts)
    for kind, pattern in _kinds(distinct, whole_numbers=whole_numbers):
        fits = _matches(texts, pattern)
        there = len(texts) - texts.null_count
        good = pc.sum(fits).as_py() or 0
        if there - good > _TOLERATED * there:
            continue
        values = _cast(pc.if_else(fits, texts, pa.scalar(None, pa.string())), kind)
        bad = pc.and_(pc.is_null(values), pc.is_valid(texts))
        count = pc.sum(bad).as_py() or 0
        if count > _TOLERATED * there:
            continue
        example = texts.filter(bad)[0].as_py() if count else ""
        declared = "date" if kind is ColumnType.TIMESTAMP and _dates(distinct) else kind.value
        return Told(kind, declared, values, count, example)
    return Told(ColumnType.STRING, "", texts, foreign=_foreign(distinct))


def _kinds(distinct: pa.Array, *, whole_numbers: bool) -> list[tuple[ColumnType, str]]:
    kinds = [(ColumnType.TIMESTAMP, IS_TIME)]
    codes = pc.any(_matches(distinct, _CODE)).as_py()
    if not whole_numbers and pc.all(_matches(distinct, IS_INTEGER)).as_py():
        codes = True
    if not codes:
        kinds.append((ColumnType.REAL, IS_REAL))
    if whole_numbers:
        kinds.insert(0, (ColumnType.BOOLEAN, IS_BOOLEAN))
        if not codes:
            kinds.insert(1, (ColumnType.INTEGER, IS_INTEGER))
    return kinds


def _matches(texts: pa.Array, pattern: str) -> pa.Array:
    """Whether the whole text is as the pattern says, blanks around it and its case aside."""
    found = pc.match_substring_regex(texts, rf"^[ \t]*(?:{pattern})[ \t]*$", ignore_case=True)
    return pc.fill_null(found, False)


def _cast(texts: pa.Array, kind: ColumnType) -> pa.Array:
    texts = pc.utf8_trim_whitespace(texts)
    if kind is ColumnType.BOOLEAN:
        yes = pc.is_in(pc.utf8_lower(texts), pa.array(["true", "yes", "t", "y"]))
        return pc.if_else(pc.is_valid(texts), yes, pa.scalar(None, pa.bool_()))
    if kind is ColumnType.INTEGER:
        return pc.cast(pc.replace_substring_regex(texts, r"^\+", ""), pa.int64())
    distinct = texts.dictionary_encode()
    convert = _micros if kind is ColumnType.TIMESTAMP else float
    values = pa.array(
        [convert(text) for text in distinct.dictionary.to_pylist()],
        pa.int64() if kind is ColumnType.TIMESTAMP else pa.float64(),
    )
    return pc.cast(values, PLAIN[kind]).take(distinct.indices)


def _micros(text: str) -> int | None:
    try:
        return micros_of(text)
    except ValueError:  # the 30th of February
        return None


def _dates(distinct: pa.Array) -> bool:
    return bool(pc.all(_matches(distinct, IS_DATE)).as_py())


def _foreign(distinct: pa.Array) -> str:
    for pattern, what in _FOREIGN.items():
        if pc.mean(pc.cast(_matches(distinct, pattern), pa.float64())).as_py() > 1 - _TOLERATED:
            return what
    return ""
