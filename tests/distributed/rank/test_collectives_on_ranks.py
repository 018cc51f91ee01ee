"""Both kinds of collectives between real processes: NumPy's values, with the same bits on all."""

import pytest

from headrace.distributed.run_ranks import run_ranks
from headrace.distributed.task import RankTask
from headrace.errors import RankError
from headrace.progress import ignore_progress

pytestmark = pytest.mark.e2e
FUNCTIONS = "tests.distributed.rank_functions"


def run(collectives: str, ranks: int, function: str, **payload: object) -> dict:
    task = RankTask(f"{FUNCTIONS}:{function}", payload, collectives=collectives)
    return run_ranks(task, ranks, ignore_progress)


@pytest.mark.long
@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_every_collective_is_what_numpy_computes(ranks: int) -> None:
    """Each digest is of what one call gave to every rank: a sum, one in bfloat16, a gathering.
    The last two have the same bits whatever computed them."""
    digests = [
        run(kind, ranks, "compare_collectives_with_numpy", cases=25)["digests"]
        for kind in ("horovod", "tensorflow")
    ]
    assert [len(of_kind) for of_kind in digests] == [75, 75]
    assert digests[0][1::3] == digests[1][1::3]
    assert digests[0][2::3] == digests[1][2::3]


@pytest.mark.long
@pytest.mark.parametrize("collectives", ["horovod", "tensorflow"])
def test_derivatives_go_through_a_sum_over_ranks(collectives: str) -> None:
    """By hand, of two ranks that have x = 1 each: s = 1x + 2x = 3 and y = s³ on both, so the
    derivative of both y by the x of rank 0 is 2 · 3s² · 1 = 54. The sum of both ranks' derivatives
    is (1 + 2) · 2 · 3s² = 18s², and that by the x of rank 0 is 36s · 1 = 108."""
    values = run(collectives, 2, "differentiate_twice")["values"]
    assert values == [27.0, 54.0, 108.0]


def test_tensorflow_notices_a_killed_rank() -> None:
    with pytest.raises(RankError, match="rank 1 of 2 was killed by SIGKILL"):
        run("tensorflow", 2, "kill_own_process")


@pytest.mark.long
def test_tensorflow_notices_a_frozen_rank_within_its_timeout() -> None:
    task = RankTask(
        f"{FUNCTIONS}:run_steps", {"fault": "stop"}, collectives="tensorflow", collective_timeout=5
    )
    with pytest.raises(
        RankError, match=r"rank 0 of 2 lost its peers.*PeerLossError: .*rank 1 of 2 is stopped"
    ):
        run_ranks(task, 2, ignore_progress)


@pytest.mark.long
def test_a_late_rank_is_waited_for_beyond_the_timeout_of_a_frozen_one() -> None:
    """It is the watchdog's business, as with Horovod: `train.step_timeout`."""
    task = RankTask(
        f"{FUNCTIONS}:run_steps", {"fault": "sleep"}, collectives="tensorflow",
        collective_timeout=5, step_timeout=20,
    )  # fmt: skip
    with pytest.raises(RankError, match=r"no rank has made progress for 20 seconds.*rank 1 of 2"):
        run_ranks(task, 2, ignore_progress)


@pytest.mark.long
def test_tensorflows_servers_admit_nobody_once_the_ranks_are_together() -> None:
    """Who reaches one may run any graph."""
    result = run("tensorflow", 2, "knock_at_own_ports")
    assert result["ports"] > 0
    assert (result["opened"], result["sum"]) == (0, 2.0)
