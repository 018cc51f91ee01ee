"""Start one rank on this host, and relay between its process and the control server.

The agent starts the rank's process, posts its status, and passes on what the supervisor answers. It
is started over a remote shell, or called within a Spark task or an externally launched process.
`python -m headrace.distributed.supervise.agent` reads one line of JSON from standard input:
`address`, `port`, `secret`, `order`.
"""

import base64
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

from headrace.distributed.addresses import find_interface
from headrace.distributed.slot import Slot
from headrace.distributed.supervise.sealed_channel import (
    AgentChannel,
    ForgedMessageError,
    check_secret,
    make_nonce,
)
from headrace.distributed.supervise.worker import LocalWorker
from headrace.distributed.task import RankTask
from headrace.errors import RankError, get_first_line
from headrace.foreign_lines import handle_foreign_lines, write_all_lines
from headrace.guard import guard_command
from headrace.output import guard_output
from headrace.progress import Progress

# How often an agent looks at its rank. It posts what it sees when the control server said so, and
# at once where the supervisor or a reader waits for it.
_LOOK_SECONDS = 0.1
_URGENT = ("code", "waiting")
_RETRY_SECONDS = 0.2
# Seconds that the control server may be out of reach, at first and later.
_UNREACHABLE_SECONDS = 30.0
_MAX_ANSWER_BYTES = 256 * 2**20
# Seconds to wait for a connection and for an answer.
_ANSWER_SECONDS = 10


@dataclass(frozen=True)
class AgentConnection:
    """The address of the control server, and how an agent identifies itself there.

    Attributes:
        address, port, secret: see `control_server.ControlServer`.
        order: of this agent among all agents; ranks are assigned in this order.
        connect_timeout: seconds to wait at first for the control server to listen.
    """

    address: str
    port: int
    secret: str
    order: int
    connect_timeout: float = _UNREACHABLE_SECONDS


