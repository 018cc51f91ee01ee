"""Find the files of vocabularies beside a dataset's `transform.json`, and write them there.

They are written by a task before the commit, as `features.text_file` has them. On a store that is
no folder of this machine a file is copied to a scratch folder of this user, once for all processes;
copies that nobody used for a week are removed when another is made.
"""

import getpass
import os
import shutil
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.errors import RemovedError
from headrace.features.text_file import TextFile
from headrace.lake.sidecar import SIDECAR_ROOT, locate_sidecar
from headrace.lake.storage import explain_storage_errors, is_local, open_filesystem

_UNUSED_SECONDS = 7 * 24 * 3600


@dataclass(frozen=True)
class SidecarVocabularyFiles:
    """The files in the sidecar of the build that fitted a transform; see `TextFiles`.

    Attributes:
        root: the dataset's folder or URL.
        build_id: of the build.
    """

    root: str
    build_id: str

    def locate_file(self, name: str) -> str:
        """Return the path on this machine of the file of a name, which may be a copy.

        Raises:
            RemovedError: the file is missing.
            UnreachableError: the store does not answer.
        """
        url = f"{locate_sidecar(self.root, self.build_id)}/{name}"
        filesystem, path = open_filesystem(url)
        with explain_storage_errors(self.root):
            if is_local(filesystem):
                if Path(path).is_file():
                    return str(path)
                raise _make_missing_error(self.root, url)
            copy = _open_scratch_folder() / name
            if not copy.is_file():
                try:
                    _copy_file(filesystem, path, copy)
                except FileNotFoundError:
                    raise _make_missing_error(self.root, url) from None
            os.utime(copy)
            return str(copy)

    def write_file(self, file: TextFile) -> None:
        """Write a file beside the transform; no reader sees a part of it.

        Raises:
            UnreachableError: the store refused, or does not answer.
        """
        filesystem, folder = open_filesystem(locate_sidecar(self.root, self.build_id))
        with explain_storage_errors(self.root):
            filesystem.makedirs(folder, exist_ok=True)
            if not is_local(filesystem):  # a store has an object once all of it was sent
                filesystem.put_file(file.path, f"{folder}/{file.name}")
                return
            aside = Path(folder) / f"{file.name}.{uuid.uuid4().hex}.part"
            try:
                shutil.copyfile(file.path, aside)
                aside.replace(Path(folder) / file.name)
            finally:
                aside.unlink(missing_ok=True)


def locate_text_file(build_id: str, name: str) -> str:
    """Return the path of a file, relative to the dataset's root."""
    return f"{SIDECAR_ROOT}/{build_id}/{name}"


def _make_missing_error(root: str, url: str) -> RemovedError:
    return RemovedError(
        f"dataset {root}: {url}, the file of a vocabulary, is missing; it was removed since the "
        "version was committed, by `headrace vacuum` or by hand. Restore it from a backup, or run "
        "`headrace prepare --refit`"
    )


def _open_scratch_folder() -> Path:
    """Return the folder of copies, which nobody else writes to."""
    folder = Path(tempfile.gettempdir()) / f"headrace-texts-{getpass.getuser()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077 or folder.is_symlink():
        return Path(tempfile.mkdtemp(prefix="headrace-texts-"))
    return folder


def _copy_file(filesystem: Any, path: str, copy: Path) -> None:
    for old in copy.parent.iterdir():
        with suppress(FileNotFoundError):
            if old.stat().st_mtime < time.time() - _UNUSED_SECONDS:
                old.unlink()
    aside = copy.with_name(f"{copy.name}.{uuid.uuid4().hex}.part")
    try:
        filesystem.get_file(path, str(aside))
        aside.replace(copy)
    finally:
        aside.unlink(missing_ok=True)
