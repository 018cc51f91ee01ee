"""Blobs: tables that are packed for Spark's shuffle."""

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import read_ipc
from headrace.prepare.shuffle.arrow_blobs import ROWS, BlobBuilder, group_by_target, read_blobs


def test_blobs_lie_aligned_and_are_read_in_place() -> None:
    blobs = BlobBuilder()
    some = pa.table({"n": np.arange(7), "text": ["a"] * 7})
    for target in (3, 1, 3):
        blobs.add_bytes("counts", "", target, b'{"odd": 1}')  # 10 bytes
        blobs.add_table(ROWS, "x", target, some)
    batch = blobs.build_batch()
    assert blobs.size == 0
    assert blobs.build_batch().num_rows == 0
    for _, _, _, blob in read_blobs(batch):
        assert blob.address % 8 == 0
        assert blob.size % 8 == 0
    by_target = dict(group_by_target([batch]))
    assert [*by_target] == [1, 3]
    assert [row[0] for row in by_target[3]] == ["counts", ROWS] * 2
    assert by_target[1][0][3].to_pybytes().rstrip() == b'{"odd": 1}'
    table = read_ipc(by_target[1][1][3])
    assert table.equals(some)
    inside = table["n"].chunk(0).buffers()[1].address - by_target[1][1][3].address
    assert 0 < inside < by_target[1][1][3].size  # no copy
