"""Memory that is used again, because new pages cost system time.

(2 million rows of 160 bytes: some 70 ns of it a row.)

It lies at multiples of 64 bytes: what is aligned so TensorFlow takes over without a copy.
"""

import sys
import threading
from dataclasses import dataclass
from math import prod

import numpy as np

from headrace.stream.columns import Columns

_ALIGNMENT = 64  # EIGEN_MAX_ALIGN_BYTES on every processor that TensorFlow is built for


@dataclass(frozen=True)
class _Array:
    """Memory of an array; views of it refer to `memory` and to nothing else."""

    memory: np.ndarray
    begin: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @staticmethod
    def of(shape: tuple[int, ...], dtype: np.dtype) -> "_Array":
        memory = np.empty(prod(shape) * dtype.itemsize + _ALIGNMENT, np.uint8)
        return _Array(memory, -memory.ctypes.data % _ALIGNMENT, shape, dtype)

    @property
    def unused(self) -> bool:
        return sys.getrefcount(self.memory) == _UNUSED

    def part(self, first_axis: int) -> np.ndarray:
        shape = (first_axis, *self.shape[1:])
        end = self.begin + prod(shape) * self.dtype.itemsize
        return self.memory[self.begin : end].view(self.dtype).reshape(shape)


class Rooms:
    """Arrays that are handed out, and used again once nobody refers to them; shared by threads.

    Nothing is given back: a reader that ends early, or an error, loses no room.
    """

    def __init__(self, columns: Columns, *further: str) -> None:
        """
        Args:
            columns: which arrays a room has.
            further: names of arrays beside them: float32, a number a row.
        """
        self._columns, self._further = columns, further
        self._lock = threading.Lock()
        self._made: list[dict[str, _Array]] = []

    def take(self, *axes: int) -> dict[str, np.ndarray]:
        """Arrays of shape (*axes, …); what is in them is without meaning."""
        with self._lock:
            unused = -1
            for place, room in enumerate(self._made):
                if all(array.unused for array in room.values()):
                    unused = place
                    has = next(iter(room.values())).shape
                    if has[0] >= axes[0] and has[1 : len(axes)] == axes[1:]:
                        break
            else:
                if unused >= 0:  # another length or shape: the new one takes its place
                    del self._made[unused]
                room = self._new(axes)
                self._made.append(room)
            return {name: array.part(axes[0]) for name, array in room.items()}

    def _new(self, axes: tuple[int, ...]) -> dict[str, _Array]:
        kinds = {
            name: ((*axes, *item.shape), np.dtype(item.dtype))
            for name, item in self._columns.arrays.items()
        } | {name: (axes, np.dtype(np.float32)) for name in self._further}
        return {name: _Array.of(shape, dtype) for name, (shape, dtype) in kinds.items()}


def _references() -> int:
    array = _Array.of((1,), np.dtype(np.uint8))
    return sys.getrefcount(array.memory)


_UNUSED = _references()
