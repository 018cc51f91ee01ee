"""List the files of the recipe's tables, and group them into source partitions.

Files are listed by the driver without Spark, so that a build with nothing to do ends in seconds.
Row counts come from Parquet footers, and only of files that were not there before.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from headrace.errors import DatasetError, LakeError
from headrace.lake.source_partition import SourceFile
from headrace.lake.storage import explain_storage_errors, normalize_s3_scheme
from headrace.recipe import Recipe
from headrace.recipe import sections as s

FILE_FORMATS = ("parquet", "csv", "json", "orc")
"""Formats whose tables are their files, and nothing but them."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""Value in the name of a folder whose rows have null in the partition column."""
_SEGMENT = re.compile(r"^[^=/]+=[^/]*$")
_PARALLEL_FOOTERS = 16


@dataclass(frozen=True)
class Listing:
    """The files of one table.

    Attributes:
        root: the table's folder as Spark takes it, without a trailing slash.
        files: those of them that Spark reads, by path relative to `root`.
    """

    root: str
    files: Mapping[str, SourceFile]

    def list_urls(self, paths: Iterable[str]) -> list[str]:
        """Return the URLs of listed paths as Spark takes them, in order."""
        return [f"{self.root}/{path}" if path else self.root for path in sorted(paths)]

    def without_folders(self, folders: frozenset[str]) -> "Listing":
        """Return the listing without the files of some folders."""
        files = {path: file for path, file in self.files.items() if get_folder(path) not in folders}
        return replace(self, files=files)


def get_folder(path: str) -> str:
    """Return the folder of a listed file, relative to its table's root."""
    return path.rpartition("/")[0]


def parse_folder_values(folders: str) -> dict[str, str | None]:
    """Return the columns and values of folders that are named `column=value`, in their order."""
    pairs = (part.partition("=") for part in folders.split("/") if _SEGMENT.match(part))
    return {
        unquote(column): None if value == NULL_PARTITION else unquote(value)
        for column, _, value in pairs
    }


def has_pattern(path: str) -> bool:
    """Return whether a path is a pattern of several."""
    return any(character in path for character in "*?[{")


def list_table(table: s.Table, before: Mapping[str, SourceFile]) -> Listing | None:
    """List the files of a table.

    Args:
        table: the recipe's.
        before: files of an earlier listing; unchanged ones keep their row counts.

    Returns:
        None where only Spark knows the files (a catalog), or there are none.

    Raises:
        LakeError: the store cannot be reached.
    """
    if not table.path:
        return None
    where = normalize_s3_scheme(table.path).rstrip("/")
    try:
        files, base = fsspec.url_to_fs(where, use_listings_cache=False)
    except (ImportError, ValueError, OSError):  # one that this machine knows only through Spark
        return None
    try:
        with explain_storage_errors(where):
            return _list_files(table, files, base.rstrip("/"), before)
    except DatasetError as error:
        if _is_permission_error(error.__cause__):  # Spark has credentials of its own
            return None
        raise LakeError(str(error)) from error


def refuse_empty_files(table: s.Table, listing: Listing | None) -> None:
    """Refuse empty files where a file has at least a footer: Spark 4.1 skips them silently.

    Args:
        table: whose files they are; where its options say so, Spark may skip what is no file of it.
        listing: those that are to be read.

    Raises:
        LakeError: a file is empty.
    """
    name = {"parquet": "Parquet", "orc": "ORC"}.get(table.format)
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


def _list_files(
    table: s.Table, files: Any, base: str, before: Mapping[str, SourceFile]
) -> Listing | None:
    assert table.path
    listed: dict[str, SourceFile] = {}
    if has_pattern(base):
        # No folder is the root of what matches a pattern: a file's whole path is its name.
        matches: dict[str, Any] = {}
        for path, info in files.glob(base, detail=True).items():
            if info["type"] == "directory":
                matches |= _list_folder(files, path)
            else:
                matches[path] = info
        names = {path: str(path).lstrip("/") for path in matches}
        root = ""
    elif files.isfile(base):
        matches, names, root = {base: files.info(base)}, {base: ""}, table.path.rstrip("/")
    elif files.isdir(base):
        matches = _list_folder(files, base)
        names = {path: str(path)[len(base) + 1 :] for path in matches}
        root = table.path.rstrip("/")
    else:
        return None
    for path, info in matches.items():
        name = names[path]
        if (path != base and not name) or name.endswith("/"):
            continue  # an empty object that stands for a folder
        if not _is_hidden(name) or table.format not in FILE_FORMATS:
            listed[name] = SourceFile(
                path=name, bytes=int(info["size"]), changed=_get_change_token(info)
            )
    if not listed:
        return None
    if table.format == "parquet":
        listed = _count_rows(files, {names[p]: str(p) for p in matches}, listed, before)
    return Listing(root, listed)


