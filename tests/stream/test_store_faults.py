"""An object store that fails for a while, or for good: a retry that succeeds, or a clear error."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from headrace.errors import StreamError
from headrace.lake.data_file import DataFile
from headrace.stream.block_reader import Engine
from headrace.stream.split_stream import SplitStream
from tests.faulty import Gate, gate
from tests.s3 import S3, s3_server
from tests.stream.rows import COLUMNS, list_row_ids, write_files

ROOT = "s3://lake/data"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3")) as s3:
        yield s3


@pytest.fixture(scope="module")
def files(server: S3, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataFile, ...]:
    folder = tmp_path_factory.mktemp("data")
    data_files = write_files(folder, [[500] * 30, [700] * 20], plain=True)
    for file in data_files:
        server.files().put_file(str(folder / file.path), f"lake/data/{file.path}")
    return data_files


@pytest.fixture
def store(server: S3, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    with gate(server.endpoint) as between:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        S3FileSystem.clear_instance_cache()
        yield between
        S3FileSystem.clear_instance_cache()


def source(files: tuple[DataFile, ...], engine: Engine = "petastorm") -> SplitStream:
    return SplitStream(
        ROOT, files, COLUMNS, rank=0, size=1, global_batch_size=64, canonical_shards=8,
        shuffle=True, seed=1, readers=2, block_rows=50, engine=engine,
    )  # fmt: skip


@pytest.mark.parametrize("how", ["503", "drop", "cut"])
def test_a_store_that_fails_for_two_seconds_is_waited_for(
    store: Gate, files: tuple[DataFile, ...], how: str
) -> None:
    stream = source(files)
    batches = stream.read_batches(0)
    row_ids = list_row_ids(next(batches))
    store.fail(how, 2.0)
    started = time.monotonic()
    for batch in batches:
        row_ids += list_row_ids(batch)
    assert store.failed > 0
    assert time.monotonic() - started < 30
    assert sorted(row_ids) == list(range(29_000))


@pytest.mark.parametrize(
    ("how", "engine"),
    [
        ("503", "petastorm"),
        ("drop", "petastorm"),
        ("503", "pyarrow"),
        pytest.param("drop", "pyarrow", marks=pytest.mark.long),
    ],
)
def test_a_store_that_fails_at_the_start_is_waited_for(
    store: Gate, files: tuple[DataFile, ...], how: str, engine: Engine
) -> None:
    store.fail(how, 2.0)
    batches = source(files, engine).read_batches(0)
    assert sorted(i for b in batches for i in list_row_ids(b)) == list(range(29_000))
    assert store.failed > 0


@pytest.mark.long
@pytest.mark.parametrize("how", ["503", "drop"])
def test_a_store_that_is_gone_ends_the_epoch_with_an_error(
    store: Gate, files: tuple[DataFile, ...], how: str
) -> None:
    batches = source(files).read_batches(0)
    next(batches)
    store.fail(how, 600)
    started = time.monotonic()
    with pytest.raises(StreamError, match=r"lake/data/part-00\d.parquet row group \d+ cannot be"):
        list(batches)
    assert time.monotonic() - started < 45


def test_a_file_that_vanished_is_named_at_once(
    store: Gate, server: S3, files: tuple[DataFile, ...], tmp_path: Path
) -> None:
    server.files().cp_file("lake/data/part-000.parquet", "lake/gone/part-000.parquet")
    stream = SplitStream(
        "s3://lake/gone", files, COLUMNS, rank=0, size=1, global_batch_size=64, canonical_shards=8,
        shuffle=False, seed=1, readers=1, block_rows=50,
    )  # fmt: skip
    started = time.monotonic()
    with pytest.raises(StreamError, match=r"lake/gone/part-001.parquet row group 0 is missing"):
        list(stream.read_batches(0))
    assert time.monotonic() - started < 10
