"""Build the Arrow schema of a data file, and cast raw columns to it."""

import math
from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.columns.dataset_columns import (
    BASELINE,
    LABEL,
    ROW_ID,
    SAMPLE_WEIGHT,
    name_passthrough_column,
)
from headrace.lake.build import StoredColumn
from headrace.prepare.write.raw_examples import TIME
from headrace.recipe import sections
from headrace.source.dictionaries import decode_column
from headrace.transform.spec import TransformSpec

# Bytes of a row group that `auto` aims at. A rank holds about three row groups or blocks for each
# of its shards, whichever are larger: 0.8 GiB where one rank has all of 64 shards.
_ROW_GROUP_BYTES = 4 * 2**20
PASSTHROUGH_TYPES = {
    "integer": pa.int64(),
    "boolean": pa.int64(),
    "real": pa.float64(),
    "string": pa.string(),
    "timestamp": TIME,
}
"""Types of raw columns that are published as they are, by kind."""


def build_file_schema(
    spec: TransformSpec,
    passthrough: Mapping[str, str] | None = None,
    stored: Mapping[str, StoredColumn] | None = None,
) -> pa.Schema:
    """Build the schema of a data file.

    Args:
        spec: the transform.
        passthrough: raw columns that are published as they are -> kind; they are named `kept_…`
            and may have nulls.
        stored: raw columns whose values lie beside the rows of the test split: they may have nulls,
            too. Those of `passthrough` among them have one column.

    Returns:
        row_id int64; the features by name: float32 or int32 scalars, lists of them for tokens
        and series, fixed-size binary for images; label float32, int32 for classes, a list of
        float32 for multi_label; sample_weight and baseline float32 where the spec has them.
    """
    fields = [(ROW_ID, pa.int64())]
    for name, item in spec.inputs.items():
        if name == "numeric":
            fields += [(column, pa.float32()) for column in item.columns]
        elif name == "categorical":
            fields += [(column, pa.int32()) for column in item.columns]
        elif item.dtype == "uint8":
            fields.append((name, pa.binary(int(np.prod(item.shape)))))
        else:
            fields.append((name, pa.list_(pa.from_numpy_dtype(np.dtype(item.dtype)))))
    dtype, shape = spec.label.array
    label = pa.from_numpy_dtype(np.dtype(dtype))
    fields.append((LABEL, pa.list_(label) if shape else label))
    if spec.label.weighted:
        fields.append((SAMPLE_WEIGHT, pa.float32()))
    if spec.label.baseline:
        fields.append((BASELINE, pa.float32()))
    columns = [pa.field(name, kind, nullable=False) for name, kind in fields]
    for name, kind in (passthrough or {}).items():
        columns.append(pa.field(name_passthrough_column(name), PASSTHROUGH_TYPES[kind]))
    for column in list_test_columns(passthrough or {}, stored or {}).values():
        columns.append(pa.field(column.name, PASSTHROUGH_TYPES[column.type]))
    return pa.schema(columns)


def choose_rows_per_row_group(settings: sections.Dataset, spec: TransformSpec) -> int:
    """Choose the rows of a row group: those of the recipe, or by the bytes of a row.

    Args:
        settings: the recipe's `dataset`.
        spec: the transform, which says how wide the columns are that are trained on.
    """
    if settings.rows_per_row_group != "auto":
        return settings.rows_per_row_group
    arrays = [("int64", ()), spec.label.array, *((i.dtype, i.shape) for i in spec.inputs.values())]
    extras = 4 * (spec.label.weighted + spec.label.baseline)
    row_bytes = extras + sum(np.dtype(kind).itemsize * math.prod(shape) for kind, shape in arrays)
    return max(1, min(_ROW_GROUP_BYTES // row_bytes, settings.rows_per_file))


def list_test_columns(
    passthrough: Mapping[str, str], stored: Mapping[str, StoredColumn]
) -> dict[str, StoredColumn]:
    """Return the raw columns that only files of the test split have."""
    return {name: column for name, column in stored.items() if name not in passthrough}


def cast_raw_column(values: pa.ChunkedArray, kind: str) -> pa.ChunkedArray:
    """Cast a raw column, as the tasks have it, to what is published of its kind."""
    values = decode_column(values)
    target = PASSTHROUGH_TYPES[kind]
    if kind == "real" and pa.types.is_integer(values.type):
        return pc.cast(values, target, safe=False)  # as `values.read_column` does
    return values.cast(target)
