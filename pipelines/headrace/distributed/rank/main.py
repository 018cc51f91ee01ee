"""Run a rank: `python -m headrace.distributed.rank.main FOLDER EVENTS PARENT`.

`supervise/worker.py` starts this process. It reads `task.json` and its slot, runs the function, and
writes `result.json` (rank 0) or `error.json` into the folder. Progress goes as JSON lines to file
descriptor EVENTS. When process PARENT dies, this one is killed.
"""

import faulthandler
import os
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.import_tensorflow import import_tensorflow
from headrace.distributed.rank.scheduling import avoid_scheduling_delays
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError
from headrace.garbage import freeze_objects, pause_collection
from headrace.output import guard_output
from headrace.processes import import_from_folders
from headrace.progress import Progress
from headrace.redaction import remember_secrets
from headrace.signals import die_with_parent, raise_on_termination


def main(arguments: list[str]) -> int:
    folder = RankFolder(Path(arguments[0]))
    events, parent = (int(word) for word in arguments[1:])
    prepare_process(parent)
    with end_on_failure(folder), guard_output(), raise_on_termination():
        import_tensorflow()  # here first: others import it too
        with os.fdopen(events, "w", encoding="utf-8", buffering=1) as stream:
            run_task(folder, stream)
    freeze_objects()
    return 0


def prepare_process(parent: int) -> None:
    """Prepare this process for ranks: before TensorFlow is imported, and once.

    Args:
        parent: process that this one does not outlive.
    """
    die_with_parent(parent)
    avoid_scheduling_delays()
    faulthandler.enable(2)
    # Ctrl-C reaches all processes of the terminal; the supervisor terminates the ranks.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def end_on_failure(folder: RankFolder) -> Iterator[None]:
    """End this process at once where the block raises, and leave the error in the folder."""
    try:
        yield
    except BaseException as error:
        _write_error(folder, error)
        # No clean-up: Horovod's would wait for the peers that this rank has just let down.
        os._exit(error.exit_code if isinstance(error, HeadraceError) else 1)


def run_task(folder: RankFolder, stream: TextIO) -> None:
    """Run the folder's task, and write the result of rank 0 there.

    Args:
        folder: of this rank.
        stream: takes progress as lines of JSON.
    """
    from headrace.distributed.rank.build_collectives import build_collectives
    from headrace.distributed.rank.devices import configure_devices, configure_keras
    from headrace.distributed.rank.membership import Membership

    task = RankTask.from_json((folder.path / "task.json").read_text(encoding="utf-8"))
    import_from_folders(task.payload.get("recipe_folder", ""))
    remember_secrets(task.payload.get("recipe") or {})
    with pause_collection():
        function = task.import_function()
    freeze_objects()
    heartbeat = Heartbeat(folder.heartbeat_path)
    membership = Membership(folder, task.is_elastic)
    ranks = build_collectives(task, membership, heartbeat)
    ranks.device = configure_devices(ranks.local_rank, task.threads_per_rank)

    def send_progress(progress: Progress) -> None:
        heartbeat.beat()
        if ranks.rank == 0:
            stream.write(progress.to_json() + "\n")

    for text in configure_keras():
        send_progress(Progress(text))
    result = function(task.payload, ranks, send_progress)
    if ranks.rank == 0:
        folder.write_result(result)
    ranks.shutdown()


def _write_error(folder: RankFolder, error: BaseException) -> None:
    """Write the record of an error to the folder, or to standard error if that fails."""
    from headrace.distributed.rank.peer_loss import find_peer_loss

    text = "".join(traceback.format_exception(error))
    message = str(error)
    peer_loss = find_peer_loss(error)
    if not isinstance(error, HeadraceError):
        # TensorFlow's first line says only that a graph failed.
        message = (peer_loss or message).partition("\n")[0]
    record = {
        "type": type(error).__name__,
        "message": message,
        "traceback": text,
        "time": time.time(),
        "lost_a_peer": bool(peer_loss),
    }
    try:
        folder.write_error(record)
    except OSError:
        sys.stderr.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
