"""Local ranks: N processes of this machine under supervision, meeting at Horovod's rendezvous.

The rendezvous server listens on loopback only. The death of any rank ends all of them within
seconds; the error of the rank that failed first is raised. Nothing outlives this process: ranks
ask the kernel to be killed with their parent.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import IO, Any

from horovod.runner.common.util.hosts import SlotInfo
from horovod.runner.gloo_run import create_slot_env_vars
from horovod.runner.http.http_server import RendezvousHandler, RendezvousHTTPServer

from pipelines import errors
from pipelines.distributed.task import RankTask
from pipelines.errors import HeadraceError, RankError
from pipelines.progress import Progress, Report

_HOST = "127.0.0.1"
_POLL_SECONDS = 0.05
# After the first death, time for the others to fail by themselves and leave their own errors.
_GRACE_SECONDS = 3.0


def run_local_ranks(task: RankTask, ranks: int, report: Report) -> dict[str, Any]:
    """See `launch.run_ranks`."""
    with tempfile.TemporaryDirectory(prefix="headrace-ranks-") as name, _rendezvous(ranks) as port:
        folder = Path(name)
        (folder / "task.json").write_text(task.to_json(), encoding="utf-8")
        processes: list[_Rank] = []
        try:
            for rank in range(ranks):
                processes.append(_Rank(rank, ranks, port, folder, task, report))
            _supervise(processes, folder)
        finally:
            for process in processes:
                process.end()
        result: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return result


@contextlib.contextmanager
def _rendezvous(ranks: int) -> Any:
    """Horovod's rendezvous server on a free port of loopback; yields the port."""
    server = RendezvousHTTPServer((_HOST, 0), RendezvousHandler, 0)
    server.init([_slot(rank, ranks) for rank in range(ranks)])
    thread = threading.Thread(target=server.serve_forever, name="headrace-rendezvous", daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def _slot(rank: int, ranks: int) -> SlotInfo:
    return SlotInfo(
        hostname="localhost",
        rank=rank,
        size=ranks,
        local_rank=rank,
        local_size=ranks,
        cross_rank=0,
        cross_size=1,
    )


class _Rank:
    """One rank's process and the threads that read what it says."""

    def __init__(
        self, rank: int, ranks: int, port: int, folder: Path, task: RankTask, report: Report
    ) -> None:
        self.rank = rank
        self.tail: list[str] = []
        environment = {
            **os.environ,
            **(create_slot_env_vars(_slot(rank, ranks)) if ranks > 1 else {}),
            "HOROVOD_GLOO_RENDEZVOUS_ADDR": _HOST,
            "HOROVOD_GLOO_RENDEZVOUS_PORT": str(port),
            "HOROVOD_CONTROLLER": "gloo",
            "HOROVOD_CPU_OPERATIONS": "gloo",
            "HOROVOD_GLOO_IFACE": "lo",
            "HOROVOD_GLOO_TIMEOUT_SECONDS": str(task.collective_timeout),
            "OMP_NUM_THREADS": str(task.threads_per_rank),
            "PYTHONUNBUFFERED": "1",
        }
        events, child_events = os.pipe()
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "pipelines.distributed.rank_main",
                str(folder),
                str(rank),
                str(ranks),
                str(child_events),
                str(os.getpid()),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=[child_events],
        )
        os.close(child_events)
        assert self.process.stdout is not None
        self._threads = [
            threading.Thread(target=self._read_log, args=(self.process.stdout,), daemon=True),
            threading.Thread(target=self._read_events, args=(events, report), daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def _read_log(self, stream: IO[str]) -> None:
        for line in stream:
            self.tail = [*self.tail[-39:], line.rstrip()]
            sys.stderr.write(f"[rank {self.rank}] {line}")
            sys.stderr.flush()

    def _read_events(self, descriptor: int, report: Report) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8") as stream:
            for line in stream:
                report(Progress.from_json(line))

    def end(self) -> None:
        """Make sure the process is gone and everything it said was read."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for thread in self._threads:
            thread.join(timeout=5)


def _supervise(ranks: list[_Rank], folder: Path) -> None:
    """Wait until every rank ended well.

    Raises:
        HeadraceError: a rank failed; the others are ended by the caller.
    """
    while True:
        codes = [rank.process.poll() for rank in ranks]
        if all(code == 0 for code in codes):
            return
        if any(code not in (None, 0) for code in codes):
            deadline = time.monotonic() + _GRACE_SECONDS
            while time.monotonic() < deadline and any(r.process.poll() is None for r in ranks):
                time.sleep(_POLL_SECONDS)
            raise _cause(ranks, codes, folder)
        time.sleep(_POLL_SECONDS)


def _cause(ranks: list[_Rank], codes: list[int | None], folder: Path) -> HeadraceError:
    """The error to raise: of the rank that was seen dead first, in its own words if it left any."""
    left: dict[int, dict[str, Any]] = {}
    for rank in ranks:
        file = folder / f"error-{rank.rank}.json"
        if file.exists():
            left[rank.rank] = json.loads(file.read_text(encoding="utf-8"))
    silent = [r for r, code in zip(ranks, codes, strict=True) if code and r.rank not in left]
    if silent:
        rank = silent[0]
        code = rank.process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        hint = " (out of memory? see the kernel log)" if code == -signal.SIGKILL else ""
        said = "\n".join(rank.tail[-20:])
        return RankError(
            f"rank {rank.rank} of {len(ranks)} {how}{hint}; all ranks were ended."
            + (f" Its last lines:\n{said}" if said else "")
        )
    # A rank that lost its peer fails too, a moment later and with Horovod's words.
    first = min(left, key=lambda r: (left[r]["lost_a_peer"], left[r]["time"]))
    error = left[first]
    kind = getattr(errors, error["type"], None)
    if isinstance(kind, type) and issubclass(kind, HeadraceError):
        try:
            return kind(f"rank {first} of {len(ranks)}: {error['message']}")
        except TypeError:
            pass
    return RankError(
        f"rank {first} of {len(ranks)} failed with {error['type']}: {error['message']}; all ranks "
        f"were ended. Its traceback:\n{error['traceback']}"
    )
