"""List the files of the recipe's tables: the one list that every reader goes by.

Files are listed by the driver without Spark, so that a build with nothing to do ends in seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import DatasetError, LakeError
from headrace.extras import require_extras
from headrace.lake.file_columns import FileColumns
from headrace.lake.logged_files import LogKind, UnreadFeatureError
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import SourceFile
from headrace.lake.storage import explain_storage_errors, normalize_s3_scheme
from headrace.lake.table_log import (
    KIND_NAMES,
    describe_part,
    find_enclosing_table,
    find_log_kind,
    find_nested_table,
    read_table_log,
)
from headrace.lake.walk import (
    WalkedFile,
    expand_pattern,
    find_info,
    has_pattern,
    make_walked_file,
    walk_folder,
)
from headrace.recipe import Recipe
from headrace.recipe import sections as s
from headrace.source.footers import read_footers
from headrace.source.listing import Listing


def list_table(
    table: s.Table,
    before: Mapping[str, SourceFile],
    name: str | None = None,
    *,
    schemas: Mapping[str, FileColumns] | None = None,
    since: Snapshot | None = None,
    open_footers: bool = True,
) -> Listing | None:
    """List the files of a table: the one list that every reader of it goes by.

    A Delta table and the sink of a streaming query have the files that their log names.

    Args:
        table: the recipe's.
        before: files of an earlier listing; of unchanged ones no footer is opened.
        name: of the table in the recipe, for messages.
        schemas: columns of earlier listings by the digest that files name.
        since: snapshot of the earlier listing, where the table has a log.
        open_footers: whether the footers of files are opened, for rows and columns.

    Returns:
        None where only Spark knows the files: of a catalog, of a store or format that this machine
        cannot read.

    Raises:
        LakeError: there is nothing, something cannot be listed, it is a table of another kind, or a
            file has other values of a column than its folder.
    """
    needs_spark = table.format in ("delta", "iceberg") and bool(table.options)
    if not table.path or needs_spark:
        return None
    where = normalize_s3_scheme(table.path).rstrip("/") or "/"
    try:
        filesystem, base = _open_filesystem(where)
    except (ImportError, ValueError, OSError):  # one that this machine knows only through Spark
        return None
    try:
        with explain_storage_errors(where):
            listing, paths = list_files(table, filesystem, base, since)
        if table.file_format in ("parquet", "orc") and open_footers:
            return read_footers(table, filesystem, paths, listing, before, schemas or {})
        return listing
    except UnreadFeatureError as error:
        if table.format in ("delta", "iceberg"):
            return None  # Spark has the JAR
        raise name_table(error, name) from None
    except LakeError as error:
        raise name_table(error, name) from None
    except DatasetError as error:
        is_local = isinstance(filesystem, LocalFileSystem)
        if not is_local and _is_permission_error(error.__cause__):
            return None  # Spark has credentials of its own
        raise LakeError(str(error)) from error


def name_table(error: LakeError, name: str | None) -> LakeError:
    """Return an error with the name of the table; None where there is no recipe yet."""
    if name is None:
        return LakeError(str(error).replace("source.tables.….path (and `lake`)", "the path"))
    text = str(error).replace("source.tables.….", f"source.tables.{name}.")
    return LakeError(f"table {name!r}: {text}")


def list_lookups(
    recipe: Recipe,
    before: Mapping[str, Iterable[SourceFile]] | None = None,
    schemas: Mapping[str, FileColumns] | None = None,
    snapshots: Mapping[str, Snapshot] | None = None,
) -> dict[str, Listing]:
    """List the files of the recipe's joined tables, as far as they are known.

    Args:
        recipe: source is read.
        before: files of earlier listings, by table; of unchanged ones no footer is opened.
        schemas: columns of earlier listings by the digest that files name.
        snapshots: of earlier listings, by table.

    Raises:
        LakeError: see `list_table`; or a file is empty.
    """
    lookups = {}
    for name in dict.fromkeys(join.table for join in recipe.source.joins):
        files = {file.path: file for file in (before or {}).get(name, ())}
        since = (snapshots or {}).get(name)
        listing = list_table(recipe.source.tables[name], files, name, schemas=schemas, since=since)
        refuse_empty_files(recipe.source.tables[name], listing)
        if listing is not None:
            lookups[name] = listing
    return lookups


def refuse_empty_files(table: s.Table, listing: Listing | None) -> None:
    """Refuse empty files where a file has at least a footer: Spark 4.1 skips them silently.

    Args:
        table: whose files they are; where its options say so, Spark may skip what is no file of it.
        listing: those that are to be read.

    Raises:
        LakeError: a file is empty.
    """
    name = {"parquet": "Parquet", "orc": "ORC"}.get(table.file_format)
    skipped = str(table.options.get("ignoreCorruptFiles", "")).lower() == "true"
    if listing is None or name is None or skipped:
        return
    for path, file in listing.files.items():
        if file.bytes == 0:
            (url,) = listing.list_urls([path])
            raise LakeError(
                f"{url} is not a readable {name} file: it is empty; restore or remove it"
            )


def _is_permission_error(error: BaseException | None) -> bool:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return isinstance(error, PermissionError) or any("Credential" in kind for kind in kinds)


def _open_filesystem(where: str) -> tuple[Any, str]:
    """Return the file system of a table's path, and the path on it; no character has a meaning."""
    if where.startswith("file:"):
        return LocalFileSystem(), "/" + where.removeprefix("file:").lstrip("/")
    if "://" not in where:
        return LocalFileSystem(), str(Path(where).absolute())
    if where.startswith("s3://"):  # Spark alone would not tell which files are new
        require_extras(["s3"])
    filesystem, base = fsspec.url_to_fs(where, use_listings_cache=False)
    return filesystem, base.rstrip("/")


