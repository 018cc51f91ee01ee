"""Open a table of plain Parquet files without Spark: the columns, types and files that Spark would
find, or why that is left to Spark.

What is taken is what both are known to read alike: local files whose columns have one type each in
all of them, among whole and real numbers, texts, truth values and times.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.errors import LakeError
from headrace.lake.file_columns import FileType, drop_columns
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.schema import Column, find_violations
from headrace.source.common_columns import CommonColumns, find_common_columns
from headrace.source.contract import check_contracts, list_needed_columns
from headrace.source.first_look import is_local
from headrace.source.internal_columns import FILE, MALFORMED, POSITION, name_before_cast
from headrace.source.listing import Listing
from headrace.source.load_errors import name_table
from headrace.source.local.casts import CAST_TYPES
from headrace.source.local.csv_files import MOST_BYTES, CsvSettings, read_csv_file
from headrace.source.local.needs_spark import NeedsSparkError
from headrace.source.local_files import LocalFile
from headrace.source.needed_columns import NeededColumns
from headrace.source.partition_index import PartitionIndex, ReadPlan
from headrace.source.raw_schema import RawSchema
from headrace.source.read import ReadRows, describe_source, refuse_empty
from headrace.source.tables import TableColumns
from headrace.source.typed_files import (
    build_schema,
    choose_type,
    group_files,
    note_folder_columns,
    to_spark_type,
)
from headrace.source.types import can_become, list_castable_types, needs_check

_TYPES = ("int64", "double", "string", "boolean", "timestamp", "timestamp_ntz", "date")
_INTEGER = re.compile(r"-?[1-9][0-9]{0,8}|0")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_WORD = re.compile(r"(?!(?i:nan|inf|infinity)$)[A-Za-z_]+")


@dataclass(frozen=True)
class LocalTable:
    """The main table, whose files are read here.

    Attributes:
        columns: what is known of its columns.
        files: position of a file in the order of paths -> the file.
        rows: of each file, by the same positions.
        folder_values: the same -> column of the folders' names -> its value in the file's rows.
        raw: what a build records of the rows.
        csv: how lines are read, where files are CSV and not Parquet.
    """

    columns: TableColumns
    files: Mapping[int, LocalFile]
    rows: Mapping[int, int]
    folder_values: Mapping[int, Mapping[str, pa.Scalar]]
    raw: ReadRows
    csv: CsvSettings | None = None


def open_local_table(
    recipe: Recipe, plan: ReadPlan, contract: Sequence[Column] | None = None
) -> LocalTable:
    """Open the main table of a recipe.

    Args:
        recipe: its source, and all that names columns.
        plan: what is read of the table.
        contract: columns that the rows must have; all that the recipe names by default.

    Raises:
        NeedsSparkError: only Spark reads it right, or a recipe wants what only Spark does.
        LakeError: it breaks the column contract, or is empty.
    """
    name = recipe.source.main
    settings, listing = recipe.source.tables[name], plan.listing
    refuse_other_sources(recipe)
    if listing is None or not listing.root or listing.log is not None or listing.scheme:
        raise NeedsSparkError("the main table's files are named by a log, a pattern or a catalog")
    needed = list_needed_columns(recipe, contract)[name]
    folders = _find_folder_types(listing, needed, settings)
    csv: CsvSettings | None = None
    if settings.format == "csv":
        csv = CsvSettings.from_options(settings.options)
        common, types = CommonColumns(()), _find_csv_columns(listing, csv, folders)
    else:
        common, types = _find_types(name, settings, listing, needed, folders, plan)
    columns = _describe_columns(name, settings, needed, common, types, folders)
    check_contracts(recipe, {name: columns}, contract)
    return _list_files(recipe, plan, listing, columns, folders, csv)


def refuse_other_sources(recipe: Recipe) -> None:
    """Refuse a recipe that reads more than one table of plain files.

    Raises:
        NeedsSparkError: it does.
    """
    table = recipe.source.tables[recipe.source.main]
    if recipe.source.joins or recipe.source.windows:
        raise NeedsSparkError("tables are joined, or windows are made")
    if table.format not in ("parquet", "csv") or table.path is None or not is_local(table.path):
        raise NeedsSparkError("the main table is no folder of local Parquet or CSV files")
    if table.read_with == "spark" or table.where or table.partitions:
        raise NeedsSparkError("source.tables has a condition, or read_with: spark")
    if table.options and table.format != "csv":
        raise NeedsSparkError("source.tables has options")


def _find_folder_types(
    listing: Listing, needed: NeededColumns, table: s.Table
) -> dict[str, FileType]:
    """Find the columns of folders' names and the types that Spark takes their texts for."""
    texts: dict[str, set[str]] = {}
    names: list[str] | None = None
    for path in listing.files:
        values = listing.get_values(path)
        if names is not None and list(values) != names:
            raise NeedsSparkError("folders of the main table have different columns")
        names = list(values)
        for column, text in values.items():
            if text is None:
                raise NeedsSparkError(f"the folder column {column} is null")
            texts.setdefault(column, set()).add(text)
    for column in texts:
        if column in needed.all_names or column in table.columns:
            raise NeedsSparkError(f"the recipe uses the folder column {column}")
    return {column: _infer_type(column, found) for column, found in texts.items()}


