"""The loop's own arithmetic and refusals; whole epochs are run in tests/e2e."""

from pathlib import Path

import pytest

from pipelines.errors import TrainError
from pipelines.lake.files import DataFile
from pipelines.recipe.sections import EarlyStopping
from pipelines.stream.split_stream import SplitStream
from pipelines.stream.worker import Columns
from pipelines.train.early_stopping import BestEpoch
from pipelines.train.loop import _followed, rows_of_steps


def test_a_metric_that_is_not_defined_is_an_error_and_never_the_loss_instead() -> None:
    best = BestEpoch(EarlyStopping(metric="roc_auc", patience=1))
    with pytest.raises(TrainError, match="labels of one class only"):
        _followed({"val_loss": 0.5, "train_loss": 0.4}, best)
    assert _followed({"val_loss": 0.5, "val_roc_auc": 0.7}, best) == 0.7


@pytest.mark.parametrize(
    ("rows", "expected"),
    # 4 shards, 2 rows of each a step: 21 rows are shards of 5, 5, 5 and 6
    [(21, [8, 8, 5]), (8, [8]), (16, [8, 8]), (1, [1])],
)
def test_rows_of_steps_leave_padding_out(tmp_path: Path, rows: int, expected: list[int]) -> None:
    file = DataFile(path="f", split="train", bytes=0, row_groups=(rows,), content="")
    stream = SplitStream(
        str(tmp_path), (file,), Columns({"label": ("float32", "label")}),
        rank=0, size=1, global_batch_size=8, canonical_shards=4, shuffle=True, seed=0,
    )  # fmt: skip
    assert rows_of_steps(stream).tolist() == expected
    assert stream.steps == stream.plan(0).steps == len(expected)
