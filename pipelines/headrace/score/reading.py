"""Read the rows to score: raw, joined and checked, with nothing of the label."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from headrace.columns.values import RawKind
from headrace.errors import Problem, RecipeError
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.recipe.input_road import list_later_columns
from headrace.score.contract import (
    check_kinds,
    find_as_read,
    get_written_type,
    list_contract,
    refuse_other_types,
)
from headrace.score.plan import ScorePlan
from headrace.score.score_jobs import RowsPlan
from headrace.source.image_checks import ImageColumn
from headrace.source.internal_columns import BUCKET, FILE, POSITION, PROBLEMS, col, name_output_copy
from headrace.source.late_materialization import LateColumns, find_late_columns, has_file_order
from headrace.source.raw_schema import RawSchema
from headrace.source.read import RawRows, read_raw
from headrace.source.rules import CheckedRows, check_rows
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.types import convert_to_kind
from headrace.source.windows import add_windows
from headrace.spark_engine.find_engine import find_engine
from headrace.transform.rule_names import list_rule_names
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import Column as SparkColumn
    from pyspark.sql import DataFrame, SparkSession

_RULE: "TypeAdapter[s.Rule]" = TypeAdapter(s.Rule)


@dataclass(frozen=True, kw_only=True)
class RowsToScore(RowsPlan):
    """Rows for the tasks to score.

    Attributes:
        frame: the model's raw columns, the written ones, BUCKET, FILE, POSITION and PROBLEMS; 0 in
            BUCKET means that the row is scored, else it is 1 + the position of the check that it
            broke.
        checked: all columns, for the quarantine.
    """

    raw: RawRows
    frame: "DataFrame"
    checked: CheckedRows


def replace_main_table(recipe: Recipe, table: str) -> Recipe:
    """Return the recipe with another main table, and without what is about training alone.

    Args:
        recipe: how the main table is read: format, options, types of columns, `where`.
        table: folder or URL; or a name in Spark's catalog, where there is no such file.
    """
    source = recipe.source
    main = source.tables[source.main]
    is_path = "/" in table or Path(table).exists()
    where = {"path": table, "table": None} if is_path else {"path": None, "table": table}
    tables = {**source.tables, source.main: main.model_copy(update={**where, "partitions": None})}
    # That a key is unique says something of many rows, and would make one of all partitions.
    joins = [join.model_copy(update={"cardinality": "many_to_one"}) for join in source.joins]
    rules = [rule for rule in recipe.clean.rules if not isinstance(rule, s.Unique)]
    return recipe.model_copy(
        update={
            "source": source.model_copy(update={"tables": tables, "joins": joins}),
            "clean": recipe.clean.model_copy(update={"dedup": None, "rules": rules}),
            "label": recipe.label.model_copy(update={"sample_weight": None}),
        }
    )


def list_rules_about_many_rows(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the rules that `replace_main_table` leaves out."""
    return tuple(
        rule.name or f"unique({', '.join(rule.columns)})"
        for rule in recipe.clean.rules
        if isinstance(rule, s.Unique)
    )


def list_written_columns(recipe: Recipe) -> list[str]:
    """Return the raw columns that are written beside the predictions, the key first.

    Raises:
        RecipeError: the recipe has no key.
    """
    dedup = recipe.clean.dedup
    key = recipe.score.key or (dedup.key if dedup else None)
    if not key:
        text = "there is no key, so nobody could tell which row a prediction is of"
        fix = (
            "name the columns that do, or set clean.dedup.key; without a key, name all raw columns"
        )
        problem = Problem("score.key", text, fix)
        raise RecipeError(recipe.name, recipe.locate([problem]))
    return list(dict.fromkeys([*key, *recipe.score.columns]))


def read_rows_to_score(
    spark: "SparkSession",
    recipe: Recipe,
    plan: ScorePlan,
    spec: TransformSpec,
    written: list[str],
    invalid_texts: Collection[str] = (),
) -> RowsToScore:
    """Read, join and check the rows that a plan processes.

    Args:
        spark: the session.
        recipe: of `replace_main_table`.
        plan: which source partitions.
        spec: the model's transform; its raw columns are needed, whatever the recipe's features.
        written: columns that are written as they are.
        invalid_texts: columns with texts that are no UTF-8, whose rows are quarantined.

    Raises:
        LakeError: the table does not fit the model, or cannot be read.
    """
    rules = [rule for _, rule in list_rules(recipe, spec)]
    recipe = recipe.model_copy(update={"clean": recipe.clean.model_copy(update={"rules": rules})})
    raw = read_raw(spark, recipe, plan, list_contract(spec, written))
    with explain_spark_errors(f"table {raw.main.name!r} ({raw.main.where})"):
        images = [
            ImageColumn(f.name, f.source_columns[0], f.shape) for f in spec.select_features("image")
        ]
        rules, left_out = _select_rules(recipe, raw, spec)
        refuse_other_types(raw.schema, spec, recipe.source.main)
        checking = recipe.model_copy(
            update={"clean": recipe.clean.model_copy(update={"rules": rules})}
        )
        windows = recipe.source.windows
        rows, schema = raw.rows, raw.schema
        if windows:
            rows, schema = rows.drop(FILE, POSITION), schema.without_columns(FILE, POSITION)
        checked = check_rows(
            rows,
            schema,
            checking,
            raw.main,
            images,
            invalid_texts,
            keep_as_read=spec.rules is not None,  # the transform makes the nulls
        )
        rows, schema = checked.rows, checked.schema
        if windows:
            rows, schema = add_windows(rows, schema, windows, checked.violates_any("quarantine"))
        bucket = _assign_bucket(checked)
        kinds = check_kinds(schema, spec, recipe.source.main)
        as_read = find_as_read(raw.main.schema, written)
        late = (
            None if windows else find_late_columns(raw.main, checked.checks, {**as_read, **kinds})
        )
        if late:
            not_late = [n for n in written if n not in late.columns or n not in as_read]
            frame = _select_columns(
                rows, checked, schema, kinds, not_late, bucket, raw, late.columns
            )
            if has_file_order(frame):
                return _plan_rows(frame, checked, raw, late, left_out)
        frame = _select_columns(rows, checked, schema, kinds, written, bucket, raw, {})
        find_engine(spark).resolve_plan(frame)
    return _plan_rows(frame, checked, raw, None, left_out)


