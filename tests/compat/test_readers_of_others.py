"""A dataset of ours is a Delta table like any other for those who know nothing of Headrace."""

from pathlib import Path

import pandas as pd
from deltalake import DeltaTable

from headrace.lake import DatasetVersion
from headrace.lake.data_file import SPLITS


def test_deltalake_gives_a_partitioned_dataset_to_pandas_and_arrow(kept: Path) -> None:
    """With pyarrow 14 it failed on every table with partitions, so on every dataset."""
    root = str(kept / "datasets" / "visits")
    for version in range(3):
        dataset = DatasetVersion.open(root, version)
        table = DeltaTable(root, version=version)
        frame = table.to_pandas()
        assert table.to_pyarrow_table().num_rows == len(frame)
        for split in SPLITS:
            ours = dataset.read_columns(split, ["row_id", "label", "amount"]).to_pandas()
            theirs = frame.loc[frame["split"] == split, list(ours.columns)]
            pd.testing.assert_frame_equal(
                theirs.sort_values("row_id", ignore_index=True),
                ours.sort_values("row_id", ignore_index=True),
            )
