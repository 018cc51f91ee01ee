"""A rank's process: `python -m pipelines.distributed.rank_main FOLDER RANK SIZE EVENTS PARENT`.

Started by `local.py`. Reads `task.json`, runs the function, and leaves `result.json` (rank 0) or
`error-RANK.json` in the folder. Progress goes as JSON lines to file descriptor EVENTS.
"""

import ctypes
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from pipelines.errors import HeadraceError
from pipelines.progress import Progress
from pipelines.quiet import quiet_import

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0])
    rank, size, events, parent = (int(word) for word in arguments[1:])
    _die_with(parent)
    signal.signal(signal.SIGTERM, _terminated)
    try:
        with quiet_import():
            import tensorflow  # noqa: F401  (first, because the modules below import it too)
        from pipelines.distributed.collectives import Collectives, HorovodRanks, Solo
        from pipelines.distributed.devices import configure_devices
        from pipelines.distributed.task import RankTask

        task = RankTask.from_json((folder / "task.json").read_text(encoding="utf-8"))
        ranks: Collectives = HorovodRanks() if size > 1 else Solo()
        configure_devices(ranks.local_rank, task.threads_per_rank)
        with os.fdopen(events, "w", encoding="utf-8", buffering=1) as stream:

            def report(progress: Progress) -> None:
                if rank == 0:
                    stream.write(progress.to_json() + "\n")

            result = task.function()(task.payload, ranks, report)
            if rank == 0:
                aside = folder / "result.json.aside"
                aside.write_text(json.dumps(result), encoding="utf-8")
                aside.rename(folder / "result.json")
            ranks.shutdown()
        return 0
    except BaseException as error:
        _leave_error(folder, rank, error)
        # No clean-up: Horovod's own would wait for peers that this rank has just failed.
        os._exit(1)


def _die_with(parent: int) -> None:
    """Be killed when the parent dies, however it dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the line above
        os._exit(1)


def _terminated(number: int, frame: object) -> None:
    """Unwind, so that an MLflow run in progress is ended as failed."""
    raise SystemExit(128 + number)


def _leave_error(folder: Path, rank: int, error: BaseException) -> None:
    text = "".join(traceback.format_exception(error))
    known = isinstance(error, HeadraceError)
    left = {
        "type": type(error).__name__,
        "message": str(error) if known else str(error).splitlines()[0] if str(error) else "",
        "traceback": text,
        "time": time.time(),
        "lost_a_peer": "Horovod has been shut down" in text or "HorovodInternalError" in text,
    }
    try:
        aside = folder / f"error-{rank}.aside"
        aside.write_text(json.dumps(left), encoding="utf-8")
        aside.rename(folder / f"error-{rank}.json")
    except OSError:
        sys.stderr.write(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
