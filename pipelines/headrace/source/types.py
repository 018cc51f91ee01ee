"""Translate Spark's column types into those of the column contract, and cast strictly."""

from typing import TYPE_CHECKING

from headrace.columns.values import RawKind
from headrace.recipe.declared_types import EPOCH_UNITS, TypeDeclaration, parse_declared_type
from headrace.schema import ColumnType
from headrace.source.internal_columns import col, quote_name

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql.types import DataType

RAW_KINDS: dict[ColumnType, RawKind] = {
    ColumnType.INTEGER: "integer",
    ColumnType.BOOLEAN: "integer",
    ColumnType.REAL: "real",
    ColumnType.STRING: "string",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.BINARY: "bytes",
    ColumnType.INTEGERS: "integers",
    ColumnType.REALS: "reals",
    ColumnType.STRINGS: "strings",
}
"""The kind that the transform uses for a column of this type."""
SMALL_KINDS = {"integer", "real", "string", "timestamp"}
"""Kinds whose values take a few bytes each."""
_SQL = {
    "integer": "bigint", "real": "double", "string": "string", "boolean": "boolean",
    "timestamp": "timestamp", "date": "date", "binary": "binary", "list[integer]": "array<bigint>",
    "list[real]": "array<double>", "list[string]": "array<string>",
}  # fmt: skip
# What can become a declared type: the type itself, narrower ones, and texts that say it.
_CASTABLE = {
    "integer": {"integer", "boolean", "real", "string"},
    "real": {"real", "integer", "boolean", "string"},
    "string": {"string", "integer", "real", "boolean", "timestamp"},
    "boolean": {"boolean", "integer", "string"},
    "timestamp": {"timestamp", "string"},
    "date": {"timestamp", "string"},
    "binary": {"binary"},
    "list[integer]": {"list[integer]", "list[string]", "list[real]"},
    "list[real]": {"list[real]", "list[integer]", "list[string]"},
    "list[string]": {"list[string]", "list[integer]", "list[real]"},
}

