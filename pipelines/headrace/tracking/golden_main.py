"""The process of `golden.py`: loads a registered model as any user would, and compares.

Reads JSON from standard input, writes one line of JSON as the last line of standard output.
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

from headrace.tracking.golden import ABSOLUTE, FILE, RECORDED, RELATIVE, differing

_REQUESTS, _WARM_UP = 50, 5
# Whole numbers stay whole where some are null.
_DTYPES = {pa.int64(): pd.Int64Dtype()}


def main() -> None:
    asked = json.load(sys.stdin)
    mlflow.set_tracking_uri(asked["tracking_uri"])
    mlflow.set_registry_uri(asked["tracking_uri"])
    began = time.monotonic()
    model = mlflow.pyfunc.load_model(asked["model_uri"])
    loaded = time.monotonic() - began
    with tempfile.TemporaryDirectory(prefix="headrace-golden-") as folder:
        file = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{asked['model_uri']}/artifacts/{FILE}", dst_path=folder
        )
        table = pq.read_table(file)
    recorded = [name for name in table.column_names if name.startswith(RECORDED)]
    raw = table.drop_columns(recorded).to_pandas(types_mapper=_DTYPES.get)
    noted = table.schema.metadata
    absolute, relative = (float(noted[name.encode()]) for name in (ABSOLUTE, RELATIVE))
    predicted = model.predict(raw)
    different, largest = np.zeros(len(raw), bool), 0.0
    for name in recorded:
        expected = table[name].to_pandas().to_numpy()
        found = predicted[name.removeprefix(RECORDED)].to_numpy()
        if pa.types.is_list(table[name].type):  # of several labels, in their order
            expected = np.stack(expected)
            found = np.array([list(row.values()) for row in found])
        other, distance = differing(expected, found, absolute=absolute, relative=relative)
        other = np.asarray(other.reshape(len(raw), -1).any(axis=1))
        different |= other
        largest = max(largest, distance)
    answer: dict[str, Any] = {
        "rows": len(raw),
        "largest_difference": largest,
        "different": int(different.sum()),
        "load_seconds": round(loaded, 3),
        "latency": {rows: _times(model, raw, rows) for rows in asked["latency_rows"]},
    }
    print(json.dumps(answer))


def _times(model: Any, raw: pd.DataFrame, rows: int) -> list[float]:
    """Milliseconds of predictions of that many rows each, the first ones left out."""
    found = []
    for number in range(_REQUESTS + _WARM_UP):
        places = (np.arange(rows) + number * rows) % len(raw)
        request = raw.iloc[places].reset_index(drop=True)
        began = time.perf_counter()
        model.predict(request)
        found.append((time.perf_counter() - began) * 1000)
    return found[_WARM_UP:]


if __name__ == "__main__":
    main()
