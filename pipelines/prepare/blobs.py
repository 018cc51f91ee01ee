"""Tables on their way through Spark's shuffle: Arrow blobs with a kind, a name and a target."""

import sys
from collections.abc import Iterable, Iterator
from zipimport import zipimporter

import pyarrow as pa

Blob = tuple[str, str, int, bytes]
BLOB_DDL = "kind string, name string, target int, blob binary"
ROWS, COUNTS, NUMBERS, TEXTS = "rows", "counts", "numbers", "texts"
RIVALS, BEATEN = "rivals", "beaten"
TABLES = (ROWS, RIVALS, BEATEN)
ORDERED = "in order"
"""Name of ROWS that are all of a file and in their order."""
_SCHEMA = pa.schema(
    [("kind", pa.string()), ("name", pa.string()), ("target", pa.int32()), ("blob", pa.binary())]
)


def forget_archives() -> None:
    """Spare this worker's next tasks 0.14 s of CPU each (Spark 4.0's two archives, Python 3.11).

    Before every task Spark's worker invalidates the caches of Python's importers, and those of its
    own zip files read the archives anew. Importers that are forgotten are made again when a module
    is looked for, from what is known of the archive.
    """
    for path, importer in list(sys.path_importer_cache.items()):
        if isinstance(importer, zipimporter):
            del sys.path_importer_cache[path]


def blob_batch(rows: list[Blob]) -> pa.RecordBatch:
    arrays = [pa.array([row[i] for row in rows], f.type) for i, f in enumerate(_SCHEMA)]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def rows_of(batch: pa.RecordBatch) -> Iterator[Blob]:
    """The blobs of a batch: kind, name, target, blob.

    Copied: views of the batch would not be aligned, and what is made of them slow (121 s of CPU
    became 134 at 5 million rows).
    """
    return zip(*(batch[name].to_pylist() for name in _SCHEMA.names), strict=True)


def by_target(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, list[Blob]]]:
    """All blobs of a target, one target after the other; the task's targets are held in memory."""
    groups: dict[int, list[Blob]] = {}
    for batch in batches:
        for row in rows_of(batch):
            groups.setdefault(row[2], []).append(row)
    for target in sorted(groups):
        yield target, groups.pop(target)
