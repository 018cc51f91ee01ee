"""Progress and results for people: a live bar on a terminal, plain lines elsewhere.

With `--json` everything a person reads goes to standard error, and standard output ends with one
line of JSON.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console as RichConsole
from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

from pipelines.progress import Progress, Report

# Shortest time between two plain lines about the same piece of work, seconds.
_LINE_EVERY = 10.0


class Console:
    """Where a command writes."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._rich = RichConsole(
            stderr=as_json, highlight=False, soft_wrap=True, markup=False, emoji=False
        )
        self._started = time.monotonic()

    def line(self, text: str = "") -> None:
        """One line for people."""
        self._rich.print(text)

    def result(self, value: dict[str, Any]) -> None:
        """The command's result; printed with `--json` only, as the last line."""
        if self.as_json:
            sys.stdout.write(json.dumps(value, sort_keys=True) + "\n")
            sys.stdout.flush()

    @contextmanager
    def stage(self, name: str) -> Iterator[Report]:
        """Show the progress of a stage while the block runs, and how long it took."""
        began = time.monotonic()
        if self._rich.is_terminal:
            with self._bar(name) as report:
                yield report
        else:
            yield self._lines(name)
        self.line(f"{self._elapsed()}  {name}: done in {time.monotonic() - began:.1f} s")

    def _elapsed(self) -> str:
        return f"[{time.monotonic() - self._started:6.1f} s]"

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

    def _lines(self, name: str) -> Report:
        last: dict[str, Any] = {"text": None, "time": 0.0}

        def report(progress: Progress) -> None:
            now = time.monotonic()
            finished = progress.done is not None and progress.done == progress.total
            if progress.text == last["text"] and now - last["time"] < _LINE_EVERY and not finished:
                return
            last.update(text=progress.text, time=now)
            count = f" ({progress.done:,} of {progress.total:,})" if progress.total else ""
            self.line(f"{self._elapsed()}  {name}: {progress.text}{count}")

        return report
