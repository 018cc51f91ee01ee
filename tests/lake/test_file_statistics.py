"""Statistics of columns in a Delta log: readers that skip files by them find every row."""

import datetime
import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.lake.file_statistics import MAX_COLUMNS, build_statistics
from tests.lake.building import publish_first_version


def statistics_of(table: pa.Table, first: tuple[str, ...] = (), **options: Any) -> dict[str, Any]:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, **options)
    found: dict[str, Any] = json.loads(
        build_statistics(pq.read_metadata(pa.BufferReader(sink.getvalue())), first)
    )
    return found


def test_numbers_texts_and_times() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=2))
    times = [datetime.datetime(2026, 1, 1, 2, 0, 0, n, zone) for n in (1500, 2500)]
    table = pa.table(
        {
            "i": pa.array([3, None, -1], pa.int32()),
            "f": pa.array([0.5, -2.5, 7.0], pa.float32()),
            "n": pa.array([0.5, math.nan, None], pa.float32()),
            "s": ["é", "a", None],
            "t": pa.array([*times, None], pa.timestamp("us", "UTC")),
            "d": pa.array([datetime.date(2026, 1, 2), None, datetime.date(1899, 1, 1)]),
        }
    )
    schema = table.schema.set(1, pa.field("f", pa.float32(), nullable=False))
    table = table.cast(schema)
    assert statistics_of(table) == {
        "numRecords": 3,
        "minValues": {
            "i": -1, "f": -2.5, "s": "a", "t": "2026-01-01T00:00:00.001Z", "d": "1899-01-01",
        },
        "maxValues": {
            "i": 3, "f": 7.0, "s": "é", "t": "2026-01-01T00:00:00.003Z", "d": "2026-01-02",
        },
        "nullCount": {"i": 1, "f": 0, "n": 1, "s": 1, "t": 1, "d": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a" * 33, "b"]),
        pa.array([math.inf, 1.0]),
        pa.array([True, False]),
        pa.array([b"a", b"b"]),
        pa.array([b"ab", b"cd"], pa.binary(2)),
        pa.array([Decimal("1.5"), Decimal("2.5")]),
        pa.array([None, None], pa.int64()),
        pa.array([math.nan, math.nan]),
        pa.array([0, 253_402_300_799_999_999], pa.timestamp("us", "UTC")),  # rounded up: 10000
        pa.array([0, 253_402_300_800_000_000], pa.timestamp("us", "UTC")),
        pa.array([0, -62_135_596_800_000_001], pa.timestamp("us")),
    ],
)
def test_what_is_not_certain_is_left_out(column: pa.Array) -> None:
    found = statistics_of(pa.table({"x": column}))
    assert (found["minValues"], found["maxValues"]) == ({}, {})
    assert found["numRecords"] == 2


def test_lists_have_none_and_kept_columns_go_first() -> None:
    lists = pa.array([[1], [2]])
    assert statistics_of(pa.table({"x": lists}))["minValues"] == {}
    wide = pa.table({f"c{i}": [i] for i in range(40)})
    found = statistics_of(wide, ("c39",))["minValues"]
    assert list(found) == ["c39", *(f"c{i}" for i in range(MAX_COLUMNS - 1))]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(st.none(), st.floats(width=32), st.sampled_from([0.0, -0.0, math.nan])),
        min_size=1, max_size=12,
    )
)  # fmt: skip
def test_every_number_is_within_the_bounds(values: list[float | None]) -> None:
    schema = pa.schema([pa.field("x", pa.float32(), nullable=False)])
    numbers = [0.0 if value is None else value for value in values]
    table = pa.table({"x": pa.array(numbers, pa.float32())}, schema=schema)
    found = statistics_of(table, row_group_size=3)
    if "x" not in found["minValues"]:
        return
    low, high = found["minValues"]["x"], found["maxValues"]["x"]
    rows = [v for v in table["x"].to_pylist() if v is not None and not math.isnan(v)]
    assert all(low <= value <= high for value in rows)


def test_a_dataset_has_statistics_that_readers_use(tmp_path: Path) -> None:
    root = tmp_path / "ds"
    dataset = publish_first_version(root)
    actions = pa.table(DeltaTable(root).get_add_actions(flatten=True)).to_pydict()
    rows = dataset.read_columns("train", ["row_id"])["row_id"].to_pylist()
    assert actions["num_records"] == [len(rows)]
    assert actions["min.row_id"] == [min(rows)]
    assert actions["max.row_id"] == [max(rows)]
    assert actions["null_count.row_id"] == [0]
    table = DeltaTable(root).to_pyarrow_table(filters=[("row_id", "=", max(rows))])
    assert table.num_rows == 1
