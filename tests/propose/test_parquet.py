"""Check the rows that are read of Parquet files, and the types of files that differ."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.propose.parquet import read_parquet
from headrace.propose.sample import sample_table
from headrace.propose.table_files import find_table
from headrace.schema import ColumnType
from tests.propose.tables import write_table


def test_all_rows_of_a_small_table_are_read(tmp_path: Path) -> None:
    write_table(tmp_path, {"a": [1, 2]}, "1.parquet")
    write_table(tmp_path, {"a": [3]}, "2.parquet")
    sampled = read_parquet(find_table(str(tmp_path), None), max_rows=10)
    assert sampled.rows.to_pydict() == {"a": [1, 2, 3]}
    assert (sampled.table_rows, sampled.is_counted, sampled.is_whole) == (3, True, True)
    assert (sampled.opened_files, sampled.reader_options, sampled.unusable) == (2, {}, {})


def test_rows_are_read_in_proportion_to_the_files_and_from_several_row_groups(
    tmp_path: Path,
) -> None:
    pq.write_table(pa.table({"a": range(300)}), tmp_path / "1.parquet", row_group_size=100)
    pq.write_table(pa.table({"a": range(300, 400)}), tmp_path / "2.parquet")
    sampled = read_parquet(find_table(str(tmp_path), None), max_rows=12)
    # 9 rows of the first file, 3 of each row group: of its first 30 rows the first, the 15th and
    # the last. Then 3 of the second file, likewise.
    groups = [[first, first + 14, first + 29] for first in (0, 100, 200, 300)]
    assert sampled.rows["a"].to_pylist() == [value for group in groups for value in group]
    assert (sampled.table_rows, sampled.is_counted, sampled.is_whole) == (400, True, False)


def test_a_column_of_nulls_has_the_type_of_files_with_values(tmp_path: Path) -> None:
    write_table(tmp_path, {"a": pa.nulls(1), "b": pa.nulls(1)}, "1.parquet")
    write_table(tmp_path, {"a": ["x"], "b": pa.nulls(1)}, "2.parquet")
    sampled = read_parquet(find_table(str(tmp_path), None), max_rows=10)
    assert sampled.rows.to_pydict() == {"a": [None, "x"], "b": [None, None]}
    assert sampled.rows.schema.types == [pa.string(), pa.int64()]


def test_files_with_more_columns_than_others(tmp_path: Path) -> None:
    write_table(tmp_path, {"a": pa.array([1], pa.int32())}, "1.parquet")
    write_table(tmp_path, {"a": [1.5], "b": ["x"]}, "2.parquet")
    sample = sample_table(str(tmp_path))
    assert sample.reader_options == {}
    assert sample.columns["a"].type is ColumnType.REAL
    assert sample.columns["b"].null_count == 1


def test_columns_that_files_do_not_agree_on_are_named(tmp_path: Path) -> None:
    write_table(tmp_path, {"a": [1], "B": [1], "n": pa.nulls(1)}, "1.parquet")
    write_table(tmp_path, {"a": ["x"], "b": [2.5], "n": ["text"]}, "2.parquet")
    sample = sample_table(str(tmp_path))
    reason = "int64, string in different files; declare its type in `columns` to use it"
    assert sample.unusable == {"a": reason}
    types = {name: column.type.value for name, column in sample.columns.items()}
    assert types == {"B": "real", "n": "string"}  # one column, whatever its files call it
    assert sorted(sample.columns["B"].values.to_pylist()) == [1.0, 2.5]


def test_a_table_without_rows_and_one_that_spark_does_not_read(tmp_path: Path) -> None:
    write_table(tmp_path / "none", {"a": pa.array([], pa.int64())})
    with pytest.raises(LakeError, match="is empty: it has no rows"):
        sample_table(str(tmp_path / "none"))
    write_table(tmp_path / "time", {"a": pa.array([1], pa.time64("us"))})
    with pytest.raises(LakeError, match=r"no column that a feature .*'a': a time of day"):
        sample_table(str(tmp_path / "time"))
