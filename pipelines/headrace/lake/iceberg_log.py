"""Read which files an Iceberg table has, by a metadata file that is known to be its current one.

No JAR is needed. Iceberg finds columns by ids and may keep deleted rows beside the files; a table
whose files alone, read by names, do not give its rows is refused with the reason.
"""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headrace.errors import LakeError
from headrace.lake.iceberg_schema import (
    convert_schema,
    find_mapped_columns,
    find_renamed_columns,
    has_lost_ids,
    list_field_ids,
)
from headrace.lake.logged_files import (
    LoggedFile,
    TableLog,
    UnreadFeatureError,
    strip_root,
    strip_scheme,
)
from headrace.lake.snapshot import Rewrite, Snapshot, TableCommit
from headrace.lake.storage import describe_error, explain_table_errors, is_storage_error
from headrace.lake.walk import WalkedFile, list_folder
from headrace.recipe.times import parse_time_to_micros
from headrace.redaction import redact_text

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile, ManifestEntry
    from pyiceberg.table import Table
    from pyiceberg.table.snapshots import Snapshot as IcebergSnapshot

_HINT = "version-hint.text"
_SUFFIX = ".metadata.json"
WITH_SPARK = (
    "Read it by Spark with Iceberg's JAR (source.tables.….format: iceberg), or write it once more"
)


def read_iceberg_log(
    filesystem: Any,
    root: str,
    base: str,
    *,
    metadata: str | None = None,
    as_of: int | str | None = None,
    since: Snapshot | None = None,
) -> TableLog:
    """Read which files an Iceberg table has.

    Args:
        filesystem, base: of the table's folder.
        root: the folder as a path or URL.
        metadata: the current metadata file, as a name in the table's folder `metadata`, a path or a
            URL; None where the table's version hint names it.
        as_of: id of a snapshot, or an ISO 8601 time whose newest snapshot is meant (UTC where it
            names no zone); None for the current one.
        since: a snapshot that was read before; what the commits after it did is read as well.

    Raises:
        LakeError: the current metadata is not known or cannot be read, or there is no such
            snapshot.
        UnreadFeatureError: the files alone do not give the rows.
    """
    with explain_table_errors(root):
        path = _find_metadata(filesystem, root, base, metadata)
        reader = _Reader(filesystem, redact_text(root), base)
        try:
            return reader.read_log(path, as_of, since)
        except LakeError:
            raise
        except Exception as error:
            if is_storage_error(error):
                raise
            raise LakeError(
                f"{redact_text(root)} is an Iceberg table whose metadata cannot be read ({path}): "
                f"{describe_error(error)}"
            ) from None


def _find_metadata(filesystem: Any, root: str, base: str, metadata: str | None) -> str:
    """Return the path of the current metadata file.

    Raises:
        LakeError: it is not known which one is current.
    """
    folder = f"{base}/metadata"
    if metadata is not None:
        path = strip_scheme(metadata, filesystem)
        return path if "/" in path else f"{folder}/{path}"
    names = [path.rpartition("/")[2] for path in list_folder(filesystem, folder)]
    if _HINT in names:
        hint = filesystem.cat_file(f"{folder}/{_HINT}").decode().strip()
        for name in (hint, f"v{hint}{_SUFFIX}", f"v{hint}.gz{_SUFFIX}", f"{hint}{_SUFFIX}"):
            if name in names and name.endswith(_SUFFIX):
                return f"{folder}/{name}"
        raise LakeError(
            f"{redact_text(root)} is an Iceberg table whose metadata/{_HINT} says {hint!r}, and "
            "there is no such metadata file; set source.tables.….metadata to the current one"
        )
    found = [name for name in names if name.endswith(_SUFFIX)]
    newest = f" ({max(found, key=_parse_number)} may be it)" if found else ""
    raise LakeError(
        f"{redact_text(root)} is an Iceberg table, and only its catalog knows which metadata file "
        "is current. Set source.tables.….metadata to what the catalog has as metadata_location"
        f"{newest}, or name the table by source.tables.….table in Spark's catalog"
    )


