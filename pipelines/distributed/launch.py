"""Run a function on N ranks and hand back rank 0's result: one interface, whatever the launcher."""

from typing import Any

from pipelines.distributed.local import run_local_ranks
from pipelines.distributed.task import RankTask
from pipelines.progress import Report


def run_ranks(task: RankTask, ranks: int, report: Report) -> dict[str, Any]:
    """Run `task` on `ranks` ranks of this machine.

    Ranks are processes of their own also when there is one: TensorFlow's threads and devices are
    fixed at its first use, and the caller's process stays as it was.

    Args:
        task: what every rank runs.
        ranks: how many; at least 1.
        report: told of rank 0's progress.

    Returns:
        what the function returned on rank 0.

    Raises:
        RankError: a rank died; its traceback is in the text.
        HeadraceError: a rank raised one; its text is handed on.
    """
    return run_local_ranks(task, ranks, report)
