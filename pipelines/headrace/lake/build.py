"""Write and read the sidecar files of a build: all that a dataset version is besides its rows.

They are in `<root>/_headrace/<build id>/`, written before the commit, which names the build. The
underscore keeps readers of the table away. The commit itself is left to `commit.py`.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.columns.values import StoredType
from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.formats import BUILD, FIRST_BUILD_WITH_SUMS, TRANSFORM, describe_invalid
from headrace.lake.data_file import DataFile
from headrace.lake.drift import ColumnDrift
from headrace.lake.file_columns import FileColumns
from headrace.lake.ledger import Ledger
from headrace.lake.safe_path import BuildId, RelativePath, check_build_id
from headrace.lake.sidecar_sums import SUMS_FILE, format_sums, is_intact, parse_sums
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import CrossPartitionDuplicate, SourceFile, SourcePartition
from headrace.lake.storage import explain_storage_errors, open_filesystem, open_private
from headrace.lake.time_boundaries import TimeBoundaries

EXAMPLES_FILE = "raw_examples.parquet"
"""File of some raw rows of the build, as the transform reads them."""
SIDECAR_ROOT = "_headrace"
"""Folder of the sidecars below the root of a dataset or of predictions."""
BUILD_FILE = "build.json"
"""File of a build's record, in its sidecar; a version without it is not opened."""


class FollowedJoin(BaseModel):
    """A join whose table's rows are known, so that a change of some concerns some partitions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    build_id: BuildId
    """Build whose sidecar has the digests of the rows."""
    key_types: tuple[str, ...]
    """What the values of the key are, in words; hashes of others cannot be compared."""


class ErasedKey(BaseModel):
    """A person whose rows no build reads any more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    columns: tuple[str, ...]
    """Of the main table."""
    types: tuple[str, ...]
    """What the values are, in words."""
    digest: str
    """Digest of the values, hexadecimal, see `source/keys.py`; no value is kept."""
    erased_at: str
    """UTC, ISO 8601."""


class StoredColumn(BaseModel):
    """A raw column whose values lie beside the rows, as they were before the transform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """In the files: `raw_…` in those of the test split, `kept_…` in all."""
    type: StoredType
    """Booleans are stored as 0 and 1."""


class Build(BaseModel):
    """The record that a build leaves beside its rows; the transform is a file of its own.

    A build either writes all rows of its version, or adds rows to a base version and removes some.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = BUILD.current
    build_id: BuildId
    created_at: str
    """UTC, ISO 8601."""
    headrace_version: str
    recipe: dict[str, Any]
    """Resolved, secrets masked."""
    sources: dict[str, dict[str, Any]]
    """Table name -> path, rows, and columns that the contract does not name."""
    ledger: Ledger
    """Row accounting of all rows of the version."""
    files: tuple[DataFile, ...]
    """Files of the version, those of earlier builds included."""
    label_kind: str
    transform_digest: str
    transform_format: int = TRANSFORM.current
    """Format of `transform.json`, which stays as the build that fitted it wrote it."""
    transform_of: BuildId | None = None
    """The build that fitted the transform and has its file; None where it is this one."""
    base: int | None = None
    """The version that was the newest when the build began; None for the first."""
    restored: int | None = None
    """Version whose rows this one has again, see `headrace restore`; None for others."""
    given_id: str | None = None
    """Idempotency key of the caller: a build is published once under it."""
    git_commit: str | None = None
    """Commit of the code, where it runs from a checkout."""
    partitions: tuple[SourcePartition, ...] = ()
    pruned: bool = False
    """Whether `partitions` holds only those that `source.tables.<main>.partitions` selects; true
    also without such a condition."""
    lookups: dict[str, tuple[SourceFile, ...]] = {}
    """Joined table -> its files; a table whose files cannot be listed is left out."""
    snapshots: dict[str, Snapshot] = {}
    """Table with a log, the main one or a joined one -> its snapshot that was read."""
    erased: tuple[ErasedKey, ...] = ()
    """Persons whose rows are in no version, see `headrace erase`."""
    joins: dict[str, FollowedJoin] = {}
    """Position and table of a join, as `0:planes` -> its table's rows."""
    file_columns: dict[str, FileColumns] = {}
    """Digest that files of the source name -> their columns."""
    crossings: tuple[CrossPartitionDuplicate, ...] = ()
    """Duplicates between source partitions that this build processed."""
    class_weights: dict[str, float] = {}
    key_definition: int = 1
    """When two rows have the same key, and which split a key is in; see `source/keys.py`."""
    key_types: dict[str, str] = {}
    """Column of the dedup or split key -> its type when the transform was fitted."""
    time_boundaries: TimeBoundaries | None = None
    """Of a split by time whose boundaries follow from the rows, as they were resolved when the
    transform was fitted; None for others. `read_split_definition` tells them of all versions."""
    kept: dict[str, str] = {}
    """Raw column that is passed through -> its kind; its name in the files begins with `kept_`."""
    stored: dict[str, StoredColumn] = {}
    """Raw column that a feature reads or `dataset.keep` names -> where its values lie; a version of
    an older Headrace, and increments on one, have none."""
    drift: tuple[ColumnDrift, ...] = ()
    """Drift of the rows that this build added from those that the transform was fitted on."""
    quarantine: RelativePath | None = None
    """Folder of the rows that this build quarantined, relative to the dataset's root; None where it
    quarantined none."""

    @property
    def processed_ledger(self) -> Ledger:
        """Return the ledger of the rows that this build read itself."""
        if not self.partitions:
            return self.ledger
        return Ledger.merge_ledgers(
            p.ledger for p in self.partitions if p.build_id == self.build_id
        )

    @property
    def is_partial(self) -> bool:
        """Return whether the version also has rows of earlier builds."""
        return any(p.build_id != self.build_id for p in self.partitions)

    def ledger_to_json(self) -> str:
        """Return the ledger with the drift of each column, and boundaries of time that follow from
        the rows, as JSON, for artifacts."""
        drift = [{**d.model_dump(), "drifted": d.has_drifted} for d in self.drift]
        split = self.time_boundaries.to_values() if self.time_boundaries else None
        boundaries = {"time_boundaries": split} if split else {}
        return json.dumps({**self.ledger.model_dump(), "drift": drift, **boundaries}, indent=1)


