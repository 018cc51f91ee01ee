"""Print progress and results: a live bar on a terminal, plain lines elsewhere, or a JSON log.

With `--json` everything but the result goes to standard error, and standard output ends with one
line of JSON.
"""

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from headrace.commands.observers import Observer
from headrace.output import escape_line, escape_message
from headrace.progress import Progress, Report

# Shortest time between two plain lines about the same step, seconds.
_LINE_INTERVAL = 10.0


class LogFormat(StrEnum):
    """The formats in which progress is written."""

    TEXT = "text"
    JSON = "json"


class StageReport:
    """A `Report` of one stage that also passes progress on to observers."""

    def __init__(self, stage: str, show: Report, observers: Sequence[Observer]) -> None:
        self.result: Mapping[str, Any] = {}
        """The stage's result for observers; set before the stage's block ends."""
        self._stage, self._show, self._observers = stage, show, observers

    def __call__(self, progress: Progress) -> None:
        self._show(progress)
        for observer in self._observers:
            observer.on_progress(self._stage, progress)


class Console:
    """The output of a command: progress, lines of text, and the result as JSON."""

    def __init__(self, as_json: bool, log_format: LogFormat = LogFormat.TEXT) -> None:
        self.as_json = as_json
        self.observers: Sequence[Observer] = ()
        """Observers of the stages besides the person at the terminal."""
        self._writes_json_log = log_format is LogFormat.JSON
        self._stage: str | None = None
        self._rich = RichConsole(
            stderr=as_json, highlight=False, soft_wrap=True, markup=False, emoji=False
        )
        self._started = time.monotonic()

    def print_line(self, text: str = "") -> None:
        """Print one line of text, or log it as a message."""
        if self._writes_json_log:
            self._write_entry("info", text)
        else:
            self._rich.print(escape_line(text))

    def print_step(self, command: str, text: str) -> None:
        """Print what a command does outside of its stages, with the time, as stages do."""
        if self._writes_json_log:
            self._write_entry("info", text)
        else:
            self.print_line(f"{self._format_elapsed()}  {command}: {text}")

    def print_summary(self, lines: Iterable[str]) -> None:
        """Print a command's result in words; a JSON log has it as fields instead."""
        if not self._writes_json_log:
            for line in lines:
                self._rich.print(escape_line(line))

    def print_error(self, text: str, exit_code: int) -> None:
        """Print why the command ends, on standard error or into the log."""
        sys.stdout.flush()
        if self._writes_json_log:
            self._write_entry("error", text, exit_code=exit_code)
        else:
            sys.stderr.write(f"{escape_message(text)}\n")
            sys.stderr.flush()

    def print_result(self, value: dict[str, Any]) -> None:
        """Print the command's result as the last line of standard output, with `--json` only."""
        if self._writes_json_log:
            self._write_entry("info", "result", result=value)
        if self.as_json:
            sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
            sys.stdout.flush()

    @contextmanager
    def track_stage(self, name: str) -> Iterator[StageReport]:
        """Show the progress of a stage while the block runs, and how long it took.

        Observers see the stage start, progress, and end or fail.
        """
        start = time.monotonic()
        self._stage = name
        for observer in self.observers:
            observer.on_stage_start(name)
        try:
            with self._open_report(name) as show:
                report = StageReport(name, show, self.observers)
                yield report
        except BaseException as error:
            for observer in self.observers:
                observer.on_stage_failure(name, error)
            raise
        for observer in self.observers:
            observer.on_stage_end(name, report.result)
        seconds = time.monotonic() - start
        if self._writes_json_log:
            self._write_entry("info", "done", seconds=round(seconds, 3))
        else:
            self.print_line(f"{self._format_elapsed()}  {name}: done in {seconds:.1f} s")
        self._stage = None

    def _write_entry(self, level: str, message: str, **fields: Any) -> None:
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "message": message,
            **({"stage": self._stage} if self._stage else {}),
            **fields,
        }
        stream = sys.stderr if self.as_json else sys.stdout
        stream.write(json.dumps(entry) + "\n")
        stream.flush()

    def _format_elapsed(self) -> str:
        return f"[{time.monotonic() - self._started:6.1f} s]"

    @contextmanager
    def _open_report(self, name: str) -> Iterator[Report]:
        if self._rich.is_terminal and not self._writes_json_log:
            with self._open_bar(name) as report:
                yield report
        else:
            yield limit_rate(
                self._log_progress
                if self._writes_json_log
                else lambda p: self._print_progress(name, p)
            )

    @contextmanager
    def _open_bar(self, name: str) -> Iterator[Report]:
        with RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=self._rich,
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=None)

            def update_bar(progress: Progress) -> None:
                bar.update(
                    task,
                    description=escape_line(f"{name}: {progress.text}"),
                    completed=progress.done or 0,
                    total=progress.total,
                )

            yield update_bar

    def _print_progress(self, name: str, progress: Progress) -> None:
        count = f" ({progress.done:,} of {progress.total:,})" if progress.total else ""
        self.print_line(f"{self._format_elapsed()}  {name}: {progress.text}{count}")

    def _log_progress(self, progress: Progress) -> None:
        fields = {"done": progress.done, "total": progress.total, "metrics": progress.metrics}
        present_fields = {key: value for key, value in fields.items() if value is not None}
        self._write_entry("info", progress.text, **present_fields)


def limit_rate(show: Report) -> Report:
    """Return a `Report` that shows less often: the same step once in 10 seconds, and its end."""
    last: dict[str, Any] = {"text": None, "time": 0.0}

    def report_seldom(progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.done is not None and progress.done == progress.total
        if progress.text == last["text"] and now - last["time"] < _LINE_INTERVAL and not finished:
            return
        last.update(text=progress.text, time=now)
        show(progress)

    return report_seldom
