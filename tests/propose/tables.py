"""Tables that tests propose recipes for, and what a command would do with them."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.progress import silent
from headrace.propose import Draft, draft_recipe
from headrace.propose.columns import columns_of
from headrace.propose.sample import Sample


def drafted(table: Path | str, label: str | None = None, **options: str | None) -> Draft:
    given = {"format_": None, "name": None, "out": None, "workdir": "var"} | options
    return draft_recipe(str(table), label=label, report=silent, **given)


def written(folder: Path, table: pa.Table | dict, name: str = "part-0.parquet") -> Path:
    """The folder, with the table as Parquet in it."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table) if isinstance(table, dict) else table, folder / name)
    return folder


def sample_of(table: pa.Table | dict, *, table_rows: int | None = None) -> Sample:
    """As if it was read from files; of more rows, if the table has more."""
    rows = pa.table(table) if isinstance(table, dict) else table
    return Sample(
        path="t", format="parquet", columns=columns_of(rows, texts_only=False), rows=rows.num_rows,
        table_rows=table_rows or rows.num_rows, counted=True, whole=table_rows is None, files=1,
        all_files=1, options={}, spark={}, unusable={},
    )  # fmt: skip


def days(count: int, first: str = "2024-01-01") -> np.ndarray:
    """Datetimes, one a day, in microseconds."""
    return np.datetime64(first, "us") + np.arange(count) * np.timedelta64(1, "D")
