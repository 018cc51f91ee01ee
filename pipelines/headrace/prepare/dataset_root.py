"""Refuse a place for dataset versions that cannot be one."""

from typing import Any

from headrace.errors import DatasetError
from headrace.lake.commit import SPLIT_COLUMN
from headrace.lake.data_file import SPLITS
from headrace.lake.sidecar import SIDECAR_ROOT
from headrace.lake.storage import explain_storage_errors, open_filesystem, refuse_ambiguous_root


def check_root(root: str) -> None:
    """Refuse a folder that holds something else, or cannot be reached, before any work is done.

    Args:
        root: of the dataset, as `resolve_root` returns it.

    Raises:
        DatasetError: it is a file, holds something else, cannot be reached, or has an ambiguous
            name.
    """
    refuse_ambiguous_root(root)
    files, path = open_filesystem(root)
    with explain_storage_errors(root):
        _check_folder(root, files, path)


def _check_folder(root: str, files: Any, path: str) -> None:
    if files.exists(path) and not files.isdir(path):
        raise DatasetError(f"dataset.path {root} is a file, expected a folder")
    if files.isdir(path) and files.ls(path) and not files.isdir(f"{path}/_delta_log"):
        paths = {str(p).rstrip("/") for p in files.ls(path, detail=False)} - {path}
        names = {p.rpartition("/")[2] for p in paths}
        # What file systems, stores and desktops leave in a new folder.
        names -= {name for name in names if name.startswith(".") or name == "lost+found"}
        # What a first build that died leaves.
        own_names = {SIDECAR_ROOT, *(f"{SPLIT_COLUMN}={split}" for split in SPLITS)}
        if names - own_names:
            raise DatasetError(
                f"dataset.path {root} holds {', '.join(sorted(names - own_names)[:3])}, which is "
                "not a dataset of Headrace; choose another folder"
            )
