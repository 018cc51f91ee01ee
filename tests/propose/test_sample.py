"""Check that rows are sampled from all over a table, and that figures say of how many rows."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.propose.allocation import spread_positions
from headrace.propose.sample import sample_table
from headrace.propose.sampled_rows import MAX_FILES
from tests.propose.tables import draft_table, write_table
from tests.s3 import BUCKET, s3_server


def test_a_small_table_is_sampled_whole(tmp_path: Path) -> None:
    write_table(tmp_path, {"a": range(10)}, "a.parquet")
    write_table(tmp_path, {"a": range(10, 15)}, "b.parquet")
    sample = sample_table(str(tmp_path))
    assert (sample.rows, sample.table_rows) == (15, 15)
    assert (sample.is_counted, sample.is_whole) == (True, True)
    assert sorted(sample.columns["a"].values.to_pylist()) == list(range(15))
    assert sample.describe_rows(3) == "3 of 15 rows"


def test_rows_of_a_large_table_are_from_all_over_it(tmp_path: Path) -> None:
    for number in range(4):
        table = pa.table({"a": np.arange(20_000) + number * 20_000})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=2_000)
    sample = sample_table(str(tmp_path), max_rows=1_000)
    assert (sample.rows, sample.table_rows) == (1000, 80_000)
    assert (sample.is_counted, sample.is_whole) == (True, False)
    values = sample.columns["a"].numbers
    assert len(set(values.tolist())) == 1000
    assert np.quantile(values, [0, 0.5, 1]) == pytest.approx([0, 40_000, 80_000], abs=1500)
    assert sample.describe_rows(3) == "3 of 1,000 sampled rows"


def test_of_many_files_few_are_opened(tmp_path: Path) -> None:
    names = [f"{number:05}.parquet" for number in range(2_000)]
    for name in names:
        (tmp_path / name).write_bytes(b"not to be opened")
    opened = spread_positions(len(names), MAX_FILES)
    for position in opened:
        write_table(tmp_path, {"a": [position, position]}, names[position])
    sample = sample_table(str(tmp_path))
    assert (sample.opened_files, sample.total_files, sample.is_counted) == (MAX_FILES, 2_000, False)
    assert sorted(set(sample.columns["a"].values.to_pylist())) == opened


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 and nothing", "is not a readable Parquet file"),
        ("a.csv", b"a,b\n", "there are no rows in its files"),
        ("a.json", b"[1, 2", "begins like a JSON list and does not parse as one"),
        ("a.json", b"hello\nworld\n", "there is no JSON object in its files"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LakeError, match=message):
        sample_table(str(tmp_path))


def test_columns_that_no_feature_can_be_made_of(tmp_path: Path) -> None:
    table = pa.table(
        {
            "moment": pa.array([1], pa.timestamp("ns")),
            "image": [b"\x89PNG"],
            "struct": [{"a": 1}],
            "${x}": [1],
            "good": [1],
        }
    )
    sample = sample_table(str(write_table(tmp_path, table)))
    assert list(sample.columns) == ["good"]
    assert set(sample.unusable) == {"moment", "image", "struct", "${x}"}
    assert "coerce_timestamps" in sample.unusable["moment"]
    assert sample.spark_conf == {}  # a column that nobody uses is not read


def test_a_table_in_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.arange(500)
    write_table(tmp_path / "t", {"id": numbers, "x": numbers % 7 / 7, "y": numbers % 2})
    (tmp_path / "t" / "more.csv").write_text("id,x\n1,2\n")
    with s3_server(tmp_path) as s3:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        files = s3.files()
        files.put_file(str(tmp_path / "t" / "part-0.parquet"), f"{BUCKET}/t/month=1/a.parquet")
        files.put_file(str(tmp_path / "t" / "more.csv"), f"{BUCKET}/more/a.csv")
        sample = sample_table(f"s3a://{BUCKET}/t")
        assert (sample.rows, sample.partitions) == (500, ("month",))
        assert sample_table(f"s3://{BUCKET}/more/*.csv").rows == 1
        draft = draft_table(f"s3a://{BUCKET}/t", "y")
        assert f'path: "s3a://{BUCKET}/t"' in draft.text
        with pytest.raises(LakeError, match="there is nothing at s3://lake/nothing"):
            sample_table(f"s3://{BUCKET}/nothing")
