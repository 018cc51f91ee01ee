"""Footers and retries, without a store."""

import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import headrace.stream.footers as files
from headrace.errors import StreamError
from headrace.lake.checksums import checksums_of, column_sum, footer_bytes
from headrace.stream.footers import Footers, read_footer, retried
from tests.stream.rows import write


def test_what_a_store_says_may_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_PAUSES", (0.01, 0.01, 0.01))
    tries = []

    def read(fails: int, error: Exception) -> int:
        tries.append(0)
        if len(tries) <= fails:
            raise error
        return len(tries)

    assert retried(lambda: read(3, ConnectionResetError())) == 4
    tries.clear()
    with pytest.raises(ConnectionResetError):
        retried(lambda: read(4, ConnectionResetError()))
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
def test_what_will_not_pass_is_raised_at_once(error: Exception) -> None:
    tries = []

    def read() -> None:
        tries.append(0)
        raise error

    started = time.monotonic()
    with pytest.raises(type(error)):
        retried(read)
    assert len(tries) == 1
    assert time.monotonic() - started < 0.1


def test_trying_ends_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store whose every answer takes long is not asked six times."""
    monkeypatch.setattr(files, "_GIVE_UP", 0.2)
    tries = []

    def read() -> None:
        tries.append(0)
        time.sleep(0.15)
        raise TimeoutError

    with pytest.raises(TimeoutError):
        retried(read)
    assert len(tries) == 2


def test_footers_are_read_once_and_the_latest_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_FOOTERS", 2)
    made = write(tmp_path, [[5], [6], [7]])
    footers = Footers()

    def look(number: int) -> int:
        path = tmp_path / made[number].path
        with path.open("rb") as source:
            return int(footers.of(str(path), source, made[number]).meta.num_rows)

    assert [look(n) for n in (0, 1, 0)] == [5, 6, 5]
    (tmp_path / made[0].path).write_bytes(b"PAR1 no longer")
    assert look(0) == 5
    assert [look(n) for n in (2, 1)] == [7, 6]
    with pytest.raises(StreamError, match="14 bytes"):
        look(0)


def test_row_groups_that_are_fewer_than_the_index_says(tmp_path: Path) -> None:
    (made,) = write(tmp_path, [[5, 6]])
    made = made.model_copy(update={"row_groups": (5, 6, 7)})
    with (
        (tmp_path / made.path).open("rb") as source,
        pytest.raises(StreamError, match=r"has 2 row groups, the dataset version says 3"),
    ):
        read_footer(made.path, source, made)


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
        assert column_sum(table[name]) == column_sum(parts[name])
        assert column_sum(table[name]) != column_sum(table.slice(1)[name])
    assert checksums_of(table, [4]) == checksums_of(parts, [4])
    path = tmp_path / "a.parquet"
    pq.write_table(table, path)
    with path.open("rb") as source:
        assert path.read_bytes()[-8 - len(footer_bytes(source)) : -8] == footer_bytes(source)
