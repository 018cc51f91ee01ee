"""Open a dataset version: one Delta commit, its files and what its build left beside them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from deltalake.schema import ArrayType

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.lake.build import (
    EXAMPLES,
    Build,
    read_sidecar,
    read_sidecar_bytes,
    read_sidecar_text,
)
from headrace.lake.data_file import SPLITS, DataFile, SplitName
from headrace.lake.profile import TALLIES, FileTally, Profile
from headrace.lake.storage import absolute_root, delta_table, open_files, reaching, said

BUILD_KEY = "headrace.build"


@dataclass(frozen=True)
class DatasetVersion:
    """A pinned, immutable version of a dataset.

    Attributes:
        root: the dataset's folder or URL.
        version: the Delta version.
        build: what the build recorded: recipe, ledger, files, sources.
        transform_json: the fitted transform (`transform.TransformSpec`).
    """

    root: str
    version: int
    build: Build
    transform_json: str

    @staticmethod
    def open(root: str, version: int | None = None) -> "DatasetVersion":
        """Open version `version`, or the newest.

        Raises:
            DatasetError: there is no such dataset or version, it was not made by Headrace, or the
                commit and the build disagree about the files.
        """
        root = absolute_root(root)
        newest = newest_table(root)
        if newest is None:
            raise DatasetError(f"there is no dataset at {root}; run `headrace prepare` first")
        try:
            table = newest if version is None else delta_table(root, version)
        except DeltaError as error:
            raise DatasetError(
                f"dataset {root} has no version {version}, the newest is {newest.version()}: "
                f"{said(error)}"
            ) from None
        # Not the pinned table's own history: delta-rs lists every commit there, numbered down
        # from the pinned version.
        with reaching(root):
            history = newest.history()
        commit = next((c for c in history if c["version"] == table.version()), {})
        build_id = commit.get(BUILD_KEY)
        if not build_id:
            raise DatasetError(
                f"dataset {root} version {table.version()} was not published by Headrace: its "
                f"commit ({commit.get('operation', 'unknown')}) names no build"
            )
        build, transform_json = read_sidecar(root, str(build_id))
        committed = set(_relative_paths(table))
        built = {file.path for file in build.files}
        if committed != built:
            raise DamagedError(
                f"dataset {root} version {table.version()}: the commit lists {len(committed)} "
                f"files and its build {len(built)}; they differ in "
                f"{', '.join(sorted(committed ^ built)[:3])}"
            )
        return DatasetVersion(root, int(table.version()), build, transform_json)

    @cached_property
    def column_types(self) -> dict[str, str]:
        """Columns of the Delta table at this version, and Delta's names of their types."""
        fields = delta_table(self.root, self.version).schema().fields
        return {field.name: _type_name(field.type) for field in fields}

    def files(self, split: SplitName) -> tuple[DataFile, ...]:
        """Files of a split by path, which is the canonical order of its rows."""
        return tuple(
            sorted((f for f in self.build.files if f.split == split), key=lambda f: f.path)
        )

    def rows(self, split: SplitName) -> int:
        return sum(file.rows for file in self.build.files if file.split == split)

    @cached_property
    def build_profile(self) -> Profile:
        """Columns, distributions and rules of the rows that this version's build wrote."""
        return self._profile_of(self.build.build_id)

    @cached_property
    def fitted_profile(self) -> Profile:
        """The same of the build that fitted the transform: what later rows are compared with."""
        return self._profile_of(self.build.transform_of or self.build.build_id)

    @cached_property
    def profile(self) -> Profile:
        """Columns and distributions of all rows of the version; rules as of its build."""
        if not self.build.partial:
            return self.build_profile
        builds = sorted({p.build_id for p in self.build.partitions})
        live = {file.path: file.split for file in self.build.files}
        tallies = [
            tally
            for build_id in builds
            for tally in FileTally.read_all(read_sidecar_bytes(self.root, build_id, TALLIES))
        ]
        return self.fitted_profile.of_files(
            [(live[tally.path], tally) for tally in tallies if tally.path in live],
            self.build_profile.rules,
        )

    def _profile_of(self, build_id: str) -> Profile:
        return Profile.model_validate_json(read_sidecar_text(self.root, build_id, "profile.json"))

    def raw_examples(self) -> "pa.Table | None":
        """Some raw rows of the newest build, as the transform reads them; None where none are kept.

        Columns as their kinds: int64, float64, timestamps in UTC, strings, bytes, or lists.
        """
        try:
            blob = read_sidecar_bytes(self.root, self.build.build_id, EXAMPLES)
        except RemovedError:
            return None
        return pq.read_table(pa.BufferReader(blob))

    def read(self, split: SplitName, columns: Sequence[str]) -> "pa.Table":
        """Columns of all rows of a split, in the canonical order, in memory.

        Raises:
            UnreachableError: the store does not answer.
            DatasetError: a file is gone or cannot be read.
        """
        files, path = open_files(self.root)
        parts = []
        for file in self.files(split):
            try:
                with reaching(self.root), files.open(f"{path}/{file.path}", "rb") as stream:
                    parts.append(pq.read_table(stream, columns=list(columns)))
            except pa.ArrowInvalid as error:
                raise DatasetError(f"{self.root}/{file.path} cannot be read: {error}") from None
        return pa.concat_tables(parts)

    def text(self, name: str) -> str:
        """A file of the build's sidecar, for example `report.html`."""
        return read_sidecar_text(self.root, self.build.build_id, name)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of transform and rows in canonical order: equal digest, equal training data."""
        state = hashlib.sha256(self.build.transform_digest.encode())
        for split in SPLITS:
            for file in self.files(split):
                state.update(f"{split} {file.row_groups} {file.content}\n".encode())
        return state.hexdigest()


def newest_table(root: str) -> DeltaTable | None:
    """The Delta table at its newest version, whoever made it; `None` where there is no table.

    Raises:
        DatasetError: the table's log is damaged.
        UnreachableError: the store does not answer.
    """
    try:
        return delta_table(root)
    except TableNotFoundError:
        return None
    except DeltaError as error:
        raise DatasetError(
            f"dataset {root}: its _delta_log is damaged: {said(error)}; restore it from a backup"
        ) from None


def newest_version(root: str) -> int | None:
    """Number of the newest version; see `newest_table`."""
    table = newest_table(root)
    return None if table is None else int(table.version())


def _type_name(kind: Any) -> str:
    if isinstance(kind, ArrayType):
        return f"array of {_type_name(kind.element_type)}"
    return str(getattr(kind, "type", kind))


def _relative_paths(table: DeltaTable) -> list[str]:
    actions = table.get_add_actions(flatten=True)
    return [str(path) for path in actions["path"].to_pylist()]
