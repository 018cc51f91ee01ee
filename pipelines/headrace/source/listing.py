"""Hold the files of a table as they were listed, and group them into source partitions.

How they are listed is in `list_table.py`.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from urllib.parse import quote, unquote

from headrace.lake.file_columns import FileColumns
from headrace.lake.logged_files import TableLog
from headrace.lake.source_partition import SourceFile
from headrace.recipe import Recipe
from headrace.recipe import sections as s

FILE_FORMATS = ("parquet", "csv", "json", "orc")
"""Formats whose tables are their files, and nothing but them."""
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
"""Value in the name of a folder whose rows have null in the partition column."""
_SEGMENT = re.compile(r"^[^=/]+=[^/]*$")


@dataclass(frozen=True)
class Listing:
    """The files of one table.

    Attributes:
        root: the table's folder as Spark takes it, without a trailing slash.
        files: its files, by path relative to `root`; by whole path where `root` is empty, and where
            a table's log names files elsewhere.
        skipped: paths below the folder that are no data by their names.
        log: what the table's log says, where it has one.
        scheme: of the whole paths where `root` is empty, as Spark takes it: empty, or `s3a:/`.
        schemas: columns of files, by the digest that files name; empty where none was opened.
    """

    root: str
    files: Mapping[str, SourceFile]
    skipped: tuple[str, ...] = ()
    log: TableLog | None = None
    scheme: str = ""
    schemas: Mapping[str, FileColumns] = field(default_factory=dict)

    def group_by_columns(
        self, paths: Iterable[str]
    ) -> tuple[list[tuple[FileColumns, list[str]]], list[str]]:
        """Group files by the columns that they have.

        Returns:
            columns and the paths of files, in order; and the paths of files without known columns.
        """
        groups: dict[str, list[str]] = defaultdict(list)
        unknown = []
        for path in sorted(paths):
            digest = self.files[path].columns
            if digest is None or digest not in self.schemas:
                unknown.append(path)
            else:
                groups[digest].append(path)
        return [(self.schemas[digest], found) for digest, found in groups.items()], unknown

    @property
    def is_snapshot(self) -> bool:
        """Return whether a log names the values of partition columns, and later commits leave the
        files as they are."""
        return self.log is not None and self.log.is_snapshot

    @cached_property
    def _logged_values(self) -> Mapping[str, Mapping[str, str | None]]:
        return {file.name: file.values for file in self.log.files} if self.log else {}

    def get_values(self, path: str) -> Mapping[str, str | None]:
        """Return the partition columns of a file and their texts; None for a null."""
        if self.is_snapshot:
            return self._logged_values[path]
        return parse_folder_values(get_folder(path))

    def get_folder(self, path: str) -> str:
        """Return the folder of a file; in a table with a log the one that its values would have."""
        if not self.is_snapshot:
            return get_folder(path)
        return "/".join(
            f"{quote(column, safe='')}="
            f"{NULL_PARTITION if value is None else quote(value, safe=' ')}"
            for column, value in self._logged_values[path].items()
        )

    def name_partition(self, path: str, by: str | list[str]) -> str:
        """Return the name of the source partition of a file; see the function of this name."""
        return path if by == "file" else name_partition(f"{self.get_folder(path)}/", by)

    def find_url(self, url: str) -> str | None:
        """Find the path of a file by its URL as Spark lists it, which is encoded."""
        return self.find_path(unquote(url))

    def find_path(self, url: str) -> str | None:
        """Find the path of a file by its URL, which is not encoded: the longest end of it that is
        one."""
        parts = url.split("/")
        for start in range(len(parts)):
            path = "/".join(parts[start:])
            if path in self.files:
                return path
            if f"/{path}" in self.files:
                return f"/{path}"
        return "" if "" in self.files else None

    def list_urls(self, paths: Iterable[str]) -> list[str]:
        """Return the URLs of listed paths as Spark takes them, in order."""
        return [self._get_url(path) for path in sorted(paths)]

    def _get_url(self, path: str) -> str:
        if not path:
            return self.root
        is_elsewhere = self.root and (path.startswith("/") or "://" in path)
        return path if is_elsewhere else f"{self.root or self.scheme}/{path}"

    def without_folders(self, folders: frozenset[str]) -> "Listing":
        """Return the listing without the files of some folders."""
        files = {
            path: file for path, file in self.files.items() if self.get_folder(path) not in folders
        }
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


def choose_partitioning(recipe: Recipe, listing: Listing | None) -> str | list[str]:
    """Return `increments.by`, or "table" where rows of one partition depend on those of others.

    They do in windows, and by rules and joins that want a key to be unique.

    Args:
        recipe: source, clean and increments are read.
        listing: of the main table; None where only Spark knows its files.
    """
    across = (
        recipe.source.windows is not None
        or any(isinstance(rule, s.Unique) for rule in recipe.clean.rules)
        or any(join.cardinality == "one_to_one" for join in recipe.source.joins)
    )
    if across or listing is None or not listing.root:
        return "table"
    if recipe.increments.by != "auto":
        return recipe.increments.by
    log = listing.log
    if log is None or not log.is_snapshot:
        return "partition"
    dedup = recipe.clean.dedup
    has_columns = dedup is not None and {*log.partition_columns} <= {*dedup.key}
    return "partition" if log.partition_columns and has_columns else "file"


def group_by_partition(listing: Listing, by: str | list[str]) -> dict[str, tuple[SourceFile, ...]]:
    """Group files by source partition; both are in the order of their names."""
    groups: dict[str, list[SourceFile]] = defaultdict(list)
    for path in sorted(listing.files):
        groups[listing.name_partition(path, by)].append(listing.files[path])
    return {name: tuple(groups[name]) for name in sorted(groups)}


def has_same_files(files: Iterable[SourceFile], others: Iterable[SourceFile]) -> bool:
    """Return whether two listings have the same files, unchanged."""
    return sorted(f.identity for f in files) == sorted(f.identity for f in others)
