"""Choose the columns for late materialization: those that no SQL needs are read by the tasks.

A cell costs Spark far more on its way from a Parquet page to a row and from there to Arrow than it
costs Arrow to read it. So the plan carries the columns that conditions, casts and keys need, and
for each row its file and its position in it; the task that receives the rows reads the other
columns of the main table there, with pyarrow (`late_reader.py`).

Measured (2 cores, 1 million rows of 41 columns): reading in Spark and handing over to Python costs
24 s of CPU, pyarrow needs some 2 s.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa

from headrace.columns.values import RawKind
from headrace.source.internal_columns import POSITION
from headrace.source.local_files import LocalFile, find_local_files
from headrace.source.rules import Check
from headrace.source.tables import RawTable, TableColumns
from headrace.spark_engine.find_engine import find_engine
from headrace.spark_engine.plan_text import keeps_file_order

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Spark's type -> (type in Arrow, types in a file that are read as such, in the words of
# `file_columns.describe_type`). A column of nulls alone has the type null.
_INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "null")
_TEXTS = ("string", "binary", "null")
LATE_TYPES: dict[str, tuple[pa.DataType, tuple[str, ...]]] = {
    "bigint": (pa.int64(), (*_INTEGERS, "timestamp_ns")),
    "boolean": (pa.int64(), ("boolean", "null")),
    "double": (pa.float64(), ("float", "double", *_INTEGERS)),
    "string": (pa.string(), _TEXTS),
    "binary": (pa.binary(), _TEXTS),
}
_RAW_KINDS = {"bigint": "integer", "boolean": "integer", "double": "real", "string": "string"}
_RAW_KINDS |= {"binary": "bytes"}


@dataclass(frozen=True)
class LateColumns:
    """Columns that the tasks read themselves, and the files to read them from.

    Attributes:
        table: the main table's name, for messages.
        columns: raw column -> Spark's type of it.
        files: FILE of a row -> its file.
        spellings: column -> its names in files, where some of them have another than the table.
    """

    table: str
    columns: Mapping[str, str]
    files: Mapping[int, LocalFile]
    spellings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def find_stored_names(self, names: Collection[str]) -> dict[str, str]:
        """Find the name of each column among those of a file; one that is null there has none."""
        present, stored = set(names), {}
        for column in self.columns:
            for name in self.spellings.get(column, (column,)):
                if name in present:
                    stored[column] = name
                    break
        return stored


def find_late_columns(
    main: RawTable, checks: tuple[Check, ...], raw: Mapping[str, RawKind]
) -> LateColumns | None:
    """Find the raw columns that the tasks may read themselves.

    Args:
        main: the table.
        checks: of its rows; what one of them may make null is read by Spark.
        raw: raw columns that are needed -> kind.

    Returns:
        None where it is no column, or where pyarrow cannot reach the table's files.

    Raises:
        LakeError: a file cannot be read.
    """
    columns = select_late_columns(main, checks, raw)
    files = find_local_files(main) if columns else None
    spellings = {c.name: c.spellings for c in main.common.columns if len(c.spellings) > 1}
    return LateColumns(main.name, columns, files, spellings) if files else None


def select_late_columns(
    main: RawTable, checks: tuple[Check, ...], raw: Mapping[str, RawKind]
) -> dict[str, str]:
    """Select the raw columns that may be read late.

    Columns with a cast, or which a rule may make null, are left to Spark's plan.

    Returns:
        column -> Spark's type; empty where the table has no files that pyarrow can read.
    """
    return choose_late_columns(main, checks, raw) if _has_exact_names(main) else {}


def choose_late_columns(
    main: TableColumns, checks: tuple[Check, ...], raw: Mapping[str, RawKind]
) -> dict[str, str]:
    """Choose the same among columns that are found by their exact names."""
    if POSITION not in main.schema.names:
        return {}
    nulled = {check.texts for check in checks}
    nulled |= {check.nulls for check in checks if not check.keeps_as_read}
    selected = {}
    for name, kind in raw.items():
        sql = main.stored.sql_types.get(name, "")
        same = _RAW_KINDS.get(sql) == kind and main.schema.sql_types.get(name) == sql
        same = same and name not in main.casts
        same = same and name not in main.spark_only
        if same and name not in nulled and name not in main.partition_columns:
            selected[name] = sql
    return selected


def _has_exact_names(main: RawTable) -> bool:
    """Return whether Spark finds a file's columns by their exact names, as the tasks do."""
    conf = main.unfiltered.sparkSession.conf
    by_id = conf.get("spark.sql.parquet.fieldId.read.enabled", "false") == "true"
    return conf.get("spark.sql.caseSensitive", "false") == "true" and not by_id


def has_file_order(rows: "DataFrame") -> bool:
    """Return whether Spark's plan leaves rows in the order of their files."""
    return keeps_file_order(find_engine(rows.sparkSession).describe_plan(rows))
