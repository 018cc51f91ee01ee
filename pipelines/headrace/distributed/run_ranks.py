"""Run a function on N ranks and return rank 0's result: one interface, whatever the launcher.

Chooses the launcher and starts all ranks again after one died, as often as the task allows.
Everything within one attempt is the supervisor's business.
"""

import importlib
import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from headrace.distributed.installed import check_collectives
from headrace.distributed.launchers.external import ExternalLauncher
from headrace.distributed.launchers.external_rank import find_external_rank
from headrace.distributed.launchers.hosts import HostsLauncher, find_launcher_address
from headrace.distributed.launchers.local import LocalLauncher
from headrace.distributed.supervise.control_server import ControlServer
from headrace.distributed.supervise.kept_ranks import KeptRanks
from headrace.distributed.supervise.supervisor import Launcher, Supervisor
from headrace.distributed.supervise.worker import list_unused_variables
from headrace.distributed.task import RankTask
from headrace.errors import RankError, get_first_line
from headrace.progress import Progress, Report
from headrace.recipe import Recipe
from headrace.recipe.sections import Spark

# TensorFlow numbers each exchange by chance, from 32 bits that it draws anew, and refuses one whose
# number is among the last 100,000 that its server had: of 2**32, one of 43,000 in the long run.
# Nothing is wrong with the ranks then, nor with their hosts.
_REFUSAL = "request was received twice"
_MOST_REFUSALS = 100
_REFUSED = (
    "TensorFlow took an exchange of the ranks for one that it had seen before, and refused it; "
    "restarting from the last checkpoint"
)


@dataclass(frozen=True)
class LauncherSettings:
    """The settings of a launcher: who starts the ranks, and where.

    Attributes:
        kind: `local` starts them on this machine, `hosts` over a remote shell, `spark` on
            executors; `launched` leaves it to an external launcher such as torchrun, which starts
            this program once per rank.
        hosts: `name:slots` of each host.
        address: of this machine, as the other ones reach it; looked up if left out.
        start_timeout: seconds within which all ranks must have joined.
        remote_shell: command before a host's name and the command to run there.
        spark, scratch: settings and local folder of a Spark session, if none is running.
        kept: processes on this machine that are there already, for kind `local`.
    """

    kind: Literal["local", "hosts", "spark", "launched"] = "local"
    hosts: tuple[str, ...] = ()
    address: str | None = None
    start_timeout: float = 600.0
    remote_shell: tuple[str, ...] = ("ssh", "-o", "BatchMode=yes")
    spark: Spark = field(default_factory=Spark)
    scratch: str = "var"
    kept: KeptRanks | None = None


def resolve_launcher(
    recipe: Recipe, workdir: str, kept: KeptRanks | None = None
) -> LauncherSettings:
    """Return the recipe's launcher; for `auto`, the one that the environment implies.

    Args:
        recipe: train.launcher and spark are read.
        workdir: local folder of the command.
        kept: processes of ranks that are there already.

    Raises:
        MachineError: an external launcher's environment does not say where rank 0 is.
    """
    settings = recipe.train.launcher
    kind = settings.kind
    if kind == "auto":
        kind = "launched" if find_external_rank(os.environ) is not None else "local"
    return LauncherSettings(
        kind=kind,
        hosts=tuple(settings.hosts),
        address=settings.address,
        start_timeout=settings.start_timeout,
        remote_shell=tuple(settings.remote_shell),
        spark=recipe.spark,
        scratch=str(Path(workdir) / "spark"),
        kept=kept,
    )


def run_ranks(
    task: RankTask,
    ranks: int,
    report: Report,
    launcher: LauncherSettings = LauncherSettings(),
    should_stop: Callable[[], bool] = lambda: False,
) -> dict[str, Any]:
    """Run `task` on `ranks` ranks.

    A single rank is a process of its own too: TensorFlow fixes its threads and devices at first
    use, and the caller's process stays as it was.

    Args:
        task: what every rank runs.
        ranks: their number; at least 1.
        report: receives rank 0's progress, and what happens to the ranks.
        launcher: where they run.
        should_stop: whether the caller cancelled the run; called on every poll.

    Returns:
        what the function returned on rank 0.

    Raises:
        RankError: a rank died; its traceback is in the text.
        StoppedError: `should_stop` returned true.
        HeadraceError: a rank raised one; its class and text are kept.
        MachineError: what the ranks are to communicate by is not installed here.
    """
    check_collectives(task.collectives, max([ranks, *task.sizes]))
    if unused := list_unused_variables(os.environ):
        report(Progress(f"ranks do not use {', '.join(unused)} of this environment"))
    restarts = refusals = 0
    while True:
        try:
            return _run_once(task, ranks, report, launcher, should_stop)
        except RankError as error:
            if _REFUSAL in str(error) and refusals < _MOST_REFUSALS:
                refusals += 1
                report(Progress(_REFUSED))
            elif restarts < task.max_restarts:
                restarts += 1
                first_line = get_first_line(error).rstrip(".")
                report(Progress(f"{first_line}; restarting ({restarts} of {task.max_restarts})"))
            else:
                raise
            task = task.build_restart()


def _run_once(
    task: RankTask,
    ranks: int,
    report: Report,
    settings: LauncherSettings,
    should_stop: Callable[[], bool],
) -> dict[str, Any]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-ranks-")))
        launcher: Launcher = LocalLauncher(folder, task, report, settings.kept)
        if settings.kind != "local":
            launcher = stack.enter_context(_build_remote_launcher(task, report, settings))
        return Supervisor(task, launcher, report, settings.start_timeout, should_stop).run(ranks)


def _build_remote_launcher(
    task: RankTask, report: Report, settings: LauncherSettings
) -> ControlServer:
    secret = secrets.token_hex(16)
    if settings.kind == "hosts":
        address = settings.address or find_launcher_address(settings.hosts)
        return HostsLauncher(settings.hosts, settings.remote_shell, address, secret, task, report)
    if settings.kind == "spark":
        # By name: nothing else here may import Spark.
        spark = importlib.import_module("headrace.distributed.launchers.spark")
        launcher: ControlServer = spark.SparkLauncher(
            settings.spark, settings.scratch, secret, task, report
        )
        return launcher
    return ExternalLauncher(task, report)
