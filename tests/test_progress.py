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
