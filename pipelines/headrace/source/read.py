"""Read the raw tables, check their column contract, and join them into one row a training example.

Only the columns that the recipe uses are read; a partition condition is applied before anything
else. A join is a lookup: the joined table must have one row a key, and rows without a match keep
nulls. Each joined table is read once and kept until the build ends; Spark broadcasts small ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

from headrace.errors import LakeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import Column
from headrace.source.contract import check_contracts, raw_columns, wanted_columns
from headrace.source.internal_columns import FILE, MALFORMED, as_read, col
from headrace.source.partition_index import Chosen, Places, listed_path
from headrace.source.spark_errors import explained
from headrace.source.tables import RawTable, open_table
from headrace.source.types import RAW_KIND, column_types, lost, lost_elements
from headrace.transform.fit import Unfitted
from headrace.transform.spec import RawKind

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class Raw:
    """The raw rows, not yet computed.

    Attributes:
        rows: every row of the main table once, cast, joined columns included.
        main: the main table, for its own columns and casts.
        places: source partitions of the rows.
        read: rows of the main table by source partition, counted at the source.
        excluded: those of them that the table's `where` leaves out.
        sources: table name -> path, rows and columns that no contract names, for the record.
        kept: what Spark keeps for this build; released by `release`.
    """

    rows: "DataFrame"
    main: RawTable
    places: Places
    read: dict[str, int]
    excluded: dict[str, int]
    sources: dict[str, dict[str, object]]
    kept: "list[DataFrame]" = field(default_factory=list)

    @property
    def rows_read(self) -> int:
        """Of the main table."""
        return sum(self.read.values())

    def release(self) -> None:
        for frame in self.kept:
            frame.unpersist()


def read_raw(
    spark: "SparkSession", recipe: Recipe, plan: Chosen, contract: Sequence[Column] | None = None
) -> Raw:
    """Read and join the recipe's tables; of the main table the partitions that the plan processes.

    Args:
        spark: the session.
        recipe: source, and what decides about the contract.
        plan: what is read of the main table.
        contract: columns that the joined rows must have; all that the recipe names by default.

    Raises:
        LakeError: a table is missing, empty or unreadable, breaks the column contract, or has two
            rows for a join key. All contract violations are reported at once.
    """
    source = recipe.source
    used = list(dict.fromkeys([source.main, *(join.table for join in source.joins)]))
    wanted = wanted_columns(recipe, contract)
    tables = {
        name: open_table(
            spark,
            name,
            source.tables[name],
            wanted.get(name, []),
            plan.urls() if name == source.main else None,
        )
        for name in used
    }
    check_contracts(recipe, tables, contract)
    main = tables[source.main]
    with explained(f"table {main.name!r} ({main.where})"):
        places = Places.of(plan, main.everything)
        pruned = source.tables[source.main].partitions is not None
        read = None if pruned else _counts_of_footers(plan, main.everything, places)
        if read is None:
            read = _counts(main.everything, places)
        excluded = dict.fromkeys(read, 0)
        if source.tables[source.main].where:
            left = _counts(main.frame, places)
            excluded = {name: read[name] - left[name] for name in read}
    if not plan.kept:  # a new source partition may be empty, a dataset may not
        kept_rows = sum(read.values()) - sum(excluded.values())
        _refuse_empty(main, kept_rows, source.tables[source.main])
    sources = {main.name: _source(main, sum(read.values()))}
    rows, kept = main.frame, []
    for index, join in enumerate(source.joins):
        table = tables[join.table]
        with explained(f"source.joins.{index}, table {join.table!r} ({table.where})"):
            right, count = _lookup(table, join)
            kept.append(right)
            _refuse_empty(table, count, source.tables[join.table])
            dedup = recipe.clean.dedup
            one_a_key = dedup is not None and {*dedup.key} <= {*join.key}
            if join.cardinality == "one_to_one" and not one_a_key:
                _refuse_doubled_keys(main, rows, join)
            rows = rows.join(right, on=list(join.key), how="left")
        sources[join.table] = _source(table, count)
    return Raw(rows, main, places, read, excluded, sources, kept)


def unfitted_of(recipe: Recipe, rows: "DataFrame") -> Unfitted:
    """What is to be fitted on these rows (windows included)."""
    types = column_types(rows)
    raw: dict[str, RawKind] = {name: RAW_KIND[types[name]] for name in raw_columns(recipe)}
    return Unfitted(raw, recipe.derive, recipe.features, recipe.label)


def kept_kinds(recipe: Recipe, rows: "DataFrame") -> dict[str, RawKind]:
    """Columns of `dataset.keep` and their kinds; targets of windows are numbers."""
    types = column_types(rows)
    windows = recipe.source.windows
    targets = windows.targets if windows else {}
    return {
        name: "real" if name in targets else RAW_KIND[types[name]] for name in recipe.dataset.keep
    }


def _counts_of_footers(plan: Chosen, frame: "DataFrame", places: Places) -> dict[str, int] | None:
    """Rows a source partition as the files' footers have them.

    None where they do not say, or where Spark reads other files than were listed: by an option of
    its reader, or its own idea of which folders belong to a table.
    """
    if plan.listing is None:
        return None
    files = {name: plan.partitions[name] for name in places.names}
    listed = {file.path for own in files.values() for file in own}
    if {listed_path(unquote(str(url)), plan.listing) for url in frame.inputFiles()} != listed:
        return None
    counted: dict[str, int] = {}
    for name, own in files.items():
        rows = [file.rows for file in own]
        if None in rows:
            return None
        counted[name] = sum(row or 0 for row in rows)
    return counted


def _counts(frame: "DataFrame", places: Places) -> dict[str, int]:
    """Rows a source partition."""
    import pyspark.sql.functions as F

    if not places.by_file:
        return {places.names[0]: frame.count()}
    file = F.col(FILE) if FILE in frame.columns else F.xxhash64(F.col("_metadata.file_path"))
    rows = frame.select(file.alias(FILE)).groupBy(FILE).count().collect()
    return places.by_name({row[FILE]: row["count"] for row in rows})


def _source(table: RawTable, rows: int) -> dict[str, object]:
    extra = {"extra_columns": table.extra} if table.extra else {}
    return {"path": table.where, "rows": rows, **extra}


def _refuse_empty(table: RawTable, rows: int, settings: s.Table) -> None:
    if rows == 0:
        conditions = [c for c in (settings.partitions, settings.where) if c]
        where = f" where {' and '.join(conditions)}" if conditions else ""
        raise LakeError(f"table {table.name!r} at {table.where} is empty: 0 rows{where}")


def _lookup(table: RawTable, join: s.Join) -> "tuple[DataFrame, int]":
    """The joined table's columns, kept by Spark so that it is read once; and its rows."""
    import pyspark.sql.functions as F
    from pyspark import StorageLevel

    checked = [c for c in table.casts if c in {*join.key, *join.columns.values()}]
    bad = F.lit(False)
    for column in checked:
        lists = table.casts[column].startswith("list")
        bad = bad | (lost_elements if lists else lost)(column, as_read(column))
    malformed = MALFORMED in table.frame.columns
    columns = [col(key) for key in join.key]
    columns += [col(column).alias(name) for name, column in join.columns.items()]
    columns += [col(as_read(c)).cast("string").alias(as_read(c)) for c in checked]
    columns += [bad.alias(_BAD)]
    if malformed:
        columns += [col(MALFORMED)]
    right = table.frame.select(*columns).persist(StorageLevel.MEMORY_AND_DISK)
    count = right.count()
    _refuse_bad_values(table, right, checked, malformed)
    _refuse_doubled_keys(table, right, join)
    return right.select(*(col(name) for name in [*join.key, *join.columns])), count


