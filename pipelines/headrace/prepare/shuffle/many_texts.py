"""Count more texts than a task or the driver should hold; those that are needed go to a file.

Spark adds the counts up by hash and sorts them, both with its own spilling to disk. One task then
receives the texts that are frequent enough, in the order of their ids, and writes the file beside
the transform a batch at a time; the driver gets its name, its size and a few texts.
"""

import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.statistics import TextCounts, read_ipc, write_ipc
from headrace.features.lookup import SHOWN_TEXTS
from headrace.features.stored_texts import StoredTextCounts
from headrace.features.text_file import TextFileWriter
from headrace.lake.storage import refuse_unseen_file
from headrace.lake.vocabulary_files import SidecarVocabularyFiles, locate_text_file
from headrace.prepare.shuffle.arrow_blobs import TEXTS, forget_archives
from headrace.prepare.shuffle.count_limits import CombinedLimits

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_COUNTS_DDL = "value string, count long"
_RESULT_DDL = "facts string, table binary"


def count_many_texts(
    blobs: "DataFrame",
    key: str,
    limits: CombinedLimits,
    files: SidecarVocabularyFiles,
    inline_texts: int,
) -> TextCounts:
    """Return the counts of a column's texts within limits.

    Args:
        blobs: those of all tasks, cached by Spark.
        key: of the summary.
        limits: of the features that are fitted on it.
        files: where the task writes them.
        inline_texts: up to how many are returned themselves.

    Raises:
        DatasetError: the task's file is not seen from here.
    """
    import pyspark.sql.functions as F

    of_column = blobs.where((F.col("kind") == TEXTS) & (F.col("name") == key))
    counts = of_column.mapInArrow(_unpack_counts, _COUNTS_DDL)
    counts = counts.groupBy("value").agg(F.sum("count").alias("count"))
    order = [F.col("count").desc(), F.col("value").asc()]
    needed = counts.where(F.col("count") >= min(limits.min_counts))
    ranked = needed.repartition(1).sortWithinPartitions(*order)
    write = _build_writer(limits, files, inline_texts)
    (result,) = ranked.mapInArrow(write, _RESULT_DDL).collect()
    table = read_ipc(bytes(result["table"]))
    if not table.num_rows:  # the most frequent value may stand for missing ones
        top = counts.orderBy(*order).limit(1).collect()
        values = {"value": [row["value"] for row in top], "count": [row["count"] for row in top]}
        return TextCounts(pa.table(values, table.schema))
    facts = json.loads(result["facts"])
    if facts is None:
        return TextCounts(table)
    refuse_unseen_file(files.root, locate_text_file(files.build_id, facts["file"]))
    sizes = dict(facts["sizes"])
    return StoredTextCounts(table, file=facts["file"], sizes=sizes, files=files)


def _unpack_counts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the counts in blobs as rows; for `mapInArrow`."""
    forget_archives()
    for batch in batches:
        for blob in batch["blob"]:
            yield from read_ipc(blob.as_buffer()).to_batches()


def _build_writer(
    limits: CombinedLimits, files: SidecarVocabularyFiles, inline_texts: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow` that writes ranked texts, or returns them if few."""

    def write_texts(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        forget_archives()
        with tempfile.TemporaryDirectory(prefix="headrace-texts-") as folder:
            schema = pa.schema([("value", pa.string()), ("count", pa.int64())])
            writer: TextFileWriter | None = None
            first: list[pa.RecordBatch] = []
            sizes = dict.fromkeys(limits.min_counts, 0)
            rows = 0
            for unnamed in batches:
                batch = pa.RecordBatch.from_arrays(unnamed.columns, schema=schema)
                if limits.max_size is not None:  # all the same to its end, which Spark waits for
                    batch = batch.slice(0, max(0, limits.max_size - rows))
                rows += batch.num_rows
                for least in sizes:
                    sizes[least] += pc.sum(pc.greater_equal(batch["count"], least)).as_py() or 0
                if writer is None:
                    first.append(batch)
                    if rows <= inline_texts:
                        continue
                    writer = TextFileWriter(folder)
                    for held in first:
                        writer.add_texts(held["value"])
                    shown = pa.Table.from_batches(first).slice(0, SHOWN_TEXTS)
                    first = shown.combine_chunks().to_batches()
                else:
                    writer.add_texts(batch["value"])
            facts = None
            if writer is not None:
                file = writer.finish_file()
                files.write_file(file)
                facts = {"file": file.name, "sizes": [*sizes.items()]}
            table = write_ipc(pa.Table.from_batches(first, schema))
        result = {"facts": [json.dumps(facts)], "table": [table]}
        yield pa.RecordBatch.from_pydict(result)

    return write_texts
