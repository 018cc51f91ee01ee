"""Some rows of a table, from all over it, and what they are worth: counted, or of so many."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.propose.columns import Column, columns_of
from headrace.propose.csv_rows import read_csv
from headrace.propose.find import Found, find_table
from headrace.propose.json_rows import read_json
from headrace.propose.names import usable
from headrace.propose.parquet import read_parquet
from headrace.propose.reading import Read

SAMPLED_ROWS = 100_000
_READERS: Mapping[str, Callable[[Found, int], Read]] = {
    "parquet": read_parquet,
    "csv": read_csv,
    "json": read_json,
}


@dataclass(frozen=True)
class Sample:
    """What was looked at.

    Attributes:
        path, format: of the table.
        columns: those that features can be made of, by name; rows are in an order that says nothing
            of where they were.
        rows: sampled.
        table_rows: of the whole table.
        counted: whether they were counted, and not estimated.
        whole: whether every row of the table is in the sample.
        files, all_files: files that were opened, and that there are.
        options, spark: what Spark has to be told.
        unusable: other columns, and why.
        partitions: columns of the folders' names.
        notes: what else was seen.
    """

    path: str
    format: str
    columns: Mapping[str, Column]
    rows: int
    table_rows: int
    counted: bool
    whole: bool
    files: int
    all_files: int
    options: Mapping[str, Any]
    spark: Mapping[str, Any]
    unusable: Mapping[str, str]
    partitions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def of_rows(self, count: int) -> str:
        """A count of sampled rows in words, for example `12 of 100,000 sampled rows`."""
        return f"{count:,} of {self.rows:,} {'rows' if self.whole else 'sampled rows'}"


def sample_table(path: str, format_: str | None = None, rows: int = SAMPLED_ROWS) -> Sample:
    """Look at some rows of a table.

    Args:
        path: a folder, a file, a pattern, or a URL.
        format_: parquet, csv or json; None to go by the files' names.
        rows: at most.

    Raises:
        LakeError: there is no such table, it is empty, or it cannot be read.
        OptionError: no such format.
    """
    found = find_table(path, format_)
    read = _READERS[found.format](found, rows)
    order = np.random.default_rng(0).permutation(read.rows.num_rows)
    columns = columns_of(read.rows.take(pa.array(order)), texts_only=found.format != "parquet")
    unusable = dict(read.unusable)
    for name in list(columns):
        if not usable(name):
            unusable[name] = "a recipe cannot name it"
            del columns[name]
    return Sample(
        path=path,
        format=found.format,
        columns=columns,
        rows=read.rows.num_rows,
        table_rows=max(read.table_rows, read.rows.num_rows),
        counted=read.counted,
        whole=read.whole,
        files=read.files,
        all_files=len(found.files),
        options={**found.options, **read.options},
        spark=read.spark,
        unusable=unusable,
        partitions=tuple(dict.fromkeys(n for f in found.files for n in f.partition)),
        notes=read.notes,
    )
