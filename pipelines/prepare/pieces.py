"""Rows on their way from the target where their keys met to the data file that they go to."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from pipelines.prepare.blobs import ORDERED, ROWS, Blob, blob_batch
from pipelines.prepare.identity import order_of
from pipelines.prepare.names import BUCKET, ROW_ID
from pipelines.transform.statistics import write_ipc

# Bytes of one batch of blobs.
_BATCH_BYTES = 16 * 2**20


class Pieces:
    """Rows by the file that they go to.

    Attributes:
        bytes: that are held.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._of: dict[int, list[pa.Table]] = {}
        self.bytes = 0

    def add(self, file: int, rows: pa.Table) -> None:
        self._of.setdefault(file, []).append(rows)
        self.bytes += rows.nbytes

    def files(self) -> Iterator[pa.RecordBatch]:
        """What there is, a blob a file, and forget it."""
        self.bytes = 0
        for file in sorted(self._of):
            rows = in_order(self._of.pop(file), self._seed)
            yield blob_batch([(ROWS, ORDERED, file, write_ipc(rows))])

    def as_they_are(self) -> Iterator[pa.RecordBatch]:
        """The pieces, for somebody else to put together, and forget them."""
        self.bytes = 0
        blobs: list[Blob] = []
        size = 0
        for file in sorted(self._of):
            # Texts as they are: dictionaries would have to be cut to many small pieces.
            blob = write_ipc(pa.concat_tables(self._of.pop(file)), compression=None)
            blobs.append((ROWS, "", file, blob))
            size += len(blob)
            if size >= _BATCH_BYTES:
                yield blob_batch(blobs)
                blobs, size = [], 0
        yield blob_batch(blobs)


def in_order(pieces: list[pa.Table], seed: int) -> pa.Table:
    """The rows of a file, texts encoded: the train rows first, and in pseudo-random order."""
    rows = encoded(pa.concat_tables(pieces))
    identity = rows[ROW_ID].to_numpy()
    place = np.lexsort((identity, order_of(identity, seed), rows[BUCKET].to_numpy()))
    return rows.take(pa.array(place))


def encoded(table: pa.Table) -> pa.Table:
    """Texts as dictionaries: they are counted and looked up once a distinct value from here on."""
    columns = []
    for column in table.columns:
        array = column.combine_chunks()
        if isinstance(array, pa.ChunkedArray):  # no chunk at all
            array = pa.concat_arrays(array.chunks) if array.num_chunks else array
        columns.append(array.dictionary_encode() if array.type == pa.string() else array)
    return pa.Table.from_arrays(columns, names=table.column_names)
