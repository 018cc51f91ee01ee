"""Checkpoints: one file each, whole or absent, in a folder or an object store.

A file is written aside and renamed, or put as one object. It is a zip of plain arrays (NumPy's
`.npz`, never a pickle) with a CRC-32 a member, so that one that was cut or damaged is found when it
is read, and passed over with a word for the one before it.

    PATH/TRAINING/ATTEMPT/step-000001234.ckpt     TRAINING: what is trained on what (its digest)
    PATH/TRAINING/ATTEMPT/finished.json           nothing to continue here

Writing goes on beside the training. An error of it is raised at the next checkpoint or at the end:
a training that could not be continued is not worth a night.
"""

import fcntl
import hashlib
import io
import json
import os
import re
import time
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from headrace.errors import FormatError, TrainError
from headrace.formats import CHECKPOINT
from headrace.lake.storage import is_storage_error, open_files, said
from headrace.lake.version import DatasetVersion
from headrace.recipe import Recipe
from headrace.recipe.base import identifying

_STATE = "state"
_NAME = re.compile(r"^step-(\d{9})\.ckpt$")
_FINISHED = "finished.json"
# Keys of `train` that change neither what is learnt nor from what.
_NOT_LEARNT = (
    "ranks", "threads_per_rank", "collective_timeout", "step_timeout", "compare_every",
    "max_restarts", "checkpoint", "min_ranks", "max_ranks", "launcher",
)  # fmt: skip


@dataclass(frozen=True)
class Saved:
    """A checkpoint that was read whole.

    Attributes:
        place: its folder or URL.
        state: plain values.
        arrays: by name.
    """

    place: str
    state: dict[str, Any]
    arrays: dict[str, np.ndarray]


def training_id(recipe: Recipe, dataset: DatasetVersion) -> str:
    """Digest of all that decides what comes out of a training, the number of ranks aside."""
    tree = identifying(recipe)
    learnt = {key: value for key, value in tree["train"].items() if key not in _NOT_LEARNT}
    stream = {k: tree["stream"][k] for k in ("canonical_shards", "shuffle", "block_rows")}
    stream["last_batch"] = tree["stream"]["last_batch"]
    what = {"model": tree["model"], "train": learnt, "stream": stream, "dataset": dataset.digest}
    text = json.dumps(what, sort_keys=True)
    return f"{recipe.name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


