"""Read the raw tables, check their column contract, and join them to one row for each example.

Only the columns that the recipe uses are read; a partition condition is applied before anything
else. A join is a lookup: the joined table must have one row for each key, and rows without a
match get nulls. Each joined table is read once and cached until the build ends; Spark broadcasts
small ones.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from headrace.columns.values import RawKind, StoredType
from headrace.errors import LakeError
from headrace.lake.build import ErasedKey
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.declared_types import parse_declared_type
from headrace.recipe.input_road import list_later_columns
from headrace.schema import Column, ColumnType
from headrace.source.condition_columns import list_condition_columns
from headrace.source.contract import (
    check_contracts,
    list_needed_columns,
    list_raw_columns,
    list_sql,
)
from headrace.source.erased_rows import leave_out_erased
from headrace.source.internal_columns import FILE
from headrace.source.joined_table import load_joined_table, refuse_duplicate_keys
from headrace.source.list_table import list_lookups
from headrace.source.listing import Listing
from headrace.source.lookups import (
    MAX_LOOKUP_ROWS,
    Lookup,
    add_join_key,
    make_lookup,
    name_lookup,
)
from headrace.source.needed_columns import NeededColumns
from headrace.source.partition_index import PartitionIndex, ReadPlan
from headrace.source.raw_schema import RawSchema
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import RawTable, TableColumns, open_table
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.fit import FitInputs
from headrace.transform.fit_rules import RuleSource, fit_rules
from headrace.transform.rules import select_rejecting_rules

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Written beside data by those who write it, and no data by anyone's reckoning.
_MARKER = re.compile(r"_SUCCESS|\..*\.crc|_(started|committed)_.*|_metadata|_common_metadata")
_LIST_READER = "spark.sql.parquet.enableNestedColumnVectorizedReader"
_MAX_SKIPPED = 20  # paths that are named
_STORED_TYPES: dict[ColumnType, StoredType] = {
    ColumnType.INTEGER: "integer",
    ColumnType.REAL: "real",
    ColumnType.TIMESTAMP: "timestamp",
    ColumnType.STRING: "string",
    ColumnType.BOOLEAN: "boolean",
}


@dataclass(frozen=True, kw_only=True)
class ReadRows:
    """What is known of the raw rows before they are read.

    Attributes:
        schema: their columns, joined columns included.
        partition_index: source partitions of the rows.
        read: rows of the main table by source partition, counted at the source.
        excluded: those of them that the table's `where` leaves out.
        sources: table name -> path, rows and columns that no contract names, for the record.
        lookups: joined tables that are followed.
        erased: rows of persons that were erased, by source partition; nobody reads them.
    """

    schema: RawSchema
    partition_index: PartitionIndex
    read: dict[str, int]
    excluded: dict[str, int]
    sources: dict[str, dict[str, object]]
    lookups: tuple[Lookup, ...] = ()
    erased: Mapping[str, int] = field(default_factory=dict)

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


@dataclass(frozen=True, kw_only=True)
class RawRows(ReadRows):
    """The raw rows: a plan of Spark, not yet computed.

    Attributes:
        rows: every row of the main table once, cast, with the columns of `schema`.
        main: the main table, for its own columns and casts.
        cached: what Spark has cached for these rows, until `unpersist`.
    """

    rows: "DataFrame"
    main: RawTable
    cached: "list[DataFrame]" = field(default_factory=list)

    def unpersist(self) -> None:
        """Have Spark forget what it cached."""
        for frame in self.cached:
            find_engine(frame.sparkSession).unpersist(frame)


def read_raw(
    spark: "SparkSession",
    recipe: Recipe,
    plan: ReadPlan,
    contract: Sequence[Column] | None = None,
    *,
    follow: bool = False,
    erased: Sequence[ErasedKey] = (),
) -> RawRows:
    """Read and join the recipe's tables; of the main table the partitions that the plan processes.

    Args:
        spark: the session.
        recipe: its source, and all that names columns.
        plan: what is read of the main table.
        contract: columns that the joined rows must have; all that the recipe names by default.
        follow: whether rows carry the keys of their joins, to be followed (`lookups.py`).
        erased: persons whose rows of the main table are left out.

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
    main, gone = leave_out_erased(tables[source.main], erased)
    with explain_spark_errors(f"table {main.name!r} ({main.where})"):
        index = PartitionIndex.from_plan(plan, main.unfiltered)
        pruned = source.tables[source.main].partitions is not None
        read = None if pruned else _count_by_footers(plan, main.unfiltered, index)
        if read is None:
            read = _count_rows(main.unfiltered, main.stored, index)
        excluded, erased_rows = dict.fromkeys(read, 0), dict.fromkeys(read, 0)
        if gone is not None:
            erased_rows = _count_rows(gone.frame, gone.schema, index)
        if source.tables[source.main].where:
            selected = _count_rows(main.frame, main.schema, index)
            excluded = {name: read[name] - erased_rows[name] - selected[name] for name in read}
    if not plan.retained:  # a new source partition may be empty, a dataset may not
        left_out = sum(excluded.values()) + sum(erased_rows.values())
        selected_rows = sum(read.values()) - left_out
        refuse_empty(main, selected_rows, source.tables[source.main])
    sources = {main.name: describe_source(main, sum(read.values()), plan.listing)}
    followed: list[Lookup] = []
    rows, cached = main.frame, []
    for position, join in enumerate(source.joins):
        table = tables[join.table]
        with explain_spark_errors(f"source.joins.{position}, table {join.table!r} ({table.where})"):
            joined = load_joined_table(table, join)
            right, count = joined.rows, joined.count
            cached.append(joined.cached)
            refuse_empty(table, count, source.tables[join.table])
            dedup = recipe.clean.dedup
            is_deduplicated = dedup is not None and {*dedup.key} <= {*join.key}
            if join.cardinality == "one_to_one" and not is_deduplicated:
                refuse_duplicate_keys(main, rows, join)
            if follow and join.on_change == "reprocess" and count <= MAX_LOOKUP_ROWS:
                name = name_lookup(recipe, position)
                lookup = make_lookup(name, right, join)
                keyed, key_types = add_join_key(rows, RawSchema.from_frame(rows), join, position)
                if key_types == lookup.key_types:
                    rows, followed = keyed, [*followed, lookup]
            rows = rows.join(right, on=list(join.key), how="left")
            find_engine(spark).resolve_plan(rows)
        sources[join.table] = describe_source(table, count, lookups.get(join.table))
    schema = RawSchema.from_frame(rows)
    return RawRows(
        rows=rows, schema=schema, main=main, partition_index=index, read=read, excluded=excluded,
        sources=sources, cached=cached, lookups=tuple(followed), erased=erased_rows,
    )  # fmt: skip


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
    columns = list_condition_columns(schema)
    windows = recipe.source.windows
    later = list_later_columns(recipe)
    source = RuleSource(columns, raw, later, windows.columns if windows else None)
    rules, left_out = fit_rules(recipe.clean.rules, source)
    read_by_rules = dict.fromkeys(
        name for rule in select_rejecting_rules(rules) for name in rule.violated.list_columns()
    )
    rule_columns = {name: columns[name].kind for name in read_by_rules if name not in raw}
    units = {
        name: parse_declared_type(declared).unit
        for name, declared in recipe.source.tables[recipe.source.main].columns.items()
    }
    stored_as = {}
    for name in (*raw, *rule_columns):
        if schema.sql_types[name] in ("boolean", "date"):
            stored_as[name] = schema.sql_types[name]
        elif units.get(name) and raw.get(name, rule_columns.get(name)) == "timestamp":
            stored_as[name] = units[name]
    return FitInputs(
        raw,
        recipe.derive,
        recipe.features,
        recipe.label,
        rules,
        rule_columns,
        left_out,
        stored_as,  # type: ignore[arg-type]
    )