def _infer_type(column: str, texts: set[str]) -> FileType:
    if all(_INTEGER.fullmatch(text) for text in texts):
        return "int32"
    if all(_DATE.fullmatch(text) and _is_date(text) for text in texts):
        return "date"
    if all(_WORD.fullmatch(text) for text in texts):
        return "string"
    raise NeedsSparkError(f"the folder column {column} has values of which Spark knows the type")


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).year > 1582
    except ValueError:
        return False


def _find_types(
    name: str,
    table: s.Table,
    listing: Listing,
    needed: NeededColumns,
    folders: Mapping[str, FileType],
    plan: ReadPlan,
) -> tuple[CommonColumns, dict[str, FileType]]:
    """Find the columns of the files and their types, as `load_typed_files` does."""
    schemas, unknown = listing.group_by_columns(listing.files)
    if unknown:
        raise NeedsSparkError("a file's footer cannot be read")
    stored = [(drop_columns(columns, [*folders]), found) for columns, found in schemas]
    wanted = needed.all_names - {*folders}
    with name_table(name, table):
        common = find_common_columns(stored, wanted, table.columns, spelled=[*needed.types])
    common = note_folder_columns(common, schemas, [*folders])
    accepted = needed.types
    types = {c.name: choose_type(c, accepted.get(c.name, frozenset())) for c in common.columns}
    paths = plan.list_paths()
    read = {*(listing.files if paths is None else paths)}
    chosen = [(columns, [p for p in found if p in read]) for columns, found in stored]
    chosen = [(columns, found) for columns, found in chosen if found]
    groups = group_files(chosen, common.columns, types, widens=True)
    if any(group.stored for group in groups):
        raise NeedsSparkError(
            "columns of the main table have types that only Spark reads, or several types or "
            "spellings in files"
        )
    used = {c.name for c in common.columns if c.name in wanted}
    if other := sorted(c for c in used if types[c] not in _TYPES):
        raise NeedsSparkError(f"column {other[0]} is {types[other[0]]}")
    kinds = {c.name: {*c.kinds} for c in common.columns}
    if odd := sorted(c for c in used if kinds[c] & {"char", "binary", "null", "timestamp_ns"}):
        raise NeedsSparkError(f"column {odd[0]} is stored as what only Spark reads right")
    return common, types


def _find_csv_columns(
    listing: Listing, settings: CsvSettings, folders: Mapping[str, FileType]
) -> dict[str, FileType]:
    """Find the columns of CSV files, which are texts, and one for lines that are none."""
    if sum(file.bytes for file in listing.files.values()) > MOST_BYTES:
        raise NeedsSparkError(f"files of CSV have more than {MOST_BYTES:,} bytes")
    found: list[str] | None = None
    for path in listing.files:
        names = read_csv_file(_locate(listing, path), settings).column_names
        if found is not None and names != found:
            raise NeedsSparkError("files of CSV have different header lines")
        found = names
    if found is None or {*found} & {*folders}:
        raise NeedsSparkError("files of CSV have columns that their folders have as well")
    return {**dict.fromkeys(found, "string"), MALFORMED: "string"}


def _locate(listing: Listing, path: str) -> str:
    (url,) = listing.list_urls([path])
    return url if not url.startswith("file:") else "/" + url.removeprefix("file:").lstrip("/")


