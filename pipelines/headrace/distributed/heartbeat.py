"""Where every rank is, in memory that the supervisor can read at any time.

A rank writes 16 bytes where it enters a step and where it leaves it. Nothing else would tell a rank
that is late from those that wait for it: under Gloo no one complains of a rank that is alive and
does not come to the collective.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("<qq")


@dataclass(frozen=True)
class Position:
    """Of one rank.

    Attributes:
        beats: how often it moved; what a standstill is told by.
        step: number of its step over all epochs, from 0; -1 before the first.
        inside: whether it is in the step, where the collectives are, or before it.
        done: whether there are no more steps to come.
    """

    beats: int
    step: int
    inside: bool
    done: bool = False

    def __str__(self) -> str:
        if self.done:
            return "done with its steps"
        if self.step < 0:
            return "before its first step"
        return f"inside step {self.step + 1}" if self.inside else f"before step {self.step + 1}"


_BEFORE, _DONE = -2, -3


class Pulse:
    """One rank's own; or a reader of it."""

    def __init__(self, file: Path | None = None) -> None:
        """
        Args:
            file: made where it is not there; memory of this process alone where it is left out.
        """
        self._memory: mmap.mmap | bytearray = bytearray(_LAYOUT.pack(0, _BEFORE))
        if file is not None:
            if not file.exists():
                file.write_bytes(self._memory)
            with file.open("r+b") as opened:
                self._memory = mmap.mmap(opened.fileno(), _LAYOUT.size)
        self._beats, self._where = _LAYOUT.unpack(self._memory[:])

    def enter(self, step: int) -> None:
        """The step begins, and the collectives in it."""
        self._write(2 * step + 1)

    def leave(self, step: int) -> None:
        """The step is over; input comes next."""
        self._write(2 * (step + 1))

    def beat(self) -> None:
        """Something else moved on."""
        self._write(self._where)

    def done(self) -> None:
        """No more steps: what comes now takes as long as it takes."""
        self._write(_DONE)

    def read(self) -> Position:
        beats, where = _LAYOUT.unpack(self._memory[:])
        return Position(beats, max(where, _BEFORE) // 2, bool(where % 2), where == _DONE)

    def _write(self, where: int) -> None:
        self._beats, self._where = self._beats + 1, where
        self._memory[:] = _LAYOUT.pack(self._beats, where)
