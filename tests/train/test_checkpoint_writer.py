"""The writing thread: one checkpoint at a time, older ones removed, and errors that are raised."""

from pathlib import Path

import numpy as np
import pytest

from headrace.errors import TrainError
from headrace.train.checkpoint import Checkpoints
from headrace.train.checkpoint_writer import CheckpointWriter

ARRAYS = {"w0000": np.arange(3, dtype=np.float32)}


def test_the_newest_and_the_best_stay(tmp_path: Path) -> None:
    writer = CheckpointWriter(Checkpoints(str(tmp_path)), "a", keep=2)
    for step in range(1, 7):
        writer.submit_checkpoint(step, {}, ARRAYS, best_step=2 if step > 2 else None)
    writer.wait_until_written()
    writer.close()
    names = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert names == [f"step-{step:09d}.ckpt" for step in (2, 5, 6)]


def test_an_error_is_raised_at_the_next_checkpoint_and_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = CheckpointWriter(Checkpoints(str(tmp_path / "file")), "a", keep=1)
    writer.submit_checkpoint(1, {}, ARRAYS, None)
    with pytest.raises(TrainError, match="cannot be written"):
        writer.submit_checkpoint(2, {}, ARRAYS, None)
    writer.wait_until_written()
    writer.close()


def test_an_error_of_the_last_checkpoint_is_raised_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    writer = CheckpointWriter(Checkpoints(str(tmp_path / "file")), "a", keep=1)
    writer.submit_checkpoint(1, {}, ARRAYS, None)
    with pytest.raises(TrainError, match="cannot be written"):
        writer.wait_until_written()
    writer.close()
