"""Ends ranks that stand still, and says which one the others wait for."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from headrace.distributed.heartbeat import Position
from headrace.errors import RankError


class Watchdog:
    """Looks at the ranks' positions; a move of any of them is progress of all.

    It ends where a rank is done with its steps: registering a model takes as long as it takes.
    """

    def __init__(
        self,
        positions: Callable[[], list[Position]],
        asleep: Callable[[], list[bool]],
        timeout: float | None,
    ) -> None:
        """
        Args:
            positions: of the ranks, now.
            asleep: whether each one's process is stopped, now.
            timeout: seconds without progress after which `look` raises; None where it never does.
        """
        self._positions, self._asleep, self._timeout = positions, asleep, timeout
        self._seen = positions()
        self._moved_at = time.monotonic()

    def look(self) -> None:
        """To be called again and again.

        Raises:
            RankError: nothing has moved for too long.
        """
        seen = self._positions()
        now = time.monotonic()
        if seen != self._seen or any(position.done for position in seen):
            self._seen, self._moved_at = seen, now
        elif self._timeout is not None and now - self._moved_at > self._timeout:
            raise RankError(
                f"no rank has moved for {self._timeout:g} seconds (train.step_timeout): "
                f"{self.late()}; all ranks were ended"
            )

    def late(self) -> str:
        """Who the others wait for, and where every rank is."""
        return late_ranks(self._positions(), self._asleep())


def late_ranks(positions: Sequence[Position], asleep: Sequence[bool]) -> str:
    """Who is late, in words.

    Args:
        positions: of each rank.
        asleep: whether its process is stopped.
    """
    where = "; ".join(f"rank {rank} is {p}" for rank, p in enumerate(positions))
    frozen = [f"rank {rank}" for rank, still in enumerate(asleep) if still]
    if frozen:
        return f"{' and '.join(frozen)} of {len(positions)} is stopped (SIGSTOP); {where}"
    outside = [f"rank {rank}" for rank, p in enumerate(positions) if not p.inside]
    if 0 < len(outside) < len(positions):
        return f"{' and '.join(outside)} of {len(positions)} does not come; {where}"
    if len({p.step for p in positions}) > 1:
        return f"the ranks are in different steps, one of them left a step out; {where}"
    if not outside and len(positions) > 1:
        return f"all ranks are in the same step, so that a collective or a device hangs; {where}"
    return f"all ranks are in the same place; {where}"


def stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return False
    return state in ("T", "t")
