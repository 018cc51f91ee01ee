"""How a rank gets its slots: through its folder."""

from pathlib import Path

import pytest

from headrace.distributed.rank import membership as membership_module
from headrace.distributed.rank.membership import Membership
from headrace.distributed.rank_folder import RankFolder
from headrace.distributed.slot import assign_slots


def test_a_slot_that_was_assigned_before_is_taken_without_waiting(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    _, slot = assign_slots(["a", "a"], generation=1, address="10.0.0.1", port=7)
    folder.assign_slot(slot)
    assert Membership(folder, is_elastic=True).wait_for_slot(0) == slot
    assert folder.read_awaited_generation() is None


def test_a_rank_announces_what_it_waits_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another slot of an earlier generation does not end the wait."""
    folder = RankFolder(tmp_path)
    old, new = (
        assign_slots(["a"], generation=generation, address="x", port=1)[0] for generation in (0, 1)
    )
    folder.assign_slot(old)
    awaited = []

    def assign_at_second_poll(seconds: float) -> None:
        awaited.append(folder.read_awaited_generation())
        if len(awaited) == 2:
            folder.assign_slot(new)

    monkeypatch.setattr(membership_module.time, "sleep", assign_at_second_poll)
    assert Membership(folder, is_elastic=True).wait_for_slot(1) == new
    assert awaited == [1, 1]


def test_a_change_is_requested_of_one_generation_and_those_before(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    membership = Membership(folder, is_elastic=True)
    assert not membership.is_change_requested(0)
    folder.request_change(1)
    assert [membership.is_change_requested(generation) for generation in (0, 1, 2)] == [
        True,
        True,
        False,
    ]


def test_facts_are_saved_in_the_folder(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    Membership(folder, is_elastic=True).save_carried_values({"attempt": "x"})
    assert folder.read_carried_values() == {"attempt": "x"}
