"""Keep the rows that were rejected: all their columns as they were read, the rules and the reasons.

This is the second and last look at the lake, with all columns, and taken only where the first job
found rows to keep. The rows lie beside the dataset's in the build's own folder, so that a commit
shows both or neither.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import fsspec

from pipelines.errors import LedgerError
from pipelines.lake.build import sidecar_folder
from pipelines.prepare.names import MALFORMED, PROBLEMS, REASONS, RULES, as_read, col, ours
from pipelines.prepare.rules import PART as _PART
from pipelines.prepare.rules import PROBLEM as _PROBLEM
from pipelines.prepare.rules import Checked
from pipelines.prepare.tables import RawTable

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Quarantine:
    """Where the rejected rows are.

    Attributes:
        path: folder of Parquet files.
        rows: how many.
    """

    path: str
    rows: int


def write_quarantine(
    checked: Checked, main: RawTable, *, root: str, build_id: str, expected: int
) -> Quarantine:
    """Write the rows that a quarantine check rejected.

    Args:
        checked: the checked rows, with all columns of the main table.
        main: names the columns.
        root, build_id: the dataset, and the build whose folder they go to.
        expected: rows that the first job found.

    Raises:
        LedgerError: another number of rows was rejected this time, so the lake changed meanwhile.
    """
    import pyspark.sql.functions as F

    rejected = checked.any_of("quarantine")
    assert rejected is not None
    folder = f"{sidecar_folder(root, build_id)}/quarantine"
    names = [
        F.when(checked.violates(i), F.lit(check.name)) for i, check in enumerate(checked.checks)
    ]
    frame = checked.rows.where(rejected).select(
        *_as_they_were(checked.rows, main),
        F.array_compact(F.array(*names)).alias(RULES),
        _reasons().alias(REASONS),
    )
    frame.write.mode("error").parquet(folder)
    written = frame.sparkSession.read.parquet(folder).count()
    if written != expected:
        raise LedgerError(
            f"{written:,} rows were written to the quarantine and {expected:,} were rejected when "
            "they were counted; the source changed during the build. Nothing was published; run "
            "the build again"
        )
    files, path = fsspec.url_to_fs(folder)
    for marker in files.glob(f"{path}/_SUCCESS"):
        files.rm_file(marker)
    return Quarantine(f"{folder}", written)


def _as_they_were(rows: "DataFrame", main: RawTable) -> "list[Column]":
    there = set(rows.columns)
    columns = [
        col(as_read(name) if as_read(name) in there else name).alias(name)
        for name in main.frame.columns
        if not ours(name)
    ]
    if MALFORMED in there:
        columns.append(col(MALFORMED).alias("malformed_line"))
    return columns


def _reasons() -> "Column":
    import pyspark.sql.functions as F

    parts = F.split(F.col(PROBLEMS), _PROBLEM)
    return F.transform(parts, lambda part: F.element_at(F.split(part, _PART, 2), 2))
