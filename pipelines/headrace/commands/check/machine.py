"""Check this machine for what a recipe needs, without starting or importing any of it."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from headrace.addresses import find_folder_problem
from headrace.commands.check.remark import Kind, Remark
from headrace.commands.first_checks import check_writable, describe_os_error, is_passing
from headrace.distributed.installed import check_collectives
from headrace.errors import HeadraceError
from headrace.extras import require_extras
from headrace.recipe import Recipe
from headrace.redaction import redact_text
from headrace.source.first_look import is_local


def check_workdir(workdir: str) -> list[Remark]:
    """Check that the workdir can be written to, or made; nothing of it stays."""
    if problem := find_folder_problem(workdir):
        return [
            Remark(Kind.OPTION, "--workdir", f"{redact_text(workdir)} {problem[0]}", problem[1])
        ]
    folder = Path(workdir).absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        text = f"{workdir} cannot be written to: {describe_os_error(error)}"
        kind = Kind.MISSING if is_passing(error) else Kind.OPTION
        return [Remark(kind, "--workdir", text, "name a folder of yours with --workdir")]
    return [Remark(Kind.OK, "--workdir", f"{workdir} can be written to")]


def check_dataset(recipe: Recipe, *, remote: bool) -> list[Remark]:
    """Check that versions can be published where the recipe says."""
    from headrace.lake.storage import resolve_root
    from headrace.prepare.dataset_root import check_root

    key = "dataset.path"
    line = recipe.get_line(key)
    root = resolve_root(recipe.dataset.path)
    if not is_local(root) and not remote:
        text = "it is in a remote store, which is asked with --remote"
        return [Remark(Kind.UNCHECKED, key, text, line=line)]
    try:
        check_root(root)
        check_writable(root, "the dataset")
    except HeadraceError as error:
        return [Remark(Kind.MISSING, key, redact_text(str(error)), line=line)]
    return [Remark(Kind.OK, key, f"{redact_text(root)} can be written to", line=line)]


def check_java(recipe: Recipe) -> list[Remark]:
    """Check that there is a Java for the Spark that would start here, and a user it knows."""
    from headrace import spark_session

    def check() -> str:
        if not spark_session.starts_java(recipe.spark):
            return "not needed here: Spark runs elsewhere"
        spark_session.check_user()
        spark_session.check_java()
        return "17 or newer"

    return _run_check("java", check)


def check_installed(recipe: Recipe) -> list[Remark]:
    """Check that what trains is installed, what ranks read with, and what they communicate by."""
    from headrace.stream.block_reader import check_engine

    train = recipe.train
    ranks = max(train.rank_count, train.max_ranks or 0)

    def check_extra() -> str:
        require_extras(["train"])
        return "installed"

    def check_reader() -> str:
        check_engine(recipe.stream.engine)
        return f"{recipe.stream.engine} is installed"

    def check_ranks() -> str:
        check_collectives(train.collectives, ranks)
        return f"{train.collectives}, {ranks} ranks" if ranks > 1 else "a single rank needs none"

    return [
        *_run_check("headrace[train]", check_extra),
        *_run_check("stream.engine", check_reader, recipe.get_line("stream.engine")),
        *_run_check("train.collectives", check_ranks, recipe.get_line("train.collectives")),
    ]


def list_unasked(recipe: Recipe) -> list[Remark]:
    """List what is not asked at all, because that takes more than a moment."""
    launcher = recipe.train.launcher.kind
    remarks = [
        Remark(Kind.UNCHECKED, "mlflow", "not asked whether it answers and has a champion"),
        Remark(Kind.UNCHECKED, "gpus", "not looked at"),
    ]
    if launcher in ("hosts", "spark"):
        text = f"{launcher}: not asked whether ranks can start there"
        line = recipe.get_line("train.launcher")
        remarks.append(Remark(Kind.UNCHECKED, "train.launcher", text, line=line))
    if os.environ.get("SPARK_REMOTE") or recipe.spark.remote:
        line = recipe.get_line("spark.remote")
        text = "not asked whether the server answers"
        remarks.append(Remark(Kind.UNCHECKED, "spark.remote", text, line=line))
    return remarks


def _run_check(where: str, check: Callable[[], str], line: int | None = None) -> list[Remark]:
    try:
        return [Remark(Kind.OK, where, check(), line=line)]
    except HeadraceError as error:
        return [Remark(Kind.MISSING, where, str(error), line=line)]
