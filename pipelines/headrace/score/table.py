"""Describe the table of predictions: its columns, partitions and folders, and whose rows it has."""

import hashlib
import os
import re
from collections.abc import Mapping

import pyarrow as pa

from headrace.errors import DatasetError, LakeError, Problem, RecipeError
from headrace.labels.spec import LabelSpec
from headrace.lake.score_record import ScoreRecord
from headrace.lake.storage import resolve_root
from headrace.score.contract import get_arrow_types
from headrace.score.plan import ScorePlan
from headrace.source.listing import NULL_PARTITION
from headrace.source.raw_schema import RawSchema

_PLAIN_WORD = re.compile(r"[A-Za-z0-9_.-]{1,80}")


def choose_partition_columns(
    plan: ScorePlan, root: str, base: ScoreRecord | None
) -> tuple[str, ...]:
    """Choose what the predictions are partitioned by: as the table is, the first time.

    Raises:
        LakeError: the table's folders name different partition columns.
        DatasetError: the predictions of earlier jobs are partitioned in another one.
    """
    choices = {tuple(plan.values[name]) for name in plan.processed} or {()}
    if len(choices) > 1:
        ways = "; ".join(", ".join(columns) or "none" for columns in sorted(choices)[:2])
        raise LakeError(
            f"the folders of table {plan.source} name different partition columns ({ways}), "
            "expected the same in all; rename them, or set increments.by to file"
        )
    columns = choices.pop()
    if base and base.partition_by != columns:
        before = ", ".join(base.partition_by) or "nothing"
        raise DatasetError(
            f"predictions {root} are partitioned by {before}, and table {plan.source} by "
            f"{', '.join(columns) or 'nothing'}; use another --output"
        )
    return columns


def build_table_schema(
    rows: RawSchema,
    stored: RawSchema,
    written: list[str],
    by: tuple[str, ...],
    label: LabelSpec,
    recipe: str,
) -> pa.Schema:
    """Build the schema of the table, with the columns that it is partitioned by at the end.

    Args:
        rows: of the rows that are scored, for the types of `written`.
        stored: of the table as it is stored: a declared type is of what is in files, and not of
            what Spark reads from the names of folders.
        written: columns that are written as they are.
        by: of `choose_partition_columns`.
        label: of the model.
        recipe: its name, for the error.

    Raises:
        RecipeError: a written column has the name of a predicted one.
    """
    kinds = get_arrow_types(rows, [name for name in written if name not in by])
    predicted = dict(label.definition.prediction_types)
    predicted |= {
        "model_version": pa.int64(),
        "dataset_version": pa.int64(),
        "scored_at": pa.timestamp("us", "UTC"),
    }
    conflicts = [name for name in (*written, *by) if name in predicted]
    if conflicts:
        text = f"{', '.join(conflicts)} would have the name of a predicted column"
        raise RecipeError(recipe, [Problem("score.key", text, "leave it out")])
    types = {"int": pa.int64(), "bigint": pa.int64(), "date": pa.date32()}
    partitions = {name: types.get(stored.sql_types.get(name, ""), pa.string()) for name in by}
    return pa.schema([*kinds.items(), *predicted.items(), *partitions.items()])


def refuse_other_columns(schema: pa.Schema, root: str, base: ScoreRecord | None) -> None:
    """Refuse to write other columns than the predictions of earlier jobs have.

    Raises:
        DatasetError: with columns that differ.
    """
    now = {field.name: str(field.type) for field in schema}
    before = base.columns if base else now
    other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if other:
        raise DatasetError(
            f"predictions {root} have other columns than this job would write: "
            f"{', '.join(other[:5])}; use another --output"
        )


def name_folder(values: Mapping[str, str | None]) -> str:
    """Return the folder of a source partition's files, relative to the root.

    It is named as Hive does, if no character would have to be encoded in a URL: readers find files
    by the table's log, whose paths are encoded once by the writers of the log and once more by its
    readers.
    """
    words = {c: NULL_PARTITION if v is None else v for c, v in values.items()}
    folder = "/".join(f"{column}={value}" for column, value in words.items())
    if all(_PLAIN_WORD.fullmatch(word) for pair in words.items() for word in pair):
        return folder
    return f"partition-{hashlib.sha256(folder.encode()).hexdigest()[:16]}"


def normalize_table_name(path: str) -> str:
    """Return one name for all ways to write a table's location."""
    local = re.sub(r"^file:/+", "/", path)
    return resolve_root(local) if "://" in local else os.path.realpath(local)


def refuse_overlapping_tables(source: str, base: ScoreRecord | None) -> None:
    """Refuse a table that shares rows with another that has predictions here.

    Raises:
        DatasetError: a table above or below this one has predictions here.
    """
    for other in {p.source for p in base.partitions} if base else ():
        if other.startswith(f"{source}/") or source.startswith(f"{other}/"):
            raise DatasetError(
                f"there are predictions of table {other} in this output already, and {source} "
                "shares rows with it; score the same table as before, or use another --output"
            )