def run_agent(
    connection: AgentConnection,
    should_end: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> str | None:
    """Start one rank on this host, relay between its process and the control server until the run
    is over, and return why the run failed.

    Args:
        connection: to the control server.
        should_end: whether this host is being shut down. The ranks of an elastic run go on without
            this one; all ranks of any other run write a checkpoint first, together.
        clock: returns seconds since any fixed moment.
        sleep: waits for a number of seconds.

    Returns:
        why the run failed; None if it succeeded.

    Raises:
        RankError: the rank of an elastic run is lost; or the control server cannot be reached, does
            not know the run's secret, or wants what is not this package's work.
    """
    check_secret(connection.secret, connection.address)
    with tempfile.TemporaryDirectory(prefix="headrace-rank-") as folder:
        agent = _Agent(connection, Path(folder), clock, sleep)
        try:
            return agent.run(should_end)
        finally:
            agent.kill_rank()
            agent.close()


class _Agent:
    def __init__(
        self,
        connection: AgentConnection,
        folder: Path,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._connection, self._folder = connection, folder
        self._clock, self._sleep = clock, sleep
        self._name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._progress: list[Progress] = []
        self._worker: LocalWorker | None = None
        self._sent: dict[str, Any] = {}
        self._is_elastic = False
        self._terminated = False
        self._http: http.client.HTTPConnection | None = None
        self._looks_per_report = 1
        self._channel: AgentChannel | None = None
        self._path = ""

    def run(self, should_end: Callable[[], bool]) -> str | None:
        answer = self._send_message({"first": True}, self._connection.connect_timeout)
        if "task" in answer:
            task = RankTask.from_json(answer["task"])
            task.check_received()
            self._is_elastic = task.is_elastic
            self._worker = LocalWorker(
                self._folder / "rank",
                task,
                self._progress.append,
                find_interface(self._connection.address),
                socket.gethostname(),
            )
        while not answer.get("over"):
            self._apply_answer(answer)
            if should_end():
                if self._is_elastic:
                    raise RankError("this rank's process was told to terminate")
                self._terminate_rank()
            answer = self._send_message(self._wait_for_changes(should_end), _UNREACHABLE_SECONDS)
            if self._is_elastic and self._worker and self._worker.poll_exit_code():
                # Raising frees the slot for another rank: Spark retries, a host has room.
                self._send_message({"bye": True}, 0)
                raise RankError(f"this agent's rank {self._worker.describe_exit()}")
        with contextlib.suppress(RankError):
            self.kill_rank()
            changes = self._select_changes(self._read_status())
            self._send_message({**changes, "bye": True}, 0)
        failure: str | None = answer["over"]["why"]
        return failure

    def _wait_for_changes(self, should_end: Callable[[], bool]) -> dict[str, Any]:
        """Wait until the status is to be posted, and return what has changed of it."""
        for _ in range(self._looks_per_report):
            self._sleep(_LOOK_SECONDS)
            status = self._read_status()
            if (
                (should_end() and not self._terminated)
                or self._progress
                or any(status.get(key) != self._sent.get(key) for key in _URGENT)
            ):
                break
        return self._select_changes(status)

    def _terminate_rank(self) -> None:
        if self._worker and not self._terminated:
            self._terminated = True
            self._worker.terminate()

    def kill_rank(self) -> None:
        if self._worker:
            self._worker.kill()

    def _apply_answer(self, answer: dict[str, Any]) -> None:
        # An answer of the server alone: a supervisor of before says nothing of it.
        self._looks_per_report = max(1, round(answer.get("interval", 0) / _LOOK_SECONDS))
        worker = self._worker
        if worker is None:
            return
        slot = answer.get("place")
        if slot and (worker.slot is None or worker.slot.generation < slot["generation"]):
            worker.assign_slot(Slot(**slot))
        if answer.get("change") is not None:
            worker.request_change(answer["change"])
        if answer.get("end") == "terminate":
            self._terminate_rank()
        elif answer.get("end") == "kill":
            worker.kill()

    def _read_status(self) -> dict[str, Any]:
        """Read the status of the rank, as far as it has a process."""
        worker = self._worker
        if worker is None:
            return {}
        code = worker.poll_exit_code()  # first: once it is set, all that is read below is final
        position = worker.read_position()
        status: dict[str, Any] = {
            "code": code,
            "position": [position.beats, position.step, position.inside, position.done],
            "stopped": worker.is_stopped(),
            "waiting": worker.read_awaited_generation(),
            "tail": worker.log_tail,
            "facts": worker.read_carried_values(),
        }
        if code is not None:
            status |= {"error": worker.read_error(), "result": worker.read_result()}
        return status

    def _select_changes(self, status: dict[str, Any]) -> dict[str, Any]:
        """Return the parts of a status that were not sent yet, and the new progress."""
        if not status:
            return {}
        changes = {key: value for key, value in status.items() if self._sent.get(key, "") != value}
        count = len(self._progress)
        changes["progress"] = [asdict(progress) for progress in self._progress[:count]]
        self._sent |= status
        del self._progress[:count]
        return changes

    def _send_message(self, content: dict[str, Any], retry_seconds: float) -> dict[str, Any]:
        """Post a message until the control server answers, and return the answer.

        Args:
            content: of the message, beside the agent's identity.
            retry_seconds: after which no further attempt is made.
        """
        connection = self._connection
        identity = {"name": self._name, "host": socket.gethostname(), "order": connection.order}
        body = json.dumps({**identity, **content})
        deadline = self._clock() + retry_seconds
        while True:
            try:
                return self._post_message(body)
            except (OSError, http.client.HTTPException) as error:
                if self._clock() > deadline:
                    raise RankError(
                        f"the supervisor at {connection.address}:{connection.port} cannot be "
                        f"reached ({error}); check the address of the supervisor's host "
                        "(MASTER_ADDR or DNS)"
                    ) from None
                self._sleep(_RETRY_SECONDS)

    def _post_message(self, body: str) -> dict[str, Any]:
        channel = self._channel or self._open_channel()
        status, content = self._post(self._path, channel.seal_request(body.encode()))
        if status == 404:  # another run's supervisor has taken the address
            channel = self._open_channel()
            status, content = self._post(self._path, channel.seal_request(body.encode()))
        if status != 200:
            raise RankError(
                f"the supervisor refused this rank ({_read_error(content)}); is HEADRACE_SECRET "
                "the same on all hosts?"
            )
        try:
            answer: dict[str, Any] = json.loads(channel.open_answer(content))
        except ForgedMessageError:
            raise self._make_stranger_error() from None
        return answer

    def _open_channel(self) -> AgentChannel:
        """Open a channel to the control server, which shows that it knows the run's secret."""
        nonce = make_nonce()
        status, content = self._post("join", json.dumps({"nonce": nonce.hex()}).encode())
        try:
            if status != 200:
                raise ForgedMessageError
            answer = json.loads(content)
            server_nonce, proof = bytes.fromhex(answer["nonce"]), base64.b64decode(answer["proof"])
            channel = AgentChannel(self._connection.secret, nonce, server_nonce, proof)
        except (ForgedMessageError, ValueError, KeyError, TypeError):
            raise self._make_stranger_error() from None
        self._channel, self._path = channel, str(answer["path"])
        return channel

    def _make_stranger_error(self) -> RankError:
        return RankError(
            f"what answers at {self._connection.address}:{self._connection.port} does not know the "
            "secret of this run, so it is told nothing; is HEADRACE_SECRET the same on all hosts?"
        )

    def _post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Post to a path of the control server, and return status and content of the answer.

        The connection is kept; after an error, or where the server ends it, the next post connects.
        """
        if self._http is None:
            address, port = self._connection.address, self._connection.port
            self._http = http.client.HTTPConnection(address, port, timeout=_ANSWER_SECONDS)
        try:
            self._http.request("POST", f"/{path}", body)
            response = self._http.getresponse()
            content = response.read(_MAX_ANSWER_BYTES)
            if not response.isclosed():  # it has more than that, which would be the next answer
                self.close()
            return response.status, content
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection to the control server."""
        if self._http is not None:
            self._http.close()
            self._http = None


def _read_error(content: bytes) -> str:
    """Return the error in an answer that is not sealed, so may be by anyone."""
    try:
        return str(json.loads(content)["error"])[:200]
    except (ValueError, KeyError, TypeError):
        return "without a reason"


def main() -> int:
    connection = AgentConnection(**json.loads(sys.stdin.readline()))
    # Whoever started the run shows or hides what ranks print.
    with guard_command(), guard_output(), handle_foreign_lines(write_all_lines):
        try:
            failure = run_agent(connection)  # reported where the run was started
        except RankError as error:
            failure = str(error)
            sys.stderr.write(f"{socket.gethostname()}: {get_first_line(error)}\n")
    return 0 if failure is None else 1


if __name__ == "__main__":
    sys.exit(main())
