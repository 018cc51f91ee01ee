"""Tell a rank's process its slot in each generation, and when it is to leave one."""

import time
from typing import Any

from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import Slot

_POLL_SECONDS = 0.01


class Membership:
    """A rank's membership in generations, negotiated through its `rank_folder.RankFolder`."""

    def __init__(self, folder: RankFolder, is_elastic: bool) -> None:
        """
        Args:
            folder: of this rank.
            is_elastic: whether there can be more than one generation.
        """
        self._folder, self.is_elastic = folder, is_elastic

    def wait_for_slot(self, generation: int) -> Slot:
        """Wait for a slot in this generation or a later one, and return the newest."""
        slot = self._folder.read_slot(generation)
        if slot is None:
            self._folder.announce_waiting(generation)
        while slot is None:
            time.sleep(_POLL_SECONDS)
            slot = self._folder.read_slot(generation)
        return slot

    def is_change_requested(self, generation: int) -> bool:
        """Return whether the ranks of this generation are to regroup."""
        return self._folder.read_requested_change() >= generation

    def save_carried_values(self, values: dict[str, Any]) -> None:
        """Save what the ranks of later generations are to know."""
        self._folder.write_carried_values(values)
