"""A rank on another host, by what its agent posts."""

import itertools
import signal

import pytest

from headrace.distributed.heartbeat import Position
from headrace.distributed.slot import assign_slots
from headrace.distributed.supervise.remote_worker import RemoteWorker
from tests.distributed.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestRemoteWorker:
    @pytest.fixture
    def worker(self, clock: FakeClock) -> RemoteWorker:
        return RemoteWorker("agent", "h1", 0, clock)

    def test_a_worker_without_a_status_has_just_begun(self, worker: RemoteWorker) -> None:
        assert worker.poll_exit_code() is None
        assert worker.read_position() == Position(0, -1, False)
        assert not worker.is_stopped()
        assert worker.read_awaited_generation() is None
        assert (worker.read_error(), worker.read_result(), worker.read_carried_values()) == (
            None,
            None,
            {},
        )

    def test_changes_are_merged_into_the_status(self, worker: RemoteWorker) -> None:
        worker.update_status({"position": [5, 2, True, False], "stopped": True, "tail": ["one"]})
        worker.update_status({"position": [6, 3, False, False], "facts": {"a": 1}})
        assert worker.read_position() == Position(6, 3, False)
        assert worker.is_stopped()
        assert worker.log_tail == ["one"]
        assert worker.read_carried_values() == {"a": 1}
        worker.update_status({"code": 0, "result": {"loss": 1}, "tail": ["one", "two"]})
        assert (worker.poll_exit_code(), worker.read_result()) == (0, {"loss": 1})
        assert worker.log_tail == ["one", "two"]
        assert worker.describe_exit() == "on h1 exited with 0"

    def test_the_answer_says_what_the_supervisor_wants(self, worker: RemoteWorker) -> None:
        assert worker.update_status({}) == {"place": None, "change": None, "end": ""}
        (slot,) = assign_slots(["h1"], generation=1, address="x", port=1)
        worker.assign_slot(slot)
        worker.request_change(1)
        worker.terminate()
        assert worker.update_status({}) == {
            "place": slot.to_json(),
            "change": 1,
            "end": "terminate",
        }

    def test_a_kill_replaces_a_termination_and_not_the_other_way_round(
        self, worker: RemoteWorker
    ) -> None:
        worker.update_status({"code": 1})  # else `kill` waits
        worker.terminate()
        worker.kill()
        worker.terminate()
        assert worker.update_status({})["end"] == "kill"

    def test_a_worker_waits_until_it_has_a_slot(self, worker: RemoteWorker) -> None:
        worker.update_status({"waiting": 1})
        for generation, awaited in ((0, 1), (1, None), (2, None)):
            (slot,) = assign_slots(["h1"], generation=generation, address="x", port=1)
            worker.assign_slot(slot)
            assert worker.read_awaited_generation() == awaited

    def test_a_worker_is_lost_after_20_silent_seconds(
        self, worker: RemoteWorker, clock: FakeClock
    ) -> None:
        clock.now = 15
        worker.update_status({})
        clock.now = 35
        assert worker.poll_exit_code() is None
        clock.now = 35.5
        assert worker.poll_exit_code() == -signal.SIGKILL
        assert worker.describe_exit() == "on h1 has not been heard from for 20 seconds"
        worker.update_status({})  # the network is back
        assert worker.poll_exit_code() is None

    def test_a_worker_that_exited_may_be_silent(
        self, worker: RemoteWorker, clock: FakeClock
    ) -> None:
        worker.update_status({"code": 0})
        clock.now = 1000
        assert worker.poll_exit_code() == 0

    def test_a_kill_waits_5_seconds_at_most(self) -> None:
        worker = RemoteWorker("agent", "h1", 0, clock=itertools.count(step=3).__next__)
        worker.kill()
        assert worker.update_status({})["end"] == "kill"
