"""Read the raw tables, check their column contract, and join them into one row a training example.

Only the columns the recipe uses are read; a partition condition is applied before anything else.
A join is a lookup: the joined table must have one row a key, and rows without a match keep nulls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import LakeError
from pipelines.prepare.explain import explained
from pipelines.recipe import Recipe
from pipelines.recipe import sections as s
from pipelines.schema import Column, ColumnType, violations
from pipelines.transform.spark import Unfitted
from pipelines.transform.spec import RawKind

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession

_ANY = frozenset(ColumnType)
_INTEGER = frozenset({ColumnType.INTEGER})
_NUMBER = frozenset({ColumnType.INTEGER, ColumnType.REAL, ColumnType.BOOLEAN})
_CATEGORY = frozenset({ColumnType.INTEGER, ColumnType.STRING, ColumnType.BOOLEAN})
_WANTED = {
    "standardize": _NUMBER,
    "vocabulary": _CATEGORY,
    "hash": _CATEGORY,
    "difference": _NUMBER,
    "day_of_week": _INTEGER,
    "hour_of_day": _INTEGER,
    "minute_of_day": _INTEGER,
}
_RAW_KIND: dict[ColumnType, RawKind] = {
    ColumnType.INTEGER: "integer",
    ColumnType.BOOLEAN: "integer",
    ColumnType.REAL: "real",
    ColumnType.STRING: "string",
}


@dataclass(frozen=True)
class Raw:
    """The raw rows, not yet computed.

    Attributes:
        rows: every row of the main table once, joined columns included.
        unfitted: what is to be fitted on them.
        read: rows of the main table, counted at the source.
        sources: table name -> path and rows, for the record.
    """

    rows: "DataFrame"
    unfitted: Unfitted
    read: int
    sources: dict[str, dict[str, object]]


def read_raw(spark: "SparkSession", recipe: Recipe) -> Raw:
    """Read and join the recipe's tables.

    Raises:
        LakeError: a table is missing, empty or unreadable, breaks the column contract, or has two
            rows for a join key. All contract violations are reported at once.
    """
    source = recipe.source
    used = [source.main, *(join.table for join in source.joins)]
    tables = {name: _read_table(spark, name, source.tables[name]) for name in dict.fromkeys(used)}
    found = {name: column_types(frame) for name, frame in tables.items()}
    _check_contracts(recipe, found)

    counts = {}
    for name, frame in tables.items():
        with explained(f"table {name!r} ({source.tables[name].path})"):
            counts[name] = frame.count()
        if counts[name] == 0:
            raise LakeError(
                f"table {name!r} at {source.tables[name].path} is empty: 0 rows"
                + (
                    f" where {source.tables[name].partitions}"
                    if source.tables[name].partitions
                    else ""
                )
            )
    rows = tables[source.main]
    for join in source.joins:
        with explained(f"source.joins, table {join.table!r}"):
            rows = _join(rows, tables[join.table], join)
    types = column_types(rows)
    raw_names = dict.fromkeys(c for c, _ in _wanted(recipe))
    unfitted = Unfitted({n: _RAW_KIND[types[n]] for n in raw_names}, recipe.derive, recipe.features)
    sources: dict[str, dict[str, object]] = {
        name: {"path": source.tables[name].path, "rows": counts[name]} for name in tables
    }
    return Raw(rows, unfitted, counts[source.main], sources)


def col(name: str) -> "SparkColumn":
    """A column by its exact name, dots, spaces and backticks included."""
    import pyspark.sql.functions as F

    return F.col(f"`{name.replace('`', '``')}`")


def column_types(frame: "DataFrame") -> dict[str, ColumnType]:
    """Spark's types in the words of the column contract."""
    import pyspark.sql.types as T

    known: list[tuple[tuple[type[T.DataType], ...], ColumnType]] = [
        ((T.ByteType, T.ShortType, T.IntegerType, T.LongType), ColumnType.INTEGER),
        ((T.FloatType, T.DoubleType, T.DecimalType), ColumnType.REAL),
        ((T.StringType,), ColumnType.STRING),
        ((T.BooleanType,), ColumnType.BOOLEAN),
    ]
    types = {}
    for field in frame.schema.fields:
        matches = (c for classes, c in known if isinstance(field.dataType, classes))
        types[field.name] = next(matches, ColumnType.OTHER)
    return types


def _read_table(spark: "SparkSession", name: str, table: s.Table) -> "DataFrame":
    from pyspark.errors import AnalysisException

    try:
        frame = spark.read.format(table.format).load(table.path)
        return _pruned(frame, name, table.partitions) if table.partitions else frame
    except LakeError:
        raise
    except AnalysisException as error:
        condition = error.getCondition() or ""
        if condition == "PATH_NOT_FOUND":
            raise LakeError(
                f"table {name!r}: there is nothing at {table.path}; "
                f"check source.tables.{name}.path (and `lake`)"
            ) from None
        if condition == "UNABLE_TO_INFER_SCHEMA":
            raise LakeError(
                f"table {name!r}: {table.path} holds no {table.format} file, so it has no columns"
            ) from None
        with explained(f"table {name!r} ({table.path})"):
            raise
    except Exception:
        with explained(f"table {name!r} ({table.path})"):
            raise


