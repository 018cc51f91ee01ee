"""Plan a build that leaves out a person's rows: the partitions that have some are processed."""

import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.columns.person_key import PersonKey
from headrace.lake.build import ErasedKey
from headrace.lake.version import DatasetVersion
from headrace.prepare.plan import Plan
from headrace.recipe import Recipe
from headrace.source.erased_rows import find_erased_files, leave_out_erased, make_erased_key
from headrace.source.needed_columns import NeededColumns
from headrace.source.spark_errors import explain_spark_errors
from headrace.source.tables import RawTable, open_table
from headrace.transform.spec import TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def plan_erasure(
    spark: "SparkSession", recipe: Recipe, plan: Plan, key: PersonKey, now: datetime
) -> Plan:
    """Return a plan that also processes the partitions with a person's rows, without them.

    Where the transform has a value of the key, in a vocabulary for example, it is fitted again.

    Args:
        spark: the session.
        recipe: source is read.
        plan: of what changed otherwise.
        key: of the person.
        now: current time, UTC.

    Raises:
        LakeError: the main table has no such column, or a value is none of its column's type.
    """
    table = _open_main_table(spark, recipe, plan, key)
    with explain_spark_errors(f"table {table.name!r} ({table.where})"):
        erased = make_erased_key(spark, table, key, now.isoformat(timespec="seconds"))
        known = {(other.columns, other.digest) for other in plan.erased}
        if (erased.columns, erased.digest) in known:  # no version has the rows
            names = frozenset[str]()
        else:
            names = _find_partitions(plan, table, erased)
            plan = replace(plan, erased=(*plan.erased, erased))
    reason = f"a person is erased (source partitions with rows: {len(names):,})"
    why = reason if plan.is_up_to_date or not plan.why else f"{plan.why}; {reason}"
    if plan.base is not None and not plan.refit and _is_in_transform(plan.base, key):
        return plan.with_refit(f"{why}, and the transform has the key")
    if names and not plan.refit and plan.partitioning == "table":
        return plan.with_everything(why)
    return plan.with_partitions(plan.processed | names, why)


def _open_main_table(spark: "SparkSession", recipe: Recipe, plan: Plan, key: PersonKey) -> RawTable:
    paths = None
    if plan.listing is not None and plan.pruned_folders:
        paths = sorted(plan.listing.files)
    name = recipe.source.main
    needed = NeededColumns.from_names(list(key.values))
    return open_table(spark, name, recipe.source.tables[name], needed, plan.listing, paths)


def _find_partitions(plan: Plan, table: RawTable, erased: ErasedKey) -> frozenset[str]:
    """Find the partitions with rows of the person."""
    if plan.listing is None:  # it is processed as a whole every time
        return frozenset()
    if plan.partitioning == "table":
        _, gone = leave_out_erased(table, [erased])
        has_rows = gone is not None and bool(gone.frame.take(1))
        return frozenset(plan.partitions) if has_rows else frozenset()
    paths = {plan.listing.find_url(url) for url in find_erased_files(table, [erased])}
    return frozenset(
        name
        for name, files in plan.partitions.items()
        if not paths.isdisjoint(file.path for file in files)
    )


def _is_in_transform(dataset: DatasetVersion, key: PersonKey) -> bool:
    """Return whether a transform has a value of the key: in a text, or among those of a column."""
    transform_json = dataset.transform_json
    if key.is_in_text(transform_json):
        return True
    spec = TransformSpec.from_json(transform_json, files=dataset.text_files)
    raw = {column.name for column in spec.raw}
    values = {column: text for column, text in key.values.items() if column in raw}
    if any(json.dumps(text) in transform_json for text in values.values()):
        return True
    wanted = pa.array([*values.values()], pa.string())
    return any(
        (texts.open_index().find_positions(wanted) >= 0).any()
        or any(key.is_in_array(chunk) for chunk in texts.list_chunks())
        for texts in spec.stored_texts
    )
