"""Who is late, by where the ranks are."""

import time
from pathlib import Path

import pytest

from headrace.distributed.heartbeat import Position, Pulse
from headrace.distributed.supervise.watchdog import Watchdog, late_ranks
from headrace.errors import RankError


@pytest.mark.parametrize(
    ("places", "asleep", "says"),
    [
        ([(3, True), (3, False)], [0, 0], "rank 1 of 2 does not come"),
        ([(3, True), (4, False), (3, True)], [0, 0, 0], "rank 1 of 3 does not come"),
        ([(3, True), (3, True)], [0, 1], "rank 1 of 2 is stopped (SIGSTOP)"),
        ([(3, True), (3, True)], [0, 0], "a collective or a device hangs"),
        ([(3, True), (4, True)], [0, 0], "one of them left a step out"),
        ([(-1, False), (-1, False)], [0, 0], "all ranks are in the same place; rank 0 is before"),
    ],
)
def test_who_is_late(places: list[tuple[int, bool]], asleep: list[int], says: str) -> None:
    positions = [Position(9, step, inside) for step, inside in places]
    assert says in late_ranks(positions, [bool(a) for a in asleep])


def test_a_standstill_is_an_error_until_a_rank_is_done(tmp_path: Path) -> None:
    pulses = [Pulse(tmp_path / name) for name in ("a", "b")]
    seen = [Pulse(tmp_path / name) for name in ("a", "b")]
    dog = Watchdog(lambda: [p.read() for p in seen], lambda: [False, False], timeout=0.2)
    pulses[0].enter(6)
    for _ in range(4):  # one that moves is enough
        time.sleep(0.1)
        pulses[1].beat()
        dog.look()
    time.sleep(0.3)
    with pytest.raises(RankError, match=r"0\.2 seconds.*rank 1 of 2 does not come"):
        dog.look()
    pulses[1].done()
    time.sleep(0.3)
    dog.look()
    assert str(pulses[1].read()) == "done with its steps"
    assert str(pulses[0].read()) == "inside step 7"


def test_work_without_steps_may_take_as_long_as_it_likes() -> None:
    dog = Watchdog(lambda: [Pulse().read()], lambda: [False], timeout=None)
    time.sleep(0.1)
    dog.look()
