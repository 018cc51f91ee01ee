"""The record that a rank leaves of the error that ended it."""

from pathlib import Path

import pytest

from headrace.distributed.rank.main import _write_error
from headrace.distributed.rank_folder import RankFolder
from headrace.errors import StreamError


def caught(error: Exception) -> Exception:
    """Return the error with a traceback."""
    try:
        raise error
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            StreamError("row group 3 cannot be read\ntry again"),
            "row group 3 cannot be read\ntry again",
        ),
        (ValueError("first line\nsecond line"), "first line"),
        (ValueError(), ""),
    ],
)
def test_a_headrace_error_keeps_its_text_and_others_their_first_line(
    error: Exception, message: str, tmp_path: Path
) -> None:
    folder = RankFolder(tmp_path)
    _write_error(folder, caught(error))
    record = folder.read_error()
    assert record is not None
    assert (record["type"], record["message"]) == (type(error).__name__, message)
    assert "in caught" in record["traceback"]
    assert record["lost_a_peer"] is False
    assert set(record) == {"type", "message", "traceback", "time", "lost_a_peer"}


def test_the_loss_of_a_peer_is_recorded(tmp_path: Path) -> None:
    folder = RankFolder(tmp_path)
    _write_error(folder, caught(RuntimeError("Horovod has been shut down")))
    record = folder.read_error()
    assert record is not None
    assert record["lost_a_peer"] is True


def test_an_error_goes_to_standard_error_if_the_folder_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write_error(RankFolder(tmp_path / "gone"), caught(ValueError("bad")))
    assert "ValueError: bad" in capsys.readouterr().err
