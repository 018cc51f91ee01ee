"""Read the row ids of some source partitions from a data file, which may have those of others too.

A task is told what to read of a file as a text, in which the runs of one file are together: a file
is opened once, whatever it has of how many partitions.
"""

import json
from collections.abc import Collection
from itertools import accumulate

import numpy as np
import pyarrow.parquet as pq

from headrace.lake.damage import explain_damage
from headrace.lake.data_file import DataFile
from headrace.lake.storage import open_filesystem


def describe_runs(file: DataFile, partitions: Collection[str]) -> str:
    """Return as JSON where in a file the rows of some source partitions are: partition, first row
    and rows of each run."""
    runs = file.list_runs()
    begins = accumulate((run.rows for run in runs), initial=0)
    return json.dumps(
        [
            (run.partition, begin, run.rows)
            for run, begin in zip(runs, begins, strict=False)
            if run.partition in partitions
        ]
    )


def read_run_row_ids(path: str, runs: str) -> list[tuple[str, np.ndarray]]:
    """Read the row ids of runs of a file; of the file, only row groups with rows of them.

    Args:
        path: path or URL of the file.
        runs: as `describe_runs` returns them.

    Returns:
        source partition and int64 row ids of each run.

    Raises:
        DamagedError: the file is damaged, or has fewer rows than that.
    """
    filesystem, inside = open_filesystem(path)
    wanted = json.loads(runs)
    with filesystem.open(inside, "rb") as stream, explain_damage(path):
        try:
            file = pq.ParquetFile(stream, page_checksum_verification=True)
            groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            ends = np.cumsum([0, *groups])
            is_wanted = [
                any(begin < ends[i + 1] and begin + rows > ends[i] for _, begin, rows in wanted)
                for i in range(len(groups))
            ]
            table = file.read_row_groups(np.flatnonzero(is_wanted).tolist(), columns=["row_id"])
        except OSError as error:  # most of what pyarrow says of damaged bytes
            if error.errno is not None:  # of the file system
                raise
            raise ValueError(str(error)) from None
        row_ids = table["row_id"].to_numpy()
        # Row groups that were not read have no place among the row ids.
        starts = np.cumsum(
            [0, *(n if read else 0 for n, read in zip(groups, is_wanted, strict=True))]
        )
        found = []
        for partition, begin, rows in wanted:
            group = int(np.searchsorted(ends, begin, side="right")) - 1
            first = int(starts[group] + begin - ends[group]) if group < len(groups) else 0
            run = row_ids[first : first + rows]
            if len(run) != rows:
                raise ValueError(f"it has fewer than {begin + rows} rows")
            found.append((partition, run))
        return found
