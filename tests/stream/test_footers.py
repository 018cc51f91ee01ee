"""Footers and retries, without a store."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.errors import StreamError
from headrace.lake.checksums import CHECKSUMS, compute_checksums, read_footer_bytes, sum_column
from headrace.stream import footers as footers_module
from headrace.stream.footers import FooterCache, read_footer, retry_transient_errors
from tests.stream.rows import write_files


def test_a_transient_error_of_a_store_is_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footers_module, "_RETRY_PAUSES", (0.01, 0.01, 0.01))
    tries = []

    def read(fails: int, error: Exception) -> int:
        tries.append(0)
        if len(tries) <= fails:
            raise error
        return len(tries)

    assert retry_transient_errors(lambda: read(3, ConnectionResetError())) == 4
    tries.clear()
    with pytest.raises(ConnectionResetError):
        retry_transient_errors(lambda: read(4, ConnectionResetError()))
    assert len(tries) == 4


@pytest.mark.parametrize(
    "error",
    [
        FileNotFoundError("x"),
        PermissionError("x"),
        ValueError("x"),
        pa.ArrowInvalid("x"),
        OSError("Couldn't deserialize thrift"),
    ],
)
def test_a_permanent_error_is_raised_at_once(error: Exception) -> None:
    tries = []

    def read() -> None:
        tries.append(0)
        raise error

    started = time.monotonic()
    with pytest.raises(type(error)):
        retry_transient_errors(read)
    assert len(tries) == 1
    assert time.monotonic() - started < 0.1


def test_retries_end_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose every answer takes long gets no six requests."""
    monkeypatch.setattr(footers_module, "_RETRY_SECONDS", 0.2)
    tries = []

    def read() -> None:
        tries.append(0)
        time.sleep(0.15)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        retry_transient_errors(read)
    assert len(tries) == 2


def test_footers_are_read_once_and_the_latest_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(footers_module, "_MAX_FOOTERS", 2)
    data_files = write_files(tmp_path, [[5], [6], [7]])
    footers = FooterCache()

    def count_rows(number: int) -> int:
        path = tmp_path / data_files[number].path
        with path.open("rb") as source:
            return int(footers.get_footer(str(path), source, data_files[number]).metadata.num_rows)

    assert [count_rows(n) for n in (0, 1, 0)] == [5, 6, 5]
    (tmp_path / data_files[0].path).write_bytes(b"PAR1 no longer")
    assert count_rows(0) == 5
    assert [count_rows(n) for n in (2, 1)] == [7, 6]
    with pytest.raises(StreamError, match="14 bytes"):
        count_rows(0)


def test_row_groups_that_are_fewer_than_the_index_says(tmp_path: Path) -> None:
    (file,) = write_files(tmp_path, [[5, 6]])
    file = file.model_copy(update={"row_groups": (5, 6, 7)})
    with (
        (tmp_path / file.path).open("rb") as source,
        pytest.raises(StreamError, match=r"has 2 row groups, the dataset version says 3"),
    ):
        read_footer(file.path, source, file)


def test_checksums_do_not_depend_on_chunks_or_order(tmp_path: Path) -> None:
    table = pa.table(
        {
            "f": pa.array([1.5, -2.0, 3.25, 0.0], pa.float32()),
            "n": pa.array([1, 2, 3, 2**40], pa.int64()),
            "l": pa.array([[1, 2], [], [3], [4, 5, 6]], pa.list_(pa.int32())),
            "b": pa.array([b"abc", b"def", b"ghi", b"xyz"], pa.binary(3)),
        }
    )
    parts = pa.concat_tables([table.slice(3), table.slice(0, 2), table.slice(2, 1)])
    for name in table.column_names:
        assert sum_column(table[name]) == sum_column(parts[name])
        assert sum_column(table[name]) != sum_column(table.slice(1)[name])
    sums = compute_checksums(table, [4])[CHECKSUMS]
    assert sums == compute_checksums(parts, [4])[CHECKSUMS]
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    with path.open("rb") as source:
        assert path.read_bytes()[-8 - len(read_footer_bytes(source)) : -8] == read_footer_bytes(
            source
        )