def list_files(
    table: s.Table, filesystem: Any, base: str, since: Snapshot | None
) -> tuple[Listing, Mapping[str, str]]:
    """List the files of a table on a file system.

    Args:
        table: the recipe's.
        filesystem: fsspec's.
        base: the table's path on it.
        since: see `list_table`.

    Returns:
        the listing, and the paths of the files on their system.

    Raises:
        as `list_table`; OSError: something cannot be listed.
    """
    assert table.path
    root = table.path.rstrip("/") or "/"
    info = find_info(filesystem, base)
    if info is None and has_pattern(base):
        return _list_pattern(table, filesystem, base)
    if info is None:
        raise LakeError(f"there is nothing at {root}; check source.tables.….path (and `lake`)")
    _refuse_part_of_table(root, find_enclosing_table(filesystem, base))
    if info["type"] != "directory":
        _refuse_other_table(table, root, None)
        return _build_listing(root, {"": make_walked_file(base, info)})
    kind = find_log_kind(filesystem, base)
    if kind == "hudi":
        raise LakeError(
            f"{root} is {KIND_NAMES[kind]}: not all of its files hold current rows. Write it once "
            "as Parquet, or name it by source.tables.….table in a catalog"
        )
    _refuse_other_table(table, root, kind)
    if kind is not None:
        return _list_logged_table(table, filesystem, root, base, kind, since)
    walk = walk_folder(filesystem, base)
    _refuse_part_of_table(root, find_nested_table(walk))
    files = {file.path[len(base) :].removeprefix("/"): file for file in walk.files}
    listing, paths = _build_listing(root, files, tuple(walk.skipped))
    _refuse_mixed_folders(table, listing)
    return listing, paths


def _list_pattern(
    table: s.Table, filesystem: Any, pattern: str
) -> tuple[Listing, Mapping[str, str]]:
    """List what matches a pattern. No folder is the root of it: a file's whole path is its name."""
    files: dict[str, WalkedFile] = {}
    skipped: list[str] = []
    for path in expand_pattern(filesystem, pattern):
        info = find_info(filesystem, path)
        _refuse_part_of_table(path, find_enclosing_table(filesystem, f"{path}/x"))
        if info is None or info["type"] != "directory":
            found = [make_walked_file(path, info)] if info else []
        else:
            walk = walk_folder(filesystem, path)
            _refuse_part_of_table(path, find_nested_table(walk))
            found, skipped = walk.files, [*skipped, *walk.skipped]
        files |= {file.path.lstrip("/"): file for file in found}
    if not files:
        raise LakeError(
            f"there is nothing at {table.path}; check source.tables.….path (and `lake`)"
        )
    listing, paths = _build_listing("", files, tuple(skipped))
    scheme, separator, rest = str(table.path).partition("://")
    if not separator or scheme == "file":
        return listing, paths
    slashes = "://" if rest.startswith("/") else ":/"  # and one more begins each path
    return replace(listing, scheme=f"{scheme}{slashes}"), paths


