"""Epochs as rows: what fits the width, in columns that are aligned."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.commands.epoch_table import EpochTable, format_duration

METRICS = {
    "train_loss": 0.51243,
    "rows_per_second": 164_363.9,
    "input_wait_share": 0.02,
    "val_loss": 0.50071,
    "val_roc_auc": 0.7226,
    "val_accuracy": 0.7702,
}


def test_rows_at_69_characters_as_a_terminal_of_80_leaves_them() -> None:
    table = EpochTable(METRICS, 69)
    assert [
        table.header,
        table.format_row(1, METRICS, 12.3),
        table.format_row(10, {**METRICS, "train_loss": 12345.6, "val_loss": 0.0}, None),
    ] == [
        "epoch  train_loss  val_loss  val_roc_auc    rows/s       left",
        "    1      0.5124    0.5007       0.7226   164,364       12 s",
        "   10      12,346         0       0.7226   164,364",
    ]  # fmt: skip


def test_all_metrics_where_there_is_room() -> None:
    assert EpochTable(METRICS, 120).header.split() == [
        "epoch", "train_loss", "val_loss", "val_roc_auc", "val_accuracy", "rows/s", "left",
    ]  # fmt: skip


def test_without_a_validation_split_there_are_no_columns_for_it() -> None:
    table = EpochTable({"train_loss": 1.0, "rows_per_second": 10.0}, 69)
    assert table.header.split() == ["epoch", "train_loss", "rows/s", "left"]


def test_a_metric_that_one_epoch_lacks_is_empty() -> None:
    row = EpochTable(METRICS, 69).format_row(2, {"train_loss": 0.5, "val_loss": 0.4}, 3.0)
    assert row.split() == ["2", "0.5", "0.4", "3", "s"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(49, 200),
    st.dictionaries(
        st.sampled_from(
            ["val_f1", "val_exact_match", "val_roc_auc_macro", "val_poisson_deviance", "val_x"]
        ),
        st.floats(allow_nan=True, allow_infinity=True),
    ),
    st.floats(0, 1e7),
    st.integers(1, 9999),
)
def test_no_line_is_wider_than_it_may_be_and_columns_end_together(
    width: int, further: dict[str, float], left: float, epoch: int
) -> None:
    metrics = {"train_loss": 0.5, "val_loss": 0.25, "rows_per_second": 99_999_999.0, **further}
    table = EpochTable(metrics, width)
    assert len(table.header) <= width
    row = table.format_row(epoch, metrics, left)
    assert len(row) == len(table.header)  # both end with `left`


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (99.4, "99 s"), (100, "2 min"), (5_960, "99 min"), (6_000, "1 h 40 m"),
     (172_000, "47 h 47 m"), (273_600, "3 d 4 h"), (1e7, "115 d")],
)  # fmt: skip
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text
