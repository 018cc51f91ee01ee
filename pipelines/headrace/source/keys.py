"""Say when two rows have the same key: the one definition, for deduplication, `unique`, joins and
splits.

Two keys are the same where the values of their columns are equal by the columns' types: NaN equals
NaN, -0.0 equals 0.0, texts are equal byte by byte. A row with a null in a column of its key has no
key, and equals no other row; a null inside a list or struct is a value like any other. Spark's `=`,
`groupBy` and joins mean the same. Where rows meet in Python, a key is the first 128 bits of the
SHA-256 of a text that no other key has: every value with its length or its end.

The definition has a version, which a dataset records (`Build.key_definition`): increments go on by
the one that their dataset began with.

    1  two hashes of 64 bits, which pass over nulls in lists and structs, and over their lengths
    2  as above
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from headrace.recipe import Recipe
from headrace.schema import ColumnType
from headrace.source.internal_columns import col
from headrace.source.raw_schema import RawSchema

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType

KEY_DEFINITION = 2
"""The newest definition, by which new datasets are made."""
DIGEST_BYTES = 16
"""Of a key's digest."""
_NULL = "~"
_ORDERED = frozenset(
    {ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN, ColumnType.TIMESTAMP}
)


def has_whole_key(names: Iterable[str]) -> "Column":
    """Return whether a row has a value in every column of a key."""
    import pyspark.sql.functions as F

    whole = F.lit(True)
    for name in names:
        whole = whole & col(name).isNotNull()
    return whole


def propose_key(names: Iterable[str], schema: RawSchema) -> "Column":
    """Return a hash of 64 bits that is the same for the same keys, and hardly ever for others."""
    import pyspark.sql.functions as F

    return F.xxhash64(*(_widen_integer(name, schema) for name in names))


def digest_key(names: Iterable[str], schema: RawSchema, definition: int) -> "Column":
    """Return what is equal for two rows of the same `propose_key` if their keys are the same.

    Args:
        names: columns of the key, none of which is null.
        schema: of the rows.
        definition: of the key.

    Returns:
        16 bytes; int64 by definition 1.
    """
    import pyspark.sql.functions as F

    if definition == 1:
        return F.xxhash64(F.lit("twin"), *(_widen_integer(name, schema) for name in names))
    text = F.concat(*(encode_value(col(name), schema.spark_types[name]) for name in names))
    return F.unhex(F.substring(F.sha2(text, 256), 1, 2 * DIGEST_BYTES))


