"""Run a function on N ranks and hand back rank 0's result: one interface, whatever the launcher."""

import importlib
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.distributed.launchers.external import LeadingSource, launched_rank
from headrace.distributed.launchers.hosts import HostsSource, way_to
from headrace.distributed.launchers.local import LocalSource
from headrace.distributed.supervise.control_server import Board
from headrace.distributed.supervise.supervisor import Source, Supervisor
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.sections import Spark


@dataclass(frozen=True)
class Launcher:
    """How ranks come to be.

    Attributes:
        kind: `local` here; `hosts` over a remote shell; `spark` on executors; `launched` by
            somebody else, who starts this program once a rank.
        hosts: `name:slots` of each host.
        address: of this machine, as other ones reach it; found out where it is left out.
        start_timeout: seconds that ranks have to come.
        remote_shell: words before a host's name and a command.
        spark, scratch: for a Spark session where none is running, and its folder.
    """

    kind: Literal["local", "hosts", "spark", "launched"] = "local"
    hosts: tuple[str, ...] = ()
    address: str | None = None
    start_timeout: float = 600.0
    remote_shell: tuple[str, ...] = ("ssh", "-o", "BatchMode=yes")
    spark: Spark = field(default_factory=Spark)
    scratch: str = "var"


def launcher_of(recipe: Recipe, workdir: str) -> Launcher:
    """What the recipe says, and where it leaves it open, the environment."""
    settings = recipe.train.launcher
    kind = settings.kind
    if kind == "auto":
        kind = "launched" if launched_rank(os.environ) is not None else "local"
    return Launcher(
        kind=kind,
        hosts=tuple(settings.hosts),
        address=settings.address,
        start_timeout=settings.start_timeout,
        remote_shell=tuple(settings.remote_shell),
        spark=recipe.spark,
        scratch=str(Path(workdir) / "spark"),
    )


def run_ranks(
    task: RankTask,
    ranks: int,
    report: Report,
    launcher: Launcher = Launcher(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run `task` on `ranks` ranks.

    Ranks are processes of their own also when there is one: TensorFlow's threads and devices are
    fixed at its first use, and the caller's process stays as it was.

    Args:
        task: what every rank runs.
        ranks: how many; at least 1.
        report: told of rank 0's progress.
        launcher: where they run.
        should_stop: whether the run is wanted no more; asked again and again.

    Returns:
        what the function returned on rank 0.

    Raises:
        RankError: a rank died; its traceback is in the text.
        StoppedError: `should_stop` said so.
        HeadraceError: a rank raised one; its text is handed on.
    """
    for restart in range(task.max_restarts + 1):
        try:
            return _run_once(task, ranks, report, launcher, should_stop)
        except RankError as error:
            if restart == task.max_restarts:
                raise
            what = str(error).splitlines()[0]
            report(Progress(f"{what} Starting again ({restart + 1} of {task.max_restarts})"))
            task = task.restarted()
    raise AssertionError("there is a first time")


def _run_once(
    task: RankTask,
    ranks: int,
    report: Report,
    launcher: Launcher,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-ranks-")))
        source: Source = LocalSource(folder, task, report)
        if launcher.kind != "local":
            source = stack.enter_context(_board(task, report, launcher))
        return Supervisor(task, source, report, launcher.start_timeout, should_stop).run(ranks)


def _board(task: RankTask, report: Report, launcher: Launcher) -> Board:
    secret = secrets.token_hex(16)
    if launcher.kind == "hosts":
        address = launcher.address or way_to(launcher.hosts)
        return HostsSource(launcher.hosts, launcher.remote_shell, address, secret, task, report)
    if launcher.kind == "spark":
        # By name: nothing else here may import Spark.
        source: Board = importlib.import_module("headrace.distributed.launchers.spark").SparkSource(
            launcher.spark, launcher.scratch, secret, task, report
        )
        return source
    return LeadingSource(task, report)
