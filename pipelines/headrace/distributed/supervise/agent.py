"""Beside a rank on another host: starts its process, and stands between it and the supervisor.

`python -m headrace.distributed.supervise.agent` reads one line of JSON from standard input:
`address`, `port`, `secret`, `order`.
"""

import contextlib
import http.client
import json
import os
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psutil

from headrace.distributed.slot import Place
from headrace.distributed.supervise.control_server import HEADER
from headrace.distributed.supervise.worker import LocalWorker
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import Progress

_EVERY_SECONDS = 0.1
# Seconds that the supervisor may be out of reach, at first and later.
_PATIENCE = 30.0


@dataclass(frozen=True)
class BoardAddress:
    """Where the board is, and who this agent is there.

    Attributes:
        address, port, secret: see `board.Board`.
        order: among the agents.
        patience: seconds that the board may take to be there.
    """

    address: str
    port: int
    secret: str
    order: int
    patience: float = _PATIENCE


def run_agent(board: BoardAddress, should_end: Callable[[], bool] = lambda: False) -> str | None:
    """Have one rank run here, until the supervisor says that it is over.

    Args:
        board: of the supervisor.
        should_end: whether this host wants to be rid of the rank. The ranks of an elastic run go on
            without it; others leave a checkpoint first, all together.

    Returns:
        why the run failed; None where it ended well.

    Raises:
        RankError: the rank of an elastic run is lost, or the supervisor cannot be reached.
    """
    with tempfile.TemporaryDirectory(prefix="headrace-rank-") as folder:
        agent = _Agent(board, Path(folder))
        try:
            return agent.run(should_end)
        finally:
            agent.end()


class _Agent:
    def __init__(self, board: BoardAddress, folder: Path) -> None:
        self._board, self._folder = board, folder
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._progress: list[Progress] = []
        self._worker: LocalWorker | None = None
        self._sent: dict[str, Any] = {}
        self._elastic = False
        self._terminated = False

    def run(self, should_end: Callable[[], bool]) -> str | None:
        answer = self._tell({"first": True}, self._board.patience)
        if "task" in answer:
            task = RankTask.from_json(answer["task"])
            self._elastic = task.elastic
            self._worker = LocalWorker(
                self._folder / "rank",
                task,
                self._progress.append,
                interface_to(self._board.address),
                socket.gethostname(),
            )
        while not answer.get("over"):
            self._follow(answer)
            if should_end():
                if self._elastic:
                    raise RankError("this host was told to end")
                self._terminate()
            time.sleep(_EVERY_SECONDS)
            answer = self._tell(self._news(), _PATIENCE)
            if self._elastic and self._worker and self._worker.code():
                # Another one may come here: to Spark this is a failed task, and a host has a slot.
                self._tell({"bye": True}, 0)
                raise RankError(f"its rank {self._worker.how()}")
        with contextlib.suppress(RankError):
            self.end()
            self._tell({**self._news(), "bye": True}, 0)
        why: str | None = answer["over"]["why"]
        return why

    def _terminate(self) -> None:
        if self._worker and not self._terminated:
            self._terminated = True
            self._worker.terminate()

    def end(self) -> None:
        if self._worker:
            self._worker.kill()

    def _follow(self, answer: dict[str, Any]) -> None:
        worker = self._worker
        if worker is None:
            return
        place = answer.get("place")
        if place and (worker.place is None or worker.place.generation < place["generation"]):
            worker.assign(Place(**place))
        if answer.get("change") is not None:
            worker.ask_change(answer["change"])
        if answer.get("end") == "terminate":
            self._terminate()
        elif answer.get("end") == "kill":
            worker.kill()

    def _news(self) -> dict[str, Any]:
        """What is new since it was last told."""
        worker = self._worker
        if worker is None:
            return {}
        code = worker.code()  # first: what is read after it is then all there is
        position = worker.position()
        now: dict[str, Any] = {
            "code": code,
            "position": [position.beats, position.step, position.inside, position.done],
            "stopped": worker.stopped(),
            "waiting": worker.waiting(),
            "tail": worker.tail,
            "facts": worker.facts(),
        }
        if code is not None:
            now |= {"error": worker.error(), "result": worker.result()}
        told = {key: value for key, value in now.items() if self._sent.get(key, "") != value}
        count = len(self._progress)
        told["progress"] = [asdict(progress) for progress in self._progress[:count]]
        self._sent |= now
        del self._progress[:count]
        return told

    def _tell(self, told: dict[str, Any], patience: float) -> dict[str, Any]:
        who = {"name": self._name, "host": socket.gethostname(), "order": self._board.order}
        body = json.dumps({**who, **told})
        deadline = time.monotonic() + patience
        while True:
            try:
                return self._post(body)
            except (OSError, http.client.HTTPException) as error:
                if time.monotonic() > deadline:
                    raise RankError(
                        f"the supervisor at {self._board.address}:{self._board.port} cannot be "
                        f"reached ({error})"
                    ) from None
                time.sleep(0.2)

    def _post(self, body: str) -> dict[str, Any]:
        board = self._board
        connection = http.client.HTTPConnection(board.address, board.port, timeout=10)
        try:
            connection.request("POST", "/", body, {HEADER: board.secret})
            response = connection.getresponse()
            answer: dict[str, Any] = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise RankError(f"the supervisor turns this rank away: {answer.get('error')}")
        return answer


def interface_to(address: str) -> str:
    """Name of the network interface by which a host is reached."""
    here = address_to(address)
    for name, addresses in psutil.net_if_addrs().items():
        if any(known.address == here for known in addresses):
            return str(name)
    raise RankError(f"no network interface has the address {here}")


def address_to(address: str) -> str:
    """This machine's address on the way to another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return str(probe.getsockname()[0])


def main() -> int:
    given = json.loads(sys.stdin.readline())
    try:
        why = run_agent(BoardAddress(**given))  # why is told where the run was started
    except RankError as error:
        why = str(error)
        sys.stderr.write(f"{socket.gethostname()}: {why.splitlines()[0]}\n")
    return 0 if why is None else 1


if __name__ == "__main__":
    sys.exit(main())