def _parse_number(name: str) -> int:
    """Return the number in a metadata file's name: v10 is newer than v9."""
    digits = re.match(r"v?(\d+)", name)
    return int(digits[1]) if digits else -1


@dataclass(frozen=True)
class _Reader:
    """A reader of a table's metadata, manifests included.

    Attributes:
        filesystem: where the table is.
        root: of the table, for messages.
        base: the table's folder on the file system.
    """

    filesystem: Any
    root: str
    base: str

    def read_log(self, path: str, as_of: int | str | None, since: Snapshot | None) -> TableLog:
        table = self._open_table(path)
        snapshot = self._choose_snapshot(table, as_of)
        self._refuse_renamed_columns(table)
        schema_id = snapshot.schema_id
        schema = table.schemas()[schema_id] if schema_id is not None else table.schema()
        json, unread = convert_schema(schema)
        tasks = list(table.scan(snapshot_id=snapshot.snapshot_id).plan_files())
        for task in tasks:
            self._refuse_unread_file(task)
        values = [self._read_values(table, task.file) for task in tasks]
        shared = [c for c in (values[0] if values else ()) if all(c in v for v in values)]
        columns = tuple(c for c in schema.column_names if c in shared)
        files = []
        for task, row in zip(tasks, values, strict=True):
            path = strip_scheme(task.file.file_path, self.filesystem)
            file = WalkedFile(path, task.file.file_size_in_bytes, "")
            files.append(LoggedFile(file, strip_root(path, self.base), row))
        now = Snapshot(table_id=str(table.metadata.table_uuid), version=snapshot.snapshot_id)
        commits = self._read_commits(table, since, now)
        lost = has_lost_ids(table.schemas().values(), table.metadata.last_column_id)
        ids = list_field_ids(schema)
        return TableLog("iceberg", tuple(files), now, columns, json, commits, unread, ids, lost)

    def _open_table(self, path: str) -> "Table":
        import gzip

        from pyiceberg.catalog.noop import NoopCatalog
        from pyiceberg.table import StaticTable
        from pyiceberg.table.metadata import TableMetadataUtil

        from headrace.lake.iceberg_io import FsspecIO

        content = self.filesystem.cat_file(path)
        if ".gz." in path or path.endswith(".gz"):
            content = gzip.decompress(content)
        metadata = TableMetadataUtil.parse_raw(content.decode())
        if metadata.format_version > 2:
            self._refuse(f"format version {metadata.format_version}")
        return StaticTable(
            identifier=("static", self.root),
            metadata_location=path,
            metadata=metadata,
            io=FsspecIO(self.filesystem),
            catalog=NoopCatalog("static"),
        )

    def _choose_snapshot(self, table: "Table", as_of: int | str | None) -> "IcebergSnapshot":
        if as_of is None:
            snapshot, which = table.current_snapshot(), "no snapshot: it has no rows"
        elif isinstance(as_of, int):
            snapshot, which = table.snapshot_by_id(as_of), f"no snapshot {as_of}"
        else:
            milliseconds = parse_time_to_micros(as_of) // 1000
            snapshot = table.snapshot_as_of_timestamp(milliseconds)
            which = f"no snapshot at {as_of}"
        if snapshot is None:
            known = ", ".join(str(s.snapshot_id) for s in table.metadata.snapshots[-3:])
            more = f"; the newest are {known}" if as_of is not None and known else ""
            raise LakeError(f"{self.root} is an Iceberg table with {which}{more}")
        return snapshot

    def _refuse_renamed_columns(self, table: "Table") -> None:
        renamed = find_renamed_columns(table.schemas().values())
        renamed = renamed or find_mapped_columns(table.name_mapping(), table.schema())
        if renamed:
            self._refuse(
                "columns that were renamed, or dropped and added again, while its files keep their "
                f"names ({', '.join(renamed[:3])})"
            )

    def _refuse_unread_file(self, task: Any) -> None:
        if task.delete_files:
            self._refuse("rows that are deleted in files of their own (merge on read)")
        kind = str(getattr(task.file.file_format, "value", task.file.file_format)).upper()
        if kind != "PARQUET":
            self._refuse(f"files of the format {kind}")

    def _refuse(self, what: str) -> None:
        raise UnreadFeatureError(
            f"{self.root} is an Iceberg table with {what}, which its Parquet files alone do not "
            f"tell. {WITH_SPARK}"
        )

    def _read_values(self, table: "Table", file: "DataFile") -> dict[str, str | None]:
        """Return the columns that a file is partitioned by as they are, and their values."""
        from pyiceberg.transforms import IdentityTransform
        from pyiceberg.types import DateType, TimestampType, TimestamptzType, TimeType
        from pyiceberg.utils.datetime import days_to_date

        spec, schema = table.specs()[file.spec_id], table.schema()
        found: dict[str, str | None] = {}
        for position, part in enumerate(spec.fields):
            name = schema.find_column_name(part.source_id)
            if not isinstance(part.transform, IdentityTransform) or name is None or "." in name:
                continue
            value, kind = file.partition[position], schema.find_type(part.source_id)
            if isinstance(kind, TimestampType | TimestamptzType | TimeType):
                continue  # the files have it
            if isinstance(kind, DateType) and isinstance(value, int):
                value = days_to_date(value)
            if isinstance(value, bytes):
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            found[name] = None if value is None else text
        return found

    def _read_commits(
        self, table: "Table", since: Snapshot | None, now: Snapshot
    ) -> tuple[TableCommit, ...]:
        """Read the commits between two snapshots; none where they are not all there any more."""
        if since is None or since.table_id != now.table_id or since.version == now.version:
            return ()
        chain: list[IcebergSnapshot] = []
        snapshot = table.snapshot_by_id(now.version)
        while snapshot is not None and snapshot.snapshot_id != since.version:
            chain.append(snapshot)
            parent = snapshot.parent_snapshot_id
            snapshot = table.snapshot_by_id(parent) if parent is not None else None
        if snapshot is None:
            return ()
        return tuple(self._read_commit(table, snapshot) for snapshot in reversed(chain))

    def _read_commit(self, table: "Table", snapshot: "IcebergSnapshot") -> TableCommit:
        from pyiceberg.manifest import ManifestEntryStatus
        from pyiceberg.table.snapshots import Operation

        added: list[ManifestEntry] = []
        removed: list[ManifestEntry] = []
        for manifest in snapshot.manifests(table.io):
            if manifest.added_snapshot_id != snapshot.snapshot_id:
                continue
            for entry in manifest.fetch_manifest_entry(table.io, discard_deleted=False):
                if entry.snapshot_id != snapshot.snapshot_id:
                    continue
                if entry.status == ManifestEntryStatus.ADDED:
                    added.append(entry)
                elif entry.status == ManifestEntryStatus.DELETED:
                    removed.append(entry)
        operation = snapshot.summary.operation if snapshot.summary else None
        if operation != Operation.REPLACE:
            return TableCommit(self._list_names(added), self._list_names(removed))
        groups: dict[object, tuple[list[ManifestEntry], list[ManifestEntry]]] = defaultdict(
            lambda: ([], [])
        )
        is_one_spec = len({entry.data_file.spec_id for entry in (*added, *removed)}) == 1
        for position, entries in enumerate((removed, added)):
            for entry in entries:
                key = repr(entry.data_file.partition) if is_one_spec else ""
                groups[key][position].append(entry)
        rewrites = [
            Rewrite(self._list_names(gone), self._list_names(new)) for gone, new in groups.values()
        ]
        # What came from nowhere is new.
        new_files = frozenset[str]().union(*(r.added for r in rewrites if not r.removed))
        return TableCommit(new_files, frozenset(), tuple(r for r in rewrites if r.removed))

    def _list_names(self, entries: "Iterable[ManifestEntry]") -> frozenset[str]:
        return frozenset(
            strip_root(strip_scheme(entry.data_file.file_path, self.filesystem), self.base)
            for entry in entries
        )