_BAD = "__headrace_bad"


def _refuse_bad_values(
    table: RawTable, right: "DataFrame", checked: list[str], malformed: bool
) -> None:
    """A lookup table has no quarantine: its rows are not those of the dataset."""
    import pyspark.sql.functions as F

    if malformed:
        lines = [
            r[0]
            for r in right.where(col(MALFORMED).isNotNull()).limit(5).select(MALFORMED).collect()
        ]
        if lines:
            raise LakeError(
                f"table {table.name!r} ({table.where}) has lines that are no rows: "
                f"{'; '.join(repr(line[:80]) for line in lines)}. Repair or remove them"
            )
    if not checked:
        return
    rows = right.where(F.col(_BAD)).limit(5).collect()
    if rows:
        wanted = ", ".join(f"{c} ({table.casts[c]})" for c in checked)
        shown = "; ".join(", ".join(f"{c}={row[as_read(c)]!r}" for c in checked) for row in rows)
        raise LakeError(
            f"table {table.name!r} ({table.where}) has values that are not of the declared type, "
            f"{wanted}: {shown}. Repair them, or declare another type in "
            f"source.tables.{table.name}.columns"
        )


def _refuse_doubled_keys(table: RawTable, right: "DataFrame", join: s.Join) -> None:
    import pyspark.sql.functions as F

    doubled = right.groupBy(*(col(key) for key in join.key)).count().where(F.col("count") > 1)
    for key in join.key:
        doubled = doubled.where(col(key).isNotNull())  # a null key matches nothing
    examples = doubled.orderBy(*(col(key) for key in join.key)).limit(5).collect()
    if examples:
        shown = "; ".join(
            ", ".join(f"{k}={row[k]!r}" for k in join.key) + f" has {row['count']} rows"
            for row in examples
        )
        raise LakeError(
            f"table {table.name!r} has several rows for one key ({', '.join(join.key)}), so the "
            f"join would multiply rows: {shown}. Remove the duplicates or join on more columns"
        )
