"""Run TensorFlow's collective operations between the ranks of one generation, on NumPy arrays.

Each rank has a TensorFlow server in its process (`tf.distribute.Server`), and a session that runs a
graph of one collective a call. The eager context of the training stays as it was: its devices keep
their names, and a later generation gets servers of its own, which TensorFlow cannot do to an eager
context (`enable_collective_ops` twice leaves every variable on a device that is gone).

TensorFlow notices a rank whose process is gone, and waits for ever for one that is frozen or cut
off. So a thread runs a small exchange with all ranks now and then; it also keeps the connections
open (gRPC closes those that were idle for half an hour), because nobody is admitted once all ranks
are connected, see `listener.py`.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.distributed.addresses import find_local_address
from headrace.distributed.rank.listener import Listener
from headrace.distributed.rank.peer_addresses import exchange_words
from headrace.distributed.rank.peer_loss import PeerLossError
from headrace.distributed.slot import Slot

_JOB = "rank"
# Keys of the group that works, and of the one that watches over it.
_WORK, _WATCH = 1, 2
# Share of the timeout between two exchanges of the watch, and seconds at most: firewalls forget
# connections that were idle for minutes.
_WATCH_INTERVAL, _MOST_WATCH_SECONDS = 0.25, 60.0
# Seconds that the ranks of the first generation have to import TensorFlow, on a busy machine.
_START_SECONDS = 300.0
# Seconds in which what the ranks do may end well, though one that has done its part is gone.
_GRACE_SECONDS = 1.0
# Seconds for the thread of the watch to end.
_LEAVE_SECONDS = 10.0
_LOSSES = (
    tf.errors.UnavailableError,
    tf.errors.DeadlineExceededError,
    tf.errors.CancelledError,
    tf.errors.AbortedError,
    tf.errors.FailedPreconditionError,
)


class ProcessGroup:
    """The ranks of one generation, connected by TensorFlow's servers.

    All ranks call the same methods in the same order, with arrays of the same type and shape.
    Types are float16, bfloat16 (not to gather or broadcast), float32, float64, int32 and int64.
    """

    def __init__(
        self, slot: Slot, timeout: float, threads: int, is_done: Callable[[], bool]
    ) -> None:
        """
        Args:
            slot: of this rank.
            timeout: seconds after which a rank that does not answer is lost.
            threads: of the rank's operations. TensorFlow has one pool of them in a process, which
                belongs to whoever is first: the servers are, before the training.
            is_done: returns whether the ranks may end, one by one.

        Raises:
            PeerLossError: not all ranks came.
        """
        self._rank, self._size = slot.rank, slot.size
        self._timeout, self._is_done = timeout, is_done
        self._loss = ""
        self._closing = threading.Event()
        patience = timeout if slot.generation else max(timeout, _START_SECONDS)
        address = find_local_address(slot.address)
        with _reserve_port(address) as port:
            addresses = exchange_words(slot, "address", f"{address}:{port}", patience)
            self._config = _make_config(self._rank, threads)
            self._server = tf.distribute.Server(
                {_JOB: addresses},
                job_name=_JOB,
                task_index=self._rank,
                protocol="grpc",
                config=self._config,
            )
        listener = Listener(port)
        listener.admit_only(host for host, _, _ in (a.rpartition(":") for a in addresses))
        self._work = _CollectiveSession(self._server.target, self._config, slot, _WORK)
        self._watch = _CollectiveSession(self._server.target, self._config, slot, _WATCH)
        exchange_words(slot, "started", "yes", patience)
        # Every rank asks every other one for its part of this, so that all are connected.
        self._probe = np.zeros(self._size, np.int32)
        self._run(lambda: self._watch.run("exchange", self._probe, timeout=patience))
        listener.admit_nobody()
        self._watcher = threading.Thread(
            target=self._watch_peers, name="headrace-peers", daemon=True
        )
        self._watcher.start()

    def sum(self, array: np.ndarray) -> np.ndarray:
        """Return the sum over ranks; the same bits on every rank."""
        return self._run(lambda: self._work.run("sum", array))

    def gather(self, array: np.ndarray) -> np.ndarray:
        """Return the concatenation of all ranks' arrays, by rank."""
        return self._run(lambda: self._work.run("gather", array))

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """Return item `rank` of every rank's array, by rank; there are as many items as ranks."""
        return self._run(lambda: self._work.run("exchange", array))

    def broadcast(self, array: np.ndarray, root: int) -> np.ndarray:
        """Return the array of rank `root`."""
        return self._run(lambda: self._work.run("broadcast", array, root=root))

    def close(self) -> None:
        """Leave the group. TensorFlow cannot stop a server; this one admits nobody."""
        self._closing.set()
        self._work.close()
        self._watch.close()
        # A thread that returns from TensorFlow into an interpreter that has ended aborts the rank.
        self._watcher.join(timeout=_LEAVE_SECONDS)

    def _run(self, collective: Callable[[], np.ndarray]) -> np.ndarray:
        try:
            return collective()
        except (*_LOSSES, RuntimeError) as error:
            if isinstance(error, RuntimeError) and not self._loss:
                raise  # else it says that the watch has closed the session
            loss = self._loss or _summarize(error)
            raise PeerLossError(f"rank {self._rank} of {self._size} lost a peer: {loss}") from None

    def _watch_peers(self) -> None:
        """Exchange something with all ranks now and then; end what waits when one is lost."""
        interval = min(self._timeout * _WATCH_INTERVAL, _MOST_WATCH_SECONDS)
        while not self._closing.wait(interval):
            if self._is_done():
                break
            try:
                self._watch.run("exchange", self._probe, timeout=self._timeout)
            except Exception as error:  # whatever it is, the ranks are no longer together
                if not self._is_done() and not self._closing.wait(_GRACE_SECONDS):
                    self._loss = _summarize(error)
                    self._work.close()
                break