def _list_logged_table(
    table: s.Table,
    filesystem: Any,
    root: str,
    base: str,
    kind: LogKind,
    since: Snapshot | None,
) -> tuple[Listing, Mapping[str, str]]:
    """List the files that a table's log names."""
    if kind in ("delta", "iceberg") and table.format not in ("parquet", kind):
        raise LakeError(
            f"{root} is {KIND_NAMES[kind]}, and source.tables.….format is {table.format}: leave it "
            f"out, or say {kind}"
        )
    log = read_table_log(
        filesystem,
        normalize_s3_scheme(root),
        base,
        kind,
        metadata=table.metadata,
        as_of=table.version_as_of if table.version_as_of is not None else table.timestamp_as_of,
        since=since,
    )
    if not log.files:
        raise LakeError(f"{root} is {KIND_NAMES[kind]} without a file: it has no rows")
    files = {file.name: file.file for file in log.files}
    listing, paths = _build_listing(root, files)
    return replace(listing, log=log), paths


def _build_listing(
    root: str, found: Mapping[str, WalkedFile], skipped: tuple[str, ...] = ()
) -> tuple[Listing, Mapping[str, str]]:
    """Build the listing of files by name; and return the paths of the files on their system."""
    listed = {
        name: SourceFile(path=name, bytes=file.bytes, changed=file.changed)
        for name, file in found.items()
    }
    if not listed:
        raise LakeError(
            f"there is no file at {root}, so the table has no columns; check "
            "source.tables.….path (and `lake`)"
        )
    return Listing(root, listed, skipped), {name: file.path for name, file in found.items()}


def _refuse_part_of_table(where: str, found: "tuple[LogKind, str] | None") -> None:
    if found is not None:
        choose = "and choose partitions of it with source.tables.….partitions"
        raise LakeError(f"{describe_part(where, found)}, {choose}")


def _refuse_other_table(table: s.Table, root: str, kind: LogKind | None) -> None:
    """Refuse a folder that is not the kind of table that the recipe says it is."""
    said = {
        "metadata": table.metadata is not None and kind != "iceberg",
        "version_as_of": table.version_as_of is not None and kind not in ("delta", "iceberg"),
        "timestamp_as_of": table.timestamp_as_of is not None and kind not in ("delta", "iceberg"),
        f"format: {table.format}": table.format in ("delta", "iceberg") and kind != table.format,
    }
    for key in (key for key, is_wrong in said.items() if is_wrong):
        what = KIND_NAMES[kind] if kind else "no table with a log: it has no _delta_log or metadata"
        raise LakeError(
            f"{root} is {what}, and source.tables.….{key} is for another kind; check "
            "source.tables.….path, or leave that key out"
        )


def _refuse_mixed_folders(table: s.Table, listing: Listing) -> None:
    """Refuse files whose folders name different partition columns: a row's columns were unclear."""
    if str(table.options.get("recursiveFileLookup", "")).lower() == "true":
        return
    examples: dict[tuple[str, ...], str] = {}
    for path in listing.files:
        examples.setdefault(tuple(listing.get_values(path)), path)
    if len(examples) > 1:
        (columns, path), (others, other) = sorted(examples.items())[:2]
        first, second = (", ".join(names) or "none" for names in (columns, others))
        raise LakeError(
            f"{listing.root}: its files lie in folders of different partition columns: {first} "
            f"({path}), {second} ({other}). Move one of them, or name what is meant by a pattern"
        )
