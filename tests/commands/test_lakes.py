"""The commands that write example lakes: what they report, and that a lake is written once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands.stage_outcomes import run_command


@pytest.fixture
def replace_writer(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Replace the writer of the flights lake."""

    def replace(written: bool) -> None:
        manifest = {"made": {"rows": {"flights": 336_776, "weather": 7}, "digest": "d"}}
        monkeypatch.setattr(
            "headrace.examples.flights.ensure_flights_lake", lambda out, report: (manifest, written)
        )

    return replace


@pytest.mark.parametrize(
    ("written", "line"),
    [
        (True, "wrote out (flights 336,776, weather 7 rows)"),
        (False, "already there: out (flights 336,776, weather 7 rows)"),
    ],
)
def test_what_was_written_is_reported(
    written: bool, line: str, replace_writer: Callable[[bool], None]
) -> None:
    replace_writer(written)
    done = run_command("lake", "flights", "--out", "out", "--json")
    assert done.code == 0
    assert done.result == {
        "command": "lake flights",
        "ok": True,
        "path": "out",
        "written": written,
        "rows": {"flights": 336_776, "weather": 7},
        "digest": "d",
    }
    assert done.err.splitlines()[-1] == line


def test_a_lake_is_written_once_and_never_over_something_else(tmp_path: Path) -> None:
    def write(folder: str, *options: str) -> Any:
        return run_command("lake", "digits", "--out", str(tmp_path / folder), *options)

    results = [write("lake", "--json").result for _ in range(2)]
    assert [result["written"] for result in results] == [True, False]
    assert results[0]["rows"] == results[1]["rows"] == {"digits": 1797}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    refused = write("other")
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("headrace lake digits: ")
    assert "is not empty" in refused.err
