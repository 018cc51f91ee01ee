"""Open a dataset version: one Delta commit, its files and the sidecar of its build.

Reading its rows at training speed is left to `stream/`.
"""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError
from deltalake.schema import ArrayType

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.lake.build import Build, attach_lists, build_to_json, read_build, read_sidecar
from headrace.lake.damage import explain_damage, read_parquet
from headrace.lake.data_file import SPLITS, DataFile, SplitName
from headrace.lake.data_statistics import DataStatistics, read_statistics
from headrace.lake.manifest import read_manifest
from headrace.lake.newest_table import open_newest_table
from headrace.lake.profile import TALLIES_FILE, VERSION_PROFILE_FILE, FileTally, Profile
from headrace.lake.sidecar import EXAMPLES_FILE, read_sidecar_bytes, read_sidecar_text
from headrace.lake.storage import (
    describe_error,
    explain_storage_errors,
    open_delta_table,
    open_filesystem,
    resolve_root,
)
from headrace.lake.transform_file import check_transform_digest
from headrace.lake.vocabulary_files import SidecarVocabularyFiles

BUILD_KEY = "headrace.build"


@dataclass(frozen=True)
class DatasetVersion:
    """A pinned, immutable version of a dataset.

    Attributes:
        root: the dataset's folder or URL.
        version: the Delta version.
        build: record of the build: recipe, ledger, files, sources.
        transform_json: the fitted transform (`transform.spec.TransformSpec`).
    """

    root: str
    version: int
    build: Build
    transform_json: str

    @staticmethod
    def open(root: str, version: int | None = None) -> "DatasetVersion":
        """Open version `version`, or the newest.

        Raises:
            DatasetError: there is no such dataset or version, or Headrace did not publish it.
            DamagedError: the commit and the build's record list different files, or the transform
                is not the one that was published.
        """
        root = resolve_root(root)
        table = open_version(root, version)
        commit = read_commit(root, int(table.version())) or {}
        build_id = commit.get(BUILD_KEY)
        if not build_id:
            raise DatasetError(
                f"dataset {root} version {table.version()} was not published by Headrace: its "
                f"commit ({commit.get('operation', 'unknown')}) names no build"
            )
        build, transform_json = read_sidecar(root, str(build_id))
        where = f"dataset {root} version {table.version()}: transform.json"
        check_transform_digest(transform_json, build.transform_digest, where)
        committed_paths = set(_list_paths(root, table))
        recorded_paths = {file.path for file in build.files}
        if committed_paths != recorded_paths:
            raise DamagedError(
                f"dataset {root} version {table.version()}: the commit lists "
                f"{len(committed_paths)} files and its build {len(recorded_paths)}; they differ in "
                f"{', '.join(sorted(committed_paths ^ recorded_paths)[:3])}"
            )
        return DatasetVersion(root, int(table.version()), build, transform_json)

    def pack(self) -> dict[str, Any]:
        """Return what another process needs to have the version open too: record, transform, and
        the manifests of its data files, as texts, numbers and bytes."""
        manifests = {
            ref.name: zlib.compress(read_manifest(self.root, ref), 1)
            for ref in (self.build.lists.manifests.get("files", ()) if self.build.lists else ())
        }
        return {
            "root": self.root,
            "version": self.version,
            "build": build_to_json(self.build),
            "transform": self.transform_json,
            "manifests": manifests,
        }

    @staticmethod
    def unpack(packed: Mapping[str, Any]) -> "DatasetVersion":
        """Open the version that another process packed; of the store nothing is read.

        Raises:
            DamagedError: a manifest is not as it was written.
        """
        known = {name: zlib.decompress(content) for name, content in packed["manifests"].items()}
        build = Build.model_validate_json(packed["build"])
        build = attach_lists(packed["root"], build, known)
        return DatasetVersion(packed["root"], packed["version"], build, packed["transform"])

    @property
    def text_files(self) -> SidecarVocabularyFiles:
        """Return where the vocabularies lie that the transform does not have itself."""
        return SidecarVocabularyFiles(self.root, self.build.transform_of or self.build.build_id)

    @cached_property
    def column_types(self) -> dict[str, str]:
        """Return column -> Delta's name of its type, of the Delta table at this version."""
        with explain_damage(f"dataset {self.root}: the schema in its _delta_log"):
            fields = open_delta_table(self.root, self.version).schema().fields
            return {field.name: _format_type(field.type) for field in fields}

    def list_files(self, split: SplitName) -> tuple[DataFile, ...]:
        """List the files of a split by path, which is the canonical order of its rows."""
        return tuple(
            sorted((f for f in self.build.files if f.split == split), key=lambda f: f.path)
        )

    def count_rows(self, split: SplitName) -> int:
        """Count the rows of a split."""
        return sum(file.rows for file in self.build.files if file.split == split)

    @cached_property
    def build_profile(self) -> Profile:
        """Return the profile of the rows that this version's build wrote."""
        return self._read_profile(self.build.build_id)

    @cached_property
    def fitted_profile(self) -> Profile:
        """Return the profile of the build that fitted the transform, the reference of drift."""
        return self._read_profile(self.build.transform_of or self.build.build_id)

    @cached_property
    def fitted_rows(self) -> int:
        """Return how many train rows the build has that fitted the transform."""
        fitted_by = self.build.transform_of
        build = self.build if fitted_by is None else read_build(self.root, fitted_by)
        return build.processed_ledger.published.get("train", 0)

    @cached_property
    def profile(self) -> Profile:
        """Return the profile of all rows of the version; its rules are those of its build."""
        if not self.build.is_partial:
            return self.build_profile
        with suppress(RemovedError):  # an older Headrace wrote none
            return self._read_profile(self.build.build_id, VERSION_PROFILE_FILE)
        builds = sorted({p.build_id for p in self.build.partitions})
        split_by_path = self.build.map_runs_to_splits()
        blobs = (read_sidecar_bytes(self.root, build_id, TALLIES_FILE) for build_id in builds)
        with explain_damage(f"dataset {self.root}: {TALLIES_FILE} of its builds"):
            tallies = [tally for blob in blobs for tally in FileTally.read_tallies(blob)]
            return self.fitted_profile.sum_tallies(
                [(split_by_path[t.path], t) for t in tallies if t.path in split_by_path],
                self.build_profile.rules,
            )

    @cached_property
    def statistics(self) -> DataStatistics | None:
        """Return the statistics of the version's raw columns, and alerts; None where an older
        Headrace published it."""
        return read_statistics(self.root, self.build.build_id)

    def _read_profile(self, build_id: str, name: str = "profile.json") -> Profile:
        text = read_sidecar_text(self.root, build_id, name)
        with explain_damage(f"dataset {self.root}: {name} of build {build_id}"):
            return Profile.model_validate_json(text)

    def read_raw_examples(self) -> "pa.Table | None":
        """Read some raw rows of the build, as the transform reads them; None where it kept none.

        Columns have the types of their kinds: int64, float64, timestamps in UTC, strings, bytes, or
        lists of them.
        """
        blob = self.read_examples_file()
        if not blob:
            return None
        return read_parquet(blob, f"dataset {self.root}: {EXAMPLES_FILE}")

    def read_examples_file(self) -> bytes | None:
        """Read the file of raw rows as bytes; None where the build kept none.

        Raises:
            UnreachableError: it is another user's, or the store does not answer.
        """
        try:
            return read_sidecar_bytes(self.root, self.build.build_id, EXAMPLES_FILE)
        except RemovedError:
            return None

    def read_columns(self, split: SplitName, columns: Sequence[str] | None) -> "pa.Table":
        """Read columns of all rows of a split into memory, in the canonical order; None for all.

        Raises:
            UnreachableError: the store does not answer, or a file is missing.
            DatasetError: a file cannot be read.
        """
        return pa.concat_tables([self.read_file(file, columns) for file in self.list_files(split)])

    def read_file(self, file: DataFile, columns: Sequence[str] | None) -> "pa.Table":
        """Read columns of one of the version's files into memory; None for all.

        Raises:
            the errors of `read_columns`.
        """
        filesystem, path = open_filesystem(self.root)
        with (
            explain_storage_errors(self.root),
            filesystem.open(f"{path}/{file.path}", "rb") as stream,
        ):
            return read_parquet(stream, f"{self.root}/{file.path}", columns)

    def read_text(self, name: str) -> str:
        """Read a text file of the build's sidecar, for example `report.html`."""
        return read_sidecar_text(self.root, self.build.build_id, name)

    @cached_property
    def digest(self) -> str:
        """Return the SHA-256 of transform and rows in canonical order, hexadecimal.

        Versions of equal digest are equal training data: the same rows in the same splits, files
        and row groups.
        """
        digest = hashlib.sha256(self.build.transform_digest.encode())
        for split in SPLITS:
            for file in self.list_files(split):
                digest.update(f"{split} {file.row_groups} {file.content}\n".encode())
        return digest.hexdigest()


