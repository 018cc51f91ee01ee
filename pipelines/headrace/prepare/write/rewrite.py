"""Write rows of published files again in their order: merged, or without some source partitions.

No row is computed anew: what is read is compared with the checksums that it was published with, and
what is written with what was read. One file is in memory at a time. Which files are merged is
decided in `optimize.py`, and which rows stay in `publish.py`.
"""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import DatasetError
from headrace.lake.checked_file import read_checked_file
from headrace.lake.checksums import compute_footer_checksum, hash_rows, read_footer_bytes
from headrace.lake.data_file import DataFile, PartitionRun
from headrace.lake.part_path import make_rewritten_path
from headrace.lake.storage import CONCURRENT_REQUESTS, explain_storage_errors, write_object
from headrace.lake.version import DatasetVersion
from headrace.prepare.write.parquet_file import format_table
from headrace.prepare.write.schema import build_file_schema, choose_rows_per_row_group
from headrace.progress import Progress, Report
from headrace.recipe import sections
from headrace.transform.spec import TransformSpec


@dataclass(frozen=True)
class FileLayout:
    """How the files of a version are written.

    Attributes:
        root: the dataset's folder or URL.
        trained_on: columns of the digest and of the checksums.
        rows_per_file, rows_per_row_group: at most.
    """

    root: str
    trained_on: tuple[str, ...]
    rows_per_file: int
    rows_per_row_group: int

    @staticmethod
    def from_version(dataset: DatasetVersion) -> "FileLayout":
        """Return the layout that the recipe of a version asks for."""
        spec = TransformSpec.from_json(dataset.transform_json)
        settings = sections.Dataset.model_validate(dataset.build.recipe["dataset"])
        return FileLayout(
            root=dataset.root,
            trained_on=tuple(build_file_schema(spec).names),
            rows_per_file=settings.rows_per_file,
            rows_per_row_group=choose_rows_per_row_group(settings, spec),
        )


def retain_files(
    base: DatasetVersion, retained: Collection[str], build_id: str, report: Report
) -> tuple[DataFile, ...]:
    """Return files with the rows that a version has of some source partitions.

    Its own files, but for those that have rows of other partitions too: they are written again
    without them.

    Args:
        base: the version.
        retained: the source partitions.
        build_id: of the build that writes.
        report: told of files that are written.

    Raises:
        DamagedError, RemovedError: a file that is written again is not as it was published.
        UnreachableError: the store does not answer.
    """
    files: list[DataFile] = []
    mixed: list[DataFile] = []
    for file in base.build.files:
        stays = [run.partition in retained for run in file.list_runs()]
        if all(stays):
            files.append(file)
        elif any(stays):
            mixed.append(file)
    if mixed:
        layout = FileLayout.from_version(base)
        report(Progress(f"writing {len(mixed):,} files again, without rows that are replaced"))
        files += [rewrite_file(layout, build_id, [file], retained) for file in mixed]
    return tuple(sorted(files, key=lambda file: file.path))


def rewrite_file(
    layout: FileLayout,
    build_id: str,
    files: Sequence[DataFile],
    retained: Collection[str] | None = None,
) -> DataFile:
    """Write the rows of neighbouring files as one file, which takes the place of the first.

    Args:
        layout: of the file.
        build_id: of the build that writes it.
        files: of one split, in the canonical order.
        retained: source partitions whose rows are written; None for all.

    Returns:
        the file; its runs are those of the files.

    Raises:
        DamagedError, RemovedError: a file is not as it was published.
        DatasetError: the columns of the files differ, or what was written is not what was read.
        UnreachableError: the store does not answer.
    """

    def read_runs(file: DataFile) -> tuple[pa.Table, list[PartitionRun]]:
        table = read_checked_file(layout.root, file)
        begin, slices, runs = 0, [], []
        for run in file.list_runs():
            if retained is None or run.partition in retained:
                slices.append(table.slice(begin, run.rows))
                runs.append(run)
            begin += run.rows
        return (table if len(runs) == len(file.list_runs()) else pa.concat_tables(slices)), runs

    with ThreadPoolExecutor(min(len(files), CONCURRENT_REQUESTS)) as pool:
        parts = list(pool.map(read_runs, files))
    _refuse_other_columns(layout.root, files, [table for table, _ in parts])
    runs = tuple(run for _, of_file in parts for run in of_file)
    table = pa.concat_tables([table for table, _ in parts])
    del parts
    path = make_rewritten_path(files[0].path, build_id)
    buffer, row_groups = format_table(table, layout.trained_on, layout.rows_per_row_group)
    content = hash_rows(table, layout.trained_on)
    written = pq.read_table(pa.BufferReader(buffer), page_checksum_verification=True)
    rows = sum(run.rows for run in runs)
    if table.num_rows != rows or hash_rows(written, layout.trained_on) != content:
        raise _make_error(layout.root, path, f"{written.num_rows:,} rows of {rows:,}")
    for name in set(table.column_names) - set(layout.trained_on):
        if not _is_same_column(table[name], written[name]):
            raise _make_error(layout.root, path, f"other values of {name}")
    with explain_storage_errors(layout.root):
        write_object(layout.root, path, buffer)
    return DataFile(
        path=path,
        split=files[0].split,
        bytes=buffer.size,
        row_groups=row_groups,
        content=content,
        footer=compute_footer_checksum(read_footer_bytes(pa.BufferReader(buffer))),
        runs=runs,
    )


def _refuse_other_columns(root: str, files: Sequence[DataFile], tables: list[pa.Table]) -> None:
    """Refuse files whose columns differ: merged, a row would lose or gain some."""
    for file, table in zip(files, tables, strict=True):
        if not table.schema.equals(tables[0].schema):
            raise DatasetError(
                f"dataset {root}: {file.path} has other columns than {files[0].path}, so their "
                "rows cannot be in one file. Nothing was published; `headrace prepare --full` "
                "writes all files alike"
            )


def _is_same_column(first: pa.ChunkedArray, second: pa.ChunkedArray) -> bool:
    """Return whether columns are equal, NaN to NaN included."""
    if pa.types.is_floating(first.type):
        bits = {16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[first.type.bit_width]
        views = (pa.chunked_array([c.view(bits) for c in a.chunks], bits) for a in (first, second))
        first, second = views
    return bool(first.equals(second))


def _make_error(root: str, path: str, what: str) -> DatasetError:
    return DatasetError(
        f"dataset {root}: {path} was written again and has {what}. Nothing was published; run it "
        "again, and report it where it comes again"
    )
