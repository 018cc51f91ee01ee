"""Write and read the files of a sidecar: what a build or job leaves beside its rows.

They are in `<root>/_headrace/<build id>/`. The underscore keeps readers of the table away. What the
files mean is left to `build.py` and `predictions.py`.
"""

from collections.abc import Mapping

from headrace.errors import DamagedError, RemovedError
from headrace.lake.safe_path import check_build_id
from headrace.lake.sidecar_sums import SUMS_FILE, format_sums, is_intact, parse_sums
from headrace.lake.storage import explain_storage_errors, open_filesystem, open_private

SIDECAR_ROOT = "_headrace"
"""Folder of the sidecars below the root of a dataset or of predictions."""
EXAMPLES_FILE = "raw_examples.parquet"
"""File of some raw rows of the build, as the transform reads them."""
ROW_SAMPLE_FILE = "row_sample.parquet"
"""File of a sample of the raw rows of the version, from which its statistics are computed."""
_PRIVATE_FILES = (EXAMPLES_FILE, ROW_SAMPLE_FILE)


def locate_sidecar(root: str, build_id: str) -> str:
    """Return the folder of a build's sidecar files."""
    return f"{root.rstrip('/')}/{SIDECAR_ROOT}/{build_id}"


def write_sidecar_files(root: str, build_id: str, texts: "Mapping[str, str | bytes]") -> None:
    """Write files of a sidecar, and their checksums; raw rows for this user alone.

    Args:
        root: folder or URL of the dataset or the predictions.
        build_id: of the build or job.
        texts: file name -> content.
    """
    filesystem, path = open_filesystem(locate_sidecar(root, build_id))
    filesystem.makedirs(path, exist_ok=True)
    contents = {name: t.encode() if isinstance(t, str) else t for name, t in texts.items()}
    for name, content in {SUMS_FILE: format_sums(contents), **contents}.items():
        is_private = name in _PRIVATE_FILES
        file = f"{path}/{name}"
        opened = open_private(filesystem, file) if is_private else filesystem.open(file, "wb")
        with opened as stream:
            stream.write(content)


def remove_sidecar(root: str, build_id: str) -> None:
    """Remove the sidecar of a build or job that failed, if it wrote one."""
    filesystem, path = open_filesystem(locate_sidecar(root, build_id))
    if filesystem.exists(path):
        filesystem.rm(path, recursive=True)


def read_sidecar_text(root: str, build_id: str, name: str) -> str:
    """Read one of the sidecar's text files.

    Raises:
        RemovedError: the file is missing.
        DamagedError: it is not as it was written.
        UnreachableError: the store does not answer.
    """
    content = read_sidecar_bytes(root, build_id, name)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        path = f"{locate_sidecar(root, build_id)}/{name}"
        raise DamagedError(f"dataset {root}: {path} is damaged: {error}") from None


def read_sidecar_bytes(root: str, build_id: str, name: str) -> bytes:
    """Read one of the sidecar's files as bytes; raise like `read_sidecar_text`.

    Raises:
        DamagedError: the id, which a commit or a record names, is that of no build.
    """
    try:
        check_build_id(build_id)
    except ValueError as error:
        raise DamagedError(f"dataset {root}: {error}, so its log or a record is damaged") from None
    path = f"{locate_sidecar(root, build_id)}/{name}"
    filesystem, store_path = open_filesystem(path)
    with explain_storage_errors(root):
        try:
            content = bytes(filesystem.cat_file(store_path))
        except FileNotFoundError:
            raise RemovedError(
                f"dataset {root}: {path} is missing; the version was committed with it, so it was "
                "removed since, by `headrace vacuum` or by hand; `headrace inspect` lists the "
                "versions that can be read"
            ) from None
        sums = _read_sums(root, build_id)
    if not is_intact(name, content, sums):
        raise DamagedError(
            f"dataset {root}: {path} is damaged: it is not the file that was written (SHA-256, see "
            f"{SUMS_FILE} beside it); restore it from a backup, or run `headrace prepare --refit`"
        )
    return content


def check_has_sums(root: str, build_id: str, has_sums: bool) -> None:
    """Check that a sidecar of a format with checksums has them.

    Raises:
        DamagedError: they are gone.
    """
    if has_sums and not _read_sums(root, build_id):
        path = f"{locate_sidecar(root, build_id)}/{SUMS_FILE}"
        raise DamagedError(f"dataset {root}: {path} is missing; restore it from a backup")


def _read_sums(root: str, build_id: str) -> dict[str, set[str]]:
    """Read the checksums of a sidecar; empty where an older Headrace wrote none.

    Raises:
        DamagedError: they are damaged.
    """
    path = f"{locate_sidecar(root, build_id)}/{SUMS_FILE}"
    filesystem, store_path = open_filesystem(path)
    try:
        return parse_sums(bytes(filesystem.cat_file(store_path)))
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DamagedError(
            f"dataset {root}: {path} is damaged: {error}; restore it from a backup"
        ) from None
