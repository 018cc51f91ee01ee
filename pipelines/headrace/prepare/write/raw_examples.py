"""Choose the example raw rows that are stored with a dataset and copied to its models.

The predictions of a model on them are recorded, and compared before it is promoted.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.columns.statistics import read_ipc, write_ipc
from headrace.source.dictionaries import decode_column
from headrace.transform.rules import find_nulled
from headrace.transform.spec import TransformSpec

TIME = pa.timestamp("us", "UTC")
_BROKEN_ROWS = 2  # of each column that a rule makes null


def pack_examples(rows: pa.Table, spec: TransformSpec, count: int) -> bytes:
    """Return evenly spaced rows of a target as an Arrow IPC blob for `join_examples`.

    Args:
        rows: one or more, with the raw columns as the tasks have them.
        spec: names the raw columns.
        count: how many; fewer where there are fewer.
    """
    positions = np.linspace(0, rows.num_rows - 1, count).astype(np.int64)
    kinds = {column.name: column.kind for column in spec.raw}
    broken = find_nulled(rows, kinds, spec.rules or ()).values()
    # Rows that break a rule come first: a model has to treat them as the data did.
    first = [np.flatnonzero(violated)[:_BROKEN_ROWS] for violated in broken]
    positions = np.concatenate([*first, positions])
    positions = positions[np.sort(np.unique(positions, return_index=True)[1])]
    rows = rows.select([column.name for column in spec.raw]).take(pa.array(positions))
    for position, column in enumerate(spec.raw):  # dictionaries are decoded, times are timestamps
        values = decode_column(rows[column.name])
        values = values.cast(TIME) if column.kind == "timestamp" else values
        rows = rows.set_column(position, column.name, values)
    return write_ipc(rows)


def join_examples(blobs: list[bytes], rows: int) -> bytes | None:
    """Join the first rows of all blobs to the bytes of one Parquet file; None without any blob."""
    if not blobs:
        return None
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables([read_ipc(blob) for blob in blobs]).slice(0, rows), sink)
    return bytes(sink.getvalue())
