"""Print progress and results: a live view on a terminal, plain lines elsewhere, or a JSON log.

With `--json` everything but the result goes to standard error, and standard output ends with one
line of JSON. A log file gets all of it as well, and what the terminal does not show.
"""

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from rich.console import Console as RichConsole

from headrace.commands.line_wrap import wrap_line
from headrace.commands.log_file import LogFile
from headrace.commands.observers import Observer
from headrace.commands.output_options import OutputSettings
from headrace.foreign_lines import handle_foreign_lines
from headrace.output import escape_line, escape_message
from headrace.progress import Progress, Report, ignore_progress

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

    def __init__(
        self,
        as_json: bool,
        log_format: LogFormat = LogFormat.TEXT,
        settings: OutputSettings | None = None,
    ) -> None:
        self.as_json = as_json
        self.settings = settings = settings or OutputSettings()
        self.observers: Sequence[Observer] = ()
        """Observers of the stages besides the person at the terminal."""
        self._writes_json_log = log_format is LogFormat.JSON
        self._stage: str | None = None
        stream = sys.stderr if as_json else sys.stdout
        self._is_terminal = stream.isatty()  # not what rich says: FORCE_COLOR is of colours
        self._is_live = (
            self._is_terminal
            and os.environ.get("TERM") != "dumb"
            and not (self._writes_json_log or settings.verbose or settings.quiet)
        )
        self._rich = RichConsole(
            stderr=as_json, highlight=False, soft_wrap=True, markup=False, emoji=False
        )
        self._started = time.monotonic()
        self._log: LogFile | None = None
        self._hidden_lines = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Take the lines of libraries for the length of the block, and close the log after it."""
        try:
            with handle_foreign_lines(self._take_foreign_line):
                yield
        finally:
            self._end()

    def open_log(self) -> None:
        """Open the log file, where the command has one.

        Raises:
            OptionError: it cannot be written to.
        """
        if self.settings.log_file:
            self._log = LogFile(self.settings.log_file, as_json=self._writes_json_log)

    def print_line(self, text: str = "") -> None:
        """Print one line of text, or log it as a message."""
        self._log_entry("info", text)
        if self._writes_json_log:
            self._write_entry("info", text)
        else:
            self._print_wrapped(text)

    def print_step(self, command: str, text: str) -> None:
        """Print what a command does outside of its stages, with the time, as stages do."""
        self._log_entry("info", f"{command}: {text}")
        if self.settings.quiet:
            return
        if self._writes_json_log:
            self._write_entry("info", text)
        else:
            elapsed = "" if self._is_live else f"{self._format_elapsed()}  "
            self._rich.print(escape_line(f"{elapsed}{command}: {text}"))

    def print_summary(self, lines: Iterable[str]) -> None:
        """Print a command's result in words; a JSON log has it as fields instead."""
        for line in lines:
            if not self._writes_json_log:
                self._print_wrapped(line)
                self._log_entry("info", line)

    def print_commands(self, lines: Iterable[str]) -> None:
        """Print lines that are copied and pasted: they are never broken."""
        for line in lines:
            if not self._writes_json_log:
                self._rich.print(escape_line(line))
                self._log_entry("info", line)

    def print_document(self, text: str) -> None:
        """Print a text that is a command's result, as it is, on standard output."""
        sys.stdout.write(text)
        sys.stdout.flush()

    def print_error(self, text: str, exit_code: int) -> None:
        """Print why the command ends, on standard error or into the log."""
        self._log_entry("error", text, exit_code=exit_code)
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
            self._log_entry("info", "result", result=value)
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
        self._log_entry("info", "done", seconds=round(seconds, 3))
        if self.settings.quiet:
            pass
        elif self._writes_json_log:
            self._write_entry("info", "done", seconds=round(seconds, 3))
        elif not self._is_live:
            self._rich.print(f"{self._format_elapsed()}  {name}: done in {seconds:.1f} s")
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

    def _print_wrapped(self, text: str) -> None:
        """Print a line of text, on a terminal broken between words."""
        line = escape_line(text)
        for part in wrap_line(line, self._rich.width) if self._is_terminal else [line]:
            self._rich.print(part)

    def _format_elapsed(self) -> str:
        return f"[{time.monotonic() - self._started:6.1f} s]"

    def _log_entry(self, level: str, message: str, **fields: Any) -> None:
        if self._log:
            stage = {"stage": self._stage} if self._stage else {}
            self._log.write_entry(level, message, **stage, **fields)

    @contextmanager
    def _open_report(self, name: str) -> Iterator[Report]:
        with ExitStack() as stack:
            if self._is_live:
                from headrace.commands.terminal_view import StageView

                show: Report = stack.enter_context(StageView(self._rich, name).open()).show
            elif self.settings.quiet:
                show = ignore_progress
            else:
                show = self._log_progress if self._writes_json_log else self._print_progress
                show = show if self.settings.verbose else limit_rate(show)

            def report(progress: Progress) -> None:
                self._log_entry("info", progress.text, **_list_fields(progress))
                show(progress)

            yield report

    def _take_foreign_line(self, line: str, is_notice: bool) -> None:
        """Take a line that a process of ours has printed, from any thread."""
        self._log_entry("debug", line)
        if self.settings.quiet or (is_notice and not self.settings.verbose):
            self._hidden_lines += 1
        elif self._is_live:
            self._rich.print(line)
        else:
            sys.stderr.write(f"{line}\n")
            sys.stderr.flush()

    def _end(self) -> None:
        """Say what was not shown, and close the log."""
        where = f"{self._log.path} has them" if self._log else "-v shows them"
        if self._hidden_lines and not self.settings.quiet and not self._writes_json_log:
            sys.stderr.write(f"{self._hidden_lines} lines of libraries are not shown ({where})\n")
        if self._log:
            if self._log.failure:
                text = f"--log-file {self._log.path} is not complete ({self._log.failure})"
                sys.stderr.write(f"headrace: {text}\n")
            self._log.close()

    def _print_progress(self, progress: Progress) -> None:
        count = f" ({progress.done:,} of {progress.total:,})" if progress.total else ""
        text = f"{self._format_elapsed()}  {self._stage}: {progress.text}{count}"
        self._rich.print(escape_line(text))

    def _log_progress(self, progress: Progress) -> None:
        self._write_entry("info", progress.text, **_list_fields(progress))


def _list_fields(progress: Progress) -> dict[str, Any]:
    """Return the fields of a message that a JSON log has beside its text."""
    fields = {"done": progress.done, "total": progress.total, "metrics": progress.metrics}
    return {key: value for key, value in fields.items() if value is not None}


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