def open_version(root: str, version: int | None) -> DeltaTable:
    """Open the Delta table of a dataset at a version, or at its newest.

    Raises:
        DatasetError: there is no dataset, or no such version.
        RemovedError: the log of the version was removed.
    """
    newest = open_newest_table(root)
    if version is not None and (newest is None or newest.version() != version):
        with suppress(DeltaError):
            return open_delta_table(root, version)
    if newest is None:
        raise make_missing_error(root)
    if version in (None, newest.version()):
        return newest
    oldest = min((c["version"] for c in list_commits(root, newest)), default=0)
    if version < oldest:
        raise RemovedError(
            f"dataset {root}: version {version} was removed since, by `headrace vacuum`: the "
            f"oldest that its log has is {oldest}; `headrace inspect` lists the versions that can "
            "be read"
        )
    raise DatasetError(f"dataset {root} has no version {version}, the newest is {newest.version()}")


def read_commit(root: str, version: int) -> dict[str, Any] | None:
    """Read the metadata of one commit, and no other; None where the log does not have it.

    Raises:
        DamagedError: the commit is damaged.
        UnreachableError: the store does not answer.
    """
    filesystem, base = open_filesystem(root)
    where = f"dataset {root}: its _delta_log"
    with explain_storage_errors(root), explain_damage(where):
        try:
            text = filesystem.cat_file(f"{base}/_delta_log/{version:020d}.json").decode()
        except FileNotFoundError:
            return None
        for line in text.splitlines():
            if '"commitInfo"' in line and "commitInfo" in (action := json.loads(line)):
                return {**action["commitInfo"], "version": version}
    return {"version": version}


