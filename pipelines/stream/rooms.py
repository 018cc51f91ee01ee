"""Memory that is used again, because new pages cost system time.

(2 million rows of 160 bytes: 120 ns of it a row, and 55 since memory is used again, of which
decoding has 20.)
"""

import sys
import threading

import numpy as np

from pipelines.stream.columns import Columns

Arrays = dict[str, np.ndarray]


class BlockRooms:
    """Arrays for blocks, given back by whoever has copied what was in them; shared by threads."""

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._lock = threading.Lock()
        self._free: list[Arrays] = []

    def take(self, rows: int) -> Arrays:
        """Arrays of at least so many rows; what is in them is without meaning."""
        with self._lock:
            for place, room in enumerate(self._free):
                if len(next(iter(room.values()))) >= rows:
                    return self._free.pop(place)
            if self._free:  # too short: a longer one takes its place
                self._free.pop()
        return self._columns.empty(rows, zeroed=False)

    def give_back(self, room: Arrays) -> None:
        with self._lock:
            self._free.append(room)


class WindowRooms:
    """Stacked batches that are handed out, and used again once nobody refers to them."""

    def __init__(self, columns: Columns, steps: int, rows: int) -> None:
        self._columns, self._axes = columns, (steps, rows)
        self._made: list[Arrays] = []

    def take(self) -> Arrays:
        """Arrays of shape (steps, rows, …) and `weight`; what is in them is without meaning."""
        for room in self._made:
            # A view that somebody holds refers to the array: the dictionary and the call do, too.
            if all(sys.getrefcount(room[name]) == _UNUSED for name in room):
                return {name: array[:] for name, array in room.items()}
        room = self._columns.empty(self._axes, zeroed=False)
        room["weight"] = np.empty(self._axes, np.float32)
        self._made.append(room)
        return {name: array[:] for name, array in room.items()}


def _references() -> int:
    room = {"a": np.zeros(1)}
    return sys.getrefcount(room["a"])


_UNUSED = _references()
