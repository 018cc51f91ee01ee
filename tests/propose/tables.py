"""Build tables and samples for the tests of proposals, and draft recipes as the command does."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.progress import ignore_progress
from headrace.propose import Draft, draft_recipe
from headrace.propose.columns import build_columns
from headrace.propose.sample import Sample

ORDERS = 600
ODD_NAMES = [
    "a b", "no", "x:y", "é", "it's", "`q`", "1", "a.b", "select", "case", "date", "interval", "end",
    "null", "label", "weight", "# 1", "- a", "{a}", "a\nb", "日本", " lead", "A", "a", "Größe (cm)",
    "order", "table", "timestamp", "100%", "a,b", '"', "\\", "x_missing", "x", "split", "not",
    "distinct", "_", "true",
]  # fmt: skip


def draft_table(table: Path | str, label: str | None = None, **options: str | None) -> Draft:
    arguments = {"format_": None, "name": None, "out": None, "workdir": "var"} | options
    return draft_recipe(str(table), label=label, report=ignore_progress, **arguments)


def write_table(folder: Path, table: pa.Table | dict, name: str = "part-0.parquet") -> Path:
    """Write the table as Parquet into the folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(table) if isinstance(table, dict) else table, folder / name)
    return folder


def build_sample(table: pa.Table | dict, *, table_rows: int | None = None) -> Sample:
    """Return a sample as if it was read from files, of a table of `table_rows` where given."""
    rows = pa.table(table) if isinstance(table, dict) else table
    return Sample(
        path="t", format="parquet", columns=build_columns(rows, texts_only=False),
        rows=rows.num_rows, table_rows=table_rows or rows.num_rows, is_counted=True,
        is_whole=table_rows is None, opened_files=1, total_files=1, reader_options={},
        spark_conf={}, unusable={},
    )  # fmt: skip


def list_days(count: int, first: str = "2024-01-01") -> np.ndarray:
    """Return datetimes in microseconds, one per day."""
    return np.datetime64(first, "us") + np.arange(count) * np.timedelta64(1, "D")


def build_orders() -> pa.Table:
    """Return orders of a shop: events with customers, a key, and a refund that leaks the label."""
    rng = np.random.default_rng(5)
    amount = rng.lognormal(3, 1, ORDERS)
    late = rng.random(ORDERS) < 0.3
    return pa.table(
        {
            "order_id": [f"o{n:05}" for n in range(ORDERS)],
            "ordered_at": list_days(ORDERS),
            "customer": [f"c{n % 50}" for n in range(ORDERS)],
            "amount": amount,
            "country": pa.array(np.array(["de", "fr", "it"])[np.arange(ORDERS) % 3]),
            "refund": np.where(late, amount, 0.0),
            "nothing": pa.nulls(ORDERS, pa.string()),
            "late": late,
        }
    )