_JAVA_NUMBER = r"[xX]|([dD]|(?<![iI][nN])[fF])[\x00-\x20\x7f]*$"
"""Of texts that are numbers to Java, those that are none to people: with a suffix, hexadecimal."""
_YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""Microseconds of the first and the last moment of the years 1 to 9999."""


def is_finite(number: "SparkColumn") -> "SparkColumn":
    """Return whether numbers are neither NaN nor infinite; null where a number is null."""
    import pyspark.sql.functions as F

    return (F.abs(number) < float("inf")) & ~F.isnan(number)


def replace_invalid(text: "SparkColumn") -> "SparkColumn":
    """Return a text with U+FFFD in place of what is no UTF-8."""
    import pyspark.sql.functions as F

    if hasattr(F, "make_valid_utf8"):
        return F.make_valid_utf8(text)
    return F.decode(text.cast("binary"), "UTF-8")  # Spark 3 replaces, Spark 4 would raise


def to_column_type(kind: "DataType") -> ColumnType:
    """Return a type of Spark as the column contract names it."""
    import pyspark.sql.types as T

    scalars: list[tuple[tuple[type[T.DataType], ...], ColumnType]] = [
        ((T.ByteType, T.ShortType, T.IntegerType, T.LongType), ColumnType.INTEGER),
        ((T.FloatType, T.DoubleType, T.DecimalType), ColumnType.REAL),
        ((T.StringType,), ColumnType.STRING),
        ((T.BooleanType,), ColumnType.BOOLEAN),
        ((T.TimestampType, T.TimestampNTZType, T.DateType), ColumnType.TIMESTAMP),
        ((T.BinaryType,), ColumnType.BINARY),
    ]
    if isinstance(kind, T.ArrayType):
        element = to_column_type(kind.elementType)
        if isinstance(kind.elementType, T.ArrayType):  # an image as rows of pixels
            return element
        name = f"list[{element.value}]"
        return ColumnType(name) if name in {t.value for t in ColumnType} else ColumnType.OTHER
    return next((c for classes, c in scalars if isinstance(kind, classes)), ColumnType.OTHER)


def can_become(stored: ColumnType, declared: str) -> bool:
    """Return whether values that are stored as one type may be cast to a declared type at all."""
    return stored in list_castable_types(declared)


def list_castable_types(declared: str) -> frozenset[ColumnType]:
    """Return the types that can become the declared one."""
    declaration = parse_declared_type(declared)
    if declaration.unit:
        return frozenset({ColumnType.INTEGER, ColumnType.REAL, ColumnType.STRING})
    if declaration.pattern:  # 20240131 may be a number
        return frozenset({ColumnType.STRING, ColumnType.INTEGER})
    return frozenset(ColumnType(name) for name in _CASTABLE[declared])


def needs_check(stored: ColumnType, declared: str) -> bool:
    """Return whether some values of a stored type may fail to cast to the declared one."""
    safe = {
        "integer": {"integer", "boolean"},
        "real": {"real", "integer", "boolean"},
        "timestamp": {"timestamp"},
        "date": {"timestamp"},
        "string": _CASTABLE["string"],
        "list[real]": {"list[real]", "list[integer]"},
        "list[string]": _CASTABLE["list[string]"],
    }
    return stored.value not in safe.get(declared, {declared})


def cast_column(name: str, stored: ColumnType, declared: str) -> "SparkColumn":
    """Cast a column to the declared type; null where a value does not cast."""
    import pyspark.sql.functions as F

    column = col(name)
    declaration = parse_declared_type(declared)
    if declaration.unit:
        return _read_epoch(name, stored, declaration)
    if declaration.pattern:
        time = F.try_to_timestamp(F.trim(column.cast("string")), F.lit(declaration.pattern))
        return time.cast(_SQL[declaration.word])
    result = _try_cast(quote_name(name), _SQL[declared])
    if declared == "integer" and stored is ColumnType.REAL:
        # Since Spark 4.1 `floor` fails on numbers beyond its type, where the cast is null.
        return F.when(column % 1 == 0, result)
    if declared == "integer" and stored is ColumnType.STRING:
        # 12.0 is a whole number, as it comes from where a null made floats of integers.
        whole = r"'^([\x00-\x20\x7f]*[-+]?[0-9]+)\.0*[\x00-\x20\x7f]*$'"
        digits = f"nullif(regexp_extract({quote_name(name)}, r{whole}, 1), '')"
        return F.when(~F.contains(column, F.lit(".")), result).otherwise(
            _try_cast(digits, "bigint")
        )
    if declared in ("timestamp", "date") and stored is ColumnType.STRING:
        if declared == "timestamp":  # Spark wants seconds where there is a zone
            zoned = r"'^([^:]*[ T][0-9]{1,2}:[0-9]{1,2})( ?[^ :0-9].*)$'"
            with_seconds = f"regexp_replace({quote_name(name)}, r{zoned}, '$1:00$2')"
            result = F.coalesce(result, _try_cast(with_seconds, "timestamp"))
        return _refuse_odd_times(column, result, has_clock=declared == "timestamp")
    if declared == "real" and stored is ColumnType.STRING:
        # Java reads 1d, 2f and 0x1p3 as numbers; people do not. Hardly any text has such a letter,
        # so what is slow is behind CASE: AND would have it done for all rows. `contains` is by far
        # the fastest look (`lower` takes 300 ns), and the rest is kept short, see
        # `SPEED_DEPENDS_ON`: where the method of a query is not compiled, it takes 5 times as long.
        has_letter = F.lit(False)
        for letter in "dDfFxX":
            has_letter = has_letter | F.contains(column, F.lit(letter))
        return F.when(~has_letter, result).when(~column.rlike(_JAVA_NUMBER), result)
    if declared == "boolean" and stored is ColumnType.INTEGER:
        return F.when(column.isin(0, 1), result)
    if declared == "list[integer]" and stored is ColumnType.REALS:
        # No lambda: see `has_lost_elements`.
        return F.when(result.cast("array<double>").eqNullSafe(column.cast("array<double>")), result)
    return result


def _try_cast(sql: str, type_: str) -> "SparkColumn":
    """Cast an expression; null where it does not cast. Only from 4.0 on a `Column` can do that."""
    import pyspark.sql.functions as F

    return F.expr(f"try_cast({sql} AS {type_})")


def _refuse_odd_times(
    text: "SparkColumn", time: "SparkColumn", *, has_clock: bool
) -> "SparkColumn":
    """Return times of texts; null where Spark takes today's date, guesses at a zone of three
    letters, or gives a year that few others can hold."""
    import pyspark.sql.functions as F

    only_clock = text.rlike(r"^[\x00-\x20\x7f]*T?[0-9]{1,2}:")
    other_zone = text.rlike(
        r"[ 0-9](?!UTC|GMT|CET|EET|MET|WET|EST|MST|HST)[A-Z]{3}[\x00-\x20\x7f]*$"
    )
    known_year = (F.year(time) >= 1) & (F.year(time) <= 9999)
    return F.when(known_year & ~(only_clock | other_zone if has_clock else only_clock), time)


def _read_epoch(name: str, stored: ColumnType, declaration: TypeDeclaration) -> "SparkColumn":
    """Return the time that numbers since 1970 say; null where it is in no year from 1 to 9999."""
    import pyspark.sql.functions as F

    column = col(name)
    if stored is ColumnType.INTEGER:
        whole, real = column.cast("bigint"), F.lit(None).cast("double")
    elif stored is ColumnType.REAL:
        whole, real = F.lit(None).cast("bigint"), column.cast("double")
    else:
        text = F.trim(column)
        is_real = text.rlike(r"^[+-]?[0-9]+\.[0-9]*$")
        trimmed = f"trim({quote_name(name)})"
        digits = f"CASE WHEN {trimmed} RLIKE r'^[+-]?[0-9]{{1,19}}$' THEN {trimmed} END"
        whole = _try_cast(digits, "bigint")
        real = F.when(is_real, text).cast("double")
    factor = EPOCH_UNITS[declaration.unit]
    if factor:
        low, high = (limit // factor for limit in _YEARS)
        whole, real = F.when(whole.between(low, high), whole), F.when(real.between(low, high), real)
        micros = F.coalesce(whole * F.lit(factor), F.round(real * F.lit(factor)).cast("bigint"))
    else:  # of nanoseconds, 64 bits hold the years 1678 to 2262
        real = F.when(F.abs(real) < F.lit(2.0**63), real).cast("bigint")
        nanos = F.coalesce(whole, real)
        # The rest is taken off first, because the quotient is a float64.
        micros = ((nanos - F.pmod(nanos, F.lit(1000))) / F.lit(1000)).cast("bigint")
    return F.timestamp_micros(micros).cast(_SQL[declaration.word])


def is_lost(name: str, before: str) -> "SparkColumn":
    """Return whether a value was not null before the cast, and is null after it."""
    import pyspark.sql.functions as F

    return F.expr(f"{quote_name(before)} IS NOT NULL AND {quote_name(name)} IS NULL")


def has_lost_elements(name: str, before: str) -> "SparkColumn":
    """Return whether a list, or any of its elements, is lost; see `is_lost`."""
    import pyspark.sql.functions as F

    # Spark 4.3 reads the slot of a null in a list before it looks whether it is one, by an index of
    # another row group's dictionary: «Index 6 out of bounds». Texts it reads right.
    texts = [col(c).cast("array<string>") for c in (name, before)]
    nulls = [F.size(F.filter(text, lambda x: x.isNull())) for text in texts]
    return F.coalesce(is_lost(name, before) | (nulls[0] > nulls[1]), F.lit(False))


def convert_to_kind(name: str, kind: RawKind) -> "SparkColumn":
    """Convert a column to what Arrow carries of its kind: int64 (times as microseconds since 1970),
    float64, text, bytes, or lists of those."""
    import pyspark.sql.functions as F

    column = col(name)
    if kind == "timestamp":
        return F.unix_micros(column.cast("timestamp"))
    sql = {
        "integer": "bigint", "real": "double", "string": "string", "bytes": "binary",
        "integers": "array<bigint>", "reals": "array<double>", "strings": "array<string>",
    }  # fmt: skip
    return column.cast(sql[kind])
