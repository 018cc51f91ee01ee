"""Write and read manifests: immutable files that hold parts of the long lists of a record.

A record (`build.json`, `score.json`) names its manifests, the oldest first. A line of a manifest is
JSON: `{"list": …, "key": […], "row": {…}}` says that a list has a row under a key, whatever an
earlier line says of the key, and `"row": null` that it has none. So the lists of a version are what
is left after all lines in order. A manifest lies in the sidecar of the build that wrote it, and its
name has the SHA-256 of its content. Which manifests are merged is decided in `manifest_merge.py`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, ConfigDict
from pydantic_core import to_json

from headrace.errors import DamagedError, RemovedError
from headrace.lake.safe_path import BuildId
from headrace.lake.sidecar import SIDECAR_ROOT
from headrace.lake.storage import (
    CONCURRENT_REQUESTS,
    explain_storage_errors,
    open_filesystem,
)

MAX_BYTES = 8 * 2**20
"""Bytes of a manifest at most, but for a longer line; Iceberg's target as well."""
_NAME = re.compile(r"[a-z]+-(?P<digest>[0-9a-f]{64})\.jsonl")

Key = tuple[str, ...]
Rows = dict[str, dict[Key, dict[str, Any]]]
"""List -> key -> row."""


class Change(NamedTuple):
    """A line of a manifest; `row` is None where the list has no such key any more."""

    list: str
    key: Key
    row: dict[str, Any] | None


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a manifest")
    return name


class ManifestRef(BaseModel):
    """A manifest, as a record names it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    build_id: BuildId
    """The build or job that wrote it, in whose sidecar it lies."""
    name: Annotated[str, AfterValidator(_check_name)]
    """Of the file: the kind of its lists, and the SHA-256 of its content."""
    bytes: int
    lines: int
    level: int
    """How often its oldest line was merged."""

    @property
    def path(self) -> str:
        """Return its path below the root."""
        return f"{SIDECAR_ROOT}/{self.build_id}/{self.name}"


def is_manifest(name: str) -> bool:
    """Return whether a file of a sidecar is a manifest, by its name."""
    return _NAME.fullmatch(name) is not None


def pack_changes(
    stream: str, changes: Iterable[Change], build_id: str, level: int
) -> list[tuple[ManifestRef, bytes]]:
    """Format changes as one manifest, or as several where they are many.

    Args:
        stream: kind of the lists, the beginning of the name.
        changes: in order.
        build_id: of the build that writes them.
        level: see `ManifestRef`.
    """
    chunks: list[list[bytes]] = []
    size = MAX_BYTES
    for change in changes:
        line = to_json(change._asdict()) + b"\n"
        if size + len(line) > MAX_BYTES:
            chunks.append([])
            size = 0
        chunks[-1].append(line)
        size += len(line)
    packed = []
    for lines in chunks:
        content = b"".join(lines)
        name = f"{stream}-{hashlib.sha256(content).hexdigest()}.jsonl"
        ref = ManifestRef(
            build_id=build_id, name=name, bytes=len(content), lines=len(lines), level=level
        )
        packed.append((ref, content))
    return packed


def parse_changes(content: bytes) -> list[Change]:
    """Parse the lines of a manifest.

    Raises:
        ValueError, KeyError, TypeError: they are none.
    """
    changes = []
    for line in content.split(b"\n"):
        if line:
            tree = json.loads(line)
            changes.append(Change(str(tree["list"]), tuple(map(str, tree["key"])), tree["row"]))
    return changes


def apply_changes(rows: Rows, changes: Iterable[Change]) -> None:
    """Apply changes to rows, in place."""
    for change in changes:
        if change.row is None:
            rows.setdefault(change.list, {}).pop(change.key, None)
        else:
            rows.setdefault(change.list, {})[change.key] = change.row


def merge_changes(changes: Iterable[Change], *, is_whole: bool) -> list[Change]:
    """Return one change of each key, the last; where there is nothing before them, none of those
    that have no row."""
    last = {(change.list, change.key): change for change in changes}
    return [change for change in last.values() if not is_whole or change.row is not None]


def read_manifest(root: str, ref: ManifestRef) -> bytes:
    """Read a manifest and compare it with the checksum in its name.

    Raises:
        RemovedError: it is missing.
        DamagedError: it is not as it was written.
        UnreachableError: the store does not answer.
    """
    filesystem, base = open_filesystem(root)
    with explain_storage_errors(root):
        try:
            content = bytes(filesystem.cat_file(f"{base}/{ref.path}"))
        except FileNotFoundError:
            raise RemovedError(
                f"dataset {root}: {ref.path} is missing; a version was committed with it, so it "
                "was removed since, by `headrace vacuum` or by hand; restore it from a backup; "
                "`headrace inspect` lists the versions that can be read"
            ) from None
    check_manifest(root, ref, content)
    return content


def check_manifest(root: str, ref: ManifestRef, content: bytes) -> None:
    """Check that a manifest's content is the one that its name says.

    Raises:
        DamagedError: it is not.
    """
    match = _NAME.fullmatch(ref.name)
    if match is None or hashlib.sha256(content).hexdigest() != match["digest"]:
        raise DamagedError(
            f"dataset {root}: {ref.path} is damaged: it is not the file that was written (its name "
            "has its SHA-256); restore it from a backup, or run `headrace prepare --full`"
        )


def read_changes(
    root: str, refs: Sequence[ManifestRef], known: Mapping[str, bytes] | None = None
) -> list[list[Change]]:
    """Read the changes of manifests, of each one by itself.

    Args:
        root: folder or URL of the dataset or the predictions.
        refs: the manifests.
        known: name of a manifest -> content that needs not be read.

    Raises:
        as `read_manifest`.
    """
    known = known or {}

    def read(ref: ManifestRef) -> list[Change]:
        if ref.name in known:
            content = known[ref.name]
            check_manifest(root, ref, content)
        else:
            content = read_manifest(root, ref)
        try:
            return parse_changes(content)
        except (ValueError, KeyError, TypeError) as error:
            raise DamagedError(
                f"dataset {root}: {ref.path} is damaged or of another Headrace: {error}"
            ) from None

    if len(refs) < 2:
        return [read(ref) for ref in refs]
    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        return list(pool.map(read, refs))
