"""Load a registered model as any user would, and compare its predictions: `golden.py`'s process.

It reads a request, JSON, from standard input, and writes the answer, one line of JSON, as the last
line of standard output.
"""

import json
import sys
import tempfile
import time
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from headrace.tracking.golden import (
    ABSOLUTE_TOLERANCE,
    GOLDEN_FILE,
    RECORDED_PREFIX,
    RELATIVE_TOLERANCE,
    find_differences,
)

_REQUESTS, _WARM_UP = 50, 5
# Nullable, so that integers stay integers where some are null.
_DTYPES = {pa.int64(): pd.Int64Dtype()}


def main() -> None:
    """Answer the request on standard input."""
    request = json.load(sys.stdin)
    mlflow.set_tracking_uri(request["tracking_uri"])
    mlflow.set_registry_uri(request["tracking_uri"])
    began = time.monotonic()
    model = mlflow.pyfunc.load_model(request["model_uri"])
    load_seconds = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="headrace-golden-") as folder:
        file = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{request['model_uri']}/artifacts/{GOLDEN_FILE}", dst_path=folder
        )
        table = pq.read_table(file)
    recorded = [name for name in table.column_names if name.startswith(RECORDED_PREFIX)]
    raw = table.drop_columns(recorded).to_pandas(types_mapper=_DTYPES.get)
    metadata = table.schema.metadata
    absolute, relative = (
        float(metadata[name.encode()]) for name in (ABSOLUTE_TOLERANCE, RELATIVE_TOLERANCE)
    )
    predictions = model.predict(raw)
    different, largest = np.zeros(len(raw), bool), 0.0
    for name in recorded:
        expected = table[name].to_pandas().to_numpy()
        predicted = predictions[name.removeprefix(RECORDED_PREFIX)].to_numpy()
        if pa.types.is_list(table[name].type):  # of several labels, in their order
            expected = np.stack(expected)
            predicted = np.array([list(row.values()) for row in predicted])
        differs, distance = find_differences(
            expected, predicted, absolute=absolute, relative=relative
        )
        different |= np.asarray(differs.reshape(len(raw), -1).any(axis=1))
        largest = max(largest, distance)
    answer: dict[str, Any] = {
        "rows": len(raw),
        "largest_difference": largest,
        "different": int(different.sum()),
        "load_seconds": round(load_seconds, 3),
        "latency": {rows: _measure_latency(model, raw, rows) for rows in request["latency_rows"]},
    }
    print(json.dumps(answer))


def _measure_latency(model: Any, raw: pd.DataFrame, rows: int) -> list[float]:
    """Measure the milliseconds of predictions of that many rows each, after a warm-up."""
    milliseconds = []
    for number in range(_REQUESTS + _WARM_UP):
        positions = (np.arange(rows) + number * rows) % len(raw)
        request = raw.iloc[positions].reset_index(drop=True)
        began = time.perf_counter()
        model.predict(request)
        milliseconds.append((time.perf_counter() - began) * 1000)
    return milliseconds[_WARM_UP:]


if __name__ == "__main__":
    main()