def _describe_columns(
    name: str,
    table: s.Table,
    needed: NeededColumns,
    common: CommonColumns,
    types: Mapping[str, FileType],
    folders: Mapping[str, FileType],
) -> TableColumns:
    """Describe the columns as `open_table` does."""
    fields = {field.name: field.dataType for field in build_schema(types).fields}
    fields |= {column: to_spark_type(kind) for column, kind in folders.items()}
    stored = RawSchema.from_spark_types(fields)
    raw = stored.raw_types
    contract = [
        Column(c, list_castable_types(t), f"source.tables.{name}.columns")
        for c, t in table.columns.items()
    ]
    problems = [f"table {name!r}: {v}" for v in find_violations(contract, raw)]
    castable = {c: t for c, t in table.columns.items() if c in raw and can_become(raw[c], t)}
    for column, declared in castable.items():
        if declared != raw[column] and (raw[column], declared) not in _CASTS:
            raise NeedsSparkError(f"column {column} is cast from {raw[column]} to {declared}")
    checked = {c: t for c, t in castable.items() if needs_check(raw[c], t)}
    for column, accepted in needed.types.items():
        if column in raw and raw[column] not in accepted and column not in table.columns:
            raise NeedsSparkError(f"column {column} is of a type that its features do not take")
    columns: dict[str, Any] = {}
    for column in stored.names:
        kind = stored.spark_types[column]
        declared = castable.get(column, "")
        is_cast = (raw.get(column, ""), declared) in _CASTS
        columns[column] = to_spark_type(CAST_TYPES[declared]) if is_cast else kind
        if column in checked:
            columns[name_before_cast(column)] = kind
    columns[FILE] = to_spark_type("int64")
    if table.format == "parquet":
        columns[POSITION] = to_spark_type("int64")
    return TableColumns(
        name=name,
        where=str(table.path),
        stored=stored,
        schema=RawSchema.from_spark_types(columns),
        casts=checked,
        partition_columns=[*folders],
        extra=sorted({*raw} - {*table.columns}) if table.columns else [],
        problems=problems,
        common=common,
    )


_CASTS = {("integer", "real"), *(("string", kind) for kind in CAST_TYPES)}
"""Declared types that are more than the stored ones: stored -> declared."""


def _list_files(
    recipe: Recipe,
    plan: ReadPlan,
    listing: Listing,
    columns: TableColumns,
    folders: Mapping[str, FileType],
    csv: CsvSettings | None,
) -> LocalTable:
    names = tuple(sorted(plan.processed))
    files: dict[int, LocalFile] = {}
    rows: dict[int, int] = {}
    values: dict[int, Mapping[str, pa.Scalar]] = {}
    positions = []
    read = dict.fromkeys(names, 0)
    for position, name in enumerate(names):
        for file in plan.partitions[name]:
            number = len(files)
            try:
                files[number] = LocalFile.from_path(_locate(listing, file.path))
                known = read_csv_file(files[number].path, csv).num_rows if csv else file.rows
            except OSError as error:
                raise LakeError(
                    f"table {columns.name!r}: {error.filename} cannot be read: {error}"
                ) from None
            if known is None:
                raise NeedsSparkError("a file's footer does not say its rows")
            rows[number] = known
            texts = listing.get_values(file.path)
            values[number] = {c: _read_text(str(texts[c]), kind) for c, kind in folders.items()}
            positions.append(position)
            read[name] += known
    by_table = plan.partitioning == "table"
    index = PartitionIndex(
        names,
        np.arange(0 if by_table else len(files), dtype=np.int64),
        np.array([] if by_table else positions, np.int32),
    )
    total = sum(read.values())
    if not plan.retained:
        refuse_empty(columns, total, recipe.source.tables[columns.name])
    raw = ReadRows(
        schema=columns.schema,
        partition_index=index,
        read=read,
        excluded=dict.fromkeys(read, 0),
        sources={columns.name: describe_source(columns, total, plan.listing)},
        erased=dict.fromkeys(read, 0),
    )
    return LocalTable(columns, files, rows, values, raw, csv)


def _read_text(text: str, kind: FileType) -> pa.Scalar:
    if kind == "int32":
        return pa.scalar(int(text), pa.int32())
    return pa.scalar(date.fromisoformat(text), pa.date32()) if kind == "date" else pa.scalar(text)
