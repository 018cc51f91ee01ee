"""Build the Arrow schema of a data file."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from headrace.columns.dataset_columns import (
    BASELINE,
    LABEL,
    ROW_ID,
    SAMPLE_WEIGHT,
    name_passthrough_column,
)
from headrace.prepare.write.raw_examples import TIME
from headrace.transform.spec import TransformSpec

PASSTHROUGH_TYPES = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "string": pa.string(),
    "timestamp": TIME,
}
"""Types of raw columns that are published as they are, by kind."""


def build_file_schema(
    spec: TransformSpec, passthrough: Mapping[str, str] | None = None
) -> pa.Schema:
    """Build the schema of a data file.

    Args:
        spec: the transform.
        passthrough: raw columns that are published as they are -> kind; they are named `kept_…`
            and may have nulls, all others have none.

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
    return pa.schema(columns)