def locate_sidecar(root: str, build_id: str) -> str:
    """Return the folder of a build's sidecar files."""
    return f"{root.rstrip('/')}/{SIDECAR_ROOT}/{build_id}"


def write_sidecar(
    root: str,
    build: Build,
    transform_json: str,
    extra_files: "Mapping[str, str | bytes] | None" = None,
) -> None:
    """Write the sidecar files of a build, which no reader sees before the commit.

    Args:
        root: the dataset's folder or URL.
        build: becomes `build.json`, `ledger.json` and `recipe.json`.
        transform_json: becomes `transform.json` where this build fitted the transform.
        extra_files: file name -> content of further files.
    """
    fitted = {} if build.transform_of else {"transform.json": transform_json}
    texts: dict[str, str | bytes] = {
        **fitted,
        "ledger.json": build.ledger_to_json(),
        "recipe.json": json.dumps(build.recipe, indent=1),
        **(extra_files or {}),
        BUILD_FILE: build.model_dump_json(indent=1),
    }
    write_sidecar_files(root, build.build_id, texts)


def write_sidecar_files(root: str, build_id: str, texts: "Mapping[str, str | bytes]") -> None:
    """Write files of a sidecar, and their checksums; raw rows for this user alone.

    Args:
        root: folder or URL of the dataset or the predictions.
        build_id: of the build or job.
        texts: file name -> content.
    """
    filesystem, path = open_filesystem(locate_sidecar(root, build_id))
    filesystem.makedirs(path, exist_ok=True)
    contents = {name: t.encode() if isinstance(t, str) else t for name, t in texts.items()}
    for name, content in {SUMS_FILE: format_sums(contents), **contents}.items():
        is_private = name == EXAMPLES_FILE
        file = f"{path}/{name}"
        opened = open_private(filesystem, file) if is_private else filesystem.open(file, "wb")
        with opened as stream:
            stream.write(content)