def make_missing_error(root: str) -> DatasetError:
    """Make the error to raise where there is no dataset at a root."""
    return DatasetError(f"there is no dataset at {root}; run `headrace prepare` first")


def find_newest_version(root: str) -> int | None:
    """Find the number of the newest version; None where there is no table.

    Raises:
        the errors of `open_newest_table`.
    """
    table = open_newest_table(root)
    return None if table is None else int(table.version())


def _format_type(kind: Any) -> str:
    if isinstance(kind, ArrayType):
        return f"array of {_format_type(kind.element_type)}"
    return str(getattr(kind, "type", kind))


def list_commits(root: str, table: DeltaTable, limit: int | None = None) -> list[dict[str, Any]]:
    """List the commits of a table, the newest first; `version` and `timestamp` are integers.

    Args:
        root: of the table, in messages.
        table: at its newest version.
        limit: the newest so many only.

    Raises:
        DamagedError: the log is damaged.
        UnreachableError: the store does not answer.
    """
    where = f"dataset {root}: its _delta_log"
    with explain_storage_errors(root), explain_damage(where):
        try:
            commits = table.history(limit)
        except DeltaError as error:
            raise DamagedError(
                f"{where} is damaged: {describe_error(error)}; restore it from a backup"
            ) from None
        return [
            {**c, "version": int(c["version"]), "timestamp": int(c["timestamp"])} for c in commits
        ]


def _list_paths(root: str, table: DeltaTable) -> list[str]:
    with explain_damage(f"dataset {root}: its _delta_log"):
        actions = table.get_add_actions(flatten=True)
        return [str(path) for path in actions["path"].to_pylist()]