class Checkpoints:
    """The checkpoints of one training; attempts of it lie side by side.

    Attributes:
        root: folder or URL of the training.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")
        self._files, self._path = open_files(self.root)
        self._is_local = "file" in _protocols(self._files)
        self._locks: list[IO[str]] = []

    def unfinished(self) -> list[str]:
        """Attempts that have a checkpoint and did not finish, the newest first."""
        found = []
        for attempt in sorted(self._names(""), reverse=True):
            names = self._names(attempt)
            if _FINISHED not in names and any(map(_NAME.match, names)):
                found.append(attempt)
        return found

    def hold(self, attempt: str) -> bool:
        """Keep other processes from the attempt until this one ends, however it ends.

        Only in folders: an object store has no such lock.

        Returns:
            False where another process has it.
        """
        if not self._is_local:
            return True
        Path(f"{self._path}/{attempt}").mkdir(parents=True, exist_ok=True)
        lock = Path(f"{self._path}/{attempt}/.lock").open("w")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._locks.append(lock)
        return True

    def new_attempt(self) -> str:
        """A name that sorts after all before it."""
        now = time.time()
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
        return f"{stamp}-{int(now % 1 * 1000):03d}-{os.getpid()}"

    def newest(self, attempt: str) -> tuple[Saved | None, list[str]]:
        """The newest whole checkpoint of an attempt, and why newer ones were passed over.

        Raises:
            FormatError: the newest whole one is of a format that this program cannot read.
        """
        passed: list[str] = []
        for name in sorted(filter(_NAME.match, self._names(attempt)), reverse=True):
            try:
                return self.read(attempt, name), passed
            except FormatError:
                raise  # a training that a newer Headrace began is not begun anew by this one
            except TrainError as error:
                passed.append(str(error))
        return None, passed

    def read(self, attempt: str, name: str) -> Saved:
        """One checkpoint.

        Raises:
            TrainError: it is cut, damaged, of another format, or out of reach.
        """
        return read_checkpoint(f"{self.root}/{attempt}/{name}")

    def write(
        self, attempt: str, step: int, state: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
    ) -> str:
        """Write one, whole or not at all; returns its place.

        Raises:
            TrainError: the disk is full, or the store refuses.
        """
        buffer = io.BytesIO()
        text = json.dumps({CHECKPOINT.key: CHECKPOINT.current, **state}).encode()
        members: dict[str, Any] = {_STATE: np.frombuffer(text, np.uint8), **arrays}
        np.savez(buffer, **members)
        name = f"step-{step:09d}.ckpt"
        self._put(attempt, name, buffer.getvalue())
        return f"{self.root}/{attempt}/{name}"

    def finish(self, attempt: str, facts: Mapping[str, Any]) -> None:
        """Say that there is nothing to continue."""
        self._put(attempt, _FINISHED, json.dumps(dict(facts)).encode())

    def remove_but(self, attempt: str, keep: int, best_step: int | None) -> None:
        """Remove all but the newest `keep`, and the one that was written at `best_step`."""
        names = sorted(filter(_NAME.match, self._names(attempt)))
        for name in names[:-keep]:
            if int(_NAME.match(name)[1]) != best_step:  # type: ignore[index]
                self._files.rm_file(f"{self._path}/{attempt}/{name}")

    def _names(self, attempt: str) -> list[str]:
        try:
            found = self._files.ls(f"{self._path}/{attempt}".rstrip("/"), detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise TrainError(f"checkpoints {self.root} cannot be listed: {said(error)}") from error
        return [PurePosixPath(path).name for path in found]

    def _put(self, attempt: str, name: str, content: bytes) -> None:
        folder = f"{self._path}/{attempt}"
        place = f"{folder}/{name}"
        try:
            if not self._is_local:
                self._files.pipe_file(place, content)
                return
            self._files.makedirs(folder, exist_ok=True)
            aside = Path(f"{place}.aside")
            try:
                with aside.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                aside.replace(place)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise
        except Exception as error:
            if not is_storage_error(error):
                raise
            raise TrainError(
                f"checkpoint {self.root}/{attempt}/{name} of {len(content):,} bytes cannot be "
                f"written: {said(error)}; make room or set train.checkpoint.path, and run the same "
                "command again: it continues the newest whole checkpoint"
            ) from error


class CheckpointWriter:
    """Writes one checkpoint at a time beside the training."""

    def __init__(self, checkpoints: Checkpoints, attempt: str, keep: int) -> None:
        self._checkpoints, self._attempt, self._keep = checkpoints, attempt, keep
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="headrace-checkpoint")
        self._pending: Future[None] | None = None

    def write(
        self,
        step: int,
        state: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        best_step: int | None,
    ) -> None:
        """Write, once the one before is written; the arrays must not change any more.

        Raises:
            TrainError: the one before could not be written.
        """
        self.wait()

        def written() -> None:
            self._checkpoints.write(self._attempt, step, state, arrays)
            self._checkpoints.remove_but(self._attempt, self._keep, best_step)

        self._pending = self._thread.submit(written)

    def wait(self) -> None:
        """Until all is written.

        Raises:
            TrainError: it could not be.
        """
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def close(self) -> None:
        """End the thread, without an error."""
        self._thread.shutdown(wait=True)


def read_checkpoint(place: str) -> Saved:
    """A checkpoint by its folder or URL.

    Raises:
        TrainError: it is missing, cut, damaged, or out of reach.
        FormatError: it is of another format.
    """
    root, _, name = place.rpartition("/")
    files, path = open_files(root or ".")
    try:
        content = files.cat_file(f"{path}/{name}")
        with np.load(io.BytesIO(content), allow_pickle=False) as members:
            arrays = {key: members[key] for key in members.files}
        state = json.loads(arrays.pop(_STATE).tobytes())
    except FileNotFoundError:
        raise TrainError(f"checkpoint {place} is not there") from None
    except (zipfile.BadZipFile, ValueError, KeyError, EOFError, zipfile.LargeZipFile) as error:
        raise TrainError(f"checkpoint {place} is cut or damaged ({error})") from None
    except Exception as error:
        if not is_storage_error(error):
            raise
        raise TrainError(f"checkpoint {place} cannot be read: {said(error)}") from error
    state = CHECKPOINT.migrated(state, f"checkpoint {place}", FormatError)
    return Saved(place, state, arrays)


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def checkpoint_root(recipe: Recipe, dataset: DatasetVersion, workdir: str) -> str:
    """Where the checkpoints of this training lie."""
    below = recipe.train.checkpoint.path or str(Path(workdir).absolute() / "checkpoints")
    return f"{below.rstrip('/')}/{training_id(recipe, dataset)}"
