"""Check in the first second of a command what would end it after hours: user, folders, rights."""

import errno
import os
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.addresses import find_folder_problem
from headrace.errors import HeadraceError, MachineError, OptionError
from headrace.redaction import redact_text

if TYPE_CHECKING:
    from headrace.recipe import Recipe
    from headrace.recipe.sections import Spark
    from headrace.stream.block_reader import Engine

# Errors of the system that whoever runs a command can mend, and a developer cannot.
_ENVIRONMENT = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG,
     errno.ENOTDIR, errno.EMFILE, errno.ENFILE, errno.ELOOP}
)  # fmt: skip
# Those of them that pass, so that the same command may succeed later.
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})

_FIXES = {"reached": "is it running, and may this host reach it?"}


def check_first(
    workdir: str,
    *,
    spark: "Spark | None" = None,
    dataset: str = "",
    checkpoints: str | None = None,
    engine: "Engine | None" = None,
) -> None:
    """Check what a command needs of this machine and its stores before anything is started.

    Args:
        workdir: local folder of the command.
        spark: settings of its Spark; None where it needs none.
        dataset: root of what it publishes; "" where it publishes nothing.
        checkpoints: folder or URL, where one is configured.
        engine: what its ranks read with; None where it starts none.

    Raises:
        OptionError: the workdir cannot be written to.
        StreamError: the engine is not installed; it says what to do.
        MachineError: something is missing; it says what to do.
    """
    check_workdir(workdir)
    if engine:
        from headrace.stream.block_reader import check_engine

        check_engine(engine)
    if spark is not None:
        from headrace.spark_session import check_user, starts_java

        if starts_java(spark):
            check_user()
    for what, root in (("the dataset", dataset), ("checkpoints", checkpoints)):
        if root:
            check_writable(root, what)


def check_recipe_folders(recipe: "Recipe", workdir: str, *, trains: bool, prepares: bool) -> None:
    """Check what the stages of a recipe write, and what ranks read with; see `check_first`."""
    check_first(
        workdir,
        spark=recipe.spark if prepares else None,
        dataset=recipe.dataset.path if prepares else "",
        checkpoints=recipe.train.checkpoint.path if trains else None,
        engine=recipe.stream.engine if trains else None,
    )


def check_tables(recipe: "Recipe") -> None:
    """Check what is certain of a recipe's local tables before MLflow and Spark start.

    Raises:
        LakeError: a table is not there, or a column is in none of its files.
    """
    from headrace.source.first_look import refuse_certain_mistakes

    refuse_certain_mistakes(recipe)


def check_functions(recipe: "Recipe") -> None:
    """Check that the module of the user's own model is there, before its dataset is prepared.

    It is not imported. Where ranks are on other machines, these have it, or do not.

    Raises:
        RecipeError: there is no such module.
    """
    from headrace.user_function import compute_source_digest

    if recipe.model.kind == "python" and recipe.train.launcher.kind in ("auto", "local"):
        compute_source_digest(recipe.model.function, "model.function", recipe.folder)


def check_workdir(workdir: str) -> None:
    """Check that the workdir can be made and written to.

    Raises:
        OptionError: it never can.
        MachineError: its file system is full.
    """
    if problem := find_folder_problem(workdir):
        raise OptionError(f"--workdir {redact_text(workdir)} {'; '.join(problem)}")
    try:
        Path(workdir).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=workdir):
            pass
    except OSError as error:
        what = f"--workdir {workdir}"
        raise _make_error(what, error, "name a folder of yours with --workdir") from None


def check_out(out: str) -> None:
    """Check that a file or folder can be made where `--out` says; nothing is made.

    Raises:
        OptionError: it never can.
        MachineError: its file system is full.
    """
    if problem := find_folder_problem(out):
        raise OptionError(f"--out {redact_text(out)} {problem[0]}")
    folder = Path(out).absolute().parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _make_error(f"--out {out}", error, "choose another --out") from None


def _make_error(what: str, error: OSError, fix: str) -> HeadraceError:
    kind = MachineError if is_passing(error) else OptionError
    return kind(f"{what} cannot be written to: {describe_os_error(error)}; {fix}")


def check_writable(root: str, what: str) -> None:
    """Check that files can be written to, read and removed from a root; nothing of it stays.

    Args:
        root: folder or URL.
        what: what is written there, for the error.

    Raises:
        MachineError: they cannot.
        HeadraceError: there is no such store.
    """
    from headrace.lake.sidecar import locate_sidecar
    from headrace.lake.storage import (
        build_delta_options,
        describe_error,
        open_filesystem,
        resolve_root,
    )

    root = resolve_root(root)
    probe = locate_sidecar(root, f"check-{uuid.uuid4().hex}")
    step, made = "reached", []
    try:
        build_delta_options(root)
        files, path = open_filesystem(probe)
        if "://" in root:
            files.exists(path)
        step = "written to"
        made = _create_folders(path.rpartition("/")[0]) if "://" not in root else []
        files.pipe_file(path, b"headrace")
        step = "read from"
        if files.cat_file(path) != b"headrace":
            raise OSError(errno.EIO, "it gives back other bytes")
        step = "removed from"
        files.rm_file(path)
    except HeadraceError:
        raise
    except Exception as error:  # of any store's client
        raise MachineError(
            f"{what}: {redact_text(root)} cannot be {step}: {describe_error(error)[:300]}; "
            + _FIXES.get(step, "Headrace needs permission to list, read, write and delete below it")
        ) from error
    finally:
        for folder in made:
            folder.rmdir()


def describe_os_error(error: OSError) -> str:
    """Describe an error of the system: `Read-only file system: '/data'`."""
    text = os.strerror(error.errno) if error.errno else str(error)
    return f"{text}: {error.filename!r}" if error.filename else text


def is_of_environment(error: OSError) -> bool:
    """Return whether an error of the system is one that whoever runs a command can mend."""
    return error.errno in _ENVIRONMENT


def is_passing(error: OSError) -> bool:
    """Return whether an error of the system may be gone when the same command is run again."""
    return error.errno in _PASSING


def _create_folders(path: str) -> list[Path]:
    """Create a folder and those above it; return those that were missing, deepest first."""
    folder = Path(path)
    missing = [ancestor for ancestor in (folder, *folder.parents) if not ancestor.exists()]
    made: list[Path] = []
    try:
        for missing_folder in reversed(missing):
            missing_folder.mkdir(exist_ok=True)
            made.insert(0, missing_folder)
    except OSError:
        for missing_folder in made:
            missing_folder.rmdir()
        raise
    return made
