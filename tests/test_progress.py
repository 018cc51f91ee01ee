"""Progress goes over a pipe as one line."""

import pytest

from headrace.progress import Progress, ignore_progress


@pytest.mark.parametrize(
    "progress",
    [
        Progress("reading"),
        Progress("écrit\nhere", 3, 7),
        Progress("epoch", metrics={"epoch": 2.0, "val_loss": 0.5}),
    ],
)
def test_it_is_read_as_it_was_written(progress: Progress) -> None:
    line = progress.to_json()
    assert "\n" not in line
    assert Progress.from_json(line) == progress


def test_it_may_be_ignored() -> None:
    assert ignore_progress(Progress("reading")) is None


@pytest.mark.parametrize(
    ("text", "is_step"),
    [
        ("reading tables", True),
        ("timing predictions of 1 raw rows in a separate process", True),
        ("ending the ranks, which have 25 s to save", True),
        ("epoch 3 of 8: train_loss 0.5", False),
        ("rank 0 on vm CPU, 1 thread", False),
        ("suspected: line 3: where: no such column", False),
        ("nothing changed", False),
        ("skipped: it is running in another process", False),
    ],
)
def test_a_text_that_begins_with_what_is_done_is_a_step(text: str, is_step: bool) -> None:
    assert Progress(text).is_step is is_step


def test_a_count_of_units_makes_a_step_of_any_text() -> None:
    assert Progress("epoch 3 of 8", 1, 9).is_step
    assert Progress("epoch 3 of 8", 1, 9).epoch == (3, 8)
    assert Progress("epochs", 1, 9).epoch is None
