"""How a rank's process learns its place, and that it is to have another one."""

import os
import time
from typing import Any

from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import Place

_POLL_SECONDS = 0.01


class Membership:
    """By the rank's folder; see `folder.RankFolder`."""

    def __init__(self, folder: RankFolder, elastic: bool) -> None:
        """
        Args:
            folder: of this rank.
            elastic: whether there may be more than one generation.
        """
        self._folder, self.elastic = folder, elastic

    def wait_for(self, generation: int) -> Place:
        """The place in this generation, or in a later one; it is also put into the environment."""
        place = self._folder.place(generation)
        if place is None:
            self._folder.wait_for(generation)
        while place is None:
            time.sleep(_POLL_SECONDS)
            place = self._folder.place(generation)
        os.environ.update(place.environment())
        return place

    def change_asked(self, generation: int) -> bool:
        """Whether the ranks of this generation are to meet anew."""
        return self._folder.change_asked() >= generation

    def remember(self, facts: dict[str, Any]) -> None:
        """Have ranks of later generations know these."""
        self._folder.remember(facts)
