"""Count and time what merging small files changes for whoever reads all train rows of a dataset.

    python -m benchmarks.growth --figures optimize

Source partitions have ten rows each, published by hand with real files and commits, and no Spark.
"""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from headrace.lake.version import DatasetVersion


def measure_optimize(partitions: int) -> dict[str, float]:
    """Publish that many source partitions, and optimize them.

    Returns:
        `files_before`, `files_now`: files that an epoch of the train split opens;
        `seconds_to_optimize`; `epoch_seconds_before`, `epoch_seconds_now`: of an epoch in the
        order of the rows, read with pyarrow.
    """
    from headrace.prepare.optimize import optimize_dataset
    from headrace.progress import ignore_progress
    from tests.prepare.small_days import publish_night

    rows = {
        f"day={day:06}": {
            "train": list(range(10 * day, 10 * day + 8)),
            "validation": [10 * day + 8],
            "test": [10 * day + 9],
        }
        for day in range(partitions)
    }
    with tempfile.TemporaryDirectory(prefix="headrace-optimize-") as folder:
        before = publish_night(
            Path(folder), 0, rows, rows_per_file=65_536, rows_per_row_group=8_192
        )
        started = time.perf_counter()
        now = optimize_dataset(
            folder, older_than=timedelta(0), now=datetime.now(UTC) + timedelta(days=1),
            dry_run=False, report=ignore_progress,
        ).dataset  # fmt: skip
        seconds = time.perf_counter() - started
        return {
            "files_before": len(before.list_files("train")),
            "files_now": len(now.list_files("train")),
            "seconds_to_optimize": seconds,
            "epoch_seconds_before": _time_epoch(before, 8 * partitions),
            "epoch_seconds_now": _time_epoch(now, 8 * partitions),
        }


def _time_epoch(dataset: "DatasetVersion", rows: int) -> float:
    """Return the seconds of an epoch of the train split without shuffling."""
    from headrace.stream.columns import build_feature_columns
    from headrace.stream.split_stream import SplitStream
    from headrace.transform.spec import TransformSpec

    columns = build_feature_columns(
        TransformSpec.from_json(dataset.transform_json), {"row_id": ("int64", "row_id")}
    )
    started = time.perf_counter()
    stream = SplitStream.for_split(
        dataset, "train", columns, rank=0, size=1, global_batch_size=256, shuffle=False, seed=1,
        engine="pyarrow",
    )  # fmt: skip
    delivered = sum(len(batch["row_id"]) for batch in stream.read_batches(0))
    seconds = time.perf_counter() - started
    if delivered < rows:
        raise RuntimeError(f"an epoch of {rows:,} rows has {delivered:,}")
    return seconds
