"""-h, -v, -q and --log-file of every command, and completion in a real shell."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from headrace.cli import app
from headrace.commands.console import Console, LogFormat
from headrace.commands.output_options import OutputSettings
from headrace.errors import OptionError
from headrace.foreign_lines import write_foreign_line
from headrace.progress import Progress
from tests.commands.stage_outcomes import run_command, write_recipe
from tests.e2e.running import BIN
from tests.test_cli import COMMANDS

NOTICE = "[2026-11-30 16:00:00.1: W horovod/common/stall_inspector.cc:107] stalled"


@pytest.mark.parametrize("command", [*COMMANDS, "schema", "vacuum-checkpoints", "install-horovod"])
def test_every_command_has_them_and_no_help_is_cut(command: str) -> None:
    short, long = run_command(*command.split(), "-h"), run_command(*command.split(), "--help")
    assert short == long
    assert short.code == 0
    for option in ("-v, --verbose", "-q, --quiet", "--log-file FILE", "-h, --help"):
        assert option in short.out
    assert not [line for line in short.out.splitlines() if line.endswith("...")]
    assert max(map(len, short.out.splitlines())) <= 80


def test_the_list_of_commands_has_a_whole_line_for_each() -> None:
    listed = run_command("-h").out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed] == list(get_command(app).commands)  # type: ignore[attr-defined]
    assert all(line.endswith(".") and not line.endswith("...") for line in listed)
    assert max(map(len, listed)) <= 80


def test_verbose_and_quiet_exclude_each_other(tmp_path: Path) -> None:
    ended = run_command("check", write_recipe(tmp_path), "-v", "-q")
    assert ended.code == 2
    assert "exclude each other" in ended.err


def show_a_stage(settings: OutputSettings, log_format: LogFormat = LogFormat.TEXT) -> None:
    console = Console(as_json=False, log_format=log_format, settings=settings)
    with console.open():
        console.open_log()
        console.print_step("run", "checking")
        with console.track_stage("train") as report:
            for step in (1, 2, 3):
                report(Progress("epoch 1 of 1", step, 3, {"loss": 0.5}))
            write_foreign_line("rank 0", NOTICE)
            write_foreign_line("rank 0", "of a user's own function")
        console.print_summary(["the result"])
        console.print_error("an error", 1)


def test_quiet_shows_the_result_and_errors_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_a_stage(OutputSettings(quiet=True))
    assert capsys.readouterr() == ("the result\n", "an error\n")


def test_by_default_notices_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    show_a_stage(OutputSettings())
    out, err = capsys.readouterr()
    assert out.count("epoch 1 of 1") == 2  # the first and the last
    assert err.splitlines() == [
        "[rank 0] of a user's own function",
        "an error",
        "1 lines of libraries are not shown (-v shows them)",
    ]


def test_verbose_shows_everything(capsys: pytest.CaptureFixture[str]) -> None:
    show_a_stage(OutputSettings(verbose=True))
    out, err = capsys.readouterr()
    assert out.count("epoch 1 of 1") == 3
    assert err.splitlines()[:2] == [f"[rank 0] {NOTICE}", "[rank 0] of a user's own function"]


def test_a_log_file_has_everything_whatever_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "headrace.log"
    file.write_text("before\n")
    show_a_stage(OutputSettings(quiet=True, log_file=str(file)))
    lines = file.read_text().splitlines()
    assert lines[0] == "before"
    assert all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 ", x) for x in lines[1:])
    assert [line.partition(" ")[2] for line in lines[1:]] == [
        "info  run: checking",
        "info  train: epoch 1 of 1",
        "info  train: epoch 1 of 1",
        "info  train: epoch 1 of 1",
        f"debug train: [rank 0] {NOTICE}",
        "debug train: [rank 0] of a user's own function",
        "info  train: done",
        "info  the result",
        "error an error",
    ]


def test_a_log_file_in_json_has_an_object_per_line(tmp_path: Path) -> None:
    file = tmp_path / "headrace.log"
    show_a_stage(OutputSettings(log_file=str(file)), LogFormat.JSON)
    entries = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"stage": "train", "metrics": {"loss": 0.5}}.items() <= entries[1].items()
    assert entries[-1]["level"] == "error"
    assert file.stat().st_mode & 0o777 == 0o600


def test_secrets_are_masked_in_it(tmp_path: Path) -> None:
    file = tmp_path / "headrace.log"
    console = Console(as_json=False, settings=OutputSettings(log_file=str(file)))
    console.open_log()
    with console.open():
        console.print_line("at postgresql://me:hunter22@db/x")
    assert "hunter22" not in file.read_text()


def test_a_log_file_that_cannot_be_written_is_exit_code_2(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--log-file /proc/nothing/x cannot be written to"):
        Console(as_json=False, settings=OutputSettings(log_file="/proc/nothing/x")).open_log()
    ended = run_command("check", write_recipe(tmp_path), "--log-file", str(tmp_path))
    assert ended.code == 2
    assert f"--log-file {tmp_path} cannot be written to: Is a directory" in ended.err


def complete(words: str, shell: str = "bash") -> list[str]:
    """What the shell is offered for the last word."""
    environment = {
        **os.environ,
        "_HEADRACE_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "_TYPER_COMPLETE_ARGS": words,
    }
    done = subprocess.run(
        [str(BIN / "headrace")], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.splitlines()


def test_commands_and_options_are_completed() -> None:
    assert complete("headrace pro") == ["promote"]
    assert complete("headrace lake f") == ["flights"]
    assert complete("headrace run --wor") == ["--workdir"]
    assert complete("headrace run --log-format j") == ["json"]


def test_bash_completes_with_the_script_that_is_shown(tmp_path: Path) -> None:
    shown = subprocess.run(
        [str(BIN / "headrace"), "--show-completion", "bash"],
        capture_output=True, text=True, check=True,
        env={**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"},
    )  # fmt: skip
    script = shown.stdout + (
        "\nCOMP_WORDS=(headrace roll)\nCOMP_CWORD=1\n"
        "\"$(complete -p headrace | sed -E 's/.*-F ([^ ]+).*/\\1/')\" headrace\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.stdout.split() == ["rollback"], done.stderr
