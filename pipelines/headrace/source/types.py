"""Spark's column types in the words of the column contract, and strict casts between them."""

from typing import TYPE_CHECKING

from headrace.schema import ColumnType
from headrace.source.internal_columns import col, quoted
from headrace.transform.spec import RawKind

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame
    from pyspark.sql.types import DataType

RAW_KIND: dict[ColumnType, RawKind] = {
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
SMALL_KINDS = {"integer", "real", "string", "timestamp"}
"""Kinds of which a row takes a few bytes."""
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


def column_types(frame: "DataFrame") -> dict[str, ColumnType]:
    """Spark's types in the words of the column contract."""
    return {field.name: type_of(field.dataType) for field in frame.schema.fields}


def type_of(found: "DataType") -> ColumnType:
    import pyspark.sql.types as T

    known: list[tuple[tuple[type[T.DataType], ...], ColumnType]] = [
        ((T.ByteType, T.ShortType, T.IntegerType, T.LongType), ColumnType.INTEGER),
        ((T.FloatType, T.DoubleType, T.DecimalType), ColumnType.REAL),
        ((T.StringType,), ColumnType.STRING),
        ((T.BooleanType,), ColumnType.BOOLEAN),
        ((T.TimestampType, T.TimestampNTZType, T.DateType), ColumnType.TIMESTAMP),
        ((T.BinaryType,), ColumnType.BINARY),
    ]
    if isinstance(found, T.ArrayType):
        element = type_of(found.elementType)
        if isinstance(found.elementType, T.ArrayType):  # an image as rows of pixels
            return element
        name = f"list[{element.value}]"
        return ColumnType(name) if name in {t.value for t in ColumnType} else ColumnType.OTHER
    return next((c for classes, c in known if isinstance(found, classes)), ColumnType.OTHER)


def can_become(found: ColumnType, declared: str) -> bool:
    """Whether values of type `found` may be cast to a declared type at all."""
    return found.value in _CASTABLE[declared]


def wanted_from(declared: str) -> frozenset[ColumnType]:
    """Types that can become the declared one."""
    return frozenset(ColumnType(name) for name in _CASTABLE[declared])


def needs_check(found: ColumnType, declared: str) -> bool:
    """Whether some values of that type may fail to cast."""
    safe = {
        "integer": {"integer", "boolean"},
        "real": {"real", "integer", "boolean"},
        "timestamp": {"timestamp"},
        "date": {"timestamp"},
        "string": _CASTABLE["string"],
        "list[real]": {"list[real]", "list[integer]"},
        "list[string]": _CASTABLE["list[string]"],
    }
    return found.value not in safe.get(declared, {declared})


def cast(name: str, found: ColumnType, declared: str) -> "SparkColumn":
    """The column as the declared type; null where a value does not cast."""
    import pyspark.sql.functions as F

    column, text = col(name), f"{quoted(name)}"
    result = F.expr(f"try_cast({text} AS {_SQL[declared]})")
    if declared == "integer" and found is ColumnType.REAL:
        # Since Spark 4.1 `floor` fails on numbers beyond its type, where the cast is null.
        return F.when(column % 1 == 0, result)
    if declared == "real" and found is ColumnType.STRING:
        # Java reads 1d and 2f as numbers; people do not. Hardly any text has such a letter, so what
        # is slow (counting characters, ICU) is behind CASE: AND would have it done for all rows.
        letter = F.lit(False)
        for one in "dDfF":
            letter = letter | F.contains(column, F.lit(one))
        last = F.substring(F.rtrim(column), -1, 1)
        infinity = F.lower(F.rtrim(column)).endswith("inf")
        suffix = last.isin("d", "D") | (last.isin("f", "F") & ~infinity)
        return F.when(~letter, result).when(~suffix, result)
    if declared == "boolean" and found is ColumnType.INTEGER:
        return F.when(column.isin(0, 1), result)
    if declared == "list[integer]" and found is ColumnType.REALS:
        return F.when(F.forall(column, lambda x: x.isNull() | (x % 1 == 0)), result)
    return result


def lost(name: str, before: str) -> "SparkColumn":
    """Whether a value, or an element of a list, was there before the cast and is not after it."""
    import pyspark.sql.functions as F

    return F.expr(f"{quoted(before)} IS NOT NULL AND {quoted(name)} IS NULL")


def lost_elements(name: str, before: str) -> "SparkColumn":
    """Like `lost`, for lists: any element counts."""
    import pyspark.sql.functions as F

    nulls = [F.size(F.filter(col(c), lambda x: x.isNull())) for c in (name, before)]
    return F.coalesce(lost(name, before) | (nulls[0] > nulls[1]), F.lit(False))


def as_kind(name: str, kind: RawKind) -> "SparkColumn":
    """The column as Arrow is to carry it: int64, float64, text, bytes, or lists of those."""
    import pyspark.sql.functions as F

    column = col(name)
    if kind == "timestamp":
        return F.unix_micros(column.cast("timestamp"))
    sql = {
        "integer": "bigint", "real": "double", "string": "string", "bytes": "binary",
        "integers": "array<bigint>", "reals": "array<double>", "strings": "array<string>",
    }  # fmt: skip
    return column.cast(sql[kind])
