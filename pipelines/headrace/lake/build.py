"""The sidecar files of a build: what a dataset version is besides its rows.

They lie in `<root>/_headrace/<build id>/`, written before the commit and named by it. The
underscore keeps readers of the table away.
"""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from headrace.errors import DamagedError, DatasetError, RemovedError
from headrace.formats import BUILD, TRANSFORM
from headrace.lake.data_file import DataFile
from headrace.lake.drift import ColumnDrift
from headrace.lake.ledger import Ledger
from headrace.lake.source_partition import Crossing, SourceFile, SourcePartition
from headrace.lake.storage import open_files, reaching

EXAMPLES = "raw_examples.parquet"
"""Some raw rows of the build, as the transform reads them."""


class Build(BaseModel):
    """What one build left beside its rows, apart from the transform.

    A build either makes all rows of its version, or adds to a base version and takes from it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = BUILD.current
    build_id: str
    created_at: str
    """UTC, ISO 8601."""
    headrace_version: str
    recipe: dict[str, Any]
    """Resolved, secrets masked."""
    sources: dict[str, dict[str, Any]]
    """Table name -> path, rows, and columns that its contract does not name."""
    ledger: Ledger
    """Of all rows of the version."""
    files: tuple[DataFile, ...]
    """Of the version, those of earlier builds included."""
    label_kind: str
    transform_digest: str
    transform_format: int = TRANSFORM.current
    """Of `transform.json`, which stays as the build that fitted it wrote it."""
    transform_of: str | None = None
    """The build that fitted the transform and keeps it; None where it is this one."""
    base: int | None = None
    """The version that was the newest when the build began; None for the first."""
    given_id: str | None = None
    """The id that the caller gave so that the build is published once."""
    git_commit: str | None = None
    """Of the code, where it runs from a checkout."""
    partitions: tuple[SourcePartition, ...] = ()
    pruned: bool = False
    """Whether `partitions` has only those that `source.tables.<main>.partitions` selects, or there
    is no such condition."""
    lookups: dict[str, tuple[SourceFile, ...]] = {}
    """Joined table -> its files; a table whose files are not known is left out."""
    crossings: tuple[Crossing, ...] = ()
    """Between source partitions that this build processed."""
    class_weights: dict[str, float] = {}
    key_types: dict[str, str] = {}
    """Columns of the dedup and split keys, and their types when the transform was fitted."""
    kept: dict[str, str] = {}
    """Raw column -> its kind; they lie beside the features under `kept_` and their name."""
    drift: tuple[ColumnDrift, ...] = ()
    """Columns of the rows that this build added, compared with the rows the transform is of."""
    quarantine: str | None = None
    """Folder of the rows that this build quarantined, relative to the dataset's root; None where
    there are none."""

    @property
    def processed(self) -> Ledger:
        """Of the rows that this build read, rather than an earlier one."""
        if not self.partitions:
            return self.ledger
        return Ledger.total(p.ledger for p in self.partitions if p.build_id == self.build_id)

    @property
    def partial(self) -> bool:
        """Whether rows of an earlier build are in the version."""
        return any(p.build_id != self.build_id for p in self.partitions)

    def ledger_json(self) -> str:
        """The ledger with what was found of drift, for people and for artifacts."""
        drift = [{**d.model_dump(), "drifted": d.drifted} for d in self.drift]
        return json.dumps({**self.ledger.model_dump(), "drift": drift}, indent=1)


def sidecar_folder(root: str, build_id: str) -> str:
    return f"{root.rstrip('/')}/_headrace/{build_id}"


def write_sidecar(
    root: str,
    build: Build,
    transform_json: str,
    texts: "Mapping[str, str | bytes] | None" = None,
) -> None:
    """Write `build.json`, `transform.json` where it is new, and what else is given by file name.

    Nothing of it is visible to anyone before the commit.
    """
    folder = sidecar_folder(root, build.build_id)
    files, path = open_files(folder)
    files.makedirs(path, exist_ok=True)
    own = {} if build.transform_of else {"transform.json": transform_json}
    for name, text in {
        **own,
        "ledger.json": build.ledger_json(),
        "recipe.json": json.dumps(build.recipe, indent=1),
        **(texts or {}),
        "build.json": build.model_dump_json(indent=1),
    }.items():
        with files.open(f"{path}/{name}", "wb") as stream:
            stream.write(text.encode() if isinstance(text, str) else text)


def read_build(root: str, build_id: str) -> Build:
    """What a build recorded.

    Raises:
        RemovedError: it is missing.
        DamagedError: it is damaged, or of an older Headrace.
        DatasetError: it is of a newer Headrace.
        UnreachableError: the store does not answer.
    """
    text = read_sidecar_bytes(root, build_id, "build.json")
    where = f"dataset {root}: {sidecar_folder(root, build_id)}/build.json"
    try:
        return Build.model_validate_json(BUILD.migrated_text(text, where, DatasetError))
    except ValidationError as error:
        raise DamagedError(
            f"{where} is damaged or of an older Headrace: {error.errors()[0]['msg']} at "
            f"{error.errors()[0]['loc']}"
        ) from None


def read_sidecar(root: str, build_id: str) -> tuple[Build, str]:
    """The build and the transform that it fitted or used, as JSON.

    Raises:
        as `read_build`.
    """
    build = read_build(root, build_id)
    fitted_by = build.transform_of or build_id
    where = f"dataset {root}: {sidecar_folder(root, fitted_by)}/transform.json"
    TRANSFORM.check(build.transform_format, where, DatasetError)
    return build, read_sidecar_text(root, fitted_by, "transform.json")


def read_sidecar_text(root: str, build_id: str, name: str) -> str:
    """One of the sidecar's files.

    Raises:
        RemovedError: it is missing.
        UnreachableError: the store does not answer.
    """
    return read_sidecar_bytes(root, build_id, name).decode()


def read_sidecar_bytes(root: str, build_id: str, name: str) -> bytes:
    """As `read_sidecar_text`, of a file that is no text."""
    path = f"{sidecar_folder(root, build_id)}/{name}"
    files, place = open_files(path)
    with reaching(root):
        try:
            return bytes(files.cat_file(place))
        except FileNotFoundError:
            raise RemovedError(
                f"dataset {root}: {path} is missing; the version was committed with it, so it was "
                "removed since, by `headrace vacuum` or by hand; `headrace inspect` lists the "
                "versions that can be read"
            ) from None
