"""A rank's process: `python -m headrace.distributed.rank.main FOLDER EVENTS PARENT`.

Started by `worker.py`. Reads `task.json` and its place, runs the function, and leaves `result.json`
(rank 0) or `error.json` in the folder. Progress goes as JSON lines to file descriptor EVENTS.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from headrace.distributed.heartbeat import Pulse
from headrace.distributed.rank.scheduling import reduce_without_delay
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.task import RankTask
from headrace.errors import HeadraceError
from headrace.processes import import_from_working_directory
from headrace.progress import Progress
from headrace.quiet import quiet_import
from headrace.signals import raise_on_sigterm

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    folder = RankFolder(Path(arguments[0]))
    events, parent = (int(word) for word in arguments[1:])
    _die_with(parent)
    reduce_without_delay()
    # Ctrl-C reaches the whole terminal; the launcher says what is to happen.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return _run_rank(folder, events)
    except BaseException as error:
        _leave_error(folder, error)
        # No clean-up: Horovod's own would wait for peers that this rank has just failed.
        os._exit(error.exit_code if isinstance(error, HeadraceError) else 1)


def _run_rank(folder: RankFolder, events: int) -> int:
    with raise_on_sigterm():
        with quiet_import():
            import tensorflow  # noqa: F401  (first, because the modules below import it too)
        from headrace.distributed.rank.collectives import Ranks
        from headrace.distributed.rank.devices import configure_devices
        from headrace.distributed.rank.membership import Membership

        import_from_working_directory()
        task = RankTask.from_json((folder.path / "task.json").read_text(encoding="utf-8"))
        function = task.function()
        pulse = Pulse(folder.pulse)
        membership = Membership(folder, task.elastic)
        ranks = Ranks(membership, pulse)
        ranks.device = configure_devices(ranks.local_rank, task.threads_per_rank)
        with os.fdopen(events, "w", encoding="utf-8", buffering=1) as stream:

            def report(progress: Progress) -> None:
                pulse.beat()
                if ranks.rank == 0:
                    stream.write(progress.to_json() + "\n")

            result = function(task.payload, ranks, report)
            if ranks.rank == 0:
                folder.leave_result(result)
            ranks.shutdown()
        return 0


def _die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _leave_error(folder: RankFolder, error: BaseException) -> None:
    from headrace.distributed.rank.peer_loss import lost_a_peer

    text = "".join(traceback.format_exception(error))
    known = isinstance(error, HeadraceError)
    left = {
        "type": type(error).__name__,
        "message": str(error) if known else str(error).splitlines()[0] if str(error) else "",
        "traceback": text,
        "time": time.time(),
        "lost_a_peer": lost_a_peer(error),
    }
    try:
        folder.leave_error(left)
    except OSError:
        sys.stderr.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
