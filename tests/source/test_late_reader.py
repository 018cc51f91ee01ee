"""Columns that a task reads from the files of its rows, without Spark."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import LakeError
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.late_materialization import LateColumns
from headrace.source.late_reader import LateReader
from headrace.source.local_files import LocalFile


def rows(first: int, count: int) -> pa.Table:
    number = np.arange(first, first + count)
    return pa.table(
        {
            "x": pa.array(number / 7, mask=number % 7 == 3),
            "word": pa.array(["", "é", "日本 語", None, "tree"][i % 5] for i in number),
        }
    )


def test_a_file_is_read_by_dictionary_only_where_that_is_small(tmp_path: Path) -> None:
    n = np.arange(40_000)
    written = pa.table(
        {"few": [f"{i % 9}" for i in n], "many": [f"a rather long text {i}" for i in n]}
    )
    path = tmp_path / "a.parquet"
    pq.write_table(
        written, path, row_group_size=40_000, dictionary_pagesize_limit=2**24, compression="NONE"
    )
    files = {1: LocalFile.from_path(path)}
    reader = LateReader(LateColumns("t", {"few": "string", "many": "string"}, files))
    read = reader.add_late_columns(pa.table({FILE: np.ones(40_000, np.int64), POSITION: n}))
    assert pa.types.is_dictionary(read["few"].type)
    assert read["many"].type == pa.string()
    assert read["few"].to_pylist() == written["few"].to_pylist()
    assert read["many"].to_pylist() == written["many"].to_pylist()


def test_every_row_is_read_once(tmp_path: Path) -> None:
    """Rows of a task come in pieces that end anywhere, with gaps, from several files."""
    files = {7: tmp_path / "a.parquet", 3: tmp_path / "b.parquet"}
    for number, file in files.items():
        pq.write_table(rows(number, 2000), file, row_group_size=700)
    paths = {n: LocalFile.from_path(f) for n, f in files.items()}
    late = LateColumns("t", {"word": "string", "x": "double"}, paths)
    reader = LateReader(late)
    for number, first in ((7, 7), (3, 3)):
        positions = np.setdiff1d(
            np.arange(2000), np.arange(300, 900)
        )  # a filter; row groups end at 700
        expected = rows(first, 2000).take(positions)
        tables = []
        for begin in range(0, len(positions), 333):
            place = pa.array(positions[begin : begin + 333])
            piece = pa.table({FILE: pa.array([number] * len(place)), POSITION: place, "p": place})
            tables.append(reader.add_late_columns(piece))
        whole = pa.concat_tables(tables)
        assert whole.column_names == [FILE, "p", "word", "x"]
        assert whole["p"].to_pylist() == positions.tolist()
        assert whole["word"].to_pylist() == expected["word"].to_pylist()
        assert whole["x"].equals(expected["x"])
    assert reader.rows_read == 4000
    backwards = pa.table({FILE: [3, 3], POSITION: [9, 8]})
    with pytest.raises(LakeError, match="read_with to spark"):
        LateReader(late).add_late_columns(backwards)
    pq.write_table(rows(0, 2001), files[3])
    with pytest.raises(LakeError, match=r"b\.parquet changed while it was read"):
        LateReader(late).add_late_columns(pa.table({FILE: [3], POSITION: [0]}))


def test_large_values_are_taken_in_small_pieces(tmp_path: Path) -> None:
    """5,000 rows of 40 kB, of 3 distinct values: the file says nothing of their size."""
    big = pa.table({"word": pa.array([f"{n % 3}" * 40_000 for n in range(5_000)])})
    file = tmp_path / "big.parquet"
    pq.write_table(big, file, row_group_size=2_500)
    late = LateColumns("t", {"word": "string"}, {1: LocalFile.from_path(file)})
    reader = LateReader(late)
    sizes = []
    for begin in range(0, 5_000, 100):
        place = pa.array(range(begin, begin + 100))
        piece = reader.add_late_columns(pa.table({FILE: pa.array([1] * 100), POSITION: place}))
        assert piece["word"].to_pylist() == big["word"][begin : begin + 100].to_pylist()
        sizes.append(reader._batch.num_rows)
    assert sizes[-1] * 40_000 <= 64 * 2**20
