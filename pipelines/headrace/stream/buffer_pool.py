"""Pool the buffers that blocks and batches are read into: new pages of memory cost system time.

(2 million rows of 160 bytes: some 70 ns of it per row.)

Buffers begin at multiples of 64 bytes: TensorFlow shares arrays that are aligned so, and copies
others.
"""

import sys
import threading
from dataclasses import dataclass
from math import prod

import numpy as np

from headrace.stream.columns import Columns

_ALIGNMENT = 64  # EIGEN_MAX_ALIGN_BYTES on every processor that TensorFlow is built for


@dataclass(frozen=True)
class _AlignedArray:
    """The aligned memory of an array; views of it refer to `memory` and to nothing else."""

    memory: np.ndarray
    begin: int
    shape: tuple[int, ...]
    dtype: np.dtype

    @staticmethod
    def allocate(shape: tuple[int, ...], dtype: np.dtype) -> "_AlignedArray":
        """Allocate memory for an array; its content is undefined."""
        memory = np.empty(prod(shape) * dtype.itemsize + _ALIGNMENT, np.uint8)
        return _AlignedArray(memory, -memory.ctypes.data % _ALIGNMENT, shape, dtype)

    @property
    def is_unused(self) -> bool:
        """Return whether no view of the memory is left."""
        return sys.getrefcount(self.memory) == _UNUSED_REFERENCES

    def view_rows(self, rows: int) -> np.ndarray:
        """Return a view of the first `rows` of the first axis."""
        shape = (rows, *self.shape[1:])
        end = self.begin + prod(shape) * self.dtype.itemsize
        return self.memory[self.begin : end].view(self.dtype).reshape(shape)


class BufferPool:
    """A pool of buffers, each one array per name; shared by threads.

    A buffer is free as soon as nothing refers to its arrays. Nothing has to be released: a reader
    that ends early, or an error, leaks no buffer.
    """

    def __init__(self, columns: Columns, *extra_names: str) -> None:
        """
        Args:
            columns: the arrays of a buffer.
            extra_names: names of further arrays, float32 with one value per row.
        """
        self._columns, self._extra_names = columns, extra_names
        self._lock = threading.Lock()
        self._buffers: list[dict[str, _AlignedArray]] = []

    def acquire_arrays(self, *axes: int) -> dict[str, np.ndarray]:
        """Return free arrays of shape (*axes, …); their content is undefined.

        Args:
            axes: lengths of the leading axes; a longer buffer than `axes[0]` may be used.
        """
        with self._lock:
            unused = -1
            for position, buffer in enumerate(self._buffers):
                if all(array.is_unused for array in buffer.values()):
                    unused = position
                    shape = next(iter(buffer.values())).shape
                    if shape[0] >= axes[0] and shape[1 : len(axes)] == axes[1:]:
                        break
            else:
                if unused >= 0:  # too short or of another shape: the new buffer replaces it
                    del self._buffers[unused]
                buffer = self._allocate_buffer(axes)
                self._buffers.append(buffer)
            return {name: array.view_rows(axes[0]) for name, array in buffer.items()}

    def _allocate_buffer(self, axes: tuple[int, ...]) -> dict[str, _AlignedArray]:
        arrays = {
            name: ((*axes, *item.shape), np.dtype(item.dtype))
            for name, item in self._columns.arrays.items()
        } | {name: (axes, np.dtype(np.float32)) for name in self._extra_names}
        return {
            name: _AlignedArray.allocate(shape, dtype) for name, (shape, dtype) in arrays.items()
        }


def _count_unused_references() -> int:
    """Count the references to an array's memory that has no views."""
    array = _AlignedArray.allocate((1,), np.dtype(np.uint8))
    return sys.getrefcount(array.memory)


_UNUSED_REFERENCES = _count_unused_references()
