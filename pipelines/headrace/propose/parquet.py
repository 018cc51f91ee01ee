"""Read some rows of Parquet files, from row groups all over some of the files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LakeError
from headrace.lake.storage import explain_table_errors
from headrace.propose.allocation import allocate_rows, spread_positions
from headrace.propose.arrow_types import (
    ARROW_TYPES,
    cast_array,
    find_common_type,
    get_column_type,
)
from headrace.propose.partitions import add_partition_columns
from headrace.propose.sampled_rows import MAX_FILES, MAX_VALUES, SampledRows
from headrace.propose.table_files import TableFile, TableFiles
from headrace.redaction import redact_text
from headrace.schema import ColumnType

_THREADS = 8
# Row groups that are read per file, and how many times as many of their rows as are sampled:
# neighbouring rows are alike.
_ROW_GROUPS_PER_FILE, _OVERREAD = 4, 10
_NANOSECOND_CONF = {"spark.sql.legacy.parquet.nanosAsLong": True}
_NANOSECOND_REASON = "a time in nanoseconds"


def read_parquet(table: TableFiles, max_rows: int) -> SampledRows:
    """Read at most `max_rows` rows of a table.

    Raises:
        LakeError: there are no rows, a file is damaged, or columns of one name have different
            types, or one that Spark does not read.
    """
    files = [table.files[i] for i in spread_positions(len(table.files), MAX_FILES)]
    with ThreadPoolExecutor(_THREADS) as pool:
        footers = list(pool.map(lambda file: _read_footer(table, file), files))
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    types, unusable = _determine_types(schemas, files)
    file_rows = [footer.num_rows for footer in footers]
    row_counts = allocate_rows(file_rows, max(1, min(max_rows, MAX_VALUES // max(1, len(types)))))
    if not types or not sum(file_rows):
        reason = "has no rows" if types else "has no column that a feature can be made of"
        raise LakeError(f"{redact_text(table.path)} is empty: it {reason}")
    read_whole = sum(row_counts) == sum(file_rows)
    sources = [source for source in zip(files, footers, row_counts, strict=True) if source[2]]
    chunks = [
        _read_rows(table, file, footer, row_count, types, read_whole)
        for file, footer, row_count in sources
    ]
    row_files = [
        source[0]
        for source, chunk in zip(sources, chunks, strict=True)
        for _ in range(chunk.num_rows)
    ]
    has_nanoseconds = any(reason.startswith(_NANOSECOND_REASON) for reason in unusable.values())
    names_differ = any(schema.names != schemas[0].names for schema in schemas)
    file_bytes = sum(file.byte_count for file in files)
    return SampledRows(
        rows=add_partition_columns(pa.concat_tables(chunks), row_files, table),
        table_rows=round(sum(file_rows) / max(1, file_bytes) * table.byte_count),
        is_counted=len(files) == len(table.files),
        is_whole=read_whole and len(files) == len(table.files),
        opened_files=len(files),
        reader_options={"mergeSchema": True} if names_differ else {},
        unusable=unusable,
        spark_conf=_NANOSECOND_CONF if has_nanoseconds else {},
    )


def _read_footer(table: TableFiles, file: TableFile) -> pq.FileMetaData:
    with explain_table_errors(file.path), table.open(file) as stream:
        try:
            return pq.read_metadata(stream)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(
                f"{file.path} is not a readable Parquet file ({error}); restore or remove it, or "
                "pass the format with --format"
            ) from None


def _determine_types(
    schemas: Sequence[pa.Schema], files: Sequence[TableFile]
) -> tuple[dict[str, ColumnType], dict[str, str]]:
    """Return the types of the columns that features can be made of, and why not of the others.

    Raises:
        LakeError: with all problems: two columns of one name, files that have different types, or
            a type that Spark does not read.
    """
    files_by_type: dict[str, dict[ColumnType, str]] = defaultdict(dict)
    unusable: dict[str, str] = {}
    problems = []
    for schema, file in zip(schemas, files, strict=True):
        if len(set(schema.names)) < len(schema.names):
            problems.append(f"{file.path} has two columns of the same name")
        for column in schema:
            if pa.types.is_time(column.type):
                problems.append(
                    f"{file.path}: column {column.name!r} is a time of day ({column.type}), which "
                    "Spark does not read; write it as a text, or as minutes"
                )
            if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
                unusable[column.name] = (
                    f"{_NANOSECOND_REASON}, which Spark reads as whole numbers; write microseconds "
                    'to use it (pandas: to_parquet(..., coerce_timestamps="us"))'
                )
            column_files = files_by_type[column.name]
            if not pa.types.is_null(column.type):  # the type is that of files that have values
                column_files.setdefault(get_column_type(column.type), file.path)
            else:
                column_files.setdefault(ColumnType.INTEGER, "")
    types: dict[str, ColumnType] = {}
    for name, column_files in files_by_type.items():
        types_with_values = {t for t, path in column_files.items() if path} or set(column_files)
        column_type = find_common_type(types_with_values)
        if column_type is None:
            listed = ", ".join(f"{t.value} in {path}" for t, path in column_files.items() if path)
            problems.append(
                f"column {name!r} is {listed}; all files of a table must have the same type for it"
            )
        elif column_type is ColumnType.BINARY:
            unusable[name] = "bytes; if they are images, see conf/digits.yaml"
        elif column_type is ColumnType.OTHER:
            unusable[name] = "neither a value nor a list of values"
        elif name not in unusable:
            types[name] = column_type
    if problems:
        raise LakeError("; ".join(dict.fromkeys(problems)))
    return types, unusable


def _read_rows(
    table: TableFiles,
    file: TableFile,
    footer: pq.FileMetaData,
    row_count: int,
    types: Mapping[str, ColumnType],
    read_whole: bool,
) -> pa.Table:
    """Read `row_count` rows of a file; columns that it does not have are null."""
    with explain_table_errors(file.path), table.open(file) as stream:
        try:
            parquet_file = pq.ParquetFile(stream)
            file_names = [name for name in types if name in parquet_file.schema_arrow.names]
            rows = (
                parquet_file.read(file_names)
                if read_whole
                else _read_some_rows(parquet_file, footer, row_count, file_names)
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(f"{file.path} is damaged ({error}); restore or remove it") from None
    columns = {
        name: cast_array(rows[name], column_type)
        if name in file_names
        else pa.nulls(rows.num_rows, ARROW_TYPES[column_type])
        for name, column_type in types.items()
    }
    return pa.table(columns)


def _read_some_rows(
    parquet_file: pq.ParquetFile, footer: pq.FileMetaData, row_count: int, names: list[str]
) -> pa.Table:
    groups = spread_positions(footer.num_row_groups, _ROW_GROUPS_PER_FILE)
    group_rows = [footer.row_group(group).num_rows for group in groups]
    row_counts = allocate_rows(group_rows, min(row_count, sum(group_rows)))
    chunks = []
    for group, count in zip(groups, row_counts, strict=True):
        if count:
            batches = parquet_file.iter_batches(
                count * _OVERREAD, row_groups=[group], columns=names
            )
            batch = next(batches)
            chunks.append(batch.take(pa.array(spread_positions(batch.num_rows, count))))
    return pa.Table.from_batches(chunks)
