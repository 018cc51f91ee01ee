"""Some rows of Parquet files: from row groups all over some of the files."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq

from headrace.errors import LakeError
from headrace.propose.arrow_types import PLAIN, joined_type, plain, type_of
from headrace.propose.find import Found, TableFile, reading
from headrace.propose.partitions import with_partitions
from headrace.propose.pieces import shares, spread
from headrace.propose.reading import MOST_FILES, MOST_VALUES, Read
from headrace.redaction import redact_text
from headrace.schema import ColumnType

_AT_ONCE = 8
# Row groups of a file that rows are taken from, and how many times as many rows are looked at:
# neighbours are alike.
_GROUPS, _WIDER = 4, 10
_NANOSECONDS = {"spark.sql.legacy.parquet.nanosAsLong": True}


def read_parquet(found: Found, rows: int) -> Read:
    """At most so many rows of a table.

    Raises:
        LakeError: there is no row, a file is damaged, or columns of one name have different types,
            or one that Spark does not read.
    """
    chosen = [found.files[i] for i in spread(len(found.files), MOST_FILES)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        footers = list(pool.map(lambda file: _footer(found, file), chosen))
    schemas = [footer.schema.to_arrow_schema() for footer in footers]
    types, unusable = _types(schemas, chosen)
    counts = [footer.num_rows for footer in footers]
    wanted = shares(counts, max(1, min(rows, MOST_VALUES // max(1, len(types)))))
    if not types or not sum(counts):
        what = "has no row" if types else "has no column that a feature can be made of"
        raise LakeError(f"{redact_text(found.path)} is empty: it {what}")
    whole = sum(wanted) == sum(counts)
    pairs = [pair for pair in zip(chosen, footers, wanted, strict=True) if pair[2]]
    parts = [_rows(found, file, footer, n, types, whole) for file, footer, n in pairs]
    files = [pair[0] for pair, part in zip(pairs, parts, strict=True) for _ in range(part.num_rows)]
    nanoseconds = any(why.startswith(_NANOS) for why in unusable.values())
    differ = any(schema.names != schemas[0].names for schema in schemas)
    return Read(
        rows=with_partitions(pa.concat_tables(parts), files, found),
        table_rows=round(sum(counts) / max(1, sum(f.bytes for f in chosen)) * found.bytes),
        counted=len(chosen) == len(found.files),
        whole=whole and len(chosen) == len(found.files),
        files=len(chosen),
        options={"mergeSchema": True} if differ else {},
        unusable=unusable,
        spark=_NANOSECONDS if nanoseconds else {},
    )


_NANOS = "a time in nanoseconds"


def _footer(found: Found, file: TableFile) -> pq.FileMetaData:
    with reading(file.path), found.open(file) as stream:
        try:
            return pq.read_metadata(stream)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(
                f"{file.path} is not a readable Parquet file ({error}); restore or remove it, or "
                "say the format with --format"
            ) from None


def _types(
    schemas: Sequence[pa.Schema], files: Sequence[TableFile]
) -> tuple[dict[str, ColumnType], dict[str, str]]:
    """Types of the columns that features can be made of; of the others why not."""
    found: dict[str, dict[ColumnType, str]] = defaultdict(dict)
    unusable: dict[str, str] = {}
    problems = []
    for schema, file in zip(schemas, files, strict=True):
        if len(set(schema.names)) < len(schema.names):
            problems.append(f"{file.path} has two columns of one name")
        for column in schema:
            if pa.types.is_time(column.type):
                problems.append(
                    f"{file.path}: column {column.name!r} is a time of day ({column.type}), which "
                    "Spark does not read; write it as a text, or as minutes"
                )
            if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
                unusable[column.name] = (
                    f"{_NANOS}, which Spark reads as whole numbers; write microseconds to use it "
                    '(pandas: to_parquet(..., coerce_timestamps="us"))'
                )
            if not pa.types.is_null(column.type):  # the type is that of files that have values
                found[column.name].setdefault(type_of(column.type), file.path)
            else:
                found[column.name].setdefault(ColumnType.INTEGER, "")
    types: dict[str, ColumnType] = {}
    for name, kinds in found.items():
        told = {kind for kind, file in kinds.items() if file} or set(kinds)
        kind = joined_type(told)
        if kind is None:
            said = ", ".join(f"{k.value} in {file}" for k, file in kinds.items() if file)
            problems.append(f"column {name!r} is {said}; a table's files have one type for it")
        elif kind is ColumnType.BINARY:
            unusable[name] = "bytes; if they are images, see conf/digits.yaml"
        elif kind is ColumnType.OTHER:
            unusable[name] = "neither a value nor a list of values"
        elif name not in unusable:
            types[name] = kind
    if problems:
        raise LakeError("; ".join(dict.fromkeys(problems)))
    return types, unusable


def _rows(
    found: Found,
    file: TableFile,
    footer: pq.FileMetaData,
    rows: int,
    types: Mapping[str, ColumnType],
    whole: bool,
) -> pa.Table:
    """So many rows of a file; of columns that it does not have nulls."""
    with reading(file.path), found.open(file) as stream:
        try:
            opened = pq.ParquetFile(stream)
            own = [name for name in types if name in opened.schema_arrow.names]
            taken = opened.read(own) if whole else _some(opened, footer, rows, own)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise LakeError(f"{file.path} is damaged ({error}); restore or remove it") from None
    columns = {
        name: plain(taken[name], kind) if name in own else pa.nulls(taken.num_rows, PLAIN[kind])
        for name, kind in types.items()
    }
    return pa.table(columns)


def _some(opened: pq.ParquetFile, footer: pq.FileMetaData, rows: int, own: list[str]) -> pa.Table:
    groups = spread(footer.num_row_groups, _GROUPS)
    held = [footer.row_group(group).num_rows for group in groups]
    parts = []
    for group, n in zip(groups, shares(held, min(rows, sum(held))), strict=True):
        if n:
            batch = next(opened.iter_batches(n * _WIDER, row_groups=[group], columns=own))
            parts.append(batch.take(pa.array(spread(batch.num_rows, n))))
    return pa.Table.from_batches(parts)
