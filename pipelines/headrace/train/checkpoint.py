"""Write, read, list and prune checkpoints: one file each, whole or absent.

They lie in a folder or an object store. A file is written under another name and renamed, or put
as one object. It is a zip of plain arrays (NumPy's `.npz`, never a pickle) with a CRC-32 for each
member, and its state has a manifest: name, dtype, shape and CRC-32 of every array. So whatever was
done to a file is detected when it is read; it is then skipped with a message, and the checkpoint
before it is used.

    PATH/TRAINING/ATTEMPT/step-000001234.ckpt     TRAINING: digest of the recipe and the dataset
    PATH/TRAINING/ATTEMPT/finished.json           nothing to continue here

When checkpoints are written, and what is in them, is decided elsewhere (`checkpoint_policy.py`,
`state.py`).
"""

import hashlib
import io
import json
import math
import os
import re
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from headrace.errors import FormatError, StoreError, TrainError
from headrace.file_lock import FileLock, LockState
from headrace.formats import CHECKPOINT
from headrace.lake.storage import describe_error, is_storage_error, open_filesystem
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.train.settings_check import collect_settings

_STATE, _MANIFEST = "state", "manifest"
_WITHOUT_MANIFEST = 1  # format
_NAME = re.compile(r"^step-(\d{9})\.ckpt$")
SHARD_NAME = re.compile(
    r"^step-(\d{9})\.table-\d+\.variable-\d+\.rank-\d{5}-of-\d{5}\.npy(\.aside)?$"
)
"""Of a file with rows of a sharded table, see `shard_files.py`."""
FINISHED = "finished.json"


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint that was read whole.

    Attributes:
        location: its path or URL.
        state: plain values, as `CheckpointPolicy` wrote them.
        arrays: by name.
    """

    location: str
    state: dict[str, Any]
    arrays: dict[str, np.ndarray]


def compute_training_id(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Return the recipe's name and a digest of all that determines the trained model.

    The number of ranks is not part of it: a training may be resumed on more or fewer.
    """
    identity = {**collect_settings(recipe), "dataset": dataset.digest}
    text = json.dumps(identity, sort_keys=True)
    return f"{recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def name_attempt() -> str:
    """Return a name for a new attempt that sorts after those of earlier ones."""
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    return f"{stamp}-{int(now % 1 * 1000):03d}-{os.getpid()}"


def name_checkpoint(step: int) -> str:
    """Return the name of the checkpoint that is written after a number of steps."""
    return f"step-{step:09d}.ckpt"


