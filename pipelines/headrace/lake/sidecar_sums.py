"""Keep checksums of a sidecar's files beside them, and compare them wherever one is read.

The file is that of `sha256sum`, which checks it too. A damaged number in a record or a profile is
valid JSON: only a checksum tells. Files that tasks write by themselves (quarantine, keys) are not
in it: they are Parquet with checksums of their pages. Who may write to a dataset can write
checksums as well: this finds damage, and keeps nobody out.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

SUMS_FILE = "SHA256SUMS"


def format_sums(contents: Mapping[str, bytes]) -> bytes:
    """Format the checksums of files, by name, as `sha256sum` does."""
    lines = [f"{hashlib.sha256(c).hexdigest()}  {name}\n" for name, c in sorted(contents.items())]
    return "".join(lines).encode()


def parse_sums(content: bytes) -> dict[str, set[str]]:
    """Parse such a file: name -> checksums that the file of that name may have.

    Raises:
        ValueError: it is damaged.
    """
    sums: dict[str, set[str]] = {}
    for line in content.decode().splitlines():
        digest, separator, name = line.partition("  ")
        if not separator or not name or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError(f"{line[:80]!r} is no line of checksums")
        sums.setdefault(name, set()).add(digest)
    if not sums:
        raise ValueError("it has no line")
    return sums


def is_intact(name: str, content: bytes, sums: Mapping[str, set[str]]) -> bool:
    """Return whether a file's content is as it was written; true for one that has no checksum."""
    return name not in sums or hashlib.sha256(content).hexdigest() in sums[name]


def rewrite_file(filesystem: Any, path: str, content: bytes | None) -> None:
    """Rewrite or remove a file of a sidecar such that its checksums agree at every moment.

    Args:
        filesystem: fsspec file system.
        path: of the file, directly in the sidecar or below it.
        content: new content; None to remove the file.
    """
    folder, _, name = path.rpartition("/")
    sums_path = f"{folder}/{SUMS_FILE}"
    sums = parse_sums(filesystem.cat_file(sums_path)) if filesystem.exists(sums_path) else {}
    if name not in sums:
        _write(filesystem, path, content)
        return
    new = {name: {hashlib.sha256(content).hexdigest()}} if content is not None else {}
    if content is not None:  # for the time until the file is written, both are right
        _write_sums(filesystem, sums_path, {**sums, name: sums[name] | new[name]})
    _write(filesystem, path, content)
    others = {other: digests for other, digests in sums.items() if other != name}
    _write_sums(filesystem, sums_path, {**others, **new})


def _write(filesystem: Any, path: str, content: bytes | None) -> None:
    if content is None:
        filesystem.rm_file(path)
    else:
        filesystem.pipe_file(path, content)


def _write_sums(filesystem: Any, path: str, sums: Mapping[str, set[str]]) -> None:
    lines = [f"{digest}  {name}\n" for name in sorted(sums) for digest in sorted(sums[name])]
    filesystem.pipe_file(path, "".join(lines).encode())
