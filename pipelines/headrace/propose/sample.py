"""Sample rows from all over a table, with what is known of the whole table: counts or estimates."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.propose.columns import Column, build_columns
from headrace.propose.csv_rows import read_csv
from headrace.propose.images import ImageColumn
from headrace.propose.json_rows import read_json
from headrace.propose.names import is_nameable
from headrace.propose.parquet import read_parquet
from headrace.propose.partitions import list_code_columns
from headrace.propose.sampled_rows import SampledRows
from headrace.propose.table_files import TableFiles, find_table

SAMPLED_ROWS = 100_000
_READERS: Mapping[str, Callable[[TableFiles, int], SampledRows]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "json": read_json,
}


@dataclass(frozen=True)
class Sample:
    """The sampled rows of a table, by columns, and what is known of the table.

    Attributes:
        path, format: the table's.
        columns: the columns that features can be made of, by name; the order of their rows tells
            nothing of where in the table they were.
        rows: the number of sampled rows.
        table_rows: the number of rows of the whole table.
        is_counted: whether these were counted, and not estimated.
        is_whole: whether every row of the table is in the sample.
        opened_files, total_files: the numbers of files that were opened, and that there are.
        reader_options, spark_conf: what Spark needs to read the table.
        unusable: other columns -> why no feature can be made of them.
        partitions: the columns in the names of folders.
        images: the columns of image files, which are none of `columns`.
        notes: what else a reader of the recipe should know.
    """

    path: str
    format: str
    columns: Mapping[str, Column]
    rows: int
    table_rows: int
    is_counted: bool
    is_whole: bool
    opened_files: int
    total_files: int
    reader_options: Mapping[str, Any]
    spark_conf: Mapping[str, Any]
    unusable: Mapping[str, str]
    partitions: tuple[str, ...] = ()
    images: Mapping[str, ImageColumn] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def describe_rows(self, count: int) -> str:
        """Return a count of sampled rows in words, such as `12 of 100,000 sampled rows`."""
        return f"{count:,} of {self.rows:,} {'rows' if self.is_whole else 'sampled rows'}"


def sample_table(path: str, format_: str | None = None, max_rows: int = SAMPLED_ROWS) -> Sample:
    """Sample rows of a table.

    Args:
        path: a folder, a file, a pattern, or a URL.
        format_: parquet, csv or json; None to tell it by the files' names.
        max_rows: the number of rows to sample, at most.

    Raises:
        LakeError: there is no such table, it is empty, or it cannot be read.
        OptionError: there is no such format.
    """
    table = find_table(path, format_)
    sampled = _READERS[table.format](table, max_rows)
    order = np.random.default_rng(0).permutation(sampled.rows.num_rows)
    shuffled_rows = sampled.rows.take(pa.array(order))
    columns = build_columns(shuffled_rows, texts_only=table.format != "parquet")
    for name in list_code_columns(table):
        columns[name] = replace(columns[name], declared_type="string")
    unusable = dict(sampled.unusable)
    images = dict(sampled.images)
    for named in (columns, images):
        for name in [name for name in named if not is_nameable(name)]:
            unusable[name] = "a recipe cannot name it"
            del named[name]
    return Sample(
        path=path,
        format=table.format,
        columns=columns,
        rows=sampled.rows.num_rows,
        table_rows=max(sampled.table_rows, sampled.rows.num_rows),
        is_counted=sampled.is_counted,
        is_whole=sampled.is_whole,
        opened_files=sampled.opened_files,
        total_files=len(table.files),
        reader_options={**table.reader_options, **sampled.reader_options},
        spark_conf=sampled.spark_conf,
        unusable=unusable,
        partitions=tuple(
            dict.fromkeys(name for file in table.files for name in file.partition_values)
        ),
        images=images,
        notes=sampled.notes,
    )
