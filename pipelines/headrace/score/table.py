"""The table of predictions: its columns, how it is divided, where files go, whose rows it has."""

import hashlib
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.errors import DatasetError, LakeError, Problem, RecipeError
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import absolute_root
from headrace.score.plan import ScorePlan, partition_values
from headrace.score.reading import arrow_types
from headrace.source.listing import NULL_PARTITION
from headrace.transform.spec import LabelSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PREDICTED: dict[str, dict[str, pa.DataType]] = {
    "binary": {"prediction": pa.int64(), "probability": pa.float64()},
    "classes": {"prediction": pa.string(), "probability": pa.float64()},
    "multi_label": {
        "prediction": pa.list_(pa.string()),
        "probability": pa.map_(pa.string(), pa.float64()),
    },
    "regression": {"prediction": pa.float64()},
}
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def partition_columns(plan: ScorePlan, root: str, base: ScoreRecord | None) -> tuple[str, ...]:
    """What the predictions are partitioned by: as the table is, the first time.

    Raises:
        LakeError: the table is partitioned in several ways.
        DatasetError: the predictions that there are are partitioned in another one.
    """
    found = {tuple(partition_values(name, plan.by)) for name in plan.process} or {()}
    if len(found) > 1:
        shown = " and ".join(", ".join(columns) or "none" for columns in sorted(found)[:2])
        raise LakeError(f"table {plan.source} is partitioned in two ways: by {shown}")
    columns = found.pop()
    if base and base.partition_by != columns:
        before = ", ".join(base.partition_by) or "nothing"
        raise DatasetError(
            f"predictions {root} are partitioned by {before}, and table {plan.source} by "
            f"{', '.join(columns) or 'nothing'}; use another --output"
        )
    return columns


def table_schema(
    rows: "DataFrame",
    folders: "DataFrame",
    written: list[str],
    by: tuple[str, ...],
    label: LabelSpec,
    recipe: str,
) -> pa.Schema:
    """Columns of the table, those that it is partitioned by at the end.

    Args:
        rows: that are scored, for the types of `written`.
        folders: the table as it lies there: a declared type is of what is in files, and not of
            what Spark reads from the names of folders.
        written: columns that are written as they are.
        by: of `partition_columns`.
        label: of the model.
        recipe: its name, for the error.

    Raises:
        RecipeError: a written column has the name of one that is made.
    """
    kinds = arrow_types(rows, [name for name in written if name not in by])
    made = dict(_PREDICTED[label.kind])
    made |= {
        "model_version": pa.int64(),
        "dataset_version": pa.int64(),
        "scored_at": pa.timestamp("us", "UTC"),
    }
    taken = [name for name in (*written, *by) if name in made]
    if taken:
        text = f"{', '.join(taken)} would be in the way of what is predicted"
        raise RecipeError(recipe, [Problem("score.key", text, "leave it out")])
    found = {field.name: field.dataType.simpleString() for field in folders.schema}
    typed = {"int": pa.int64(), "bigint": pa.int64(), "date": pa.date32()}
    partitions = {name: typed.get(found.get(name, ""), pa.string()) for name in by}
    return pa.schema([*kinds.items(), *made.items(), *partitions.items()])


def refuse_other_columns(schema: pa.Schema, root: str, base: ScoreRecord | None) -> None:
    """
    Raises:
        DatasetError: the predictions that there are have other columns.
    """
    now = {field.name: str(field.type) for field in schema}
    before = base.columns if base else now
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        raise DatasetError(
            f"predictions {root} have other columns than this job would write: "
            f"{', '.join(other[:5])}; use another --output"
        )


def folder_of(values: Mapping[str, str | None]) -> str:
    """Where the files of a source partition go, below the root.

    As Hive names it, where nothing in it would have to be written otherwise in a URL: what readers
    go by is the table's log, and in its paths such characters are encoded, once by those who write
    the log and once more by those who read it.
    """
    named = {c: NULL_PARTITION if v is None else v for c, v in values.items()}
    folder = "/".join(f"{column}={value}" for column, value in named.items())
    if all(_PLAIN.fullmatch(word) for pair in named.items() for word in pair):
        return folder
    return f"partition-{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def one_name(path: str) -> str:
    """The same for all ways to write a table's place."""
    local = re.sub(r"^file:/+", "/", path)
    return absolute_root(local) if "://" in local else os.path.realpath(local)


def refuse_tables_within(source: str, base: ScoreRecord | None) -> None:
    """No table above or below this one has predictions here: its rows would be there twice.

    Raises:
        DatasetError: one has.
    """
    for other in {p.source for p in base.partitions} if base else ():
        if other.startswith(f"{source}/") or source.startswith(f"{other}/"):
            raise DatasetError(
                f"there are predictions of table {other} in this output already, and {source} "
                "shares rows with it; score the same table as before, or use another --output"
            )
