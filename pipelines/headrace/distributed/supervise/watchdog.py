"""Raise an error when ranks stand still, and say which rank the others wait for.

Works on positions alone, whoever reads them; ending the ranks is left to the supervisor.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.distributed.heartbeat import Position
from headrace.errors import RankError


class Watchdog:
    """A timeout on the progress of a generation, where a move of any rank is progress of all.

    It is off as soon as one rank is done with its steps: registering a model takes as long as it
    takes.
    """

    def __init__(
        self,
        read_positions: Callable[[], list[Position]],
        read_stopped: Callable[[], list[bool]],
        timeout: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """
        Args:
            read_positions: returns the ranks' present positions, by rank.
            read_stopped: returns whether each rank's process is stopped by a signal, by rank.
            timeout: seconds without progress after which `check_progress` raises; None for never.
            clock: returns seconds since any fixed moment.
        """
        self._read_positions, self._read_stopped = read_positions, read_stopped
        self._timeout, self._clock = timeout, clock
        self._last_positions = read_positions()
        self._last_progress_at = clock()

    def check_progress(self) -> None:
        """Compare the positions with those of the last call; to be called all the time.

        Raises:
            RankError: no rank has made progress for longer than the timeout.
        """
        positions = self._read_positions()
        now = self._clock()
        if positions != self._last_positions or any(position.done for position in positions):
            self._last_positions, self._last_progress_at = positions, now
        elif self._timeout is not None and now - self._last_progress_at > self._timeout:
            raise RankError(
                f"no rank has made progress for {self._timeout:g} seconds (train.step_timeout): "
                f"{self.describe_late_ranks()}; all ranks were terminated"
            )

    def describe_late_ranks(self) -> str:
        """Describe the present position of every rank, beginning with the late ones."""
        return describe_late_ranks(self._read_positions(), self._read_stopped())


def describe_late_ranks(positions: Sequence[Position], stopped: Sequence[bool]) -> str:
    """Describe in words which rank the others wait for, and the position of every rank.

    Args:
        positions: of each rank, by rank.
        stopped: whether each rank's process is stopped by a signal, by rank.
    """
    size = len(positions)
    details = "; ".join(f"rank {rank} is {p}" for rank, p in enumerate(positions))
    frozen = [f"rank {rank}" for rank, is_stopped in enumerate(stopped) if is_stopped]
    if frozen:
        return f"{' and '.join(frozen)} of {size} is stopped (SIGSTOP); {details}"
    outside = [f"rank {rank}" for rank, p in enumerate(positions) if not p.inside]
    if 0 < len(outside) < size:
        return f"{' and '.join(outside)} of {size} did not join the collective; {details}"
    if len({p.step for p in positions}) > 1:
        return f"the ranks are in different steps, one of them skipped a step; {details}"
    if not outside and size > 1:
        return f"all ranks are inside the same step, a collective or a device hangs; {details}"
    return f"all ranks are at the same point; {details}"


def is_process_stopped(pid: int) -> bool:
    """Return whether a process is stopped by a signal or a debugger; false if it is gone."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")
