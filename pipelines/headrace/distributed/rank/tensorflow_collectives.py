"""Communicate between ranks with TensorFlow's own collective operations; no Horovod is needed.

What goes between ranks are arrays of a `process_group.ProcessGroup`, also where a traced step calls
it. GPUs reduce through the host.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from headrace.distributed.heartbeat import Heartbeat
from headrace.distributed.rank.member_collectives import MemberCollectives
from headrace.distributed.rank.membership import Membership
from headrace.distributed.rank.messages import decode_message, encode_message
from headrace.distributed.rank.process_group import ProcessGroup
from headrace.distributed.slot import Slot

# Bytes travel as int32, in pieces of so many; the last one is filled up to a power of two, so that
# there are few shapes, each of which is a graph.
_PIECE_WORDS, _LEAST_WORDS = 2**22, 2**8
_WORD_BYTES = 4


class TensorFlowCollectives(MemberCollectives):
    """The collectives of ranks that TensorFlow's servers connect."""

    def __init__(
        self, membership: Membership, heartbeat: Heartbeat, timeout: float, threads: int
    ) -> None:
        """
        Args:
            membership, heartbeat: see `MemberCollectives`.
            timeout: seconds after which a rank that is frozen or cut off is lost.
            threads: TensorFlow compute threads of the rank.
        """
        self._timeout, self._threads = timeout, threads
        super().__init__(membership, heartbeat)

    def _connect(self, slot: Slot) -> None:
        self._group = ProcessGroup(
            slot, self._timeout, self._threads, lambda: self.heartbeat.read_position().done
        )

    def _disconnect(self) -> None:
        self._group.close()

    def _sum(self, addends: list[tf.Tensor]) -> list[tf.Tensor]:
        if len(dtypes := {addend.dtype.name for addend in addends}) > 1:
            raise TypeError(f"tensors that are summed together have one type, not {sorted(dtypes)}")
        return _call_traced(self._sum_arrays, addends, addends)

    def _sum_arrays(self, *arrays: np.ndarray) -> list[np.ndarray]:
        flat = np.concatenate([array.reshape(-1) for array in arrays])
        total = self._group.sum(flat) if flat.size else flat
        parts = np.split(total, np.cumsum([array.size for array in arrays])[:-1])
        return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]

    def _exchange_bits(self, bits: tf.Tensor) -> tf.Tensor:
        def exchange(array: np.ndarray) -> list[np.ndarray]:
            # float16 is a type of 16 bits that TensorFlow moves; nothing computes with it
            chunks = array.view(np.float16).reshape(self.size, -1)
            return [self._group.exchange(chunks).view(np.uint16).reshape(-1)]

        return _call_traced(exchange, [bits], [bits])[0]

    def _gather_bits(self, bits: tf.Tensor) -> tf.Tensor:
        def gather(array: np.ndarray) -> list[np.ndarray]:
            return [self._group.gather(array.view(np.float16)).view(np.uint16)]

        result = tf.TensorSpec([self.size * bits.shape[0]], tf.uint16)
        return _call_traced(gather, [bits], [result])[0]

    def _gather_rows(self, tensors: list[tf.Tensor]) -> list[tf.Tensor]:
        results = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype) for tensor in tensors]
        return _call_traced(self._gather_arrays, tensors, results)

    def _gather_arrays(self, *arrays: np.ndarray) -> list[np.ndarray]:
        """Return each array's concatenation over ranks; all of them travel together."""
        counts = np.array([array.shape[0] for array in arrays], np.int64)
        counts = self._group.gather(counts).reshape(self.size, len(arrays))
        row_bytes = [array.dtype.itemsize * math.prod(array.shape[1:]) for array in arrays]
        lengths = counts @ np.array(row_bytes, np.int64)
        content = b"".join(array.tobytes() for array in arrays)
        contents = self._gather_bytes(content, lengths.tolist())
        parts: list[list[np.ndarray]] = [[] for _ in arrays]
        for received, own_counts in zip(contents, counts.tolist(), strict=True):
            start = 0
            for part, array, count, size in zip(parts, arrays, own_counts, row_bytes, strict=True):
                row = array.shape[1:]
                values = np.frombuffer(received, array.dtype, count * math.prod(row), start)
                part.append(values.reshape(count, *row))
                start += count * size
        return [np.concatenate(part) for part in parts]

    def _exchange_rows(self, rows: tf.Tensor, counts: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        results = [
            tf.TensorSpec([None, *rows.shape[1:]], rows.dtype),
            tf.TensorSpec([self.size], tf.int32),
        ]
        received, received_counts = _call_traced(self._exchange_arrays, [rows, counts], results)
        return received, received_counts

    def _exchange_arrays(self, rows: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
        """Return the rows that were sent to this rank, and how many each rank sent."""
        # All counts are gathered, not only those of this rank: pieces are as long as the longest.
        table = self._group.gather(counts.astype(np.int64)).reshape(self.size, self.size)
        row_bytes = rows.dtype.itemsize * math.prod(rows.shape[1:])
        longest = int(table.max()) * row_bytes
        starts = np.concatenate([[0], np.cumsum(counts)])
        contents = [
            rows[start:end].tobytes().ljust(longest, b"\0")
            for start, end in itertools.pairwise(starts)
        ]
        parts: list[list[bytes]] = [[] for _ in range(self.size)]
        for pieces in zip(*map(_cut_pieces, contents), strict=True):
            received = self._group.exchange(np.stack(pieces)).reshape(self.size, -1)
            for part, words in zip(parts, received, strict=True):
                part.append(words.tobytes())
        own_counts = table[:, self.rank]
        arrays = [
            np.frombuffer(b"".join(part), rows.dtype, int(count) * math.prod(rows.shape[1:]))
            for part, count in zip(parts, own_counts, strict=True)
        ]
        joined = np.concatenate(arrays).reshape(-1, *rows.shape[1:])
        return [joined, own_counts.astype(np.int32)]

    def _broadcast_variables(self, variables: list[tf.Variable], root: int) -> None:
        for group in _group_by_bytes(variables):
            arrays = [np.asarray(variable) for variable in group]
            content = b"".join(array.tobytes() for array in arrays)
            received = self._broadcast_bytes(content, root)
            start = 0
            for variable, array in zip(group, arrays, strict=True):
                value = np.frombuffer(received, array.dtype, array.size, start)
                variable.assign(value.reshape(array.shape))
                start += array.nbytes

    def _broadcast_object(self, value: Any, root: int) -> Any:
        content = encode_message(value) if self.rank == root else b""
        (length,) = self._group.broadcast(np.array([len(content)], np.int64), root)
        return decode_message(self._broadcast_bytes(content.ljust(int(length), b"\0"), root))

    def _gather(self, array: np.ndarray) -> np.ndarray:
        if array.dtype.hasobject:
            raise TypeError(f"arrays of numbers are gathered, not of {array.dtype}")
        lengths = self._group.gather(np.array([array.shape[0]], np.int64)).tolist()
        row = array.shape[1:]
        row_bytes = array.dtype.itemsize * int(np.prod(row))
        contents = self._gather_bytes(array.tobytes(), [n * row_bytes for n in lengths])
        return np.concatenate(
            [
                np.frombuffer(content, array.dtype).reshape(length, *row)
                for content, length in zip(contents, lengths, strict=True)
            ]
        )

    def _gather_bytes(self, content: bytes, lengths: list[int]) -> list[bytes]:
        """Return the bytes of every rank, by rank.

        Args:
            content: of this rank.
            lengths: of every rank's.
        """
        parts: list[list[bytes]] = [[] for _ in range(self.size)]
        for piece in _cut_pieces(content.ljust(max(lengths), b"\0")):
            gathered = self._group.gather(piece).reshape(self.size, -1)
            for part, words in zip(parts, gathered, strict=True):
                part.append(words.tobytes())
        return [b"".join(part)[:length] for part, length in zip(parts, lengths, strict=True)]

    def _broadcast_bytes(self, content: bytes, root: int) -> bytes:
        """Return the bytes of rank `root`; those of other ranks have the same length."""
        pieces = [self._group.broadcast(piece, root).tobytes() for piece in _cut_pieces(content)]
        return b"".join(pieces)[: len(content)]


def _call_traced(
    function: Any, tensors: list[tf.Tensor], results: list[tf.Tensor]
) -> list[tf.Tensor]:
    """Call a function of arrays on tensors, now or in the graph that is being traced.

    Automatic control dependencies run such calls in the order of the trace, as ranks have to.

    Args:
        function: takes as many arrays, and returns a list of them.
        tensors: its arguments.
        results: have the types and shapes of what it returns.
    """
    if tf.executing_eagerly():
        arrays = function(*(np.asarray(tensor) for tensor in tensors))
        return [tf.constant(array) for array in arrays]
    outputs = tf.numpy_function(function, tensors, [result.dtype for result in results])
    for output, result in zip(outputs, results, strict=True):
        output.set_shape(result.shape)
    return list(outputs)


def _cut_pieces(content: bytes) -> Iterator[np.ndarray]:
    """Cut bytes into arrays of int32, the last one filled up with zeros."""
    for start in range(0, len(content), _PIECE_WORDS * _WORD_BYTES):
        piece = content[start : start + _PIECE_WORDS * _WORD_BYTES]
        words = max(_LEAST_WORDS, 1 << (-(-len(piece) // _WORD_BYTES) - 1).bit_length())
        yield np.frombuffer(piece.ljust(words * _WORD_BYTES, b"\0"), np.int32)


def _group_by_bytes(variables: list[tf.Variable]) -> Iterator[list[tf.Variable]]:
    """Group variables in their order, so that few broadcasts have much to send, and none all."""
    group: list[tf.Variable] = []
    size = 0
    for variable in variables:
        own = variable.dtype.size * variable.shape.num_elements()
        if group and size + own > _PIECE_WORDS * _WORD_BYTES:
            yield group
            group, size = [], 0
        group.append(variable)
        size += own
    if group:
        yield group
