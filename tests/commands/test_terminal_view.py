"""A stage on a terminal of 80 columns: what stays when it has ended, and the line that is alive."""

import io
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from headrace.commands.terminal_view import StageView, wrap_line
from headrace.progress import Progress
from tests.commands.test_epoch_table import METRICS


class Clock:
    """A clock that tells what it was set to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal:
    """A terminal whose text is kept, and a stage on it."""

    def __init__(self, width: int = 80) -> None:
        self.clock = Clock()
        self.console = Console(
            file=io.StringIO(), force_terminal=True, width=width, height=24, soft_wrap=True,
            highlight=False, markup=False, emoji=False, color_system=None,
        )  # fmt: skip
        self.view = StageView(self.console, "train", self.clock)

    def show(self, at: float, text: str, **values: object) -> None:
        self.clock.now = at
        self.view.show(Progress(text, **values))  # type: ignore[arg-type]

    @property
    def lines(self) -> list[str]:
        """The lines that stay, printed outside of the live line."""
        return self.console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def test_steps_stay_with_their_seconds_and_remarks_without(terminal: Terminal) -> None:
    terminal.show(0.0, "reading tables")
    terminal.show(7.3, "split.time: test from 2026-01-01")
    terminal.show(7.5, "writing 9 rows")
    terminal.show(8.0, "writing 9 rows")
    terminal.clock.now = 9.0
    terminal.view._end_step()
    assert terminal.lines == [
        "           split.time: test from 2026-01-01",
        "    7.5 s  reading tables",
        "    1.5 s  writing 9 rows",
    ]


def test_epochs_stay_as_rows_with_the_seconds_of_each(terminal: Terminal) -> None:
    terminal.show(0.0, "starting 2 ranks")
    terminal.show(5.0, "rank 0 on vm CPU, 1 thread")
    terminal.show(8.0, "epoch 1 of 3", done=1, total=9)
    terminal.show(9.0, "epoch 1 of 3", done=9, total=9)
    terminal.show(10.0, "epoch 1 of 3: train_loss 0.5", metrics=METRICS)
    terminal.show(12.0, "epoch 2 of 3: train_loss 0.5", metrics=METRICS)
    terminal.show(14.0, "epoch 3 of 3: train_loss 0.5", metrics=METRICS)
    terminal.show(14.5, "registering the model")
    terminal.clock.now = 20.5
    terminal.view._end_step()
    assert terminal.lines == [
        "           rank 0 on vm CPU, 1 thread",
        "    5.0 s  starting 2 ranks",
        "           epoch  train_loss  val_loss  val_roc_auc    rows/s       left",
        "    5.0 s      1      0.5124    0.5007       0.7226   164,364       10 s",
        "    2.0 s      2      0.5124    0.5007       0.7226   164,364        2 s",
        "    2.0 s      3      0.5124    0.5007       0.7226   164,364",
        "    6.0 s  registering the model",
    ]


def test_a_training_that_stops_early_has_no_line_of_the_epoch_that_never_was(
    terminal: Terminal,
) -> None:
    terminal.show(2.0, "epoch 1 of 3: train_loss 0.5", metrics=METRICS)
    terminal.show(2.1, "registering the model")
    terminal.clock.now = 3.1
    terminal.view._end_step()
    assert [line[:24] for line in terminal.lines[1:]] == [
        "    2.0 s      1      0.", "    1.0 s  registering t",
    ]  # fmt: skip


def test_trials_side_by_side_leave_a_line_for_each_epoch(terminal: Terminal) -> None:
    for at, trial, done in ((0.0, 1, 1), (1.0, 2, 1), (2.0, 1, 4), (3.0, 2, 4)):
        terminal.show(at, f"trial {trial}: epoch 1 of 2", done=done, total=4)
    terminal.show(4.0, "trial 1: epoch 1 of 2: train_loss 0.5", metrics=METRICS)
    terminal.view._end_step()
    assert terminal.lines == ["           trial 1: epoch 1 of 2: train_loss 0.5"]


def test_the_live_line_has_a_bar_and_the_time_that_is_left(terminal: Terminal) -> None:
    terminal.show(0.0, "epoch 1 of 2", done=2, total=4)
    terminal.clock.now = 1.0
    line = terminal.view._render_live_line()
    assert line.plain[1:] == "   1.0 s  epoch 1 of 2  ━━━━━━━━━━──────────  2 of 4"
    terminal.show(4.0, "epoch 1 of 2: train_loss 0.5", metrics=METRICS)
    terminal.show(5.0, "epoch 2 of 2", done=1, total=4)
    assert terminal.view._render_live_line().plain.endswith(
        "━━━━━───────────────  1 of 4, 3 s left"
    )


def test_a_stage_that_fails_says_which_step_was_not_finished(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), terminal.view.open():
        terminal.show(1.0, "reading tables")
        terminal.clock.now = 3.0
        raise KeyboardInterrupt
    assert any(line.endswith("    2.0 s  reading tables: not finished") for line in terminal.lines)
    assert "done" not in "".join(terminal.lines)


def test_a_stage_that_ends_says_its_seconds(terminal: Terminal) -> None:
    with terminal.view.open():
        terminal.show(1.0, "reading tables")
        terminal.clock.now = 3.0
    assert any(line.endswith("    3.0 s  train: done") for line in terminal.lines)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(30, 200), st.text(max_size=300))
def test_no_line_is_wider_than_the_terminal(width: int, text: str) -> None:
    terminal = Terminal(width)
    lines = wrap_line(terminal.console, "    1.0 s", text)
    assert all(line.cell_len <= width for line in lines)
    terminal.view.show(Progress(f"reading {text}", 1, 3))
    live = terminal.view._render_live_line()
    assert isinstance(live, Text)
    assert live.cell_len < width
    assert "\n" not in live.plain


def test_a_long_text_goes_on_below_its_own_begin() -> None:
    lines = wrap_line(
        Terminal(40).console, "    1.0 s", "a text of several words, for which 40 are few"
    )
    assert [line.plain for line in lines] == [
        "    1.0 s  a text of several words, for", "           which 40 are few",
    ]  # fmt: skip


def test_what_is_alive_is_drawn_while_lines_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that draws it and those that report hold no lock that the other waits for."""
    monkeypatch.setattr("headrace.commands.terminal_view._FRAMES_PER_SECOND", 500)
    terminal = Terminal()

    def work() -> None:
        with terminal.view.open():
            for step in range(1000):
                terminal.view.show(Progress(f"reading table {step}"))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(30)
    assert not worker.is_alive(), "a deadlock"
    assert any(line.endswith("train: done") for line in terminal.lines)
