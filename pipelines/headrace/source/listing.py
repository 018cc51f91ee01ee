"""Which files the recipe's tables have, and which source partitions they make up.

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
from headrace.lake.storage import reaching
from headrace.recipe import Recipe
from headrace.recipe import sections as s

# Formats whose tables are their files, and nothing but them.
FILE_FORMATS = ("parquet", "csv", "json", "orc")
# Name of the folder whose rows have null in the partition column.
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
# Hadoop's names of S3.
_S3 = re.compile(r"^s3[an]://")
_SEGMENT = re.compile(r"^[^=/]+=[^/]*$")
_AT_ONCE = 16


@dataclass(frozen=True)
class Listing:
    """The files of one table.

    Attributes:
        root: the table's folder as Spark takes it, without a trailing slash.
        files: those of them that Spark reads, by path relative to `root`.
    """

    root: str
    files: Mapping[str, SourceFile]

    def urls(self, paths: Iterable[str]) -> list[str]:
        """As Spark takes them."""
        return [f"{self.root}/{path}" if path else self.root for path in sorted(paths)]

    def without(self, folders: frozenset[str]) -> "Listing":
        """The same without the files of some folders."""
        files = {path: file for path, file in self.files.items() if folder_of(path) not in folders}
        return replace(self, files=files)


def folder_of(path: str) -> str:
    """The folder of a listed file, relative to its table's root."""
    return path.rpartition("/")[0]


def folder_values(folders: str) -> dict[str, str | None]:
    """Columns and values that folders named `column=value` say, in their order."""
    pairs = (part.partition("=") for part in folders.split("/") if _SEGMENT.match(part))
    return {
        unquote(column): None if value == NULL_PARTITION else unquote(value)
        for column, _, value in pairs
    }


def list_table(table: s.Table, known: Mapping[str, SourceFile]) -> Listing | None:
    """The files of a table; None where only Spark knows them (a catalog) or there are none.

    Args:
        table: the recipe's.
        known: files of an earlier listing; unchanged ones keep their row counts.

    Raises:
        LakeError: the store cannot be reached.
    """
    if not table.path:
        return None
    where = _S3.sub("s3://", table.path).rstrip("/")
    try:
        files, base = fsspec.url_to_fs(where, use_listings_cache=False)
    except (ImportError, ValueError, OSError):  # one that this machine knows only through Spark
        return None
    try:
        with reaching(where):
            return _listed(table, files, base.rstrip("/"), known)
    except DatasetError as error:
        if _not_allowed(error.__cause__):  # Spark has credentials of its own
            return None
        raise LakeError(str(error)) from error


def refuse_empty_files(table: s.Table, listing: Listing | None) -> None:
    """Refuse files without a byte where a file has at least a footer: Spark 4.1 skips them unsaid.

    Args:
        table: whose files they are; where its options say so, Spark may skip what is no file of it.
        listing: those that are to be read.

    Raises:
        LakeError: there is one.
    """
    name = {"parquet": "Parquet", "orc": "ORC"}.get(table.format)
    skipped = str(table.options.get("ignoreCorruptFiles", "")).lower() == "true"
    if listing is None or name is None or skipped:
        return
    for path, file in listing.files.items():
        if file.bytes == 0:
            (url,) = listing.urls([path])
            raise LakeError(
                f"{url} is not a readable {name} file: it is empty; restore or remove it"
            )


def _not_allowed(error: BaseException | None) -> bool:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    return isinstance(error, PermissionError) or any("Credential" in kind for kind in kinds)


