"""Read the raw tables, check their column contract, and join them to one row for each example.

Only the columns that the recipe uses are read; a partition condition is applied before anything
else. A join is a lookup: the joined table must have one row for each key, and rows without a
match get nulls. Each joined table is read once and cached until the build ends; Spark broadcasts
small ones.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.columns.values import RawKind
from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import Column
from headrace.source.contract import (
    check_contracts,
    list_needed_columns,
    list_raw_columns,
    list_sql,
)
from headrace.source.internal_columns import FILE, MALFORMED, NOT_CASTABLE, col, name_before_cast
from headrace.source.list_table import list_lookups
from headrace.source.listing import Listing
from headrace.source.needed_columns import NeededColumns
from headrace.source.partition_index import PartitionIndex, ReadPlan
from headrace.source.raw_schema import RawSchema
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import RawTable, open_table
from headrace.source.types import has_lost_elements, is_lost
from headrace.transform.fit import FitInputs

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Written beside data by those who write it, and no data by anyone's reckoning.
_MARKER = re.compile(r"_SUCCESS|\..*\.crc|_(started|committed)_.*|_metadata|_common_metadata")
_LIST_READER = "spark.sql.parquet.enableNestedColumnVectorizedReader"
_MAX_SKIPPED = 20  # paths that are named


@dataclass(frozen=True)
class RawRows:
    """The raw rows: a plan of Spark, not yet computed.

    Attributes:
        rows: every row of the main table once, cast, joined columns included.
        schema: the columns of `rows`.
        main: the main table, for its own columns and casts.
        partition_index: source partitions of the rows.
        read: rows of the main table by source partition, counted at the source.
        excluded: those of them that the table's `where` leaves out.
        sources: table name -> path, rows and columns that no contract names, for the record.
        cached: what Spark has cached for these rows, until `unpersist`.
    """

    rows: "DataFrame"
    schema: RawSchema
    main: RawTable
    partition_index: PartitionIndex
    read: dict[str, int]
    excluded: dict[str, int]
    sources: dict[str, dict[str, object]]
    cached: "list[DataFrame]" = field(default_factory=list)

    @property
    def rows_read(self) -> int:
        """Return how many rows of the main table are read."""
        return sum(self.read.values())

    def list_remarks(self) -> list[str]:
        """Return what people should know of the tables' files, a sentence each."""
        remarks = []
        for name, source in self.sources.items():
            differences = source.get("differences", [])
            unread = source.get("unread_columns", {})
            assert isinstance(differences, list) and isinstance(unread, dict)
            remarks += [f"table {name!r}: {difference}" for difference in differences]
            remarks += [
                f"table {name!r}: column {column!r} is not read: it {why}"
                for column, why in unread.items()
            ]
        return remarks

    def unpersist(self) -> None:
        """Have Spark forget what it cached."""
        for frame in self.cached:
            frame.unpersist()


def read_raw(
    spark: "SparkSession", recipe: Recipe, plan: ReadPlan, contract: Sequence[Column] | None = None
) -> RawRows:
    """Read and join the recipe's tables; of the main table the partitions that the plan processes.

    Args:
        spark: the session.
        recipe: its source, and all that names columns.
        plan: what is read of the main table.
        contract: columns that the joined rows must have; all that the recipe names by default.

    Raises:
        LakeError: a table is missing, empty or unreadable, breaks the column contract, or has two
            rows for a join key. All contract violations are reported at once.
    """
    source = recipe.source
    used = list(dict.fromkeys([source.main, *(join.table for join in source.joins)]))
    _choose_list_reader(spark, recipe)
    needed = list_needed_columns(recipe, contract)
    lookups = list_lookups(recipe) if plan.lookups is None else plan.lookups
    tables = {
        name: open_table(
            spark,
            name,
            source.tables[name],
            needed.get(name, NeededColumns({})),
            plan.listing if name == source.main else lookups.get(name),
            plan.list_paths() if name == source.main else None,
        )
        for name in used
    }
    check_contracts(recipe, tables, contract)
    main = tables[source.main]
    with explain_spark_errors(f"table {main.name!r} ({main.where})"):
        index = PartitionIndex.from_plan(plan, main.unfiltered)
        pruned = source.tables[source.main].partitions is not None
        read = None if pruned else _count_by_footers(plan, main.unfiltered, index)
        if read is None:
            read = _count_rows(main.unfiltered, main.stored, index)
        excluded = dict.fromkeys(read, 0)
        if source.tables[source.main].where:
            selected = _count_rows(main.frame, main.schema, index)
            excluded = {name: read[name] - selected[name] for name in read}
    if not plan.retained:  # a new source partition may be empty, a dataset may not
        selected_rows = sum(read.values()) - sum(excluded.values())
        _refuse_empty(main, selected_rows, source.tables[source.main])
    sources = {main.name: _describe_source(main, sum(read.values()), plan.listing)}
    rows, cached = main.frame, []
    for position, join in enumerate(source.joins):
        table = tables[join.table]
        with explain_spark_errors(f"source.joins.{position}, table {join.table!r} ({table.where})"):
            right, count = _load_lookup(table, join)
            cached.append(right)
            _refuse_empty(table, count, source.tables[join.table])
            dedup = recipe.clean.dedup
            is_deduplicated = dedup is not None and {*dedup.key} <= {*join.key}
            if join.cardinality == "one_to_one" and not is_deduplicated:
                _refuse_duplicate_keys(main, rows, join)
            rows = rows.join(right, on=list(join.key), how="left")
        sources[join.table] = _describe_source(table, count, lookups.get(join.table))
    return RawRows(rows, RawSchema.from_frame(rows), main, index, read, excluded, sources, cached)