def _list_folder(files: Any, base: str) -> dict[str, Any]:
    """List every file below a folder, with fsspec's info; links are followed, as by Spark."""
    if not isinstance(files, LocalFileSystem):
        return dict(files.find(base, detail=True))
    infos = {}
    for folder, _, names in os.walk(base, followlinks=True):
        for name in names:
            path = f"{folder}/{name}"
            infos[path] = files.info(path)
    return infos


def name_partition(path: str, by: str | list[str]) -> str:
    """Return the name of the source partition of a file.

    Args:
        path: of the file, with the folders that are named `column=value`.
        by: "partition" for all such folders, a list of columns for some of them, "file" for the
            file itself, "table" for the whole table.
    """
    if by == "table":
        return ""
    if by == "file":
        return path
    folders = [part for part in path.split("/")[:-1] if _SEGMENT.match(part)]
    if by != "partition":
        folders = [part for part in folders if part.partition("=")[0] in by]
    return "/".join(folders)


def choose_partitioning(recipe: Recipe) -> str | list[str]:
    """Return `increments.by`, or "table" where rows of one partition depend on those of others.

    They do in windows, and by rules and joins that want a key to be unique.
    """
    table = recipe.source.tables[recipe.source.main]
    across = (
        recipe.source.windows is not None
        or any(isinstance(rule, s.Unique) for rule in recipe.clean.rules)
        or any(join.cardinality == "one_to_one" for join in recipe.source.joins)
    )
    if across or not table.path or table.format not in FILE_FORMATS:
        return "table"
    if has_pattern(table.path):
        return "table"
    return recipe.increments.by


def group_by_partition(
    files: Mapping[str, SourceFile], by: str | list[str]
) -> dict[str, tuple[SourceFile, ...]]:
    """Group files by source partition; both are in the order of their names."""
    groups: dict[str, list[SourceFile]] = defaultdict(list)
    for path in sorted(files):
        groups[name_partition(path, by)].append(files[path])
    return {name: tuple(groups[name]) for name in sorted(groups)}


def has_same_files(files: Iterable[SourceFile], others: Iterable[SourceFile]) -> bool:
    """Return whether two listings have the same files, unchanged."""
    return sorted(f.identity for f in files) == sorted(f.identity for f in others)


def _is_hidden(path: str) -> bool:
    """Return whether Spark overlooks the file."""
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part)
        for part in path.split("/")
    )


def _get_change_token(info: Mapping[str, Any]) -> str:
    """Return what differs after a change of the file: its time in ns, or an object's ETag."""
    if "ino" in info:  # a local file, of which the time is known in ns
        from pathlib import Path

        return str(Path(info["name"]).stat().st_mtime_ns)
    for key in ("ETag", "etag", "md5", "content_settings", "LastModified", "mtime", "updated"):
        if value := info.get(key):
            return value.isoformat() if isinstance(value, datetime) else str(value)
    return ""


def _count_rows(
    files: Any,
    urls: Mapping[str, str],
    listed: Mapping[str, SourceFile],
    before: Mapping[str, SourceFile],
) -> dict[str, SourceFile]:
    """Return Parquet files with the rows that their footers say, read where they changed."""

    def count_file(file: SourceFile) -> SourceFile:
        same_path = before.get(file.path)
        if same_path is not None and same_path.identity == file.identity:
            return same_path
        try:
            with files.open(urls[file.path], "rb") as stream:
                rows = pq.read_metadata(stream).num_rows
        except (OSError, pa.ArrowInvalid):  # Spark says what is wrong with it
            return file
        return file.model_copy(update={"rows": rows})

    with ThreadPoolExecutor(_PARALLEL_FOOTERS) as pool:
        return {file.path: file for file in pool.map(count_file, listed.values())}