def remove_sidecar(root: str, build_id: str) -> None:
    """Remove the sidecar of a build or job that failed, if it wrote one."""
    filesystem, path = open_filesystem(locate_sidecar(root, build_id))
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def read_build(root: str, build_id: str) -> Build:
    """Read what a build recorded.

    Raises:
        RemovedError: the record is missing.
        DamagedError: it is damaged, or of an older Headrace.
        DatasetError: it is of a newer Headrace.
        UnreachableError: the store does not answer.
    """
    text = read_sidecar_bytes(root, build_id, BUILD_FILE)
    where = f"dataset {root}: {locate_sidecar(root, build_id)}/{BUILD_FILE}"
    try:
        build = Build.model_validate_json(BUILD.migrate_text(text, where, DatasetError))
        if build.build_id != build_id:
            raise DamagedError(f"{where} is the record of another build, {build.build_id}")
        check_has_sums(root, build_id, (BUILD.parse_version(text) or 0) >= FIRST_BUILD_WITH_SUMS)
        return build
    except ValidationError as error:
        raise DamagedError(
            f"{where} is damaged or of an older Headrace: {describe_invalid(error)}; restore it "
            "from a backup, or run `headrace prepare --full`"
        ) from None


def read_sidecar(root: str, build_id: str) -> tuple[Build, str]:
    """Read a build's record, and the transform that it fitted or took over, as JSON.

    Raises:
        the errors of `read_build`.
    """
    build = read_build(root, build_id)
    fitted_by = build.transform_of or build_id
    where = f"dataset {root}: {locate_sidecar(root, fitted_by)}/transform.json"
    TRANSFORM.check_version(build.transform_format, where, DatasetError)
    return build, read_sidecar_text(root, fitted_by, "transform.json")


def read_sidecar_text(root: str, build_id: str, name: str) -> str:
    """Read one of the sidecar's text files.

    Raises:
        RemovedError: the file is missing.
        DamagedError: it is not as it was written.
        UnreachableError: the store does not answer.
    """
    content = read_sidecar_bytes(root, build_id, name)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        path = f"{locate_sidecar(root, build_id)}/{name}"
        raise DamagedError(f"dataset {root}: {path} is damaged: {error}") from None


def read_sidecar_bytes(root: str, build_id: str, name: str) -> bytes:
    """Read one of the sidecar's files as bytes; raise like `read_sidecar_text`.

    Raises:
        DamagedError: the id, which a commit or a record names, is that of no build.
    """
    try:
        check_build_id(build_id)
    except ValueError as error:
        raise DamagedError(f"dataset {root}: {error}, so its log or a record is damaged") from None
    path = f"{locate_sidecar(root, build_id)}/{name}"
    filesystem, store_path = open_filesystem(path)
    with explain_storage_errors(root):
        try:
            content = bytes(filesystem.cat_file(store_path))
        except FileNotFoundError:
            raise RemovedError(
                f"dataset {root}: {path} is missing; the version was committed with it, so it was "
                "removed since, by `headrace vacuum` or by hand; `headrace inspect` lists the "
                "versions that can be read"
            ) from None
        sums = _read_sums(root, build_id)
    if not is_intact(name, content, sums):
        raise DamagedError(
            f"dataset {root}: {path} is damaged: it is not the file that was written (SHA-256, see "
            f"{SUMS_FILE} beside it); restore it from a backup, or run `headrace prepare --refit`"
        )
    return content


def check_has_sums(root: str, build_id: str, has_sums: bool) -> None:
    """Check that a sidecar of a format with checksums has them.

    Raises:
        DamagedError: they are gone.
    """
    if has_sums and not _read_sums(root, build_id):
        path = f"{locate_sidecar(root, build_id)}/{SUMS_FILE}"
        raise DamagedError(f"dataset {root}: {path} is missing; restore it from a backup")


def _read_sums(root: str, build_id: str) -> dict[str, set[str]]:
    """Read the checksums of a sidecar; empty where an older Headrace wrote none.

    Raises:
        DamagedError: they are damaged.
    """
    path = f"{locate_sidecar(root, build_id)}/{SUMS_FILE}"
    filesystem, store_path = open_filesystem(path)
    try:
        return parse_sums(bytes(filesystem.cat_file(store_path)))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedError(
            f"dataset {root}: {path} is damaged: {error}; restore it from a backup"
        ) from None
