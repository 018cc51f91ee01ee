"""The files in a rank's folder: each message is read as it was written, newest first."""

import json
from pathlib import Path

import pytest

from headrace.distributed.rank_folder import RankFolder, read_json, write_atomically
from headrace.distributed.slot import Slot, assign_slots


@pytest.fixture
def folder(tmp_path: Path) -> RankFolder:
    return RankFolder(tmp_path)


def slot_of(generation: int) -> Slot:
    (slot,) = assign_slots(["a"], generation=generation, address="x", port=1, facts={"n": 1})
    return slot


def test_an_empty_folder_has_no_messages(folder: RankFolder) -> None:
    assert folder.read_slot(0) is None
    assert folder.read_awaited_generation() is None
    assert folder.read_requested_change() == -1
    assert folder.read_carried_values() == {}
    assert folder.read_result() is None
    assert folder.read_error() is None


def test_a_rank_takes_the_newest_slot(folder: RankFolder) -> None:
    for generation in (0, 2):
        folder.assign_slot(slot_of(generation))
    assert folder.read_slot(0) == folder.read_slot(2) == slot_of(2)
    assert folder.read_slot(3) is None


def test_the_newest_of_many_slots_is_the_one_with_the_highest_number(folder: RankFolder) -> None:
    for generation in (9, 10, 100):
        folder.assign_slot(slot_of(generation))
    assert folder.read_slot(0) == slot_of(100)


def test_messages_are_read_as_they_were_written(folder: RankFolder) -> None:
    folder.announce_waiting(3)
    folder.request_change(2)
    folder.write_carried_values({"attempt": "é"})
    folder.write_result({"loss": 0.5})
    folder.write_error({"type": "ValueError", "lost_a_peer": False})
    assert folder.read_awaited_generation() == 3
    assert folder.read_requested_change() == 2
    assert folder.read_carried_values() == {"attempt": "é"}
    assert folder.read_result() == {"loss": 0.5}
    assert folder.read_error() == {"type": "ValueError", "lost_a_peer": False}


def test_a_newer_message_replaces_an_older_one(folder: RankFolder) -> None:
    folder.announce_waiting(1)
    folder.announce_waiting(2)
    assert folder.read_awaited_generation() == 2


def test_the_file_names_stay_readable_for_people(folder: RankFolder) -> None:
    folder.assign_slot(slot_of(7))
    assert json.loads((folder.path / "place-000007.json").read_text())["generation"] == 7
    assert folder.heartbeat_path == folder.path / "pulse"


def test_a_write_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "x.json", '{"a": 1}')
    write_atomically(tmp_path / "x.json", '{"a": 2}')
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]
    assert read_json(tmp_path / "x.json") == {"a": 2}