def find_passthrough_kinds(recipe: Recipe, schema: RawSchema) -> dict[str, RawKind]:
    """Return the columns of `dataset.keep` and their kinds, of rows of this schema."""
    return {name: schema.get_raw_kind(name) for name in recipe.dataset.keep}


def find_stored_types(recipe: Recipe, schema: RawSchema) -> dict[str, StoredType]:
    """Return the raw columns whose values lie beside the rows that are judged, and their types.

    They are those of `dataset.keep`, and what features read that have one value per row: rows are
    not sliced by lists, images and texts of tokens.
    """
    read = [
        column
        for name, feature in recipe.features.items()
        if not feature.shape
        for source in feature.list_source_columns(name)
        for column in (recipe.derive[source].columns if source in recipe.derive else (source,))
    ]
    types = {name: schema.types[name] for name in (*recipe.dataset.keep, *read)}
    return {n: _STORED_TYPES[kind] for n, kind in types.items() if kind in _STORED_TYPES}


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


def describe_source(table: TableColumns, rows: int, listing: Listing | None) -> dict[str, object]:
    """Return what the record says of a table: also what lies in its folder and is no data, and how
    its files differ."""
    source: dict[str, object] = {"path": table.where, "rows": rows}
    if table.extra:
        source["extra_columns"] = table.extra
    if table.common.unread:
        source["unread_columns"] = dict(table.common.unread)
    notes = [
        *table.common.notes,
        *(f"column {name!r} holds no value, and is taken as missing" for name in table.empty),
    ]
    if notes:
        source["differences"] = notes
    skipped = sorted(
        path
        for path in (listing.skipped if listing else ())
        if not _MARKER.fullmatch(path.rpartition("/")[2])
    )
    if skipped:
        source["skipped"] = len(skipped)
        source["skipped_paths"] = skipped[:_MAX_SKIPPED]
    return source


def refuse_empty(table: TableColumns, rows: int, settings: s.Table) -> None:
    if rows == 0:
        conditions = [c for c in (settings.partitions, settings.where) if c]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        fix = f"check source.tables.{table.name}" + (".partitions and .where" if where else "")
        raise LakeError(f"table {table.name!r} at {table.where} is empty: 0 rows{where}; {fix}")