def _listed(
    table: s.Table, files: Any, base: str, known: Mapping[str, SourceFile]
) -> Listing | None:
    assert table.path
    found: dict[str, SourceFile] = {}
    if any(c in base for c in "*?[{"):
        # The place of a file below a pattern is not defined: its whole path is its name.
        matches: dict[str, Any] = {}
        for path, info in files.glob(base, detail=True).items():
            if info["type"] == "directory":
                matches |= _below(files, path)
            else:
                matches[path] = info
        names = {path: str(path).lstrip("/") for path in matches}
        root = ""
    elif files.isfile(base):
        matches, names, root = {base: files.info(base)}, {base: ""}, table.path.rstrip("/")
    elif files.isdir(base):
        matches = _below(files, base)
        names = {path: str(path)[len(base) + 1 :] for path in matches}
        root = table.path.rstrip("/")
    else:
        return None
    for path, info in matches.items():
        name = names[path]
        if (path != base and not name) or name.endswith("/"):
            continue  # an empty object that stands for a folder
        if not _hidden(name) or table.format not in FILE_FORMATS:
            found[name] = SourceFile(path=name, bytes=int(info["size"]), changed=_changed(info))
    if not found:
        return None
    if table.format == "parquet":
        found = _with_rows(files, {names[p]: str(p) for p in matches}, found, known)
    return Listing(root, found)


def _below(files: Any, base: str) -> dict[str, Any]:
    """Every file below a folder and what is known of it; links are followed, as by Spark."""
    if not isinstance(files, LocalFileSystem):
        return dict(files.find(base, detail=True))
    found = {}
    for folder, _, names in os.walk(base, followlinks=True):
        for name in names:
            path = f"{folder}/{name}"
            found[path] = files.info(path)
    return found


def partition_of(path: str, by: str | list[str]) -> str:
    """Name of the source partition of a file.

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


def how_partitioned(recipe: Recipe) -> str | list[str]:
    """`increments.by`, or "table" where rows of one partition depend on those of others.

    They do in windows, and by rules and joins that say a key is there once.
    """
    table = recipe.source.tables[recipe.source.main]
    across = (
        recipe.source.windows is not None
        or any(isinstance(rule, s.Unique) for rule in recipe.clean.rules)
        or any(join.cardinality == "one_to_one" for join in recipe.source.joins)
    )
    if across or not table.path or table.format not in FILE_FORMATS:
        return "table"
    if any(c in table.path for c in "*?[{"):
        return "table"
    return recipe.increments.by


def by_partition(
    files: Mapping[str, SourceFile], by: str | list[str]
) -> dict[str, tuple[SourceFile, ...]]:
    """Source partition -> its files, both in the order of their names."""
    found: dict[str, list[SourceFile]] = defaultdict(list)
    for path in sorted(files):
        found[partition_of(path, by)].append(files[path])
    return {name: tuple(found[name]) for name in sorted(found)}


def same_files(one: Iterable[SourceFile], other: Iterable[SourceFile]) -> bool:
    return sorted(f.identity for f in one) == sorted(f.identity for f in other)


def _hidden(path: str) -> bool:
    """Whether Spark overlooks the file."""
    return any(
        part.startswith(".") or (part.startswith("_") and "=" not in part)
        for part in path.split("/")
    )


def _changed(info: Mapping[str, Any]) -> str:
    if "ino" in info:  # a local file, of which the time is known in ns
        from pathlib import Path

        return str(Path(info["name"]).stat().st_mtime_ns)
    for key in ("ETag", "etag", "md5", "content_settings", "LastModified", "mtime", "updated"):
        if value := info.get(key):
            return value.isoformat() if isinstance(value, datetime) else str(value)
    return ""


def _with_rows(
    files: Any,
    urls: Mapping[str, str],
    found: Mapping[str, SourceFile],
    known: Mapping[str, SourceFile],
) -> dict[str, SourceFile]:
    def counted(file: SourceFile) -> SourceFile:
        before = known.get(file.path)
        if before is not None and before.identity == file.identity:
            return before
        try:
            with files.open(urls[file.path], "rb") as stream:
                rows = pq.read_metadata(stream).num_rows
        except (OSError, pa.ArrowInvalid):  # Spark says what is wrong with it
            return file
        return file.model_copy(update={"rows": rows})

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return {file.path: file for file in pool.map(counted, found.values())}
