"""Which partitions have a key of the rows that are read: by hashes, and then by row ids."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headrace.lake.sidecar import write_sidecar_files
from headrace.prepare.key_hashes import INDEX_FILE, KeyHashIndex, TaskKeyHashes
from headrace.prepare.shuffle import probe_keys
from headrace.prepare.shuffle.arrow_blobs import Blob, read_blobs
from headrace.prepare.shuffle.probe_keys import (
    HashedPartitions,
    find_hashed_partitions,
    find_shared_partitions,
    make_probe_function,
)
from headrace.progress import ignore_progress
from tests.lake.building import make_file

# Of two row ids that differ in their last 16 bits alone, the hashes are equal.
FIRST, LIKE_FIRST, SECOND, OTHER = 5 << 16, (5 << 16) + 1, 6 << 16, 9 << 16


@dataclass
class History:
    """A dataset of days, each of a build of its own."""

    root: Path
    base: Any
    read: list[str]

    def find(self, *row_ids: int, reports: list[str] | None = None) -> frozenset[str]:
        messages = [] if reports is None else reports
        hashed = self.look(messages)
        return find_shared_partitions(
            None,  # type: ignore[arg-type]
            hashed,
            np.array(row_ids, np.int64),
            lambda progress: messages.append(str(progress)),
        )

    def look(self, messages: list[str] | None = None) -> HashedPartitions:
        names = {partition.name for partition in self.base.build.partitions}
        report = (lambda p: messages.append(str(p))) if messages is not None else ignore_progress
        return find_hashed_partitions(self.base, names, report)


def write_history(root: Path, days: dict[str, list[int]]) -> Any:
    files, partitions = [], []
    for day, row_ids in days.items():
        build_id = f"build-{day[-1]}"
        pq.write_table(pa.table({"row_id": row_ids, "x": row_ids}), root / f"{day}.parquet")
        hashes = TaskKeyHashes(str(root), build_id, 0)
        hashes.add_rows(day, 0, np.array(row_ids, np.int64))
        written = hashes.write_file()
        assert written is not None
        index = KeyHashIndex.from_files(dict([written]))
        write_sidecar_files(str(root), build_id, {INDEX_FILE: index.to_json()})
        files.append(make_file(f"{day}.parquet", (day, len(row_ids))))
        partitions.append(SimpleNamespace(name=day, build_id=build_id, hashes_build=build_id))
    build = SimpleNamespace(files=files, partitions=partitions)
    return SimpleNamespace(root=str(root), build=build)


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Two days; tasks run here, and what they read is kept."""
    base = write_history(tmp_path, {"day=1": [OTHER, FIRST], "day=2": [SECOND]})
    history = History(tmp_path, base, [])

    def run_here(_: Any, work: list[Any], keys: np.ndarray, wanted: Any) -> list[Blob]:
        history.read += [path.removeprefix(f"{tmp_path}/") for _, path, _ in work]
        function = make_probe_function(SimpleNamespace(value=(keys, wanted)))
        rows = [dict(zip(("kind", "path", "name"), item, strict=True)) for item in work]

        def read() -> Iterator[Blob]:
            for batch in function([pa.RecordBatch.from_pylist(rows)] if rows else []):
                for kind, name, target, blob in read_blobs(batch):
                    yield kind, name, target, bytes(blob)

        return list(read())

    monkeypatch.setattr(probe_keys, "_run", run_here)
    return history


HASHES = [f"_headrace/build-{day}/key_hashes/00000-0.parquet" for day in (1, 2)]


def test_only_files_of_partitions_with_a_key_are_read(history: History) -> None:
    assert history.find(SECOND, 77 << 16) == {"day=2"}
    assert history.read == [*HASHES, "day=2.parquet"]


def test_keys_that_are_nowhere_cost_the_hashes_alone(history: History) -> None:
    assert history.find(77 << 16) == frozenset()
    assert history.read == HASHES


def test_an_equal_hash_of_another_key_is_none(history: History) -> None:
    assert history.find(LIKE_FIRST) == frozenset()
    assert history.read == [*HASHES, "day=1.parquet"]
    assert history.find(LIKE_FIRST, FIRST) == {"day=1"}


def test_without_a_key_nothing_is_read(history: History) -> None:
    assert history.find() == frozenset()
    assert history.read == []


@pytest.mark.parametrize("damage", ["flip", "remove", "shorten"])
def test_a_damaged_file_of_hashes_is_said_and_row_ids_are_read(
    history: History, damage: str
) -> None:
    path = history.root / HASHES[0]
    if damage == "flip":
        content = bytearray(path.read_bytes())
        page = pq.ParquetFile(path).metadata.row_group(0).column(1)
        content[page.data_page_offset + page.total_compressed_size - 1] ^= 8
        path.write_bytes(bytes(content))
    elif damage == "remove":
        path.unlink()
    else:  # rows are missing, and the file is whole
        pq.write_table(pq.read_table(path).slice(0, 1), path)
    reports: list[str] = []
    assert history.find(FIRST, reports=reports) == {"day=1"}
    assert history.find(77 << 16) == frozenset()
    assert history.read == [*HASHES, "day=1.parquet"] * 2
    assert len(reports) == 1
    assert "row ids of 1 source partitions are read instead of hashes" in reports[0]
    assert {"flip": "damaged", "remove": "is gone", "shorten": "other rows"}[damage] in reports[0]


def test_partitions_of_an_older_build_are_not_looked_up(history: History) -> None:
    (history.root / "_headrace/build-1" / INDEX_FILE).unlink()
    assert history.look().names == {"day=2"}


def test_an_index_of_other_rows_is_not_used(history: History) -> None:
    history.base.build.files[1] = make_file("day=2.parquet", ("day=2", 2))
    assert history.look().names == {"day=1"}


def test_a_damaged_index_is_said(history: History) -> None:
    (history.root / "_headrace/build-1" / INDEX_FILE).write_text("{}")
    messages: list[str] = []
    assert history.look(messages).names == {"day=2"}
    assert "key_hashes.json is damaged" in messages[0]
