"""Rows on their way to the data files that they go to."""

import numpy as np
import pyarrow as pa

from headrace.columns.statistics import read_ipc
from headrace.prepare.shuffle.arrow_blobs import ORDERED, ROWS, read_blobs
from headrace.prepare.shuffle.file_buffers import FileBuffers, sort_file_rows
from headrace.source.internal_columns import BUCKET, ROW_ID


def test_the_order_of_a_file_does_not_depend_on_who_brought_its_rows() -> None:
    rng = np.random.default_rng(3)
    rows = pa.table(
        {
            ROW_ID: rng.integers(-(2**63), 2**63, 200),
            BUCKET: pa.array(rng.integers(0, 3, 200), pa.int32()),
            "text": [f"value {n % 7}" for n in range(200)],
        }
    )
    whole = sort_file_rows([rows], seed=1)
    parts = sort_file_rows([rows.slice(150), rows.slice(0, 20), rows.slice(20, 130)], seed=1)
    assert whole.to_pylist() == parts.to_pylist()
    assert whole[BUCKET].to_pylist() == sorted(rows[BUCKET].to_pylist())
    assert whole[ROW_ID].to_pylist() != sort_file_rows([rows], seed=2)[ROW_ID].to_pylist()


def rows(identities: list[int], bucket: int = 0) -> pa.Table:
    buckets = pa.array([bucket] * len(identities), pa.int32())
    return pa.table({ROW_ID: identities, BUCKET: buckets, "text": ["same"] * len(identities)})


def test_a_file_is_one_sorted_blob_and_then_forgotten() -> None:
    buffers = FileBuffers(seed=0)
    buffers.add_rows(3, rows([5, 1]))
    buffers.add_rows(1, rows([2]))
    buffers.add_rows(3, rows([9], bucket=1))
    assert buffers.bytes > 0
    blobs = [blob for batch in buffers.flush_files() for blob in read_blobs(batch)]
    assert [blob[:3] for blob in blobs] == [(ROWS, ORDERED, 1), (ROWS, ORDERED, 3)]
    table = read_ipc(blobs[1][3])
    assert table[BUCKET].to_pylist() == [0, 0, 1]
    assert sorted(table[ROW_ID].to_pylist()) == [1, 5, 9]
    assert pa.types.is_dictionary(table["text"].type)
    assert buffers.bytes == 0
    assert list(buffers.flush_files()) == []


def test_chunks_are_sent_on_with_plain_texts() -> None:
    buffers = FileBuffers(seed=0)
    encoded = rows([5, 1])
    encoded = encoded.set_column(2, "text", encoded["text"].dictionary_encode())
    buffers.add_rows(0, encoded)
    buffers.add_rows(0, rows([2]))
    (batch,) = buffers.flush_chunks()
    ((kind, name, file, blob),) = read_blobs(batch)
    assert (kind, name, file) == (ROWS, "", 0)
    table = read_ipc(blob)
    assert table["text"].type == pa.string()
    assert table[ROW_ID].to_pylist() == [5, 1, 2]  # as they came
