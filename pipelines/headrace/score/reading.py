"""The rows to score, as raw as they are: read, joined and checked, with nothing of the label."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import LakeError, Problem, RecipeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.column_checks import names_in
from headrace.schema import Column, ColumnType
from headrace.score.plan import ScorePlan
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, col
from headrace.source.late_materialization import Late, keeps_order, late_of
from headrace.source.read import Raw, read_raw
from headrace.source.rules import Checked, ImageColumn, check_rows
from headrace.source.spark_errors import explained
from headrace.source.types import RAW_KIND, as_kind, column_types
from headrace.source.windows import add_windows
from headrace.transform.spec import ImageFeature, RawKind, TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession

_T = ColumnType
# Types of raw columns that can be taken for a kind of the model, as in `prepare`.
_TYPES: dict[RawKind, frozenset[ColumnType]] = {
    "integer": frozenset({_T.INTEGER, _T.BOOLEAN}),
    "real": frozenset({_T.REAL, _T.INTEGER, _T.BOOLEAN}),
    "string": frozenset({_T.STRING}),
    "timestamp": frozenset({_T.TIMESTAMP}),
    "bytes": frozenset({_T.BINARY}),
    "integers": frozenset({_T.INTEGERS}),
    "reals": frozenset({_T.REALS, _T.INTEGERS}),
    "strings": frozenset({_T.STRINGS}),
}
_ONE_VALUE = frozenset({_T.INTEGER, _T.REAL, _T.STRING, _T.BOOLEAN, _T.TIMESTAMP})
# Columns read late come as these kinds; what is written as it was read must be as it was.
_LATE_AS_READ = ("bigint", "double", "string")
OWN = "__headrace_written_"


@dataclass(frozen=True)
class ToScore:
    """Rows on their way to the tasks.

    Attributes:
        frame: the model's raw columns, the written ones, BUCKET, FILE, POSITION and PROBLEMS; 0 in
            BUCKET means the row is scored, else it is 1 + the position of the check that it broke.
        checked: all columns, for the quarantine.
        raw: counts and places.
        late: columns that the tasks read themselves.
        rules_left_out: rules that do not apply here.
    """

    frame: "DataFrame"
    checked: Checked
    raw: Raw
    late: Late | None
    rules_left_out: tuple[str, ...]


def table_to_score(recipe: Recipe, table: str) -> Recipe:
    """The recipe with another main table, and without what is about training alone.

    Args:
        recipe: how the main table is read: format, options, types of columns, `where`.
        table: folder or URL; or a name in Spark's catalog, where there is no such file.
    """
    source = recipe.source
    main = source.tables[source.main]
    is_path = "/" in table or Path(table).exists()
    where = {"path": table, "table": None} if is_path else {"path": None, "table": table}
    tables = {**source.tables, source.main: main.model_copy(update={**where, "partitions": None})}
    # What says that a key is there once is about many rows, and would make one of all partitions.
    joins = [join.model_copy(update={"cardinality": "many_to_one"}) for join in source.joins]
    rules = [rule for rule in recipe.clean.rules if not isinstance(rule, s.Unique)]
    return recipe.model_copy(
        update={
            "source": source.model_copy(update={"tables": tables, "joins": joins}),
            "clean": recipe.clean.model_copy(update={"dedup": None, "rules": rules}),
            "label": recipe.label.model_copy(update={"sample_weight": None}),
        }
    )


def about_many_rows(recipe: Recipe) -> tuple[str, ...]:
    """Rules that `table_to_score` leaves out."""
    return tuple(
        rule.name or f"unique({', '.join(rule.columns)})"
        for rule in recipe.clean.rules
        if isinstance(rule, s.Unique)
    )


def written_columns(recipe: Recipe) -> list[str]:
    """Raw columns that are written beside the predictions, those that name the row first.

    Raises:
        RecipeError: nothing names it.
    """
    dedup = recipe.clean.dedup
    key = recipe.score.key or (dedup.key if dedup else None)
    if not key:
        text = "there is no key, so nobody could tell which row a prediction is of"
        problem = Problem("score.key", text, "name the columns that do, or set clean.dedup.key")
        raise RecipeError(recipe.name, [problem])
    return list(dict.fromkeys([*key, *recipe.score.columns]))


def rows_to_score(
    spark: "SparkSession", recipe: Recipe, plan: ScorePlan, spec: TransformSpec, written: list[str]
) -> ToScore:
    """Read, join and check.

    Args:
        spark: the session.
        recipe: of `table_to_score`.
        plan: which source partitions.
        spec: the model's transform; its raw columns are wanted, whatever the recipe's features.
        written: columns that are written as they are.

    Raises:
        LakeError: the table does not fit the model, or cannot be read.
    """
    contract = [Column(c.name, _TYPES[c.kind], "the model") for c in spec.raw]
    contract += [Column(name, _ONE_VALUE, "score.key, score.columns") for name in written]
    raw = read_raw(spark, recipe, plan, contract)
    with explained(f"table {raw.main.name!r} ({raw.main.where})"):
        images = [
            ImageColumn(f.name, f.column, f.shape)
            for f in spec.features
            if isinstance(f, ImageFeature)
        ]
        rules, left_out = _applicable(recipe, raw)
        checking = recipe.model_copy(
            update={"clean": recipe.clean.model_copy(update={"rules": rules})}
        )
        windows = recipe.source.windows
        before = raw.rows.drop(FILE, POSITION) if windows else raw.rows
        checked = check_rows(before, checking, raw.main, images)
        rows = checked.rows
        if windows:
            excluded = checked.any_of("quarantine")
            if excluded is not None:
                rows = rows.withColumn("__headrace_excluded", excluded)
            rows = add_windows(
                rows, windows, "__headrace_excluded" if excluded is not None else None
            )
        bucket = _bucket(checked)
        kinds = _kinds(rows, spec)
        as_read = _as_read(raw, written)
        late = None if windows else late_of(raw.main, checked.checks, {**as_read, **kinds})
        if late:
            own = [n for n in written if n not in late.columns or n not in as_read]
            frame = _selected(rows, kinds, own, bucket, raw, late.columns)
            if keeps_order(frame):
                return ToScore(frame, checked, raw, late, left_out)
        frame = _selected(rows, kinds, written, bucket, raw, {})
    return ToScore(frame, checked, raw, None, left_out)


def _kinds(rows: "DataFrame", spec: TransformSpec) -> dict[str, RawKind]:
    """The model's raw columns and their kinds; types were checked with the contract.

    Raises:
        LakeError: windows made another type.
    """
    types = column_types(rows)
    for column in spec.raw:
        if types[column.name] not in _TYPES[column.kind]:
            raise LakeError(
                f"column {column.name!r} has type {types[column.name].value}, the model was "
                f"trained with {column.kind}"
            )
    return {column.name: column.kind for column in spec.raw}


def _applicable(recipe: Recipe, raw: Raw) -> "tuple[list[s.Rule], tuple[str, ...]]":
    """Rules about single rows and columns that are known when rows are scored.

    Rows that break one are quarantined, whatever the rule does in training but making null: the
    model has not seen their like.
    """
    types = column_types(raw.rows)
    label = (recipe.label.expression, recipe.label.sample_weight, recipe.label.baseline)
    late = {*recipe.unavailable, *(name for text in label if text for name in names_in(text))}
    known = raw.rows.drop(*(c for c in late if c in types))
    rules: list[s.Rule] = []
    left_out = []
    for index, rule in enumerate(recipe.clean.rules):
        if not _compiles(rule, known):
            left_out.append(rule.name or f"clean.rules.{index} ({rule.kind})")
            continue
        action = rule.on_violation if rule.on_violation == "null" else "quarantine"
        rules.append(rule.model_copy(update={"on_violation": action, "max_fraction": None}))
    return rules, tuple(left_out)


def _compiles(rule: "s.Rule", rows: "DataFrame") -> bool:
    import pyspark.sql.functions as F
    from pyspark.errors import AnalysisException

    if isinstance(rule, s.Expr):
        try:
            rows.select(F.expr(rule.expression))
        except AnalysisException:
            return False
        return True
    columns = getattr(rule, "columns", None) or [getattr(rule, "column", None)]
    return all(c in rows.columns for c in columns)


def _bucket(checked: Checked) -> "SparkColumn":
    import pyspark.sql.functions as F

    chosen = None
    for index, check in enumerate(checked.checks):
        if check.on_violation == "quarantine":
            hit, place = checked.violates(index), F.lit(index + 1)
            chosen = F.when(hit, place) if chosen is None else chosen.when(hit, place)
    return F.lit(0) if chosen is None else chosen.otherwise(F.lit(0))


def _as_read(raw: Raw, written: list[str]) -> dict[str, RawKind]:
    """Written columns that are the same where the tasks read them themselves."""
    types = column_types(raw.main.frame)
    return {
        f.name: RAW_KIND[types[f.name]]
        for f in raw.main.frame.schema.fields
        if f.name in written and f.dataType.simpleString() in _LATE_AS_READ
    }


def _selected(
    rows: "DataFrame",
    kinds: dict[str, RawKind],
    own: list[str],
    bucket: "SparkColumn",
    raw: Raw,
    late: Mapping[str, str],
) -> "DataFrame":
    columns = [as_kind(name, kind).alias(name) for name, kind in kinds.items() if name not in late]
    columns += [_written(rows, name).alias(f"{OWN}{name}") for name in own]
    if late or raw.places.by_file:
        columns.append(col(FILE))
    if late:
        columns.append(col(POSITION))
        if PROBLEMS in rows.columns:
            columns.append(col(PROBLEMS))
    return rows.select(*columns, bucket.cast("int").alias(BUCKET))


def arrow_types(rows: "DataFrame", written: list[str]) -> dict[str, pa.DataType]:
    """Types of the written columns, as Spark hands them to Arrow."""
    from pyspark.sql.pandas.types import to_arrow_schema

    frame = rows.select(*(_written(rows, name).alias(f"c{i}") for i, name in enumerate(written)))
    schema = to_arrow_schema(frame.schema)
    return {name: schema.field(f"c{i}").type for i, name in enumerate(written)}


def _written(rows: "DataFrame", name: str) -> "SparkColumn":
    """As it was read; a time without a zone is one in UTC, which every reader of Delta knows."""
    import pyspark.sql.types as T

    kind = rows.schema[name].dataType
    return col(name).cast("timestamp") if isinstance(kind, T.TimestampNTZType) else col(name)