def write_key_text(name: str, schema: RawSchema, definition: int) -> "Column":
    """Write a value of a split key as the text that is hashed; null for a null.

    Equal values have the same text, also where a column is widened: 1 and 1.0, a date and its
    midnight.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    column, kind = col(name), schema.spark_types[name]
    if definition == 1:
        return column.cast("string")
    if isinstance(kind, T.FloatType | T.DoubleType):
        number = column.cast("double") + F.lit(0.0)
        is_whole = (F.abs(number) < F.lit(2.0**53)) & (number == F.floor(number))
        return F.when(is_whole, number.cast("bigint").cast("string")).otherwise(
            number.cast("string")
        )
    if isinstance(kind, T.DecimalType) and kind.scale > 0:
        return F.regexp_replace(column.cast("string"), r"\.?0+$", "")
    if isinstance(kind, T.TimestampType | T.TimestampNTZType):
        return F.regexp_replace(column.cast("string"), " 00:00:00$", "")
    if isinstance(kind, T.ArrayType | T.StructType):
        return encode_value(column, kind)
    return column.cast("string")


def find_key_problems(recipe: Recipe, schema: RawSchema) -> list[str]:
    """Find what is wrong with the types of keys, and of what orders the rows of one key.

    Args:
        recipe: dedup, split, rules and joins are read.
        schema: of the joined rows.
    """
    dedup = recipe.clean.dedup
    keys = {"clean.dedup.key": dedup.key if dedup else [], "split.key": recipe.split.key or []}
    problems = [
        f"{where}: column {name!r} is {schema.sql_types[name]}, of which Spark cannot say when two "
        "are equal; choose another column, or a value of it"
        for where, names in keys.items()
        for name in names
        if name in schema.spark_types and _has_map(schema.spark_types[name])
    ]
    if dedup is None or dedup.latest_by is None or dedup.latest_by not in schema.types:
        return problems
    name = dedup.latest_by
    kind = schema.types[name]
    if kind in _ORDERED:
        return problems
    if kind is not ColumnType.STRING:
        return [
            *problems,
            f"clean.dedup.latest_by: column {name!r} is {schema.sql_types[name]}, which has no "
            "latest value; name a number or a time",
        ]
    table = _find_table(recipe, name)
    if recipe.source.tables[table[0]].columns.get(table[1]) != "string":
        problems.append(
            f"clean.dedup.latest_by: column {name!r} is text, and as text '9' is later than '10'; "
            f"declare its type in source.tables.{table[0]}.columns.{table[1]}: a number or a time, "
            "or string where texts are to be compared as such"
        )
    return problems


def _find_table(recipe: Recipe, name: str) -> tuple[str, str]:
    """Return the table that a column of the joined rows is from, and its name there."""
    for join in recipe.source.joins:
        if name in join.columns:
            return join.table, join.columns[name]
    return recipe.source.main, name


def _has_map(kind: "DataType") -> bool:
    import pyspark.sql.types as T

    if isinstance(kind, T.ArrayType):
        return _has_map(kind.elementType)
    if isinstance(kind, T.StructType):
        return any(_has_map(field.dataType) for field in kind.fields)
    return isinstance(kind, T.MapType)


def _widen_integer(name: str, schema: RawSchema) -> "Column":
    """Widen whole numbers to long, so that a key has the same hash after its column is widened."""
    is_whole = schema.types[name] == ColumnType.INTEGER
    return col(name).cast("long") if is_whole else col(name)


def encode_value(value: "Column", kind: "DataType") -> "Column":
    """Return a value as a text that no other value of its type begins with; null for a null.

    Args:
        value: a column, or a part of one.
        kind: its type.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    if isinstance(kind, T.StringType):
        return F.concat(F.octet_length(value).cast("string"), F.lit(":"), value)
    if isinstance(kind, T.BinaryType):
        return F.concat(F.hex(value), F.lit(";"))
    if isinstance(kind, T.FloatType | T.DoubleType):
        # Java's hexadecimal text is exact and the same in every release, its decimal one is not.
        text = F.format_string("%a;", value.cast("double") + F.lit(0.0))
        return F.when(value.isNotNull(), text)
    if isinstance(kind, T.DateType):
        return F.concat(F.unix_date(value).cast("string"), F.lit(";"))
    if isinstance(kind, T.TimestampType | T.TimestampNTZType):
        return F.concat(F.unix_micros(value.cast("timestamp")).cast("string"), F.lit(";"))
    if isinstance(kind, T.ArrayType):
        return _encode_list(value, kind)
    if isinstance(kind, T.StructType):
        fields = (
            F.coalesce(encode_value(value.getField(f.name), f.dataType), F.lit(_NULL))
            for f in kind.fields
        )
        return F.when(value.isNotNull(), F.concat(F.lit("{"), *fields, F.lit("}")))
    return F.concat(value.cast("string"), F.lit(";"))


def _encode_list(value: "Column", kind: "DataType") -> "Column":
    import pyspark.sql.functions as F

    # Reversed, because Spark 4.3 reads nulls of a column's own list wrong in a lambda, see
    # `types.has_lost_elements`; a reversed list is a copy.
    parts = F.transform(
        F.reverse(value),
        lambda item: F.coalesce(encode_value(item, kind.elementType), F.lit(_NULL)),  # type: ignore[attr-defined]
    )
    size = F.size(value).cast("string")
    return F.when(value.isNotNull(), F.concat(size, F.lit("["), F.array_join(parts, "")))
