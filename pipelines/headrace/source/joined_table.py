"""Load a joined table: its key and the columns that a join adds, one row for each key."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import LakeError
from headrace.recipe import sections as s
from headrace.source.balanced import combine_balanced
from headrace.source.internal_columns import MALFORMED, NOT_CASTABLE, col, name_before_cast
from headrace.source.tables import RawTable
from headrace.source.types import has_lost_elements, is_lost

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class JoinedTable:
    """A joined table.

    Attributes:
        rows: its key, and the columns that the join adds under their new names.
        count: of the rows.
        cached: what Spark has cached for them. Only this very plan can be forgotten again, and one
            that is not would be taken for the table as it is later.
    """

    rows: "DataFrame"
    count: int
    cached: "DataFrame"


def load_joined_table(table: RawTable, join: s.Join) -> JoinedTable:
    """Load the columns of a joined table, cached so that it is read once; and count its rows.

    Raises:
        LakeError: it has two rows for one key, or values that are not of their declared type.
    """
    import pyspark.sql.functions as F
    from pyspark import StorageLevel

    checked = [c for c in table.casts if c in {*join.key, *join.columns.values()}]
    lost = [F.lit(False)]
    for column in checked:
        has_lost = has_lost_elements if table.casts[column].startswith("list") else is_lost
        lost.append(has_lost(column, name_before_cast(column)))
    is_bad = combine_balanced(lost, lambda first, second: first | second)
    malformed = MALFORMED in table.schema.names
    columns = [col(key) for key in join.key]
    columns += [col(column).alias(name) for name, column in join.columns.items()]
    columns += [col(name_before_cast(c)).cast("string").alias(name_before_cast(c)) for c in checked]
    columns += [is_bad.alias(NOT_CASTABLE)]
    if malformed:
        columns += [col(MALFORMED)]
    right = table.frame.select(*columns).persist(StorageLevel.MEMORY_AND_DISK)
    count = right.count()
    _refuse_bad_values(table, right, checked, malformed)
    refuse_duplicate_keys(table, right, join)
    rows = right.select(*(col(name) for name in [*join.key, *join.columns]))
    return JoinedTable(rows, count, right)


def _refuse_bad_values(
    table: RawTable, right: "DataFrame", checked: list[str], malformed: bool
) -> None:
    """Refuse values that did not cast: a lookup table has no quarantine, as its rows are not those
    of the dataset."""
    import pyspark.sql.functions as F

    if malformed:
        lines = [
            row[0]
            for row in right.where(col(MALFORMED).isNotNull()).limit(5).select(MALFORMED).collect()
        ]
        if lines:
            raise LakeError(
                f"table {table.name!r} ({table.where}) has lines that cannot be parsed: "
                f"{'; '.join(repr(line[:80]) for line in lines)}. Repair or remove them"
            )
    if not checked:
        return
    rows = right.where(F.col(NOT_CASTABLE)).limit(5).collect()
    if rows:
        declared = ", ".join(f"{c} ({table.casts[c]})" for c in checked)
        examples = "; ".join(
            ", ".join(f"{c}={row[name_before_cast(c)]!r}" for c in checked) for row in rows
        )
        raise LakeError(
            f"table {table.name!r} ({table.where}) has values that are not of the declared type, "
            f"{declared}: {examples}. Repair them, or declare another type in "
            f"source.tables.{table.name}.columns"
        )


def refuse_duplicate_keys(table: RawTable, right: "DataFrame", join: s.Join) -> None:
    """Refuse rows of which two share the key of a join, with examples.

    Raises:
        LakeError: there are such rows.
    """
    import pyspark.sql.functions as F

    duplicates = right.groupBy(*(col(key) for key in join.key)).count().where(F.col("count") > 1)
    for key in join.key:
        duplicates = duplicates.where(col(key).isNotNull())  # a null key matches nothing
    examples = duplicates.orderBy(*(col(key) for key in join.key)).limit(5).collect()
    if examples:
        duplicated = "; ".join(
            ", ".join(f"{k}={row[k]!r}" for k in join.key) + f" has {row['count']} rows"
            for row in examples
        )
        raise LakeError(
            f"table {table.name!r} has several rows for one key ({', '.join(join.key)}), so the "
            f"join would multiply rows: {duplicated}. Remove the duplicates or join on more columns"
        )