def _pruned(frame: "DataFrame", name: str, condition: str) -> "DataFrame":
    """The partitions where `condition` holds; a condition on other columns would hide rows."""
    import pyspark.sql.functions as F

    pruned = frame.where(F.expr(condition))
    # Spark plans conditions on partition columns into the scan's list of files; a Filter above the
    # scan is one on rows.
    plan = pruned._jdf.queryExecution().sparkPlan().toString()
    if any(line.lstrip(" :+-").startswith("Filter ") for line in plan.splitlines()):
        raise LakeError(
            f"source.tables.{name}.partitions ({condition}) uses columns that are no partition "
            "columns, so rows would be left out that the ledger never saw; use label.expression "
            "(null where a row is not wanted) to filter rows"
        )
    return pruned


def _wanted(recipe: Recipe) -> list[tuple[str, Column]]:
    """Raw columns that features and derivations read: (name, what is wanted of it)."""
    wanted = []
    for name, item in recipe.derive.items():
        for column in item.columns:
            why = f"derive.{name} ({item.kind})"
            wanted.append((column, Column(column, _WANTED[item.kind], why)))
    for name, feature in recipe.features.items():
        column = feature.column or name
        if column not in recipe.derive:
            why = f"features.{name} ({feature.kind})"
            wanted.append((column, Column(column, _WANTED[feature.kind], why)))
    return wanted


def _check_contracts(recipe: Recipe, found: dict[str, dict[str, ColumnType]]) -> None:
    source = recipe.source
    problems: list[str] = []
    joined: dict[str, ColumnType] = {}
    main = found[source.main]
    for index, join in enumerate(source.joins):
        why = f"source.joins.{index}"
        right = found[join.table]
        contract = [Column(c, _ANY, f"{why}.key") for c in join.key]
        contract += [Column(c, _ANY, f"{why}.columns.{n}") for n, c in join.columns.items()]
        problems += [f"table {join.table!r}: {v}" for v in violations(contract, right)]
        problems += [
            f"table {source.main!r}: {v}"
            for v in violations([Column(c, _ANY, f"{why}.key") for c in join.key], main | joined)
        ]
        for key in join.key:
            left_type, right_type = (main | joined).get(key), right.get(key)
            if left_type and right_type and left_type != right_type:
                problems.append(
                    f"{why}.key: {key!r} is {left_type.value} in {source.main!r} and "
                    f"{right_type.value} in {join.table!r}; a join needs equal types"
                )
        for name, column in join.columns.items():
            if name in main:
                problems.append(
                    f"{why}.columns.{name}: table {source.main!r} has its own column {name!r}; "
                    "give the joined column another name"
                )
            if column in right:
                joined[name] = right[column]
    contract = [Column(c, _ANY, "split.key") for c in recipe.split.key]
    if recipe.clean.dedup:
        contract += [Column(c, _ANY, "clean.dedup.key") for c in recipe.clean.dedup.key]
        if recipe.clean.dedup.latest_by:
            contract.append(Column(recipe.clean.dedup.latest_by, _ANY, "clean.dedup.latest_by"))
    contract += [Column(c, _ANY, "unavailable") for c in recipe.unavailable]
    # A joined column that is missing was reported with its join.
    added = {name for join in source.joins for name in join.columns}
    contract += [c for name, c in _wanted(recipe) if name in joined or name not in added]
    problems += [f"table {source.main!r}: {v}" for v in violations(contract, main | joined)]
    if problems:
        lines = "\n".join(f"  - {problem}" for problem in dict.fromkeys(problems))
        raise LakeError(f"the lake does not fit the recipe; nothing was published:\n{lines}")


def _join(left: "DataFrame", right: "DataFrame", join: s.Join) -> "DataFrame":
    right = right.select(
        *(col(key) for key in join.key),
        *(col(column).alias(name) for name, column in join.columns.items()),
    )
    _check_one_row_a_key(right, join)
    return left.join(right, on=list(join.key), how="left")


def _check_one_row_a_key(right: "DataFrame", join: s.Join) -> None:
    import pyspark.sql.functions as F

    doubled = right.groupBy(*(col(key) for key in join.key)).count().where(F.col("count") > 1)
    for key in join.key:
        doubled = doubled.where(col(key).isNotNull())  # a null key matches nothing
    with explained(f"table {join.table!r}"):
        examples = doubled.orderBy(*(col(key) for key in join.key)).limit(5).collect()
    if examples:
        shown = "; ".join(_example(row.asDict(), join.key) for row in examples)
        raise LakeError(
            f"table {join.table!r} has several rows for one key ({', '.join(join.key)}), so the "
            f"join would multiply rows: {shown}. Remove the duplicates or join on more columns"
        )


def _example(row: dict[str, object], key: Sequence[str]) -> str:
    return ", ".join(f"{k}={row[k]!r}" for k in key) + f" has {row['count']} rows"
