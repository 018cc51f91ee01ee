"""Progress and results: a live bar on a terminal, plain lines elsewhere, JSON lines for machines.

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
from headrace.progress import Progress, Report

# Shortest time between two plain lines about the same piece of work, seconds.
_LINE_EVERY = 10.0


class LogFormat(StrEnum):
    """How progress is written."""

    TEXT = "text"
    JSON = "json"


class StageReport:
    """A `Report` of a stage, which takes the stage's result as well."""

    def __init__(self, stage: str, show: Report, observers: Sequence[Observer]) -> None:
        self.result: Mapping[str, Any] = {}
        """Set before the stage's block ends; for those who watch."""
        self._stage, self._show, self._observers = stage, show, observers

    def __call__(self, progress: Progress) -> None:
        self._show(progress)
        for observer in self._observers:
            observer.progressed(self._stage, progress)


class Console:
    """Where a command writes."""

    def __init__(self, as_json: bool, log_format: LogFormat = LogFormat.TEXT) -> None:
        self.as_json = as_json
        self.observers: Sequence[Observer] = ()
        """Who else is told of stages."""
        self._logs = log_format is LogFormat.JSON
        self._stage: str | None = None
        self._rich = RichConsole(
            stderr=as_json, highlight=False, soft_wrap=True, markup=False, emoji=False
        )
        self._started = time.monotonic()

    def line(self, text: str = "") -> None:
        """One line for people, or a message of the log."""
        if self._logs:
            self._log("info", text)
        else:
            self._rich.print(text)

    def summary(self, lines: Iterable[str]) -> None:
        """A command's result in words, which a log has as fields."""
        if not self._logs:
            for line in lines:
                self._rich.print(line)

    def error(self, text: str, exit_code: int) -> None:
        """Why the command ends."""
        sys.stdout.flush()
        if self._logs:
            self._log("error", text, exit_code=exit_code)
        else:
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()

    def result(self, value: dict[str, Any]) -> None:
        """The command's result; printed with `--json` only, as the last line."""
        if self._logs:
            self._log("info", "result", result=value)
        if self.as_json:
            sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
            sys.stdout.flush()

    @contextmanager
    def stage(self, name: str) -> Iterator[StageReport]:
        """Show the progress of a stage while the block runs, and how long it took."""
        began = time.monotonic()
        self._stage = name
        for observer in self.observers:
            observer.began(name)
        try:
            with self._shown(name) as show:
                report = StageReport(name, show, self.observers)
                yield report
        except BaseException as error:
            for observer in self.observers:
                observer.failed(name, error)
            raise
        for observer in self.observers:
            observer.ended(name, report.result)
        seconds = time.monotonic() - began
        if self._logs:
            self._log("info", "done", seconds=round(seconds, 3))
        else:
            self.line(f"{self._elapsed()}  {name}: done in {seconds:.1f} s")
        self._stage = None

    def _log(self, level: str, message: str, **fields: Any) -> None:
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

    def _elapsed(self) -> str:
        return f"[{time.monotonic() - self._started:6.1f} s]"

    @contextmanager
    def _shown(self, name: str) -> Iterator[Report]:
        if self._rich.is_terminal and not self._logs:
            with self._bar(name) as report:
                yield report
        else:
            yield _seldom(self._entry if self._logs else lambda p: self._plain(name, p))

    @contextmanager
    def _bar(self, name: str) -> Iterator[Report]:
        with RichProgress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            console=self._rich,
            transient=True,
        ) as bar:
            task = bar.add_task(name, total=None)

            def report(progress: Progress) -> None:
                bar.update(
                    task,
                    description=f"{name}: {progress.text}",
                    completed=progress.done or 0,
                    total=progress.total,
                )

            yield report

    def _plain(self, name: str, progress: Progress) -> None:
        count = f" ({progress.done:,} of {progress.total:,})" if progress.total else ""
        self.line(f"{self._elapsed()}  {name}: {progress.text}{count}")

    def _entry(self, progress: Progress) -> None:
        known = {"done": progress.done, "total": progress.total, "metrics": progress.metrics}
        said = {key: value for key, value in known.items() if value is not None}
        self._log("info", progress.text, **said)


def _seldom(show: Report) -> Report:
    """The same, but not every step of the same piece of work."""
    last: dict[str, Any] = {"text": None, "time": 0.0}

    def report(progress: Progress) -> None:
        now = time.monotonic()
        finished = progress.done is not None and progress.done == progress.total
        if progress.text == last["text"] and now - last["time"] < _LINE_EVERY and not finished:
            return
        last.update(text=progress.text, time=now)
        show(progress)

    return report
