"""Transform rows and write them as Parquet, inside Spark's tasks, with pyarrow.

Writing in the task itself gives exact row groups and tells the driver which files are whole. A
task that dies leaves a file that no commit names. Rows come in pseudo-random order, so readers may
take row groups as they lie.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines.lake.files import SPLITS, DataFile
from pipelines.prepare.tag import BUCKET, LABEL, ORDER, ROW_ID
from pipelines.transform.arrow import ArrowTransform
from pipelines.transform.spec import StandardizeFeature, TransformSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RESULT_DDL = "file string, positive long"


def file_schema(spec: TransformSpec) -> pa.Schema:
    """Columns of a data file: row_id int64, the features by name, label float32; no nulls."""
    fields = [pa.field("row_id", pa.int64(), nullable=False)]
    for feature in spec.features:
        numeric = isinstance(feature, StandardizeFeature)
        fields.append(
            pa.field(feature.name, pa.float32() if numeric else pa.int32(), nullable=False)
        )
    return pa.schema([*fields, pa.field("label", pa.float32(), nullable=False)])


def write_files(
    tagged: "DataFrame", spec: TransformSpec, *, root: str, build_id: str, rows_per_row_group: int
) -> tuple[list[DataFile], dict[str, int]]:
    """Write the rows of every split, a file a split and partition of `tagged`.

    Args:
        tagged: rows as `tag_rows` makes them, other buckets included (they are left out).
        spec: the fitted transform.
        root: the dataset's folder or URL, seen by every executor.
        build_id: goes into the files' names.
        rows_per_row_group: rows of every row group but a file's last.

    Returns:
        the files written, by path, and the positive labels a split.
    """
    import pyspark.sql.functions as F

    def write(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        assert context is not None
        part = f"part-{build_id}-{context.partitionId():05d}-{context.attemptNumber()}.parquet"
        writers = {
            split: _SplitWriter(root, split, f"split={split}/{part}", spec, rows_per_row_group)
            for split in SPLITS
        }
        transform = ArrowTransform(spec)
        for batch in batches:
            features = transform(batch)
            arrays = [batch[ROW_ID], *(pa.array(v) for v in features.values()), batch[LABEL]]
            table = pa.Table.from_arrays(arrays, schema=file_schema(spec))
            for split, writer in writers.items():
                writer.add(table.filter(pc.equal(batch[BUCKET], split)))
        done = [writer.close() for writer in writers.values()]
        files = [(file.model_dump_json(), positive) for file, positive in done if file]
        yield pa.RecordBatch.from_pydict(
            {
                "file": pa.array([file for file, _ in files], pa.string()),
                "positive": pa.array([positive for _, positive in files], pa.int64()),
            }
        )

    kept = tagged.where(F.col(BUCKET).isin(*SPLITS)).sortWithinPartitions(ORDER, ROW_ID)
    written = kept.mapInArrow(write, _RESULT_DDL).collect()
    files = [DataFile.model_validate_json(row["file"]) for row in written]
    positive: dict[str, int] = dict.fromkeys(SPLITS, 0)
    for file, row in zip(files, written, strict=True):
        positive[file.split] += row["positive"]
    return sorted(files, key=lambda f: f.path), positive


class _SplitWriter:
    """One file being written, row group by row group; opened by its first row."""

    def __init__(
        self, root: str, split: str, path: str, spec: TransformSpec, rows_per_row_group: int
    ) -> None:
        self._files, base = fsspec.url_to_fs(root)
        self._path, self._full, self._split = path, f"{base}/{path}", split
        self._schema = file_schema(spec)
        self._rows = rows_per_row_group
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._writer: pq.ParquetWriter | None = None
        self._row_groups: list[int] = []
        self._content = hashlib.sha256()
        self._positive = 0

    def add(self, table: pa.Table) -> None:
        if not table.num_rows:
            return
        self._waiting.append(table)
        self._waiting_rows += table.num_rows
        while self._waiting_rows >= self._rows:
            waiting = pa.concat_tables(self._waiting)
            self._write(waiting.slice(0, self._rows))
            rest = waiting.slice(self._rows)
            self._waiting, self._waiting_rows = [rest], rest.num_rows

    def close(self) -> tuple[DataFile | None, int]:
        """The finished file and its positive labels; no file where there was no row."""
        if self._waiting_rows:
            self._write(pa.concat_tables(self._waiting))
        if self._writer is None:
            return None, 0
        self._writer.close()
        self._sink.close()
        file = DataFile(
            path=self._path,
            split=self._split,  # type: ignore[arg-type]
            bytes=self._files.size(self._full),
            row_groups=tuple(self._row_groups),
            content=self._content.hexdigest(),
        )
        return file, self._positive

    def _write(self, table: pa.Table) -> None:
        if self._writer is None:
            self._files.makedirs(self._full.rpartition("/")[0], exist_ok=True)
            self._sink = self._files.open(self._full, "wb")
            self._writer = pq.ParquetWriter(self._sink, self._schema)
        table = table.combine_chunks()
        self._writer.write_table(table, row_group_size=table.num_rows)
        self._row_groups.append(table.num_rows)
        for column in table.columns:
            self._content.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        self._positive += int(pc.sum(table["label"]).as_py() or 0)
