"""A process that crashes says where and over which file; damaged pages are errors everywhere."""

import ctypes
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from headrace.distributed.rank.collectives import Collectives
from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import LakeError, RankError
from headrace.progress import Report, ignore_progress
from headrace.propose.parquet import read_parquet as read_sample
from headrace.propose.table_files import find_table
from headrace.source.internal_columns import FILE, POSITION
from headrace.source.late_materialization import LateColumns
from headrace.source.late_reader import LateReader
from headrace.source.local_files import LocalFile
from headrace.work_note import VARIABLE, note_work, read_work


def crash(payload: dict[str, Any], ranks: Collectives, report: Report) -> dict[str, Any]:
    if ranks.rank == 1:
        note_work("/lake/damaged.parquet")
        ctypes.string_at(0)
    ranks.sum_array(np.ones(1))
    return {}


@pytest.mark.e2e
def test_a_rank_that_crashes_names_its_place_and_its_file() -> None:
    task = RankTask("tests.security.test_crashes:crash", {})
    with pytest.raises(RankError) as caught:
        run_ranks(task, 2, ignore_progress)
    text = str(caught.value)
    assert "rank 1 of 2 was killed by SIGSEGV" in text
    assert "in crash" in text
    assert "it was at work on /lake/damaged.parquet" in text


@pytest.mark.spark
def test_a_worker_of_spark_that_crashes_names_its_place_and_its_file(spark: SparkSession) -> None:
    def crash_over(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for _ in batches:
            note_work("/lake/honest.parquet")
            note_work("/lake/damaged.parquet")
            ctypes.string_at(0)
            yield from ()

    frame = spark.range(4, numPartitions=1).mapInArrow(crash_over, "id long")
    with pytest.raises(Exception, match="Segmentation fault") as caught:
        frame.collect()
    text = str(caught.value)
    assert "It was at work on /lake/damaged.parquet" in text
    assert "honest" not in text
    assert "in crash_over" in text
    # The next task of another worker is not disturbed.
    assert spark.range(4).mapInArrow(lambda batches: batches, "id long").count() == 4


def test_notes_are_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "work"
    note_work("nowhere")  # outside of ranks and workers
    monkeypatch.setenv(VARIABLE, str(file))
    note_work("a")
    thread = threading.Thread(target=note_work, args=("b" * 9999,))
    thread.start()
    thread.join()
    assert read_work(file) == ["a", "b" * 512]
    note_work("")
    assert read_work(file) == ["b" * 512]
    assert read_work(tmp_path / "none") == []


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """A file with checksums of its pages, whose values have one bit of another."""
    path = tmp_path / "table" / "a.parquet"
    path.parent.mkdir()
    number = np.arange(1000, dtype=np.int64)
    pq.write_table(
        pa.table({"x": number, "y": number}), path, compression="NONE", use_dictionary=False,
        write_page_checksum=True,
    )  # fmt: skip
    content = bytearray(path.read_bytes())
    at = content.index((500).to_bytes(8, "little"))
    content[at] ^= 1
    path.write_bytes(content)
    assert pq.read_table(path)["x"][500].as_py() == 501  # without a word
    return path


@pytest.mark.spark
def test_spark_refuses_a_damaged_page(spark: SparkSession, damaged: Path) -> None:
    with pytest.raises(Exception, match=r"CRC|checksum"):
        spark.read.parquet(str(damaged)).selectExpr("sum(x)").collect()


def read_late(path: Path) -> None:
    late = LateColumns("t", {"x": "bigint"}, {1: LocalFile.from_path(path)})
    rows = pa.table({FILE: np.ones(1000, np.int64), POSITION: np.arange(1000)})
    LateReader(late).add_late_columns(rows)


def read_draft(path: Path) -> None:
    read_sample(find_table(str(path.parent), None), 1000)


@pytest.mark.parametrize("read", [read_late, read_draft])
def test_we_refuse_a_damaged_page(damaged: Path, read: Callable[[Path], None]) -> None:
    with pytest.raises(LakeError, match=r"a\.parquet.*CRC"):
        read(damaged)
