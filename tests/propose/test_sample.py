"""Rows from all over a table, few files opened, and figures that say of how many rows they are."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.propose.pieces import spread
from headrace.propose.reading import MOST_FILES
from headrace.propose.sample import sample_table
from headrace.schema import ColumnType
from tests.propose.tables import written


def test_a_small_table_is_looked_at_whole(tmp_path: Path) -> None:
    written(tmp_path, {"a": range(10)}, "a.parquet")
    written(tmp_path, {"a": range(10, 15)}, "b.parquet")
    found = sample_table(str(tmp_path))
    assert (found.rows, found.table_rows, found.counted, found.whole) == (15, 15, True, True)
    assert sorted(found.columns["a"].values.to_pylist()) == list(range(15))
    assert found.of_rows(3) == "3 of 15 rows"


def test_of_a_large_one_rows_are_from_all_over_it(tmp_path: Path) -> None:
    for number in range(4):
        table = pa.table({"a": np.arange(20_000) + number * 20_000})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=2_000)
    found = sample_table(str(tmp_path), rows=1_000)
    assert (found.rows, found.table_rows, found.counted, found.whole) == (1000, 80_000, True, False)
    values = found.columns["a"].numbers
    assert len(set(values.tolist())) == 1000
    assert np.quantile(values, [0, 0.5, 1]) == pytest.approx([0, 40_000, 80_000], abs=1500)
    assert found.of_rows(3) == "3 of 1,000 sampled rows"


def test_of_many_files_few_are_opened(tmp_path: Path) -> None:
    names = [f"{number:05}.parquet" for number in range(2_000)]
    for name in names:
        (tmp_path / name).write_bytes(b"not to be opened")
    opened = spread(len(names), MOST_FILES)
    for place in opened:
        written(tmp_path, {"a": [place, place]}, names[place])
    found = sample_table(str(tmp_path))
    assert (found.files, found.all_files, found.counted) == (MOST_FILES, 2_000, False)
    assert sorted(set(found.columns["a"].values.to_pylist())) == opened


def test_rows_of_a_csv_file_are_from_all_over_it_and_their_number_is_estimated(
    tmp_path: Path,
) -> None:
    rows = 1_500_000
    with (tmp_path / "a.csv").open("w") as file:
        file.write("number,text\n")
        file.writelines(f"{number},{'x' * 20}\n" for number in range(rows))
    found = sample_table(str(tmp_path), rows=10_000)
    assert (found.rows, found.counted) == (10_000, False)
    assert found.table_rows == pytest.approx(rows, rel=0.02)
    low, high = found.columns["number"].limits
    assert low < 0.01 * rows
    assert high > 0.99 * rows


def test_columns_of_folders_are_typed_as_spark_types_them(tmp_path: Path) -> None:
    for day, kind in (("2024-01-01", "a"), ("2024-01-02", "__HIVE_DEFAULT_PARTITION__")):
        written(tmp_path / f"day={day}" / f"kind={kind}" / "n=01", {"x": [1]})
    found = sample_table(str(tmp_path))
    types = {name: column.type.value for name, column in found.columns.items()}
    assert types == {"x": "integer", "day": "timestamp", "kind": "string", "n": "integer"}
    assert sorted(map(str, found.columns["kind"].values.to_pylist())) == ["None", "a"]
    assert found.partitions == ("day", "kind", "n")


def test_files_with_more_columns_than_others(tmp_path: Path) -> None:
    written(tmp_path, {"a": pa.array([1], pa.int32())}, "1.parquet")
    written(tmp_path, {"a": [1.5], "b": ["x"]}, "2.parquet")
    found = sample_table(str(tmp_path))
    assert found.options == {"mergeSchema": True}
    assert found.columns["a"].type is ColumnType.REAL
    assert found.columns["b"].nulls == 1


def test_files_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    written(tmp_path, {"a": [1]}, "1.parquet")
    written(tmp_path, {"a": ["x"]}, "2.parquet")
    with pytest.raises(LakeError, match=r"column 'a' is integer in .*1.parquet, string in .*2"):
        sample_table(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"PAR1 and nothing", "is not a readable Parquet file"),
        ("a.csv", b"a,b\n", "there is no row in its files"),
        ("a.json", b"[1, 2", "begins as a JSON list and is none"),
        ("a.json", b"hello\nworld\n", "there is no JSON object in its files"),
    ],
)
def test_files_that_cannot_be_read(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LakeError, match=message):
        sample_table(str(tmp_path))


def test_a_table_without_rows_and_one_that_spark_does_not_read(tmp_path: Path) -> None:
    written(tmp_path / "none", {"a": pa.array([], pa.int64())})
    with pytest.raises(LakeError, match="is empty: it has no row"):
        sample_table(str(tmp_path / "none"))
    written(tmp_path / "time", {"a": pa.array([1], pa.time64("us"))})
    with pytest.raises(LakeError, match="column 'a' is a time of day"):
        sample_table(str(tmp_path / "time"))


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
    found = sample_table(str(written(tmp_path, table)))
    assert list(found.columns) == ["good"]
    assert set(found.unusable) == {"moment", "image", "struct", "${x}"}
    assert "coerce_timestamps" in found.unusable["moment"]
    assert found.spark == {"spark.sql.legacy.parquet.nanosAsLong": True}


CSV = ',size;"x",when,note\n0,1,2024-01-01,NA\n1,NA,2024-01-02,"a ""b"" c"\n2,3,NA,\n3,1,2\n'


def test_what_a_csv_file_needs_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeff" + CSV.replace(';"x"', ""))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(CSV.replace(';"x"', "").encode()))
    found = sample_table(str(tmp_path))
    assert found.options == {
        "escape": '"', "enforceSchema": True, "nullValue": "NA", "emptyValue": "NA",
    }  # fmt: skip
    declared = {name: column.declared for name, column in found.columns.items()}
    assert declared == {"_c0": "integer", "size": "integer", "when": "date", "note": ""}
    assert (found.rows, found.table_rows, found.whole) == (6, 8, True)
    assert found.notes == ("2 of 8 sampled lines have too many or too few fields: quarantine",)
    assert found.columns["note"].present.unique().to_pylist() == ['a "b" c']


def test_csv_files_with_other_columns_are_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    (tmp_path / "b.csv").write_text("b,a\n1,2\n")
    with pytest.raises(LakeError, match=r"b\.csv has the columns b, a, and files before it have"):
        sample_table(str(tmp_path))


@pytest.mark.parametrize("listed", [False, True])
def test_json_values_are_texts_that_are_declared(listed: bool, tmp_path: Path) -> None:
    records = [
        {"n": 1, "x": 1.5, "yes": True, "at": "2024-01-01T00:00:00Z", "t": [1, 2], "o": {"a": 1}},
        {"n": 2, "x": None, "yes": False, "at": "2024-01-02T00:00:00Z", "t": [], "rare": "é"},
    ]
    lines = json.dumps(records, indent=1) if listed else "\n".join(map(json.dumps, records))
    (tmp_path / "a.json").write_text(lines)
    found = sample_table(str(tmp_path))
    assert found.options == ({"multiLine": True} if listed else {})
    assert {name: column.declared for name, column in found.columns.items()} == {
        "n": "integer", "x": "real", "yes": "boolean", "at": "timestamp", "t": "list[integer]",
        "rare": "",
    }  # fmt: skip
    assert set(found.unusable) == {"o"}
