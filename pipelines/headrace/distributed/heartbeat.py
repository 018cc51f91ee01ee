"""Publish a rank's position in memory that the supervisor can read at any time.

A rank writes 16 bytes when it enters a step and when it leaves it. Nothing else tells a late rank
from those that wait for it: under Gloo nobody complains about a rank that is alive and does not
join a collective. What follows from the positions is the watchdog's business.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("<qq")  # number of beats, code of the position
# Codes of positions: 2 * step before that step, 2 * step + 1 inside it.
_BEFORE_FIRST_STEP, _DONE = -2, -3


@dataclass(frozen=True)
class Position:
    """A rank's position in its run.

    Attributes:
        beats: number of heartbeats so far; a rank whose number stays the same makes no progress.
        step: number of the step over all epochs, from 0; -1 before the first.
        inside: whether the rank is inside the step, where the collectives are, or before it.
        done: whether all steps are over.
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


class Heartbeat:
    """The heartbeat of one rank, to be written by the rank and read by its supervisor."""

    def __init__(self, file: Path | None = None) -> None:
        """
        Args:
            file: shared by the writer and the reader, created if it does not exist; memory of this
                process alone if left out.
        """
        self._memory: mmap.mmap | bytearray = bytearray(_LAYOUT.pack(0, _BEFORE_FIRST_STEP))
        if file is not None:
            if not file.exists():
                file.write_bytes(self._memory)
            with file.open("r+b") as opened:
                self._memory = mmap.mmap(opened.fileno(), _LAYOUT.size)
        self._beats, self._code = _LAYOUT.unpack(self._memory[:])

    def enter_step(self, step: int) -> None:
        """Record that the step and its collectives begin."""
        self._write_code(2 * step + 1)

    def leave_step(self, step: int) -> None:
        """Record that the step is over; the input of the next one follows."""
        self._write_code(2 * (step + 1))

    def beat(self) -> None:
        """Record progress outside of steps."""
        self._write_code(self._code)

    def mark_done(self) -> None:
        """Record that all steps are over: what follows takes as long as it takes."""
        self._write_code(_DONE)

    def read_position(self) -> Position:
        """Return the position that was written last, by whichever process."""
        beats, code = _LAYOUT.unpack(self._memory[:])
        return Position(beats, max(code, _BEFORE_FIRST_STEP) // 2, bool(code % 2), code == _DONE)

    def _write_code(self, code: int) -> None:
        self._beats, self._code = self._beats + 1, code
        self._memory[:] = _LAYOUT.pack(self._beats, code)
