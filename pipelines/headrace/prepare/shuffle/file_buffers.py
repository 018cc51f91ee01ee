"""Rows on their way from the target where their keys met to the data file that they go to."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from headrace.prepare.shuffle.arrow_blobs import ORDERED, ROWS, Blobs
from headrace.prepare.shuffle.row_hash import order_of
from headrace.source.dictionaries import bytes_decoded, decoded, encoded, joined, stacked
from headrace.source.internal_columns import BUCKET, ROW_ID

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
        self.bytes += bytes_decoded(rows)

    def files(self) -> Iterator[pa.RecordBatch]:
        """What there is, a blob a file, and forget it."""
        self.bytes = 0
        for file in sorted(self._of):
            rows = in_order(self._of.pop(file), self._seed)
            blobs = Blobs()
            blobs.add_table(ROWS, ORDERED, file, rows, "lz4")
            yield blobs.batch()

    def as_they_are(self) -> Iterator[pa.RecordBatch]:
        """The pieces, for somebody else to put together, and forget them."""
        self.bytes = 0
        blobs = Blobs()
        for file in sorted(self._of):
            # Texts as they are: dictionaries would have to be cut to many small pieces.
            rows = stacked(self._of.pop(file))
            columns = [decoded(column) for column in rows.columns]
            rows = pa.Table.from_arrays(columns, names=rows.column_names)
            blobs.add_table(ROWS, "", file, rows)
            if blobs.size >= _BATCH_BYTES:
                yield blobs.batch()
        yield blobs.batch()


def in_order(pieces: list[pa.Table], seed: int) -> pa.Table:
    """The rows of a file, texts encoded: the train rows first, and in pseudo-random order."""
    rows = encoded(joined(pieces))
    identity = rows[ROW_ID].to_numpy()
    place = np.lexsort((identity, order_of(identity, seed), rows[BUCKET].to_numpy()))
    return rows.take(pa.array(place))
