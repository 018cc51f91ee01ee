"""Show a stage on a terminal: steps and epochs stay as lines, and the last line is alive.

A line begins with the seconds that its step took. Nothing is wider than the terminal, so that
nothing is broken by it, and what is alive is one line, so that it works in any of them.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

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


@dataclass(frozen=True)
class _Step:
    """What is being done: the last message of it, and when it began, in seconds of the clock."""

    progress: Progress
    started: float


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
        self._started = self._changed = clock()
        self._step = _Step(Progress(name), self._started)
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
            seconds = format_seconds(self._clock() - self._started)
            self._print_text(seconds, f"{self._name}: done")

    def show(self, progress: Progress) -> None:
        """Show a message of progress."""
        with self._lock:
            if progress.metrics is not None and progress.epoch:
                self._print_epoch(progress, *progress.epoch)
            elif not progress.is_step:
                self._print_text("", progress.text)
            elif progress.text != self._step.progress.text:
                self._begin_step(progress)
            else:
                self._step = replace(self._step, progress=progress)
            self._changed = self._clock()

    def _begin_step(self, progress: Progress) -> None:
        """Show a step as running; the one before has ended, and becomes a line."""
        before, now = self._step, self._clock()
        if progress.epoch and before.progress.epoch:
            self._step = replace(before, progress=progress)  # the row of the epoch tells the time
            return
        # Epochs are told as they go on: the step before them ended with the last message.
        ended = self._changed if progress.epoch else now
        # First the live line, which is drawn again below whatever is printed.
        self._step = _Step(progress, ended)
        if not before.progress.epoch:  # epochs have rows; the last one may have been stopped early
            self._print_step(before, ended)

    def _end_step(self, ending: str = "") -> None:
        """Print the step that runs, as the stage ends."""
        step, now = self._step, self._clock()
        self._step = _Step(Progress(self._name), now)
        if not step.progress.epoch or ending:
            self._print_step(step, now, ending)

    def _print_step(self, step: "_Step", ended: float, ending: str = "") -> None:
        # Counts of units of what is no step of its own, such as an epoch of one of several trials
        # that run side by side, are shown while they last.
        if step.progress.epoch or Progress(step.progress.text).is_step:
            self._print_text(format_seconds(ended - step.started), f"{step.progress.text}{ending}")

    def _print_epoch(self, progress: Progress, epoch: int, epochs: int) -> None:
        """Print the row of an epoch, and show the next one as running."""
        metrics = progress.metrics or {}
        if not self._step.progress.epoch:
            self._begin_step(Progress(f"epoch {epoch} of {epochs}"))
        now = self._clock()
        seconds = now - self._step.started
        if self._epochs_seen == 1:
            self._epoch_seconds.clear()
        self._epochs_seen += 1
        self._epoch_seconds.append(seconds)
        is_last = epoch == epochs
        following = f"epoch {epoch + 1} of {epochs}"
        self._step = _Step(Progress(self._name if is_last else following), now)
        if self._table is None:
            self._table = EpochTable(metrics, self._console.width - INDENT)
            self._print_text("", self._table.header)
        left = None if is_last else (epochs - epoch) * self._mean_epoch_seconds()
        self._print_text(format_seconds(seconds), self._table.format_row(epoch, metrics, left))

    def _mean_epoch_seconds(self) -> float:
        return sum(self._epoch_seconds) / len(self._epoch_seconds)

    def _print_text(self, seconds: str, text: str) -> None:
        """Print a line of the stage, wrapped where it is longer than the terminal is wide."""
        for line in wrap_line(self._console, seconds, text):
            self._console.print(line)

    def _render_live_line(self) -> Text:
        """Return the line that is alive; called by a thread, which must not wait for a lock."""
        step, now = self._step, self._clock()
        frames = _FRAMES[self._is_unicode]
        frame = frames[int(now * _FRAMES_PER_SECOND) % len(frames)]
        seconds = format_seconds(now - step.started)
        text = f"{frame}{seconds[1:]}  {escape_line(step.progress.text)}"
        line = Text(text + self._format_share(step.progress), no_wrap=True)
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


def format_seconds(seconds: float) -> str:
    """Return seconds as they begin a line."""
    return f"{seconds:7.1f} s"


def wrap_line(console: RichConsole, seconds: str, text: str) -> list[Text]:
    """Return the lines of a text beside the seconds that it took, none wider than the terminal."""
    wrapped = Text(escape_line(text)).wrap(console, max(8, console.width - INDENT))
    lines = []
    for number, part in enumerate(wrapped):
        start = Text((seconds if not number else "").ljust(INDENT), style="dim")
        part.rstrip()
        lines.append((start + part) if seconds or number else Text(" " * INDENT) + part)
    return lines
