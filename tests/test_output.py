"""Output that cannot be written ends nothing, shows no secret, and commands no terminal."""

import io
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from headrace import output
from headrace.output import GuardedStream, escape_controls, escape_line, escape_message

HOSTILE = [
    "\x1b[2J",
    "\x1b]0;title\x07",
    "\x9b31m",
    "\r",
    "\x08",
    "\x7f",
    "\u202e",
    "\u2028",
    "\ud800",
]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_commands_a_terminal_is_escaped(text: str) -> None:
    for escape in (escape_controls, escape_line, escape_message):
        shown = escape(f"a{text}b")
        assert shown.isprintable()
        assert shown.startswith("a")
        assert shown.endswith("b")


def test_what_people_write_stays() -> None:
    text = "Größe\t測試 é – «x» \N{FAMILY}"
    assert escape_controls(text) == text


def test_a_line_break_in_a_name_makes_no_line_of_ours() -> None:
    name = "x\nheadrace prepare: done"
    assert "\n" not in escape_line(name)
    assert escape_message(f"no file {name}\n  - a problem").splitlines()[1:] == [
        "  headrace prepare: done", "  - a problem",
    ]  # fmt: skip


def run(code: str, **streams: int) -> "subprocess.CompletedProcess[str]":
    program = f"import sys\nfrom headrace.output import guard_output\nwith guard_output():\n{code}"
    return subprocess.run(
        [sys.executable, "-P", "-c", program], text=True, check=False, timeout=60, **streams
    )  # type: ignore[call-overload, no-any-return]


WRITES = "    for n in range(9): print('x' * 3000)\n    print('seen', file=sys.stderr)\n"


def test_a_pipe_that_nobody_reads_any_more() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = run(WRITES, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == "seen"
    assert done.stderr.count("standard output could not be written (Broken pipe)") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_is_full() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = run(WRITES, stdout=subprocess.PIPE, stderr=full.fileno())
    assert done.returncode == 0
    assert "standard error could not be written (No space left on device)" in done.stdout


def test_both_are_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    assert run(WRITES, stdout=writing, stderr=writing).returncode == 0
    os.close(writing)


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_streams_that_were_closed_from_the_start(closed: str) -> None:
    program = (
        "from headrace.output import guard_output\nimport sys\n"
        "with guard_output():\n  print('a')\n  print('b', file=sys.stderr)\n"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -P -c "$1" {closed}', sys.executable, program],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_a_reader_that_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "_PATIENCE", 0.2)
    reading, writing = os.pipe()
    stream = GuardedStream(os.fdopen(writing, "w"))
    began = time.monotonic()
    for _ in range(1000):
        stream.write("x" * 1000 + "\n")
    assert time.monotonic() - began < 5
    assert stream.failure == "nobody reads it"
    # It reads again: so it is written to again.
    reader = threading.Thread(target=lambda: os.read(reading, 2**20))
    reader.start()
    reader.join()
    stream.write("again\n")
    assert os.read(reading, 2**20).endswith(b"again\n")
    os.close(reading)


def test_letters_that_the_terminal_lacks() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c",
         "from headrace.output import guard_output\nwith guard_output(): print('é 測 \\ud800')"],
        capture_output=True, env={"PYTHONIOENCODING": "ascii"}, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, b"\\xe9 \\u6e2c \\ud800\n"), done.stderr


def test_secrets_are_masked_in_whatever_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = io.StringIO()
    monkeypatch.setattr(sys, "stdout", plain)
    with output.guard_output():
        print("at postgresql://me:hunter22@db/x, ?sig=hunter22")
    assert "hunter22" not in plain.getvalue()
    assert "at postgresql://***@db/x" in plain.getvalue()
