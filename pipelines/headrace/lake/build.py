"""Write and read the sidecar files of a build: all that a dataset version is besides its rows.

They are written before the commit, which names the build. The record, `build.json`, is small: its
long lists are in manifests, which versions share (`record_lists.py`). The commit itself is left to
`commit.py`.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.columns.values import StoredType
from headrace.errors import DamagedError, DatasetError
from headrace.formats import BUILD, FIRST_BUILD_WITH_SUMS, TRANSFORM, describe_invalid
from headrace.lake.data_file import DataFile, SplitName
from headrace.lake.drift import ColumnDrift
from headrace.lake.file_columns import FileColumns
from headrace.lake.ledger import Ledger
from headrace.lake.record_lists import (
    ListReader,
    StoredLists,
    is_stored,
    list_of_file_columns,
    list_of_lookups,
    list_of_models,
    load_list,
    make_lazy_lists,
    store_lists,
)
from headrace.lake.safe_path import BuildId, RelativePath
from headrace.lake.sidecar import (
    check_has_sums,
    locate_sidecar,
    read_sidecar_bytes,
    read_sidecar_text,
    write_sidecar_files,
)
from headrace.lake.snapshot import Snapshot
from headrace.lake.source_partition import CrossPartitionDuplicate, SourceFile, SourcePartition
from headrace.lake.time_boundaries import TimeBoundaries

BUILD_FILE = "build.json"
"""File of a build's record, in its sidecar; a version without it is not opened."""
LISTS = (
    list_of_models("files", "files", DataFile, "path"),
    list_of_models("partitions", "source", SourcePartition, "name"),
    list_of_lookups("source"),
    list_of_file_columns("source"),
    list_of_models("crossings", "source", CrossPartitionDuplicate, "loser", "winner"),
)
"""The lists of a build; those of the kind `files` are all that training reads."""
_LIST_NAMES = tuple(kind.name for kind in LISTS)


class BuildLists(StoredLists):
    """Where the lists of a build are, and what is asked of them most often."""

    is_partial: bool
    processed: Ledger


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


class OptimizedFrom(BaseModel):
    """The version whose rows another one has in fewer files."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int
    files: int
    """Data files of that version."""
    files_now: int
    """Data files of this one."""

    def describe(self) -> str:
        """Return what was done, for people."""
        return (
            f"optimized from version {self.version}: {self.files:,} → {self.files_now:,} "
            f"{'file' if self.files_now == 1 else 'files'}"
        )


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
    files: tuple[DataFile, ...] = ()
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
    optimized: OptimizedFrom | None = None
    """Version whose rows this one has in the same order and in fewer files, see `headrace
    optimize`; None for others."""
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
    lists: BuildLists | None = None
    """Where files, partitions, lookups, file columns and crossings are; None where they are in the
    record. Those of a record that was read are loaded when they are asked for, and a tuple or dict
    by what they can do."""

    @property
    def processed_ledger(self) -> Ledger:
        """Return the ledger of the rows that this build read itself."""
        if self.lists is not None and is_stored(self.partitions, self.build_id):
            return self.lists.processed
        if not self.partitions:
            return self.ledger
        return Ledger.merge_ledgers(
            p.ledger for p in self.partitions if p.build_id == self.build_id
        )

    @property
    def is_partial(self) -> bool:
        """Return whether the version also has rows of earlier builds."""
        if self.lists is not None and is_stored(self.partitions, self.build_id):
            return self.lists.is_partial
        return any(p.build_id != self.build_id for p in self.partitions)

    def map_runs_to_splits(self) -> dict[str, SplitName]:
        """Return the path that each run of rows was written under -> its split."""
        return {run.path: file.split for file in self.files for run in file.list_runs()}

    def model_dump(self, **options: Any) -> dict[str, Any]:
        """Return the build as plain values, its lists read."""
        # Not while pydantic serializes: it would hide what is wrong with a manifest.
        lists = {name: load_list(getattr(self, name)) for name in _LIST_NAMES}
        return BaseModel.model_dump(self.model_copy(update=lists), **options)

    def ledger_to_json(self) -> str:
        """Return the ledger with the drift of each column, and boundaries of time that follow from
        the rows, as JSON, for artifacts."""
        drift = [{**d.model_dump(), "drifted": d.has_drifted} for d in self.drift]
        split = self.time_boundaries.to_values() if self.time_boundaries else None
        boundaries = {"time_boundaries": split} if split else {}
        return json.dumps({**self.ledger.model_dump(), "drift": drift, **boundaries}, indent=1)


def write_sidecar(
    root: str,
    build: Build,
    transform_json: str,
    extra_files: "Mapping[str, str | bytes] | None" = None,
    like: Build | None = None,
) -> Build:
    """Write the sidecar files of a build, which no reader sees before the commit.

    Args:
        root: the dataset's folder or URL.
        build: becomes `build.json`, its manifests, `ledger.json` and `recipe.json`.
        transform_json: becomes `transform.json` where this build fitted the transform.
        extra_files: file name -> content of further files.
        like: a build of the dataset that was read, normally the base; its manifests are used again
            as far as the lists agree. None where nothing of it may be in this one's.

    Returns:
        the build, with where its lists are.
    """
    stored, manifests = store_lists(root, build, like, LISTS, build.build_id)
    lists = None
    if stored is not None:
        summary = {"is_partial": build.is_partial, "processed": build.processed_ledger}
        lists = BuildLists.model_validate(stored.model_dump() | summary)
    build = build.model_copy(update={"lists": lists})
    fitted = {} if build.transform_of else {"transform.json": transform_json}
    texts: dict[str, str | bytes] = {
        **fitted,
        "ledger.json": build.ledger_to_json(),
        "recipe.json": json.dumps(build.recipe, indent=1),
        **(extra_files or {}),
        **manifests,
        BUILD_FILE: build_to_json(build),
    }
    write_sidecar_files(root, build.build_id, texts)
    return build


def build_to_json(build: Build) -> str:
    """Return the JSON of a build's record: without the lists, where they are in manifests."""
    excluded = {*_LIST_NAMES} if build.lists is not None else {"lists"}
    return build.model_dump_json(indent=1, exclude=excluded)


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
        return attach_lists(root, build)
    except ValidationError as error:
        raise DamagedError(
            f"{where} is damaged or of an older Headrace: {describe_invalid(error)}; restore it "
            "from a backup, or run `headrace prepare --full`"
        ) from None


def attach_lists(root: str, build: Build, known: Mapping[str, bytes] | None = None) -> Build:
    """Return a build whose lists are read from its manifests when they are asked for.

    Args:
        root: the dataset's folder or URL.
        build: as its record says it.
        known: name of a manifest -> content that needs not be read.
    """
    if build.lists is None:
        return build
    where = f"dataset {root}: {locate_sidecar(root, build.build_id)}/{BUILD_FILE}"
    reader = ListReader(root, build.lists, LISTS, build.build_id, where, known or {})
    return build.model_copy(update=make_lazy_lists(reader))


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
