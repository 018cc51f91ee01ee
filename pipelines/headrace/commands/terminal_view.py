"""Show a stage on a terminal: steps and epochs stay as lines, and the last line is alive.

A line begins with the seconds that its step took. Nothing is wider than the terminal, so that
nothing is broken by it, and what is alive is one line, so that it works in any of them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console as RichConsole
from rich.live import Live
from rich.text import Text

from headrace.commands.epoch_table import EpochTable, format_duration
from headrace.output import escape_line
from headrace.progress import Progress

INDENT = 11
"""Characters before the text of a line, where the seconds stand."""
_BAR_WIDTH = 20
_FRAMES = {True: "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", False: "|/-\\"}
_BAR = {True: ("━", "─"), False: ("#", "-")}
_FRAMES_PER_SECOND = 8
# Epochs whose mean tells how long the others take; the first one of all is compiled and left out.
_RECENT_EPOCHS = 5


class StageView:
    """The lines of one stage on a terminal, while it runs."""

    def __init__(
        self, console: RichConsole, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """
        Args:
            console: of the terminal.
            name: of the stage.
            clock: returns seconds since any fixed moment.
        """
        self._console, self._name, self._clock = console, name, clock
        self._is_unicode = (console.encoding or "").lower().startswith("utf")
        self._lock = threading.RLock()
        self._started = self._step_started = self._changed = clock()
        self._progress = Progress(name)
        self._has_step = False
        self._table: EpochTable | None = None
        self._epoch_seconds: deque[float] = deque(maxlen=_RECENT_EPOCHS)
        self._epochs_seen = 0

    @contextmanager
    def open(self) -> Iterator["StageView"]:
        """Show the stage while the block runs."""
        self._console.print(Text(self._name, style="bold"))
        live = Live(
            console=self._console,
            get_renderable=self._render_live_line,
            refresh_per_second=_FRAMES_PER_SECOND,
            transient=True,
        )
        with live:
            try:
                yield self
            except BaseException:
                self._end_step(": not finished")
                raise
            self._end_step()
            self._print_text(self._format_seconds(self._started), f"{self._name}: done")

    def show(self, progress: Progress) -> None:
        """Show a message of progress."""
        with self._lock:
            if progress.metrics is not None and progress.epoch:
                self._print_epoch(progress, *progress.epoch)
            elif progress.is_step:
                if progress.text != self._progress.text:
                    self._begin_step(progress)
                self._progress = progress
            else:
                self._print_text("", progress.text)
            self._changed = self._clock()

    def _begin_step(self, progress: Progress) -> None:
        if progress.epoch and self._has_step and not self._progress.epoch:
            # The step before ended with the last message: epochs are reported as they go on.
            self._end_step(now=self._changed)
            self._step_started = self._changed
        elif not progress.epoch or not self._progress.epoch:
            self._end_step()
        self._has_step = True

    def _end_step(self, ending: str = "", now: float | None = None) -> None:
        """Print the step that ends here, unless its epoch has a row of its own."""
        with self._lock:
            if self._has_step and (not self._progress.epoch or ending):
                text = f"{self._progress.text}{ending}"
                self._print_text(self._format_seconds(self._step_started, now), text)
            self._has_step = False
            self._step_started = self._clock()

    def _print_epoch(self, progress: Progress, epoch: int, epochs: int) -> None:
        """Print the row of an epoch, and show the next one as running."""
        metrics = progress.metrics or {}
        if self._has_step and not self._progress.epoch:
            self._end_step(now=self._changed)
            self._step_started = self._changed
        now = self._clock()
        if self._epochs_seen == 1:
            self._epoch_seconds.clear()
        self._epochs_seen += 1
        self._epoch_seconds.append(now - self._step_started)
        if self._table is None:
            self._table = EpochTable(metrics, self._console.width - INDENT)
            self._print_text("", self._table.header)
        left = (epochs - epoch) * self._mean_epoch_seconds() if epoch < epochs else None
        row = self._table.format_row(epoch, metrics, left)
        self._print_text(self._format_seconds(self._step_started), row)
        self._step_started = now
        self._has_step = epoch < epochs
        self._progress = Progress(f"epoch {min(epoch + 1, epochs)} of {epochs}")

    def _mean_epoch_seconds(self) -> float:
        return sum(self._epoch_seconds) / len(self._epoch_seconds)

    def _format_seconds(self, since: float, now: float | None = None) -> str:
        return f"{(self._clock() if now is None else now) - since:7.1f} s"

    def _print_text(self, seconds: str, text: str) -> None:
        """Print a line of the stage, wrapped where it is longer than the terminal is wide."""
        for line in wrap_line(self._console, seconds, text):
            self._console.print(line)

    def _render_live_line(self) -> Text:
        with self._lock:
            progress = self._progress
            frames = _FRAMES[self._is_unicode]
            frame = frames[int(self._clock() * _FRAMES_PER_SECOND) % len(frames)]
            seconds = self._format_seconds(self._step_started)
            line = Text(f"{frame}{seconds[1:]}  {escape_line(progress.text)}", no_wrap=True)
            line.append(self._format_share(progress))
        line.truncate(self._console.width - 1, overflow="ellipsis" if self._is_unicode else "crop")
        return line

    def _format_share(self, progress: Progress) -> str:
        """Return the bar of a step, and of an epoch the time that is left."""
        if not progress.total:
            return ""
        done = progress.done or 0
        full, empty = _BAR[self._is_unicode]
        count = round(_BAR_WIDTH * done / progress.total)
        text = f"  {full * count}{empty * (_BAR_WIDTH - count)}  {done:,} of {progress.total:,}"
        if progress.epoch and self._epoch_seconds:
            epoch, epochs = progress.epoch
            left = (epochs - epoch + 1 - done / progress.total) * self._mean_epoch_seconds()
            text += f", {format_duration(left)} left"
        return text


def wrap_line(console: RichConsole, seconds: str, text: str) -> list[Text]:
    """Return the lines of a text beside the seconds that it took, none wider than the terminal."""
    wrapped = Text(escape_line(text)).wrap(console, max(20, console.width - INDENT))
    lines = []
    for number, part in enumerate(wrapped):
        start = Text((seconds if not number else "").ljust(INDENT), style="dim")
        part.rstrip()
        lines.append((start + part) if seconds or number else Text(" " * INDENT) + part)
    return lines