def _plan_rows(
    frame: "DataFrame",
    checked: CheckedRows,
    raw: RawRows,
    late: LateColumns | None,
    left_out: tuple[str, ...],
) -> RowsToScore:
    return RowsToScore(
        frame=frame,
        checked=checked,
        raw=raw,
        table=raw.main,
        schema=checked.schema,
        checks=checked.checks,
        late=late,
        rules_left_out=left_out,
    )


def _select_rules(
    recipe: Recipe, raw: RawRows, spec: TransformSpec
) -> "tuple[list[s.Rule], tuple[str, ...]]":
    """Select the rules that act on rows without a label: those of the model, which come with its
    transform; of an older model, those of the recipe.

    Rows that break one are quarantined, whatever the rule does in training but making null: the
    model was not trained on such rows.

    Returns:
        the rules, and the names of those that are left out.
    """
    later = list_later_columns(recipe) & {*raw.schema.names}
    rows, schema = raw.rows.drop(*later), raw.schema.without_columns(*later)
    rules: list[s.Rule] = []
    left_out = [rule.name for rule in spec.left_out]
    for name, rule in list_rules(recipe, spec):
        if not _can_compile(rule, rows, schema):
            left_out.append(name)
            continue
        action = rule.on_violation if rule.on_violation == "null" else "quarantine"
        update = {"on_violation": action, "max_fraction": None, "name": name}
        rules.append(rule.model_copy(update=update))
    return rules, tuple(dict.fromkeys(left_out))


def list_rules(recipe: Recipe, spec: TransformSpec) -> "list[tuple[str, s.Rule]]":
    """Return the rules that may act on rows without a label, with their names."""
    if spec.rules is None:
        return list(zip(list_rule_names(recipe.clean.rules), recipe.clean.rules, strict=True))
    sections = {rule.name: rule.section for rule in spec.rules if rule.section}
    return [(name, _RULE.validate_python(section)) for name, section in sections.items()]


def _can_compile(rule: "s.Rule", rows: "DataFrame", schema: RawSchema) -> bool:
    """Return whether rows have the columns of a rule."""
    import pyspark.sql.functions as F
    from pyspark.errors import AnalysisException

    if isinstance(rule, s.Expr):
        try:
            frame = rows.select(F.expr(rule.expression))
            find_engine(rows.sparkSession).resolve_plan(frame)
        except AnalysisException:
            return False
        return True
    return all(c in schema.names for c in rule.list_columns())


def _assign_bucket(checked: CheckedRows) -> "SparkColumn":
    """Return 0 for rows that are scored, else 1 + the position of the first check they broke."""
    import pyspark.sql.functions as F

    chosen = None
    for index, check in enumerate(checked.checks):
        if check.on_violation == "quarantine":
            violated, bucket = checked.violates_check(index), F.lit(index + 1)
            chosen = F.when(violated, bucket) if chosen is None else chosen.when(violated, bucket)
    return F.lit(0) if chosen is None else chosen.otherwise(F.lit(0))


def _select_columns(
    rows: "DataFrame",
    checked: CheckedRows,
    schema: RawSchema,
    kinds: dict[str, RawKind],
    not_late: list[str],
    bucket: "SparkColumn",
    raw: RawRows,
    late: Mapping[str, str],
) -> "DataFrame":
    """Select what the tasks need: the model's columns by kind, and those written by themselves."""
    columns = [
        convert_to_kind(checked.name_as_read(name), kind).alias(name)
        for name, kind in kinds.items()
        if name not in late
    ]
    columns += [
        _select_written(checked.name_as_read(name), schema).alias(name_output_copy(name))
        for name in not_late
    ]
    if late or raw.partition_index.needs_file:
        columns.append(col(FILE))
    if late:
        columns.append(col(POSITION))
        if PROBLEMS in schema.names:
            columns.append(col(PROBLEMS))
    return rows.select(*columns, bucket.cast("int").alias(BUCKET))


def _select_written(name: str, schema: RawSchema) -> "SparkColumn":
    """Return a column as it is written."""
    kind = get_written_type(name, schema)
    return col(name) if kind is schema.spark_types[name] else col(name).cast(kind)
