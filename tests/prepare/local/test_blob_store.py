"""Blobs that a task leaves are found by the next, in memory or in a file."""

from pathlib import Path

import pyarrow as pa
import pytest

from headrace.prepare.local.blob_store import OpenBlobs, Place, keep_blobs, remove_files
from headrace.prepare.shuffle.arrow_blobs import BlobBuilder

BLOBS = [
    ("rows", "", 3, b"three one"),
    ("counts", "", 0, b"zero"),
    ("rows", "n", 3, b""),
    ("rows", "", 1, b"one"),
]


@pytest.mark.parametrize("in_file", [True, False])
def test_targets_come_in_order_with_all_their_blobs(tmp_path: Path, in_file: bool) -> None:
    batches = [
        BlobBuilder.from_blobs(BLOBS[:2]).build_batch(),
        BlobBuilder.from_blobs(BLOBS[2:]).build_batch(),
    ]
    kept = keep_blobs(batches, str(tmp_path) if in_file else None)
    assert all(isinstance(place, Place) is in_file for *_, place in kept)
    targets = [
        (target, [(kind, name, blob.to_pybytes().rstrip()) for kind, name, _, blob in blobs])
        for target, blobs in OpenBlobs().open_targets(kept)
    ]
    assert targets == [
        (0, [("counts", "", b"zero")]),
        (1, [("rows", "", b"one")]),
        (3, [("rows", "", b"three one"), ("rows", "n", b"")]),
    ]
    assert len(list(tmp_path.iterdir())) == in_file
    remove_files(kept)
    remove_files(kept)
    assert not list(tmp_path.iterdir())


def test_tables_are_read_where_they_lie(tmp_path: Path) -> None:
    from headrace.columns.statistics import read_ipc

    builder = BlobBuilder()
    table = pa.table({"a": range(1000), "t": [f"x{n}" for n in range(1000)]})
    builder.add_table("rows", "", 7, table)
    kept = keep_blobs([builder.build_batch()], str(tmp_path))
    ((target, ((_, _, _, blob),)),) = OpenBlobs().open_targets(kept)
    remove_files(kept)  # what is open stays
    assert target == 7
    assert read_ipc(blob).equals(table)


def test_no_blobs(tmp_path: Path) -> None:
    assert keep_blobs([], str(tmp_path)) == []
    assert list(OpenBlobs().open_targets([])) == []
