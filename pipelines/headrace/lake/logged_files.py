"""Describe the files of a table whose log names them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from headrace.errors import LakeError
from headrace.lake.snapshot import Snapshot, TableCommit
from headrace.lake.walk import WalkedFile

LogKind = Literal["delta", "sink", "iceberg", "hudi"]


class UnreadFeatureError(LakeError):
    """A table has a feature that its files alone do not obey."""


@dataclass(frozen=True)
class LoggedFile:
    """A file of a table, as its log names it.

    Attributes:
        file: where it is.
        name: its path below the table's folder; its whole path where it is elsewhere.
        values: partition column -> text, None for null; empty where only folders tell them.
    """

    file: WalkedFile
    name: str
    values: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class TableLog:
    """What a log says of a table.

    Attributes:
        kind: of the table.
        files: those of the version that is read.
        snapshot: that version.
        partition_columns: in their order, where the log tells them.
        schema: Spark's JSON of the table's columns; empty where only the files tell them.
        commits: from an earlier snapshot to this one; empty where they are not known.
        unread: column that Spark cannot read -> why.
        field_ids: column of an Iceberg table, nested ones dotted -> its id.
        has_lost_ids: whether the table had columns that no schema in its metadata names any more.
    """

    kind: LogKind
    files: tuple[LoggedFile, ...]
    snapshot: Snapshot
    partition_columns: tuple[str, ...] = ()
    schema: str = ""
    commits: tuple[TableCommit, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    field_ids: Mapping[str, int] = field(default_factory=dict)
    has_lost_ids: bool = False

    @property
    def is_snapshot(self) -> bool:
        """Return whether the log names the values of partition columns, and later commits leave the
        files of this version as they are."""
        return self.kind in ("delta", "iceberg")


def strip_root(path: str, base: str) -> str:
    """Return a path below the table's folder where it is there."""
    if path.startswith("file:"):
        path = "/" + path.removeprefix("file:").lstrip("/")
    return path.removeprefix(f"{base}/")


def strip_scheme(url: str, filesystem: Any) -> str:
    """Return the path on a file system that a URL means; a path stays as it is."""
    scheme, separator, rest = url.partition(":")
    if scheme == "file":
        return "/" + rest.lstrip("/")
    return str(filesystem._strip_protocol(url)) if separator and rest.startswith("//") else url
