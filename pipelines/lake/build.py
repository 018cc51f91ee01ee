"""The sidecar files of a build: what a dataset version is besides its rows.

They lie in `<root>/_headrace/<build id>/`, written before the commit and named by it. The
underscore keeps readers of the table away.
"""

import json
from collections.abc import Mapping
from typing import Any

import fsspec
from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.errors import DatasetError
from pipelines.lake.files import DataFile
from pipelines.lake.ledger import Ledger

FORMAT_VERSION = 2


class Build(BaseModel):
    """What one build left beside its rows, apart from the transform."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format_version: int = FORMAT_VERSION
    build_id: str
    created_at: str
    """UTC, ISO 8601."""
    headrace_version: str
    recipe: dict[str, Any]
    """Resolved, secrets masked."""
    sources: dict[str, dict[str, Any]]
    """Table name -> path, rows, and columns that its contract does not name."""
    ledger: Ledger
    files: tuple[DataFile, ...]
    label_kind: str
    transform_digest: str
    quarantine: str | None = None
    """Folder of the quarantined rows, relative to the dataset's root; None where there are none."""


def sidecar_folder(root: str, build_id: str) -> str:
    return f"{root.rstrip('/')}/_headrace/{build_id}"


def write_sidecar(
    root: str, build: Build, transform_json: str, texts: Mapping[str, str] | None = None
) -> None:
    """Write `build.json`, `transform.json` and what else is given by file name.

    Nothing of it is visible to anyone before the commit.
    """
    folder = sidecar_folder(root, build.build_id)
    files, path = fsspec.url_to_fs(folder)
    files.makedirs(path, exist_ok=True)
    for name, text in {
        "transform.json": transform_json,
        "ledger.json": build.ledger.model_dump_json(indent=1),
        "recipe.json": json.dumps(build.recipe, indent=1),
        **(texts or {}),
        "build.json": build.model_dump_json(indent=1),
    }.items():
        with files.open(f"{path}/{name}", "w", encoding="utf-8") as stream:
            stream.write(text)


def read_sidecar(root: str, build_id: str) -> tuple[Build, str]:
    """The build and its transform.json.

    Raises:
        DatasetError: the sidecar is missing or damaged.
    """
    folder = sidecar_folder(root, build_id)
    try:
        with fsspec.open(f"{folder}/build.json", "r", encoding="utf-8") as stream:
            build = Build.model_validate_json(stream.read())
        with fsspec.open(f"{folder}/transform.json", "r", encoding="utf-8") as stream:
            return build, stream.read()
    except FileNotFoundError as error:
        raise DatasetError(
            f"dataset {root}: {folder} is missing ({error.filename or error}); the version was "
            "committed with it, so it was removed since; prepare the dataset again"
        ) from None
    except ValidationError as error:
        raise DatasetError(
            f"dataset {root}: {folder}/build.json is damaged or of another Headrace: "
            f"{error.errors()[0]['msg']} at {error.errors()[0]['loc']}"
        ) from None


def read_sidecar_text(root: str, build_id: str, name: str) -> str:
    """One of the sidecar's files.

    Raises:
        DatasetError: it is missing.
    """
    path = f"{sidecar_folder(root, build_id)}/{name}"
    try:
        with fsspec.open(path, "r", encoding="utf-8") as stream:
            return str(stream.read())
    except FileNotFoundError:
        raise DatasetError(
            f"dataset {root}: {path} is missing; it was removed after the version was committed"
        ) from None
