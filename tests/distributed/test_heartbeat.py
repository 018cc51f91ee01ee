"""A rank's heartbeat: what it writes is what another reader of the same memory reads."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.distributed.heartbeat import Heartbeat, Position


@pytest.mark.parametrize(
    ("write", "position", "text"),
    [
        (lambda h: None, Position(0, -1, False), "before its first step"),
        (lambda h: h.beat(), Position(1, -1, False), "before its first step"),
        (lambda h: h.enter_step(0), Position(1, 0, True), "inside step 1"),
        (lambda h: h.leave_step(0), Position(1, 1, False), "before step 2"),
        (lambda h: h.enter_step(6), Position(1, 6, True), "inside step 7"),
    ],
)
def test_a_reader_sees_the_position(
    write: Callable[[Heartbeat], None], position: Position, text: str, tmp_path: Path
) -> None:
    writer, reader = Heartbeat(tmp_path / "pulse"), Heartbeat(tmp_path / "pulse")
    write(writer)
    assert reader.read_position() == position
    assert str(reader.read_position()) == text


def test_a_reader_sees_that_all_steps_are_over(tmp_path: Path) -> None:
    writer, reader = Heartbeat(tmp_path / "pulse"), Heartbeat(tmp_path / "pulse")
    writer.enter_step(6)
    assert not reader.read_position().done
    writer.mark_done()
    assert reader.read_position().done
    assert str(reader.read_position()) == "done with its steps"
    writer.beat()
    assert reader.read_position().done


def test_every_write_is_a_beat_and_a_beat_alone_does_not_move() -> None:
    heartbeat = Heartbeat()
    heartbeat.enter_step(2)
    heartbeat.beat()
    heartbeat.beat()
    assert heartbeat.read_position() == Position(3, 2, True)
    heartbeat.leave_step(2)
    assert heartbeat.read_position() == Position(4, 3, False)


def test_a_heartbeat_goes_on_from_what_is_in_the_file(tmp_path: Path) -> None:
    Heartbeat(tmp_path / "pulse").enter_step(4)
    late = Heartbeat(tmp_path / "pulse")
    late.beat()
    assert late.read_position() == Position(2, 4, True)
    assert (tmp_path / "pulse").stat().st_size == 16
