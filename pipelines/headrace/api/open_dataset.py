"""Find a dataset by its path or its name, and open a version of it."""

import os
from pathlib import Path

from headrace.api.dataset import Dataset
from headrace.api.names import suggest_name
from headrace.errors import DatasetError, OptionError

_WORKDIR = "HEADRACE_WORKDIR"


def choose_workdir(workdir: "str | os.PathLike[str] | None") -> str:
    """Choose the folder of all outputs, as the commands do: HEADRACE_WORKDIR, else `var`."""
    return os.fspath(workdir) if workdir is not None else os.environ.get(_WORKDIR, "var")


def open_dataset(
    path_or_name: "str | os.PathLike[str]",
    version: int | None = None,
    *,
    workdir: "str | os.PathLike[str] | None" = None,
) -> Dataset:
    """Open a version of a dataset that `headrace prepare` published; no rows are read.

    Args:
        path_or_name: folder or URL of a dataset; or the name of one in `datasets` below the
            workdir, where `headrace init` has them.
        version: number of the version; the newest by default.
        workdir: where names are looked up; HEADRACE_WORKDIR by default, else `var`.

    Raises:
        DatasetError: there is no such dataset or version, or Headrace did not publish it.
        OptionError: what was given is a recipe.

    Example: headrace.open("flights").to_pandas("test")
    """
    from headrace.lake.version import DatasetVersion

    root = _locate_dataset(os.fspath(path_or_name), Path(choose_workdir(workdir)) / "datasets")
    return Dataset(DatasetVersion.open(root, version))


def _locate_dataset(text: str, folder: Path) -> str:
    if Path(text).suffix in (".yaml", ".yml") and Path(text).is_file():
        raise OptionError(
            f"{text} is a recipe: open its dataset.path, or run it with headrace.run({text!r})"
        )
    if "://" in text or (Path(text) / "_delta_log").is_dir():
        return text
    if len(Path(text).parts) == 1 and not text.startswith("."):
        if (folder / text).is_dir():
            return str(folder / text)
        known = sorted(path.name for path in folder.glob("*") if path.is_dir())
        near = suggest_name(text, known, "dataset") if known else "run `headrace prepare` first"
        raise DatasetError(f"there is no dataset {text!r}, neither here nor in {folder} ({near})")
    return text
