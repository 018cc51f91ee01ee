"""Leave out rows of persons that were erased, as long as a lake still has them.

A dataset keeps a digest of the key of each person that was erased, and no value of it; rows of the
main table with that digest are read by no build.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.columns.person_key import PersonKey
from headrace.errors import LakeError
from headrace.lake.build import ErasedKey
from headrace.recipe.problems import suggest_nearest
from headrace.source.internal_columns import FILE, quote_name
from headrace.source.keys import KEY_DEFINITION, digest_key, has_whole_key
from headrace.source.lookups import describe_key
from headrace.source.partition_index import find_files_by_hash
from headrace.source.raw_schema import RawSchema
from headrace.source.tables import RawTable

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession


def make_erased_key(
    spark: "SparkSession", table: RawTable, key: PersonKey, erased_at: str
) -> ErasedKey:
    """Make what a dataset keeps of a person's key.

    Args:
        spark: the session.
        table: the main table.
        key: of the person.
        erased_at: UTC, ISO 8601.

    Raises:
        LakeError: the table has no such column, or a value is none of its column's type.
    """
    import pyspark.sql.functions as F
    import pyspark.sql.types as T

    names = list(key.values)
    missing = [name for name in names if name not in table.schema.raw_types]
    if missing:
        known = list(table.schema.raw_types)
        hint = suggest_nearest(missing[0], known)
        raise LakeError(
            f"table {table.name!r} ({table.where}) has no column {', '.join(missing)}; {hint}"
        )
    texts = T.StructType([T.StructField(name, T.StringType()) for name in names])
    rows = spark.createDataFrame([tuple(key.values.values())], texts)
    kinds = {name: table.schema.spark_types[name] for name in names}
    # As SQL: Spark 3.5 has no such method.
    casts = (
        F.expr(f"try_cast({quote_name(n)} AS {kinds[n].simpleString()})").alias(n) for n in names
    )
    typed = rows.select(*casts)
    values = typed.first()
    wrong = [name for name in names if values is None or values[name] is None]
    if wrong:
        raise LakeError(
            f"{key.values[wrong[0]]!r} is no value of column {wrong[0]!r} of table {table.name!r}, "
            f"which is {table.schema.sql_types[wrong[0]]}"
        )
    schema = RawSchema.from_frame(typed)
    row = typed.select(digest_key(names, schema, KEY_DEFINITION).alias("digest")).first()
    assert row is not None
    return ErasedKey(
        columns=tuple(names),
        types=describe_key(names, table.schema),
        digest=bytes(row["digest"]).hex(),
        erased_at=erased_at,
    )


def is_erased(table: RawTable, erased: Sequence[ErasedKey]) -> "Column":
    """Return whether a row of the main table is of a person that was erased.

    Raises:
        LakeError: a column of a key is gone, or has another type than when it was erased, so that
            its rows would not be found.
    """
    import pyspark.sql.functions as F

    condition = F.lit(False)
    by_columns: dict[tuple[str, ...], list[ErasedKey]] = {}
    for key in erased:
        by_columns.setdefault(key.columns, []).append(key)
    for columns, keys in by_columns.items():
        now = (
            describe_key(columns, table.schema)
            if all(name in table.schema.raw_types for name in columns)
            else ()
        )
        if other := next((key for key in keys if key.types != now), None):
            raise LakeError(
                f"rows of table {table.name!r} were erased by {', '.join(columns)} "
                f"({', '.join(other.types)}), which is {', '.join(now) or 'not there'} now: they "
                "would not be found again. Declare the type in source.tables"
            )
        digest = digest_key(columns, table.schema, KEY_DEFINITION)
        values = [F.lit(bytes.fromhex(key.digest)) for key in keys]
        condition = condition | (has_whole_key(columns) & digest.isin(*values))
    return F.coalesce(condition, F.lit(False))


def leave_out_erased(
    table: RawTable, erased: Sequence[ErasedKey]
) -> tuple[RawTable, RawTable | None]:
    """Split a table: the rows that are read, and those of persons that were erased; None where
    none was."""
    if not erased:
        return table, None
    condition = is_erased(table, erased)
    kept = replace(table, frame=table.frame.where(~condition))
    return kept, replace(table, frame=table.frame.where(condition))


def find_erased_files(table: RawTable, erased: Sequence[ErasedKey]) -> Collection[str]:
    """Find the files of a table with rows of persons that were erased, by their URLs."""
    found = table.frame.where(is_erased(table, erased)).select(FILE).distinct().collect()
    urls = find_files_by_hash(table.unfiltered)
    return {urls[row[FILE]] for row in found}
