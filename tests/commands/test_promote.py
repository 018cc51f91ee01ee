"""The commands promote and rollback on a registry that is replaced: results and exit codes."""

from pathlib import Path
from typing import Any

import pytest

from headrace.errors import GateError
from headrace.evaluate.promote import Promoted
from headrace.tracking.golden import GoldenCheck
from headrace.tracking.registry import AliasMove
from tests.commands.stage_outcomes import run_command, write_recipe


@pytest.mark.parametrize(
    ("before", "line"),
    [
        (4, "Champion models:/tiny/5, before it version 4"),
        (None, "Champion models:/tiny/5, before it no version"),
    ],
)
def test_promote(
    before: int | None, line: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[dict[str, Any]] = []

    def promote(recipe: Any, *, report: Any, **arguments: Any) -> Promoted:
        calls.append(arguments)
        return Promoted("models:/tiny/5", AliasMove(5, before), GoldenCheck(20, 0.25, 0, 1.0))

    monkeypatch.setattr("headrace.evaluate.promote.promote", promote)
    path = write_recipe(tmp_path)
    done = run_command("promote", path, "--workdir", "w", "--model", "models:/tiny/5", "--json")
    assert done.code == 0
    assert done.result == {
        "command": "promote",
        "ok": True,
        "model_uri": "models:/tiny/5",
        "champion": 5,
        "before": before,
        "judged": True,
        "golden_rows": 20,
        "golden_largest_difference": 0.25,
    }
    assert calls == [{"workdir": "w", "model_uri": "models:/tiny/5"}]
    assert line in done.err.splitlines()


def test_that_nothing_was_judged_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    golden = GoldenCheck(20, 0.25, 0, 1.0)
    promoted = Promoted("models:/tiny/5", AliasMove(5, None), golden, judged=False)
    monkeypatch.setattr("headrace.evaluate.promote.promote", lambda *_, **__: promoted)
    done = run_command("promote", write_recipe(tmp_path), "--json")
    assert (done.code, done.result["judged"]) == (0, False)
    assert "Verdict  none: evaluate.gates is [], so nothing was judged" in done.err.splitlines()


def test_a_model_that_failed_its_gates_is_exit_code_3(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def promote(*_: Any, **__: Any) -> Promoted:
        raise GateError("models:/tiny/5 failed a gate")

    monkeypatch.setattr("headrace.evaluate.promote.promote", promote)
    done = run_command("promote", write_recipe(tmp_path), "--json")
    assert done.code == 3
    assert (done.result["ok"], done.result["exit_code"]) == (False, 3)
    assert done.err.endswith("headrace promote: models:/tiny/5 failed a gate\n")


@pytest.mark.parametrize(
    ("move", "lines"),
    [
        (AliasMove(4, 5), ["Champion version 4, rolled back from version 5"]),
        (
            AliasMove(1, None, (3, 2)),
            [
                "Champion version 1, rolled back from a deleted version",
                "Passed over, because it was deleted in MLflow: version 3, 2",
            ],
        ),
    ],
)
def test_rollback(
    move: AliasMove, lines: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("headrace.evaluate.promote.roll_back", lambda recipe, workdir: move)
    path = write_recipe(tmp_path)
    assert run_command("rollback", path, "--json").result == {
        "command": "rollback",
        "ok": True,
        "champion": move.champion,
        "rolled_back": move.before,
        "skipped": list(move.skipped),
    }
    assert run_command("rollback", path) == (0, "".join(f"{line}\n" for line in lines), "")
