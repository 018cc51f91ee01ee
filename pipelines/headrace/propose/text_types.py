"""Infer the type that texts spell (number, truth value, time), by what Spark casts and no more.

CSV and JSON files hold nothing but texts, and Parquet files hold times and numbers in texts, too.
The type that is inferred here is declared in the recipe (`source.tables.….columns`); a value that
does not cast then sends its row to quarantine, so only few values may be of another type.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from headrace.propose.arrow_types import ARROW_TYPES
from headrace.propose.written_times import find_written_times, parse_written_time
from headrace.recipe.declared_types import parse_declared_type
from headrace.recipe.times import parse_time_to_micros
from headrace.schema import ColumnType

INTEGER_PATTERN = r"[+-]?\d{1,19}"
REAL_PATTERN = r"[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?|inf|infinity|nan)"
BOOLEAN_PATTERN = r"true|false|yes|no|t|f|y|n"
DATE_PATTERN = r"\d{4}-\d{2}-\d{2}"
# The date is required: Spark takes 10:30 for a time of today.
TIME_PATTERN = (
    DATE_PATTERN + r"(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
)
# 00501 is a code, not five hundred and one; and so are digits that 64 bits do not hold.
_CODE_PATTERN = r"[+-]?0\d+"
_LONG_PATTERN = r"[+-]?\d{19,}"
# Share of values that may be of another type than the rest.
_MAX_UNCASTABLE_SHARE = 0.01
# Dates and numbers as they are written in some countries, which do not cast.
_FOREIGN_FORMATS = {
    r"\d{1,2}[./-]\d{1,2}[./-]\d{2}(?: .*)?": "a date whose year has two digits",
    r"\d{1,2}[./]\d{1,2}[./]\d{4}(?: .*)?": "a date or time that is not written as 2024-01-31",
    r"[+-]?\d{1,3}(?:\.\d{3})*,\d+": "a number with a decimal comma",
    r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d+)?": "a number with commas between thousands",
}


@dataclass(frozen=True)
class TypedTexts:
    """The values that a column of texts spells.

    Attributes:
        type: the column contract's type; STRING where they are nothing but texts.
        declared_type: the recipe's word for it; empty where nothing is to be declared.
        values: the values, of the Arrow type in `ARROW_TYPES`; null where a text does not cast.
        uncastable_count: texts that do not cast.
        uncastable_example: one of them.
        foreign_format: how most texts are written, where that is why they do not cast.
        remark: what else a reader of the recipe should know.
    """

    type: ColumnType
    declared_type: str
    values: pa.Array
    uncastable_count: int = 0
    uncastable_example: str = ""
    foreign_format: str = ""
    remark: str = ""


def infer_text_type(texts: pa.Array, *, whole_numbers: bool) -> TypedTexts:
    """Infer the type that nearly all texts of a column spell, and cast them to it.

    Args:
        texts: string; null is missing.
        whole_numbers: also declare whole numbers and truth values; in Parquet, which has types for
            them, texts of digits are codes.
    """
    distinct = texts.unique().drop_null()
    if not len(distinct):
        return TypedTexts(ColumnType.STRING, "", texts)
    present_count = len(texts) - texts.null_count
    for text_type, pattern in _list_candidate_types(distinct, whole_numbers=whole_numbers):
        matches = _match_pattern(texts, pattern)
        match_count = pc.sum(matches).as_py() or 0
        if present_count - match_count > _MAX_UNCASTABLE_SHARE * present_count:
            continue
        values = _cast_texts(pc.if_else(matches, texts, pa.scalar(None, pa.string())), text_type)
        is_uncastable = pc.and_(pc.is_null(values), pc.is_valid(texts))
        count = pc.sum(is_uncastable).as_py() or 0
        if count > _MAX_UNCASTABLE_SHARE * present_count:
            continue
        example = texts.filter(is_uncastable)[0].as_py() if count else ""
        is_date = text_type is ColumnType.TIMESTAMP and _has_only_dates(distinct)
        return TypedTexts(text_type, "date" if is_date else text_type.value, values, count, example)
    written = _read_written_times(texts, distinct)
    if written is not None:
        return written
    return TypedTexts(ColumnType.STRING, "", texts, foreign_format=_find_foreign_format(distinct))


def _read_written_times(texts: pa.Array, distinct: pa.Array) -> TypedTexts | None:
    """Read dates such as Jun 12 1998 or 12.06.1998; None where the texts are none."""
    if not pc.all(pc.match_substring_regex(distinct.slice(0, 20), r"\d{4}|\d[ ,.-]")).as_py():
        return None
    times = find_written_times(distinct.to_pylist(), _MAX_UNCASTABLE_SHARE)
    if times is None:
        return None
    pattern = parse_declared_type(times.declared_type).pattern
    encoded = texts.dictionary_encode()
    micros = [parse_written_time(text, pattern) for text in encoded.dictionary.to_pylist()]
    values = pc.cast(pa.array(micros, pa.int64()), ARROW_TYPES[ColumnType.TIMESTAMP])
    values = values.take(encoded.indices)
    is_uncastable = pc.and_(pc.is_null(values), pc.is_valid(texts))
    count = pc.sum(is_uncastable).as_py() or 0
    if count > _MAX_UNCASTABLE_SHARE * (len(texts) - texts.null_count):
        return None
    example = texts.filter(is_uncastable)[0].as_py() if count else ""
    return TypedTexts(
        ColumnType.TIMESTAMP, times.declared_type, values, count, example, remark=times.remark
    )


def _list_candidate_types(
    distinct: pa.Array, *, whole_numbers: bool
) -> list[tuple[ColumnType, str]]:
    candidates = [(ColumnType.TIMESTAMP, TIME_PATTERN)]
    are_codes = pc.any(_match_pattern(distinct, _CODE_PATTERN)).as_py()
    long = distinct.filter(_match_pattern(distinct, _LONG_PATTERN)).to_pylist()
    if not all(-(2**63) <= int(text) < 2**63 for text in long):
        are_codes = True
    if not whole_numbers and pc.all(_match_pattern(distinct, INTEGER_PATTERN)).as_py():
        are_codes = True
    if not are_codes:
        candidates.append((ColumnType.REAL, REAL_PATTERN))
    if whole_numbers:
        candidates.insert(0, (ColumnType.BOOLEAN, BOOLEAN_PATTERN))
        if not are_codes:
            candidates.insert(1, (ColumnType.INTEGER, INTEGER_PATTERN))
    return candidates


def _match_pattern(texts: pa.Array, pattern: str) -> pa.Array:
    """Return whether each whole text matches, whatever its case and the blanks around it."""
    matches = pc.match_substring_regex(texts, rf"^[ \t]*(?:{pattern})[ \t]*$", ignore_case=True)
    return pc.fill_null(matches, False)


def _cast_texts(texts: pa.Array, text_type: ColumnType) -> pa.Array:
    texts = pc.utf8_trim_whitespace(texts)
    if text_type is ColumnType.BOOLEAN:
        is_true = pc.is_in(pc.utf8_lower(texts), pa.array(["true", "yes", "t", "y"]))
        return pc.if_else(pc.is_valid(texts), is_true, pa.scalar(None, pa.bool_()))
    if text_type is ColumnType.INTEGER:
        return pc.cast(pc.replace_substring_regex(texts, r"^\+", ""), pa.int64())
    distinct = texts.dictionary_encode()
    convert = _parse_micros if text_type is ColumnType.TIMESTAMP else float
    values = pa.array(
        [convert(text) for text in distinct.dictionary.to_pylist()],
        pa.int64() if text_type is ColumnType.TIMESTAMP else pa.float64(),
    )
    return pc.cast(values, ARROW_TYPES[text_type]).take(distinct.indices)


def _parse_micros(text: str) -> int | None:
    try:
        return parse_time_to_micros(text)
    except ValueError:  # the 30th of February
        return None


def _has_only_dates(distinct: pa.Array) -> bool:
    return bool(pc.all(_match_pattern(distinct, DATE_PATTERN)).as_py())


def _find_foreign_format(distinct: pa.Array) -> str:
    for pattern, description in _FOREIGN_FORMATS.items():
        match_share = pc.mean(pc.cast(_match_pattern(distinct, pattern), pa.float64())).as_py()
        if match_share > 1 - _MAX_UNCASTABLE_SHARE:
            return description
    return ""
