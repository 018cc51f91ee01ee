"""Walk the files below a folder, on any store, so that none is passed over silently.

The walks of `os`, `glob` and fsspec leave out what they cannot list; a folder whose mode changed
would look like one that was deleted. Here, what cannot be listed is an error that names it, and so
are a folder that contains a link to itself and one file under two names, whose rows would be read
twice.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from fsspec.implementations.local import LocalFileSystem

from headrace.errors import LakeError

_MAGIC = re.compile(r"[*?\[{]")
# Stores that list all keys below a prefix at once, and end with an error where they cannot.
_FLAT_STORES = {"s3", "s3a", "gs", "gcs"}


@dataclass(frozen=True)
class WalkedFile:
    """A file that was found.

    Attributes:
        path: on its file system.
        bytes: its size.
        changed: what differs after a change: the time in ns since 1970, or an object's ETag.
    """

    path: str
    bytes: int
    changed: str


@dataclass
class Walk:
    """What lies below a folder.

    Attributes:
        files: found files, in no order.
        skipped: paths of files and folders that are no data by their names; skipped folders were
            not looked into.
    """

    files: list[WalkedFile] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)


def is_hidden_name(name: str) -> bool:
    """Return whether a file or folder of this name is no data, as for Spark and Hive.

    The folders of partitions may begin with `_`; `lost+found` is made by the file system.
    """
    return name.startswith(".") or (name.startswith("_") and "=" not in name) or (
        name == "lost+found"
    )  # fmt: skip


def has_pattern(path: str) -> bool:
    """Return whether a path has a character of patterns: it may be one of several paths."""
    return _MAGIC.search(path) is not None


def walk_folder(filesystem: Any, base: str) -> Walk:
    """List every file below a folder; links are followed, as by Spark.

    Args:
        filesystem: fsspec's.
        base: a folder on it.

    Raises:
        LakeError: a link leads to a folder that it is in, or two names to one file.
        OSError: something cannot be listed; or an error of the store.
    """
    walk = Walk()
    if isinstance(filesystem, LocalFileSystem):
        _walk_local_folder(base, walk, parents=(), names={})
    elif _FLAT_STORES & {*_list_protocols(filesystem)}:
        for path, info in filesystem.find(base, detail=True).items():
            _add_object(walk, base, str(path), info)
    else:
        _walk_remote_folder(filesystem, base, base, walk)
    return walk


def expand_pattern(filesystem: Any, pattern: str) -> list[str]:
    """Find the paths that match a pattern of Hadoop: `*`, `?`, `[a-c]`, `[^a]`, `{a,b}`, `\\*`.

    Args:
        filesystem: fsspec's.
        pattern: absolute on it.

    Returns:
        files and folders, sorted; hidden ones are left out where their name was not spelt out.

    Raises:
        OSError: a folder that may hold matches cannot be listed; or an error of the store.
    """
    matches: set[str] = set()
    for alternative in _expand_braces(pattern):
        parts = alternative.split("/")
        level = {""}
        for part in parts[1:] if alternative.startswith("/") else parts:
            if has_pattern(part) or "\\" in part:
                matcher = re.compile(_translate_part(part))
                level = {
                    path
                    for folder in level
                    for path in list_folder(filesystem, folder or "/")
                    if matcher.fullmatch(name := path.rpartition("/")[2])
                    and not is_hidden_name(name)
                }
            else:
                absolute = alternative.startswith("/")
                level = {f"{f}/{part}" if f or absolute else part for f in level}
        matches |= {path for path in level if find_info(filesystem, path) is not None}
    return sorted(matches)


def find_files(filesystem: Any, base: str) -> dict[str, dict[str, Any]]:
    """Find every file below a folder, hidden ones included; nothing where there is no folder.

    fsspec's own `find` passes over folders that it cannot list.

    Returns:
        path -> what the store knows of the file, sorted.

    Raises:
        OSError: something cannot be listed; or an error of the store.
    """
    if _FLAT_STORES & {*_list_protocols(filesystem)}:
        return dict(sorted(filesystem.find(base, detail=True).items()))
    found: dict[str, dict[str, Any]] = {}
    waiting = [base]
    while waiting:
        folder = waiting.pop()
        try:
            entries = filesystem.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for info in entries:
            if info["type"] == "directory":
                waiting.append(str(info["name"]))
            else:
                found[str(info["name"])] = info
    return dict(sorted(found.items()))


def list_folder(filesystem: Any, folder: str) -> list[str]:
    """List the paths of what is in a folder; nothing where there is no such folder.

    Raises:
        OSError: it cannot be listed; or an error of the store.
    """
    try:
        names = [str(path).rstrip("/") for path in filesystem.ls(folder, detail=False)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [path for path in names if path and path != folder.rstrip("/")]


def find_info(filesystem: Any, path: str) -> dict[str, Any] | None:
    """Find what the store knows of a path; None where there is nothing.

    Raises:
        OSError: it cannot be looked at; or an error of the store.
    """
    try:
        if isinstance(filesystem, LocalFileSystem):
            status = Path(path).stat()  # fsspec has no error for a broken link
            kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
            changed = {"size": status.st_size, "mtime_ns": status.st_mtime_ns}
            return {"name": path, "type": kind, **changed}
        info: dict[str, Any] = filesystem.info(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return info


def make_walked_file(path: str, info: dict[str, Any]) -> WalkedFile:
    """Make the entry of a file from what `find_info` returned."""
    changed = str(info["mtime_ns"]) if "mtime_ns" in info else _get_change_token(info)
    return WalkedFile(path, int(info["size"]), changed)


def _walk_local_folder(
    folder: str,
    walk: Walk,
    parents: tuple[tuple[int, int], ...],
    names: dict[tuple[int, int], str],
) -> None:
    """Add what is in a folder to the walk.

    Args:
        folder: to look into.
        walk: is added to.
        parents: device and inode of the folders that it is in.
        names: device and inode of the files so far, and their paths; is added to.
    """
    status = Path(folder).stat()
    identity = (status.st_dev, status.st_ino)
    if identity in parents:
        raise LakeError(f"{folder} is a link to a folder that it is in; remove the link")
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = f"{folder}/{entry.name}"
            if is_hidden_name(entry.name):
                walk.skipped.append(path)
            elif entry.is_dir():
                _walk_local_folder(path, walk, (*parents, identity), names)
            else:
                status = entry.stat()
                first = names.setdefault((status.st_dev, status.st_ino), path)
                if first != path and _is_same_file(first, path, status):
                    raise LakeError(
                        f"{first} and {path} are the same file, so its rows would be read twice; "
                        "remove the link"
                    )
                walk.files.append(WalkedFile(path, status.st_size, str(status.st_mtime_ns)))


def _is_same_file(first: str, second: str, status: os.stat_result) -> bool:
    """Return whether two paths of one inode are one file: some file systems number none."""
    return status.st_nlink > 1 or os.path.realpath(first) == os.path.realpath(second)


def _walk_remote_folder(filesystem: Any, base: str, folder: str, walk: Walk) -> None:
    for info in filesystem.ls(folder, detail=True):
        path = str(info["name"]).rstrip("/")
        if path == folder.rstrip("/"):
            continue  # an empty object that stands for the folder
        if info["type"] == "directory" and not is_hidden_name(path.rpartition("/")[2]):
            _walk_remote_folder(filesystem, base, path, walk)
        else:
            _add_object(walk, base, path, info)


def _add_object(walk: Walk, base: str, path: str, info: dict[str, Any]) -> None:
    name = path[len(base) :].removeprefix("/")
    if not name or name.endswith("/"):
        return  # an empty object that stands for a folder
    if "//" in path or name.startswith("/"):
        raise LakeError(
            f"{path} has a folder without a name, which Spark takes for its parent; rename the key"
        )
    hidden = next((i for i, part in enumerate(name.split("/")) if is_hidden_name(part)), None)
    if hidden is None:
        walk.files.append(WalkedFile(path, int(info["size"]), _get_change_token(info)))
        return
    skipped = "/".join([base.rstrip("/"), *name.split("/")[: hidden + 1]])
    if skipped not in walk.skipped[-1:]:
        walk.skipped.append(skipped)


def _get_change_token(info: dict[str, Any]) -> str:
    """Return what differs after a change of an object: its ETag, or its time."""
    for key in ("ETag", "etag", "md5", "content_settings", "LastModified", "mtime", "updated"):
        if value := info.get(key):
            return value.isoformat() if isinstance(value, datetime) else str(value)
    return ""


def _list_protocols(filesystem: Any) -> tuple[str, ...]:
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)


def _expand_braces(pattern: str) -> Iterator[str]:
    """Expand `{a,b}`, innermost last; a brace that is not closed stands for itself."""
    opening = _find_unescaped(pattern, "{", 0)
    depth, parts, start = 0, [], opening + 1
    if opening < 0:
        yield pattern
        return
    position = opening
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
        if (character == "," and depth == 1) or (character == "}" and depth == 0):
            parts.append(pattern[start:position])
            start = position + 1
        if depth == 0:
            break
        position += 1
    if depth:
        yield pattern[:opening] + "\\{" + pattern[opening + 1 :]
        return
    for part in parts:
        yield from _expand_braces(pattern[:opening] + part + pattern[position + 1 :])


def _find_unescaped(text: str, character: str, start: int) -> int:
    position = text.find(character, start)
    while position > 0 and text[position - 1] == "\\":
        position = text.find(character, position + 1)
    return position


def _translate_part(part: str) -> str:
    """Translate the pattern of one name to a regular expression."""
    pieces, position = [], 0
    replace: dict[str, Callable[[], str]] = {"*": lambda: "[^/]*", "?": lambda: "[^/]"}
    while position < len(part):
        character = part[position]
        end = part.find("]", position + 2)
        if character == "\\" and position + 1 < len(part):
            position += 1
            pieces.append(re.escape(part[position]))
        elif character == "[" and end > 0:
            inside = part[position + 1 : end]
            negated = inside[0] in "^!"
            chosen = inside[negated:].replace("\\", r"\\").replace("[", r"\[")
            pieces.append(f"[{'^' if negated else ''}{chosen}]")
            position = end
        else:
            pieces.append(replace[character]() if character in replace else re.escape(character))
        position += 1
    return "".join(pieces)
