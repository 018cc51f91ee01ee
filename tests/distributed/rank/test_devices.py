"""Device descriptions of all ranks, on a collective that stands for three of them."""

import numpy as np

from headrace.distributed.rank.collectives import SoloCollectives
from headrace.distributed.rank.devices import gather_devices


class ThreeRanks(SoloCollectives):
    """Three ranks, of which the other two describe their devices as `other`."""

    def __init__(self, device: str, other: str) -> None:
        super().__init__()
        self.device, self._other = device, other

    def allgather(self, array: np.ndarray) -> np.ndarray:
        row = np.zeros_like(array)
        row[0, : len(self._other)] = np.frombuffer(self._other.encode(), np.uint8)
        return np.concatenate([array, row, row])


def test_descriptions_are_gathered_by_rank() -> None:
    ranks = ThreeRanks("höst CPU, 1 thread", "b CPU, 2 threads")
    assert gather_devices(ranks) == ["höst CPU, 1 thread", *["b CPU, 2 threads"] * 2]


def test_a_long_description_is_cut() -> None:
    assert gather_devices(ThreeRanks("x" * 121, ""))[0] == "x" * 120