def _choose_list_reader(spark: "SparkSession", recipe: Recipe) -> None:
    """Have Spark read lists row by row where the recipe's SQL has a lambda.

    Spark 4.3 fails on some lists with nulls otherwise, see `types.has_lost_elements`.
    """
    has_lambda = any(
        "->" in text for name in recipe.source.tables for text in list_sql(recipe, name)
    )
    spark.conf.set(_LIST_READER, "false" if has_lambda else "true")


def find_fit_inputs(recipe: Recipe, schema: RawSchema) -> FitInputs:
    """Return what is to be fitted on rows of this schema (windows included)."""
    raw: dict[str, RawKind] = {name: schema.get_raw_kind(name) for name in list_raw_columns(recipe)}
    return FitInputs(raw, recipe.derive, recipe.features, recipe.label)


def find_passthrough_kinds(recipe: Recipe, schema: RawSchema) -> dict[str, RawKind]:
    """Return the columns of `dataset.keep` and their kinds, of rows of this schema."""
    return {name: schema.get_raw_kind(name) for name in recipe.dataset.keep}


def _count_by_footers(
    plan: ReadPlan, frame: "DataFrame", index: PartitionIndex
) -> dict[str, int] | None:
    """Count the rows of every source partition by the footers of its files.

    Returns:
        None where footers do not say, or where Spark reads other files than were
        listed: by an option of its reader, or its own idea of which folders belong to a table.
    """
    if plan.listing is None:
        return None
    files = {name: plan.partitions[name] for name in index.names}
    listed = {file.path for group in files.values() for file in group}
    if {plan.listing.find_url(str(url)) for url in frame.inputFiles()} != listed:
        return None
    counts: dict[str, int] = {}
    for name, group in files.items():
        rows = [file.rows for file in group]
        if None in rows:
            return None
        counts[name] = sum(count or 0 for count in rows)
    return counts


def _count_rows(frame: "DataFrame", schema: RawSchema, index: PartitionIndex) -> dict[str, int]:
    """Count the rows of every source partition."""
    import pyspark.sql.functions as F

    if not index.needs_file:
        return {index.names[0]: frame.count()}
    file = F.col(FILE) if FILE in schema.names else F.xxhash64(F.col("_metadata.file_path"))
    rows = frame.select(file.alias(FILE)).groupBy(FILE).count().collect()
    return index.sum_by_partition({row[FILE]: row["count"] for row in rows})


def _describe_source(table: RawTable, rows: int, listing: Listing | None) -> dict[str, object]:
    """Return what the record says of a table: also what lies in its folder and is no data, and how
    its files differ."""
    source: dict[str, object] = {"path": table.where, "rows": rows}
    if table.extra:
        source["extra_columns"] = table.extra
    if table.common.unread:
        source["unread_columns"] = dict(table.common.unread)
    if table.common.notes:
        source["differences"] = list(table.common.notes)
    skipped = sorted(
        path
        for path in (listing.skipped if listing else ())
        if not _MARKER.fullmatch(path.rpartition("/")[2])
    )
    if skipped:
        source["skipped"] = len(skipped)
        source["skipped_paths"] = skipped[:_MAX_SKIPPED]
    return source


def _refuse_empty(table: RawTable, rows: int, settings: s.Table) -> None:
    if rows == 0:
        conditions = [c for c in (settings.partitions, settings.where) if c]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        fix = f"check source.tables.{table.name}" + (".partitions and .where" if where else "")
        raise LakeError(f"table {table.name!r} at {table.where} is empty: 0 rows{where}; {fix}")


def _load_lookup(table: RawTable, join: s.Join) -> "tuple[DataFrame, int]":
    """Load the columns of a joined table, cached so that it is read once; and count its rows.

    Raises:
        LakeError: it has two rows for one key, or values that are not of their declared type.
    """
    import pyspark.sql.functions as F
    from pyspark import StorageLevel

    checked = [c for c in table.casts if c in {*join.key, *join.columns.values()}]
    is_bad = F.lit(False)
    for column in checked:
        has_lost = has_lost_elements if table.casts[column].startswith("list") else is_lost
        is_bad = is_bad | has_lost(column, name_before_cast(column))
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
    _refuse_duplicate_keys(table, right, join)
    return right.select(*(col(name) for name in [*join.key, *join.columns])), count


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


def _refuse_duplicate_keys(table: RawTable, right: "DataFrame", join: s.Join) -> None:
    """Refuse rows of which two share the key of a join, with examples."""
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
