"""Buffer rows by the data file that they go to, after their keys have met at a target."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.prepare.shuffle.arrow_blobs import ORDERED, ROWS, BlobBuilder
from headrace.prepare.shuffle.row_hash import hash_order
from headrace.source.dictionaries import (
    concat_tables,
    concat_to_one_chunk,
    decode_column,
    encode_texts,
    estimate_decoded_bytes,
)
from headrace.source.internal_columns import BUCKET, ROW_ID

# Bytes of one batch of blobs.
_BATCH_BYTES = 16 * 2**20


class FileBuffers:
    """Buffers of rows, one for each file.

    Attributes:
        bytes: of all rows that are held, about.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._chunks: dict[int, list[pa.Table]] = {}
        self.bytes = 0

    def add_rows(self, file: int, rows: pa.Table) -> None:
        """Add rows that go to a file."""
        self._chunks.setdefault(file, []).append(rows)
        self.bytes += estimate_decoded_bytes(rows)

    def flush_files(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows, sorted, as one blob for each file, and forget them."""
        self.bytes = 0
        for file in sorted(self._chunks):
            rows = sort_file_rows(self._chunks.pop(file), self._seed)
            blobs = BlobBuilder()
            blobs.add_table(ROWS, ORDERED, file, rows, "lz4")
            yield blobs.build_batch()

    def flush_chunks(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows as chunks for another task to put together, and forget them."""
        self.bytes = 0
        blobs = BlobBuilder()
        for file in sorted(self._chunks):
            # Texts are decoded: each small chunk would come with a dictionary of its own.
            rows = concat_tables(self._chunks.pop(file))
            columns = [decode_column(column) for column in rows.columns]
            rows = pa.Table.from_arrays(columns, names=rows.column_names)
            blobs.add_table(ROWS, "", file, rows)
            if blobs.size >= _BATCH_BYTES:
                yield blobs.build_batch()
        yield blobs.build_batch()


def sort_file_rows(chunks: list[pa.Table], seed: int) -> pa.Table:
    """Sort the rows of a file, texts encoded: by split, and then in pseudo-random order.

    Args:
        chunks: all rows of the file, in any order.
        seed: of the order.
    """
    rows = encode_texts(concat_to_one_chunk(chunks))
    identity = rows[ROW_ID].to_numpy()
    order = np.lexsort((identity, hash_order(identity, seed), rows[BUCKET].to_numpy()))
    return rows.take(pa.array(order))
