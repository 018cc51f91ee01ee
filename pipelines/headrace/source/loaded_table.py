"""What Spark makes of a raw table: its rows, and what is known of its columns."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.recipe import sections as s
from headrace.source.common_columns import CommonColumns
from headrace.source.listing import FILE_FORMATS
from headrace.spark_engine.find_engine import find_engine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameReader

# Options of Spark's readers that choose among the files of a table, in small letters.
SELECTING_OPTIONS = {"pathglobfilter", "modifiedbefore", "modifiedafter"}


@dataclass(frozen=True)
class LoadedTable:
    """A table as Spark reads it.

    Attributes:
        frame: its rows; with FILE, and POSITION where it is known, where its files differ.
        partition_columns: columns that are in no file; None where a table is not its files.
        common: the columns of all files; None where their footers are not opened.
        spark_only: columns that only Spark reads right, of files that differ.
    """

    frame: "DataFrame"
    partition_columns: list[str] | None
    common: CommonColumns | None = None
    spark_only: frozenset[str] = frozenset()


def find_partition_columns(
    frame: "DataFrame", reader: "DataFrameReader", files: str | list[str], table: s.Table
) -> list[str] | None:
    """Return the columns that are in no file; None where a table is not its files."""
    if table.format not in FILE_FORMATS or table.table:
        return None
    return find_engine(frame.sparkSession).find_partition_columns(frame, reader, files)