class _CollectiveSession:
    """A session whose graph has one collective for each kind, type and shape that was called."""

    def __init__(self, target: str, config: Any, slot: Slot, key: int) -> None:
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(target, graph=self._graph, config=config)
        self._rank, self._size, self._key = slot.rank, slot.size, key
        self._collectives: dict[tuple[Any, ...], tuple[tf.Tensor, tf.Tensor]] = {}

    def run(self, kind: str, array: np.ndarray, root: int = 0, timeout: float = 0.0) -> np.ndarray:
        signature = (kind, root, array.dtype, array.shape)
        if signature not in self._collectives:
            self._collectives[signature] = self._add_collective(kind, array, root)
        source, result = self._collectives[signature]
        options = tf.compat.v1.RunOptions(timeout_in_ms=int(timeout * 1000))
        # The ranks number their steps together, so that no two share a number.
        options.experimental.collective_graph_key = self._key
        output: np.ndarray = self._session.run(result, {source: array}, options=options)
        return output

    def close(self) -> None:
        with contextlib.suppress(Exception):  # a step of it may be about to fail
            self._session.close()

    def _add_collective(
        self, kind: str, array: np.ndarray, root: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        keys = {
            "group_size": self._size,
            "group_key": self._key,
            "instance_key": len(self._collectives) + 1,  # ranks see signatures in the same order
            "timeout_seconds": 0.0,
        }
        ops = tf.raw_ops
        with self._graph.as_default(), tf.device(f"/job:{_JOB}/task:{self._rank}/device:CPU:0"):
            source = tf.compat.v1.placeholder(array.dtype, array.shape)
            if kind == "sum":
                result = ops.CollectiveReduceV2(
                    input=source, merge_op="Add", final_op="Id", ordering_token=[],
                    communication_hint="ring", **keys,
                )  # fmt: skip
            elif kind == "gather":
                result = ops.CollectiveGatherV2(
                    input=source, ordering_token=[], communication_hint="ring", **keys
                )
            elif kind == "exchange":
                result = ops.CollectiveAllToAllV2(input=source, ordering_token=[], **keys)
            elif self._rank == root:
                result = ops.CollectiveBcastSendV2(input=source, **keys)
            else:
                result = ops.CollectiveBcastRecvV2(T=source.dtype, shape=list(array.shape), **keys)
        return source, result


def _make_config(rank: int, threads: int) -> Any:
    config = tf.compat.v1.ConfigProto(
        device_count={"GPU": 0},  # the GPU is the training's; sums go through the host
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=2,
        device_filters=[f"/job:{_JOB}/task:{rank}"],  # graphs of this rank run in this process
    )
    config.experimental.collective_group_leader = f"/job:{_JOB}/replica:0/task:0"
    return config


@contextlib.contextmanager
def _reserve_port(address: str) -> Iterator[int]:
    """Reserve a free port until TensorFlow's server listens on it, in the block."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((address, 0))
        os.environ["TF_GRPC_REUSE_PORT"] = "1"
        try:
            yield holder.getsockname()[1]
        finally:
            os.environ.pop("TF_GRPC_REUSE_PORT", None)


def _summarize(error: Exception) -> str:
    """Return the line of an error that says what happened to the connection."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "ollective" in line and "Detected" not in line]
    return (telling or lines or [type(error).__name__])[-1][:300]
