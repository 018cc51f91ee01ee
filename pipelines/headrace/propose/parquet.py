"""Read some rows of Parquet files, from row groups all over some of the files."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LakeError
from headrace.lake.file_columns import FileColumns, FileType, read_parquet_columns
from headrace.lake.storage import explain_table_errors
from headrace.propose.allocation import allocate_rows, spread_positions
from headrace.propose.arrow_types import ARROW_TYPES, cast_array
from headrace.propose.images import ImageColumn, find_images
from headrace.propose.partitions import add_partition_columns
from headrace.propose.sampled_rows import MAX_FILES, MAX_VALUES, SampledRows
from headrace.propose.table_files import TableFile, TableFiles
from headrace.redaction import redact_text
from headrace.schema import ColumnType
from headrace.source.common_columns import find_common_columns

_THREADS = 8
# Row groups that are read per file, and how many times as many of their rows as are sampled:
# neighbouring rows are alike.
_ROW_GROUPS_PER_FILE, _OVERREAD = 4, 10
# Files, and values of each, in which a column of bytes is looked at for images.
_IMAGE_FILES, _IMAGES_PER_FILE = 4, 64


def read_parquet(table: TableFiles, max_rows: int) -> SampledRows:
    """Read at most `max_rows` rows of a table.

    Raises:
        LakeError: there are no rows, or a file is damaged.
    """
    files = [table.files[i] for i in spread_positions(len(table.files), MAX_FILES)]
    with ThreadPoolExecutor(_THREADS) as pool:
        footers = list(pool.map(lambda file: _read_footer(table, file), files))
    schemas = [
        (read_parquet_columns(footer), [file.path])
        for footer, file in zip(footers, files, strict=True)
    ]
    types, spellings, unusable, binary_columns = _determine_types(schemas)
    images = {}
    for name in binary_columns:
        found = find_images(name, _read_some_bytes(table, files, footers, spellings[name]))
        if isinstance(found, ImageColumn):
            images[name] = found
        else:
            unusable[name] = found
    file_rows = [footer.num_rows for footer in footers]
    row_counts = allocate_rows(file_rows, max(1, min(max_rows, MAX_VALUES // max(1, len(types)))))
    if not types or not sum(file_rows):
        unusable |= dict.fromkeys(images, "images, and no other column is there to predict")
        listed = "; ".join(f"{name!r}: {reason}" for name, reason in sorted(unusable.items()))
        nothing = f"has no column that a feature can be made of ({listed or 'none at all'})"
        reason = "has no rows" if types else nothing
        raise LakeError(f"{redact_text(table.path)} is empty: it {reason}")
    read_whole = sum(row_counts) == sum(file_rows)
    sources = [source for source in zip(files, footers, row_counts, strict=True) if source[2]]
    chunks = [
        _read_rows(table, file, footer, row_count, types, spellings, read_whole)
        for file, footer, row_count in sources
    ]
    row_files = [
        source[0]
        for source, chunk in zip(sources, chunks, strict=True)
        for _ in range(chunk.num_rows)
    ]
    file_bytes = sum(file.byte_count for file in files)
    return SampledRows(
        rows=add_partition_columns(pa.concat_tables(chunks), row_files, table),
        table_rows=round(sum(file_rows) / max(1, file_bytes) * table.byte_count),
        is_counted=len(files) == len(table.files),
        is_whole=read_whole and len(files) == len(table.files),
        opened_files=len(files),
        reader_options={},
        unusable=unusable,
        images=images,
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
    schemas: Sequence[tuple[FileColumns, list[str]]],
) -> tuple[dict[str, ColumnType], dict[str, tuple[str, ...]], dict[str, str], list[str]]:
    """Return the types of the columns that features can be made of, as `prepare` reads them.

    Args:
        schemas: columns, and the paths of files that have them.

    Returns:
        column -> type, column -> its names in the files, why features cannot be made of others, and
        the columns of bytes.
    """
    common = find_common_columns(schemas, wanted=())
    unusable = {name: why.removeprefix("is ") for name, why in common.unread.items()}
    types: dict[str, ColumnType] = {}
    binary_columns = []
    for column in common.columns:
        column_type = _get_column_type(column.kind)
        texts = {"string", "char", "binary", "null"}
        if column.kind == "string" and not texts.issuperset(map(str, column.kinds)):
            kinds = ", ".join(sorted(map(str, column.kinds)))
            unusable[column.name] = (
                f"{kinds} in different files; declare its type in `columns` to use it"
            )
        elif column_type is ColumnType.BINARY:
            binary_columns.append(column.name)
        elif column_type is ColumnType.OTHER:
            unusable[column.name] = "neither a value nor a list of values"
        else:
            types[column.name] = column_type
    spellings = {column.name: column.spellings for column in common.columns}
    return types, spellings, unusable, binary_columns


def _read_some_bytes(
    table: TableFiles,
    files: Sequence[TableFile],
    footers: Sequence[pq.FileMetaData],
    spellings: tuple[str, ...],
) -> list[bytes | None]:
    """Read some values of a column of bytes, from a few of the files that have it."""
    values: list[bytes | None] = []
    chosen = spread_positions(len(files), _IMAGE_FILES)
    for position in chosen:
        names = {*footers[position].schema.to_arrow_schema().names}
        stored = next((name for name in spellings if name in names), None)
        if stored is None or not footers[position].num_rows:
            continue
        file = files[position]
        with explain_table_errors(file.path), table.open(file) as stream:
            try:
                batches = pq.ParquetFile(stream).iter_batches(_IMAGES_PER_FILE, columns=[stored])
                values += next(batches).column(0).to_pylist()
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise LakeError(f"{file.path} is damaged ({error}); restore or remove it") from None
    return values


def _get_column_type(kind: FileType) -> ColumnType:
    """Return the column contract's type of what a file has."""
    if isinstance(kind, dict):
        lists = {
            ColumnType.INTEGER: ColumnType.INTEGERS,
            ColumnType.REAL: ColumnType.REALS,
            ColumnType.STRING: ColumnType.STRINGS,
        }
        element = kind.get("list")
        if element is None:
            return ColumnType.OTHER
        return lists.get(_get_column_type(element), ColumnType.OTHER)
    words = {
        "boolean": ColumnType.BOOLEAN, "float": ColumnType.REAL, "double": ColumnType.REAL,
        "uint64": ColumnType.REAL, "string": ColumnType.STRING, "char": ColumnType.STRING,
        "binary": ColumnType.BINARY, "date": ColumnType.TIMESTAMP,
        "timestamp": ColumnType.TIMESTAMP, "timestamp_ntz": ColumnType.TIMESTAMP,
    }  # fmt: skip
    if kind.startswith("decimal"):
        return ColumnType.REAL
    return words.get(kind, ColumnType.INTEGER)


def _read_rows(
    table: TableFiles,
    file: TableFile,
    footer: pq.FileMetaData,
    row_count: int,
    types: Mapping[str, ColumnType],
    spellings: Mapping[str, tuple[str, ...]],
    read_whole: bool,
) -> pa.Table:
    """Read `row_count` rows of a file; columns that it does not have are null."""
    with explain_table_errors(file.path), table.open(file) as stream:
        try:
            parquet_file = pq.ParquetFile(stream, page_checksum_verification=True)
            found = {*parquet_file.schema_arrow.names}
            stored = {
                name: spelling
                for name in types
                for spelling in spellings[name]
                if spelling in found
            }
            rows = (
                parquet_file.read([*stored.values()])
                if read_whole
                else _read_some_rows(parquet_file, footer, row_count, [*stored.values()])
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(f"{file.path} is damaged ({error}); restore or remove it") from None
    columns = {
        name: cast_array(rows[stored[name]], column_type)
        if name in stored
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
