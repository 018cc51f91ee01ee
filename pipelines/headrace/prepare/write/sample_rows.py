"""Some raw rows that go with a dataset, and from there with its models.

What a model predicts of them is recorded, and compared before it is promoted.
"""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.source.dictionaries import decoded
from headrace.transform.spec import TransformSpec
from headrace.transform.statistics import read_ipc, write_ipc

TIME = pa.timestamp("us", "UTC")


def picked(rows: pa.Table, spec: TransformSpec, wanted: int) -> bytes:
    """About so many rows from all over a target's, as a blob for `together`.

    Args:
        rows: one or more, with the raw columns as the tasks have them.
        spec: names the raw columns.
        wanted: how many.
    """
    some = np.unique(np.linspace(0, rows.num_rows - 1, wanted).astype(np.int64))
    rows = rows.select([column.name for column in spec.raw]).take(pa.array(some))
    for position, column in enumerate(spec.raw):  # no dictionaries, and times as times
        values = decoded(rows[column.name])
        values = values.cast(TIME) if column.kind == "timestamp" else values
        rows = rows.set_column(position, column.name, values)
    return write_ipc(rows)


def together(blobs: list[bytes], rows: int) -> bytes | None:
    """The first rows of all blobs as one Parquet file; None where there are none."""
    if not blobs:
        return None
    sink = pa.BufferOutputStream()
    pq.write_table(pa.concat_tables([read_ipc(blob) for blob in blobs]).slice(0, rows), sink)
    return bytes(sink.getvalue())