class Checkpoints:
    """The checkpoints of one training, of which each attempt has a folder.

    Attributes:
        root: folder or URL of the training.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._files, self._path = open_filesystem(self.root)
        self._is_local = "file" in _list_protocols(self._files)
        self._locks: dict[str, FileLock] = {}

    def list_unfinished(self) -> list[str]:
        """List the attempts that have a checkpoint and did not finish, the newest first."""
        attempts = []
        for attempt in sorted(self._list_names(""), reverse=True):
            names = self._list_names(attempt)
            if FINISHED not in names and any(map(_NAME.match, names)):
                attempts.append(attempt)
        return attempts

    def find_newest(self) -> str | None:
        """Return the location of the newest checkpoint that a training may continue, unread."""
        for attempt in self.list_unfinished():
            newest = max(filter(_NAME.match, self._list_names(attempt)), default=None)
            if newest:
                return f"{self.root}/{attempt}/{newest}"
        return None

    def lock_attempt(self, attempt: str) -> LockState:
        """Lock the attempt against other processes until this one ends, however it ends.

        Returns:
            `UNKNOWN` in an object store, and on a file system without locks.
        """
        if not self._is_local:
            return LockState.UNKNOWN
        if attempt not in self._locks:
            Path(f"{self._path}/{attempt}").mkdir(parents=True, exist_ok=True)
            self._locks[attempt] = FileLock(Path(f"{self._path}/{attempt}/.lock"))
        return self._locks[attempt].take()

    def read_newest(
        self, attempt: str, find_problem: Callable[[SavedCheckpoint], str] = lambda _: ""
    ) -> tuple[SavedCheckpoint | None, list[str]]:
        """Return the newest usable checkpoint of an attempt, and why newer ones were skipped.

        Args:
            attempt: see `name_attempt`.
            find_problem: returns why a whole checkpoint is of no use; "" where it is.

        Raises:
            FormatError: the newest whole one is of a format that this program cannot read.
        """
        skipped: list[str] = []
        for name in sorted(filter(_NAME.match, self._list_names(attempt)), reverse=True):
            try:
                saved = self.read(attempt, name)
                if problem := find_problem(saved):
                    skipped.append(problem)
                    continue
                return saved, skipped
            except FormatError:
                raise  # else a training that a newer Headrace began would start over
            except TrainError as error:
                skipped.append(str(error))
        return None, skipped

    def read(self, attempt: str, name: str) -> SavedCheckpoint:
        """Read one checkpoint.

        Raises:
            TrainError: it is truncated, damaged, of another format, or unreachable.
        """
        return read_checkpoint(f"{self.root}/{attempt}/{name}")

    def write_checkpoint(
        self, attempt: str, step: int, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> str:
        """Write one checkpoint, whole or not at all, and return its location.

        Args:
            attempt: see `name_attempt`.
            step: number of steps that were taken, over all epochs.
            state: plain values.
            arrays: by name.

        Raises:
            TrainError: the disk is full, or the store refuses.
        """
        buffer = io.BytesIO()
        manifest = {key: _describe_array(np.asarray(array)) for key, array in arrays.items()}
        tree = {CHECKPOINT.key: CHECKPOINT.current, **state, _MANIFEST: manifest}
        text = json.dumps(tree).encode()
        members: dict[str, Any] = {_STATE: np.frombuffer(text, np.uint8), **arrays}
        np.savez(buffer, **members)
        name = name_checkpoint(step)
        self._put_file(attempt, name, buffer.getvalue())
        return f"{self.root}/{attempt}/{name}"

    def mark_finished(self, attempt: str, values: Mapping[str, Any]) -> None:
        """Record that the attempt is finished, so that nobody continues it."""
        self._put_file(attempt, FINISHED, json.dumps(dict(values)).encode())

    def release_locks(self) -> None:
        """Release the locks that this process has on attempts."""
        for lock in self._locks.values():
            lock.release()

    def remove_older(self, attempt: str, keep: int, best_step: int | None) -> None:
        """Remove all checkpoints but the newest `keep` and the one written at `best_step`.

        With them go the files of their sharded tables, and those of checkpoints that were never
        finished, before the newest one.

        Raises:
            StoreError: one cannot be removed.
        """
        listed = self._list_names(attempt)
        names = sorted(filter(_NAME.match, listed))
        steps = {name: int(_NAME.match(name)[1]) for name in names}  # type: ignore[index]
        older = [n for n in names[: len(names) - keep] if steps[n] != best_step]
        kept = {steps[name] for name in names} - {steps[name] for name in older}
        matches = ((name, SHARD_NAME.match(name)) for name in listed)
        shards = [(name, int(match[1])) for name, match in matches if match]
        newest = max(kept, default=math.inf)
        # A checkpoint before its shards: there is none whose shards are gone.
        for name in (*older, *(n for n, step in shards if step not in kept and step < newest)):
            try:
                self._files.rm_file(f"{self._path}/{attempt}/{name}")
            except Exception as error:
                if not is_storage_error(error):
                    raise
                raise StoreError(
                    f"checkpoint {self.root}/{attempt}/{name} cannot be removed: "
                    f"{describe_error(error)}"
                ) from error

    def _list_names(self, attempt: str) -> list[str]:
        try:
            paths = self._files.ls(f"{self._path}/{attempt}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise TrainError(
                f"checkpoints {self.root} cannot be listed: {describe_error(error)}"
            ) from error
        return [PurePosixPath(path).name for path in paths]

    def _put_file(self, attempt: str, name: str, content: bytes) -> None:
        folder = f"{self._path}/{attempt}"
        path = f"{folder}/{name}"
        try:
            if not self._is_local:
                self._files.pipe_file(path, content)
                return
            self._files.makedirs(folder, exist_ok=True)
            temporary = Path(f"{path}.aside")
            try:
                with temporary.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise StoreError(
                f"checkpoint {self.root}/{attempt}/{name} of {len(content):,} bytes cannot be "
                f"written: {describe_error(error)}; free some space or set train.checkpoint.path, "
                "and run the same command again: it continues the newest whole checkpoint"
            ) from error


def read_checkpoint(location: str) -> SavedCheckpoint:
    """Read the checkpoint at a path or URL.

    Raises:
        TrainError: it is missing, truncated, damaged, or unreachable.
        FormatError: it is of another format.
    """
    root, _, name = location.rpartition("/")
    files, path = open_filesystem(root or ".")
    try:
        content = files.cat_file(f"{path}/{name}")
    except FileNotFoundError:
        raise TrainError(f"checkpoint {location} does not exist") from None
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise TrainError(
            f"checkpoint {location} cannot be read: {describe_error(error)}"
        ) from error
    try:
        arrays = _read_members(content)
        state = json.loads(arrays.pop(_STATE).tobytes())
        if not isinstance(state, dict):
            raise ValueError("its state is none")
    except Exception as error:  # of zlib, zipfile, NumPy and JSON: a damaged file brings up any
        reason = f"{type(error).__name__}: {error}"[:200]
        raise TrainError(f"checkpoint {location} is truncated or damaged ({reason})") from None
    version = CHECKPOINT.read_version(state)
    state = CHECKPOINT.migrate_tree(state, f"checkpoint {location}", FormatError)
    found = {key: _describe_array(array) for key, array in arrays.items()}
    if version != _WITHOUT_MANIFEST and found != state.pop(_MANIFEST, None):
        raise TrainError(
            f"checkpoint {location} is truncated or damaged (its arrays are not those of its "
            "manifest)"
        )
    return SavedCheckpoint(location, state, arrays)


def _read_members(content: bytes) -> dict[str, np.ndarray]:
    """Read the arrays of a zip, of which none takes more memory than the zip itself.

    Raises:
        ValueError, and what zipfile and NumPy raise: it is damaged.
    """
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > len(content):
                raise ValueError(f"{info.filename!r} is no member as they are written")
            member = archive.read(info)
            stream = io.BytesIO(member)
            version = np.lib.format.read_magic(stream)
            read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
            shape, is_fortran, dtype = read_header(stream)
            count = math.prod(shape)
            if dtype.hasobject or count * dtype.itemsize != len(member) - stream.tell():
                raise ValueError(f"{info.filename!r} is not as large as it says")
            array = np.frombuffer(member, dtype, count, stream.tell())
            name = info.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"{name!r} is there twice")
            arrays[name] = array.reshape(shape, order="F" if is_fortran else "C")
    return arrays


def _describe_array(array: np.ndarray) -> list[Any]:
    """Return dtype, shape and CRC-32 of an array, for the manifest."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return [array.dtype.str, list(array.shape), zlib.crc32(flat.view(np.uint8).data)]


def _list_protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def locate_checkpoints(recipe: Recipe, dataset: DatasetVersion, workdir: str) -> str:
    """Return the folder or URL of this training's checkpoints."""
    folder = recipe.train.checkpoint.path or str(Path(workdir).absolute() / "checkpoints")
    return f"{folder.rstrip('/')}/{compute_training_id(recipe, dataset)}"
